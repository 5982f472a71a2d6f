"""Compares logged models with their copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrate.endpoints.answers import Copy
from migrate.kinds import Ref, logged_model_ref
from migrate.objects import (
    DELETED,
    ArtifactRoot,
    LoggedModel,
    Metric,
    ModelMetric,
    as_stored,
)
from migrate.origins import SOURCE, known_losses
from migrate.outcomes import Loss
from migrate.storable import is_removable
from migrate.tasks.logged_model import wanted_model
from migrate.tasks.model_files import Rewrites
from migrate.tasks.model_marks import facts_of, runs_named, true_metrics
from migrate.tasks.repairs import comparable_tags
from migrate.verify.contents import Group
from migrate.verify.files import compare_files
from migrate.verify.result import Comparison, Ends

#: What a logged model is created with, and nobody can change later.
SET_ONCE = ("name", "model_type")


def compare_models(group: Group[LoggedModel]) -> Comparison:
    """Compare some logged models of the source with their copies."""
    ends, copies = group.ends, group.copies
    result = Comparison()
    named = {
        model.ref: runs_named(facts_of(model), group.links.get(model.ref, {}))
        for model in group.records
    }
    references = copies.runs(run_id for of_model in named.values() for run_id in of_model)
    with_place = []
    for model in group.records:
        if not copies.found(model.ref) and _has_no_place(ends, model, references):
            what = "the target has no logged models, and no run is copied that it could go into"
            result.declare(model.ref, [Loss("logged model", what)])
        else:
            with_place.append(model)
    for model, copy, found in replace(group, records=with_place).matched(result):
        known = {run_id: references[run_id] for run_id in named[model.ref] & references.keys()}
        _compare(ends, model, copy, found, known, result)
    return result


def _has_no_place(ends: Ends, model: LoggedModel, references: Mapping[str, str]) -> bool:
    """Say whether a target without logged models has no run that could hold this one's files."""
    if not ends.target.capabilities().flattens_models:
        return False
    run_id = model.source_run_id
    return run_id not in references or any(
        run.lifecycle_stage == DELETED for run in ends.source.runs.read([run_id])
    )


def _compare(
    ends: Ends,
    model: LoggedModel,
    copy: LoggedModel,
    found: Copy,
    references: Mapping[str, str],
    result: Comparison,
) -> None:
    ref = model.ref
    can = ends.target.capabilities()
    # What runs say of it is compared with the runs.
    if not can.flattens_models:
        model = replace(model, metrics=true_metrics(ends.source, model.metrics))
        copy = replace(copy, metrics=true_metrics(ends.target, copy.metrics))
    wanted = wanted_model(model, {}, references, can, "")
    result.declare(ref, (*wanted.losses, *found.losses, *known_losses(copy)))
    if not can.flattens_models:
        _compare_fields(wanted.model, copy, ref, result)
        wanted_tags = wanted.model.tags
        tags = comparable_tags(ref.kind, wanted_tags, wanted_tags, can, ends.policy)
        there = comparable_tags(ref.kind, copy.tags, wanted_tags, can, ends.policy)
        stays = [key for key in there.keys() - tags.keys() if not is_removable(key)]
        result.check_items(ref, "tag", tags, there, lasting=stays)
        result.declare(ref, _kept_source_run(model, copy, references))
        old, new = wanted.model.source_run_id, copy.source_run_id
        result.check(ref, "source run", old, new, lasting=True)
        _compare_metrics(wanted.model, copy, ref, result)
    root = ArtifactRoot(ref, model.artifact_uri)
    copy_root = ArtifactRoot(logged_model_ref(copy.model_id), copy.artifact_uri)
    place = copy.model_id.split("/", 2)[2] if can.flattens_models else copy.artifact_uri
    rewrites = Rewrites(
        ids={**references, model.model_id: copy.model_id}, roots=((model.artifact_uri, place),)
    )
    compare_files(ends, ref, root, copy_root, rewrites, result)


def _compare_fields(wanted: LoggedModel, copy: LoggedModel, ref: Ref, result: Comparison) -> None:
    for field in ("name", "model_type", "status", "lifecycle_stage"):
        what = field.replace("_", " ")
        old, new = getattr(wanted, field), getattr(copy, field)
        lasting = field in SET_ONCE or (field == "lifecycle_stage" and new == DELETED)
        result.check(ref, what, old, new, lasting=lasting)
    result.check_items(ref, "param", wanted.params, copy.params, lasting=copy.params)


def _kept_source_run(
    model: LoggedModel, copy: LoggedModel, references: Mapping[str, str]
) -> list[Loss]:
    """Return the loss of a source run that was not there when the copy was made."""
    if copy.source_run_id or copy.tags.get(SOURCE + "source_run_id") != model.source_run_id:
        return []
    why = "was not copied before it" if model.source_run_id in references else "has no copy"
    reason = f"run {model.source_run_id} {why}: kept as a source tag"
    return [Loss("source run", reason)] if model.source_run_id else []


def _compare_metrics(wanted: LoggedModel, copy: LoggedModel, ref: Ref, result: Comparison) -> None:
    mine, theirs = _by_key(wanted.metrics), _by_key(copy.metrics)
    for key in sorted(mine.keys() | theirs.keys()):
        points, held = mine.get(key, []), theirs.get(key, [])
        if points != held:
            detail = f"{len(points)} points became {len(held)}"
            if len(points) == len(held):
                detail = "values, times, steps, runs or datasets of its points differ"
            added = bool(Counter(held) - Counter(points))
            result.differs(ref, f"metric {key}", detail, lasting=added)


def _by_key(metrics: Sequence[ModelMetric]) -> dict[str, list[str]]:
    """Return the points of each metric as texts in order: NaN equals itself in these."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        point = as_stored(Metric(metric.key, metric.value, metric.timestamp, metric.step))
        text = repr(tuple(metric._replace(value=point.value)))
        found.setdefault(metric.key, []).append(text)
    return {key: sorted(points) for key, points in found.items()}
