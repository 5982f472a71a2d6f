"""Copies registered models and prompts: name, description, tags. Their versions are tasks too."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.kinds import Action, Ref, experiment_ref
from migrate.objects import RegisteredModel
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    REPLACES,
    SOURCE,
    carried_tags,
    keep_earlier,
    known_losses,
    losses_beside,
    losses_to_tags,
    outdated_losses,
)
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.storable import storable
from migrate.tasks.attempts import create_once
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.collisions import kept_of_model
from migrate.tasks.outcomes import failed, why_missing, with_permissions
from migrate.tasks.permissions import carry_permissions
from migrate.tasks.read_back import seen_of_registered_model
from migrate.tasks.references import fit_registry_tags, with_fitting_description
from migrate.tasks.refused import create_tagged
from migrate.tasks.repairs import surplus_tags
from migrate.tasks.source_tags import model_tags

#: The option with the rules that give copies other names.
RENAMED_BY = "--model-rename-file"
#: Tag of a prompt: ids of the experiments it is used in, with a comma around each.
PROMPT_EXPERIMENTS_TAG = "_mlflow_experiment_ids"


def model_origin(model: RegisteredModel) -> str:
    """Return what names a source model for ever: its name and the ms of its creation."""
    return f"{model.name}@{model.creation_time or 0}"


def is_copy_of(copy: RegisteredModel, model: RegisteredModel) -> bool:
    """Say whether ``copy`` was made from ``model`` by this tool."""
    return copy.tags.get(ORIGIN) == model_origin(model)


def is_ours(copy: RegisteredModel, model: RegisteredModel, target: Capabilities) -> bool:
    """Say whether ``copy`` stands for ``model`` alone: made from it, or the same by its name."""
    return target.keeps_id(model.kind) or is_copy_of(copy, model)


def experiments_named(model: RegisteredModel) -> list[str]:
    """Return the ids of the experiments that a prompt says it is used in."""
    return [ident for ident in model.tags.get(PROMPT_EXPERIMENTS_TAG, "").split(",") if ident]


def wanted_registered_model(
    model: RegisteredModel, copies: Mapping[Ref, str], target: Capabilities, policy: Policy
) -> tuple[RegisteredModel, tuple[Loss, ...]]:
    """Return what the copy should be, with its origin and what MLflow lets nobody set.

    ``copies`` has the ids of what is on the target.
    """
    lacking = known_losses(model)
    if target.archive:
        return model, lacking
    origin = model_origin(model)
    model, unstorable = storable(model)
    tags = keep_earlier(model_tags(model, policy))
    tags, losses = fit_registry_tags(tags, target.model_tag_length, target)
    model, lost = with_fitting_description(model, target)
    losses += lost
    if named := experiments_named(model):
        known = [copies.get(experiment_ref(ident)) for ident in named]
        tags[PROMPT_EXPERIMENTS_TAG] = "".join(f",{ident}" for ident in known if ident) + ","
        if None in known:
            tags[SOURCE + "experiment_ids"] = ",".join(named)
    tags |= {ORIGIN: origin, MIGRATION: policy.migration_id}
    if policy.replaces:
        tags[REPLACES] = policy.replaces
    times = {"creation_time": model.creation_time, "last_update_time": model.last_update_time}
    tags |= {SOURCE + name: str(value) for name, value in times.items() if value}
    tags |= losses_to_tags(lacking)
    return dataclasses.replace(model, tags=tags), lacking + unstorable + losses


def changes_of_model(
    copy: RegisteredModel, wanted: RegisteredModel, model: RegisteredModel
) -> RegisteredModel:
    """Return what ``copy`` should become: ``wanted``, but for what is not ours to change.

    On a copy of ours, what only says when and how it was made stays. One that was there before
    keeps its description and tags, and gets those of the source that it lacks; but a copy of
    another original has the description of that, also where it is empty.
    """
    if is_copy_of(copy, model) or not wanted.tags.get(ORIGIN):
        stays = {MIGRATION, SOURCE + "last_update_time"} & copy.tags.keys()
        tags = {k: v for k, v in wanted.tags.items() if k not in stays and k != REPLACES}
        tags = {**copy.tags, **outdated_losses(copy.tags), **tags}
        return dataclasses.replace(wanted, name=copy.name, tags=tags)
    missing = {k: v for k, v in carried_tags(wanted.tags).items() if k not in copy.tags}
    description = copy.description
    if ORIGIN not in copy.tags:
        description = description or wanted.description
    return dataclasses.replace(copy, description=description, tags={**copy.tags, **missing})


def copy_registered_models(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Create or adopt registered models or prompts; yield an outcome per job."""
    found = {
        model.name: model for model in source.registered_models.list([j.ref.id for j in batch.jobs])
    }
    for job in batch.jobs:
        started = time.monotonic()
        try:
            model = found.get(job.ref.id)
            if model is None:
                raise why_missing(source, job)
            outcome, ours = _copy(batch, job, model, target)
            copy = Ref(job.ref.kind, outcome.target_id)
            carried = carry_permissions(batch.policy, job.ref, copy, source, target, ours=ours)
            outcome = with_permissions(outcome, carried)
            yield dataclasses.replace(outcome, seconds=time.monotonic() - started)
        except Exception as problem:
            yield failed(job, problem, "", time.monotonic() - started)


