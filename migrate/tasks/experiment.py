"""Copies experiments: the container first, and for a deleted one the deletion last."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.errors import NoSuchRoute, Refused
from migrate.kinds import Action, experiment_ref
from migrate.objects import ACTIVE, DELETED, ArtifactRoot, Experiment
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    SOURCE,
    carried_tags,
    experiment_origin,
    keep_earlier,
    known_losses,
    losses_beside,
    losses_to_tags,
    outdated_losses,
    set_aside,
    without_bookkeeping,
)
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.storable import storable
from migrate.tasks.attempts import create_once
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.collisions import kept_tags
from migrate.tasks.existing_experiments import (
    ExistingExperiments,
    experiments_on,
    find_existing,
    is_ours,
)
from migrate.tasks.files import root_for
from migrate.tasks.outcomes import (
    failed,
    why_missing,
    with_permissions,
)
from migrate.tasks.permissions import carry_permissions
from migrate.tasks.read_back import seen_of_experiment
from migrate.tasks.references import fit_tags
from migrate.tasks.refused import create_tagged
from migrate.tasks.repairs import surplus_tags
from migrate.tasks.source_tags import experiment_tags

#: The option with the rules that give copies other names.
RENAMED_BY = "--experiment-rename-file"
#: What to do when an experiment's name is held by one in the target's trash.
TRASH_CHOICES = ("fail", "restore", "rename")


def wanted_experiment(
    experiment: Experiment, target: Capabilities, policy: Policy
) -> tuple[Experiment, tuple[Loss, ...]]:
    """Return what the copy should be, with its origin and what MLflow lets nobody set."""
    lacking = known_losses(experiment)
    if target.archive:
        return experiment, lacking
    origin = experiment_origin(experiment)
    experiment, unstorable = storable(experiment)
    stated = experiment.artifact_location
    location = stated if target.keeps_files else map_location(stated, policy.locations)
    tags = set_aside(keep_earlier(experiment_tags(experiment, policy)), target.reserved_tags)
    tags, losses = fit_tags(tags, target.experiment_tag_length, target)
    tags |= losses_to_tags(lacking)
    tags[ORIGIN] = origin
    tags[MIGRATION] = policy.migration_id
    unsettable = {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "creation_time": experiment.creation_time,
        "last_update_time": experiment.last_update_time,
        "artifact_location": experiment.artifact_location,
    }
    for name, known in unsettable.items():
        if known:
            tags[SOURCE + name] = str(known)
    copy = dataclasses.replace(experiment, tags=tags, artifact_location=location)
    return copy, lacking + unstorable + losses


def map_location(location: str, locations: Sequence[tuple[str, str]]) -> str:
    """Return the artifact location for a copy: mapped by prefix, else empty (the default)."""
    for old, new in locations:
        if location.startswith(old):
            return new + location.removeprefix(old)
    return ""


def missing_tags(copy: Experiment, wanted: Experiment, experiment: Experiment) -> dict[str, str]:
    """Return the tags to write on an existing copy.

    On a copy of ours: all that differ, except what only says when and how it was made. On an
    experiment that was there before: those of the source that it lacks.
    """
    if is_ours(copy, experiment):
        keep = {ORIGIN, MIGRATION, SOURCE + "last_update_time"}
        tags = {**outdated_losses(copy.tags), **wanted.tags}
        return {k: v for k, v in tags.items() if copy.tags.get(k) != v and k not in keep}
    return {k: v for k, v in carried_tags(wanted.tags).items() if k not in copy.tags}


def copy_experiments(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Create or adopt the experiments of a batch; yield an outcome per job."""
    found = source.experiments.read([job.ref.id for job in batch.jobs])
    at_source = {item.experiment_id: item for item in found}
    copies = experiments_on(target, [job.target_id for job in batch.jobs if job.target_id])
    looks_back = not target.capabilities().archive
    written: list[_Written] = []
    for job in batch.jobs:
        started = time.monotonic()
        try:
            experiment = at_source.get(job.ref.id)
            if experiment is None:
                raise why_missing(source, job)
            root = ArtifactRoot(job.ref, experiment.artifact_location)
            place = root_for(source, target, root).uri
            experiment = dataclasses.replace(experiment, artifact_location=place)
            outcome, ours, sent = _copy(batch, job, experiment, target, copies, started)
            copy = experiment_ref(outcome.target_id)
            carried = carry_permissions(batch.policy, job.ref, copy, source, target, ours=ours)
            outcome = with_permissions(outcome, carried)
        except Exception as problem:
            outcome = failed(job, problem, "", time.monotonic() - started)
        if outcome.wrote and looks_back:
            written.append(_Written(job, outcome, sent))
        else:
            yield outcome
    yield from _looked_at(target, written)


