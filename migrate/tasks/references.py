"""Rewrites what a run says about other runs, and cuts what the target cannot hold. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrate.endpoints.answers import Capabilities
from migrate.objects import (
    MODEL_HISTORY_TAG,
    PARENT_RUN_TAG,
    ROOT_RUN_TAG,
    RUN_NAME_TAG,
    Metric,
    Run,
)
from migrate.origins import MIGRATION, ORIGIN, PREFIX, SOURCE, keep_earlier, set_aside
from migrate.outcomes import Loss
from migrate.storable import HALF_CHARACTER, clean_text, is_text, storable
from migrate.tasks import source_tags
from migrate.tasks.batches import Policy
from migrate.tasks.source_tags import run_tags

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


def wanted_copy(
    run: Run, references: Mapping[str, str], target: Capabilities, policy: Policy
) -> Wanted:
    """Return what the copy of ``run`` should be on this target.

    ``references`` maps source run ids to the ids of their copies.
    """
    if target.keeps_ids:
        return Wanted(run=run)
    fitted, losses, dropped = fit(run, target, policy)
    tags = set_aside(keep_earlier(fitted.tags), target.reserved_tags)
    tags.pop(RUN_NAME_TAG, None)  # the server derives it from the name
    late: dict[str, str] = {}
    warnings: list[str] = []
    orphans = orphan_tags(run, references)
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
            tags[key] = references[old]
    if MODEL_HISTORY_TAG in tags:
        late[MODEL_HISTORY_TAG] = tags.pop(MODEL_HISTORY_TAG)
    if target.sets_user and run.user_id:
        tags[SOURCE + "user_id"] = fitted.user_id
    tags |= {ORIGIN: run.run_id, MIGRATION: policy.migration_id}
    return Wanted(
        run=dataclasses.replace(fitted, tags=tags),
        late_tags=late,
        losses=losses,
        warnings=tuple(warnings),
        orphans=orphans,
        dropped_keys=dropped,
    )


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
    run, unstorable = storable(run)
    losses = list(unstorable)
    params = _cut(run.params, "param", target.param_length, losses)
    params = _without_refused(params, "param", target, losses)
    tags, of_tags = fit_tags(run_tags(run, policy), target.run_tag_length, target)
    losses += of_tags
    dropped = []
    for metric in run.latest_metrics:
        reason = refused_key(metric.key, target)
        if reason:
            dropped.append(metric.key)
            losses.append(Loss(f"metric {clean_text(metric.key)[:60]}", reason))
    inputs = run.inputs
    if inputs and not target.dataset_inputs:
        inputs = ()
        losses.append(Loss(f"{len(run.inputs)} dataset inputs", "the target has no such thing"))
    fitted = dataclasses.replace(run, params=params, tags=tags, inputs=inputs)
    return fitted, tuple(losses), frozenset(dropped)


def fit_tags(
    tags: Mapping[str, str], limit: int | None, target: Capabilities, refused: str = ""
) -> tuple[dict[str, str], tuple[Loss, ...]]:
    """Return tags as the target can hold them, with values of at most ``limit`` characters.

    Keys with one of the characters ``refused`` are left out, but for those of our own.
    """
    losses: list[Loss] = []
    kept = _without_refused(_cut(tags, "tag", limit, losses), "tag", target, losses)
    for key in [key for key in kept if set(_bare(key)) & set(refused)]:
        reason = f"the target refuses keys with one of {' '.join(refused)}"
        losses.append(Loss(f"tag {key[:60]}", reason))
        del kept[key]
    return kept, tuple(losses)


def _bare(key: str) -> str:
    """Return what counts of a key: prefixes and dots of our own are spelled as a target wants."""
    for prefix in (PREFIX, source_tags.PREFIX):
        if key.startswith(prefix):
            return key.removeprefix(prefix).replace(".", "")
    return key


def _cut(
    values: Mapping[str, str], word: str, limit: int | None, losses: list[Loss]
) -> dict[str, str]:
    cut = dict(values)
    for key, value in values.items():
        if limit is not None and len(value) > limit:
            cut[key] = value[:limit]
            losses.append(
                Loss(f"{word} {key[:60]}", f"{len(value)} characters, the target holds {limit}")
            )
    return cut


def _without_refused(
    values: Mapping[str, str], word: str, target: Capabilities, losses: list[Loss]
) -> dict[str, str]:
    kept = {}
    for key, value in values.items():
        reason = refused_key(key, target)
        if reason:
            losses.append(Loss(f"{word} {key[:60]}", reason))
        else:
            kept[key] = value
    return kept


def refused_key(key: str, target: Capabilities) -> str:
    """Return why the target refuses a key, or an empty text."""
    if not key:
        return "its key is empty, which no server stores"
    if not is_text(key):
        return f"its key {HALF_CHARACTER}"
    limit = target.metric_key_length
    if limit is not None and len(key) > limit:
        return f"its key has {len(key)} characters, the target holds {limit}"
    if ":" in key and not target.colon_in_keys:
        return "the target refuses keys with a colon"
    return ""


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
