"""Carries along who may do what with experiments, registered models and prompts."""

from __future__ import annotations

from migrate.endpoints.protocols import PermissionsWritten, Source, Target
from migrate.objects import Ref
from migrate.tasks.batches import Policy


def carry_permissions(
    policy: Policy, ref: Ref, copy: Ref, source: Source, target: Target
) -> PermissionsWritten:
    """Grant on ``copy`` what is granted on ``ref``, where the user has chosen so."""
    if not policy.permissions:
        return PermissionsWritten()
    held = source.permissions(ref)
    return target.write_permissions(copy, held) if held.dialect else PermissionsWritten()
