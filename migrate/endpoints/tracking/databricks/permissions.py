"""Permissions of a Databricks workspace and of its Unity Catalog, read and granted.

The calls are those of Databricks' REST API: below ``/api/2.0/permissions`` for experiments and
registered models, and ``/api/2.1/unity-catalog/permissions/function``. To Unity Catalog a
registered model is a function: "set securable_type to FUNCTION" (Databricks' documentation,
"Manage model lifecycle in Unity Catalog").
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.permissions import (
    DATABRICKS,
    UNITY_CATALOG,
    in_words,
    lacking,
    permissions_from,
)
from migrate.endpoints.shapes import ident, items, objects, required
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import (
    EndpointError,
    NoSuchRoute,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
)
from migrate.kinds import Ref
from migrate.objects import Grant, Permissions
from migrate.outcomes import Loss

_NAMES = {
    "user": "user_name",
    "group": "group_name",
    "service_principal": "service_principal_name",
}
CATALOG = "/api/2.1/unity-catalog"


class WorkspacePermissions:
    """Of experiments, and of the registered models that the workspace itself keeps."""

    def __init__(self, http: HttpSession) -> None:
        self._http = http

    def read(self, ref: Ref) -> Permissions:
        """Return who may do what, with the levels there are. Raises ``NotPermitted``."""
        path = self._path(ref)
        levels = items(self._http.get(f"{path}/permissionLevels"), "permission_levels")
        document = {"permission_levels": list(levels), "permissions": self._http.get(path)}
        return _read(document, ref)

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        if permissions.dialect != DATABRICKS:
            return foreign(permissions, DATABRICKS)
        try:
            there = self.read(ref)
        except NotPermitted as problem:
            return _refused(permissions, problem)
        path = self._path(ref)
        todo = lacking(permissions, there)

        def send(grant: Grant) -> None:
            entry = {_NAMES[grant.kind]: grant.principal, "permission_level": grant.permission}
            self._http.change("PATCH", path, {"access_control_list": [entry]})

        return _grant_each(todo, send)

    def _path(self, ref: Ref) -> str:
        if not ref.kind.in_registry:
            return f"/api/2.0/permissions/experiments/{quote(ref.id, safe='')}"
        answer = self._http.get(
            "/api/2.0/mlflow/databricks/registered-models/get", {"name": ref.id}
        )
        found = ident(required(answer, "registered_model_databricks"), "id")
        return f"/api/2.0/permissions/registered-models/{quote(found, safe='')}"


class CatalogPermissions:
    """Of registered models in Unity Catalog: privileges, and what schema and catalog give besides.

    The owner of a model is none of them, and is not carried along.
    """

    def __init__(self, http: HttpSession) -> None:
        self._http = http

    def read(self, ref: Ref) -> Permissions:
        """Return the privileges granted and in effect. Raises ``NotPermitted``."""
        document = {
            "permissions": self._assignments("permissions", ref),
            "effective_permissions": self._assignments("effective-permissions", ref),
        }
        return _read(document, ref)

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        if permissions.dialect != UNITY_CATALOG:
            return foreign(permissions, UNITY_CATALOG)
        try:
            todo = lacking(permissions, self.read(ref))
        except NotPermitted as problem:
            return _refused(permissions, problem)
        path = f"{CATALOG}/permissions/function/{quote(ref.id, safe='')}"

        def send(grant: Grant) -> None:
            change = {"principal": grant.principal, "add": [grant.permission]}
            self._http.change("PATCH", path, {"changes": [change]})

        return _grant_each(todo, send)

    def _assignments(self, kind: str, ref: Ref) -> dict[str, Any]:
        # 0 asks for pages of the server's own size, which alone are complete.
        params = {"max_results": 0}
        path = f"{CATALOG}/{kind}/function/{quote(ref.id, safe='')}"
        pages = self._http.get_pages(path, params)
        return {
            "privilege_assignments": [
                entry for page in pages for entry in objects(page, "privilege_assignments")
            ]
        }


class DatabricksPermissions:
    """Of experiments by the workspace, of ``models`` as they are kept."""

    def __init__(
        self, experiments: WorkspacePermissions, models: WorkspacePermissions | CatalogPermissions
    ) -> None:
        self._experiments = experiments
        self._models = models

    def read(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``."""
        return self._of(ref).read(ref)

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        return self._of(ref).write(ref, permissions)

    def beside(self, ref: Ref) -> Sequence[str]:
        """Return nothing: all access is in the permissions."""
        return ()

    def look_up(self, users: Collection[str]) -> None:
        """Do nothing: permissions name whom they are for."""

    def _of(self, ref: Ref) -> WorkspacePermissions | CatalogPermissions:
        return self._models if ref.kind.in_registry else self._experiments


def foreign(permissions: Permissions, own: str) -> PermissionsWritten:
    """Return all grants as losses: levels of other servers mean nothing here."""
    return _lost(permissions, f"a permission of {permissions.dialect}, unknown to {own}")


def _refused(permissions: Permissions, problem: NotPermitted) -> PermissionsWritten:
    return _lost(permissions, f"the target shows no permissions to this account: {problem}")


def _lost(permissions: Permissions, reason: str) -> PermissionsWritten:
    direct = [grant for grant in permissions.grants if not grant.inherited]
    return PermissionsWritten(losses=tuple(Loss(in_words(grant), reason) for grant in direct))


def _read(document: Mapping[str, Any], ref: Ref) -> Permissions:
    try:
        return permissions_from(document)
    except ValueError as problem:
        raise EndpointError(f"the permissions of {ref.kind} {ref.id!r}: {problem}") from None


def _grant_each(grants: Sequence[Grant], send: Callable[[Grant], None]) -> PermissionsWritten:
    """Grant one after the other, so that one that is refused stands in nobody's way."""
    losses = []
    for grant in grants:
        try:
            send(grant)
        except NotAuthenticated:
            raise
        except (NotPermitted, NoSuchRoute, NotFound, Refused) as problem:
            losses.append(Loss(in_words(grant), f"refused by the target: {problem}"))
    return PermissionsWritten(len(grants) - len(losses), tuple(losses))
