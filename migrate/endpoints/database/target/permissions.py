"""Grants on what was copied, into the database of MLflow's basic-auth app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.database.permissions import AuthPermissions
from migrate.endpoints.database.reading import Condition, Row, is_
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.users import WrittenAuthDatabase
from migrate.endpoints.grants import Held, Thing, older_names, own_role, word_for
from migrate.endpoints.permissions import BASIC_AUTH, in_words
from migrate.errors import Refused
from migrate.kinds import Ref
from migrate.objects import Grant, Permissions
from migrate.outcomes import Loss

_PERMITS, _ASSIGNED = "role_permissions", "user_role_assignments"
_KEY = ("role_id", "resource_type", "resource_pattern")
#: The words of both dialects (``mlflow/server/auth/permissions.py``): others no server knows.
_WORDS = frozenset({"READ", "USE", "EDIT", "MANAGE", "DENY", "NO_PERMISSIONS"})


class WrittenAuthPermissions(AuthPermissions):
    """Implements ``WritesPermissions``; the grants on one object come in one transaction."""

    def __init__(
        self, auth: WrittenAuthDatabase, *, names: Sequence[str] = (), roles_too: bool = False
    ) -> None:
        super().__init__(auth, side="target", names=names, roles_too=roles_too)
        self._written = auth

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        roles, thing = self._in_roles, self._thing(ref)
        losses, due = [], []
        for told in permissions.grants:
            if told.inherited:
                continue
            grant = told._replace(permission=word_for(told.permission, roles=roles))
            user = self._user_id(grant.principal) if grant.kind == "user" else None
            if reason := self._why_not(grant, user, thing, permissions.dialect):
                losses.append(Loss(in_words(grant), f"not granted: {reason}"))
            elif not self._is_given(user, thing, grant.permission):
                due.append((user, grant))
        if due:
            with self._written.transaction() as transaction:
                for user, grant in due:
                    self._give(transaction, user, thing, grant.permission)
            self._note([grant for _, grant in due], thing)
        return PermissionsWritten(len(due), tuple(losses))

    def _user_id(self, name: str) -> Any:
        found = self._auth.rows("users", ("id",), is_("username", name))
        return found[0]["id"] if found else None

    def _why_not(self, grant: Grant, user: Any, thing: Thing, dialect: str) -> str:
        """Say why there is nobody, or nothing, to be granted."""
        if dialect != BASIC_AUTH or grant.kind != "user":
            return f"a permission of another kind of server ({dialect})"
        if user is None:
            return f"user {grant.principal} does not exist on the {self._side}"
        older = older_names(thing)
        if not (self._in_roles or (older and self._auth.has(older[0]))):
            return f"this version of the basic-auth app has none on a {thing.type}"
        return "" if grant.permission in _WORDS else f"{grant.permission} is no word of MLflow's"

    def _is_given(self, user: Any, thing: Thing, permission: str) -> bool:
        """Say whether there is nothing to write."""
        if not self._in_roles:
            table, where = self._older(user, thing)
        else:
            roles = self._auth.rows("roles", ("id",), *_all(self._role(user)))
            table, where = _PERMITS, {"role_id": roles[0]["id"] if roles else None, **_on(thing)}
            given = {"role_id": where["role_id"], "user_id": user}
            if not roles or not self._auth.rows(_ASSIGNED, ("id",), *_all(given)):
                return False
        held = self._auth.rows(table, ("permission",), *_all(where))
        return bool(held) and held[0]["permission"] == permission

    def _give(self, transaction: Transaction, user: Any, thing: Thing, permission: str) -> None:
        if not self._in_roles:
            table, where = self._older(user, thing)
            transaction.put(table, tuple(where), [{**where, "permission": permission}])
            return
        role = self._role(user)
        transaction.insert_missing("roles", [role])
        ident = transaction.rows("roles", ("id",), *_all(role))[0]["id"]
        assigned = transaction.rows(_ASSIGNED, ("user_id",), is_("role_id", ident))
        if any(row["user_id"] != user for row in assigned):
            raise Refused(f"role {role['name']}, which is of one user, is given to another too")
        transaction.insert_missing(_ASSIGNED, [{"user_id": user, "role_id": ident}])
        row = {"role_id": ident, **_on(thing), "permission": permission}
        transaction.put(_PERMITS, _KEY, [row])

    def _role(self, user: Any) -> Row:
        return {"name": own_role(user), "workspace": self._written.workspace}

    def _older(self, user: Any, thing: Thing) -> tuple[str, Row]:
        """Return the table in which versions before 3.13 keep a grant, and what names it there."""
        found = older_names(thing)
        assert found is not None
        table, names = found
        here = {"workspace": self._written.workspace} if self._auth.has(table, "workspace") else {}
        return table, {**here, **names, "user_id": user}

    def _note(self, granted: Sequence[Grant], thing: Thing) -> None:
        """Have what was granted be known where grants were read before."""
        with self._lock:
            for grant in granted:
                if self._known is not None and grant.principal in self._known:
                    self._known[grant.principal].own[thing] = Held(grant.permission)


def _on(thing: Thing) -> Row:
    return {"resource_type": thing.type, "resource_pattern": thing.id}


def _all(row: Row) -> Sequence[Condition]:
    return [is_(name, value) for name, value in row.items()]
