"""Permissions as documents: what a server says of who may do what with an object. Pure.

The shapes tell the dialects apart. Databricks' are those of its REST API, in the form that
mlflow-export-import keeps in its exports; MLflow's basic-auth app has none, so that one is ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.kinds import Ref
from migrate.objects import Grant, Loss, Permissions

#: Objects of a Databricks workspace: ``api/2.0/permissions/{experiments,registered-models}``.
DATABRICKS = "databricks"
#: Models in Databricks' Unity Catalog: ``api/2.1/unity-catalog/permissions``.
UNITY_CATALOG = "unity-catalog"
#: MLflow's basic-auth app: ``READ``, ``EDIT``, ``MANAGE`` and their like, for users.
BASIC_AUTH = "basic-auth"
#: The role that holds the grants of one user, which MLflow lets nobody give.
OF_ONE_USER = re.compile(r"__user_\d+__")
#: Levels of objects in a workspace, each of which has those before it in it.
LEVELS = (
    "CAN_READ",
    "CAN_EDIT",
    "CAN_MANAGE_STAGING_VERSIONS",
    "CAN_MANAGE_PRODUCTION_VERSIONS",
    "CAN_MANAGE",
)

_PRINCIPALS = {
    "user_name": "user",
    "group_name": "group",
    "service_principal_name": "service_principal",
}


def permissions_from(document: Mapping[str, Any]) -> Permissions:
    """Return what a document says; without a dialect where it says nothing.

    Raises ``ValueError`` that tells what is wrong, for a document of no known form.
    """
    direct = _member(document, "permissions")
    if "grants" in document:
        dialect, grants = BASIC_AUTH, _of_users(document)
    elif "effective_permissions" in document or "privilege_assignments" in direct:
        dialect, grants = UNITY_CATALOG, _of_catalog(document)
    elif "access_control_list" in direct or "permission_levels" in document:
        dialect, grants = DATABRICKS, _of_workspace(direct)
    elif not direct:
        return Permissions(document=document)
    else:
        raise ValueError(f"permissions of no known form, with {', '.join(sorted(direct))}")
    return Permissions(dialect=dialect, grants=tuple(dict.fromkeys(grants)), document=document)


def permissions_of_users(permissions: Iterable[tuple[str, str]]) -> Permissions:
    """Return the permissions of users of MLflow's basic-auth app, from pairs of both names."""
    grants = [{"username": user, "permission": word} for user, word in sorted(set(permissions))]
    return permissions_from({"permissions": {}, "grants": grants})


def missing(wanted: Permissions, there: Permissions) -> tuple[Grant, ...]:
    """Return the direct grants of ``wanted`` that ``there`` has not, or has only inherited.

    What is inherited at the source belongs to something that is not copied, and is not missed.
    """
    held = set(map(_comparable, there.grants))
    return tuple(
        grant for grant in wanted.grants if not grant.inherited and _comparable(grant) not in held
    )


def lacking(wanted: Permissions, there: Permissions) -> tuple[Grant, ...]:
    """Return the grants of ``missing`` by which somebody gets more than ``there`` gives.

    In a Databricks workspace a principal has one direct level, with all lower ones in it: to send
    a lower one would take the higher one away.
    """
    grants = missing(wanted, there)
    if wanted.dialect != DATABRICKS:
        return grants
    held: dict[tuple[str, str], int] = {}
    for grant in there.grants:
        if not grant.inherited:
            whose = (grant.kind, grant.principal)
            held[whose] = max(held.get(whose, -1), _rank(grant))
    highest: dict[tuple[str, str], Grant] = {}
    for grant in grants:
        whose = (grant.kind, grant.principal)
        if _rank(grant) <= held.get(whose, -1):
            continue
        if whose not in highest or _rank(highest[whose]) < _rank(grant):
            highest[whose] = grant
    return tuple(highest.values())


def _rank(grant: Grant) -> int:
    """Return the place of a level; one that is not known is above all."""
    return LEVELS.index(grant.permission) if grant.permission in LEVELS else len(LEVELS)


def in_words(grant: Grant) -> str:
    """Return how reports call a grant: ``EDIT of user ada``."""
    return " ".join(filter(None, (grant.permission, "of", grant.kind, grant.principal)))


def _comparable(grant: Grant) -> Grant:
    """Return a grant in the one word for both of basic-auth that keep a user out.

    ``NO_PERMISSIONS`` went when roles came, in 3.13, and ``DENY`` came with 3.17.
    """
    return grant._replace(permission="DENY") if grant.permission == "NO_PERMISSIONS" else grant


def _of_users(document: Mapping[str, Any]) -> Iterator[Grant]:
    for entry in _entries(document, "grants"):
        yield Grant(_text(entry, "username"), _text(entry, "permission"))


def _of_workspace(permissions: Mapping[str, Any]) -> Iterator[Grant]:
    for entry in _entries(permissions, "access_control_list"):
        named = [key for key in _PRINCIPALS if entry.get(key)]
        if len(named) != 1:
            raise ValueError(f"an entry that names {len(named)} principals: {entry}")
        principal, kind = _text(entry, named[0]), _PRINCIPALS[named[0]]
        for held in _entries(entry, "all_permissions"):
            inherited = bool(held.get("inherited"))
            yield Grant(principal, _text(held, "permission_level"), kind, inherited)


def _of_catalog(document: Mapping[str, Any]) -> Iterator[Grant]:
    """Yield the direct grants, then those that only hold because of a schema or catalog."""
    direct = set(_assigned(_member(document, "permissions")))
    effective = _assigned(_member(document, "effective_permissions"))
    for principal, privilege in sorted(direct):
        yield Grant(principal, privilege, "")
    for principal, privilege in effective:
        if (principal, privilege) not in direct:
            yield Grant(principal, privilege, "", inherited=True)


def _assigned(permissions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield who has which privilege: the API names direct ones, and describes effective ones."""
    for entry in _entries(permissions, "privilege_assignments"):
        for privilege in _list(entry, "privileges"):
            named = {"privilege": privilege} if isinstance(privilege, str) else privilege
            yield _text(entry, "principal"), _text(named, "privilege")


def _member(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ValueError(f"{key} is no object: {found!r}")
    return found


def _entries(value: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = _list(value, key)
    for entry in found:
        if not isinstance(entry, Mapping):
            raise ValueError(f"{key} holds something that is no object: {entry!r}")
    return found


def _list(value: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = value.get(key)
    if found is not None and not isinstance(found, list | tuple):
        raise ValueError(f"{key} is no list: {found!r}")
    return found or ()


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, str) or not found:
        raise ValueError(f"an entry without {key}: {value!r}")
    return found


class NoPermissions:
    """Implements ``ReadsPermissions`` for what does not know who may do what."""

    def read(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``."""
        return Permissions()

    def look_up(self, users: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up``."""

    def beside(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside``."""
        return ()


class UngrantedPermissions(NoPermissions):
    """Implements ``WritesPermissions`` for what cannot grant any; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self._reason = f"not granted: {reason}"

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        granted = (grant for grant in permissions.grants if not grant.inherited)
        losses = (Loss(in_words(grant), self._reason) for grant in granted)
        return PermissionsWritten(losses=tuple(losses))
