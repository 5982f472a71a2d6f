"""What goes wrong with one object or file costs that one, not what is copied together with it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import differences
from tests.conftest import ProxyFactory, RunMigrate
from tests.faults import Faults, always, call_after, change_response, on_nth
from tests.seed_models import ModelSource


@pytest.fixture
def source(source_server: TrackingServerProcess, unique_name: str) -> Iterator[ModelSource]:
    with ModelSource(source_server.uri, prefix=f"{unique_name}-") as source:
        yield source


#: Names of files that no URL can hold, as JSON escapes: half a character, and one beside a name.
HALVES = ["caf\\udce9.txt", "plots-\\ud83d.png", "\\udfff"]


def lists_also(name: str) -> bytes:
    return b'{"files":[{"path":"%b","is_dir":false,"file_size":3},' % name.encode()


def test_a_file_name_that_is_no_text_costs_that_file_and_not_what_is_copied_with_it(
    source: ModelSource,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
) -> None:
    experiment = source.experiment("many")
    for number in range(12):
        run_id = source.run(f"run-{number}", experiment)
        source.artifact(run_id, f"{number}-of-many.txt", b"fine")
    model = source.logged_model("model", experiment, run_id=source.seeded.runs["run-0"])
    source.artifact(model, "12-of-many.txt", b"fine")
    other = source.logged_model("other", experiment, run_id=source.seeded.runs["run-0"])
    source.artifact(other, "13-of-many.txt", b"fine")

    def spoil(body: bytes) -> bytes:
        for number, name in zip((3, 7, 12), HALVES, strict=True):
            if b'"%d-of-many.txt"' % number in body:
                return lists_also(name) + body.split(b"[", 1)[1]
        return body

    proxy = proxy_factory(source.seeded.uri)
    proxy.faults = Faults(always(("GET", "/mlflow-artifacts/artifacts$"), change_response(spoil)))
    name = source.seeded.names["many"]
    for _ in ("first", "again"):
        ended = run_migrate("run", proxy.uri, fresh_target.uri, "--experiments", name, "--json")
        assert ended.returncode == 3, ended
        report = json.loads(ended.stdout)
        assert not report["failures"], report
        assert len(report["losses"]) == 3, report["losses"]
        assert "caf" in ended.stdout
    assert not differences(source.seeded.uri, fresh_target.uri, experiments=[name])


@pytest.mark.thorough
def test_an_experiment_that_appears_while_the_plan_is_made_is_copied_with_the_rest(
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        run_id = source.run("run", source.experiment("old"))

        def appear() -> None:
            new = source.experiment("new")
            maker = source.run("maker", new)
            model = source.logged_model("model", new, run_id=maker)
            source.model_inputs(run_id, model)
            name = source.registered("made meanwhile")
            source.version(name, f"models:/{model}", run_id=maker, model_id=model)

        proxy = proxy_factory(source.seeded.uri)
        proxy.faults = Faults(on_nth(("POST", "/experiments/search$"), 1, call_after(appear)))
        ended = run_migrate("run", proxy.uri, fresh_target.uri)
        assert ended.returncode in (0, 3), ended
        # What appeared after its experiment was asked for comes with the next run.
        run_migrate("run", proxy.uri, fresh_target.uri)
        names = list(source.seeded.names.values())
        assert not differences(source.seeded.uri, fresh_target.uri, experiments=names)
