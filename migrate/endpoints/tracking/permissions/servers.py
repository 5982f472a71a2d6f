"""Who we are to a tracking server, and who may do what there."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.permissions import in_words
from migrate.endpoints.shapes import member
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.permissions.basic_auth import BasicAuth, open_basic_auth
from migrate.errors import MigrateError, NotAuthenticated
from migrate.kinds import REGISTRY_KINDS, Ref
from migrate.objects import Permissions
from migrate.outcomes import Loss


class _Access(NamedTuple):
    """The way to the grants of each server, or in words why there is none; and our account."""

    server: BasicAuth | str
    registry: BasicAuth | str
    account: Mapping[str, Any]


class ServerPermissions:
    """Permissions as MLflow's basic-auth app keeps them.

    Both servers, where registered models are on another one, have their own users. ``users`` are
    those whose permissions are asked for where a server cannot list its users; with ``roles_too``
    roles are copied beside them.
    """

    def __init__(
        self,
        http: HttpSession,
        registry: HttpSession,
        *,
        users: Sequence[str] = (),
        workspace: str = "",
        roles_too: bool = False,
    ) -> None:
        self._http = http
        self._registry = registry
        self._users = users
        self._workspace = workspace
        self._roles_too = roles_too
        self._found: _Access | None = None
        self._looking = threading.Lock()

    def available(self) -> tuple[bool, str]:
        """Say whether there are grants to be read and given, and if not why."""
        access = self._access()
        reasons = [it for it in (access.server, access.registry) if isinstance(it, str)]
        return len(reasons) < 2, reasons[0] if len(reasons) == 2 else ""

    def notes(self) -> tuple[str, ...]:
        """Say so when this account sees only a part of the server (basic-auth)."""
        if self._access().account.get("is_admin", True):
            return ()
        return (
            f"{self._http.side}: {self._http.username} is not an administrator there; MLflow "
            "leaves out, without a word, every experiment this account may not read",
        )

    def read(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``."""
        auth = self._auth_for(ref)
        return auth.permissions(ref) if isinstance(auth, BasicAuth) else Permissions()

    def look_up(self, users: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up``."""
        for auth in self._access()[:2]:
            if isinstance(auth, BasicAuth):
                auth.look_up(users)

    def beside(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside``."""
        auth = self._auth_for(ref)
        if isinstance(auth, BasicAuth):
            return auth.beside(ref)
        # Only where the other server has them: without any, the capabilities say why.
        guarded = any(isinstance(it, BasicAuth) for it in self._access()[:2])
        return (f"its permissions are not copied: {auth}",) if guarded else ()

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        auth = self._auth_for(ref)
        if isinstance(auth, BasicAuth):
            return auth.grant(ref, permissions)
        side = self._http.side
        reason = f"not granted: the {side} has no permissions that can be written: {auth}"
        return PermissionsWritten(
            losses=tuple(
                Loss(in_words(grant), reason) for grant in permissions.grants if not grant.inherited
            )
        )

    def forget(self, name: str) -> None:
        """Hear that a registered model or prompt was deleted."""
        auth = self._access().registry
        if isinstance(auth, BasicAuth):
            auth.forget(name)

    def _auth_for(self, ref: Ref) -> BasicAuth | str:
        access = self._access()
        return access.registry if ref.kind in REGISTRY_KINDS else access.server

    def _access(self) -> _Access:
        """Return the ways to the grants, looked for at the first question."""
        with self._looking:
            if self._found is None:
                account = self._account(self._http)
                server = registry = self._open(self._http, account)
                if self._registry is not self._http:
                    registry = self._open(self._registry, self._account(self._registry))
                self._found = _Access(server, registry, account)
            return self._found

    def _open(self, http: HttpSession, account: Mapping[str, Any]) -> BasicAuth | str:
        return open_basic_auth(
            http,
            account,
            side=http.side,
            users=self._users,
            workspace=self._workspace,
            roles_too=self._roles_too,
        )

    def _account(self, http: HttpSession) -> Mapping[str, Any]:
        """Return what a server tells of our account; empty without the app, or a user name."""
        if not http.username:
            return {}
        try:
            answer = http.get(f"{API}/users/get", {"username": http.username})
        except NotAuthenticated:
            raise
        except MigrateError:
            return {}
        return member(answer, "user")
