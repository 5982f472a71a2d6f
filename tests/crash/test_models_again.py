"""Migrating a registry again: nothing is written that is there, and exactly what is new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import ORIGIN
from tests.comparison_models import ModelServer
from tests.crash.conftest import RegistryMigrationOf
from tests.crash.migrations import paths
from tests.crash.model_samples import GAPS, LAST, add_prompt_version, seed_registry
from tests.crash.registries import CREATE_LOGGED, CREATE_VERSION, RegistryMigration
from tests.faults import Match, lose_response
from tests.seed_models import ModelSource


@pytest.fixture(scope="module")
def work(fresh_source: TrackingServerProcess) -> Iterator[ModelSource]:
    with ModelSource(fresh_source.uri) as source:
        seed_registry(source)
        yield source


@pytest.fixture
def migration(work: ModelSource, registry_migration_of: RegistryMigrationOf) -> RegistryMigration:
    return registry_migration_of(work)


def writes(migration: RegistryMigration) -> list[str]:
    """What was written to the target, as method and the end of the path."""
    found = migration.target.writes()
    return sorted(f"{one.method} {one.path.partition('/mlflow/')[2] or one.path}" for one in found)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("match", "nth"),
    [
        (CREATE_VERSION, 14),
        pytest.param(CREATE_VERSION, 20, marks=pytest.mark.thorough),
        pytest.param(CREATE_LOGGED, 3, marks=pytest.mark.thorough),
    ],
)
def test_a_state_lost_half_way_doubles_no_version(
    migration: RegistryMigration, match: Match, nth: int
) -> None:
    migration.kill_at(match, nth, lose_response(migration.kill))
    migration.start_run()
    assert migration.await_kill()
    migration.forget()
    migration.complete(migration.run())
    assert len(paths(migration.target, CREATE_LOGGED[1])) == 5


@pytest.mark.thorough
def test_versions_of_the_target_stay_and_new_ones_are_added(
    migration: RegistryMigration, work: ModelSource
) -> None:
    with ModelSource(migration.target.upstream.geturl()) as target:
        target.registered("churn", description="its own", tags={"team": "theirs"})
        for number in (1, 2, 3):
            target.version("churn", f"s3://theirs/{number}")
        target.delete_version("churn", 2)
        target.alias("churn", "champion", 1)
    told = "version 1 is expected to become version 4"
    planned = migration.plan()
    assert planned.code == 0
    assert "its versions stay, new ones are added" in planned.stdout
    assert told in planned.stdout, planned.stdout
    ended = migration.run()
    # What the target has of its own is as it was, and so not as at the source.
    assert ended.code == 3
    assert "was on the target already, and keeps its own" in ended.stdout
    assert "version 1 became version 4" in ended.stdout, ended.stdout

    versions = copied_numbers(migration)
    originals = [n for n in range(1, LAST + 1) if n not in GAPS]
    assert list(versions) == originals
    assert list(versions.values()) == sorted(set(versions.values()))
    assert migration.numbers("churn") == [1, 3, *versions.values()]
    with ModelServer(migration.target.upstream.geturl()) as server:
        theirs, named = server.version("churn", 1), server.version("small", 2)
    assert theirs is not None
    assert theirs["source"] == "s3://theirs/1"
    assert named is not None
    assert named["source"] == f"models:/churn/{versions[3]}"

    migration.target.clear()
    assert migration.run().code == 3
    assert writes(migration) == []


def copied_numbers(migration: RegistryMigration) -> dict[int, int]:
    """The numbers of the copies of the versions of "churn", by those of their originals."""
    found = {}
    with ModelServer(migration.target.upstream.geturl()) as server:
        for row in server.versions(prompts=False):
            tags = {tag["key"]: tag["value"] for tag in row.get("tags", [])}
            if row["name"] == "churn" and ORIGIN in tags:
                original = tags[ORIGIN].partition("@")[0].rpartition("/")[2]
                found[int(original)] = int(row["version"])
    return dict(sorted(found.items()))


@pytest.mark.thorough
def test_nothing_is_written_again_and_then_exactly_what_is_new(
    migration: RegistryMigration, work: ModelSource
) -> None:
    """The last test of this module: it changes the source."""
    migration.complete(migration.run())
    migration.target.clear()
    assert migration.resume().code == 0
    assert migration.run().code == 0
    assert migration.run("--quick").code == 0
    migration.forget()
    migration.complete(migration.run())
    assert writes(migration) == []

    change_the_source(work)
    migration.complete(migration.run())
    found = [path for path in writes(migration) if "mlflow-artifacts" not in path]
    copy, used = (model_copy(migration, work.seeded.models[label]) for label in ("new", "of third"))
    assert found == sorted(
        [
            "POST registered-models/alias",
            "POST model-versions/transition-stage",
            "POST model-versions/set-tag",
            "POST model-versions/create",
            "POST model-versions/create",
            "POST logged-models",
            "POST runs/outputs",
            f"PATCH logged-models/{copy}",
            f"PATCH logged-models/{copy}/tags",
            "POST runs/log-inputs",
            f"PATCH logged-models/{used}/tags",
            # Who writes there is said, and taken back.
            "POST experiments/set-experiment-tag",
            "POST experiments/delete-experiment-tag",
        ]
    )
    uploads = [path.rpartition("/")[2] for path in writes(migration) if "artifacts" in path]
    assert uploads == ["weights.bin"]
    migration.target.clear()
    migration.complete(migration.run())
    assert writes(migration) == []


def change_the_source(work: ModelSource) -> None:
    """One change of each kind."""
    runs, models = work.seeded.runs, work.seeded.models
    work.alias("churn", "champion", 2)
    work.stage("churn", 9, "Staging")
    work.version_tag("churn", 8, "reviewed", "yes")
    work.version("churn", "s3://bucket/new")
    add_prompt_version(work, "greeting", "Good morning {{ name }}")
    new = work.logged_model("new", work.seeded.experiments["training"], run_id=runs["first"])
    work.artifact(new, "weights.bin", b"new")
    work.outputs(runs["first"], (new, 1))
    work.model_inputs(runs["evaluation"], models["of third"])


def model_copy(migration: RegistryMigration, model_id: str) -> str:
    """The id of the copy of a logged model that is not deleted."""
    with ModelServer(migration.target.upstream.geturl()) as server:
        experiments = [row["experiment_id"] for row in server.experiments().values()]
        (found,) = (
            model["info"]["model_id"]
            for model in server.logged_models(experiments)
            if {"key": ORIGIN, "value": model_id} in model["info"]["tags"]
        )
    return str(found)
