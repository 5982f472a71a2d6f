"""Who may do what, in the database of MLflow's basic-auth app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from threading import RLock
from typing import Any

from migrate.endpoints.database.reading import Database
from migrate.endpoints.grants import (
    OLDER,
    Held,
    OfRole,
    Thing,
    UserGrants,
    beside,
    older_thing,
    own_role,
    permissions_on,
    thing_of,
)
from migrate.kinds import Ref
from migrate.objects import Permissions

#: The table in which the app says of which revision its tables are.
_VERSIONS = "alembic_version_auth"
#: The revisions in which grants are not those of roles yet, though some have roles.
_WITHOUT = frozenset(
    {"8606fa83a998", "0965eb92f5f0", "a1b2c3d4e5f6", "2ed73881770d", "c3d4e5f6a7b8"}
)


class AuthPermissions:
    """Implements ``ReadsPermissions``: all grants are read at the first question.

    Since MLflow 3.13 a user's own grants are those of a hidden role, and what the older tables
    still hold counts no more. With ``names``, of a source those of these users are read;
    with ``roles_too`` roles are copied beside grants.
    """

    def __init__(
        self, auth: Database, *, side: str, names: Sequence[str] = (), roles_too: bool = False
    ) -> None:
        self._auth = auth
        self._side = side
        self._names = names
        self._roles_too = roles_too
        self._lock = RLock()
        self._known: dict[str, UserGrants] | None = None

    def read(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.read``."""
        named = self._names if self._side == "source" else ()
        return permissions_on(self._thing(ref), self._users(), named=named)

    def look_up(self, users: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up``: some may have been made since they were listed."""
        with self._lock:
            if self._known is not None and not self._known.keys() >= set(users):
                self._known = None

    def beside(self, ref: Ref) -> Sequence[str]:
        """See ``ReadsPermissions.beside``."""
        return beside(
            self._thing(ref),
            self._users(),
            named=self._names,
            side=self._side,
            roles_too=self._roles_too,
        )

    def _thing(self, ref: Ref) -> Thing:
        return thing_of(ref, roles=self._in_roles)

    @cached_property
    def _in_roles(self) -> bool:
        """Whether grants are those of roles; nobody upgrades the database meanwhile."""
        versions = {row["version_num"] for row in self._auth.rows(_VERSIONS, ("version_num",))}
        return self._auth.has("role_permissions") and not versions & _WITHOUT

    def _users(self) -> Mapping[str, UserGrants]:
        with self._lock:
            if self._known is None:
                rows = self._auth.rows("users", ("id", "username"))
                ids = {row["id"]: str(row["username"]) for row in rows}
                found = {name: UserGrants() for name in ids.values()}
                self._read_roles(ids, found)
                if not self._in_roles:
                    for table in OLDER:
                        self._read_older(table, ids, found)
                self._known = found
            return self._known

    def _read_roles(self, ids: Mapping[Any, str], found: Mapping[str, UserGrants]) -> None:
        here = self._auth.here("roles")
        roles = {row["id"]: row["name"] for row in self._auth.rows("roles", ("id", "name"), *here)}
        permitted: defaultdict[Any, dict[Thing, str]] = defaultdict(dict)
        columns = ("role_id", "resource_type", "resource_pattern", "permission")

        def use(rows: Sequence[Any]) -> None:
            for role, noun, pattern, permission in rows:
                if role in roles:
                    permitted[role][Thing(str(noun), str(pattern))] = str(permission)

        self._auth.take("role_permissions", columns, use)
        for row in self._auth.rows("user_role_assignments", ("user_id", "role_id")):
            user, role = ids.get(row["user_id"]), row["role_id"]
            if user is None or role not in roles:  # SQLite keeps rows of users that are gone
                continue
            grants = found[user]
            if roles[role] == own_role(row["user_id"]):
                grants.own |= {it: Held(word) for it, word in permitted[role].items()}
            else:
                grants.by_roles += tuple(
                    OfRole(roles[role], it, word) for it, word in permitted[role].items()
                )

    def _read_older(
        self, table: str, ids: Mapping[Any, str], found: Mapping[str, UserGrants]
    ) -> None:
        columns = ("user_id", "permission", *OLDER[table][1])

        def use(rows: Sequence[Any]) -> None:
            for user, permission, *names in rows:
                if user in ids:
                    thing = older_thing(table, *map(str, names))
                    found[ids[user]].own[thing] = Held(str(permission))

        self._auth.take(table, columns, use, *self._auth.here(table))
