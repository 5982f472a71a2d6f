"""The comparison finds nothing in a right copy, and whatever is wrong in any other.

Every other test that says "the copy is right" rests on these.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import TrackingServerProcess, copy_database
from tests.comparison import Server, differences
from tests.seed import NOWHERE, START, Seeded, Source, put_behind_the_server, seed_everything

# More than the comparison asks for in one page.

#: The tools of the tests are tested with the variants, not before every commit.
pytestmark = pytest.mark.thorough

HISTORY_POINTS = 10_500

WINE = {"name": "wine", "digest": "1", "source_type": "local", "source": "{}"}
MILK = {"name": "milk", "digest": "2", "source_type": "local", "source": "{}"}


def test_a_whole_copy_is_equal_until_one_point_is_not(
    source_server: TrackingServerProcess, fresh_target: TrackingServerProcess, unique_name: str
) -> None:
    """The copy is the source's database and files, with the marks of a copy put into it."""
    seeded = seed_everything(
        source_server.uri, prefix=f"{unique_name} ", history_points=HISTORY_POINTS
    )
    database = fresh_target.directory / "mlflow.db"
    copy_database(source_server.directory / "mlflow.db", database)
    _copy_artifacts(seeded, source_server.directory, fresh_target.directory)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO tags (key, value, run_uuid) "
            "SELECT 'mlflow-migrate.origin', run_uuid, run_uuid FROM runs"
        )
        connection.execute(
            "UPDATE tags SET key = replace(key, 'mlflow.', 'mlflow-migrate.source.') "
            "WHERE key IN ('mlflow.parentRunId', 'mlflow.rootRunId') AND value = ?",
            [NOWHERE],
        )
    names = [name for label, name in seeded.names.items() if label != "default"]
    assert differences(source_server.uri, fresh_target.uri, experiments=names) == []

    run_id = seeded.runs["long-history"]
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE metrics SET value = value + 1e-9 "
            "WHERE key = 'loss' AND step = 10400 AND run_uuid = ?",
            [run_id],
        )
    (difference,) = differences(
        source_server.uri, fresh_target.uri, experiments=[seeded.names["runs"]], artifacts=False
    )
    assert f"{run_id}: metric loss: {HISTORY_POINTS} points became {HISTORY_POINTS}" in difference


def _copy_artifacts(seeded: Seeded, source: Path, target: Path) -> None:
    for uri in seeded.artifact_uris.values():
        folder = uri.removeprefix("mlflow-artifacts:/")
        if (source / "artifacts" / folder).exists():
            shutil.copytree(source / "artifacts" / folder, target / "artifacts" / folder)


@dataclass(frozen=True)
class Pair:
    """A small history on the source, and on the target what is meant to be its copy."""

    name: str
    source: Source
    target: Source

    def compare(self, **options: Any) -> list[str]:
        uris = self.source.seeded.uri, self.target.seeded.uri
        return differences(*uris, **{"experiments": [self.name], **options})

    def at_source(self, label: str) -> str:
        return self.source.seeded.runs[label]

    def at_target(self, label: str) -> str:
        return self.target.seeded.runs[label]

    def line(self, label: str, words: str) -> str:
        """What the comparison says when this is wrong with the copy of this run."""
        return f"run {label!r} {self.at_source(label)} -> {self.at_target(label)}: {words}"


@pytest.fixture
def pair(
    source_server: TrackingServerProcess, target_server: TrackingServerProcess, unique_name: str
) -> Iterator[Pair]:
    """A right copy."""
    with Source(source_server.uri) as source, Source(target_server.uri) as target:
        write(source, unique_name)
        write(target, unique_name, copy_of=source.seeded)
        yield Pair(unique_name, source, target)