def _copy(batch: Batch, job: Job, model: RegisteredModel, target: Target) -> tuple[Outcome, bool]:
    """Create or complete the copy; return what came of it, and whether it is one of ours."""
    policy = batch.policy
    wanted, losses = wanted_registered_model(model, job.copies, target.capabilities(), policy)
    wanted = dataclasses.replace(wanted, name=job.name)
    looks = bool(job.target_id or job.attempt > 1 or policy.replaces)
    copy = _on_target(job.name, target) if looks else None
    replaces = policy.replaces and job.action is Action.CREATE
    if copy is not None and replaces and copy.tags.get(REPLACES) != policy.replaces:
        target.registered_models.delete(copy.name)
        copy = None
    wrote = created = copy is None
    if copy is None:

        def create() -> RegisteredModel:
            return create_tagged(target.registered_models.create, wanted, target.capabilities())[1]

        copy, is_new = create_once(job, create, lambda: _on_target(job.name, target), RENAMED_BY)
        if is_new and copy == wanted:
            copy = None
    if copy is not None:
        changed = changes_of_model(copy, wanted, model)
        if not is_ours(copy, model, target.capabilities()):
            losses += tuple(kept_of_model(copy, changed, model))
        elif job.repairs:
            changed = _without_surplus(changed, wanted, policy, target.capabilities())
        wanted, refused = _update(copy, changed, target)
        losses += refused
        wrote = created or wanted != copy
    if wrote and not target.capabilities().archive:
        seen = seen_of_registered_model(wanted, _on_target(job.name, target))
        losses += seen.settle(losses, f"{job.ref.kind} {job.name!r}", job.attempt)
    outcome = Outcome(
        ref=job.ref, status=TaskStatus.DONE, target_id=job.name, wrote=wrote, losses=losses
    )
    ours = copy is None or is_ours(copy, model, target.capabilities())
    return outcome, ours


def is_up_to_date(copy: RegisteredModel, wanted: RegisteredModel, model: RegisteredModel) -> bool:
    """Say whether a copy needs no write."""
    changed = changes_of_model(copy, wanted, model)
    return (copy.description, copy.tags) == (changed.description, changed.tags)


def _update(
    copy: RegisteredModel, changed: RegisteredModel, target: Target
) -> tuple[RegisteredModel, tuple[Loss, ...]]:
    """Bring a copy up to date; return what it was sent to be, and what of it was refused."""
    if (copy.description, copy.tags) == (changed.description, changed.tags):
        return copy, ()
    refused = tuple(target.registered_models.update(copy, changed))
    if refused and ORIGIN in changed.tags:
        tags = {**changed.tags, **losses_beside(changed.tags, refused)}
        target.registered_models.update(changed, dataclasses.replace(changed, tags=tags))
    return changed, refused


def _without_surplus(
    changed: RegisteredModel, wanted: RegisteredModel, policy: Policy, can: Capabilities
) -> RegisteredModel:
    """Return what a copy should become without the tags that its original has not."""
    surplus = surplus_tags(wanted.kind, changed.tags, wanted.tags, can, policy)
    tags = {key: text for key, text in changed.tags.items() if key not in surplus}
    return dataclasses.replace(changed, tags=tags)


def _on_target(name: str, target: Target) -> RegisteredModel | None:
    return next(iter(target.registered_models.list([name])), None)
