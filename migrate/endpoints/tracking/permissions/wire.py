"""What MLflow's basic-auth app tells of its users and their grants, as plain values. Pure.

It speaks two dialects (read in the packages, and tried on servers of 2.22, 3.8, 3.13 and 3.17):

- with roles, since 3.13: ``users/list`` tells all users with their roles and what these permit.
  A user's own grants are those of a hidden role, ``__user_<id>__``; prompts have grants apart.
- without, from 2.5 to 3.12: ``users/get`` tells one user's grants, on experiments and on registered
  models, which prompts are among. Some of these versions have roles too, which it does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.endpoints.grants import (
    OLDER,
    Held,
    OfRole,
    Thing,
    UserGrants,
    older_thing,
    own_role,
)
from migrate.endpoints.shapes import ident, objects, required_count, required_text
from migrate.endpoints.tracking.http.access import DEFAULT_WORKSPACE


def tells_roles(user: Mapping[str, Any]) -> bool:
    """Say from what ``users/get`` answered whether the server speaks the dialect with roles."""
    return "experiment_permissions" not in user


def grants_of_listed(user: Mapping[str, Any], workspace: str) -> UserGrants:
    """Return the grants of one user of ``users/list``, in one workspace ("": the default one)."""
    hidden = own_role(ident(user, "id"))
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
    own: dict[Thing, Held] = {}
    for told, (_, names) in OLDER.items():
        for item in objects(user, told):
            # Before 3.10 there are no workspaces, and then models have some.
            if item.get("workspace") in (None, workspace or DEFAULT_WORKSPACE):
                thing = older_thing(told, *(ident(item, name) for name in names))
                own[thing] = Held(ident(item, "permission"))
    return UserGrants(own)