def write(server: Source, name: str, copy_of: Seeded | None = None) -> None:
    """Writes a family of three runs, one of them an orphan; or a right copy of such a family."""

    def marked(label: str, **tags: str) -> dict[str, str]:
        origin = {"mlflow-migrate.origin": copy_of.runs[label]} if copy_of else {}
        return {f"mlflow.{key}": value for key, value in tags.items()} | origin

    experiment_id = server.experiment(name, tags={"team": "growth"})
    parent = server.run("parent", experiment_id, tags=marked("parent"))
    server.params(parent, {"alpha": "0.1"})
    server.metrics(parent, [("score", value, START, 0) for value in (1.0, "NaN", "Infinity")])
    server.artifact(parent, "folder/file.txt", b"content")
    server.inputs(parent, (WINE, {"mlflow.data.context": "training", "fold": "1"}))
    server.tags(parent, {"mlflow.log-model.history": json.dumps([{"run_id": parent, "n": 1}])})
    family = marked("child", parentRunId=parent, rootRunId=parent)
    server.run("child", experiment_id, start=START + 1, tags=family)
    orphan = server.run("orphan", experiment_id, start=START + 2, tags=marked("orphan"))
    kept_in = "mlflow-migrate.source" if copy_of else "mlflow"
    server.tags(orphan, {f"{kept_in}.{key}": NOWHERE for key in ("parentRunId", "rootRunId")})
    server.delete_run(orphan)


def test_a_right_copy_has_no_differences(pair: Pair) -> None:
    assert pair.compare() == []


class TestValues:
    """Each is wrong in one place, and the comparison names that place and no other."""

    def test_param_missing(self, pair: Pair) -> None:
        pair.source.params(pair.at_source("parent"), {"beta": "2"})
        assert pair.compare() == [pair.line("parent", "param beta: is missing, was '2'")]

    def test_param_added(self, pair: Pair) -> None:
        pair.target.params(pair.at_target("parent"), {"beta": ""})
        assert pair.compare() == [pair.line("parent", "param beta: is not at the source: ''")]

    def test_param_changed(self, pair: Pair) -> None:
        pair.source.params(pair.at_source("parent"), {"beta": "2"})
        pair.target.params(pair.at_target("parent"), {"beta": "2 "})
        assert pair.compare() == [pair.line("parent", "param beta: '2' became '2 '")]

    def test_param_cut_at_its_end(self, pair: Pair) -> None:
        pair.source.params(pair.at_source("parent"), {"beta": "b" * 6000})
        pair.target.params(pair.at_target("parent"), {"beta": "b" * 5999})
        (difference,) = pair.compare()
        assert "(6000 characters) became" in difference
        assert "(5999 characters)" in difference

    def test_tag_missing(self, pair: Pair) -> None:
        pair.source.tags(pair.at_source("child"), {"why": "because"})
        assert pair.compare() == [pair.line("child", "tag why: is missing, was 'because'")]

    def test_tag_changed(self, pair: Pair) -> None:
        pair.source.tags(pair.at_source("child"), {"why": "because"})
        pair.target.tags(pair.at_target("child"), {"why": ""})
        assert pair.compare() == [pair.line("child", "tag why: 'because' became ''")]

    def test_tag_added_unless_it_is_bookkeeping(self, pair: Pair) -> None:
        added = {"mlflow-migrate.copied": "1", "mlflow-migrated": "1"}
        pair.target.tags(pair.at_target("child"), added)
        expected = [pair.line("child", "tag mlflow-migrated: is not at the source: '1'")]
        assert pair.compare() == expected

    def test_metric_missing(self, pair: Pair) -> None:
        pair.source.metrics(pair.at_source("child"), [("loss", 0.1, START, 0)])
        assert pair.compare() == [pair.line("child", "metric loss: is missing")]

    def test_metric_added(self, pair: Pair) -> None:
        pair.target.metrics(pair.at_target("child"), [("loss", 0.1, START, 0)])
        assert pair.compare() == [pair.line("child", "metric loss: is not at the source")]

    @pytest.mark.parametrize(
        "point",
        [("score", 1.5, START, 0), ("score", "NaN", START + 1, 0), ("score", 1.0, START, -1)],
        ids=["value", "timestamp", "step"],
    )
    def test_point_missing(self, pair: Pair, point: tuple[str, float | str, int, int]) -> None:
        """Points that share all but one field with another that has arrived."""
        pair.source.metrics(pair.at_source("parent"), [point])
        lost = (repr(float(point[1])), *point[2:])
        words = f"metric score: 4 points became 3; missing (value, timestamp, step) {lost}"
        assert pair.compare() == [pair.line("parent", words)]

    def test_point_added(self, pair: Pair) -> None:
        pair.target.metrics(pair.at_target("parent"), [("score", -1.0, START, 0)])
        added = f"not at the source (value, timestamp, step) ('-1.0', {START}, 0)"
        words = f"metric score: 3 points became 4; {added}"
        assert pair.compare() == [pair.line("parent", words)]

    def test_input_missing(self, pair: Pair) -> None:
        pair.source.inputs(pair.at_source("child"), (WINE, {}))
        (difference,) = pair.compare()
        assert difference.startswith(pair.line("child", "input wine: is missing"))

    def test_input_added(self, pair: Pair) -> None:
        pair.target.inputs(pair.at_target("parent"), (MILK, {}))
        (difference,) = pair.compare()
        assert difference.startswith(pair.line("parent", "input milk: is not at the source"))

    def test_input_with_other_tags(self, pair: Pair) -> None:
        pair.source.inputs(pair.at_source("child"), (WINE, {"mlflow.data.context": "training"}))
        pair.target.inputs(pair.at_target("child"), (WINE, {"mlflow.data.context": "test"}))
        missing, added = pair.compare()
        assert missing.startswith(pair.line("child", "input wine: is missing"))
        assert added.startswith(pair.line("child", "input wine: is not at the source"))


