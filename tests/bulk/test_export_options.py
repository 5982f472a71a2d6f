"""Every option that says what of a server is exported."""

from __future__ import annotations

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.bulk.worlds import COMMA, GIVEN_UP, IRIS, MINE, MNIST, RUNS, VERSIONS
from tests.seed_models import ModelSource

OF_IRIS = {IRIS: RUNS[IRIS]}
OF_COMMA = {COMMA: RUNS[COMMA]}
NEW_YORK = {"TZ": "America/New_York"}


@pytest.mark.parametrize(
    ("named", "runs"),
    [
        ("'weekly, daily'", OF_COMMA),
        ("'weekly, daily' --experiments '/Users/me@my.com/s*'", OF_COMMA | OF_IRIS),
        ("'/Users/me@mycompany*,/Users/me@my.com/k*'", {n: RUNS[n] for n in (MINE, MNIST)}),
        ("some.txt", OF_COMMA | OF_IRIS),
        ("'Default, all'", RUNS),
    ],
    ids=["name with a comma", "twice", "prefixes in a list", "file", "all in a list"],
)
def test_experiments_are_named_in_every_way(
    bulk: Bulk, world: ModelSource, named: str, runs: dict[str, set[str]]
) -> None:
    # Windows' byte order mark and line ends, blanks around, and an empty line.
    bulk.write("some.txt", f"\ufeff{COMMA}\r\n\r\n  {world.seeded.experiments['iris']} \r\n")
    bulk(f"export-experiments --experiments {named} --output-dir=out", world.seeded.uri)
    assert bulk.exported().runs == runs


def test_models_are_all_without_and_with_all(bulk: Bulk, world: ModelSource) -> None:
    bulk("export-models --output-dir out --models all", world.seeded.uri)
    assert bulk.exported().versions == VERSIONS


def test_export_all_runs_takes_the_other_runs_of_these_experiments(
    bulk: Bulk, world: ModelSource
) -> None:
    line = "export-models --models keras_mnist --output-dir"
    bulk(f"{line} out --export-all-runs True", world.seeded.uri)
    # A version is made of a version of the model whose run is in the other experiment.
    assert bulk.exported().runs[MNIST] == RUNS[MNIST]
    bulk(f"{line} less --export-all-runs False", world.seeded.uri)
    assert bulk.exported("less").runs[MNIST] == {"mnist-parent", "mnist-child"}
    assert MINE not in bulk.exported().runs


@pytest.mark.parametrize(
    ("options", "versions", "runs"),
    [
        ("--stages production", [2, 3], set[str]()),
        ("--stages Archived", [1], {"iris-1"}),
        ("--stages 'None,ARCHIVED'", [1], {"iris-1"}),
        ("--export-latest-versions", [1, 3], {"iris-1"}),
        ("--export-latest-versions --stages Production", [3], set[str]()),
    ],
)
def test_versions_are_chosen_by_stage_and_age(
    bulk: Bulk, world: ModelSource, options: str, versions: list[int], runs: set[str]
) -> None:
    line = "export-models --models sklearn-wine --output-dir out"
    bulk(f"{line} {options}", world.seeded.uri)
    assert bulk.exported().versions == {"sklearn-wine": versions}
    assert bulk.exported().run_names == runs


def test_export_all_with_chosen_versions_has_all_runs_and_prompts(
    bulk: Bulk, world: ModelSource
) -> None:
    line = "export-all --output-dir out --stages Production --export-latest-versions=yes"
    bulk(line, world.seeded.uri)
    out = bulk.exported()
    assert out.versions == {name: [] for name in VERSIONS} | {"sklearn-wine": [3]}
    assert out.runs == RUNS
    assert out.prompts == {"greeting": [1, 2]}


@pytest.mark.parametrize(
    ("options", "iris"),
    [
        ("--run-start-time 2021-03-05", {"iris-2"}),
        ("--run-start-time 2021-03-04T23:59:59.999Z", {"iris-1", "iris-2"}),
        ("--runs-until 2021-03-05", {"iris-1"}),
        ("--runs-until '2021-03-05 00:00:00.001'", {"iris-1", "iris-2"}),
        ("--run-start-time 2021-03-04T23:59:59.999 --runs-until 2021-03-05", {"iris-1"}),
    ],
)
def test_times_are_utc_from_the_first_to_before_the_second(
    bulk: Bulk, world: ModelSource, options: str, iris: set[str]
) -> None:
    line = "export-experiments --experiments /Users/me@my.com/sklearn_iris --output-dir out"
    bulk(f"{line} {options}", world.seeded.uri, env=NEW_YORK)
    assert bulk.exported().runs == {IRIS: iris}


def test_times_bound_all_three_exports(bulk: Bulk, world: ModelSource) -> None:
    for name, line in (("all", "export-all"), ("models", "export-models --models sklearn*")):
        late = bulk(
            f"{line} --output-dir {name} --run-start-time 2021-03-05", world.seeded.uri
        ).stdout
        assert bulk.exported(name).run_names == {"iris-2"}
        # Versions come along without their runs.
        assert bulk.exported(name).versions["sklearn-wine"] == [1, 2, 3]
        assert "Done: " in late


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("export-all", marks=pytest.mark.thorough),
        "export-experiments --experiments all",
    ],
)
def test_deleted_runs_are_exported_on_demand_and_imported_as_deleted(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess, command: str
) -> None:
    bulk(f"{command} --output-dir out --export-deleted-runs true", world.seeded.uri)
    out = bulk.exported()
    iris = {*RUNS[IRIS], "iris-deleted"}
    assert out.runs == {**RUNS, IRIS: iris, GIVEN_UP: {"given-up-1"}}
    assert out.deleted == {"iris-deleted", GIVEN_UP, "given-up-1"}

    bulk("import-all --input-dir out", fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    assert arrived.runs == out.runs
    assert arrived.deleted == out.deleted
    assert arrived.differences(world, deleted=True, models=command == "export-all") == []


def test_versions_of_deleted_runs_are_exported_with_them_on_demand(
    bulk: Bulk, world: ModelSource
) -> None:
    seeded = world.seeded
    deleted = seeded.runs["iris-deleted"]
    name = world.registered("of a deleted run")
    world.version(name, f"runs:/{deleted}/model", run_id=deleted)
    line = "export-models --models 'of a deleted run' --output-dir"
    bulk(f"{line} less", seeded.uri)
    assert bulk.exported("less").run_names == set()
    bulk(f"{line} out --export-deleted-runs", seeded.uri)
    assert bulk.exported().run_names == {"iris-deleted"}
    assert bulk.exported("less").versions == bulk.exported().versions
    world.send("DELETE", "registered-models/delete", {"name": name})
