"""Traces from server to server, with everything that belongs to them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.stores import holders_of, traces_of
from migrate.origins import MARK
from migrate.traces import SPANS_LOCATION_TAG
from tests.conftest import ProxyFactory, RunMigrate, StartMigrate
from tests.endpoints.databases import as_written, both, in_order
from tests.faults import (
    Fault,
    Faults,
    Match,
    always,
    answer,
    answer_with,
    call_after,
    drop_request,
    on_nth,
    refuse,
)
from tests.processes import MigrateProcess
from tests.proxy import Proxy
from tests.traces.comparison import comparable, experiment_id, traces
from tests.traces.seed import BARE, IN_PROGRESS, SeededTraces, seed_traces, start_trace

COUNT = 8  #: traces in the experiment that is not deleted


@pytest.fixture(scope="module")
def seeded(source_server: TrackingServerProcess) -> SeededTraces:
    return seed_traces(source_server.uri, f"traces-{uuid.uuid4().hex[:8]}")


class Copying:
    """A migration of what was seeded into the target under names of its own."""

    def __init__(
        self, seeded: SeededTraces, source: str, target: str, run: RunMigrate, folder: Path
    ) -> None:
        self.seeded, self.source, self.target, self._run = seeded, source, target, run
        self.suffix = uuid.uuid4().hex[:6]
        self.renames = folder / "renames.csv"
        self.names = {old: f"{old}-{self.suffix}" for old in seeded.names.values()}
        lines = [f"{old},{new}" for old, new in self.names.items()]
        self.renames.write_text("\n".join(lines))

    @property
    def words(self) -> list[str]:
        names = (self.seeded.names["main"], self.seeded.names["deleted"])
        selected = ("--experiments", ",".join(names), "--include-deleted")
        return [*selected, "--experiment-rename-file", str(self.renames)]

    def __call__(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run(command, self.source, self.target, *self.words, *options)

    def resume(self) -> subprocess.CompletedProcess[str]:
        return self._run("run", "--resume")

    def report(self, *options: str) -> dict[str, Any]:
        ended = self("run", "--json", *options)
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def assert_lost(self, trace_id: str, reason: str) -> None:
        """Verify tells why a trace has no copy; without the state database, that it has none."""
        for options, what in (((), "lost"), (("--state", "none.db"), "missing")):
            verified = self("verify", "--json", *options)
            assert verified.returncode == 3
            [found] = json.loads(verified.stdout)["differences"]
            assert (found["what"], found["id"]) == (what, trace_id)
            assert (found["detail"] == reason) is (what == "lost")

    def copies(self, of: str = "main") -> dict[str, dict[str, Any]]:
        name = self.names[self.seeded.names[of]]
        return traces(self.target, experiment_id(self.target, name))

    def originals(self, of: str = "main") -> dict[str, dict[str, Any]]:
        return traces(self.source, experiment_id(self.source, self.seeded.names[of]))


@pytest.fixture
def copying(
    seeded: SeededTraces,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> Copying:
    remove_copies(source_server.uri, target_server.uri, seeded)
    return Copying(seeded, source_server.uri, target_server.uri, run_migrate, tmp_path)


def remove_copies(source: str, target: str, seeded: SeededTraces) -> None:
    """Takes the copies of an earlier test off the target: their ids are those of the originals."""
    for experiment in (seeded.experiment, seeded.deleted):
        ids = list(traces(source, experiment))
        url = f"{target}/api/3.0/mlflow/traces/batchGetInfos"
        for info in (
            requests.post(url, json={"trace_ids": ids}, timeout=60).json().get("trace_infos", ())
        ):
            place = info["trace_location"]["mlflow_experiment"]["experiment_id"]
            body = {"experiment_id": place, "request_ids": [info["trace_id"]]}
            url_of = f"{target}/api/3.0/mlflow/traces/delete-traces"
            requests.post(url_of, json=body, timeout=60).raise_for_status()


def ids_of_copies(copying: Copying) -> dict[str, str]:
    """The ids of the copies of runs and logged models, by those of their originals."""
    place = experiment_id(copying.target, copying.names[copying.seeded.names["main"]])
    found = {}
    for route, items, info in (
        ("runs/search", "runs", "run_id"),
        ("logged-models/search", "models", "model_id"),
    ):
        url = f"{copying.target}/api/2.0/mlflow/{route}"
        answer = requests.post(url, json={"experiment_ids": [place]}, timeout=60).json()
        for item in answer.get(items, ()):
            tags = item["data"]["tags"] if items == "runs" else item["info"]["tags"]
            origin = next(it["value"] for it in tags if it["key"] == "mlflow-migrate.origin")
            found[origin] = item["info"][info]
    [issue] = issues(copying.source, copying.seeded.experiment)
    [copy] = issues(copying.target, place)
    return {**found, issue: copy}


def issues(uri: str, experiment: str) -> list[str]:
    url = f"{uri}/api/3.0/mlflow/issues/search"
    answer = requests.post(url, json={"experiment_id": experiment, "max_results": 10}, timeout=60)
    return [issue["issue_id"] for issue in answer.json()["issues"]]


def test_a_database_gives_them_as_its_server_does(
    seeded: SeededTraces, source_server: TrackingServerProcess
) -> None:
    with both(source_server) as ends:
        stores = [traces_of(it) for it in ends]
        found = [[*it.list([seeded.experiment, seeded.deleted])] for it in stores if it]
        shown, read = ([as_written(in_order(it)) for it in them] for them in found)
        assert shown == read
        assert len(read) == COUNT + 1
        ids = [it.trace_id for it in found[1] if it.has_stored_spans]
        served, kept = (it.spans(ids) for it in stores if it)
        assert {key: served[key] for key in ids} == kept


def test_everything_of_them_arrives(copying: Copying) -> None:
    report = copying.report()
    assert report["totals"]["trace"]["done"] == COUNT + 1
    assert report["losses"] == []
    originals, copies = copying.originals(), copying.copies()
    ids = ids_of_copies(copying)
    assert len(originals) == COUNT
    assert originals.keys() == copies.keys()
    elsewhere = copying.seeded.runs[1]
    for ident, original in originals.items():
        wanted, copy = comparable(original, ids), comparable(copies[ident], {})
        if ident.startswith(BARE):  # its run is of an experiment that is not copied
            assert wanted["trace_metadata"].pop("mlflow.sourceRun") == elsewhere
            assert copy["tags"].pop("mlflow-migrate.source.sourceRun") == elsewhere
        assert copy == wanted
    assert copying.seeded.runs[0] in ids
    assert any(trace.get("spans") for trace in originals.values())
    [warning] = {it["warning"] for it in report["warnings"] if "of run" in it["warning"]}
    assert elsewhere in warning
    used = f"prompt = '{copying.seeded.prompt}'"
    place = experiment_id(copying.target, copying.names[copying.seeded.names["main"]])
    [linked] = traces(copying.source, copying.seeded.experiment, used)
    assert list(traces(copying.target, place, used)) == [linked]
    [[ident, forgotten]] = copying.originals("deleted").items()
    assert comparable(copying.copies("deleted")[ident], {}) == comparable(forgotten, {})


def test_a_second_run_writes_nothing_and_verify_finds_no_difference(
    copying: Copying, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(copying.target)
    copying.target = proxy.uri
    copying.report()
    proxy.clear()
    report = copying.report()
    assert report["totals"]["trace"]["wrote"] == 0
    assert [it for it in proxy.writes() if "trace" in it.path] == []
    ended = copying("verify")
    assert "no difference" in ended.stdout + ended.stderr, ended


def test_exactly_what_is_new_or_changed_is_written(copying: Copying) -> None:
    copying.report()
    asked = [ident for ident, it in copying.originals().items() if "stage" in it["tags"]]
    changed, untouched, *_ = asked
    made = f"tr-{uuid.uuid4().hex}"
    start_trace(copying.source, copying.seeded.experiment, made)
    try:
        where = f"{copying.source}/api/3.0/mlflow/traces/{changed}"
        feedback = {"assessment_name": "late", "feedback": {"value": False}, "trace_id": changed}
        source = {"source_type": "HUMAN", "source_id": "grace"}
        for path, body, method in (
            ("assessments", {"assessment": {**feedback, "source": source}}, "POST"),
            ("tags", {"key": "stage", "value": "changed"}, "PATCH"),
            ("tags", {"key": "empty"}, "DELETE"),
        ):
            requests.request(method, f"{where}/{path}", json=body, timeout=60)
        before = copying.copies()[untouched]
        assert "empty" in copying.copies()[changed]["tags"]
        assert copying.report()["totals"]["trace"]["wrote"] == 2
        copies, originals = copying.copies(), copying.originals()
        assert made in copies
        assert copies[untouched] == before
        ids = ids_of_copies(copying)
        assert copies[changed]["tags"].pop("empty") == "", "nothing is deleted on the target"
        assert comparable(copies[changed], {}) == comparable(originals[changed], ids)
    finally:
        body = {"experiment_id": copying.seeded.experiment, "request_ids": [made]}
        url = f"{copying.source}/api/3.0/mlflow/traces/delete-traces"
        requests.post(url, json=body, timeout=60)
        requests.post(
            f"{copying.target}/api/3.0/mlflow/traces/delete-traces",
            json={
                "experiment_id": experiment_id(
                    copying.target, copying.names[copying.seeded.names["main"]]
                ),
                "request_ids": [made],
            },
            timeout=60,
        )


THOROUGH = pytest.mark.thorough
WINDOWS: dict[str, tuple[Match, int]] = {
    "the first info": (("POST", "/mlflow/traces$"), 1),
    "an info in the middle": (("POST", "/mlflow/traces$"), 4),
    "the spans": (("POST", "/v1/traces$"), 1),
    "an assessment that overrides": (("POST", "/assessments$"), 1),
    "the second that overrides": (("POST", "/assessments$"), 2),
    "the marks of many": (("POST", "/v1/traces$"), 2),
    "a mark": (("PATCH", "/tags$"), 1),
}


#: Of these one shows what the others do, in less time.
SHOWN = (("the second that overrides", True),)


@pytest.mark.parametrize(
    ("window", "arrives"),
    [
        pytest.param(window, arrives, marks=() if (window, arrives) in SHOWN else THOROUGH)
        for window in WINDOWS
        for arrives in (False, True)
    ],
)
def test_killed_at_any_moment_it_is_resumed(
    copying: Copying,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    window: str,
    arrives: bool,
) -> None:
    proxy = killed_at(window, copying, proxy_factory, start_migrate, arrives=arrives)
    copying.resume()
    assert_all_there(copying, proxy)


def test_a_mark_that_came_before_its_spans_counts_for_nothing(
    copying: Copying, proxy_factory: ProxyFactory, start_migrate: StartMigrate
) -> None:
    """What was killed between the two is planned anew by one who knows of neither."""
    proxy = killed_at("the spans", copying, proxy_factory, start_migrate, arrives=False)
    both = (copying.seeded.experiment, copying.seeded.deleted)
    ids = [ident for experiment in both for ident in traces(copying.source, experiment)]
    url = f"{copying.target}/api/3.0/mlflow/traces/batchGetInfos"
    made = requests.post(url, json={"trace_ids": ids}, timeout=60).json()["trace_infos"]
    early = [it for it in made if MARK in it["tags"] and SPANS_LOCATION_TAG not in it["tags"]]
    assert early
    copying.target = proxy.uri
    copying.report("--state", "another.db")
    assert_all_there(copying, proxy)


def killed_at(
    window: str,
    copying: Copying,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    *,
    arrives: bool,
) -> Proxy:
    """Begins a migration that is killed as a request arrives, or before; returns its target."""
    match, nth = WINDOWS[window]
    proxy = proxy_factory(copying.target)

    def kill() -> None:
        process.signal_group(signal.SIGKILL)

    fault: Fault = call_after(kill) if arrives else drop_request(kill)
    proxy.faults = Faults(on_nth(match, nth, fault))
    process = start_migrate("run", copying.source, proxy.uri, *copying.words)
    assert process.wait(60) == -signal.SIGKILL
    proxy.faults = Faults()
    return proxy


def assert_all_there(copying: Copying, proxy: Proxy) -> None:
    """Compares originals and copies bit by bit; another run through the proxy writes nothing."""
    originals, copies, ids = copying.originals(), copying.copies(), ids_of_copies(copying)
    assert originals.keys() == copies.keys()
    for ident, original in originals.items():
        if not ident.startswith(BARE):
            assert comparable(copies[ident], {}) == comparable(original, ids)
    copying.target = proxy.uri
    proxy.clear()
    copying.report()
    assert [it for it in proxy.writes() if "trace" in it.path] == []


@THOROUGH
def test_killed_twenty_times_it_is_resumed(
    copying: Copying, proxy_factory: ProxyFactory, start_migrate: StartMigrate
) -> None:
    """After so many writes as chance says; what is killed each time goes on."""
    proxy, chance = proxy_factory(copying.target), random.Random(11)
    writes = ("*", "(/mlflow/traces|/v1/traces|/tags|/assessments|/link-prompts)$")
    started: list[MigrateProcess] = []
    kill = call_after(lambda: started[-1].signal_group(signal.SIGKILL))
    killed = 0
    for _ in range(20):
        proxy.faults = Faults(on_nth(writes, chance.randint(1, 6), kill))
        started.append(start_migrate("run", copying.source, proxy.uri, *copying.words))
        if started[-1].wait(120) != -signal.SIGKILL:
            break
        killed += 1
    assert killed > 5
    proxy.faults = Faults()
    copying.target = proxy.uri
    copying.report()
    originals, copies, ids = copying.originals(), copying.copies(), ids_of_copies(copying)
    assert originals.keys() == copies.keys()
    for ident, original in originals.items():
        if not ident.startswith(BARE):
            assert comparable(copies[ident], {}) == comparable(original, ids)
    proxy.clear()
    copying.report()
    assert [it for it in proxy.writes() if "trace" in it.path] == []


@THOROUGH
def test_ten_new_ones_and_five_with_new_assessments_are_written(copying: Copying) -> None:
    copying.report()
    asked = [ident for ident in copying.originals() if "/" not in ident][:5]
    made = [f"tr-{uuid.uuid4().hex}" for _ in range(10)]
    experiment = copying.seeded.experiment
    for ident in made:
        start_trace(copying.source, experiment, ident)
    source = {"source_type": "HUMAN", "source_id": "grace"}
    for ident in asked:
        url = f"{copying.source}/api/3.0/mlflow/traces/{ident}/assessments"
        feedback = {"assessment_name": "later", "feedback": {"value": 1}, "trace_id": ident}
        body = {"assessment": {**feedback, "source": source}}
        requests.post(url, json=body, timeout=60).raise_for_status()
    try:
        before = copying.copies()
        assert copying.report()["totals"]["trace"]["wrote"] == 15
        copies, originals = copying.copies(), copying.originals()
        assert copies.keys() == originals.keys() == before.keys() | {*made}
        changed = {ident for ident in before if copies[ident] != before[ident]}
        assert changed == {*asked}
        assert copying.report()["totals"]["trace"]["wrote"] == 0
    finally:
        copied = experiment_id(copying.target, copying.names[copying.seeded.names["main"]])
        for uri, ident in ((copying.source, experiment), (copying.target, copied)):
            body = {"experiment_id": ident, "request_ids": made}
            requests.post(f"{uri}/api/3.0/mlflow/traces/delete-traces", json=body, timeout=60)


def test_what_the_target_refuses_is_a_loss_by_name(
    copying: Copying, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(copying.target)
    refused = next(ident for ident in copying.originals() if ident.startswith(IN_PROGRESS))
    proxy.faults = Faults(always(("POST", "/mlflow/traces$"), refuse(refused)))
    copying.target = proxy.uri
    report = copying.report()
    assert report["totals"]["trace"]["done"] == COUNT + 1
    [loss] = report["losses"]
    assert loss["what"] == f"trace {refused}"
    copying.assert_lost(refused, loss["reason"])
    proxy.faults = Faults()
    assert copying.copies().keys() == copying.originals().keys() - {refused}
    assert copying.report()["losses"] == []
    assert copying.copies().keys() == copying.originals().keys()


def test_a_trace_of_the_same_id_elsewhere_on_the_target_is_left_alone(
    copying: Copying,
) -> None:
    there = next(ident for ident in copying.originals() if ident.startswith(IN_PROGRESS))
    start_trace(copying.target, "0", there, tags={"whose": "the target's own"})
    try:
        report = copying.report()
        [loss] = report["losses"]
        assert loss["what"] == f"trace {there}"
        copying.assert_lost(there, loss["reason"])
        assert there in traces(copying.target, "0")
        assert there not in copying.copies()
    finally:
        body = {"experiment_id": "0", "request_ids": [there]}
        url = f"{copying.target}/api/3.0/mlflow/traces/delete-traces"
        requests.post(url, json=body, timeout=60)


@pytest.mark.thorough
def test_verify_names_what_differs_and_repair_mends_it(copying: Copying) -> None:
    copying.report()
    first = copying.seeded.overridden
    where = f"{copying.target}/api/3.0/mlflow/traces/{first}"
    requests.patch(f"{where}/tags", json={"key": "stage", "value": "other"}, timeout=60)
    place = experiment_id(copying.target, copying.names[copying.seeded.names["main"]])
    gone = copying.seeded.attached
    body = {"experiment_id": place, "request_ids": [gone]}
    url = f"{copying.target}/api/3.0/mlflow/traces/delete-traces"
    requests.post(url, json=body, timeout=60)
    found = json.loads(copying("verify", "--json").stdout)["differences"]
    assert {(it["what"], it["id"]) for it in found} == {("tag stage", first), ("missing", gone)}
    copying("run", "--repair")
    assert json.loads(copying("verify", "--json").stdout)["differences"] == []


def test_none_are_taken_or_some_by_their_time(copying: Copying) -> None:
    plan = json.loads(copying("plan", "--json", "--traces", "none").stdout)
    assert "trace" not in plan["counts"] | plan["unsupported"]
    # Those without spans are said to have begun in 2024.
    for options, count in (
        (("--traces-until", "2024-01-01"), 0),
        (("--traces-until", "2024-01-02"), 3),
        (("--trace-start-time", "2024-01-01 00:00:01"), COUNT + 1 - 3),
    ):
        plan = json.loads(copying("plan", "--json", *options).stdout)
        assert sum(plan["counts"].get("trace", {}).values()) == count
        assert "trace" not in plan["unsupported"]


def test_a_target_that_takes_none_is_said_to_with_their_number(
    copying: Copying, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(copying.target)
    old = answer_with("3.5.1", content_type="text/plain")
    proxy.faults = Faults(always(("GET", "^/version$"), old))
    copying.target = proxy.uri
    ended = copying("run")
    assert ended.returncode == 3
    assert f"{COUNT + 1} traces" in ended.stdout
    assert copying("verify").returncode == 3
    assert copying.copies() == {}


def test_traces_name_a_prompt_by_the_name_that_its_copy_got(
    copying: Copying, tmp_path: Path
) -> None:
    old, _, version = copying.seeded.prompt.rpartition("/")
    new = f"{old}-{copying.suffix}"
    renames = tmp_path / "prompts.csv"
    renames.write_text(f"{old},{new}")
    chosen = ("--models", old, "--model-rename-file", str(renames))
    assert copying.report(*chosen)["failures"] == []

    place = experiment_id(copying.target, copying.names[copying.seeded.names["main"]])
    uses = "prompt = '{}/{}'"
    [linked] = traces(copying.source, copying.seeded.experiment, uses.format(old, version))
    found = traces(copying.target, place, uses.format(new, version))
    assert list(found) == [linked]
    [named] = json.loads(found[linked]["tags"]["mlflow.linkedPrompts"])
    assert named == {"name": new, "version": version}
    assert json.loads(copying("verify", *chosen, "--json").stdout)["differences"] == []


def test_experiments_are_asked_about_together_where_they_have_none(
    seeded: SeededTraces, source_server: TrackingServerProcess, proxy_factory: ProxyFactory
) -> None:
    made = [
        requests.post(
            f"{source_server.uri}/api/2.0/mlflow/experiments/create",
            json={"name": f"none-{uuid.uuid4().hex}"},
            timeout=30,
        ).json()["experiment_id"]
        for _ in range(5)
    ]
    proxy = proxy_factory(source_server.uri)
    with closing(open_source(Address(uri=proxy.uri, side="source"))) as source:
        store = traces_of(source)
        assert store is not None
        proxy.clear()
        assert list(holders_of(store, made)) == []
        searches = [it for it in proxy.requests if it.path.endswith("/traces/search")]
        # And once to see whether it is MLflow that answers.
        assert len(searches) <= 2
        some = [made[0], seeded.experiment, made[1]]
        assert list(holders_of(store, some)) == some
        proxy.faults = Faults(always(("POST", "/traces/search$"), answer(403)))
        assert list(holders_of(store, made)) == made