class TestArtifacts:
    def test_file_missing(self, pair: Pair) -> None:
        pair.source.artifact(pair.at_source("parent"), "folder/empty", b"")
        assert pair.compare() == [pair.line("parent", "artifact folder/empty: is missing")]
        assert pair.compare(artifacts=False) == []

    def test_file_added(self, pair: Pair) -> None:
        pair.target.artifact(pair.at_target("orphan"), "a/b/c", b"1")
        assert pair.compare() == [pair.line("orphan", "artifact a/b/c: is not at the source")]

    def test_file_of_other_size(self, pair: Pair) -> None:
        pair.target.artifact(pair.at_target("parent"), "folder/file.txt", b"cont")
        words = "artifact folder/file.txt: 7 bytes became 4"
        assert pair.compare() == [pair.line("parent", words)]

    def test_file_of_other_contents(self, pair: Pair) -> None:
        pair.target.artifact(pair.at_target("parent"), "folder/file.txt", b"CONTENT")
        words = "artifact folder/file.txt: has other contents"
        assert pair.compare() == [pair.line("parent", words)]

    def test_file_that_cannot_be_read(
        self,
        pair: Pair,
        source_server: TrackingServerProcess,
        target_server: TrackingServerProcess,
    ) -> None:
        for server, uri in (
            (source_server, pair.source.seeded.artifact_uris[pair.at_source("parent")]),
            (target_server, pair.target.seeded.artifact_uris[pair.at_target("parent")]),
        ):
            put_behind_the_server(server.directory / "artifacts", uri, "a#b.txt", b"content")
        (difference,) = pair.compare()
        words = "artifact a#b.txt: cannot be read: 400 Client Error"
        assert difference.startswith(pair.line("parent", words))
        loss = (pair.at_source("parent"), "artifact a#b.txt")
        assert pair.compare(expected_losses={loss}) == []


class TestReferences:
    def test_parent_that_is_still_the_source_s(self, pair: Pair) -> None:
        old, new = pair.at_source("parent"), pair.at_target("parent")
        pair.target.tags(pair.at_target("child"), {"mlflow.parentRunId": old})
        expected = [pair.line("child", f"tag mlflow.parentRunId: '{new}' became '{old}'")]
        assert pair.compare() == expected

    def test_parent_that_nobody_has(self, pair: Pair) -> None:
        """The copy of an orphan keeps its parent's id for the record, and refers to nobody."""
        pair.target.restore_run(pair.at_target("orphan"))
        pair.target.tags(pair.at_target("orphan"), {"mlflow.rootRunId": NOWHERE})
        pair.target.delete_run(pair.at_target("orphan"))
        words = f"tag mlflow.rootRunId: is not at the source: '{NOWHERE}'"
        assert pair.compare() == [pair.line("orphan", words)]

    def test_parent_that_is_forgotten(self, pair: Pair) -> None:
        experiment_id = pair.source.seeded.experiments[pair.name]
        tags = {"mlflow.parentRunId": "0" * 32}
        other = pair.source.run("other", experiment_id, tags=tags)
        mark = {"mlflow-migrate.origin": other}
        pair.target.run("other", pair.target.seeded.experiments[pair.name], tags=mark)
        key = "mlflow-migrate.source.parentRunId"
        words = f"tag {key}: is missing, was '{'0' * 32}'"
        assert pair.compare() == [pair.line("other", words)]

    def test_logged_model_of_the_source_s_run(self, pair: Pair) -> None:
        history = json.dumps([{"n": 1, "run_id": pair.at_source("parent")}])
        pair.target.tags(pair.at_target("parent"), {"mlflow.log-model.history": history})
        (difference,) = pair.compare()
        assert difference.startswith(pair.line("parent", "tag mlflow.log-model.history: "))

    def test_logged_model_spelled_otherwise(self, pair: Pair) -> None:
        history = json.dumps([{"n": 1, "run_id": pair.at_target("parent")}], indent=1)
        pair.target.tags(pair.at_target("parent"), {"mlflow.log-model.history": history})
        assert pair.compare() == []


