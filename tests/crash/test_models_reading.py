"""What reading one registered model costs: it does not grow with the others."""

from __future__ import annotations

from collections import Counter

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import RegistryMigrationOf
from tests.crash.registries import RegistryMigration
from tests.seed_models import ModelSource

FEW, MANY = 5, 50


def add_models(source: ModelSource, numbers: range) -> None:
    """Registered models, each with a version of a run of its own."""
    experiment = source.seeded.experiments.get("all") or source.experiment("all")
    for number in numbers:
        run_id = source.run(f"run {number}", experiment, status=None)
        name = source.registered(f"model-{number}")
        source.version(name, f"runs:/{run_id}/model", run_id=run_id)


def requests_of_plan(migration: RegistryMigration) -> Counter[tuple[str, str]]:
    migration.source.clear()
    ends = (migration.source.uri, migration.target.uri)
    process = migration.start("plan", *ends, "--models", "model-1")
    assert process.wait(120) == 0, process.stderr_file.read_text()
    return Counter((one.method, one.path) for one in migration.source.requests)


@pytest.mark.thorough
def test_planning_one_model_costs_the_same_beside_five_and_beside_fifty(
    fresh_source: TrackingServerProcess, registry_migration_of: RegistryMigrationOf
) -> None:
    with ModelSource(fresh_source.uri) as source:
        migration = registry_migration_of(source)
        add_models(source, range(FEW))
        beside_few = requests_of_plan(migration)
        add_models(source, range(FEW, MANY))
        beside_many = requests_of_plan(migration)
    assert beside_few.total() > 0
    assert beside_many == beside_few
