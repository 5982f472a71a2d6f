"""The suite of stores, for databases that run as servers of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.database.target.files import PlacedFiles
from migrate.kinds import Kind
from tests.acceptance.backing import BY_CHARACTERS, MariaDB, postgres
from tests.kinds import test_stores
from tests.kinds.subject import SUBJECTS, Subject

#: The tests themselves: what they are about is given to them by ``subject``.
globals().update({name: it for name, it in vars(test_stores).items() if name.startswith("test_")})
_HERE = [name for name in SUBJECTS if name.endswith(", database")]
#: Names that are too long for what is bounded in the database of a server.
_TOO_LONG = frozenset({"a" * 300})
#: The kinds of which neither the name nor the id as the suite makes it is in a short column.
_UNBOUNDED = {Kind.LOGGED_MODEL, Kind.MODEL_VERSION, Kind.TRACE}
#: What MLflow itself puts into a new database.
_KEPT = {"alembic_version", "workspaces"}


@pytest.fixture(scope="module", params=["postgres", "mariadb", "mariadb without case"])
def made(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with MLflow's tables."""
    with ExitStack() as running:
        if request.param == "postgres":
            uri = running.enter_context(postgres())
        else:
            server: MariaDB = request.getfixturevalue("mariadb_server")
            uri = server.database("" if "case" in request.param else BY_CHARACTERS)
        with closing(DatabaseTarget(uri, files=PlacedFiles("/nowhere"))) as target:
            target.capabilities()
        yield uri


@pytest.fixture
def database_target(made: str, tmp_path: Path) -> Iterator[DatabaseTarget]:
    """The same, emptied: to make the tables takes longer."""
    engine = sqlalchemy.create_engine(made, poolclass=sqlalchemy.NullPool)
    tables = sqlalchemy.MetaData()
    with engine.begin() as connection:
        tables.reflect(connection)
        for table in reversed(tables.sorted_tables):
            if table.name not in _KEPT:
                connection.execute(table.delete())
    with closing(DatabaseTarget(made, files=PlacedFiles(str(tmp_path / "files")))) as target:
        yield target


@pytest.fixture(params=_HERE)
def subject(
    request: pytest.FixtureRequest, tmp_path: Path, database_target: DatabaseTarget
) -> Subject:
    opened = SUBJECTS[request.param](tmp_path, request)
    bounded = opened.carrier.kind not in _UNBOUNDED
    return dataclasses.replace(opened, refuses=opened.refuses | (_TOO_LONG if bounded else set()))
