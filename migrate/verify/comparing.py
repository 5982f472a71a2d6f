"""Compares everything selected: experiments, runs, logged models, then the registry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from migrate.graph.discover import unsupported_in
from migrate.kinds import Kind
from migrate.objects import DELETED, Experiment, LoggedModel, ModelLinks
from migrate.tasks.existing_experiments import ExistingExperiments, is_ours, with_origins
from migrate.tasks.logged_model import links_to
from migrate.tasks.version_sources import named_by
from migrate.verify.copies import Copies
from migrate.verify.experiments import compare_experiment
from migrate.verify.logged_models import compare_models
from migrate.verify.records import compare_records
from migrate.verify.registry import compare_registry
from migrate.verify.result import Comparison, Ends
from migrate.verify.runs import compare_runs
from migrate.verify.selected import Selected, groups, select
from migrate.verify.traces import trace_parts

#: Groups under way or done and not yet looked at, for each worker: more would fill the memory.
AHEAD = 3

T = TypeVar("T")


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
        result.compared[Kind.EXPERIMENT] += 1
        copy = copies.container(experiment.experiment_id)
        if copy is None:
            ref = experiment.ref
            result.differs(
                ref, "missing", f"{experiment.name!r} is not on the target", of_copy=False
            )
            continue
        pairs.append((experiment, copy))
        kept = as_kept[copy.experiment_id]
        compare_experiment(ends, experiment, kept, result, ours=is_ours(copy, experiment))
    copies.load([copy.experiment_id for _, copy in pairs])
    with ThreadPoolExecutor(ends.workers) as pool:
        links: dict[str, ModelLinks] = {}
        for part, named in _in_turn(pool, ends.workers, _run_parts(ends, copies, selected, pairs)):
            result.merge(part)
            links |= named
        calls = _model_parts(ends, copies, selected, pairs, links)
        for part in _in_turn(pool, ends.workers, calls):
            result.merge(part)
        for part in _in_turn(pool, ends.workers, trace_parts(ends, copies, pairs)):
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
            detail = f"{found.where}: {found.reason}"
            result.differs(
                found.ref, "unreadable", detail, lasting=end is ends.source, of_copy=False
            )
    result.unsupported = unsupported_in(ends.source, ends.selection, chosen)
    result.unknown += [*ends.source.unknown(), *ends.target.unknown()]
    return result


def _in_turn(pool: Executor, workers: int, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield what the calls return, in their order; only so many are under way at a time."""
    under_way: deque[Future[T]] = deque()
    for call in calls:
        under_way.append(pool.submit(call))
        if len(under_way) > workers * AHEAD:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


Pairs = list[tuple[Experiment, Experiment]]


def _run_parts(
    ends: Ends, copies: Copies, selected: Selected, pairs: Pairs
) -> Iterator[Callable[[], tuple[Comparison, dict[str, ModelLinks]]]]:
    for experiment, copy in pairs:
        for runs in selected.runs(experiment):
            yield partial(compare_runs, ends, copies, runs, copy.experiment_id)


def _model_parts(
    ends: Ends, copies: Copies, selected: Selected, pairs: Pairs, links: dict[str, ModelLinks]
) -> Iterator[Callable[[], Comparison]]:
    of_models: dict[str, dict[str, ModelLinks]] = {}
    for run_id, named in links.items():
        for model_id in named.model_ids:
            of_models.setdefault(model_id, {}).update(links_to(model_id, {run_id: named}))
    lacking = ends.target.capabilities().without.get(Kind.LOGGED_MODEL)
    seen: set[str] = set()
    for experiment, _ in pairs:
        for models in selected.models(experiment):
            if lacking:
                yield partial(Comparison, unknown=[f"not compared: {lacking}"])
                continue
            seen.update(model.model_id for model in models)
            yield partial(compare_models, ends, copies, models, of_models)
    if Kind.LOGGED_MODEL not in ends.source.capabilities().readable or lacking:
        return
    if ends.selection.include_deleted and not selected.all_models:
        named_models = of_models.keys() | {
            ref.id
            for version in selected.versions
            for ref in named_by(version)
            if ref.kind is Kind.LOGGED_MODEL
        }
        inside = {experiment.experiment_id for experiment, _ in pairs}
        for ids in groups(sorted(named_models - seen)):
            models = _deleted(ends.source.logged_models.read(ids), inside)
            yield partial(compare_models, ends, copies, models, of_models)


def _deleted(models: Iterable[LoggedModel], inside: set[str]) -> list[LoggedModel]:
    """Return the deleted ones among models, which no search shows, of these experiments."""
    return [
        model
        for model in models
        if model.lifecycle_stage == DELETED and model.experiment_id in inside
    ]
