"""Carries along who may do what with experiments, registered models and prompts."""

from __future__ import annotations

import dataclasses

from migrate.endpoints.permissions import UNITY_CATALOG, in_words, missing
from migrate.endpoints.protocols import PermissionsWritten, Source, Target
from migrate.objects import Grant, Permissions, Ref
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy


def carry_permissions(
    policy: Policy, ref: Ref, copy: Ref, source: Source, target: Target, *, ours: bool
) -> PermissionsWritten:
    """Grant on ``copy`` what is granted on ``ref``, where the user has chosen so.

    A copy that is ``ours`` gets what its original has. On an object that was there before,
    somebody has decided who may do what: whoever has another permission on it keeps that one.
    """
    if not policy.permissions:
        return PermissionsWritten()
    wanted = source.permissions(ref)
    if not wanted.dialect:
        return PermissionsWritten()
    kept = {} if ours else kept_permissions(wanted, permissions_there(target, copy, wanted))
    grants = tuple(grant for grant in wanted.grants if grant not in kept)
    written = target.write_permissions(copy, dataclasses.replace(wanted, grants=grants))
    return written._replace(losses=(*kept.values(), *written.losses))


def permissions_there(target: Source, copy: Ref, wanted: Permissions) -> Permissions:
    """Return the permissions on ``copy``, of all users that ``wanted`` names among others."""
    target.look_up_users([grant.principal for grant in wanted.grants if grant.kind == "user"])
    return target.permissions(copy)


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
