"""The grants of users on a server that runs MLflow's basic-auth app: read once, added to.

A call costs such a server a quarter of a second, for the password. So all users' grants are read
together at the first question, and what is granted here is noted in them.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.grants import (
    MANAGE,
    Held,
    Thing,
    UserGrants,
    beside,
    permissions_on,
    thing_of,
    word_for,
)
from migrate.endpoints.permissions import BASIC_AUTH, in_words
from migrate.endpoints.shapes import flag, ident, objects, required
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.permissions.wire import (
    grants_of_known,
    grants_of_listed,
    tells_roles,
)
from migrate.errors import AlreadyExists, NoSuchRoute, NotFound, Refused
from migrate.kinds import MODEL_KINDS, Ref
from migrate.objects import Grant, Permissions
from migrate.outcomes import Loss

ROLES_API = "/api/3.0/mlflow"
#: Where the dialect without roles keeps the grants on a type, and how it names the object.
_OLD = {
    "experiment": (f"{API}/experiments/permissions", "experiment_id"),
    "registered_model": (f"{API}/registered-models/permissions", "name"),
}


class BasicAuth:
    """Reads and gives users' grants; safe for use by several threads.

    ``account`` is whom the server knows us as: an administrator, who needs no grants. ``roles``
    tells which dialect it speaks. ``users`` are those to ask for where it cannot list them. With
    ``roles_too`` roles are copied beside grants.
    """

    def __init__(
        self,
        http: HttpSession,
        *,
        side: str,
        account: str,
        roles: bool,
        users: Sequence[str] = (),
        workspace: str = "",
        roles_too: bool = False,
    ) -> None:
        self._http = http
        self._side = side
        self._account = account
        self._roles = roles
        self._names = users
        self._workspace = workspace
        self._roles_too = roles_too
        self._known: dict[str, UserGrants] = {}
        self._strangers: set[str] = set()
        self._complete = False
        self._reading = threading.RLock()

    def permissions(self, ref: Ref) -> Permissions:
        """Return the grants on an object; of a source, of the users that were named, if any were.

        On a target our own account has ``MANAGE`` and has inherited it: an administrator may do
        everything, and the server grants it to whoever makes an object.
        """
        thing, users = self._thing(ref), self._users()
        if self._side == "source":
            return permissions_on(thing, users, named=self._names)
        told = permissions_on(thing, {it: users[it] for it in users if it != self._account})
        ours = Grant(self._account, MANAGE, inherited=True)
        return dataclasses.replace(told, grants=(*told.grants, ours))

    def look_up(self, names: Collection[str]) -> None:
        """See ``ReadsPermissions.look_up``."""
        for name in names:
            self._grants_of(name)

    def beside(self, ref: Ref) -> tuple[str, ...]:
        """Return in words what else has to do with access to an object."""
        return beside(
            self._thing(ref),
            self._users(),
            named=self._names,
            side=self._side,
            roles_too=self._roles_too,
        )

    def grant(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write``."""
        granted = 0
        losses = []
        for grant in permissions.grants:
            if grant.inherited or (grant.kind, grant.principal) == ("user", self._account):
                continue
            reason = ""
            if permissions.dialect != BASIC_AUTH or grant.kind != "user":
                reason = f"a permission of another kind of server ({permissions.dialect})"
            elif not self._roles and self._thing(ref).type not in _OLD:
                reason = f"this server takes no permissions on {ref.kind.plural} from us"
            elif self._grants_of(grant.principal) is None:
                reason = f"user {grant.principal} does not exist on the {self._side}"
            else:
                try:
                    granted += self._give(grant.principal, self._thing(ref), grant.permission)
                except (Refused, NoSuchRoute, NotFound) as problem:
                    word = word_for(grant.permission, roles=self._roles)
                    instead = "" if word == grant.permission else f"{word} was sent in its place: "
                    reason = instead + problem.message
            if reason:
                losses.append(Loss(in_words(grant), f"not granted: {reason}"))
        return PermissionsWritten(granted, tuple(losses))

    def forget(self, name: str) -> None:
        """Hear that a registered model or prompt was deleted: its grants went with it, or stay."""
        with self._reading:
            for grants in self._known.values():
                for kind in MODEL_KINDS:
                    grants.own.pop(self._thing(Ref(kind, name)), None)

    def _thing(self, ref: Ref) -> Thing:
        return thing_of(ref, roles=self._roles)

    def _give(self, user: str, thing: Thing, permission: str) -> bool:
        """Make a user have a permission; say whether that took a write."""
        word = word_for(permission, roles=self._roles)
        for is_last in (False, True):
            grants = self._grants_of(user)
            if grants is None:
                raise NotFound(f"user {user} does not exist any more")
            held = grants.own.get(thing)
            if held is not None and held.permission == word:
                return False
            try:
                if held is None:
                    self._create(user, thing, word)
                else:
                    self._change(user, thing, held, word)
            except (AlreadyExists, NotFound):
                # Somebody, or a try whose answer was lost, was there since the grants were read.
                if is_last:
                    raise
                self._read_again(user)
                continue
            grants.own[thing] = Held(word, held.id if held else 0)
            return True
        raise AssertionError("the second try returns or raises")

    def _create(self, user: str, thing: Thing, word: str) -> None:
        # May be repeated: a grant that is there already is answered with an error.
        if self._roles:
            body = {"resource_type": thing.type, "resource_id": thing.id}
            path = f"{ROLES_API}/users/permissions/grant"
        else:
            where, key = _OLD[thing.type]
            body, path = {key: thing.id}, f"{where}/create"
        body |= {"username": user, "permission": word}
        self._http.post(path, body, idempotent=True)

    def _change(self, user: str, thing: Thing, held: Held, word: str) -> None:
        if self._roles:
            if not held.id:
                raise NotFound("granted here: its id has to be read first")
            body: dict[str, Any] = {"role_permission_id": held.id, "permission": word}
            self._http.change("PATCH", f"{ROLES_API}/roles/permissions/update", body)
        else:
            where, key = _OLD[thing.type]
            body = {key: thing.id, "username": user, "permission": word}
            self._http.change("PATCH", f"{where}/update", body)

    # -- what users have --------------------------------------------------------------------

    def _users(self) -> Mapping[str, UserGrants]:
        """Return the grants of all users that are known, read at the first question."""
        with self._reading:
            if not self._complete:
                if self._roles:
                    self._list()
                else:
                    for name in self._names or self._listed_names():
                        self._get(name)
                self._complete = True
            return dict(self._known)

    def _grants_of(self, user: str) -> UserGrants | None:
        """Return the grants of one user; None when there is no such user."""
        with self._reading:
            if self._roles:
                self._users()
            elif user not in self._known and user not in self._strangers:
                self._get(user)
            return self._known.get(user)

    def _read_again(self, user: str) -> None:
        with self._reading:
            if self._roles:
                self._list()
            else:
                self._get(user)

    def _list(self) -> None:
        found = objects(self._http.get(f"{API}/users/list"), "users")
        self._known = {
            ident(item, "username"): grants_of_listed(item, self._workspace) for item in found
        }
        self._strangers = set(self._names) - self._known.keys()

    def _get(self, name: str) -> None:
        self._known.pop(name, None)
        try:
            found = required(self._http.get(f"{API}/users/get", {"username": name}), "user")
        except NotFound:
            self._strangers.add(name)
            return
        self._known[name] = grants_of_known(found, self._workspace)

    def _listed_names(self) -> list[str]:
        """Return the names of all users, which servers from 3.10 on tell; without, none."""
        return user_names(self._http) or []


def open_basic_auth(
    http: HttpSession,
    user: Mapping[str, Any],
    *,
    side: str,
    users: Sequence[str],
    workspace: str,
    roles_too: bool = False,
) -> BasicAuth | str:
    """Return the way to a server's grants, or in words why there is none.

    ``user`` is what ``users/get`` told of our own account: empty where it told nothing.
    """
    if not user:
        return "it does not run MLflow's basic-auth app, or we are not logged in with a name"
    account, roles = ident(user, "username"), tells_roles(user)
    if not flag(user, "is_admin"):
        return f"{account} is not an administrator there, and only those see the grants of others"
    if side == "source" and not roles and not users and user_names(http) is None:
        return "it cannot list its users: name them with --permission-users"
    return BasicAuth(
        http,
        side=side,
        account=account,
        roles=roles,
        users=users,
        workspace=workspace,
        roles_too=roles_too,
    )


def user_names(http: HttpSession) -> list[str] | None:
    """Return the names of a server's users; None when it cannot list them (before 3.10)."""
    try:
        found = objects(http.get(f"{API}/users/list"), "users")
        return [ident(item, "username") for item in found]
    except NoSuchRoute:
        return None
