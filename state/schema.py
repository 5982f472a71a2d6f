"""The tables of the state database, their version, and how an older one is brought up to it.

Ids of rows are given out by the store and not by the database, which is why it must be the only
writer. Times are epoch milliseconds, sizes are bytes. Attempts and the id map name objects by
kind and source id, and not by task, because they outlive a plan that is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

from migrate.errors import NewerState, StateError
from migrate.redaction import redacted, without_logins
from state.database import OURS, damaged

VERSION = 6

Upgrade = Callable[[Connection], None]


def _add_unknown(connection: Connection) -> None:
    """Version 2: a plan keeps what could not be learned of its ends."""
    connection.execute(text("ALTER TABLE migration ADD COLUMN unknown JSON"))


def _tasks_stand_for_many(connection: Connection) -> None:
    """Version 4: a task may stand for many objects, of which some were written."""
    for name in ("objects", "objects_written"):
        connection.execute(text(f"ALTER TABLE task ADD COLUMN {name} INTEGER NOT NULL DEFAULT 1"))


def _deletions_say_of_what(connection: Connection) -> None:
    """Version 5: deleting a copy is a step of a task; rows name the kind of what is deleted.

    That of an experiment stood in the experiment itself. Only one of a logged model holds up
    anything. What is deleted has no place in the map of copies.
    """
    for statement in (
        "UPDATE task SET kind = 'deletion of logged model' "
        "WHERE kind = 'deletion' AND container <> source_id",
        "UPDATE attempt SET kind = 'deletion of logged model' WHERE kind = 'deletion' AND EXISTS "
        "(SELECT 1 FROM task WHERE task.migration = attempt.migration "
        "AND task.source_id = attempt.source_id AND task.kind = 'deletion of logged model')",
        "UPDATE task SET kind = 'deletion of experiment' WHERE kind = 'deletion'",
        "UPDATE attempt SET kind = 'deletion of experiment' WHERE kind = 'deletion'",
        "UPDATE task SET blocked_by = REPLACE(blocked_by, 'deletion', 'deletion of logged model') "
        "WHERE blocked_by LIKE 'deletion:%'",
        "DELETE FROM id_map WHERE kind = 'deletion'",
    ):
        connection.execute(text(statement))


def _attempts_without_index(connection: Connection) -> None:
    """Version 6: attempts are gone through, and the map of copies is told by tasks as well."""
    if connection.dialect.name in ("sqlite", "postgresql"):  # MySQL has a foreign key stand on it
        connection.execute(text("DROP INDEX IF EXISTS attempt_of"))


#: Entry n turns a database of version n into one of version n + 1. It says so in plain SQL,
#: because the tables below describe the newest version only. Where it is None the tables are the
#: same, and rows are read in either form: since version 3, losses have codes and reasons refs.
UPGRADES: Mapping[int, Upgrade | None] = {
    1: _add_unknown,
    2: None,
    3: _tasks_stand_for_many,
    4: _deletions_say_of_what,
    5: _attempts_without_index,
}
#: Those whose rows are read with or without.
_READ_EITHER_WAY = frozenset({5})


class _Word(TypeDecorator[str]):
    """Text, which is looked at when it is read: SQLite keeps anything in a column of any type."""

    impl: Any = String
    cache_ok = True

    def is_read_as_it_is(self, values: Iterable[object]) -> bool:
        """Say of values of many rows that none of them has to be looked at; see ``state.bulk``."""
        return {str, type(None)}.issuperset(map(type, values))

    def process_result_value(self, value: object, dialect: Dialect) -> str | None:
        if value is None or isinstance(value, str):
            return value
        raise damaged(f"{str(value)[:100]!r} where a text belongs")


class _Number(TypeDecorator[int]):
    """A whole number, which is looked at likewise; databases add numbers up to ``Decimal``."""

    impl: Any = BigInteger
    cache_ok = True

    def is_read_as_it_is(self, values: Iterable[object]) -> bool:
        """See ``_Word.is_read_as_it_is``."""
        return {int, type(None)}.issuperset(map(type, values))

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if isinstance(value, str | bytes | float):
            raise damaged(f"{str(value)[:100]!r} where a number belongs")
        return None if value is None else int(value)


class _SmallNumber(_Number):
    impl = Integer
    cache_ok = True


class _RowNumber(_Number):
    # SQLite makes only INTEGER, not BIGINT, the row id itself.
    impl = BigInteger().with_variant(Integer, "sqlite")
    cache_ok = True


class AnyText(_Word):
    """Text that others wrote, such as names: what the database refuses is stored escaped."""

    impl = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    cache_ok = True

    def is_written_as_it_is(self, values: Sequence[str | None]) -> bool:
        """Say of values for many rows of a file that it takes each of them as it is."""
        return {str}.issuperset(map(type, values)) and "".join(map(str, values)).isascii()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        storable = value
        if not value.isascii():
            storable = value.encode("utf-8", "backslashreplace").decode("utf-8")
        return storable.replace("\0", "\\x00") if dialect.name == "postgresql" else storable


class SafeText(AnyText):
    """Text that is only shown, and may quote anything: stored without credentials."""

    cache_ok = True

    def is_written_as_it_is(self, values: Sequence[str | None]) -> bool:
        """Say no, for what any text may quote."""
        return not any(values)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return super().process_bind_param(None if value is None else redacted(value), dialect)


class AddressText(AnyText):
    """A URI, by which a migration is found again: stored without credentials in it."""

    cache_ok = True

    def is_written_as_it_is(self, values: Sequence[str | None]) -> bool:
        """Say no, for what any text may quote."""
        return not any(values)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return super().process_bind_param(None if value is None else without_logins(value), dialect)


# MLflow's names have up to 256 characters. MySQL would take A and a for the same one.
_IDENT = _Word(512).with_variant(
    mysql.VARCHAR(512, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)
_WORD = _Word(32)
_LIST = JSON(none_as_null=True)  #: null stands for the empty list, which nearly all rows have


def _column(name: str, kind: Any, *constraints: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *constraints, **({"nullable": False} | options))


metadata = MetaData()

state_version = Table(OURS, metadata, _column("version", _SmallNumber))

#: One row: the process that holds the database, or held it last.
holder = Table(
    "holder",
    metadata,
    _column("pid", _Number),
    _column("host", AnyText),
    _column("since", _Number),
)

migration = Table(
    "migration",
    metadata,
    _column("number", _SmallNumber, primary_key=True, autoincrement=False),
    _column("id", _IDENT, unique=True),
    _column("created", _Number),
    _column("first_task", _Number),
    _column("last_task", _Number),
    _column("source_uri", AddressText),
    _column("source_identity", AddressText),
    _column("source_description", SafeText),
    _column("target_uri", AddressText),
    _column("target_identity", AddressText),
    _column("target_description", SafeText),
    _column("options", JSON),
    _column("notes", JSON),
    _column("collisions", JSON),
    _column("unsupported", JSON),
    _column("known", JSON),
    _column("unknown", _LIST, nullable=True),
)

#: One row for each object of a plan. The ids of one plan are a range in the plan's order, so that
#: it is read from one piece of the file. What attempts add to ``losses`` and ``warnings`` is kept
#: apart from what the plan knew. A row may stand for many ``objects``, of which some were written.
task = Table(
    "task",
    metadata,
    _column("id", _RowNumber, primary_key=True, autoincrement=False),
    _column("migration", _SmallNumber, ForeignKey(migration.c.number)),
    _column("kind", _WORD),
    _column("source_id", _IDENT),
    _column("name", AnyText),
    _column("action", _WORD),
    _column("container", AnyText),
    _column("reason", SafeText),
    _column("target_id", AnyText),
    _column("mark", AnyText),
    _column("because", _LIST, nullable=True),
    _column("number", _SmallNumber),
    _column("first_free", _SmallNumber),
    _column("planned_losses", _LIST, nullable=True),
    _column("planned_warnings", _LIST, nullable=True),
    _column("status", _WORD),
    _column("blocked_by", AnyText, nullable=True),
    _column("losses", _LIST, nullable=True),
    _column("warnings", _LIST, nullable=True),
    _column("wrote", Boolean),
    _column("bytes_sent", _Number),
    _column("objects", _SmallNumber, server_default=text("1")),
    _column("objects_written", _SmallNumber, server_default=text("1")),
    UniqueConstraint("migration", "source_id", "kind"),
)

#: ``task`` needs ``needs`` done first or, where ``soft``, only ended. ``position`` keeps the
#: plan's order, first that of ``needs``, then that of ``after``.
edge = Table(
    "edge",
    metadata,
    _column("task", _RowNumber, ForeignKey(task.c.id)),
    _column("position", _SmallNumber),
    _column("needs", _RowNumber, ForeignKey(task.c.id), index=True),
    _column("soft", Boolean),
    PrimaryKeyConstraint("task", "position"),
)

#: One row a try. ``ended`` and ``status`` stay null when the process died before it heard. There
#: is no index: to keep one takes longer than to go through the rows the few times that is needed.
attempt = Table(
    "attempt",
    metadata,
    _column("id", _RowNumber, primary_key=True, autoincrement=False),
    _column("migration", _SmallNumber, ForeignKey(migration.c.number)),
    _column("kind", _WORD),
    _column("source_id", _IDENT),
    _column("started", _Number),
    _column("ended", _Number, nullable=True),
    _column("status", _WORD, nullable=True),
    _column("error", SafeText),
    _column("hint", SafeText),
    _column("retryable", Boolean),
)

#: Where the finished copy of an object is, where its task does not tell it: see ``state.copies``.
id_map = Table(
    "id_map",
    metadata,
    _column("source_id", _IDENT),
    _column("kind", _WORD),
    _column("migration", _SmallNumber, ForeignKey(migration.c.number)),
    _column("target_id", _IDENT, index=True),
    _column("name", AnyText),
    PrimaryKeyConstraint("source_id", "kind", "migration"),
)


def next_id(connection: Connection, column: Column[Any]) -> int:
    """Return the first unused id of an integer column."""
    return int(connection.scalar(select(func.max(column))) or 0) + 1


def found_version(connection: Connection, label: str) -> int | None:
    """Return the version of the database, None for one that has no tables of ours yet.

    Raises ``NewerState`` for a version this code does not know, and ``StateError`` for a
    database that belongs to something else. ``label`` names the database in errors.
    """
    present = set(inspect(connection).get_table_names())
    if OURS not in present:
        # A file is ours alone; on a database server, other tables are none of our business.
        foreign = present if connection.dialect.name == "sqlite" else present & set(metadata.tables)
        if foreign:
            raise StateError(
                f"{label} is a database of something else: it has the table {min(foreign)!r}",
                "Name another file or database with --state; nothing was written to this one.",
            )
        return None
    version = int(connection.scalar(select(state_version.c.version)) or 0)
    if version < 1:
        raise damaged(f"{version} as the version of the state")
    if version > VERSION:
        raise NewerState(
            f"{label} has state version {version}; this mlflow-migrate knows up to {VERSION}",
            "Upgrade mlflow-migrate (pip install -U mlflow-migrate), or name another --state.",
        )
    return version


def is_readable(version: int | None) -> bool:
    """Say whether a database of this version can be read without bringing it up to date."""
    if version is None:
        return False
    steps = set(range(version, VERSION)) - _READ_EITHER_WAY
    return not any(map(UPGRADES.get, steps))


def prepare(connection: Connection, label: str) -> None:
    """Create the tables, or bring older ones up to ``VERSION``; the caller's transaction is one.

    Raises as ``found_version`` does.
    """
    version = found_version(connection, label)
    if version is None:
        metadata.create_all(connection)
        connection.execute(insert(state_version).values(version=VERSION))
        return
    for step in range(version, VERSION):
        if upgrade := UPGRADES[step]:
            upgrade(connection)
    if version < VERSION:
        connection.execute(update(state_version).values(version=VERSION))
