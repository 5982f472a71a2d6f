"""The file of the passwords of new users: each is there once, whole, for nobody else to read."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from migrate.endpoints.tracking.passwords import PasswordFile, check_password_file
from migrate.errors import UsageError
from migrate.redaction import redacted

SERVER = "http://mlflow.example"
NAMES = ("ana", "b/o b", 'line\nbreak "and quotes"', "\u2603")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "passwords"


def test_a_password_is_made_once_and_kept_for_its_owner_alone(path: Path) -> None:
    file = PasswordFile(path, SERVER)
    assert list(file.users()) == []
    made = {name: file.keep_new(name) for name in NAMES}
    assert all(is_new and len(password) >= 32 for password, is_new in made.values())
    assert len(set(made.values())) == len(NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = PasswordFile(path, SERVER)
    content = path.read_bytes()
    assert {name: again.keep_new(name) for name in NAMES} == {
        name: (password, False) for name, (password, _) in made.items()
    }
    assert path.read_bytes() == content
    assert set(again.users()) == set(NAMES)


def test_servers_are_kept_apart(path: Path) -> None:
    here, there = (PasswordFile(path, server) for server in (SERVER, "http://other.example"))
    assert here.keep_new("ana")[0] != there.keep_new("ana")[0]
    assert len(check_password_file(path)) == 2


def test_several_threads_get_one_password_for_a_user(path: Path) -> None:
    file = PasswordFile(path, SERVER)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(file.keep_new, ["ana"] * 32))
    assert len({password for password, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1


def test_a_line_that_was_cut_off_costs_itself(path: Path) -> None:
    file = PasswordFile(path, SERVER)
    kept = file.keep_new("ana")[0]
    with path.open("a") as out:
        out.write('{"server": "http://mlflow.example", "username": "bob", "passw')
    assert set(file.users()) == {"ana"}
    assert file.keep_new("bob")[1]
    assert set(file.users()) == {"ana", "bob"}
    assert file.keep_new("ana") == (kept, False)


def test_a_password_that_is_nobodys_is_withdrawn(path: Path) -> None:
    file = PasswordFile(path, SERVER)
    file.keep_new("ana")
    file.withdraw("ana")
    assert list(file.users()) == []


def test_a_file_that_was_killed_when_it_was_made_is_gone_on_with(path: Path) -> None:
    path.touch(0o600)
    PasswordFile(path, SERVER).keep_new("ana")
    assert set(PasswordFile(path, SERVER).users()) == {"ana"}


def test_passwords_are_taken_out_of_all_text(path: Path) -> None:
    password, _ = PasswordFile(path, SERVER).keep_new("ana")
    assert password not in redacted(f"it was {password} all along")


def test_what_is_no_such_file_is_refused_and_left_alone(path: Path, tmp_path: Path) -> None:
    path.write_text("ana,hunter2\n")
    with pytest.raises(UsageError, match="not of this tool"):
        check_password_file(path)
    with pytest.raises(UsageError):
        PasswordFile(path, SERVER).keep_new("ana")
    assert path.read_text() == "ana,hunter2\n"
    with pytest.raises(UsageError, match="no file"):
        check_password_file(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        check_password_file(link)
    with pytest.raises(UsageError, match="directory is missing"):
        check_password_file(tmp_path / "none" / "passwords")


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    PasswordFile(path, SERVER).keep_new("ana")
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        PasswordFile(path, SERVER).users()