class TestFields:
    def test_status(self, pair: Pair) -> None:
        pair.target.update(pair.at_target("parent"), status="FAILED")
        assert pair.compare() == [pair.line("parent", "status: 'FINISHED' became 'FAILED'")]

    def test_end_time(self, pair: Pair) -> None:
        pair.target.update(pair.at_target("parent"), status="FINISHED", end=START + 1)
        words = f"end_time: {START + 61_000} became {START + 1}"
        assert pair.compare() == [pair.line("parent", words)]

    def test_end_time_that_should_not_be(self, pair: Pair) -> None:
        running: dict[str, Any] = {"status": None, "end": None}
        source, target = self._written_twice(pair, running, {"status": "RUNNING", "end": START})
        assert pair.compare() == [f"run 'twin' {source} -> {target}: end_time: None became {START}"]

    def test_start_time_and_user(self, pair: Pair) -> None:
        source, target = self._written_twice(pair, {}, {"start": 0, "user": "root"})
        assert pair.compare() == [
            f"run 'twin' {source} -> {target}: user_id: 'ada' became 'root'",
            f"run 'twin' {source} -> {target}: start_time: {START} became 0",
        ]

    def test_name(self, pair: Pair) -> None:
        pair.target.update(pair.at_target("child"), status="FINISHED", name="kid")
        assert pair.compare() == [
            pair.line("child", "run_name: 'child' became 'kid'"),
            pair.line("child", "tag mlflow.runName: 'child' became 'kid'"),
        ]

    def test_lifecycle(self, pair: Pair) -> None:
        pair.target.delete_run(pair.at_target("child"))
        words = "lifecycle_stage: 'active' became 'deleted'"
        assert pair.compare() == [pair.line("child", words)]

    def _written_twice(
        self, pair: Pair, at_source: Mapping[str, Any], at_target: Mapping[str, Any]
    ) -> tuple[str, str]:
        experiment_id = pair.source.seeded.experiments[pair.name]
        source = pair.source.run("twin", experiment_id, **at_source)
        experiment_id = pair.target.seeded.experiments[pair.name]
        tags = {"mlflow-migrate.origin": source}
        return source, pair.target.run("twin", experiment_id, tags=tags, **at_target)


class TestExperiments:
    def test_experiment_missing(self, pair: Pair) -> None:
        name = f"{pair.name} not copied"
        pair.source.experiment(name)
        assert pair.compare(experiments=[name]) == [f"experiment {name!r} is not on the target"]

    def test_all_experiments_unless_some_are_chosen(
        self, pair: Pair, fresh_target: TrackingServerProcess
    ) -> None:
        compared = differences(pair.source.seeded.uri, fresh_target.uri)
        assert f"experiment {pair.name!r} is not on the target" in compared

    def test_experiment_that_is_misspelled(self, pair: Pair) -> None:
        expected = ["source has no experiment 'misspelled'"]
        assert pair.compare(experiments=["misspelled"]) == expected

    def test_experiment_renamed(self, pair: Pair) -> None:
        new_name = f"{pair.name} 2024"
        body = {"experiment_id": pair.target.seeded.experiments[pair.name], "new_name": new_name}
        pair.target.post("experiments/update", body)
        assert pair.compare() == [f"experiment {pair.name!r} is not on the target"]
        assert pair.compare(renamed={pair.name: new_name}) == []

    def test_experiment_tag(self, pair: Pair) -> None:
        experiment_id = pair.target.seeded.experiments[pair.name]
        for key, value in (("team", "vision"), ("mlflow-migrate.origin", "x")):
            body = {"experiment_id": experiment_id, "key": key, "value": value}
            pair.target.post("experiments/set-experiment-tag", body)
        expected = f"experiment {pair.name!r}: tag team: 'growth' became 'vision'"
        assert pair.compare() == [expected]

    def test_experiment_deleted(self, pair: Pair) -> None:
        pair.target.delete_experiment(pair.target.seeded.experiments[pair.name])
        words = "lifecycle_stage: 'active' became 'deleted'"
        assert pair.compare() == [
            f"experiment {pair.name!r}: {words}",
            pair.line("parent", words),
            pair.line("child", words),
        ]

    def test_artifact_location_on_request(self, pair: Pair) -> None:
        name = f"{pair.name} located"
        pair.source.experiment(name, location="mlflow-artifacts:/one")
        pair.target.experiment(name, location="mlflow-artifacts:/two")
        assert pair.compare(experiments=[name]) == []
        words = "artifact_location: 'mlflow-artifacts:/one' became 'mlflow-artifacts:/two'"
        compared = pair.compare(experiments=[name], artifact_locations=True)
        assert compared == [f"experiment {name!r}: {words}"]


