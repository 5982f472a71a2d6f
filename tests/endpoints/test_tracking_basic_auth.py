"""What servers tell of users and their grants, in both dialects, as plain values."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.endpoints.grants import (
    Held,
    OfRole,
    Thing,
    UserGrants,
    beside_own,
    not_found,
    thing_of,
    word_for,
)
from migrate.endpoints.tracking.permissions.wire import (
    grants_of_known,
    grants_of_listed,
    tells_roles,
)
from migrate.kinds import Kind, Ref

EXPERIMENT = Thing("experiment", "7")
MODEL = Thing("registered_model", "churn")


def role(name: str, *grants: tuple[str, str, str], workspace: str = "default") -> dict[str, Any]:
    permissions = [
        {"id": number, "resource_type": kind, "resource_pattern": ident, "permission": permission}
        for number, (kind, ident, permission) in enumerate(grants, 10)
    ]
    return {"name": name, "workspace": workspace, "permissions": permissions}


LISTED = {
    "id": 3,
    "username": "ada",
    "roles": [
        role("__user_3__", ("experiment", "7", "EDIT"), ("prompt", "greet", "READ")),
        role("__user_3__", ("experiment", "8", "EDIT"), workspace="lab"),
        role("__user_33__", ("experiment", "9", "MANAGE")),
        role("readers", ("registered_model", "*", "READ")),
        role("lab readers", ("experiment", "*", "READ"), workspace="lab"),
    ],
}


class TestListed:
    def test_own_grants_are_those_of_the_hidden_role_with_the_ids_to_change_them(self) -> None:
        own = {EXPERIMENT: Held("EDIT", 10), Thing("prompt", "greet"): Held("READ", 11)}
        assert grants_of_listed(LISTED, "").own == own

    def test_grants_of_shared_roles_are_kept_apart(self) -> None:
        grants = grants_of_listed(LISTED, "")
        assert OfRole("readers", Thing("registered_model", "*"), "READ") in grants.by_roles

    def test_only_the_workspace_that_is_copied_counts(self) -> None:
        grants = grants_of_listed(LISTED, "lab")
        assert list(grants.own) == [Thing("experiment", "8")]
        assert [given.role for given in grants.by_roles] == ["lab readers"]


class TestKnown:
    def test_grants_are_told_by_kind(self) -> None:
        user = {
            "experiment_permissions": [{"experiment_id": "7", "permission": "EDIT"}],
            "registered_model_permissions": [{"name": "churn", "permission": "READ"}],
        }
        assert not tells_roles(user)
        assert grants_of_known(user, "").own == {EXPERIMENT: Held("EDIT"), MODEL: Held("READ")}

    def test_models_of_another_workspace_are_left_out(self) -> None:
        models = [
            {"name": "churn", "permission": "READ", "workspace": "default"},
            {"name": "churn", "permission": "MANAGE", "workspace": "lab"},
        ]
        user = {"experiment_permissions": [], "registered_model_permissions": models}
        assert grants_of_known(user, "").own == {MODEL: Held("READ")}
        assert grants_of_known(user, "lab").own == {MODEL: Held("MANAGE")}


@pytest.mark.parametrize(
    ("kind", "roles", "expected"),
    [
        (Kind.EXPERIMENT, True, "experiment"),
        (Kind.PROMPT, True, "prompt"),
        (Kind.PROMPT, False, "registered_model"),
        (Kind.REGISTERED_MODEL, False, "registered_model"),
    ],
)
def test_prompts_are_registered_models_to_a_server_without_roles(
    kind: Kind, roles: bool, expected: str
) -> None:
    assert thing_of(Ref(kind, "x"), roles=roles) == Thing(expected, "x")


def test_each_dialect_has_its_own_word_for_keeping_a_user_out() -> None:
    assert [word_for(word, roles=True) for word in ("NO_PERMISSIONS", "DENY")] == ["DENY"] * 2
    assert [word_for(word, roles=False) for word in ("NO_PERMISSIONS", "DENY")] == [
        "NO_PERMISSIONS"
    ] * 2
    assert word_for("EDIT", roles=False) == "EDIT"


class TestBeside:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (Thing("experiment", "7"), "role 'r' has EDIT on experiment '7' (ada)"),
            (Thing("experiment", "*"), "role 'r' has EDIT on every experiment (ada)"),
            (Thing("run", "*"), "role 'r' has EDIT on every run (ada)"),
            (Thing("workspace", "*"), "role 'r' has EDIT on the workspace (ada)"),
            (Thing("experiment", "8"), None),
            (Thing("registered_model", "*"), None),
            (Thing("scorer", "7"), None),
        ],
    )
    def test_roles_count_that_touch_an_object(self, given: Thing, says: str | None) -> None:
        users = {"ada": UserGrants({}, (OfRole("r", given, "EDIT"),)), "bob": UserGrants()}
        told = beside_own(EXPERIMENT, users)
        assert [text.partition(":")[0] for text in told] == ([says] if says else [])

    def test_own_grants_count_where_they_are_on_everything(self) -> None:
        own = {EXPERIMENT: Held("EDIT"), Thing("experiment", "*"): Held("READ")}
        told = beside_own(EXPERIMENT, {"ada": UserGrants(own)})
        assert told == ("user ada has READ on every experiment: such grants are not copied",)

    def test_of_a_role_that_many_have_some_are_named(self) -> None:
        role_grant = OfRole("r", EXPERIMENT, "READ")
        users = {f"user{number}": UserGrants({}, (role_grant,)) for number in range(7)}
        (told,) = beside_own(EXPERIMENT, users)
        assert "(user0, user1, user2, user3, user4 and 2 more)" in told


def test_names_that_may_be_lists_are_missed_only_where_no_reading_finds_a_user() -> None:
    names = ("ada", "bob,carol", "bob", "carol", "Doe, Jane", "Doe", "Jane")
    assert not_found(names, {"ada", "bob", "Doe, Jane"}) == ["carol"]
