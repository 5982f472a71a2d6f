"""Logged models whose row in the database is damaged, so that searches fail for them all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.origins import ORIGIN
from tests.cli.conftest import Typed
from tests.seed_models import ModelSource

#: What MLflow knows of statuses ends at 3.
UNKNOWN_STATUS = 9


class Models:
    """Some logged models of one experiment, on a server of either side."""

    def __init__(self, server: TrackingServerProcess, experiment: str) -> None:
        self.server = server
        self.experiment = experiment
        self.experiment_id = ""

    def make(self, number: int) -> list[str]:
        with ModelSource(self.server.uri) as source:
            self.experiment_id = self.experiment_id or source.experiment(self.experiment)
            return [source.logged_model(f"m{n}", self.experiment_id) for n in range(number)]

    def change(self, column: str, value: object, model_ids: list[str]) -> None:
        database = self.server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
            for model_id in model_ids:
                statement = f"UPDATE logged_models SET {column} = ? WHERE model_id = ?"
                rows.execute(statement, [value, model_id])

    def repair(self) -> None:
        """Server-wide listings of other tests would meet these rows."""
        database = self.server.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as rows, rows:
            rows.execute(
                "UPDATE logged_models SET status = 2, creation_timestamp_ms ="
                " CASE typeof(creation_timestamp_ms) WHEN 'integer'"
                " THEN creation_timestamp_ms ELSE 1 END WHERE status > 3 OR"
                " typeof(creation_timestamp_ms) != 'integer'"
            )

    def copies(self) -> dict[str, str]:
        """The copies in the experiment, by the ids of their originals."""
        with ModelSource(self.server.uri) as source:
            found = source.post("experiments/search", {"max_results": 999})["experiments"]
            ids = [it["experiment_id"] for it in found if it["name"] == self.experiment]
            body = {"experiment_ids": ids, "filter": f"tags.`{ORIGIN}` LIKE '%'"}
            models = source.post("logged-models/search", body).get("models", [])
        infos = [model["info"] for model in models]
        return {
            next(tag["value"] for tag in info["tags"] if tag["key"] == ORIGIN): info["model_id"]
            for info in infos
        }


@pytest.fixture
def source(source_server: TrackingServerProcess, unique_name: str) -> Iterator[Models]:
    models = Models(source_server, unique_name)
    yield models
    models.repair()


@pytest.fixture
def target(target_server: TrackingServerProcess, unique_name: str) -> Iterator[Models]:
    models = Models(target_server, unique_name)
    yield models
    models.repair()


def ends(source: Models, target: Models) -> tuple[str, ...]:
    return source.server.uri, target.server.uri, "--experiments", source.experiment


@pytest.mark.parametrize(
    ("column", "value", "bad"),
    [
        ("status", UNKNOWN_STATUS, [1]),
        pytest.param("creation_timestamp_ms", "soon", [0, 2], marks=pytest.mark.thorough),
    ],
)
def test_a_logged_model_that_no_search_serves_fails_by_name_and_all_others_are_copied(
    typed: Typed, source: Models, target: Models, column: str, value: object, bad: list[int]
) -> None:
    made = source.make(4)
    broken = [made[place] for place in bad]
    source.change(column, value, broken)
    report = json.loads(typed("run", *ends(source, target), "--json", code=3).stdout)
    assert {failure["id"] for failure in report["failures"]} == set(broken)
    assert {"repair its row" in failure["hint"] for failure in report["failures"]} == {True}
    assert target.copies().keys() == set(made) - set(broken)
    source.repair()
    typed("run", *ends(source, target))
    assert target.copies().keys() == set(made)


@pytest.mark.thorough
def test_a_copy_of_a_logged_model_that_its_target_cannot_serve_is_not_made_again(
    typed: Typed, source: Models, target: Models
) -> None:
    made = source.make(3)
    typed("run", *ends(source, target))
    copies = target.copies()
    target.change("status", UNKNOWN_STATUS, [copies[made[1]]])
    late = source.make(1)
    report = json.loads(typed("run", *ends(source, target), "--json", code=3).stdout)
    [failure] = report["failures"]
    assert failure["id"] == made[1]
    assert copies[made[1]] in failure["error"]
    target.repair()
    assert target.copies().keys() == {*made, *late}
    assert target.copies().items() >= copies.items()


@pytest.mark.thorough
def test_a_copy_of_a_logged_model_that_cannot_be_served_is_named_by_every_command(
    typed: Typed, source: Models, target: Models
) -> None:
    made = source.make(3)
    typed("run", *ends(source, target))
    copies = target.copies()
    target.change("status", UNKNOWN_STATUS, [copies[made[2]]])
    assert copies[made[2]] in typed("plan", *ends(source, target), "--json").stdout
    typed("run", *ends(source, target), "--quick", code=3)
    typed("run", *ends(source, target)[:2], "--resume", code=3)
    verified = json.loads(typed("verify", *ends(source, target), "--json", code=3).stdout)
    assert [item["id"] for item in verified["differences"]] == [made[2]]
    target.repair()
    typed("run", *ends(source, target))
    assert target.copies() == copies
