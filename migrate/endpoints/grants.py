"""Grants of MLflow's basic-auth app as plain values, and what is said of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, unquote

from migrate.endpoints.permissions import permissions_of_users
from migrate.kinds import Ref
from migrate.objects import Permissions

MANAGE = "MANAGE"
EVERY = "*"

#: What grants are on, as servers name it.
EXPERIMENT = "experiment"
MODEL = "registered_model"
PROMPT = "prompt"
WORKSPACE = "workspace"
_SCORER = "scorer"
#: What lies in an object of a type, and can be granted beside it for all objects of that type.
_INSIDE = {
    EXPERIMENT: {"run", "logged_model", "trace", "assessment", "review_queue"},
    MODEL: {"registered_model_version"},
    PROMPT: {"prompt_version"},
    _SCORER: {"scorer_version"},
    "mcp_server": {"mcp_server_version"},
}
#: Where versions before 3.13 keep grants: by the word for these, on what, and what names it.
OLDER: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "experiment_permissions": (EXPERIMENT, ("experiment_id",)),
    "registered_model_permissions": (MODEL, ("name",)),
    "scorer_permissions": (_SCORER, ("experiment_id", "scorer_name")),
    "gateway_secret_permissions": ("gateway_secret", ("secret_id",)),
    "gateway_endpoint_permissions": ("gateway_endpoint", ("endpoint_id",)),
    "gateway_model_definition_permissions": (
        "gateway_model_definition",
        ("model_definition_id",),
    ),
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


def own_role(user_id: object) -> str:
    """Return the name of the hidden role that holds the grants of one user (MLflow 3.13)."""
    return f"__user_{user_id}__"


def thing_of(ref: Ref, *, roles: bool) -> Thing:
    """Return what a server calls an object that grants may be on: by its kind's noun."""
    if ref.kind.in_registry and not roles:
        return Thing(MODEL, ref.id)
    noun = ref.kind.replace(" ", "_").lower()
    return scorer(*ref.id.split("/", 1)) if noun == _SCORER else Thing(noun, ref.id)


def older_thing(told: str, *names: str) -> Thing:
    """Return what a grant is on that is in one of the places of ``OLDER``."""
    noun = OLDER[told][0]
    return scorer(*names) if noun == _SCORER else Thing(noun, *names)


def older_names(thing: Thing) -> tuple[str, Mapping[str, str]] | None:
    """Return the place of ``OLDER`` for grants on something, and what names it there; or None."""
    for told, (noun, names) in OLDER.items():
        if noun == thing.type:
            parts = map(unquote, thing.id.split("/", 1)) if noun == _SCORER else [thing.id]
            return told, dict(zip(names, parts, strict=True))
    return None


def scorer(experiment_id: object, name: str) -> Thing:
    """Return what a server calls a scorer: its name may have a slash."""
    return Thing(_SCORER, f"{experiment_id}/{quote(name, safe='')}")


def word_for(permission: str, *, roles: bool) -> str:
    """Return a permission in the words of a dialect: each has its own for keeping a user out."""
    return _KEPT_OUT[roles] if permission in _KEPT_OUT else permission


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
    types = {thing.type, WORKSPACE} | _INSIDE.get(thing.type, set())
    return granted.id == EVERY and granted.type in types


def _shown(thing: Thing) -> str:
    word = thing.type.replace("_", " ")
    if thing.type == WORKSPACE:
        return "the workspace"
    return f"every {word}" if thing.id == EVERY else f"{word} {thing.id!r}"


def _named(names: Iterable[str], most: int = 5) -> str:
    listed = sorted(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")


def beside(
    thing: Thing,
    users: Mapping[str, UserGrants],
    *,
    named: Sequence[str],
    side: str,
    roles_too: bool,
) -> tuple[str, ...]:
    """Return in words what else has to do with access to ``thing``; see ``ReadsPermissions``."""
    strangers = tuple(
        f"user {name} of --permission-users does not exist on the {side}"
        for name in not_found(named, users)
    )
    return strangers + beside_own(thing, users, roles_too=roles_too)


def permissions_on(
    thing: Thing, users: Mapping[str, UserGrants], *, named: Sequence[str] = ()
) -> Permissions:
    """Return the grants on ``thing``; of the users ``named``, if any are."""
    held = dict(direct(thing, users))
    of_named = {name: held[name] for name in named if name in held}
    return permissions_of_users((of_named if named else held).items())


def direct(thing: Thing, users: Mapping[str, UserGrants]) -> Iterator[tuple[str, str]]:
    """Yield the users who have a grant of their own on ``thing``, and what it permits."""
    for user, grants in users.items():
        if held := grants.own.get(thing):
            yield user, held.permission
