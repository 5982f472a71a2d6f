"""The state store: opens a state database for one process, and is its only writer.

Every method is one transaction. A store belongs to one thread at a time; a second one that is
opened ``read_only`` may look on while the first one writes.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from migrate.errors import StateError
from migrate.kinds import Kind, Ref
from migrate.outcomes import Outcome
from migrate.plans import Plan, Report
from state import attempts, copies, database, lock, planned, reports, schema
from state.database import Location, connect, connection_lost, locate, translated
from state.reports import StoredMigration
from state.rows import migration_row


class StateStore:
    """The plans, attempts and id map of one state database. Use ``StateStore.open``."""

    def __init__(
        self, location: Location, connection: Connection, resources: ExitStack, *, read_only: bool
    ) -> None:
        self._location = location
        self._connection = connection
        self._resources = resources
        self._read_only = read_only
        self._numbers: dict[str, int] = {}
        #: Attempts whose end is awaited, by migration.
        self._begun: dict[str, dict[Ref, int]] = {}

    @classmethod
    def open(
        cls, location: str | Path, *, must_exist: bool = False, read_only: bool = False
    ) -> Self:
        """Open a SQLite file (made when missing) or a SQLAlchemy URL, and hold it until closed.

        ``read_only`` takes no hold, changes nothing and needs the database to exist. Raises
        ``StateInUse`` when another process holds it, ``NewerState`` when a newer version of
        this tool wrote it, ``UsageError`` for a location that cannot hold a state, and
        ``StateError`` or ``StorageFull`` when the database does not work.
        """
        where = locate(location)
        must_exist = must_exist or read_only
        with ExitStack() as resources:
            if where.path is not None:
                _prepare_directory(where.path, must_exist=must_exist)
                if not read_only:
                    resources.callback(lock.lock_file(where, where.path).release)
            connection = resources.enter_context(connect(where, read_only=read_only))
            with translated(where.label):
                if not read_only and where.path is None:
                    lock.lock_session(where, connection)
                with connection.begin():
                    _check_schema(connection, where.label, must_exist, read_only)
            return cls(where, connection, resources.pop_all(), read_only=read_only)

    def close(self) -> None:
        """Let go of the database. Closing twice does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._connection.invalidated:
            # A new connection would not hold the lock, and another process might.
            raise connection_lost(self._location.label)
        with translated(self._location.label), self._connection.begin():
            yield self._connection

    @contextmanager
    def _writing(self, *, survive_power_cut: bool = True) -> Iterator[Connection]:
        if self._read_only:
            raise StateError("this state database was opened to be read only")
        database.survive_power_cut(self._connection, survive_power_cut)
        with self._transaction() as connection:
            yield connection

    def _number(self, connection: Connection, migration_id: str) -> int:
        if migration_id not in self._numbers:
            self._numbers[migration_id] = migration_row(connection, migration_id).number
        return self._numbers[migration_id]

    def save_plan(self, plan: Plan) -> None:
        """Store a plan, in place of an earlier one of the same migration id.

        The attempts of that migration stay, and where its copies are. Raises ``ValueError`` when
        two tasks have one ref, or a task needs what is not in the plan.
        """
        with self._writing() as connection, database.writing_much(connection):
            planned.save(connection, plan)

    def set_options(self, migration_id: str, options: Mapping[str, object]) -> None:
        """Replace the options that a plan is stored with; everything else stays."""
        with self._writing() as connection:
            planned.set_options(connection, self._number(connection, migration_id), options)

    def load_plan(self, migration_id: str | None = None) -> Plan | None:
        """Return a plan (the latest by default) as its tasks stand now, None when unknown."""
        with self._transaction() as connection:
            return planned.load(connection, migration_id)

    def migrations(self) -> list[StoredMigration]:
        """List the migrations, latest first."""
        with self._transaction() as connection:
            return [migration for migration, _ in reports.overview(connection)]

    def overview(self) -> list[tuple[StoredMigration, Report]]:
        """List the migrations, latest first, each with how it stands."""
        with self._transaction() as connection:
            return [(migration, report()) for migration, report in reports.overview(connection)]

    def find_migration(self, source_identity: str, target_identity: str) -> str | None:
        """Return the id of the latest migration from this source to this target."""
        with self._transaction() as connection:
            return reports.find_migration(connection, source_identity, target_identity)

    def mark_started(self, migration_id: str, refs: Iterable[Ref]) -> None:
        """Write that attempts at these tasks begin; they survive a power cut once it returns."""
        with self._writing() as connection:
            number = self._number(connection, migration_id)
            begun = attempts.start(connection, number, refs)
        self._begun.setdefault(migration_id, {}).update(begun)

    def record(
        self, migration_id: str, outcomes: Sequence[Outcome], blocked: Mapping[Ref, Ref]
    ) -> None:
        """Write how attempts ended, and which tasks that blocks (each with its cause).

        A retryable outcome leaves its task pending. Target id and mark stay when an outcome has
        none; bytes add up, losses and warnings are joined. Raises ``StateError`` for an outcome
        of a task that is not in the plan; then nothing is written.
        """
        awaited = self._begun.setdefault(migration_id, {})
        begun = {it.ref: awaited[it.ref] for it in outcomes if it.ref in awaited}
        # What a power cut takes from here is known to have begun, so it is looked for on resume.
        with self._writing(survive_power_cut=False) as connection:
            number = self._number(connection, migration_id)
            attempts.end(connection, number, outcomes, begun)
            attempts.settle(connection, number, outcomes)
            attempts.block(connection, number, blocked)
        for ref in begun:
            del awaited[ref]

    def reset_for_resume(self, migration_id: str) -> None:
        """Make pending what failed, was blocked or may bring more; known target ids stay."""
        with self._writing() as connection, database.writing_much(connection):
            attempts.reopen(connection, migration_row(connection, migration_id))

    def tries(self, migration_id: str) -> Mapping[Ref, int]:
        """Count the attempts, also those cut short, at tasks that are not done; no zeros."""
        with self._transaction() as connection:
            return attempts.tries(connection, migration_row(connection, migration_id))

    def begun(self, migration_id: str) -> set[Ref]:
        """Return the tasks not done that were ever begun: a copy of them may exist."""
        return set(self.tries(migration_id))

    def report(
        self, migration_id: str, *, seconds: float = 0.0, interrupted: bool = False
    ) -> Report:
        """Sum up how a migration stands; ``seconds`` and ``interrupted`` are passed through."""
        with self._transaction() as connection:
            return reports.report(
                connection, migration_id, seconds=seconds, interrupted=interrupted
            )

    def id_map(
        self, *, kinds: Collection[Kind] = (), ids: Collection[str] = ()
    ) -> Iterator[Mapping[str, str]]:
        """Iterate over finished copies, by source id: where each is, and of which migration.

        Of these ``kinds``, and with one of these ``ids`` on either side, up to some thousand; none
        stand for all. Keys: kind, source_id, target_id, name, migration_id, source_uri, target_uri.
        Memory does not grow with the map; other methods may be called in between.
        """
        wanted = copies.Wanted(kinds=kinds, ids=ids)
        with self._transaction() as connection:
            parts = list(copies.parts(connection))
        told = [self._entries(part, wanted) for part in parts]
        return heapq.merge(*told, key=itemgetter("source_id", "kind"))

    def _entries(self, part: copies.Part, wanted: copies.Wanted) -> Iterator[Mapping[str, str]]:
        after: Mapping[str, str] | None = None
        while True:
            with self._transaction() as connection:
                page = part.page(connection, wanted, after)
            yield from page
            if copies.is_last(page):
                return
            after = page[-1]


def _prepare_directory(path: Path, *, must_exist: bool) -> None:
    if must_exist:
        if not path.exists():
            raise _nothing_there(str(path))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"the directory of the state database {path} cannot be made: {error.strerror}",
            "Name a file in a directory you may write to with --state.",
        ) from error


def _nothing_there(label: str) -> StateError:
    return StateError(
        f"there is no state database at {label}",
        "`migrate plan` makes one; --state names another file or database.",
    )


def _check_schema(connection: Connection, label: str, must_exist: bool, read_only: bool) -> None:
    version = schema.found_version(connection, label)
    if version is None and must_exist:
        raise _nothing_there(label)
    if not read_only:
        schema.prepare(connection, label)
        lock.sign(connection)
    elif not schema.is_readable(version):
        raise StateError(
            f"{label} has state version {version}, which is older than this mlflow-migrate",
            "`migrate plan`, or `migrate run --resume`, brings it up to date.",
        )
