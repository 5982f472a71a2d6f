"""Carries along who may do what with experiments, registered models and prompts."""

from __future__ import annotations

import dataclasses

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.permissions import UNITY_CATALOG, in_words, missing
from migrate.endpoints.protocols import Source, Target
from migrate.errors import NoSuchRoute, NotFound, NotPermitted
from migrate.kinds import Ref
from migrate.objects import Grant, Permissions
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy

NO_PERMISSIONS = Permissions()


def carry_permissions(
    policy: Policy, ref: Ref, copy: Ref, source: Source, target: Target, *, ours: bool
) -> PermissionsWritten:
    """Grant on ``copy`` what is granted on ``ref``, where the user has chosen so.

    A copy that is ``ours`` gets what its original has. On an object that was there before,
    somebody has decided who may do what: whoever has another permission on it keeps that one.
    """
    if not policy.permissions:
        return PermissionsWritten()
    wanted, untold = read_permissions(source, ref, "source")
    if not wanted.dialect:
        return PermissionsWritten(losses=untold)
    kept: dict[Grant, Loss] = {}
    if not ours:
        there, unseen = read_permissions(target, copy, "target", wanted)
        if unseen:
            return PermissionsWritten(losses=unseen)
        kept = kept_permissions(wanted, there)
    grants = tuple(grant for grant in wanted.grants if grant not in kept)
    written = target.permissions.write(copy, dataclasses.replace(wanted, grants=grants))
    return written._replace(losses=(*kept.values(), *written.losses))


def read_permissions(
    end: Source, ref: Ref, side: str, named: Permissions = NO_PERMISSIONS
) -> tuple[Permissions, tuple[Loss, ...]]:
    """Return the permissions on an object, of all users that ``named`` names among others.

    Where our account may not see them, that is a loss.
    """
    try:
        if named.grants:
            end.permissions.look_up([it.principal for it in named.grants if it.kind == "user"])
        return end.permissions.read(ref), ()
    except (NoSuchRoute, NotFound, NotPermitted) as problem:
        return Permissions(), (Loss("permissions", f"not told by the {side}: {problem}"),)


def lost_grants(source: Source, ref: Ref) -> tuple[Loss, ...]:
    """Return the grants on an object of a kind of which an export keeps none, as losses."""
    if not source.capabilities().permissions:
        return ()
    told, untold = read_permissions(source, ref, "source")
    reason = f"an export keeps no permissions on {ref.kind.plural}"
    return (*untold, *(Loss(in_words(it), reason) for it in told.grants if not it.inherited))


def kept_permissions(wanted: Permissions, there: Permissions) -> dict[Grant, Loss]:
    """Return the grants whose principals keep another one on an object that was there before."""
    if wanted.dialect != there.dialect or wanted.dialect == UNITY_CATALOG:
        # Unity Catalog's privileges stand side by side: one more takes none away.
        return {}
    held = {(it.kind, it.principal): it.permission for it in there.grants if not it.inherited}
    return {
        grant: Loss(
            in_words(grant),
            f"has {held[grant.kind, grant.principal]} on the target, where it was before, "
            "and keeps it",
        )
        for grant in missing(wanted, there)
        if (grant.kind, grant.principal) in held
    }
