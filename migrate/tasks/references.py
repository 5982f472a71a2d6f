"""Rewrites what a run says about other runs, and cuts what the target cannot hold. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from migrate.endpoints.answers import Capabilities
from migrate.objects import (
    MODEL_HISTORY_TAG,
    PARENT_RUN_TAG,
    ROOT_RUN_TAG,
    RUN_NAME_TAG,
    Metric,
    ModelVersion,
    RegisteredModel,
    Run,
    input_name,
)
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    PREFIX,
    SOURCE,
    STAND_IN,
    keep_earlier,
    known_losses,
    real_name,
    set_aside,
)
from migrate.outcomes import Loss
from migrate.storable import clean_text, storable
from migrate.tasks import source_tags
from migrate.tasks.batches import Policy
from migrate.tasks.fitting import (
    cut_values,
    fit_as_they_are,
    fitting,
    refused_keys,
    takes_all,
    without_refused,
)
from migrate.tasks.source_tags import run_tags

NO_NAME = "has no name, and MLflow would make one up: the copy is called by the id of its original"
#: What MLflow calls the source of a dataset input that is one of its evaluation datasets.
EVALUATION_DATASET = "mlflow_evaluation_dataset"
Described = TypeVar("Described", RegisteredModel, ModelVersion)
REFERENCE_TAGS = (PARENT_RUN_TAG, ROOT_RUN_TAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run as its copy should be, and what that costs.

    ``late_tags`` name the copy itself, so they are written once its id is known; in their
    values ``run.run_id`` is still the source's id. ``dropped_keys`` are metric keys that the
    target refuses. ``orphans`` are reference tags whose run has no copy.
    """

    run: Run
    late_tags: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    dropped_keys: frozenset[str] = frozenset()


NO_COPIES: Mapping[str, str] = MappingProxyType({})


def wanted_copy(
    run: Run,
    references: Mapping[str, str],
    target: Capabilities,
    policy: Policy,
    datasets: Mapping[str, str] = NO_COPIES,
) -> Wanted:
    """Return what the copy of ``run`` should be on this target.

    ``references`` maps source run ids to the ids of their copies, ``datasets`` those of
    evaluation datasets.
    """
    name = real_name(run.name, run.tags)
    if target.archive:
        wanted = Wanted(run=run if name == run.name else _unnamed(run))
        return dataclasses.replace(wanted, losses=known_losses(run))
    fitted, losses, dropped = fit(run, target, policy)
    tags = set_aside(keep_earlier(fitted.tags), target.reserved_tags)
    tags.pop(RUN_NAME_TAG, None)  # the server derives it from the name
    late: dict[str, str] = {}
    warnings: list[str] = []
    ids_are_kept = target.keeps_id(run.ref.kind)
    orphans = () if ids_are_kept else orphan_tags(run, references)
    for key in REFERENCE_TAGS:
        if key not in tags:
            continue
        old = tags.pop(key)
        if old == run.run_id:
            late[key] = old
        elif key in orphans:
            tags[SOURCE + key.removeprefix("mlflow.")] = old
            warnings.append(
                f"{key} names run {old}, which is not among the runs copied: kept as a source tag"
            )
        else:
            tags[key] = old if ids_are_kept else references[old]
    if MODEL_HISTORY_TAG in tags:
        late[MODEL_HISTORY_TAG] = tags.pop(MODEL_HISTORY_TAG)
    inputs, left_behind = copied_inputs(fitted.inputs, datasets)
    warnings += [
        f"its input is evaluation dataset {ident}, which is not copied: kept as a source tag"
        for ident in left_behind
    ]
    if target.sets_user and run.user_id:
        tags[SOURCE + "user_id"] = fitted.user_id
    tags |= {ORIGIN: run.run_id, MIGRATION: policy.migration_id}
    if not name:
        tags[STAND_IN] = run.run_id
        fitted = dataclasses.replace(fitted, name=run.run_id)
        warnings.append(NO_NAME)
    return Wanted(
        run=dataclasses.replace(fitted, tags=tags, inputs=inputs),
        late_tags=late,
        losses=losses,
        warnings=tuple(warnings),
        orphans=orphans,
        dropped_keys=dropped,
    )