class _Written(NamedTuple):
    """An experiment that was written: what came of it, and the name and tags that were sent."""

    job: Job
    outcome: Outcome
    sent: Experiment


def _looked_at(target: Target, written: Sequence[_Written]) -> Iterator[Outcome]:
    """Look at what the target shows of the experiments written; yield what came of each.

    Tags that are not shown, such as the origin, are set once more and looked at again.
    """
    for again in (True, False):
        ids = [outcome.target_id for _, outcome, _ in written]
        found = target.experiments.read(ids) if ids else ()
        shown = {item.experiment_id: item for item in found}
        left: list[_Written] = []
        for job, outcome, sent in written:
            copy = shown.get(outcome.target_id)
            seen = seen_of_experiment(sent, copy)
            seen.leave_out(outcome.losses)
            try:
                if seen.missing and copy is not None and again:
                    unseen = {k: v for k, v in sent.tags.items() if copy.tags.get(k) != v}
                    refused = _set_tags(target, outcome.target_id, unseen, sent)
                    losses = tuple(dict.fromkeys((*outcome.losses, *refused)))
                    left.append(_Written(job, dataclasses.replace(outcome, losses=losses), sent))
                    continue
                seen.require(f"experiment {job.name!r}", job.attempt)
            except Exception as problem:
                yield failed(job, problem, outcome.target_id, outcome.seconds)
                continue
            yield dataclasses.replace(outcome, losses=outcome.losses + tuple(seen.changed))
        written = left


def _copy(
    batch: Batch,
    job: Job,
    experiment: Experiment,
    target: Target,
    copies: ExistingExperiments,
    started: float,
) -> tuple[Outcome, bool, Experiment]:
    """Create or complete the copy.

    Return what came of it, whether it is one of ours, and its name and tags as they were sent.
    """
    wanted, losses = wanted_experiment(experiment, target.capabilities(), batch.policy)
    # By the name it is to get: its own may be held by one in the target's trash.
    named = dataclasses.replace(experiment, name=job.name)
    copy = copies.by_id.get(job.target_id)
    if copy is None and (job.target_id or job.attempt > 1):
        copy = find_existing(named, target)
    wrote = False
    # Where it may keep its id, the plan says which it is to have.
    ident = str(job.number) if job.number else wanted.experiment_id
    sent = dataclasses.replace(wanted, name=job.name, experiment_id=ident)
    if copy is None:

        def create() -> Experiment:
            create, can = target.experiments.create, target.capabilities()
            target_id, made = create_tagged(create, sent, can)
            return dataclasses.replace(made, experiment_id=target_id)

        found, wrote = create_once(job, create, lambda: find_existing(named, target), RENAMED_BY)
        if wrote:
            target_id = found.experiment_id
            left = {k: v for k, v in sent.tags.items() if k not in found.tags}
            losses += _set_tags(target, target_id, left, sent) if left else ()
        else:
            copy = found
    if copy is not None:
        target_id = copy.experiment_id
        sent = dataclasses.replace(
            wanted,
            name=job.name if is_ours(copy, experiment) else copy.name,
            tags=missing_tags(copy, wanted, experiment),
        )
        wrote, refused = _complete(job, experiment, wanted, copy, target)
        losses += refused
        if job.repairs and is_ours(copy, experiment):
            removed = _remove_surplus(experiment, wanted, copy, batch.policy, target)
            wrote, losses = wrote or removed.wrote, losses + removed.losses
    outcome = Outcome(
        ref=job.ref,
        status=TaskStatus.DONE,
        target_id=target_id,
        wrote=wrote,
        losses=losses,
        seconds=time.monotonic() - started,
    )
    return outcome, copy is None or is_ours(copy, experiment), sent


