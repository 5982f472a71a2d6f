"""Users and what is permitted to them go into the database of a basic-auth app on a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.test_database_targets import Empty, empty_of
from tests.cli.conftest import Typed, typed
from tests.cli.test_database_permissions import GRACES, granted
from tests.cli.test_database_users import GRACE, Ends, ends, made, store_at

__all__ = ["ends", "granted", "made", "typed"]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def empty(request: pytest.FixtureRequest) -> Iterator[Empty]:
    """A Postgres: MLflow's own migrations cannot make these tables in a MariaDB."""
    with empty_of("postgres", request) as made_here:
        yield made_here


def test_they_arrive_once(typed: Typed, granted: Ends, empty: Empty) -> None:
    kept = store_at(empty.uri)
    words = (*granted.words, "--target-auth-database", empty.uri, "--permissions")
    typed("run", *words, code=3)
    assert kept.authenticate_user("grace", GRACE)
    asked = (
        "SELECT resource_type, resource_pattern, permission FROM role_permissions AS p "
        "JOIN roles ON p.role_id = roles.id WHERE roles.name LIKE '\\_\\_user%%'"
    )
    assert set(empty.answer(asked)) == GRACES
    for state in ("migrate.db", "another.db"):
        assert "Wrote nothing" in typed("run", *words, "--state", state, code=3).stdout
    assert set(empty.answer(asked)) == GRACES
    assert "no difference" in typed("verify", *words).stdout
