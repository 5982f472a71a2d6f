"""Users of MLflow's basic-auth app, and the roles that several of them may have (MLflow 3.13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

#: What stands for all objects of a type.
EVERY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user without the password, which no server tells.

    ``password_hash`` is what MLflow's database has of it: it goes from there into another, and is
    no part of what is compared, shown or put into files.
    """

    username: str
    is_admin: bool = False
    password_hash: str = field(default="", repr=False, compare=False)


class RolePermission(NamedTuple):
    """What a role permits: a level, on an object as the server names it or on ``EVERY``."""

    resource_type: str
    resource_pattern: str
    permission: str

    @property
    def what(self) -> str:
        """It without its level, in words."""
        return f"permission on {self.resource_type} {self.resource_pattern}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of one workspace, and the names of the users who have it. Both are sorted."""

    name: str
    description: str = ""
    permissions: tuple[RolePermission, ...] = ()
    members: tuple[str, ...] = ()
