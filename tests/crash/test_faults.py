"""Servers that fail, lie, restart and change while they are copied from and to."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import time
from collections.abc import Iterator

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Ended, Migration, paths
from tests.crash.samples import add_run, seed_work
from tests.faults import (
    ANY,
    Faults,
    Rule,
    always,
    answer,
    call_after,
    call_before,
    change_request,
    drop_request,
    every_nth,
    given_up,
    lose_response,
    on_nth,
    random_share,
    replace_response,
    truncate,
    used_up,
)
from tests.seed import START, Source

CREATE = ("POST", "/(experiments|runs)/create$")
CREATE_RUN = ("POST", "/runs/create$")
LOG_BATCH = ("POST", "/runs/log-batch$")

REFUSALS = [answer(500), answer(503), answer(429, 0), answer(429, 1), used_up()]
#: The server does it, and the client hears otherwise.
LIES = [replace_response(500), replace_response(503), replace_response(429, 0), lose_response()]
CUTS = [truncate(0), truncate(1), truncate(700), truncate(100_000)]

#: Commands after which a migration has to be whole, whatever its servers do to a tenth of all.
PATIENCE = 4


@pytest.fixture(scope="module")
def work(source_server: TrackingServerProcess, prefix: str) -> Iterator[Source]:
    """Read only: tests that change their source make their own."""
    with Source(source_server.uri, prefix=prefix) as source:
        seed_work(source, families=3)
        yield source


@pytest.fixture
def own_work(source_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        seed_work(source, families=1)
        yield source


def drawn() -> int:
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(10**6))
    print(f"FAULT_SEED={seed}")
    return seed


def carry_through(migration: Migration) -> Ended:
    """Runs, and resumes as long as it does not end well; the last end counts."""
    ended = migration.run()
    codes = [ended.code]
    while ended.code != 0 and len(codes) < PATIENCE:
        # Where it did not get as far as a plan, or could not ask for all, it is planned again.
        planned = ended.code == 3 and "asked again" not in ended.stdout
        ended = migration.resume() if planned else migration.run()
        codes.append(ended.code)
    broken = sum(e.status != e.server_status for e in migration.target.requests)
    broken += sum(e.status != e.server_status for e in migration.source.requests)
    print(f"exit codes {codes}, {broken} answers broken")
    return ended


def test_a_target_that_answers_nothing_to_every_tenth_create_gets_each_object_once(
    work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(work)
    migration.target.faults = Faults(
        every_nth(CREATE, 10, lose_response()), every_nth(CREATE, 7, drop_request())
    )
    migration.complete(migration.run())
    assert len(migration.target.matching(CREATE)) > len(paths(migration.target, CREATE[1])) >= 24


@pytest.mark.thorough
def test_what_a_gateway_gives_up_and_the_server_does_later_is_there_once(
    work: Source, migration_of: MigrationOf
) -> None:
    """It is looked for after as long as the gateway waited, which is longer than before a retry."""
    migration = migration_of(work)
    gateway = given_up(after=4.0, late=3.0)
    migration.target.faults = Faults(every_nth(CREATE, 9, gateway))
    migration.complete(migration.run())
    assert [it.status for it in migration.target.matching(CREATE)].count(504) >= 2


def test_what_is_made_after_it_was_looked_for_is_told_as_a_second_copy(
    source_server: TrackingServerProcess, migration_of: MigrationOf, unique_name: str
) -> None:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        add_run(source, "one", source.experiment("alone"))
        migration = migration_of(source)
    bodies: list[bytes] = []

    def heard(body: bytes) -> bytes:
        bodies.append(body)
        return body

    def made_late() -> None:
        """The server ends what was sent first, once it has made what was sent again."""
        url = f"{migration.target.upstream.geturl()}/api/2.0/mlflow/runs/create"
        requests.post(url, json=json.loads(bodies[0]), timeout=30).raise_for_status()

    again = dataclasses.replace(change_request(heard), after=made_late)
    migration.target.faults = Faults(
        on_nth(CREATE_RUN, 1, answer(504)), on_nth(CREATE_RUN, 2, again)
    )
    ended = migration.run()
    assert ended.code == 3, ended
    told = " ".join(ended.stdout.split())
    assert "exactly one copy - the target holds 2 copies of this run" in told


@pytest.mark.thorough
def test_servers_whose_databases_have_no_connection_left_now_and_then_lose_nothing(
    work: Source, migration_of: MigrationOf
) -> None:
    """They refuse with 400 then, as they refuse what they do not take."""
    migration = migration_of(work)
    for proxy in (migration.source, migration.target):
        proxy.faults = Faults(every_nth(ANY, 9, used_up()))
    migration.complete(migration.run())
    assert len([it for it in migration.target.requests if it.status == 400]) >= 10


@pytest.mark.thorough
def test_a_target_that_fails_at_a_tenth_of_all_requests_gets_each_object_once(
    work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(work)
    migration.target.faults = Faults(random_share(drawn(), 0.1, REFUSALS + LIES))
    migration.complete(carry_through(migration))


@pytest.mark.thorough
def test_a_source_that_fails_at_a_tenth_of_all_reads_is_copied_whole(
    work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(work)
    seed = drawn()
    migration.source.faults = Faults(
        random_share(seed, 0.1, REFUSALS), random_share(seed + 1, 0.1, CUTS)
    )
    migration.complete(carry_through(migration))


@pytest.mark.thorough
def test_both_ends_failing_and_the_process_killed_it_is_copied_whole(
    work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(work)
    seed = drawn()
    migration.source.faults = Faults(random_share(seed, 0.1, REFUSALS + CUTS))
    for nth in (4, 9):
        migration.target.faults = Faults(
            on_nth(CREATE_RUN, nth, lose_response(migration.kill)),
            random_share(seed + nth, 0.1, REFUSALS + LIES),
        )
        migration.start_run()
        assert migration.await_kill(heal=False)
    migration.target.faults = Faults(random_share(seed + 2, 0.1, REFUSALS + LIES))
    migration.complete(carry_through(migration))


@pytest.mark.thorough
def test_a_target_that_is_killed_and_started_again_gets_each_object_once(
    work: Source, migration_of: MigrationOf, fresh_target: TrackingServerProcess
) -> None:
    migration = migration_of(work)

    def power_cut() -> None:
        fresh_target.kill()
        fresh_target.start()

    migration.target.faults = Faults(on_nth(LOG_BATCH, 5, call_before(power_cut)))
    migration.complete(carry_through(migration))
    assert any(e.server_status is None for e in migration.target.requests), "it was never away"


@pytest.mark.thorough
def test_what_changes_at_the_source_meanwhile_arrives_with_the_next_run_at_the_latest(
    own_work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(own_work)
    runs, experiments = own_work.seeded.runs, own_work.seeded.experiments

    def change() -> None:
        """Of runs that are copied by now, and of runs that are not."""
        later = add_run(own_work, "later", experiments["training"], files=1)
        born = {"mlflow.parentRunId": later}
        add_run(own_work, "child-of-later", experiments["evaluation"], tags=born)
        own_work.delete_run(runs["evaluation-0-0"])
        own_work.delete_run(runs["parent-0"])
        for label in ("child-0-0", "evaluation-0-1"):
            own_work.metrics(runs[label], [("loss", 0.1, START + 500, 50), ("new", 1.0, START, 0)])
            own_work.tags(runs[label], {"stage": "production"})
        own_work.artifact(runs["child-0-1"], "added.txt", b"since")
        own_work.update(runs["large"], status="FAILED", end=START + 70_000, name="too large")
        own_work.post(
            "experiments/set-experiment-tag",
            {"experiment_id": experiments["training"], "key": "team", "value": "research"},
        )

    migration.target.faults = Faults(on_nth(CREATE_RUN, 4, call_after(change)))
    assert migration.run().code == 0
    migration.complete(migration.run())


@pytest.mark.thorough
def test_an_experiment_deleted_at_the_source_meanwhile_is_deleted_by_the_next_run(
    own_work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(own_work)
    training = own_work.seeded.experiments["training"]
    delete = call_after(lambda: own_work.delete_experiment(training))
    migration.target.faults = Faults(on_nth(CREATE_RUN, 4, delete))
    assert migration.run().code == 0
    migration.complete(migration.run())


@pytest.mark.thorough
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"longer than before" * 500, id="longer"),
        pytest.param(b"short", id="shorter", marks=pytest.mark.thorough),
    ],
)
def test_a_file_replaced_while_it_is_copied_is_listed_and_copied_again(
    own_work: Source, migration_of: MigrationOf, content: bytes
) -> None:
    migration = migration_of(own_work)
    runs = own_work.seeded.runs

    def replaced(label: str, path: str, times: int) -> Rule:
        """Puts another file in place of one when it is asked for."""
        replace = call_before(lambda: own_work.artifact(runs[label], path, content * times))
        return on_nth(("GET", f"/artifacts/.*{path}$"), 1, replace)

    migration.source.faults = Faults(
        replaced("parent-0", "plots/parent-0-0.txt", 1),
        replaced("large", "model/weights.bin", 400),
    )
    started = time.monotonic()
    migration.complete(migration.run())
    print(f"{time.monotonic() - started:.0f} s")


@pytest.mark.thorough
def test_a_file_that_is_gone_is_lost_by_name_and_forgotten_by_the_next_run(
    own_work: Source, migration_of: MigrationOf, source_server: TrackingServerProcess
) -> None:
    migration = migration_of(own_work)
    uri = own_work.seeded.artifact_uris[own_work.seeded.runs["parent-0"]]
    folder = uri.removeprefix("mlflow-artifacts:/")
    file = f"/api/2.0/mlflow-artifacts/artifacts/{folder}/plots/parent-0-0.txt"

    def remove() -> None:
        requests.delete(source_server.uri + file, timeout=60).raise_for_status()

    migration.source.faults = Faults(on_nth(("GET", "parent-0-0.txt$"), 1, call_before(remove)))
    ended = migration.run()
    assert ended.code == 3
    assert "parent-0-0.txt" in ended.stdout
    migration.complete(migration.run())


@pytest.mark.thorough
@pytest.mark.parametrize(
    "label", ["parent-0", pytest.param("deleted-with-it", marks=pytest.mark.thorough)]
)
def test_a_file_the_source_cannot_send_is_told_by_every_run_until_it_can(
    own_work: Source, migration_of: MigrationOf, label: str
) -> None:
    migration = migration_of(own_work)
    file = f"{label}-0.txt"
    migration.source.faults = Faults(always(("GET", f"{file}$"), answer(404)))
    for options in ((), (), ("--quick",)):
        ended = migration.run(*options)
        assert ended.code == 3
        assert file in ended.stdout
        if not options:
            migration.target.clear()
    assert not migration.target.writes()
    migration.heal()
    if label == "parent-0":
        migration.complete(migration.run())


def test_no_answer_at_all_ends_with_a_message_that_names_the_end(
    work: Source, migration_of: MigrationOf
) -> None:
    migration = migration_of(work)
    migration.target.faults = Faults(every_nth(ANY, 1, drop_request()))
    ended = migration.run()
    assert ended.code == 1
    assert "target" in ended.stderr
    assert "Traceback" not in ended.stderr
