"""Databases to write to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from migrate.endpoints.database.target.schema import make_file


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a target makes it; tests use copies, which takes no second each."""
    path = tmp_path_factory.mktemp("made") / "empty.db"
    make_file(path)
    return path


@pytest.fixture
def new_database(made_database: Path, tmp_path: Path) -> Path:
    """A database without an experiment, of the test's own."""
    return Path(shutil.copy(made_database, tmp_path / "new.db"))