class TestCopies:
    def test_run_without_a_copy(self, pair: Pair) -> None:
        run_id = pair.source.run("new", pair.source.seeded.experiments[pair.name])
        assert pair.compare() == [f"run 'new' {run_id}: has no copy"]
        assert pair.compare(ignore_runs={run_id}) == []

    def test_deleted_run_without_a_copy(self, pair: Pair) -> None:
        run_id = pair.source.run("new", pair.source.seeded.experiments[pair.name])
        pair.source.delete_run(run_id)
        assert pair.compare() == [f"run 'new' {run_id}: has no copy"]

    def test_run_with_two_copies(self, pair: Pair) -> None:
        tags = {"mlflow-migrate.origin": pair.at_source("parent")}
        elsewhere = pair.target.experiment(f"{pair.name} elsewhere")
        again = pair.target.run("again", elsewhere, tags=tags)
        pair.target.delete_run(again)
        (difference,) = pair.compare()
        assert "copies: 2 copies of it: " in difference
        assert again in difference

    def test_copy_in_another_experiment(self, pair: Pair) -> None:
        name = f"{pair.name} elsewhere"
        run_id = pair.source.run("new", pair.source.seeded.experiments[pair.name])
        tags = {"mlflow-migrate.origin": run_id}
        pair.target.run("new", pair.target.experiment(name), tags=tags)
        words = f"experiment: is in {name!r} instead of {pair.name!r}"
        assert pair.compare() == [pair.line("new", words)]

    def test_run_that_nobody_has(self, pair: Pair) -> None:
        run_id = pair.target.run("stranger", pair.target.seeded.experiments[pair.name])
        (difference,) = pair.compare()
        assert difference.startswith(f"run 'stranger' {run_id} on the target")
        assert difference.endswith("is a copy of no run there (origin not given)")
        assert pair.compare(present_before={run_id}) == []

    def test_copy_of_a_run_that_nobody_has(self, pair: Pair) -> None:
        origin = uuid.uuid4().hex
        tags = {"mlflow-migrate.origin": origin}
        pair.target.run("stranger", pair.target.seeded.experiments[pair.name], tags=tags)
        (difference,) = pair.compare()
        assert difference.endswith(f"is a copy of no run there (origin {origin})")


def test_declared_losses_are_left_out_and_nothing_else(pair: Pair) -> None:
    pair.source.params(pair.at_source("parent"), {"beta": "2", "gamma": "3"})
    compared = pair.compare(expected_losses={(pair.at_source("parent"), "param beta")})
    assert compared == [pair.line("parent", "param gamma: is missing, was '3'")]
    assert len(pair.compare(expected_losses={(pair.at_source("child"), "param beta")})) == 2


def test_a_server_that_does_not_answer_is_not_equal(pair: Pair) -> None:
    with pytest.raises(requests.ConnectionError):
        differences(pair.source.seeded.uri, "http://127.0.0.1:1")


def test_a_server_is_read_with_headers(pair: Pair) -> None:
    """Workspaces are chosen by a header, and this server has none."""
    with (
        Server(pair.source.seeded.uri, {"X-MLFLOW-WORKSPACE": "team-a"}) as source,
        pytest.raises(requests.HTTPError),
    ):
        differences(source, pair.target.seeded.uri)
