"""The part of a tracking server that knows who we are to it, and who may do what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Capabilities, PermissionsWritten
from migrate.endpoints.permissions import in_words
from migrate.endpoints.shapes import member
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.permissions.basic_auth import BasicAuth, open_basic_auth
from migrate.errors import MigrateError, NotAuthenticated
from migrate.objects import REGISTRY_KINDS, Permissions, Ref
from migrate.outcomes import Loss


class PermissionCalls(ABC):
    """Permissions as MLflow's basic-auth app keeps them.

    Both servers, where registered models are on another one, have their own users.
    """

    _http: HttpSession
    _registry_http: HttpSession
    _side: str
    _users: Sequence[str]
    _workspace: str
    #: The way to the grants of each server, or in words why there is none. Set on connecting.
    _auth: BasicAuth | str = ""
    _registry_auth: BasicAuth | str = ""

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``."""

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``."""
        auth = self._auth_for(ref)
        return auth.permissions(ref) if isinstance(auth, BasicAuth) else Permissions()

    def look_up_users(self, names: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up_users``."""
        self.capabilities()
        for auth in (self._auth, self._registry_auth):
            if isinstance(auth, BasicAuth):
                auth.look_up(names)

    def beside_permissions(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside_permissions``."""
        auth = self._auth_for(ref)
        if isinstance(auth, BasicAuth):
            return auth.beside(ref)
        # Only where the other server has them: without any, the capabilities say why.
        guarded = any(isinstance(it, BasicAuth) for it in (self._auth, self._registry_auth))
        return (f"its permissions are not copied: {auth}",) if guarded else ()

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``."""
        auth = self._auth_for(ref)
        if isinstance(auth, BasicAuth):
            return auth.grant(ref, permissions)
        reason = f"not granted: the {self._side} has no permissions that can be written: {auth}"
        return PermissionsWritten(
            losses=tuple(
                Loss(in_words(grant), reason) for grant in permissions.grants if not grant.inherited
            )
        )

    def _auth_for(self, ref: Ref) -> BasicAuth | str:
        self.capabilities()
        return self._registry_auth if ref.kind in REGISTRY_KINDS else self._auth

    def _find_permissions(self, account: Mapping[str, Any]) -> tuple[bool, str]:
        """Look for the way to the grants; say whether there is one, and if not why."""
        self._auth = self._registry_auth = self._open(self._http, account)
        if self._registry_http is not self._http:
            there = self._account(self._registry_http)
            self._registry_auth = self._open(self._registry_http, there)
        reasons = [it for it in (self._auth, self._registry_auth) if isinstance(it, str)]
        return len(reasons) < 2, reasons[0] if len(reasons) == 2 else ""

    def _open(self, http: HttpSession, account: Mapping[str, Any]) -> BasicAuth | str:
        side, users, workspace = self._side, self._users, self._workspace
        return open_basic_auth(http, account, side=side, users=users, workspace=workspace)

    def _account(self, http: HttpSession) -> Mapping[str, Any]:
        """Return what a server tells of our account; empty without the app, or a user name."""
        if not http.username:
            return {}
        try:
            answer = http.get("/api/2.0/mlflow/users/get", {"username": http.username})
        except NotAuthenticated:
            raise
        except MigrateError:
            return {}
        return member(answer, "user")

    def _notes(self, account: Mapping[str, Any]) -> tuple[str, ...]:
        """Say so when this account sees only a part of the server (basic-auth)."""
        if account.get("is_admin", True):
            return ()
        return (
            f"{self._side}: {self._http.username} is not an administrator there; MLflow leaves "
            "out, without a word, every experiment this account may not read",
        )
