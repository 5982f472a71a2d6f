"""Users' own grants go from the database of a basic-auth app into another, of either dialect."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Typed
from tests.cli.test_database_users import Ends, ends, made, store
from tests.endpoints.databases import rows
from tests.endpoints.test_database_records import insert
from tests.servers import IS_3_18

__all__ = ["ends", "made"]
pytestmark = pytest.mark.filterwarnings("ignore")
#: The revision of a database before grants became those of roles.
OLDER = "2ed73881770d"
GRACES = {
    ("experiment", "1", "MANAGE"),
    ("registered_model", "churn", "EDIT"),
    ("prompt", "greet", "READ"),
    ("scorer", "1/a%2Fb", "EDIT"),
    ("mcp_server", "com.example/tools", "READ"),
}


@pytest.fixture
def granted(ends: Ends) -> Ends:
    """The same with a model, a prompt and a scorer, and grants on all of them."""
    old = Path(ends.words[0].removeprefix("sqlite:///"))
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.executemany(
            "INSERT INTO registered_models (name) VALUES (?)", [("churn",), ("greet",)]
        )
        connection.execute(
            "INSERT INTO registered_model_tags (name, key, value) "
            "VALUES ('greet', 'mlflow.prompt.is_prompt', 'true')"
        )
        connection.execute(
            "INSERT INTO scorers (experiment_id, scorer_name, scorer_id) VALUES (1, 'a/b', 's1')"
        )
        connection.execute(
            "INSERT INTO scorer_versions (scorer_id, scorer_version, serialized_scorer) VALUES "
            '(\'s1\', 1, \'{"name": "a/b", "builtin_scorer_class": "Safety"}\')'
        )
        connection.execute(
            "INSERT INTO mcp_servers (name, created_at, last_updated_at) "
            "VALUES ('com.example/tools', 1, 1)"
        )
    kept = store(ends.source)
    kept.grant_user_resource_permission("grace", "mcp_server", "com.example/tools", "READ")
    kept.grant_user_resource_permission("grace", "registered_model", "churn", "EDIT")
    kept.grant_user_resource_permission("grace", "prompt", "greet", "READ")
    kept.grant_user_resource_permission("ada", "registered_model", "*", "READ")
    kept.create_scorer_permission("1", "a/b", "grace", "EDIT")
    return ends


def words_of(granted: Ends, *options: str) -> tuple[str, ...]:
    """All but ``--users``, with permissions."""
    auth = ("--target-auth-database", f"sqlite:///{granted.target}")
    return (*granted.words[:-2], *auth, "--permissions", *options)


def own(path: Path, user: str = "grace") -> set[tuple[str, str, str]]:
    """What a user's hidden role permits, where that is given to this user alone."""
    found = rows(
        path,
        "SELECT resource_type, resource_pattern, permission FROM role_permissions AS p "
        "JOIN roles ON p.role_id = roles.id JOIN users ON roles.name = '__user_' || users.id || "
        "'__' WHERE username = ? AND (SELECT group_concat(user_id) FROM user_role_assignments "
        "WHERE role_id = roles.id) = users.id",
        user,
    )
    return set(found)


def older(path: Path) -> set[tuple[str, str, str]]:
    """What the tables of versions before 3.13 say."""
    asked = " UNION ALL ".join(
        f"SELECT '{noun}', {key}, permission, user_id FROM {noun}_permissions"
        for noun, key in (
            ("experiment", "experiment_id"),
            ("registered_model", "name"),
            ("scorer", "experiment_id || '/' || replace(scorer_name, '/', '%2F')"),
        )
    )
    users = dict(rows(path, "SELECT username, id FROM users"))
    return {
        (noun, key, permission)
        for noun, key, permission, user in rows(path, asked)
        if user == users["grace"]
    }


