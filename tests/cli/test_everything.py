"""One server that holds every kind at once goes to a server, and through a directory to another.

What is compared is read over the raw REST API, by the comparisons of each kind's own tests.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from migrate.kinds import ON_REQUEST
from migrate.objects import MODEL_VERSIONS_TAG
from migrate.tasks.carriers import CARRIERS
from tests.cli.conftest import Migrate
from tests.cli.test_database_target import (
    OF_SERVERS,
    STANDING_FOR,
    TABLES,
    assert_same_rows,
    with_rows,
)
from tests.comparison import differences
from tests.comparison_models import compare_models
from tests.comparison_records import NO_WRITES, SEEDED, kinds_that_differ
from tests.conftest import OfAllModels, ProxyFactory, ServerFactory
from tests.seed import Seeded as SeededRuns
from tests.seed import seed_everything
from tests.seed_gateway import Gateway
from tests.seed_records import Api, Json
from tests.seed_reviews import add, make_queue, open_questions, set_status
from tests.test_every_model import EveryModel, copies_of_runs, declared_by
from tests.traces.comparison import assert_arrived, traces
from tests.traces.seed import SeededTraces, seed_traces

#: What of them every migration loses, and says: (kind, what).
ALWAYS_LOST = {("webhook", "secret"), ("gateway secret", "value")}
REVIEWED = ("PENDING", "COMPLETE", "DECLINED")

pytestmark = [pytest.mark.timeout(900), pytest.mark.thorough]


@dataclass(frozen=True)
class Everything:
    """A source with every kind, each as its own tests have it."""

    uri: str
    models: EveryModel
    runs: SeededRuns
    traces: SeededTraces

    @property
    def api(self) -> Api:
        return Api(self.uri)

    def assert_arrived(self, target: str, *reports: Json) -> None:
        """Compare all of it; only what the reports declare may differ, and all that does."""
        declared = declared_by(self.models, *map(self._of_models, reports))
        copies = copies_of_runs(self.uri, target)
        assert compare_models(self.uri, target, copies, declared=declared) == []
        lost = self.models.seeded.rewritten | self.runs.losses
        assert differences(self.uri, target, expected_losses=lost) == []
        assert kinds_that_differ(self.uri, target) == []
        assert_arrived(self.uri, target, self.traces, copies)

    def _of_models(self, report: Json) -> Json:
        """What a report says of models, after what it should say of all else."""
        lost = {(it["kind"], it["what"]) for it in report["losses"]}
        assert lost >= ALWAYS_LOST
        known = {run for run, _ in self.runs.losses}
        of_models = [
            it
            for it in report["losses"]
            if (it["kind"], it["what"]) not in ALWAYS_LOST and it["id"] not in known
        ]
        return {**report, "losses": of_models}


def review(uri: str, seeded: SeededTraces) -> None:
    """Make a queue of some of the traces."""
    api = Api(uri)
    open_questions(api, seeded.experiment)
    queue = make_queue(api, seeded.experiment, "Of traces")
    chosen = sorted(traces(uri, seeded.experiment))[: len(REVIEWED)]
    add(api, queue, *chosen)
    for trace, status in zip(chosen, REVIEWED, strict=True):
        if status != "PENDING":
            set_status(api, queue, trace, status, "Ada")


@pytest.fixture(scope="module")
def everything(of_all_models: OfAllModels) -> Everything:
    models = EveryModel(*of_all_models)
    uri = models.server.uri
    runs = seed_everything(uri, history_points=0)
    of_traces = seed_traces(uri, "whole")
    api = Api(uri)
    Gateway(uri)
    for seeded in SEEDED:
        seeded.seed(api)
    review(uri, of_traces)
    return Everything(uri, models, runs, of_traces)


def test_everything_goes_from_server_to_server(
    everything: Everything,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    migrate: Migrate,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    ends = (everything.uri, proxy.uri, "--include-deleted")
    plan = json.loads(migrate("plan", *ends, "--json", timeout=300).stdout)
    every = {it.kind.value for it in CARRIERS if it.kind not in ON_REQUEST}
    assert {it["kind"] for it in plan["tasks"]} - {"deletion"} == every
    report = json.loads(migrate("run", *ends, "--json", code=3, timeout=600).stdout)
    assert report["failures"] == []
    everything.assert_arrived(fresh_target.uri, report)
    verified = json.loads(migrate("verify", *ends, "--json", code=3, timeout=600).stdout)
    assert verified["differences"] == []

    proxy.clear()
    migrate("run", *ends, code=3, timeout=600)
    assert [it for it in proxy.writes() if not re.search(NO_WRITES, it.path)] == []


def with_what_their_versions_say(path: Path) -> None:
    """Have logged models name each version whose source they are once, and no other."""
    versions = "SELECT name, version, source || ' ' || storage_location FROM model_versions"
    tagged = "SELECT model_id, tag_value FROM logged_model_tags WHERE tag_key = ?"
    with closing(sqlite3.connect(path)) as connection, connection:
        made_of = {(name, number): place for name, number, place in connection.execute(versions)}
        for model_id, said in connection.execute(tagged, [MODEL_VERSIONS_TAG]).fetchall():
            named = dict.fromkeys((it["name"], int(it["version"])) for it in json.loads(said))
            kept = [it for it in named if model_id in made_of.get(it, "")]
            told = json.dumps([{"name": name, "version": number} for name, number in kept])
            connection.execute(
                "UPDATE logged_model_tags SET tag_value = ? WHERE model_id = ? AND tag_key = ?",
                [told, model_id, MODEL_VERSIONS_TAG],
            )


def cut_as_told(path: Path, report: Json) -> None:
    """Cut the tags of runs that a report says a database does not hold whole."""
    told = [(it["what"], it["id"]) for it in report["losses"] if it["kind"] == "run"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "UPDATE tags SET value = substr(value, 1, 8000) WHERE 'tag ' || key = ? "
            "AND run_uuid = ?",
            told,
        )


def assert_comes_back_the_same(
    everything: Everything, migrate: Migrate, between: str, folder: Path, factory: ServerFactory
) -> None:
    """Copy its database into the one ``between`` and from there into a file, as it was."""
    first, files = everything.models.server.directory, [folder / "1", folder / "2"]
    original, back = folder / "original.db", folder / "back.db"
    copy_database(first / "mlflow.db", original)
    with_what_their_versions_say(original)
    reports: list[Json] = []
    for number, (source, target, place) in enumerate(
        (
            (f"sqlite:///{original}", between, first / "artifacts"),
            (between, f"sqlite:///{back}", files[0]),
        )
    ):
        places = ("--source-artifacts", place, "--target-artifacts", files[number])
        ends = (source, target, *places, "--include-deleted")
        state = ("--state", folder / f"state-{number}.db")
        report = json.loads(migrate("run", *ends, *state, "--json", code=3, timeout=600).stdout)
        assert report["failures"] == []
        verified = json.loads(migrate("verify", *ends, "--json", timeout=600).stdout)
        assert verified["differences"] == []
        again = migrate("run", *ends, *state, code=3, timeout=600).stdout
        assert "Wrote nothing" in again
        reports.append(report)
    cut_as_told(original, reports[0])
    assert with_rows(original) <= {*TABLES, *STANDING_FOR, *OF_SERVERS}
    assert_same_rows(original, back)
    with factory(
        backend_store_uri=f"sqlite:///{back}", artifacts_destination=str(files[1])
    ) as target:
        assert kinds_that_differ(everything.uri, target.uri) == []


def test_everything_goes_into_a_database_and_into_another(
    everything: Everything, migrate: Migrate, tmp_path: Path, server_factory: ServerFactory
) -> None:
    between = f"sqlite:///{tmp_path / 'between.db'}"
    assert_comes_back_the_same(everything, migrate, between, tmp_path, server_factory)


def test_everything_goes_through_a_directory(
    everything: Everything, fresh_target: TrackingServerProcess, migrate: Migrate, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    to = ("--output-dir", export, "--export-deleted-runs", "--source", everything.uri, "--json")
    out = json.loads(migrate("export-all", *to, code=3, timeout=600).stdout)
    assert out["failures"] == []
    into = ("--input-dir", export, "--target", fresh_target.uri, "--json")
    report = json.loads(migrate("import-all", *into, code=3, timeout=600).stdout)
    assert report["failures"] == []
    everything.assert_arrived(fresh_target.uri, report)
    ends = (export, fresh_target.uri, "--include-deleted", "--json")
    assert json.loads(migrate("verify", *ends, code=3, timeout=600).stdout)["differences"] == []
