"""What MLflow's basic-auth app tells of its users and their grants, as plain values. Pure.

It speaks two dialects (read in the packages, and tried on servers of 2.22, 3.8, 3.13 and 3.17):

- with roles, since 3.13: ``users/list`` tells all users with their roles and what these permit.
  A user's own grants are those of a hidden role, ``__user_<id>__``; prompts have grants apart.
- without, from 2.5 to 3.12: ``users/get`` tells one user's grants, on experiments and on registered
  models, which prompts are among. Some of these versions have roles too, which it does not tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from migrate.endpoints.shapes import ident, objects, required_count, required_text
from migrate.endpoints.tracking.http.access import DEFAULT_WORKSPACE
from migrate.kinds import Ref

MANAGE = "MANAGE"
EVERY = "*"

_EXPERIMENT = "experiment"
_MODEL = "registered_model"
_PROMPT = "prompt"
_WORKSPACE = "workspace"
#: What lies in an object of a type, and can be granted beside it for all objects of that type.
_INSIDE = {
    _EXPERIMENT: {"run", "logged_model"},
    _MODEL: {"registered_model_version"},
    _PROMPT: {"prompt_version"},
}
#: Words that keep a user out: one of each dialect.
_KEPT_OUT = ("NO_PERMISSIONS", "DENY")


class Thing(NamedTuple):
    """What a grant is on, as the server names it: an experiment's id, another's name, or "*"."""

    type: str
    id: str


class Held(NamedTuple):
    """A permission that a user has; ``id`` is what the server changes it by (0: not known)."""

    permission: str
    id: int = 0


class OfRole(NamedTuple):
    """A permission that a role gives to all who have it."""

    role: str
    thing: Thing
    permission: str


@dataclass(slots=True)
class UserGrants:
    """What one user may do: by grants of their own, and by roles."""

    own: dict[Thing, Held] = field(default_factory=dict)
    by_roles: tuple[OfRole, ...] = ()


def thing_of(ref: Ref, *, roles: bool) -> Thing:
    """Return what a server calls an experiment, registered model or prompt: by its kind's noun."""
    if ref.kind.in_registry and not roles:
        return Thing(_MODEL, ref.id)
    return Thing(ref.kind.replace(" ", "_"), ref.id)


def word_for(permission: str, *, roles: bool) -> str:
    """Return a permission in the words of a dialect: each has its own for keeping a user out."""
    return _KEPT_OUT[roles] if permission in _KEPT_OUT else permission


def tells_roles(user: Mapping[str, Any]) -> bool:
    """Say from what ``users/get`` answered whether the server speaks the dialect with roles."""
    return "experiment_permissions" not in user


def grants_of_listed(user: Mapping[str, Any], workspace: str) -> UserGrants:
    """Return the grants of one user of ``users/list``, in one workspace ("": the default one)."""
    hidden = f"__user_{ident(user, 'id')}__"
    own: dict[Thing, Held] = {}
    by_roles = []
    for role in objects(user, "roles"):
        if required_text(role, "workspace") != (workspace or DEFAULT_WORKSPACE):
            continue
        name = required_text(role, "name")
        for item in objects(role, "permissions"):
            thing = Thing(ident(item, "resource_type"), ident(item, "resource_pattern"))
            permission = ident(item, "permission")
            if name == hidden:
                own[thing] = Held(permission, required_count(item, "id"))
            else:
                by_roles.append(OfRole(name, thing, permission))
    return UserGrants(own, tuple(by_roles))


def grants_of_known(user: Mapping[str, Any], workspace: str) -> UserGrants:
    """Return the grants of the user that ``users/get`` told of, without roles."""
    own = {
        Thing(_EXPERIMENT, ident(item, "experiment_id")): Held(ident(item, "permission"))
        for item in objects(user, "experiment_permissions")
    }
    for item in objects(user, "registered_model_permissions"):
        # Before 3.10 there are no workspaces.
        if item.get("workspace") in (None, workspace or DEFAULT_WORKSPACE):
            own[Thing(_MODEL, ident(item, "name"))] = Held(ident(item, "permission"))
    return UserGrants(own)


def beside_own(
    thing: Thing, users: Mapping[str, UserGrants], *, roles_too: bool = False
) -> tuple[str, ...]:
    """Return in words what gives or takes access to ``thing``, and is no grant of a user on it.

    Not roles where they are copied too.
    """
    who: dict[OfRole, set[str]] = {}
    for user, grants in users.items() if not roles_too else ():
        for given in grants.by_roles:
            if _touches(given.thing, thing):
                who.setdefault(given, set()).add(user)
    texts = [
        f"role {given.role!r} has {given.permission} on {_shown(given.thing)} "
        f"({_named(names)}): roles are not copied"
        for given, names in sorted(who.items())
    ]
    texts += [
        f"user {user} has {held.permission} on {_shown(every)}: such grants are not copied"
        for user, grants in sorted(users.items())
        for every, held in sorted(grants.own.items())
        if every != thing and _touches(every, thing)
    ]
    return tuple(texts)


def not_found(names: Iterable[str], users: Collection[str]) -> list[str]:
    """Return the names, as a user wrote them, of which there is no user.

    Among them is what may be a list as well as a name, as a whole and in parts.
    """
    parts = {part.strip() for user in users if "," in user for part in user.split(",")}
    return sorted(
        name for name in names if name not in users and "," not in name and name not in parts
    )


def _touches(granted: Thing, thing: Thing) -> bool:
    if granted == thing:
        return True
    types = {thing.type, _WORKSPACE} | _INSIDE[thing.type]
    return granted.id == EVERY and granted.type in types


def _shown(thing: Thing) -> str:
    word = thing.type.replace("_", " ")
    if thing.type == _WORKSPACE:
        return "the workspace"
    return f"every {word}" if thing.id == EVERY else f"{word} {thing.id!r}"


def _named(names: Iterable[str], most: int = 5) -> str:
    listed = sorted(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")


def direct(thing: Thing, users: Mapping[str, UserGrants]) -> Iterator[tuple[str, str]]:
    """Yield the users who have a grant of their own on ``thing``, and what it permits."""
    for user, grants in users.items():
        if held := grants.own.get(thing):
            yield user, held.permission
