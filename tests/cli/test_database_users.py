"""Users and roles go from the database of a basic-auth app into another, with their passwords."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import Typed
from tests.endpoints.databases import rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

pytestmark = pytest.mark.filterwarnings("ignore")
ADA, GRACE = "the password of ada", "the password of grace"


class Ends(NamedTuple):
    source: Path
    target: Path
    words: tuple[str, ...]


def store(path: Path) -> Any:
    """Open the database of a basic-auth app as MLflow does, which makes it."""
    return store_at(f"sqlite:///{path}")


def store_at(uri: str) -> Any:
    """The same, of a database with this URI."""
    opened = SqlAlchemyStore()
    opened.init_db(uri)
    return opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two databases of a basic-auth app, of the source and the target."""
    folder = tmp_path_factory.mktemp("auth")
    source, target = folder / "old_auth.db", folder / "new_auth.db"
    old, new = store(source), store(target)
    new.create_user("theirs", "a password of their own", is_admin=True)
    for name, password, is_admin in (("ada", ADA, True), ("grace", GRACE, False)):
        old.create_user(name, password, is_admin)
    role = old.create_role("readers", "default", "who reads")
    old.add_role_permission(role.id, "experiment", "1", "READ")
    old.add_role_permission(role.id, "registered_model", "*", "READ")
    old.add_role_permission(role.id, "experiment", "99", "EDIT")
    old.assign_role_to_user(old.get_user("grace").id, role.id)
    old.grant_user_resource_permission("grace", "experiment", "1", "MANAGE")
    return source, target


@pytest.fixture
def ends(tmp_path: Path, new_database: Path, made: tuple[Path, Path]) -> Ends:
    """Copies of these, beside a database with experiment 1 and where another is to be."""
    with closing(sqlite3.connect(new_database)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location) "
            "VALUES (1, 'of ada', 'active', 'mlflow-artifacts:/1')"
        )
    old = new_database.rename(tmp_path / "old.db")
    source, target = (Path(shutil.copy(path, tmp_path)) for path in made)
    files = tmp_path / "files"
    (files / "1").mkdir(parents=True)
    words = (
        *(f"sqlite:///{old}", f"sqlite:///{tmp_path / 'new.db'}"),
        *("--source-artifacts", str(files), "--target-artifacts", str(tmp_path / "placed")),
        *("--source-auth-database", f"sqlite:///{source}", "--users", str(tmp_path / "passwords")),
    )
    return Ends(source, target, words)


def roles(path: Path) -> list[tuple[object, ...]]:
    return rows(
        path,
        "SELECT roles.name, description, resource_type, resource_pattern, permission "
        "FROM roles JOIN role_permissions ON role_id = roles.id ORDER BY 1, 3, 4",
    )


def test_users_keep_their_passwords_and_roles_their_members(typed: Typed, ends: Ends) -> None:
    words = (*ends.words, "--target-auth-database", f"sqlite:///{ends.target}")
    before = ends.source.read_bytes()
    report = json.loads(typed("run", *words, "--json", code=3).stdout)
    assert report["failures"] == []
    assert {(it["kind"], it["what"]) for it in report["losses"]} == {
        ("role", "permission on experiment 99")
    }
    new = store(ends.target)
    assert {it.username: it.is_admin for it in new.list_users()} == {
        "ada": True,
        "grace": False,
        "theirs": True,
    }
    for name, password in (("ada", ADA), ("grace", GRACE), ("theirs", "a password of their own")):
        assert new.authenticate_user(name, password)
        assert not new.authenticate_user(name, "another password")
    assert roles(ends.target) == [
        ("readers", "who reads", "experiment", "1", "READ"),
        ("readers", "who reads", "registered_model", "*", "READ"),
    ]
    members = "SELECT username FROM users JOIN user_role_assignments ON user_id = users.id"
    assert rows(ends.target, members) == [("grace",)]
    assert not (ends.target.parent / "passwords").exists()
    assert ends.source.read_bytes() == before

    written = ends.target.read_bytes()
    for state in ("migrate.db", "another.db"):
        assert "Wrote nothing" in typed("run", *words, "--state", state, code=3).stdout
    assert ends.target.read_bytes() == written
    verified = typed("verify", *words).stdout
    assert "2 users" in verified
    assert "no difference" in verified
    states = (ends.target.parent / name for name in ("migrate.db", "another.db"))
    for told in (verified, *(it.read_bytes().decode("latin-1") for it in states)):
        assert "scrypt" not in told