def make_older(path: Path) -> None:
    """Have grants be where they were before 3.13, as in a database that was not upgraded."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version_auth SET version_num = ?", [OLDER])
        for table in ("user_role_assignments", "role_permissions", "roles"):
            connection.execute(f"DELETE FROM {table}")


def test_they_arrive_with_their_users_once(typed: Typed, granted: Ends) -> None:
    words = words_of(granted, *granted.words[-2:])
    before = granted.source.read_bytes()
    report = json.loads(typed("run", *words, "--json", code=3).stdout)
    assert report["failures"] == []
    assert {(it["id"], it["what"]) for it in report["losses"]} == {
        ("readers", "permission on experiment 99")
    }
    assert "user ada has READ on every registered model" in json.dumps(report["warnings"])
    assert own(granted.target) == GRACES
    assert own(granted.target, "ada") == set()
    new = store(granted.target)
    assert new.get_experiment_permission("1", "grace").permission == "MANAGE"
    assert granted.source.read_bytes() == before

    written = granted.target.read_bytes()
    for state in ("migrate.db", "another.db"):
        assert "Wrote nothing" in typed("run", *words, "--state", state, code=3).stdout
    assert granted.target.read_bytes() == written
    assert "no difference" in typed("verify", *words).stdout
    new.delete_experiment_permission("1", "grace")
    assert "MANAGE of user grace" in typed("verify", *words, code=3).stdout
    typed("run", *words, code=3)
    assert own(granted.target) == GRACES


@pytest.mark.skipif(not IS_3_18, reason="MLflow has skills since 3.18")
def test_those_on_skills_arrive(typed: Typed, ends: Ends) -> None:
    named = {"workspace": "default", "organization": "acme", "name": "review"}
    made = {**named, "created_at": 1, "last_updated_at": 1}
    insert(Path(ends.words[0].removeprefix("sqlite:///")), {"skills": made})
    kept = store(ends.source)
    kept.grant_user_resource_permission("grace", "skill", "@acme/review", "EDIT")
    store(ends.target).create_user("grace", "a password of hers")
    typed("run", *words_of(ends))
    assert own(ends.target) == {("experiment", "1", "MANAGE"), ("skill", "@acme/review", "EDIT")}
    assert "Wrote nothing" in typed("run", *words_of(ends), "--state", "another.db").stdout


def test_users_that_are_not_there_are_named_and_nobody_is_made(typed: Typed, granted: Ends) -> None:
    told = json.loads(typed("run", *words_of(granted), "--json", code=3).stdout)
    lost = {(it["id"], it["what"]): it["reason"] for it in told["losses"]}
    assert "user grace does not exist" in lost["churn", "EDIT of user grace"]
    assert rows(granted.target, "SELECT username FROM users") == [("theirs",)]


def test_copies_that_are_there_without_them_get_them(typed: Typed, granted: Ends) -> None:
    """As where a command was killed between an object and what is permitted on it."""
    store(granted.target).create_user("grace", "a password of hers")
    typed("run", *granted.words[:6])
    assert own(granted.target) == set()
    totals = json.loads(typed("run", *words_of(granted), "--json").stdout)["totals"]
    wrote = {kind for kind, it in totals.items() if it["wrote"]}
    assert wrote == {"experiment", "registered model", "prompt", "scorer", "MCP server"}
    assert own(granted.target) == GRACES


def test_what_the_older_tables_still_hold_counts_no_more(typed: Typed, granted: Ends) -> None:
    store(granted.target).create_user("grace", "a password of hers")
    for path in (granted.source, granted.target):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "INSERT INTO experiment_permissions (experiment_id, user_id, permission) "
                "SELECT '1', id, 'READ' FROM users WHERE username = 'grace'"
            )
    typed("run", *words_of(granted))
    assert own(granted.target) == GRACES
    assert older(granted.target) == {("experiment", "1", "READ")}


@pytest.mark.parametrize("is_older", [(True, False), (False, True), (True, True)])
def test_they_go_from_and_into_databases_before_grants_were_of_roles(
    typed: Typed, granted: Ends, is_older: tuple[bool, bool]
) -> None:
    store(granted.target).create_user("grace", "a password of hers")
    wanted = {it for it in GRACES if not any(is_older) or it[0] != "mcp_server"}
    if is_older[0]:
        make_older(granted.source)
        with closing(sqlite3.connect(granted.source)) as connection, connection:
            [(grace,)] = connection.execute("SELECT id FROM users WHERE username = 'grace'")
            connection.execute(
                "INSERT INTO experiment_permissions (experiment_id, user_id, permission) "
                "VALUES ('1', ?, 'MANAGE')",
                [grace],
            )
            connection.executemany(
                "INSERT INTO registered_model_permissions (name, user_id, permission, workspace) "
                "VALUES (?, ?, ?, ?)",
                [
                    ("churn", grace, "NO_PERMISSIONS", "default"),
                    ("greet", grace, "READ", "default"),
                    ("churn", grace, "READ", "another"),
                ],
            )
            connection.execute(
                "INSERT INTO scorer_permissions (experiment_id, scorer_name, user_id, permission) "
                "VALUES ('1', 'a/b', ?, 'EDIT')",
                [grace],
            )
        word = "NO_PERMISSIONS" if is_older[1] else "DENY"
        wanted = {it for it in wanted if it[1] != "churn"} | {("registered_model", "churn", word)}
    if is_older[1]:
        make_older(granted.target)
        wanted = {(noun.replace("prompt", "registered_model"), *rest) for noun, *rest in wanted}
    # What the older form has no table for is named, and missed.
    untold = is_older == (False, True)
    report = json.loads(typed("run", *words_of(granted), "--json", code=3 if untold else 0).stdout)
    lost = [(it["id"], it["what"]) for it in report["losses"]]
    assert lost == ([("com.example/tools", "READ of user grace")] if untold else [])
    assert (older if is_older[1] else own)(granted.target) == wanted
    written = granted.target.read_bytes()
    again = typed("run", *words_of(granted), "--state", "another.db", code=3 if untold else 0)
    assert "Wrote nothing" in again.stdout
    assert granted.target.read_bytes() == written
    told = typed("verify", *words_of(granted), code=3 if untold else 0).stdout
    assert ("1 difference" if untold else "no difference") in told


def test_they_go_through_an_export_by_the_commands_of_other_tools(
    typed: Typed, granted: Ends, tmp_path: Path
) -> None:
    store(granted.target).create_user("grace", "a password of hers")
    source, target, *options = granted.words
    old, new = options[:2], options[2:4]
    auth = ("--source-auth-database", f"sqlite:///{granted.source}")
    export = str(tmp_path / "export")
    to = ("--output-dir", export, "--source", source, *old, *auth, "--export-permissions")
    told = json.loads(typed("export-all", *to, "--json", code=3).stdout)
    assert {it["id"]: (it["what"], it["reason"]) for it in told["losses"]} == {
        "1/a/b": ("EDIT of user grace", "an export keeps no permissions on scorers"),
        "com.example/tools": (
            "READ of user grace",
            "an export keeps no permissions on MCP servers",
        ),
    }
    place = ("--target", target, *new, "--import-permissions")
    auth = ("--target-auth-database", f"sqlite:///{granted.target}")
    typed("import-all", "--input-dir", export, *place, *auth)
    assert own(granted.target) == {it for it in GRACES if it[0] not in ("scorer", "mcp_server")}


def test_without_its_database_what_is_not_granted_names_the_option(
    typed: Typed, granted: Ends
) -> None:
    words = (*granted.words[:-2], "--permissions")
    told = typed("plan", *words).stdout
    assert "name it with --target-auth-database" in " ".join(told.split())
