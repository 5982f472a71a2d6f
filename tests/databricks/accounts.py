"""Who there is in a workspace, and who may do what: the permissions API of its objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.databricks.answers import Refusal

EXPERIMENT_LEVELS = ("CAN_READ", "CAN_EDIT", "CAN_MANAGE")
MODEL_LEVELS = (
    "CAN_READ",
    "CAN_EDIT",
    "CAN_MANAGE_STAGING_VERSIONS",
    "CAN_MANAGE_PRODUCTION_VERSIONS",
    "CAN_MANAGE",
)
LEVELS = {"experiments": EXPERIMENT_LEVELS, "registered-models": MODEL_LEVELS}
OBJECT_TYPES = {"experiments": "mlflowExperiment", "registered-models": "registered-model"}
KINDS = ("user_name", "group_name", "service_principal_name")

#: A kind of ``KINDS`` and a name.
Principal = tuple[str, str]


@dataclass
class Accounts:
    """The people of a workspace: ``tokens`` say whose each is; ``admins`` may do everything."""

    tokens: dict[str, str] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    groups: dict[str, set[str]] = field(default_factory=dict)
    service_principals: set[str] = field(default_factory=set)

    def user_of(self, authorization: str) -> str:
        """The user of a request; refuses tokens that are not known."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(401, "UNAUTHENTICATED", "Credential was not sent or is unsupported")
        if token not in self.tokens:
            raise Refusal(403, "403", "Invalid access token.")
        return self.tokens[token]

    def check_known(self, kind: str, name: str) -> None:
        """Refuses principals that are not there."""
        known = {
            "user_name": self.users,
            "group_name": set(self.groups),
            "service_principal_name": self.service_principals,
        }[kind]
        if name not in known:
            word = {"user_name": "UserName", "group_name": "GroupName"}.get(
                kind, "ServicePrincipal"
            )
            text = f"Principal: {word}({name}) does not exist"
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)

    def names(self, user: str) -> set[Principal]:
        """What a user is granted things as: itself and its groups."""
        groups = {("group_name", name) for name, members in self.groups.items() if user in members}
        return {("user_name", user), *groups}


@dataclass
class Grants:
    """What is granted on the objects of a workspace, by their type and id.

    ``inherited`` is what holds for objects below a folder, or for all of a type (``""``).
    """

    accounts: Accounts
    direct: dict[tuple[str, str], dict[Principal, str]] = field(default_factory=dict)
    inherited: dict[tuple[str, str], dict[Principal, str]] = field(default_factory=dict)
    #: How often permissions were changed, for tests that nothing is written.
    changes: int = 0

    def document(self, kind: str, ident: str, folders: list[str]) -> dict[str, Any]:
        """What GET answers."""
        entries: dict[Principal, list[dict[str, Any]]] = {}
        for principal, level in self.direct.get((kind, ident), {}).items():
            entries.setdefault(principal, []).append(
                {"permission_level": level, "inherited": False}
            )
        for folder in folders:
            for principal, level in self.inherited.get((kind, folder), {}).items():
                held = {
                    "permission_level": level,
                    "inherited": True,
                    "inherited_from_object": [f"/directories{folder}" if folder else f"/{kind}/"],
                }
                entries.setdefault(principal, []).append(held)
        return {
            "object_id": f"/{kind}/{ident}",
            "object_type": OBJECT_TYPES[kind],
            "access_control_list": [
                {key: name, "display_name": name, "all_permissions": held}
                for (key, name), held in entries.items()
            ],
        }

    def check_manages(self, user: str, kind: str, ident: str, folders: list[str]) -> None:
        """Refuses users who may not manage an object."""
        if user in self.accounts.admins:
            return
        held = [self.direct.get((kind, ident), {})]
        held += [self.inherited.get((kind, folder), {}) for folder in folders]
        names = self.accounts.names(user)
        if not any(of.get(name) == "CAN_MANAGE" for of in held for name in names):
            text = f"{user} does not have Manage permissions on {kind}/{ident}"
            raise Refusal(403, "PERMISSION_DENIED", text)

    def change(self, method: str, kind: str, ident: str, body: dict[str, Any]) -> None:
        """PATCH adds and raises, PUT replaces."""
        wanted: dict[Principal, str] = {}
        for entry in body.get("access_control_list", ()):
            named = [key for key in KINDS if entry.get(key)]
            if len(named) != 1:
                raise Refusal(400, "INVALID_PARAMETER_VALUE", "Principal name not defined")
            level = entry.get("permission_level")
            if level not in LEVELS[kind]:
                text = f"Permission type {level} is not defined for {kind}"
                raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
            self.accounts.check_known(named[0], entry[named[0]])
            wanted[(named[0], entry[named[0]])] = level
        self.changes += 1
        there = self.direct.setdefault((kind, ident), {})
        if method == "PUT":
            there.clear()
        there.update(wanted)
