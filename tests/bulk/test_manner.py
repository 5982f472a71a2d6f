"""How the commands work and tell of it: threads, rates, servers, state, output."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.bulk.exported import Exported
from tests.bulk.worlds import IRIS, MNIST, RUNS
from tests.comparison_models import ModelServer
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, Request
from tests.seed_models import ModelSource

EXPORT = "export-experiments --experiments /Users/me@my.com/keras_mnist --output-dir out"


@dataclass
class Gauge:
    """Counts the requests that are under way at a time at a proxy."""

    most: int = 0
    under_way: int = 0
    began: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, _: Request) -> Fault:
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.began.append(time.monotonic())
        # Long enough for whoever sends several at a time to send the next one.
        return Fault(delay_before=0.03, after=self.leave)

    def leave(self) -> None:
        with self.lock:
            self.under_way -= 1

    def faults(self) -> Faults:
        return Faults(self.enter)


@pytest.mark.parametrize(
    ("options", "at_a_time"),
    [
        ("", {1}),
        pytest.param("--use-threads False", {1}, marks=pytest.mark.thorough),
        pytest.param("--use-threads=no --workers 1", {1}, marks=pytest.mark.thorough),
        pytest.param("--no-use-threads", {1}, marks=pytest.mark.thorough),
        pytest.param("--executor serial", {1}, marks=pytest.mark.thorough),
        ("--use-threads", set(range(2, 9))),
        pytest.param("--executor threads", set(range(2, 9)), marks=pytest.mark.thorough),
        pytest.param("--use-threads True", set(range(2, 9)), marks=pytest.mark.thorough),
        pytest.param("--use-threads 1 --workers 2", {2}, marks=pytest.mark.thorough),
        ("--workers 2", {2}),
        pytest.param("--workers 1", {1}, marks=pytest.mark.thorough),
    ],
)
def test_requests_are_under_way_one_or_several_at_a_time(
    bulk: Bulk, world: ModelSource, proxy_factory: ProxyFactory, options: str, at_a_time: set[int]
) -> None:
    gauge = Gauge()
    proxy = proxy_factory(world.seeded.uri, faults=gauge.faults())
    bulk(f"{EXPORT} {options}", proxy.uri)
    assert gauge.most in at_a_time
    assert bulk.exported().runs == {MNIST: RUNS[MNIST]}
    index = json.loads((bulk.directory / "out" / "experiments.json").read_text())
    assert index["info"]["options"]["use_threads"] == (at_a_time != {1})


@pytest.mark.parametrize(("options", "at_a_time"), [("", {1}), ("--use-threads", set(range(2, 9)))])
def test_imports_too_work_one_or_several_at_a_time(
    bulk: Bulk,
    wine_and_iris: Path,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    options: str,
    at_a_time: set[int],
) -> None:
    gauge = Gauge()
    proxy = proxy_factory(fresh_target.uri, faults=gauge.faults())
    bulk(f"import-experiments --input-dir {wine_and_iris} {options}", proxy.uri)
    assert gauge.most in at_a_time
    assert Arrived(fresh_target.uri).runs[IRIS] == {"iris-1", "iris-2"}


def test_requests_are_started_no_faster_than_told(
    bulk: Bulk, world: ModelSource, proxy_factory: ProxyFactory
) -> None:
    gauge = Gauge()
    proxy = proxy_factory(world.seeded.uri, faults=gauge.faults())
    bulk(f"{EXPORT} --use-threads --max-requests-per-second 10", proxy.uri)
    first, *_, last = gauge.began
    assert len(gauge.began) > 8
    # A tenth of a second apart, but for what the network adds and takes.
    assert last - first > 0.08 * (len(gauge.began) - 1)


class TestRegistry:
    """Registered models on a server of their own."""

    @pytest.fixture
    def registry(self, fresh_target: TrackingServerProcess) -> ModelSource:
        with ModelSource(fresh_target.uri) as registry:
            registry.version(registry.registered("elsewhere"), "s3://bucket/elsewhere")
            return registry

    @pytest.mark.parametrize(
        "named", ["option", pytest.param("environment", marks=pytest.mark.thorough)]
    )
    def test_they_are_exported_from_it(
        self, bulk: Bulk, world: ModelSource, registry: ModelSource, named: str
    ) -> None:
        uri = registry.seeded.uri
        option, env = "", {"MLFLOW_REGISTRY_URI": uri}
        if named == "option":
            option, env = f"--registry-uri {uri}", {"MLFLOW_REGISTRY_URI": "http://127.0.0.1:9"}
        bulk(f"export-all --output-dir out {option}", world.seeded.uri, env=env)
        assert bulk.exported().versions == {"elsewhere": [1]}
        assert bulk.exported().runs == RUNS
        bulk(f"export-models --output-dir models {option}", world.seeded.uri, env=env)
        assert bulk.exported("models").versions == {"elsewhere": [1]}
        assert bulk.exported("models").runs == {}

    def test_they_are_imported_into_it(
        self,
        bulk: Bulk,
        wine_and_iris: Path,
        target_server: TrackingServerProcess,
        fresh_target: TrackingServerProcess,
    ) -> None:
        registry = target_server.uri
        bulk.write("models.csv", "sklearn-,of-a-registry-\n")
        line = f"import-models --input-dir {wine_and_iris} --model-rename-file models.csv"
        bulk(f"{line} --registry-uri {registry}", fresh_target.uri)
        tracked, registered = Arrived(fresh_target.uri), Arrived(registry)
        assert tracked.versions == {}
        assert tracked.runs[IRIS] == {"iris-1", "iris-2"}
        assert registered.versions["of-a-registry-wine"] == [1, 2, 3]
        run_id = tracked.run("iris-2")["info"]["run_id"]
        with ModelServer(registry) as server:
            version = server.version("of-a-registry-iris", 1)
        assert version is not None
        assert (version["run_id"], version["source"]) == (run_id, f"runs:/{run_id}/model")
        assert "no difference" in bulk("migrate verify").stdout


def test_options_name_the_server_and_go_before_the_environment(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    nowhere = "http://127.0.0.1:9"
    models = "--models sklearn-iris"
    bulk(f"export-models {models} --output-dir out --source {world.seeded.uri}", nowhere)
    bulk(f"import-models --input-dir out --target {fresh_target.uri}", nowhere)
    assert Arrived(fresh_target.uri).versions == {"sklearn-iris": [1]}
    bulk(f"import-experiments --input-dir out --target {fresh_target.uri}")
    bulk("export-all --output-dir out", nowhere, code=1)


def test_directories_are_paths_and_file_uris(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    place = bulk.home / "out"
    bulk("export-models --models sklearn-iris --output-dir ~/out", world.seeded.uri)
    assert Exported(place).versions == {"sklearn-iris": [1]}
    for name in (f"file:{place}", f"file://{place}"):
        done = bulk(f"import-all --input-dir {name}", fresh_target.uri)
        assert f" from {place} to " in done.stdout
    bulk(f"export-models --models sklearn-wine --output-dir file:{place}", world.seeded.uri)
    assert Exported(place).versions == {"sklearn-iris": [1], "sklearn-wine": [1, 2, 3]}


def test_the_state_is_kept_where_it_is_told(bulk: Bulk, world: ModelSource) -> None:
    bulk(f"{EXPORT} --state elsewhere.db", world.seeded.uri)
    assert (bulk.directory / "elsewhere.db").exists()
    assert not (bulk.directory / ".migrate").exists()
    bulk(EXPORT, world.seeded.uri, env={"MIGRATE_STATE": "third.db"})
    assert (bulk.directory / "third.db").exists()
    bulk(EXPORT, world.seeded.uri)
    assert (bulk.directory / ".migrate" / "state.db").exists()


def test_results_are_text_or_json_and_progress_is_text_json_or_nothing(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    text = bulk(EXPORT, world.seeded.uri)
    done = "Done: 1 experiment, 3 runs, 1 logged model on the target, nothing lost."
    assert text.stdout.splitlines()[-1] == done
    assert "runs 3/3 done" in text.stderr
    report = json.loads(bulk(f"{EXPORT} --json", world.seeded.uri).stdout)
    assert (report["complete"], report["totals"]["run"]["done"]) == (True, 3)

    result = bulk("import-experiments --input-dir out --json", fresh_target.uri)
    assert json.loads(result.stdout)["totals"]["run"]["wrote"] == 3
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]
    assert (events[0], events[-1]) == ("started", "stopped")
    quiet = bulk("import-all --input-dir out --quiet True", fresh_target.uri)
    assert quiet.stderr == ""
    assert "nothing lost" in quiet.stdout


def test_debug_shows_where_an_error_came_from(bulk: Bulk, world: ModelSource) -> None:
    line = "export-experiments --experiments none --output-dir out"
    assert "Traceback" in bulk(f"{line} --debug", world.seeded.uri, code=2).stderr
    assert "Traceback" not in bulk(f"{line} --debug False", world.seeded.uri, code=2).stderr