def _complete(
    job: Job, experiment: Experiment, wanted: Experiment, copy: Experiment, target: Target
) -> _Changed:
    """Bring an existing copy up to date."""
    wrote = False
    if copy.lifecycle_stage == DELETED and job.action in (Action.UPDATE, Action.REPAIR):
        target.experiments.restore(copy.experiment_id)
        copy = dataclasses.replace(copy, lifecycle_stage=ACTIVE)
        wrote = True
    if copy.lifecycle_stage == DELETED:
        if experiment.lifecycle_stage == DELETED:
            return _Changed(wrote)
        raise Refused(
            f"experiment {copy.name!r} has been deleted on the target since the plan was made",
            "plan again, with --if-trashed restore or --if-trashed rename",
        )
    if is_ours(copy, experiment) and copy.name != job.name:
        target.experiments.rename(copy.experiment_id, job.name)
        wrote = True
    tags = missing_tags(copy, wanted, experiment)
    if not tags:
        return _Changed(wrote)
    if not is_ours(copy, experiment):
        return _Changed(True, tuple(target.experiments.set_tags(copy.experiment_id, tags)))
    return _Changed(True, _set_tags(target, copy.experiment_id, tags, wanted))


class _Changed(NamedTuple):
    """Whether anything was written to a copy, and what did not arrive."""

    wrote: bool = False
    losses: tuple[Loss, ...] = ()


def _set_tags(
    target: Target, target_id: str, tags: Mapping[str, str], wanted: Experiment
) -> tuple[Loss, ...]:
    """Set some of the tags of a copy that is to be as ``wanted``; return what is refused.

    The copy is told that too, as far as the target takes it.
    """
    refused = tuple(target.experiments.set_tags(target_id, tags))
    if refused:
        target.experiments.set_tags(target_id, losses_beside(wanted.tags, refused))
    return refused


def _remove_surplus(
    experiment: Experiment, wanted: Experiment, copy: Experiment, policy: Policy, target: Target
) -> _Changed:
    """Take off a copy the tags that its original has not."""
    known = {**experiment.tags, **wanted.tags}
    there = without_bookkeeping(copy.tags)
    can = target.capabilities()
    surplus = surplus_tags(experiment.ref.kind, there, known, can, policy)
    try:
        target.experiments.remove_tags(copy.experiment_id, surplus)
    except NoSuchRoute:
        reason = f"only on the target, and {can.description} takes no tag off an experiment"
        return _Changed(losses=tuple(Loss(f"tag {key}", reason) for key in surplus))
    return _Changed(wrote=bool(surplus))


def delete_experiment(batch: Batch, job: Job, source: Source, target: Target) -> str:
    """Delete an experiment's copy and return its id; runs that were active inside stay active."""
    copies = job.references
    active = [
        run.run_id
        for run in source.runs.list([batch.container])
        if run.lifecycle_stage == ACTIVE and run.run_id in copies
    ]
    target.experiments.delete(batch.target_container)
    target.runs.restore([copies[run_id] for run_id in active])
    return batch.target_container


def kept_of_experiment(copy: Experiment, wanted: Experiment) -> tuple[Loss, ...]:
    """Return the tags of which an experiment that is no copy of ours keeps its own value."""
    reason = f"{copy.name!r} was on the target already, and keeps its own"
    return tuple(kept_tags(wanted.tags, copy.tags, reason))
