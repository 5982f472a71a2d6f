"""A real tracking server does what the endpoint protocols promise: experiments, runs, counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.searches import search as search_module
from migrate.endpoints.tracking.stores import experiments as experiments_module
from migrate.endpoints.tracking.stores import runs as runs_module
from migrate.endpoints.tracking.stores.runs import RUNS
from migrate.endpoints.tracking.uncopied import NOT_COUNTED, UncopiedObjects
from migrate.endpoints.tracking.versions import release_of
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.kinds import ON_REQUEST, Kind, Ref
from migrate.objects import ACTIVE, DELETED, Experiment, Run
from migrate.origins import MARK, ORIGIN
from migrate.tasks.carriers import CARRIERS
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer
from tests.proxy import Proxy
from tests.seed import START, Source
from tests.servers import IS_3_18

SEARCHES = ("POST", r"/search$")


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def two_runs_per_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes effect on a server that is opened after it."""
    monkeypatch.setattr(runs_module, "RUNS", RUNS._replace(per_page=2))


@pytest.fixture
def server(proxy: Proxy) -> Iterator[Target]:
    with closing(open_target(Address(uri=proxy.uri, side="target", workers=4))) as opened:
        yield opened


@pytest.fixture
def seed(target_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(target_server.uri, prefix=f"{unique_name} ") as source:
        yield source


def held(server: Target, prefix: str) -> list[Experiment]:
    return [found for found in server.experiments.list() if found.name.startswith(prefix)]


def wanted(name: str = "train", **changes: Any) -> Run:
    fields: dict[str, Any] = {
        "run_id": "source-id",
        "experiment_id": "source-experiment",
        "name": name,
        "user_id": "Grace Hopper",
        "status": "FINISHED",
        "start_time": START,
        "end_time": START + 1,
    }
    return Run(**fields | changes)


class TestConnecting:
    def test_the_server_is_described_once_and_without_credentials(
        self, proxy: Proxy, target_server: TrackingServerProcess
    ) -> None:
        uri = proxy.uri.replace("//", "//ada:s3cret@")
        with closing(open_target(Address(uri=uri, side="target"))) as server:
            can = server.capabilities()
            stored = {carrier.kind for carrier in CARRIERS if server.store(carrier.kind)}
            asked = len(proxy.requests)
            assert server.capabilities() is can
            assert len(proxy.requests) == asked
        assert can.version in can.description
        assert proxy.uri in can.description
        assert can.identity.startswith(f"{proxy.uri}#")
        assert can.writable == can.readable
        # Users are those of another app, which this server does not run.
        newer = set() if IS_3_18 else {Kind.SKILL}
        assert can.readable | stored == {carrier.kind for carrier in CARRIERS} - ON_REQUEST - newer
        assert proxy.writes() == []
        assert "s3cret" not in repr(can)


class TestExperiments:
    def test_all_are_listed_in_order_of_creation_whatever_the_page(
        self, server: Target, proxy: Proxy, seed: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = [seed.experiment(label, tags={"n": label}) for label in "abcde"]
        seed.delete_experiment(ids[2])
        total = len(list(server.experiments.list()))
        monkeypatch.setattr(experiments_module, "EXPERIMENTS_PER_PAGE", 2)
        proxy.clear()
        found = held(server, seed.seeded.prefix)
        assert len(proxy.matching(SEARCHES)) >= total // 2
        assert [item.experiment_id for item in found] == ids
        assert [item.tags["n"] for item in found] == list("abcde")
        assert [item.lifecycle_stage for item in found] == [
            DELETED if ident == ids[2] else ACTIVE for ident in ids
        ]
        assert all(item.creation_time and item.last_update_time for item in found)

    def test_one_is_created_with_all_it_needs_in_one_call(
        self, server: Target, proxy: Proxy, unique_name: str
    ) -> None:
        location = f"mlflow-artifacts:/custom/{unique_name}"
        made = Experiment(
            experiment_id="ignored",
            name=unique_name,
            tags={ORIGIN: "1@77", "emptÿ": ""},
            artifact_location=location,
        )
        ident = server.experiments.create(made)
        assert len(proxy.writes()) == 1
        (found,) = held(server, unique_name)
        assert (found.experiment_id, found.tags) == (ident, made.tags)
        assert found.artifact_location == location

    def test_a_name_is_taken_by_the_trash_too(self, server: Target, unique_name: str) -> None:
        made = Experiment(experiment_id="", name=unique_name)
        ident = server.experiments.create(made)
        with pytest.raises(AlreadyExists):
            server.experiments.create(made)
        server.experiments.delete(ident)
        with pytest.raises(AlreadyExists):
            server.experiments.create(made)

    def test_tags_names_and_the_trash(self, server: Target, seed: Source) -> None:
        ident = seed.experiment("a", tags={"own": "stays", "owner": "old"})
        server.experiments.set_tags(ident, {"owner": "new", "long": "x" * 5000})
        server.experiments.rename(ident, f"{seed.seeded.prefix}renamed")
        for stage, move in (
            (DELETED, server.experiments.delete),
            (DELETED, server.experiments.delete),
            (ACTIVE, server.experiments.restore),
        ):
            move(ident)
            (found,) = held(server, seed.seeded.prefix)
            assert found.lifecycle_stage == stage
        assert found.name.endswith("renamed")
        assert found.tags == {"own": "stays", "owner": "new", "long": "x" * 5000}

    def test_one_that_is_not_there_is_not_found(self, server: Target) -> None:
        with pytest.raises(NotFound):
            server.experiments.delete("987654321")


class TestReadingRuns:
    def test_all_runs_of_many_experiments_come_whatever_the_page(
        self,
        two_runs_per_page: None,
        server: Target,
        proxy: Proxy,
        seed: Source,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        experiments = [seed.experiment(label) for label in "abc"]
        expected = {
            seed.run(f"{experiment}-{n}", experiment, start=START + n)
            for experiment in experiments
            for n in range(3)
        }
        seed.delete_run(min(expected))
        monkeypatch.setattr(search_module, "EXPERIMENTS_PER_SEARCH", 2)
        proxy.clear()
        found = list(server.runs.list(experiments))
        # Three pages of two experiments, two of the third one.
        assert len(proxy.matching(SEARCHES)) == 5
        assert sorted(run.run_id for run in found) == sorted(expected)
        stages = {run.run_id: run.lifecycle_stage for run in found}
        assert [run_id for run_id in stages if stages[run_id] == DELETED] == [min(expected)]
        assert list(server.runs.list([])) == []

    def test_a_run_comes_with_all_a_search_shows(self, server: Target, seed: Source) -> None:
        experiment = seed.experiment("a")
        run_id = seed.run("näme", experiment, user="Ada", status="KILLED", tags={"t": "1"})
        seed.params(run_id, {"p": "1", "empty": ""})
        seed.metrics(run_id, [("loss", "NaN", 5, -1), ("loss", 0.5, 9, 3), ("auc", 1.0, 1, 0)])
        seed.inputs(run_id, ({"name": "d", "digest": "1", "source_type": "x", "source": "y"}, {}))
        (run,) = server.runs.list([experiment])
        assert (run.run_id, run.name, run.user_id, run.status) == (run_id, "näme", "Ada", "KILLED")
        assert (run.start_time, run.end_time) == (START, START + 61_000)
        assert run.params == {"p": "1", "empty": ""}
        assert run.tags["t"] == "1"
        assert set(run.latest_metrics) == {("loss", 0.5, 9, 3), ("auc", 1.0, 1, 0)}
        assert run.inputs[0]["dataset"]["name"] == "d"
        assert run.artifact_uri.startswith("mlflow-artifacts:/")

    def test_runs_are_read_by_id_and_missing_ones_left_out(
        self, server: Target, proxy: Proxy, seed: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        experiment, other = seed.experiment("a"), seed.experiment("b")
        ids = [seed.run(f"r{n}", experiment) for n in range(5)]
        seed.delete_run(ids[0])
        elsewhere = seed.run("elsewhere", other)
        server.capabilities()
        monkeypatch.setattr(runs_module, "IDS_PER_SEARCH", 3)
        proxy.clear()
        found = server.runs.read_in(experiment, [*ids, elsewhere, "0" * 32])
        assert sorted(run.run_id for run in found) == sorted(ids)
        assert len(proxy.requests) == 3
        assert server.runs.read_in(experiment, []) == []


class TestCreatingRuns:
    def test_name_user_start_and_all_tags_ride_in_the_create_call(
        self, server: Target, proxy: Proxy, seed: Source
    ) -> None:
        experiment = seed.experiment("a")
        tags = {ORIGIN: "a", **{f"tag {n}": str(n) for n in range(150)}}
        proxy.clear()
        writer = server.runs.create(experiment, wanted(tags=tags))
        assert len(proxy.writes()) == 1
        (run,) = server.runs.read_in(experiment, [writer.run_id])
        assert (run.name, run.user_id, run.start_time) == ("train", "Grace Hopper", START)
        assert run.tags.items() >= tags.items()
        assert (writer.root.owner, writer.root.uri) == (Ref(Kind.RUN, run.run_id), run.artifact_uri)

    def test_a_run_without_a_name_is_named_by_the_server(
        self, server: Target, seed: Source
    ) -> None:
        experiment = seed.experiment("a")
        writer = server.runs.create(experiment, wanted(name=""))
        (run,) = server.runs.read_in(experiment, [writer.run_id])
        assert run.name

    def test_the_trash_takes_no_runs(self, server: Target, seed: Source) -> None:
        experiment = seed.experiment("a")
        seed.delete_experiment(experiment)
        with pytest.raises(Refused):
            server.runs.create(experiment, wanted())

    def test_adopting_restores_a_deleted_copy_and_writes_what_differs(
        self, server: Target, proxy: Proxy, seed: Source
    ) -> None:
        experiment = seed.experiment("a")
        seed.run("r", experiment, tags={"same": "1", "old": "1", "own": "1"})
        seed.delete_run(seed.seeded.runs["r"])
        (copy,) = server.runs.list([experiment])
        proxy.clear()
        original = wanted(copy.name, tags={"same": "1", "old": "2", "new": "3"})
        writer = server.runs.adopt(experiment, copy, original)
        writer.finish(dataclasses.replace(original, status="FAILED"), "1a.b")
        (run,) = server.runs.list([experiment])
        assert (run.lifecycle_stage, run.status) == (ACTIVE, "FAILED")
        expected = {"same": "1", "old": "2", "new": "3", "own": "1", MARK: "1a.b"}
        assert run.tags.items() >= expected.items()
        assert [write.path.rpartition("/")[2] for write in proxy.writes()] == [
            "restore",
            "update",
            "log-batch",
        ]


class TestFindingCopies:
    @pytest.fixture
    def experiment(self, seed: Source) -> str:
        experiment = seed.experiment("a")
        for label, tags in {
            "not ours": {},
            "whole": {ORIGIN: "a", MARK: "1x.y"},
            "half": {ORIGIN: "b"},
            "first of c": {ORIGIN: "c"},
            "complete c": {ORIGIN: "c", MARK: "1x.z"},
            "deleted": {ORIGIN: "d", MARK: "1x.w"},
        }.items():
            seed.run(label, experiment, tags=tags)
        seed.delete_run(seed.seeded.runs["deleted"])
        return experiment

    def test_all_are_found_in_one_search_complete_ones_first(
        self, server: Target, proxy: Proxy, seed: Source, experiment: str
    ) -> None:
        proxy.clear()
        found = server.runs.find(experiment)
        assert len(proxy.requests) == 1
        runs = seed.seeded.runs
        assert {origin: [c.target_id for c in copies] for origin, copies in found.items()} == {
            "a": [runs["whole"]],
            "b": [runs["half"]],
            "c": [runs["complete c"], runs["first of c"]],
            "d": [runs["deleted"]],
        }
        assert [copy.mark for copy in found["c"]] == ["1x.z", ""]
        assert found["d"][0].lifecycle_stage == DELETED

    @pytest.mark.parametrize("origins", [[], ["a"], ["a", "c", "x"], ["a", "b", "c", "x", "y"]])
    def test_those_of_some_origins_are_among_what_is_found(
        self, server: Target, experiment: str, origins: list[str]
    ) -> None:
        found = server.runs.find(experiment, origins)
        known = set(origins) & set("abcd")
        assert known <= found.keys() <= set("abcd")
        if len(origins) <= 3:
            assert found.keys() == known

    def test_copies_can_be_taken_out_of_the_trash(
        self, server: Target, seed: Source, experiment: str
    ) -> None:
        server.runs.restore([seed.seeded.runs["deleted"], seed.seeded.runs["whole"]])
        assert {run.lifecycle_stage for run in server.runs.list([experiment])} == {ACTIVE}


class TestWhatIsNotCopied:
    def test_traces_are_noticed_in_the_experiments_asked_for_where_no_store_reads_them(
        self, server: Target, proxy: Proxy, seed: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release = release_of("3.17.2")
        assert release is not None
        experiment, other = seed.experiment("a"), seed.experiment("b")
        assert server.unsupported([experiment, other]) == {}
        seed.post("logged-models", {"experiment_id": other, "name": "x"})
        assert server.unsupported([experiment, other]) == {}, "logged models are copied"
        monkeypatch.setattr(search_module, "EXPERIMENTS_PER_SEARCH", 1)
        trace = {
            "trace_id": f"tr-{other}-{'0' * 20}",
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": other},
            },
            "request_time": "2024-01-01T00:00:00Z",
            "state": "OK",
        }
        seed.post("../../3.0/mlflow/traces", {"trace": {"trace_info": trace}})
        assert server.unsupported([experiment, other]) == {}, "traces are copied"
        address = Address(uri=proxy.uri, side="source")
        with closing(HttpSession(address.access, side="source", workers=1)) as http:
            uncopied = UncopiedObjects(http, release, Gaps("source"))
            assert uncopied.traces([experiment, other]) == NOT_COUNTED
            assert uncopied.traces([experiment]) == 0
            assert uncopied.traces([]) == 0

    def test_traces_that_cannot_be_asked_for_are_unknown(
        self, server: Target, proxy: Proxy, seed: Source
    ) -> None:
        proxy.faults = Faults(always(("*", "/traces"), answer(404)))
        assert server.unsupported([seed.experiment("a")]) == {}
        (said,) = server.unknown()
        assert "has traces is not known" in said
