"""Writes users and roles into the database of MLflow's basic-auth app."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Engine

from migrate.endpoints.database.auth import ESSENTIAL, require_users
from migrate.endpoints.database.opening import engine_of
from migrate.endpoints.database.reading import Database, among, is_
from migrate.endpoints.database.stores.users import A, AuthStore, RoleStore, UserStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.stores import Found
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import NotFound, Refused
from migrate.objects import Loss
from migrate.records.users import Role, User


class WrittenAuthDatabase(WrittenDatabase):
    """Users and roles, to be written. It is not made where it is missing.

    What it has is asked for table by table, of whichever revision it is.
    """

    _essential = ESSENTIAL

    def _recognized(self, connection: Connection) -> str:
        return require_users(self._tables, self.shown)

    def _new_engine(self) -> Engine:
        return engine_of(self._uri, writes=not self._reads_only)

    def _connect(self) -> None:
        Database._connect(self)


class _Written(AuthStore[A]):
    """What both have in common: they are found by their names, and none is ever taken away."""

    def __init__(self, database: WrittenAuthDatabase, unreadable: UnreadableObjects) -> None:
        super().__init__(database, unreadable)
        self._written = database

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[A]]]:
        """See ``Store.find``."""
        named = ((self._key(it), it) for it in self.list(()))
        return {key: [Found(it)] for key, it in named if keys is None or key in keys}

    def delete(self, copy: A) -> None:
        """Raise ``Refused``: this tool takes no account and no right away."""
        raise Refused(f"{self.kind} {self._key(copy)} stays: no {self.kind} is deleted")


class WrittenUserStore(_Written[User], UserStore):
    """Users, who keep their passwords: what these became is taken over as it is."""

    def create(self, container: str, wanted: User) -> User:
        """See ``Store.create``. Raises ``Refused`` for one whose password nothing is known of."""
        if not wanted.password_hash:
            raise Refused(
                "its password is kept by no source but the database of a basic-auth app",
                "name that with --source-auth-database, or make the user by the target's server",
            )
        with self._written.transaction() as transaction:
            row = {"username": wanted.username, "password_hash": wanted.password_hash}
            transaction.insert("users", {**row, "is_admin": wanted.is_admin})
        return wanted

    def finish(
        self, copy: User, wanted: User, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        if copy.is_admin != wanted.is_admin:
            with self._written.transaction() as transaction:
                mine = is_("username", copy.username)
                transaction.update("users", {"is_admin": wanted.is_admin}, mine)
        return ()


class WrittenRoleStore(_Written[Role], RoleStore):
    """Roles. What one has and should not have is left: nobody loses anything."""

    def create(self, container: str, wanted: Role) -> Role:
        """See ``Store.create``; the whole of it is there when this returns."""
        with self._written.transaction() as transaction:
            row = {"name": wanted.name, "workspace": self._written.workspace}
            transaction.insert("roles", {**row, "description": wanted.description or None})
            self._write(transaction, wanted)
        return wanted

    def finish(
        self, copy: Role, wanted: Role, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        missing = {*wanted.permissions} - {*copy.permissions} or {*wanted.members} - {*copy.members}
        if missing or wanted.description != copy.description:
            with self._written.transaction() as transaction:
                self._write(transaction, wanted)
        return ()

    def _write(self, transaction: Transaction, wanted: Role) -> None:
        mine = (is_("name", wanted.name), *self._written.here("roles"))
        found = transaction.rows("roles", ("id",), *mine)
        if not found:
            raise NotFound(f"role {wanted.name} is not there any more")
        role = {"role_id": found[0]["id"]}
        transaction.update("roles", {"description": wanted.description or None}, *mine)
        permissions = ({**role, **item._asdict()} for item in wanted.permissions)
        key = ("role_id", "resource_type", "resource_pattern")
        transaction.put("role_permissions", key, permissions)
        users = transaction.rows("users", ("id",), among("username", wanted.members))
        assigned = ({**role, "user_id": user["id"]} for user in users)
        transaction.insert_missing("user_role_assignments", assigned)
