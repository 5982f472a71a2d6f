"""Compares everything selected: experiments, runs, logged models, then the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from migrate.graph.contents import links_by_object
from migrate.graph.discover import unknown_kinds, unsupported_in
from migrate.in_turn import in_turn
from migrate.objects import Experiment
from migrate.tasks.carrier import ContainedCarrier
from migrate.tasks.carriers import LoggedModels, Runs
from migrate.tasks.existing_experiments import ExistingExperiments, is_ours, with_origins
from migrate.verify.contents import Group, groups_of
from migrate.verify.copies import Copies
from migrate.verify.experiments import compare_experiment
from migrate.verify.logged_models import compare_models
from migrate.verify.records import compare_records
from migrate.verify.registry import compare_registry
from migrate.verify.result import MISSING, Comparison, Ends
from migrate.verify.runs import compare_runs
from migrate.verify.selected import select
from migrate.verify.traces import trace_parts

#: What compares a group of a kind that experiments hold; runs first, as they name the others.
_CONTENTS: tuple[tuple[ContainedCarrier, Callable[[Group[Any]], Comparison]], ...] = (
    (Runs(), compare_runs),
    (LoggedModels(), compare_models),
)


def compare(ends: Ends) -> Comparison:
    """Compare everything selected at the source with its copies on the target."""
    selected = select(ends)
    result = Comparison(unknown=list(selected.not_taken))
    there = list(ends.target.experiments.list())
    as_kept = {item.experiment_id: item for item in there}
    existing = ExistingExperiments(with_origins(there, ends.target.capabilities()))
    copies = Copies(ends, selected.at_source, existing)
    pairs: list[tuple[Experiment, Experiment]] = []
    for experiment in selected.experiments:
        result.compared[experiment.ref.kind] += 1
        copy = copies.container(experiment.experiment_id)
        if copy is None:
            ref = experiment.ref
            result.differs(ref, MISSING, f"{experiment.name!r} is not on the target", of_copy=False)
            continue
        pairs.append((experiment, copy))
        kept = as_kept[copy.experiment_id]
        compare_experiment(ends, experiment, kept, result, ours=is_ours(copy, experiment))
    copies.load([copy.experiment_id for _, copy in pairs])
    for carrier, compare_group in _CONTENTS:
        links = links_by_object(result.links)
        groups = groups_of(carrier, ends, copies, selected, pairs, links)
        if lacking := ends.target.capabilities().without.get(carrier.kind):
            if next(groups, None) is not None:
                result.unknown.append(f"not compared: {lacking}")
            continue
        calls = (partial(compare_group, group) for group in groups)
        for part in in_turn(ends.workers, calls):
            result.merge(part)
    for part in in_turn(ends.workers, trace_parts(ends, copies, pairs)):
        result.merge(part)
    for part in compare_registry(ends, copies, selected.registered, selected.versions):
        result.merge(part)
    chosen = [experiment.experiment_id for experiment in selected.experiments]
    for part in compare_records(ends, copies, chosen):
        result.merge(part)
    if ends.target.capabilities().archive:
        result.differences = [
            found._replace(lasting=False, written_with=None) if found.of_copy else found
            for found in result.differences
        ]
    for end in (ends.source, ends.target):
        for found in end.unreadable.all():
            detail = found.message
            result.differs(
                found.ref, "unreadable", detail, lasting=end is ends.source, of_copy=False
            )
    result.unsupported = unsupported_in(ends.source, ends.selection, chosen)
    result.unknown += unknown_kinds(ends.source, ends.selection)
    result.unknown += [*ends.source.unknown(), *ends.target.unknown()]
    return result
