"""A migration killed again and again, each time at another random moment."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Migration
from tests.crash.samples import seed_work
from tests.faults import ANY, cut_upload, drop_request, lose_response
from tests.seed import Source

#: Kills of one migration: a few every day.
KILLS = (pytest.param(6, id="few"), pytest.param(20, id="many", marks=pytest.mark.thorough))
FAMILIES = 8

WRITE = ("POST", r"/(create|log-batch|update|delete|restore|set-experiment-tag)$")
UPLOAD = ("PUT", "/mlflow-artifacts/")


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=FAMILIES)
        yield source


@pytest.mark.parametrize("kills", KILLS)
def test_killed_at_random_moments_and_resumed_it_loses_and_doubles_nothing(
    work: Source, migration_of: MigrationOf, kills: int
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    print(f"KILL_SEED={seed}")
    draw = random.Random(seed)
    migration = migration_of(work)
    assert migration.plan().code == 0
    started = time.monotonic()
    moments = []
    for _ in range(kills):
        moments.append(arrange_kill(migration, draw))
        migration.start_resume()
        if moments[-1].startswith("after "):
            kill_later(migration, draw)
        assert migration.await_kill(), f"all was done before kill {len(moments)}: {moments}"
    migration.complete(migration.resume())
    seconds = time.monotonic() - started
    print(f"{migration.kills} kills in {seconds:.0f} s, {len(migration.target.requests)} requests")
    print(*moments, sep="\n")


def arrange_kill(migration: Migration, draw: random.Random) -> str:
    """Chooses a moment, early enough that twenty of them do not reach the end."""
    kill = migration.kill
    kind = draw.choice(["write", "write", "any", "any", "upload", "time"])
    if kind == "upload":
        nth, size = draw.randint(1, 4), draw.randint(1, 400)
        migration.kill_at(UPLOAD, nth, cut_upload(size, kill))
        return f"in upload {nth}, at byte {size}"
    if kind == "time":
        return "after some time"
    match, nth = (WRITE, draw.randint(1, 9)) if kind == "write" else (ANY, draw.randint(1, 16))
    acted = draw.random() < 0.5
    fault = lose_response(kill) if acted else drop_request(kill)
    migration.kill_at(match, nth, fault)
    return f"at {kind} {nth}, {'before its answer' if acted else 'before it arrived'}"


def kill_later(migration: Migration, draw: random.Random) -> None:
    """Kills up to half a second after the first request."""
    before = len(migration.target.requests)
    while len(migration.target.requests) == before:
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.5))
    migration.kill()
