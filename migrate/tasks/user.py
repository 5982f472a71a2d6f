"""Copies users and roles, where that is asked for. Whom the target knows already is left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss
from migrate.records.scorers import scorer_id
from migrate.records.users import EVERY, Role, RolePermission, User
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted

#: The kinds of objects that roles permit something on, by the words of servers.
_KINDS = {
    "experiment": Kind.EXPERIMENT,
    "registered_model": Kind.REGISTERED_MODEL,
    "prompt": Kind.PROMPT,
    "scorer": Kind.SCORER,
    "gateway_secret": Kind.GATEWAY_SECRET,
    "gateway_endpoint": Kind.GATEWAY_ENDPOINT,
    "gateway_model_definition": Kind.GATEWAY_MODEL,
    "mcp_server": Kind.MCP_SERVER,
    "skill": Kind.SKILL,
}


class Users(RecordCarrier[User]):
    """Users. Their passwords are new ones, but from one database of the app into another."""

    kind = Kind.USER
    together = 100
    stays_home = True  # their passwords go into a file
    adopts = False
    granted_to = True
    colours = ("#e3e7ef", "#44546a")

    def ref(self, record: User) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.username)

    def wanted(self, record: User, place: Place) -> Wanted[User]:
        """See ``RecordCarrier.wanted``."""
        return Wanted(record)

    def is_same(self, copy: User, wanted: User) -> bool:
        """See ``RecordCarrier.is_same``: no two passwords are kept alike, not even equal ones."""
        return bool(wanted.password_hash) and copy.password_hash == wanted.password_hash


class Roles(RecordCarrier[Role]):
    """Roles. Nobody on the target is given one, or has one taken away, but users made here."""

    kind = Kind.ROLE
    together = 100
    colours = ("#dfe9e4", "#3f6b58")

    def ref(self, record: Role) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.name)

    def needs(self, record: Role) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        for member in record.members:
            yield Need(Ref(Kind.USER, member), "a role of", soft=True, along=False)
        for item in record.permissions:
            if (ref := _named_by(item)) is not None:
                yield Need(ref, f"permits {item.permission} on", soft=True, along=False)

    def wanted(self, record: Role, place: Place) -> Wanted[Role]:
        """See ``RecordCarrier.wanted``. Without what it permits on objects that have no copy."""
        copies, losses = place.copies, []
        if not place.target.archive:
            losses += [
                Loss(
                    f"member {member}",
                    "not made on the target: give this user the role there, if that is right",
                )
                for member in record.members
                if Ref(Kind.USER, member) not in copies
            ]
            members = tuple(it for it in record.members if Ref(Kind.USER, it) in copies)
            permissions = []
            for item in record.permissions:
                ref = _named_by(item)
                if ref is not None and ref in copies:
                    permissions.append(_on_copy(item, copies[ref]))
                elif item.resource_pattern == EVERY:
                    permissions.append(item)
                else:
                    losses.append(Loss(item.what, "this object has no copy on the target"))
            record = dataclasses.replace(
                record, members=members, permissions=tuple(sorted(permissions))
            )
        return Wanted(record, tuple(losses))

    def differences(self, wanted: Role, copy: Role) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``. What was added on the target is left there."""
        if wanted.description != copy.description:
            yield "description", wanted.description, copy.description
        there = {(it.resource_type, it.resource_pattern): it for it in copy.permissions}
        for item in wanted.permissions:
            same = there.get((item.resource_type, item.resource_pattern))
            if same != item:
                yield item.what, item.permission, same.permission if same else None
        for member in wanted.members:
            if member not in copy.members:
                yield f"member {member}", member, None


def _named_by(item: RolePermission) -> Ref | None:
    """Return the object that a role permits something on; None where it is no single one."""
    kind, ident = _KINDS.get(item.resource_type), item.resource_pattern
    if kind is None or ident == EVERY:
        return None
    if kind is Kind.SCORER:
        experiment_id, _, name = ident.partition("/")
        return Ref(kind, scorer_id(experiment_id, unquote(name)))
    return Ref(kind, ident)


def _on_copy(item: RolePermission, copy: str) -> RolePermission:
    if _KINDS[item.resource_type] is Kind.SCORER:
        experiment_id, _, name = copy.partition("/")
        copy = f"{experiment_id}/{quote(name, safe='')}"
    return item._replace(resource_pattern=copy)
