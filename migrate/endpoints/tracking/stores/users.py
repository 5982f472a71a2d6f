"""Users and roles of a tracking server that runs MLflow's basic-auth app."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from migrate.endpoints.failures import without_statement
from migrate.endpoints.permissions import OF_ONE_USER
from migrate.endpoints.shapes import (
    Object,
    flag,
    ident,
    objects,
    required,
    required_count,
    required_text,
    text,
    told_id,
)
from migrate.endpoints.stores import Found, Identity
from migrate.endpoints.tracking.entries import Entries, Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API, NEWER_API, ROLES, USERS
from migrate.endpoints.tracking.passwords import PasswordFile
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.errors import (
    AlreadyExists,
    EndpointError,
    NoSuchRoute,
    NotFound,
    NotPermitted,
    Refused,
)
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.users import Role, RolePermission, User

_LIST = f"{API}/users/list"
_USERS = Form(Kind.USER, lambda entry: Told(told_id(entry, "username")))
_ROLES = Form(Kind.ROLE, lambda entry: Told(told_id(entry, "name")))
_ROLE = f"{NEWER_API}/roles"
MADE_HERE = "made here"


class UserStore(RecordStore[User]):
    """Users, who get new passwords: ``passwords`` keeps them, and tells who was made by this tool.

    Without it there are none to be made.
    """

    kind = Kind.USER
    part = USERS
    shared = True
    identity = Identity.KEPT

    def __init__(
        self, http: HttpSession, entries: Entries, passwords: PasswordFile | None = None
    ) -> None:
        super().__init__(http, entries)
        self._passwords = passwords

    def list(self, containers: Sequence[str]) -> Iterator[User]:
        """See ``Store.list``. Raises ``NotPermitted`` where not all may be shown."""
        found = self._all()
        if any(it.username == self._http.username and not it.is_admin for it in found):
            raise NotPermitted(f"{self._http.username} is not an administrator there")
        yield from found

    def read(self, ids: Sequence[str]) -> Sequence[User]:
        """See ``Store.read``."""
        wanted = frozenset(ids)
        return [user for user in self._all() if user.username in wanted]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[User]]]:
        """See ``Store.find``."""
        made = self._passwords.users() if self._passwords else ()
        return {
            user.username: [Found(user, MADE_HERE if user.username in made else "")]
            for user in self._all()
            if keys is None or user.username in keys
        }

    def create(self, container: str, wanted: User) -> User:
        """See ``Store.create``."""
        name = wanted.username
        if self._passwords is None:
            raise EndpointError(f"user {name} would get a password that nobody gets to know")
        password, is_new = self._passwords.keep_new(name)
        body = {"username": name, "password": password}
        try:
            answer = self._http.post(f"{API}/users/create", body, idempotent=False)
        except AlreadyExists:
            if is_new:
                self._passwords.withdraw(name)
            raise
        except Refused as problem:
            _without_values(problem)
        with read_once():
            return _user_from(required(answer, "user"))

    def finish(
        self, copy: User, wanted: User, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        if copy.is_admin != wanted.is_admin:
            body = {"username": copy.username, "is_admin": wanted.is_admin}
            self._http.change("PATCH", f"{API}/users/update-admin", body)
        return ()

    def delete(self, copy: User) -> None:
        """Raise ``Refused``: this tool takes no account away."""
        raise Refused(f"user {copy.username} stays: no user is deleted")

    def _all(self) -> Sequence[User]:
        try:
            answer = self._http.get(_LIST)
        except NoSuchRoute:
            raise EndpointError(
                f"{self._http.base_url} does not list its users (MLflow does since 3.10)"
            ) from None
        found = self._entries.all([answer], "users", _USERS, _user_from)
        return sorted(found, key=lambda it: it.username)


class _Held(NamedTuple):
    """A role as the server keeps it: by its number, and each permission by one of its own."""

    role: Role
    id: int
    ids: Mapping[tuple[str, str], int]


class RoleStore(RecordStore[Role]):
    """The roles of one workspace but those that each hold the grants of one user.

    What a role has and should not have is left: nobody loses anything.
    """

    kind = Kind.ROLE
    part = ROLES
    identity = Identity.KEPT

    def list(self, containers: Sequence[str]) -> Iterator[Role]:
        """See ``Store.list``."""
        for held in self._all():
            yield held.role

    def read(self, ids: Sequence[str]) -> Sequence[Role]:
        """See ``Store.read``."""
        return [role for role in self.list(()) if role.name in ids]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Role]]]:
        """See ``Store.find``."""
        return {it.name: [Found(it)] for it in self.list(()) if keys is None or it.name in keys}

    def create(self, container: str, wanted: Role) -> Role:
        """See ``Store.create``."""
        body = {"name": wanted.name, "workspace": self._http.workspace}
        body |= {"description": wanted.description} if wanted.description else {}
        answer = self._http.post(f"{_ROLE}/create", body, idempotent=False)
        with read_once():
            return _held_from(required(answer, "role"), {}).role

    def finish(
        self, copy: Role, wanted: Role, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``."""
        held = next((it for it in self._all() if it.role.name == copy.name), None)
        if held is None:
            raise NotFound(f"role {copy.name} is not there any more")
        if wanted.description != held.role.description:
            body = {"role_id": held.id, "description": wanted.description}
            self._http.change("PATCH", f"{_ROLE}/update", body)
        refused = []
        for item in sorted(set(wanted.permissions) - set(held.role.permissions)):
            try:
                self._permit(held, item)
            except Refused as problem:
                refused.append(Loss(item.what, problem.message))
        for member in sorted(set(wanted.members) - set(held.role.members)):
            body = {"username": member, "role_id": held.id}
            with suppress(AlreadyExists):
                self._http.post(f"{_ROLE}/assign", body, idempotent=True)
        return refused

    def _permit(self, held: _Held, item: RolePermission) -> None:
        number = held.ids.get((item.resource_type, item.resource_pattern))
        if number is not None:
            body = {"role_permission_id": number, "permission": item.permission}
            self._http.change("PATCH", f"{_ROLE}/permissions/update", body)
            return
        with suppress(AlreadyExists):
            # May be repeated: what is there already is answered with an error.
            body = {"role_id": held.id, **item._asdict()}
            self._http.post(f"{_ROLE}/permissions/add", body, idempotent=True)

    def delete(self, copy: Role) -> None:
        """Raise ``Refused``: this tool takes no right away."""
        raise Refused(f"role {copy.name} stays: no role is deleted")

    def _all(self) -> Sequence[_Held]:
        answer = self._http.get(f"{_ROLE}/list", {"workspace": self._http.workspace})
        members: dict[int, list[str]] = {}
        for user in objects(self._http.get(_LIST), "users"):
            for role in objects(user, "roles"):
                members.setdefault(required_count(role, "id"), []).append(ident(user, "username"))
        found = self._entries.all([answer], "roles", _ROLES, lambda it: _held_from(it, members))
        shared = (it for it in found if not OF_ONE_USER.fullmatch(it.role.name))
        return sorted(shared, key=lambda it: it.role.name)


def _user_from(body: Object) -> User:
    return User(username=ident(body, "username"), is_admin=flag(body, "is_admin"))


def _held_from(body: Object, members: Mapping[int, Sequence[str]]) -> _Held:
    ids = {}
    permissions = []
    for item in objects(body, "permissions"):
        thing = ident(item, "resource_type"), ident(item, "resource_pattern")
        permissions.append(RolePermission(*thing, ident(item, "permission")))
        ids[thing] = required_count(item, "id")
    number = required_count(body, "id")
    role = Role(
        name=required_text(body, "name"),
        description=text(body, "description"),
        permissions=tuple(sorted(permissions)),
        members=tuple(sorted(members.get(number, ()))),
    )
    return _Held(role, number, ids)


def _without_values(problem: Refused) -> NoReturn:
    """Raise a refusal of a user again without the statement that failed, which has the password."""
    raise Refused(without_statement(problem.message), problem.hint, problem.code) from None