def copied_inputs(
    inputs: Sequence[Mapping[str, Any]], datasets: Mapping[str, str] = NO_COPIES
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """Return the dataset inputs of a copy, and the evaluation datasets they name without a copy.

    The id of one is good at its own server only: it goes into a tag of the input, and that of its
    copy takes its place. The tag is there in any case: the target keeps one source for all inputs
    of a name and digest, the first that it was told.
    """
    found = [(item, evaluation_dataset(item)) for item in inputs]
    copied = tuple(
        _with_dataset(item, ident, datasets.get(ident, "")) if ident else item
        for item, ident in found
    )
    return copied, tuple(ident for _, ident in found if ident and ident not in datasets)


def _with_dataset(item: Mapping[str, Any], ident: str, copy: str) -> dict[str, Any]:
    kept = SOURCE + "dataset_id"
    dataset = {**item["dataset"], "source": json.dumps({"dataset_id": copy})}
    tags = list(item["tags"])
    if kept not in {tag["key"] for tag in tags}:
        tags.append({"key": kept, "value": ident})
    return {"dataset": dataset, "tags": tags}


def without_dataset_copy(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an input of a copy as it was written before its evaluation dataset had a copy."""
    ident = {tag["key"]: tag.get("value", "") for tag in item["tags"]}.get(SOURCE + "dataset_id")
    return _with_dataset(item, ident, "") if ident else item


def evaluation_dataset(item: Mapping[str, Any]) -> str:
    """Return the id of the evaluation dataset (MLflow 3.4) that a dataset input is, or nothing."""
    dataset = item["dataset"]
    if dataset.get("source_type") != EVALUATION_DATASET:
        return ""
    try:
        source = json.loads(dataset.get("source") or "{}")
    except (ValueError, RecursionError):
        return ""
    return str(source.get("dataset_id") or "") if isinstance(source, dict) else ""


def _unnamed(run: Run) -> Run:
    """Return a copy of a run that has no name as its original was."""
    tags = {key: value for key, value in run.tags.items() if key != RUN_NAME_TAG}
    return dataclasses.replace(run, name="", tags=tags)


def orphan_tags(run: Run, references: Mapping[str, str]) -> tuple[str, ...]:
    """Return the reference tags of ``run`` whose run is not among ``references``."""
    return tuple(
        key
        for key in REFERENCE_TAGS
        if key in run.tags and run.tags[key] not in references and run.tags[key] != run.run_id
    )


def kept_references(run: Run, copy: Run) -> tuple[Loss, ...]:
    """Return the references that ``copy`` keeps as source tags, as losses of ``run``.

    They name runs that were not there when the copy was made: not selected then, or in a circle.
    """
    return tuple(
        Loss(f"tag {key}", f"run {run.tags[key]} was not copied before it: kept as a source tag")
        for key in REFERENCE_TAGS
        if key not in copy.tags
        and key in run.tags
        and copy.tags.get(SOURCE + key.removeprefix("mlflow.")) == run.tags[key]
    )


def fit(
    run: Run, target: Capabilities, policy: Policy
) -> tuple[Run, tuple[Loss, ...], frozenset[str]]:
    """Cut ``run``, with the tags that the user asked for, to what the target can hold.

    Return the losses and the refused metric keys as well.

    Cut here, not by the server: newer servers cut silently, older ones refuse the whole batch.
    """
    lacking = known_losses(run)
    run, unstorable = storable(run)
    losses = [*lacking, *unstorable]
    tags = run_tags(run, policy)
    if not run.inputs and _fits(run, tags, target):
        same = run if tags == run.tags else dataclasses.replace(run, tags=tags)
        return same, tuple(losses), frozenset()
    name = fitting("name", run.name, target.run_name_length, target, losses)
    params = cut_values(run.params, "param", target.param_length, target, losses)
    params = without_refused(params, "param", target, losses)
    tags, of_tags = fit_tags(tags, target.run_tag_length, target)
    losses += of_tags
    dropped = refused_keys((metric.key for metric in run.latest_metrics), target)
    for key, reason in dropped.items():
        losses.append(Loss(f"metric {clean_text(key)[:60]}", reason))
    inputs = run.inputs
    if inputs and not target.dataset_inputs:
        inputs = ()
        losses.append(Loss(f"{len(run.inputs)} dataset inputs", "the target has no such thing"))
    inputs = _fit_inputs(inputs, target, losses)
    as_it_is = (run.name, run.params, run.tags, run.inputs)
    if (name, params, tags, inputs) != as_it_is:
        run = dataclasses.replace(run, name=name, params=params, tags=tags, inputs=inputs)
    return run, tuple(losses), frozenset(dropped)


def _fits(run: Run, tags: Mapping[str, str], target: Capabilities) -> bool:
    """Say at one look that of a run and its tags nothing has to be cut or left out."""
    names = target.run_name_length
    keys = [*run.params, *tags, *[metric.key for metric in run.latest_metrics]]
    return (
        fit_as_they_are([run.name], names, target)
        and fit_as_they_are(run.params.values(), target.param_length, target)
        and fit_as_they_are(tags.values(), target.run_tag_length, target)
        and takes_all(keys, target)
    )


def _fit_inputs(
    inputs: Sequence[Mapping[str, Any]], target: Capabilities, losses: list[Loss]
) -> tuple[Mapping[str, Any], ...]:
    """Leave out schemas that are too long: half of one is of no use."""
    limit = target.dataset_schema_length

    def fitted(item: Mapping[str, Any]) -> Mapping[str, Any]:
        length = len(item["dataset"].get("schema") or "")
        if limit is None or length <= limit:
            return item
        reason = f"left out: {length} characters, the target holds {limit}"
        losses.append(Loss(f"schema of {input_name(item)}", reason))
        others = {key: text for key, text in item["dataset"].items() if key != "schema"}
        return {**item, "dataset": others}

    return tuple(map(fitted, inputs))


def fit_tags(
    tags: Mapping[str, str], limit: int | None, target: Capabilities
) -> tuple[dict[str, str], tuple[Loss, ...]]:
    """Return tags as the target can hold them, with values of at most ``limit`` characters."""
    losses: list[Loss] = []
    kept = without_refused(cut_values(tags, "tag", limit, target, losses), "tag", target, losses)
    return kept, tuple(losses)


def fit_registry_tags(
    tags: Mapping[str, str], limit: int | None, target: Capabilities
) -> tuple[dict[str, str], tuple[Loss, ...]]:
    """Return tags of a registered model or version, likewise.

    Keys with characters that its registry refuses are left out, but for those of our own.
    """
    in_registry = dataclasses.replace(target, folding=target.registry_folding)
    kept, losses = fit_tags(tags, limit, in_registry)
    refused = target.refused_in_model_tags
    reason = f"the target refuses keys with one of {' '.join(refused)}"
    for key in [key for key in kept if set(_bare(key)) & set(refused)]:
        losses += (Loss(f"tag {key[:60]}", reason),)
        del kept[key]
    return kept, losses


def with_fitting_description(
    record: Described, target: Capabilities
) -> tuple[Described, tuple[Loss, ...]]:
    """Return a registered model or version with a description that the target can hold."""
    losses: list[Loss] = []
    limit = target.description_length
    fitted = fitting("description", record.description, limit, target, losses)
    return dataclasses.replace(record, description=fitted), tuple(losses)


def _bare(key: str) -> str:
    """Return what counts of a key: prefixes and dots of our own are spelled as a target wants."""
    for prefix in (PREFIX, source_tags.PREFIX):
        if key.startswith(prefix):
            return key.removeprefix(prefix).replace(".", "")
    return key


def with_own_id(tags: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    """Return tags that name their own run with the copy's id in place of the source's.

    In ``mlflow.log-model.history`` only the ``run_id`` of entries naming ``old`` changes; text
    that is not the JSON MLflow writes is kept as it is.
    """
    rewritten = {}
    for key, value in tags.items():
        rewritten[key] = (
            _history_with_id(value, old, new)
            if key == MODEL_HISTORY_TAG
            else (new if value == old else value)
        )
    return rewritten


def _history_with_id(text: str, old: str, new: str) -> str:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(entries, list):
        return text
    for entry in entries:
        if isinstance(entry, dict) and entry.get("run_id") == old:
            entry["run_id"] = new
    return json.dumps(entries)


def keep_points(points: Sequence[Metric], dropped: frozenset[str]) -> Sequence[Metric]:
    """Return the points whose key the target takes."""
    return [point for point in points if point.key not in dropped] if dropped else points
