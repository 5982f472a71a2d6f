"""MLflow makes its tables in a process of its own, which leaves nothing behind in this one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from migrate.endpoints.database.target.making import make_here, make_tables
from migrate.endpoints.database.target.schema import installed_head, make_file
from migrate.errors import EndpointError
from tests.processes import ROOT

PATIENCE = 30


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process look as one that has not loaded MLflow's databases."""
    monkeypatch.delitem(sys.modules, "mlflow.store.db.utils", raising=False)


def made(path: Path) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master")
        return {
            # MLflow names the words of a CHECK in any order.
            *(
                (kind, name, *sorted((sql or "").replace(",", " ").split()))
                for kind, name, sql in schema
            ),
            *connection.execute("SELECT * FROM alembic_version"),
            *connection.execute("SELECT * FROM workspaces"),
        }


def test_they_are_those_that_mlflow_makes_with_all_that_it_can_load(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).touch()
    make_tables(tmp_path / "there")
    make_here(tmp_path / "here")
    assert made(tmp_path / "there") == made(tmp_path / "here")


def test_nothing_of_mlflow_is_loaded_for_them(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from migrate.endpoints.database.target.schema "
        "import make_file; make_file(Path(sys.argv[1])); print('mlflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "made.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
    assert (installed_head(),) in made(tmp_path / "made.db")


def test_what_the_driver_says_there_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="unable to open"):
        make_tables(tmp_path / "no folder" / "made.db")


def test_an_mlflow_that_cannot_be_loaded_is_said_so_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [it for it in sys.path if "site-packages" not in it])
    with pytest.raises(EndpointError, match="No module named") as raised:
        make_file(tmp_path / "made.db")
    assert "mlflow db upgrade" in raised.value.hint
    assert not [*tmp_path.iterdir()]


def test_it_ends_with_the_process_that_started_it_and_shows_nobody_the_address(
    tmp_path: Path,
) -> None:
    program = (
        "import sys; from migrate.endpoints.database.target.making import make_tables; "
        "from pathlib import Path; make_tables(Path(sys.argv[1]))"
    )
    place = tmp_path / "secret.db"
    place.touch()
    with subprocess.Popen([sys.executable, "-c", program, str(place)], cwd=ROOT) as other:
        maker = only_child_of(other.pid)
        while not place.stat().st_size:  # in the middle of it
            assert other.poll() is None
            time.sleep(0.01)
        assert is_alive(maker)
        assert b"secret" not in Path(f"/proc/{maker}/cmdline").read_bytes()
        other.send_signal(signal.SIGKILL)
    ends = time.monotonic() + PATIENCE
    while is_alive(maker):
        assert time.monotonic() < ends
        time.sleep(0.01)


def only_child_of(pid: int) -> int:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError("it has started no process")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
