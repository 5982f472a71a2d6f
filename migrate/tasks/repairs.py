"""What a repair has to know beside how a copy is filled: what is too much, and what stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols.artifacts import ReadsArtifacts
from migrate.kinds import Action, Kind
from migrate.objects import MODEL_VERSIONS_TAG, RUN_NAME_TAG, Artifact, ArtifactRoot
from migrate.origins import losses_from_tags, without_bookkeeping
from migrate.outcomes import Loss, LossCode
from migrate.tasks.batches import Job, Policy
from migrate.tasks.source_tags import without_unasked

#: Tags that servers keep in step with something else by themselves.
OWN_TAGS: Mapping[Kind, frozenset[str]] = {
    Kind.RUN: frozenset({RUN_NAME_TAG}),
    Kind.LOGGED_MODEL: frozenset({MODEL_VERSIONS_TAG}),
}

_PIECE = 1 << 20


def comparable_tags(
    kind: Kind,
    tags: Mapping[str, str],
    wanted: Mapping[str, str],
    target: Capabilities,
    policy: Policy,
) -> dict[str, str]:
    """Return those of a copy's tags that its original should have too, on this target.

    Without what this tool writes, source tags that nobody asks for now, and what the target
    writes by itself on objects of this kind. ``wanted`` are the tags that the copy is to have.
    """
    own = OWN_TAGS.get(kind, frozenset())
    if target.archive:
        return {key: value for key, value in tags.items() if key not in own - {RUN_NAME_TAG}}
    if kind in (Kind.EXPERIMENT, Kind.RUN):
        own |= target.reserved_tags
    asked = without_unasked(without_bookkeeping(tags), wanted, policy)
    return {key: value for key, value in asked.items() if key not in own}


def surplus_tags(
    kind: Kind,
    there: Mapping[str, str],
    wanted: Mapping[str, str],
    target: Capabilities,
    policy: Policy,
) -> list[str]:
    """Return the keys of a copy's tags that its original has not, in order."""
    return sorted(comparable_tags(kind, there, wanted, target, policy).keys() - wanted.keys())


def makes_anew(job: Job, policy: Policy, target: Capabilities) -> bool:
    """Say whether a copy is to be made from nothing, in place of what may be there."""
    return target.archive and policy.repair and job.action in (Action.REPAIR, Action.CREATE)


def lasting_losses(tags: Mapping[str, str], planned: Iterable[Loss] = ()) -> tuple[Loss, ...]:
    """Return what no repair can undo of a copy: what its ``tags`` say, and what was ``planned``."""
    known = (*losses_from_tags(tags), *planned)
    return tuple(dict.fromkeys(loss for loss in known if loss.code is LossCode.LASTING))


def digest_of_bytes(content: bytes) -> str:
    """Return the digest by which contents are compared: SHA-256 as hex digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(end: ReadsArtifacts, root: ArtifactRoot, file: Artifact) -> str:
    """Read a file and return its digest. Raises what reading it raises."""
    digest = hashlib.sha256()
    with end.open(root, file) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
