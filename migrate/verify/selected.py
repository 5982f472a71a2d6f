"""Finds what is selected at the source: as a stream, or for chosen models what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from migrate.graph.draft import Draft
from migrate.graph.planner import discover
from migrate.graph.registry import discover_registry
from migrate.graph.selection import choose_experiments
from migrate.kinds import MODEL_KINDS, REGISTRY_KINDS, VERSION_KINDS, Kind
from migrate.objects import Experiment, ModelVersion, RegisteredModel
from migrate.tasks.carrier import ContainedCarrier
from migrate.verify.result import Ends

#: Objects that are read and compared together.
TOGETHER = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What is to be compared; what an experiment holds comes in groups.

    ``with_hidden``: what runs and versions name and no search shows is among it.
    ``not_taken`` says of what is selected and cannot be compared why the target lacks it.
    """

    at_source: Sequence[Experiment]
    experiments: Sequence[Experiment]
    contents: Callable[[ContainedCarrier, Experiment], Iterator[Sequence[Any]]]
    registered: Sequence[RegisteredModel]
    versions: Sequence[ModelVersion]
    with_hidden: bool
    not_taken: Sequence[str]


def select(ends: Ends) -> Selected:
    """Return what the selection takes. Raises ``UsageError`` when it names what is not there."""
    partial = ends.selection.models or ends.selection.without
    return _closure(ends) if partial else _streamed(ends)


def groups(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in lists of a size that is compared at once."""
    left = iter(items)
    while group := list(islice(left, TOGETHER)):
        yield group


def _streamed(ends: Ends) -> Selected:
    source, selection = ends.source, ends.selection
    at_source = list(source.experiments.list())
    chosen = choose_experiments(selection.experiments, at_source)
    draft = None
    if selection.takes_registry:
        steps = (discover_registry,)
        draft = discover(source, ends.target, selection, workers=ends.workers, steps=steps)

    def contents(carrier: ContainedCarrier, experiment: Experiment) -> Iterator[Sequence[Any]]:
        return groups(
            record
            for record in carrier.originals(source).list([experiment.experiment_id])
            if not selection.leaves_out_content(record.lifecycle_stage, carrier.started(record))
        )

    return Selected(
        at_source=at_source,
        experiments=[
            experiment
            for experiment in at_source
            if not selection.leaves_out_experiment(experiment, chosen)
        ],
        contents=contents,
        registered=_registered(ends, draft),
        versions=_versions(ends, draft),
        with_hidden=False,
        not_taken=_not_taken(ends, draft),
    )


def _closure(ends: Ends) -> Selected:
    source = ends.source
    draft = discover(source, ends.target, ends.selection, workers=ends.workers)

    def contents(carrier: ContainedCarrier, experiment: Experiment) -> Iterator[Sequence[Any]]:
        held = draft.held(carrier.kind, experiment.experiment_id)
        taken = (node.ref.id for node in held if node.selected and not node.unreadable)
        for ids in groups(taken):
            yield carrier.read_in(source, experiment.experiment_id, ids)

    return Selected(
        at_source=list(draft.experiments.values()),
        experiments=[draft.experiments[node.ref.id] for node in draft.containers()],
        contents=contents,
        registered=_registered(ends, draft),
        versions=_versions(ends, draft),
        with_hidden=True,
        not_taken=_not_taken(ends, draft),
    )


def _taken(ends: Ends) -> frozenset[Kind]:
    """Return the kinds of a registry that the target has: others are not copied."""
    return ends.target.capabilities().readable & REGISTRY_KINDS


def _not_taken(ends: Ends, draft: Draft | None) -> list[str]:
    lacking = ends.target.capabilities().without
    kinds = [kind for kind in MODEL_KINDS if draft and draft.of_kind(kind)]
    return list(dict.fromkeys(f"not compared: {lacking[it]}" for it in kinds if it in lacking))


def _registered(ends: Ends, draft: Draft | None) -> list[RegisteredModel]:
    nodes = [node for kind in MODEL_KINDS for node in draft.of_kind(kind)] if draft else []
    taken = _taken(ends)
    return [draft.registered[node.ref] for node in nodes if draft and node.ref.kind in taken]


def _versions(ends: Ends, draft: Draft | None) -> list[ModelVersion]:
    kinds = sorted(VERSION_KINDS & _taken(ends))
    nodes = [node for kind in kinds for node in draft.of_kind(kind)] if draft else []
    return [draft.versions[node.ref] for node in nodes if draft]
