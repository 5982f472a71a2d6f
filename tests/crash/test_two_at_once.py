"""Two migrations with a state database each, at the same time to the same place."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from migrate import claims
from migrate.claims import Claiming
from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.errors import TargetInUse
from migrate.kinds import Action, Kind, Ref
from migrate.objects import Experiment
from migrate.plans import Plan, PlannedTask, Side
from tests.comparison import Server, differences
from tests.conftest import ProxyFactory, RunMigrate
from tests.crash.conftest import MigrationOf
from tests.crash.migrations import Migration
from tests.crash.samples import add_run, seed_work
from tests.faults import Faults, Match, always, answer, call_before, on_nth
from tests.seed import Source
from tests.seed_models import ModelSource

WRITING = "mlflow-migrate.writing."
CREATE_RUN: Match = ("POST", "/runs/create$")


@pytest.fixture
def work(source_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(source_server.uri, prefix=f"{unique_name}-") as source:
        yield source


def said(uri: str) -> dict[str, str]:
    """What migrations say of themselves on a server."""
    with Server(uri) as server:
        tags = [tag for it in server.experiments().values() for tag in it.get("tags", ())]
    return {tag["key"]: tag["value"] for tag in tags if tag["key"].startswith(WRITING)}


def claim(uri: str, ago: float = 0, **changes: Any) -> str:
    """Says on the Default experiment what another machine would, and returns the tag's name.

    It was renewed so many seconds ``ago``.
    """
    now = time.time() - ago
    fields: dict[str, Any] = {
        "host": "elsewhere",
        "machine": "another",
        "pid": 4711,
        "started": now - 30,
        "renewed": now,
        "into": [],
    }
    key = WRITING + "otherone"
    with Source(uri) as target:
        body = {"experiment_id": "0", "key": key, "value": json.dumps(fields | changes)}
        target.post("experiments/set-experiment-tag", body)
    return key


def at(migration: Migration, match: Match, what: Any) -> None:
    migration.target.faults = Faults(on_nth(match, 1, call_before(what)))


def test_a_second_migration_stops_and_says_who_is_at_it_and_since_when(
    work: Source, migration_of: MigrationOf, run_migrate: RunMigrate
) -> None:
    seed_work(work, families=1)
    migration = migration_of(work)
    ends = (migration.source.uri, migration.target.upstream.geturl())
    second: list[Any] = []

    def try_another() -> None:
        args = ("run", *ends, *migration.selection, "--state", "other.db")
        second.append(run_migrate(*args))

    at(migration, CREATE_RUN, try_another)
    migration.complete(migration.run())
    (ended,) = second
    assert ended.returncode == 4, ended
    assert socket.gethostname() in ended.stderr
    assert f"process {migration.process.pid if migration.process else 0}" in ended.stderr
    for words in ("since 20", "--take-over", "5 minutes"):
        assert words in ended.stderr, ended.stderr
    # What was said is taken back, and then the other finds everything.
    assert said(ends[1]) == {}
    migration.target.clear()
    again = migration.run("--state", "other.db")
    migration.complete(again)
    assert migration.target.writes() == []


@pytest.mark.thorough
def test_what_a_killed_migration_has_said_stops_neither_its_resume_nor_another(
    work: Source, migration_of: MigrationOf
) -> None:
    seed_work(work, families=1)
    migration = migration_of(work)
    for go_on in (migration.resume, lambda: migration.run("--state", "other.db")):
        migration.kill_at(CREATE_RUN, 2, call_before(migration.kill))
        migration.start_run()
        assert migration.await_kill()
        assert len(said(migration.target.upstream.geturl())) == 1
        ended = go_on()
        migration.complete(ended)
        add_run(work, "one more", work.seeded.experiments["training"])
        add_run(work, "and another", work.seeded.experiments["evaluation"])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 4),
        pytest.param({"ago": 200}, 4, marks=pytest.mark.thorough),
        ({"ago": 301}, 0),
        ({"into": ["00000000"]}, 0),
        pytest.param({"renewed": "soon"}, 0, marks=pytest.mark.thorough),
    ],
    ids=["under way", "not seen for minutes", "forgotten", "elsewhere on the target", "garbled"],
)
def test_what_another_machine_has_said_holds_for_minutes_and_for_the_place_it_names(
    work: Source,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    changes: dict[str, Any],
    code: int,
) -> None:
    add_run(work, "a", work.experiment("one"))
    key = claim(fresh_target.uri, **changes)
    args = ("run", work.seeded.uri, fresh_target.uri, "--experiments", work.seeded.names["one"])
    ended = run_migrate(*args)
    assert ended.returncode == code, ended
    if code == 4:
        assert "process 4711 on elsewhere" in ended.stderr
        assert run_migrate("run", "--resume").returncode == 4
        assert run_migrate(*args, "--take-over").returncode == 0
        assert said(fresh_target.uri) == {}
    else:
        assert said(fresh_target.uri).keys() == {key}
    assert not differences(
        work.seeded.uri, fresh_target.uri, experiments=[work.seeded.names["one"]]
    )


@pytest.mark.thorough
def test_two_that_copy_different_experiments_do_not_stop_each_other(
    work: Source, migration_of: MigrationOf, run_migrate: RunMigrate
) -> None:
    for label in ("one", "two"):
        add_run(work, label, work.experiment(label))
    migration = migration_of(work)
    ends = (migration.source.uri, migration.target.uri)
    codes: list[int] = []

    def copy_the_other() -> None:
        chosen = ("--experiments", work.seeded.names["two"], "--state", "two.db")
        codes.append(run_migrate("run", *ends, *chosen).returncode)

    at(migration, CREATE_RUN, copy_the_other)
    ended = run_migrate("run", *ends, "--experiments", work.seeded.names["one"])
    assert (ended.returncode, codes) == (0, [0]), ended
    assert not migration.differences()


def test_an_account_that_may_say_nothing_copies_all_the_same(
    work: Source, migration_of: MigrationOf
) -> None:
    add_run(work, "a", work.experiment("one"))
    migration = migration_of(work)
    refused = ("POST", "/experiments/set-experiment-tag$")
    migration.target.faults = Faults(always(refused, answer(403)))
    migration.complete(migration.run())


@pytest.mark.thorough
def test_doubles_that_two_migrations_made_are_named_and_come_to_rest(
    source_server: TrackingServerProcess,
    unique_name: str,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
) -> None:
    """Both got through: here because each was told that nobody else is there."""
    with ModelSource(source_server.uri, prefix=f"{unique_name}-") as source:
        experiment = source.experiment("one")
        run_id = add_run(source, "a", experiment)
        model = source.logged_model("m", experiment, run_id=run_id)
    blind = proxy_factory(fresh_target.uri)
    name = source.seeded.names["one"]
    both = [
        ("run", source.seeded.uri, uri, "--experiments", name, "--state", f"{number}.db")
        for number, uri in enumerate((blind.uri, fresh_target.uri))
    ]
    codes: list[int] = []
    # The second begins when the first has looked for copies, and so makes its own.
    blind.faults = Faults(
        on_nth(
            CREATE_RUN,
            1,
            call_before(lambda: codes.append(run_migrate(*both[1], "--take-over").returncode)),
        )
    )
    first = run_migrate(*both[0])
    assert codes == [0]
    assert first.returncode in (0, 4), first
    blind.faults = Faults()
    blind.clear()
    target = proxy_factory(fresh_target.uri)
    for args in (both[1], both[0], both[1]):
        again = run_migrate(args[0], args[1], target.uri, *args[3:], "--json")
        report = json.loads(again.stdout)
        assert again.returncode == 3, again
        told = [loss for loss in report["losses"] if "exactly one copy" in str(loss)]
        assert len(told) == 2, report["losses"]
        assert all(ident in str(told) for ident in (run_id, model))
    assert target.writes() == []
    verified = run_migrate("verify", source.seeded.uri, fresh_target.uri, "--experiments", name)
    assert verified.returncode == 3
    assert "holds 2 of them" in verified.stdout


def plan_for(uri: str, migration_id: str) -> Plan:
    """A plan to make one experiment."""
    return Plan(
        migration_id=migration_id,
        created=0,
        source=Side(uri="", identity=""),
        target=Side(uri=uri, identity=""),
        options={},
        tasks=(PlannedTask(ref=Ref(Kind.EXPERIMENT, "1"), name="made", action=Action.CREATE),),
    )


@pytest.mark.parametrize("by", ["another migration", "another process of the same"])
def test_one_whose_place_was_taken_over_creates_nothing_more(
    fresh_target: TrackingServerProcess, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(claims, "RENEWED_EVERY", 0.01)
    uri = fresh_target.uri
    target, again = (open_target(Address(uri=uri, side="target")) for _ in range(2))
    with Claiming(plan_for(uri, "otherone"), target) as claiming:
        target.experiments.create(Experiment(experiment_id="1", name="made"))
        assert said(uri).keys() == {WRITING + "otherone"}
        if by == "another migration":
            with Claiming(plan_for(uri, "later"), again, take_over=True) as later:
                again.experiments.create(Experiment(experiment_id="1", name="also made"))
                claiming.renewing.join(60)
                assert later.problem is None
        while claiming.renewing.is_alive():
            claim(uri)
        assert claiming.problem is not None
        with pytest.raises(TargetInUse, match="has taken over the target"):
            target.experiments.create(Experiment(experiment_id="2", name="not made"))
    # What is another's stays.
    assert len(said(uri)) == (by != "another migration")
    with Server(uri) as server:
        assert "not made" not in server.experiments()
