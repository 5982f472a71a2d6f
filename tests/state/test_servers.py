"""What is special about a state database on a server; the other tests run there too."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, make_url, text

from migrate.errors import NewerState, StateError
from state import schema
from state.store import StateStore
from tests.state.samples import EXPERIMENT, done, small_plan

pytestmark = pytest.mark.acceptance


def execute(location: str, statement: str) -> None:
    engine = create_engine(location, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize("how", ["must_exist", "read_only"])
def test_a_database_without_tables_holds_no_state(postgres_location: str, how: str) -> None:
    with pytest.raises(StateError, match="no state database"):
        StateStore.open(postgres_location, **{how: True})


def test_tables_of_others_are_no_hindrance(postgres_location: str) -> None:
    execute(postgres_location, "CREATE TABLE experiments (id INTEGER)")
    with StateStore.open(postgres_location) as store:
        store.save_plan(small_plan())


def test_tables_of_others_with_our_names_are(postgres_location: str) -> None:
    execute(postgres_location, "CREATE TABLE task (id INTEGER)")
    with pytest.raises(StateError, match="something else: it has the table 'task'"):
        StateStore.open(postgres_location)


def test_a_newer_state_is_refused(postgres_location: str) -> None:
    StateStore.open(postgres_location).close()
    execute(postgres_location, "UPDATE state_version SET version = 70")
    with pytest.raises(NewerState, match=rf"version 70; .* up to {schema.VERSION}"):
        StateStore.open(postgres_location)


def test_states_in_two_schemas_are_held_apart(postgres_location: str) -> None:
    execute(postgres_location, "CREATE SCHEMA team")
    other = make_url(postgres_location).update_query_dict({"options": "-csearch_path=team"})
    with (
        StateStore.open(postgres_location) as first,
        StateStore.open(other.render_as_string(hide_password=False)) as second,
    ):
        first.save_plan(small_plan())
        assert second.load_plan() is None


def test_a_broken_connection_ends_the_hold_and_the_store(postgres_location: str) -> None:
    """It must not go on over a new connection, which would not hold the lock."""
    with StateStore.open(postgres_location) as store:
        store.save_plan(small_plan())
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        execute(postgres_location, f"{others} AND datname = current_database()")
        for _ in range(2):
            with pytest.raises(StateError, match=r"the state database .* broke") as lost:
                store.record("m1", [done(EXPERIMENT)], {})
            assert "Run the same command again" in lost.value.hint
    with StateStore.open(postgres_location) as store:
        assert store.load_plan() == small_plan()


def test_a_reader_sees_one_moment(postgres_location: str) -> None:
    with (
        StateStore.open(postgres_location) as store,
        StateStore.open(postgres_location, read_only=True) as reader,
    ):
        store.save_plan(small_plan())
        with reader._transaction() as connection:
            count = text("SELECT count(*) FROM task WHERE status = 'done'")
            assert connection.scalar(count) == 0
            store.record("m1", [done(EXPERIMENT)], {})
            assert connection.scalar(count) == 0
        assert reader.report("m1").totals[EXPERIMENT.kind].done == 1
