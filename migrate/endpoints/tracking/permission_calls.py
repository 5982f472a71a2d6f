"""The part of a tracking server that knows who we are to it, and who may do what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from migrate.endpoints.permissions import in_words
from migrate.endpoints.protocols import Capabilities, PermissionsWritten
from migrate.endpoints.tracking.basic_auth import BasicAuth
from migrate.endpoints.tracking.http import HttpSession
from migrate.errors import MigrateError, NotAuthenticated
from migrate.objects import Permissions, Ref
from migrate.outcomes import Loss


class PermissionCalls(ABC):
    """Permissions as MLflow's basic-auth app keeps them; none on a server without it.

    ``_basic_auth`` is set by the first call that connects.
    """

    _http: HttpSession
    _side: str
    _username: str
    _basic_auth: BasicAuth | None = None

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``."""

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``."""
        auth = self._auth()
        return auth.permissions(ref) if auth else Permissions()

    def look_up_users(self, names: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up_users``."""
        if auth := self._auth():
            auth.look_up(names)

    def beside_permissions(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside_permissions``."""
        auth = self._auth()
        return auth.beside(ref) if auth else ()

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``."""
        if auth := self._auth():
            return auth.grant(ref, permissions)
        reason = f"not granted: the {self._side} has no permissions that can be written"
        return PermissionsWritten(
            losses=tuple(
                Loss(in_words(grant), reason) for grant in permissions.grants if not grant.inherited
            )
        )

    def _auth(self) -> BasicAuth | None:
        self.capabilities()
        return self._basic_auth

    def _account(self) -> Mapping[str, Any]:
        """Return what the server tells of our account; empty without the app, or a user name."""
        if not self._username:
            return {}
        try:
            answer = self._http.get("/api/2.0/mlflow/users/get", {"username": self._username})
        except NotAuthenticated:
            raise
        except MigrateError:
            return {}
        account: Mapping[str, Any] = answer.get("user", {})
        return account

    def _notes(self, account: Mapping[str, Any]) -> tuple[str, ...]:
        """Say so when this account sees only a part of the server (basic-auth)."""
        if account.get("is_admin", True):
            return ()
        return (
            f"{self._side}: {self._username} is not an administrator there; MLflow leaves out, "
            "without a word, every experiment this account may not read",
        )
