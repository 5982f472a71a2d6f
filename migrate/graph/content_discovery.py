"""Steps that find what experiments hold, runs and logged models: the same for each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from migrate.graph.discover import experiment_of
from migrate.graph.draft import Draft, Node
from migrate.in_turn import in_turn
from migrate.kinds import Ref
from migrate.objects import DELETED
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.plans import Because
from migrate.tasks.carrier import ContainedCarrier
from migrate.tasks.carriers import contained_carriers

EXPERIMENTS_AT_ONCE = 25


class Read(NamedTuple):
    """Objects that were read: all that the plan keeps of them, and how much they have."""

    nodes: list[Node]
    sizes: Counter[str]

    def add_to(self, draft: Draft) -> None:
        """Add them."""
        for node in self.nodes:
            draft.add(node)
        draft.known.update(self.sizes)


def discover_contents(draft: Draft) -> None:
    """Add what the selected experiments hold, and as skipped what deleted ones show."""
    groups: list[Callable[[], Read]] = []
    for carrier in contained_carriers():
        if draft.selection.leaves_out_kind(carrier.kind):
            continue
        experiments = (draft.nodes[item.ref] for item in draft.experiments.values())
        wanted = [
            node.ref.id
            for node in experiments
            if (node.selected or (node.deleted and not carrier.hides_deleted))
            and not (node.may_be_taken_along or node.unreadable)
        ]
        draft.searched.setdefault(carrier.kind, set()).update(wanted)
        groups += [
            partial(_read_group, draft, carrier, wanted[start : start + EXPERIMENTS_AT_ONCE])
            for start in range(0, len(wanted), EXPERIMENTS_AT_ONCE)
        ]
    for found in in_turn(min(draft.workers, len(groups)), groups):
        found.add_to(draft)


def _read_group(draft: Draft, carrier: ContainedCarrier, experiment_ids: Sequence[str]) -> Read:
    """Read what some experiments hold; keep of each object only what the plan needs."""
    found = Read([], Counter())
    for record in carrier.originals(draft.source).list(experiment_ids):
        ref = record.ref
        draft.by_id.discard(ref)
        if ref not in draft.nodes:
            _read(draft, carrier, record, ref, found)
    return found


@lru_cache(1024)
def _held_by(carrier: ContainedCarrier, experiment: Ref) -> tuple[Because, ...]:
    """Return why what an experiment holds is in the plan: one value for all of it."""
    return (Because(f"a {carrier.kind} of", experiment),)


@lru_cache(1024)
def _left_out_with(reason: str) -> LeftOut:
    return LeftOut(LeftOutCode.CONTAINER, f"its experiment is left out: {reason}")


def _read(draft: Draft, carrier: ContainedCarrier, record: Any, ref: Ref, found: Read) -> Node:
    """Add to what was found the node of an object, and return it."""
    experiment = experiment_of(draft, record.experiment_id, ref)
    node = Node(
        ref=ref,
        name=record.name,
        container=experiment.ref.id,
        deleted=record.lifecycle_stage == DELETED,
    )
    left_out = _left_out(draft, carrier, record)
    if not experiment.selected:
        left_out = _left_out_with(experiment.reason)
    found.nodes.append(node)
    if left_out:
        node.skip(left_out)
        return node
    node.because = _held_by(carrier, experiment.ref)
    node.losses = carrier.losses(record, draft.target_can, draft.policy)
    node.facts = carrier.facts(record)
    node.unsettled = carrier.may_change(record)
    for what, count in carrier.sizes(record).items():
        found.sizes[what] += count
    return node


def _left_out(draft: Draft, carrier: ContainedCarrier, record: Any) -> LeftOut | None:
    return draft.selection.leaves_out_content(record.lifecycle_stage, carrier.started(record))


def add_needed(
    draft: Draft, carrier: ContainedCarrier, record: Any, because: Because, *, along: bool = True
) -> Node:
    """Add an object that something else names, with its experiment where it is taken ``along``."""
    left_out = _left_out(draft, carrier, record)
    if along and not left_out:
        _take_along_experiment(draft, record.experiment_id, record.ref)
    read = Read([], Counter())
    node = _read(draft, carrier, record, record.ref, read)
    if left_out:
        node.skip(left_out)
    node.because = (because,)
    read.add_to(draft)
    draft.by_id.add(node.ref)
    return node


def _take_along_experiment(draft: Draft, experiment_id: str, needed_by: Ref) -> None:
    """Select the experiment of what something else needs."""
    experiment = experiment_of(draft, experiment_id, needed_by)
    if not experiment.may_be_taken_along:
        return
    stage = draft.experiments[experiment_id].lifecycle_stage
    if left_out := draft.selection.leaves_out_deleted(stage):
        experiment.skip(left_out)
    else:
        experiment.select(Because("the experiment of", needed_by))