def test_whom_the_target_has_already_is_left_alone(typed: Typed, ends: Ends) -> None:
    new = store(ends.target)
    new.create_user("grace", "of another grace", is_admin=True)
    words = (*ends.words, "--target-auth-database", f"sqlite:///{ends.target}")
    report = json.loads(typed("run", *words, "--json", code=3).stdout)
    lost = {(it["kind"], it["what"]) for it in report["losses"]}
    assert {("user", "copy"), ("role", "member grace")} <= lost
    assert new.authenticate_user("grace", "of another grace")
    assert new.get_user("grace").is_admin
    assert rows(ends.target, "SELECT count(*) FROM user_role_assignments") == [(0,)]


def test_without_a_database_for_them_they_are_said_not_to_be_copied(
    typed: Typed, ends: Ends
) -> None:
    plan = json.loads(typed("plan", *ends.words, "--json").stdout)
    why = {it["reason"] for it in plan["tasks"] if it["kind"] in ("user", "role")}
    assert len(why) == 1
    assert why.pop().endswith("with --target-auth-database")
    assert "2 users" in typed("run", *ends.words, code=3).stdout
    told = typed("plan", *ends.words[:-4], "--users", "passwords")
    assert "with --source-auth-database" in " ".join((told.stdout + told.stderr).split())
    assert rows(ends.target, "SELECT username FROM users") == [("theirs",)]


def test_an_export_has_users_without_what_their_passwords_became(
    typed: Typed, ends: Ends, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    uri, _, *options = ends.words
    options = options[:2] + options[4:]
    typed("run", uri, str(export), *options, code=0)
    texts = [it.read_text() for it in export.rglob("*.json")]
    assert any('"grace"' in text for text in texts)
    assert not any("scrypt" in text or "hash" in text for text in texts)
    target = ("--target-artifacts", str(tmp_path / "placed"), *options[4:])
    words = (str(export), f"sqlite:///{tmp_path / 'new.db'}", *target)
    auth = ("--target-auth-database", f"sqlite:///{ends.target}")
    told = typed("run", *words, *auth, code=3).stdout
    assert "--source-auth-database" in " ".join(told.split())
    assert rows(ends.target, "SELECT username FROM users") == [("theirs",)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda words: words[:-2], "--users FILE"),
        (lambda words: ("http://localhost:1", *words[1:]), "goes with a database"),
        (
            lambda words: (*words, "--target-auth-database", words[0]),
            "has no users of MLflow's basic-auth app",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(
    typed: Typed, ends: Ends, change: Any, says: str
) -> None:
    told = typed("plan", *change(ends.words), code=2)
    assert says in " ".join((told.stdout + told.stderr).split())


def test_an_older_database_without_roles_gives_its_users(typed: Typed, ends: Ends) -> None:
    with closing(sqlite3.connect(ends.source)) as connection, connection:
        for table in ("user_role_assignments", "role_permissions", "roles"):
            connection.execute(f"DROP TABLE {table}")
    words = (*ends.words, "--target-auth-database", f"sqlite:///{ends.target}")
    told = typed("run", *words).stdout
    assert "2 users" in told
    assert stat.S_ISREG(ends.target.stat().st_mode)
    assert len(rows(ends.target, "SELECT username FROM users")) == 3
