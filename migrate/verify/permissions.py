"""Compares who may do what with an object, where permissions were to be copied."""

from __future__ import annotations

from migrate.endpoints.permissions import BASIC_AUTH, in_words, lacking, missing
from migrate.kinds import Ref
from migrate.outcomes import Loss
from migrate.tasks.permissions import kept_permissions, read_permissions
from migrate.verify.result import Comparison, Ends


def compare_permissions(ends: Ends, ref: Ref, copy: Ref, result: Comparison, *, ours: bool) -> None:
    """Compare the permissions on an object with those on its copy, or what was there before.

    What the target has no words for is a known loss. On a copy of ours, permissions that its
    original has not are differences too: who has them may do there what they may not here.
    """
    if not ends.policy.permissions:
        return
    wanted, untold = read_permissions(ends.source, ref, "source")
    result.declare(ref, untold)
    if not wanted.dialect:
        return
    there, unseen = read_permissions(ends.target, copy, "target", wanted)
    result.declare(ref, unseen)
    if unseen:
        return
    knows_none = not ends.target.capabilities().permissions
    if knows_none or there.dialect not in ("", wanted.dialect):
        reason = f"the target knows no permissions of this kind of server ({wanted.dialect})"
        result.declare(ref, [Loss(in_words(it), reason) for it in missing(wanted, there)])
        return
    if not ours:
        result.declare(ref, kept_permissions(wanted, there).values())
    # Who made the copy has inherited all that can be granted.
    makers = {grant.principal for grant in there.grants if grant.inherited}
    for grant in lacking(wanted, there):
        if wanted.dialect != BASIC_AUTH or grant.principal not in makers:
            result.differs(ref, in_words(grant), "is not on the target")
    if ours and wanted.dialect == BASIC_AUTH:
        for grant in missing(there, wanted):
            result.differs(ref, in_words(grant), "only on the target", lasting=True)
