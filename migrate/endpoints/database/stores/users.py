"""Users and roles in the database of MLflow's basic-auth app (roles: MLflow 3.13)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from migrate.endpoints.database.reading import Database, Row
from migrate.endpoints.database.stores.entries import readable
from migrate.endpoints.permissions import OF_ONE_USER
from migrate.endpoints.shapes import required_text, text
from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Kind, Ref
from migrate.records.users import Role, RolePermission, User

_ASSIGNED = "user_role_assignments"
A = TypeVar("A", User, Role)


class AuthStore(ABC, Generic[A]):
    """Implements the half of ``Store`` that reads, of users or roles: their names are their ids."""

    kind: ClassVar[Kind]
    table: ClassVar[str]
    #: The column that has the name, and the member of a record.
    key: ClassVar[str]
    identity = Identity.KEPT
    bookkeeping = Bookkeeping.NONE

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    @abstractmethod
    def list(self, containers: Sequence[str]) -> Iterator[A]:
        """See ``Store.list``."""

    def read(self, ids: Sequence[str]) -> Sequence[A]:
        """See ``Store.read``."""
        wanted = frozenset(ids)
        return [record for record in self.list(()) if self._key(record) in wanted]

    def _key(self, record: A) -> str:
        return str(getattr(record, self.key))

    def _named(self, row: Row) -> tuple[Ref, str]:
        return Ref(self.kind, str(row[self.key])), ""


class UserStore(AuthStore[User]):
    """Users, with what their passwords became."""

    kind = Kind.USER
    table = "users"
    key = "username"

    def list(self, containers: Sequence[str]) -> Iterator[User]:
        """See ``Store.list``."""
        self._unreadable.forget(self.kind)
        columns = ("username", "password_hash", "is_admin")
        rows = self._database.rows(self.table, columns, order=("username",))
        return readable(rows, _user, self._named, self.table, self._unreadable)


class RoleStore(AuthStore[Role]):
    """The roles of one workspace, but those of the grants of one user."""

    kind = Kind.ROLE
    table = "roles"
    key = "name"

    def list(self, containers: Sequence[str]) -> Iterator[Role]:
        """See ``Store.list``."""
        self._unreadable.forget(self.kind)
        here = self._database.here(self.table)
        found = self._database.rows(
            self.table, ("id", "name", "description"), *here, order=("name",)
        )
        rows = [row for row in found if not OF_ONE_USER.fullmatch(str(row["name"]))]
        ids = [row["id"] for row in rows]
        permissions = self._permissions(ids)
        members = self._members(ids)

        def role(row: Row) -> Role:
            return Role(
                name=required_text(row, "name"),
                description=text(row, "description"),
                permissions=tuple(sorted(permissions[row["id"]])),
                members=tuple(sorted(members[row["id"]])),
            )

        return readable(rows, role, self._named, self.table, self._unreadable)

    def _permissions(self, ids: Sequence[Any]) -> Mapping[Any, Sequence[RolePermission]]:
        found: defaultdict[Any, list[RolePermission]] = defaultdict(list)
        columns = ("role_id", *RolePermission._fields)
        for row in self._database.rows_of("role_permissions", columns, "role_id", ids):
            said = (str(row[name]) for name in RolePermission._fields)
            found[row["role_id"]].append(RolePermission(*said))
        return found

    def _members(self, ids: Sequence[Any]) -> Mapping[Any, Sequence[str]]:
        found: defaultdict[Any, list[str]] = defaultdict(list)
        given = [*self._database.rows_of(_ASSIGNED, ("role_id", "user_id"), "role_id", ids)]
        users = [*dict.fromkeys(row["user_id"] for row in given)]
        rows = self._database.rows_of("users", ("id", "username"), "id", users)
        names = {row["id"]: str(row["username"]) for row in rows}
        for row in given:
            if row["user_id"] in names:  # SQLite keeps rows of users that are gone
                found[row["role_id"]].append(names[row["user_id"]])
        return found


def _user(row: Row) -> User:
    return User(
        username=required_text(row, "username"),
        is_admin=bool(row["is_admin"]),
        password_hash=text(row, "password_hash"),
    )
