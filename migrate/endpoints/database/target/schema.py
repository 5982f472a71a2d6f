"""The schema of a database that is written to: that of the MLflow which is installed."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Connection, MetaData, select

from migrate.endpoints.database.revisions import REVISIONS, VERSION_TABLE
from migrate.endpoints.database.target.making import make_tables, quiet
from migrate.errors import DirectoryError, UsageError

#: Which revision a migration makes, and which it follows.
_REVISION = re.compile(r"^revision\b[^=\n]*=\s*[\"'](\w+)[\"']", re.M)
_FOLLOWED = re.compile(r"^down_revision\b[^=\n]*=\s*[\"'](\w+)[\"']", re.M)
#: Tables in which MLflow's migrations write rows.
_FILLED = {VERSION_TABLE, "workspaces"}


def new_number() -> int:
    """Return a number for the header of a file of SQLite that no other has (``user_version``)."""
    return secrets.randbelow(2**31 - 1) + 1


def require_head(revision: str, shown: str) -> None:
    """Raise ``UsageError`` for a revision that the installed MLflow would not write to."""
    head, installed = installed_head(), version("mlflow")
    if revision == head:
        return
    order = [*REVISIONS, head]
    if head not in REVISIONS or order.index(revision) < order.index(head):
        raise UsageError(
            f"{shown} is of revision {revision} (MLflow {REVISIONS[revision]}), and MLflow "
            f"{installed}, which is installed here, writes {head}: it is not upgraded unasked",
            f"stop its server, make a backup, and upgrade it: mlflow db upgrade {shown}",
        )
    raise UsageError(
        f"{shown} is of revision {revision}, newer than MLflow {installed} knows, which is "
        "installed here",
        f"install MLflow {REVISIONS[revision]} or newer beside this tool",
    )


def installed_head() -> str:
    """Return the revision that the installed MLflow makes.

    It is read from the names in its migrations where these are clear, which takes no second.
    """
    package = find_spec("mlflow")
    places = package.submodule_search_locations if package is not None else None
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in Path(next(iter(places or ()), "")).glob("store/db_migrations/versions/*.py"):
        text = path.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(text))
        followed.update(_FOLLOWED.findall(text))
    heads = revisions - followed
    if len(heads) == 1:
        return heads.pop()
    with quiet():
        from mlflow.store.db.utils import _get_latest_schema_revision

        return str(_get_latest_schema_revision())


def make_file(path: Path) -> None:
    """Make a SQLite database with MLflow's tables, whole or not at all.

    A number of its own in its header tells it from any other at this place. Raises
    ``DirectoryError`` where no file can be made.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(0o600)
        make_tables(partial)
        with closing(sqlite3.connect(partial)) as connection:  # which brings all of it to the disk
            connection.execute(f"PRAGMA user_version = {new_number()}")
        os.replace(partial, path)
    except OSError as problem:
        raise DirectoryError(f"{path} cannot be made: {problem}") from None
    finally:
        partial.unlink(missing_ok=True)


def drop_tables(connection: Connection) -> None:
    """Take the tables out of a database again."""
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)


def holds_nothing(connection: Connection) -> bool:
    """Say whether a database has tables of MLflow, or of Alembic, and nothing that was written."""
    found = MetaData()
    found.reflect(connection)
    if not {VERSION_TABLE, "experiments"} & found.tables.keys():
        return False
    said = [table for name, table in found.tables.items() if name not in _FILLED]
    return not any(connection.execute(select(table).limit(1)).first() for table in said)


def is_empty(tables: frozenset[str]) -> bool:
    """Say whether a database has no tables but those that Alembic leaves behind."""
    return tables <= {VERSION_TABLE}
