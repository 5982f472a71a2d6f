"""A name that the target has already, alive or in its trash."""

from __future__ import annotations

import json

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, Seeded
from tests.seed import Source


class Target:
    """What the target had before: an experiment of the same name, with a run of its own."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        with Source(uri) as server:
            self.experiment = server.experiment(name, tags={"team": "growth", "own": "x"})
            self.run = server.run("own run", self.experiment)
            self.deleted_run = server.run("deleted run", self.experiment)
            server.delete_run(self.deleted_run)

    def trash(self) -> None:
        with Source(self.uri) as server:
            server.delete_experiment(self.experiment)

    def experiments(self) -> dict[str, dict[str, str]]:
        """Id and stage of this name and those made from it."""
        body = {"max_results": 5000, "view_type": "ALL"}
        with Source(self.uri) as server:
            found = server.post("experiments/search", body)["experiments"]
        return {
            item["name"]: {"id": item["experiment_id"], "stage": item["lifecycle_stage"]}
            for item in found
            if item["name"].startswith(self.name)
        }

    def runs(self, experiment: str) -> dict[str, str]:
        """Name -> lifecycle stage of all runs in an experiment."""
        body = {"experiment_ids": [experiment], "run_view_type": "ALL"}
        with Source(self.uri) as server:
            found = server.post("runs/search", body).get("runs", [])
        return {run["info"]["run_name"]: run["info"]["lifecycle_stage"] for run in found}


@pytest.fixture
def target(target_server: TrackingServerProcess, seeded: Seeded) -> Target:
    return Target(target_server.uri, seeded.name)


@pytest.fixture
def args(source_server: TrackingServerProcess, target: Target) -> list[str]:
    return ["run", source_server.uri, target.uri, "--experiments", target.name]


@pytest.mark.parametrize("choice", ["fail", "restore", "rename"])
def test_runs_are_added_to_a_live_one_whatever_the_choice(
    migrate: Migrate, target: Target, args: list[str], choice: str
) -> None:
    report = migrate(*args, "--if-trashed", choice, code=3).stdout
    assert "tag team" in report
    assert "was on the target already, and keeps its own" in report
    assert target.experiments() == {target.name: {"id": target.experiment, "stage": "active"}}
    stages = {"own run": "active", "deleted run": "deleted", "parent": "active", "child": "active"}
    assert target.runs(target.experiment) == stages


@pytest.mark.thorough
def test_that_a_name_is_taken_is_told_before_and_nothing_is_written_twice(
    migrate: Migrate, target: Target, args: list[str]
) -> None:
    plan = migrate("plan", *args[1:]).stdout
    assert f"experiment '{target.name}' is on the target already" in plan
    migrate("run", *args[1:3], code=3)
    assert "Wrote nothing" in migrate(*args, code=3).stdout


def test_one_in_the_trash_is_for_the_user_to_decide(
    migrate: Migrate, target: Target, args: list[str]
) -> None:
    target.trash()
    migrate.fails(
        *args,
        code=2,
        says=f"1 experiment(s) of the source are in the target's trash: '{target.name}'",
        hints="--if-trashed restore",
    )
    assert target.experiments() == {target.name: {"id": target.experiment, "stage": "deleted"}}


def test_restore_takes_it_out_with_its_runs_and_adds_to_it(
    migrate: Migrate, target: Target, args: list[str]
) -> None:
    target.trash()
    migrate(*args, "--if-trashed", "restore", code=3)
    assert target.experiments() == {target.name: {"id": target.experiment, "stage": "active"}}
    # MLflow takes out all runs, also those that were deleted one by one.
    assert set(target.runs(target.experiment)) == {"own run", "deleted run", "parent", "child"}
    assert "Wrote nothing" in migrate(*args, code=3).stdout


def test_rename_leaves_it_there_and_finds_its_own_copy_again(
    migrate: Migrate, target: Target, args: list[str]
) -> None:
    target.trash()
    migrate(*args, "--if-trashed", "rename")
    found = target.experiments()
    assert found[target.name] == {"id": target.experiment, "stage": "deleted"}
    copy = found[f"{target.name} (migrated)"]
    assert copy["stage"] == "active"
    assert set(target.runs(copy["id"])) == {"parent", "child"}
    # Once there is a copy, there is nothing left to decide.
    again = json.loads(migrate(*args, "--json").stdout)
    assert [kind["wrote"] for kind in again["totals"].values()] == [0, 0]
    assert target.experiments() == found


def test_one_that_is_deleted_at_the_source_does_not_take_a_live_one_with_it(
    migrate: Migrate, target: Target, args: list[str], seeded: Seeded
) -> None:
    with Source(args[1]) as source:
        source.delete_experiment(seeded.experiment)
    report = migrate(*args, "--include-deleted", code=3).stdout
    assert "stays active" in report
    assert target.experiments() == {target.name: {"id": target.experiment, "stage": "active"}}
    assert target.runs(target.experiment)["own run"] == "active"
    assert target.runs(target.experiment)["parent"] == "deleted"
