"""Permissions as documents: every dialect is understood, and what is missing is told."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.endpoints.permissions import (
    lacking,
    missing,
    permissions_from,
    permissions_of_users,
)
from migrate.objects import Grant, Permissions

WORKSPACE = {
    "permission_levels": [{"permission_level": "CAN_READ", "description": "Can view"}],
    "permissions": {
        "object_id": "/experiments/7",
        "object_type": "mlflowExperiment",
        "access_control_list": [
            {
                "user_name": "ada@example.com",
                "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": False}],
            },
            {
                "group_name": "admins",
                "all_permissions": [
                    {"permission_level": "CAN_EDIT", "inherited": False},
                    {
                        "permission_level": "CAN_MANAGE",
                        "inherited": True,
                        "inherited_from_object": ["/directories/1"],
                    },
                ],
            },
            {
                "service_principal_name": "11-22",
                "all_permissions": [{"permission_level": "CAN_READ", "inherited": False}],
            },
        ],
    },
}
CATALOG = {
    "permissions": {
        "privilege_assignments": [{"principal": "ada", "privileges": ["EXECUTE", "MANAGE"]}]
    },
    "effective_permissions": {
        "privilege_assignments": [
            {"principal": "ada", "privileges": [{"privilege": "EXECUTE"}]},
            {
                "principal": "team",
                "privileges": [{"privilege": "EXECUTE", "inherited_from_name": "main.ml"}],
            },
        ]
    },
}
USERS = {
    "permissions": {},
    "grants": [
        {"username": "ada", "permission": "EDIT"},
        {"username": "bob", "permission": "READ"},
    ],
}


@pytest.mark.parametrize(
    ("document", "dialect", "grants"),
    [
        (
            WORKSPACE,
            "databricks",
            (
                Grant("ada@example.com", "CAN_MANAGE"),
                Grant("admins", "CAN_EDIT", "group"),
                Grant("admins", "CAN_MANAGE", "group", inherited=True),
                Grant("11-22", "CAN_READ", "service_principal"),
            ),
        ),
        (
            CATALOG,
            "unity-catalog",
            (
                Grant("ada", "EXECUTE", ""),
                Grant("ada", "MANAGE", ""),
                Grant("team", "EXECUTE", "", inherited=True),
            ),
        ),
        (USERS, "basic-auth", (Grant("ada", "EDIT"), Grant("bob", "READ"))),
    ],
    ids=["workspace", "catalog", "basic-auth"],
)
def test_a_document_tells_its_dialect_and_its_grants(
    document: dict[str, Any], dialect: str, grants: tuple[Grant, ...]
) -> None:
    found = permissions_from(document)
    assert (found.dialect, found.grants) == (dialect, grants)
    assert found.document == document


@pytest.mark.parametrize("document", [{}, {"permissions": {}}, {"permissions": None}])
def test_a_document_that_says_nothing_has_no_dialect(document: dict[str, Any]) -> None:
    assert permissions_from(document) == Permissions(document=document)


@pytest.mark.parametrize(
    ("document", "dialect"),
    [
        ({"permissions": {}, "grants": []}, "basic-auth"),
        ({"permissions": {"access_control_list": []}}, "databricks"),
        ({"permissions": {}, "effective_permissions": {}}, "unity-catalog"),
        ({"permissions": {"privilege_assignments": None}}, "unity-catalog"),
    ],
)
def test_nobody_being_allowed_anything_is_not_nothing(
    document: dict[str, Any], dialect: str
) -> None:
    found = permissions_from(document)
    assert (found.dialect, found.grants) == (dialect, ())


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"permissions": []}, "permissions is no object"),
        ({"permissions": {"rules": 1}}, "no known form, with rules"),
        ({"grants": {"ada": "EDIT"}}, "grants is no list"),
        ({"grants": ["ada"]}, "grants holds something that is no object"),
        ({"grants": [{"username": "ada"}]}, "without permission"),
        ({"permissions": {"access_control_list": [{"all_permissions": []}]}}, "0 principals"),
        (
            {"permissions": {"access_control_list": [{"user_name": "a", "group_name": "b"}]}},
            "2 principals",
        ),
        (
            {"permissions": {"privilege_assignments": [{"principal": "a", "privileges": [1]}]}},
            "without privilege",
        ),
    ],
)
def test_a_document_of_another_form_is_refused_and_says_why(
    document: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        permissions_from(document)


def test_permissions_of_users_are_always_written_alike() -> None:
    one = permissions_of_users([("bob", "READ"), ("ada", "EDIT")])
    other = permissions_of_users([("ada", "EDIT"), ("bob", "READ"), ("bob", "READ")])
    assert one == other == permissions_from(USERS)
    assert one.document == USERS


def test_only_direct_grants_are_missed_and_only_direct_ones_are_there() -> None:
    wanted = Permissions(
        dialect="databricks",
        grants=(
            Grant("ada", "CAN_EDIT"),
            Grant("bob", "CAN_READ"),
            Grant("team", "CAN_READ", "group"),
            Grant("admins", "CAN_MANAGE", "group", inherited=True),
        ),
    )
    there = Permissions(
        dialect="databricks",
        grants=(Grant("ada", "CAN_EDIT"), Grant("bob", "CAN_READ", inherited=True)),
    )
    assert missing(wanted, there) == (Grant("bob", "CAN_READ"), Grant("team", "CAN_READ", "group"))
    assert missing(wanted, wanted) == ()


def of(dialect: str, *grants: Grant) -> Permissions:
    return Permissions(dialect=dialect, grants=grants)


def test_in_a_workspace_a_higher_level_is_not_lowered_and_of_several_the_highest_is_granted() -> (
    None
):
    wanted = of(
        "databricks",
        Grant("ada", "CAN_READ"),
        Grant("bob", "CAN_READ"),
        Grant("bob", "CAN_EDIT"),
        Grant("eve", "CAN_EDIT"),
        Grant("new", "CAN_DREAM"),
    )
    there = of(
        "databricks",
        Grant("ada", "CAN_MANAGE"),
        Grant("eve", "CAN_READ"),
        Grant("eve", "CAN_MANAGE", inherited=True),
    )
    assert lacking(wanted, there) == (
        Grant("bob", "CAN_EDIT"),
        Grant("eve", "CAN_EDIT"),
        Grant("new", "CAN_DREAM"),
    )


def test_in_the_catalog_privileges_stand_side_by_side() -> None:
    wanted = of("unity-catalog", Grant("ada", "EXECUTE", ""), Grant("ada", "MANAGE", ""))
    there = of("unity-catalog", Grant("ada", "MANAGE", ""))
    assert lacking(wanted, there) == (Grant("ada", "EXECUTE", ""),)
