"""The migration of a registry killed again and again, each time at another random moment."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import RegistryMigrationOf
from tests.crash.model_samples import GAPS, LAST, seed_registry
from tests.crash.registries import RegistryMigration
from tests.crash.test_kill_anywhere import kill_later
from tests.faults import ANY, Match, cut_upload, drop_request, lose_response
from tests.seed_models import ModelSource

#: Kills of one migration: a few every day.
KILLS = (pytest.param(6, id="few"), pytest.param(20, id="many", marks=pytest.mark.thorough))

WRITE: Match = ("*", r"/(create|delete|alias|transition-stage|outputs|log-inputs|log-batch|tags)$")
VERSION: Match = ("*", r"/(model-versions/(create|delete|transition-stage)|alias)$")
UPLOAD: Match = ("PUT", "/mlflow-artifacts/")


@pytest.fixture(scope="module")
def work(fresh_source: TrackingServerProcess) -> Iterator[ModelSource]:
    with ModelSource(fresh_source.uri) as source:
        seed_registry(source)
        yield source


@pytest.mark.thorough
@pytest.mark.parametrize("kills", KILLS)
def test_a_registry_killed_at_random_moments_has_every_version_once_and_in_order(
    work: ModelSource, registry_migration_of: RegistryMigrationOf, kills: int
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    print(f"KILL_SEED={seed}")
    draw = random.Random(seed)
    migration = registry_migration_of(work)
    assert migration.plan().code == 0
    moments: list[str] = []
    while migration.kills < kills:
        moments.append(arrange_kill(migration, draw, only_versions=len(moments) % 2 == 1))
        migration.start_resume()
        if moments[-1].startswith("after "):
            kill_later(migration, draw)
        assert migration.await_kill(), f"all was done before kill {len(moments)}: {moments}"
    print(*moments, sep="\n")
    migration.complete(migration.resume())
    assert migration.numbers("churn") == [n for n in range(1, LAST + 1) if n not in GAPS]
    assert migration.numbers("greeting", prompts=True) == [2, 5]
    migration.target.clear()
    migration.complete(migration.run())
    assert migration.target.writes() == []


def arrange_kill(migration: RegistryMigration, draw: random.Random, *, only_versions: bool) -> str:
    """Chooses a moment, early enough that twenty of them do not reach the end."""
    kill = migration.kill
    kind = draw.choice(["write", "write", "any", "upload", "time"])
    if only_versions and kind == "write":
        kind = "version"
    if kind == "upload" and migration.kills < 2:
        nth, size = draw.randint(1, 2), draw.randint(1, 5)
        migration.kill_at(UPLOAD, nth, cut_upload(size, kill))
        return f"in upload {nth}, at byte {size}"
    if kind == "time":
        return "after some time"
    match, nth = {
        "write": (WRITE, draw.randint(1, 5)),
        "version": (VERSION, draw.randint(1, 3)),
    }.get(kind, (ANY, draw.randint(1, 16)))
    acted = draw.random() < 0.5
    migration.kill_at(match, nth, lose_response(kill) if acted else drop_request(kill))
    return f"at {kind} {nth}, {'before its answer' if acted else 'before it arrived'}"
