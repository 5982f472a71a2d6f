"""A server of every kind goes through Postgres or MariaDB, and comes back table by table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_database_targets import Empty, empty
from tests.cli.conftest import Migrate, migrate
from tests.cli.test_everything import Everything, assert_comes_back_the_same, everything
from tests.conftest import ServerFactory

__all__ = ["empty", "everything", "migrate"]


def test_everything_comes_back_as_it_was(
    everything: Everything,
    empty: Empty,
    migrate: Migrate,
    tmp_path: Path,
    server_factory: ServerFactory,
) -> None:
    if empty.folds:
        pytest.skip("it takes two keys for one, as the plan says")
    assert_comes_back_the_same(everything, migrate, empty.uri, tmp_path, server_factory)
