"""Refuses a target that is the source itself, reached another way."""

from __future__ import annotations

from migrate.errors import UsageError
from migrate.graph.draft import Draft
from migrate.kinds import Ref
from migrate.objects import Experiment
from migrate.origins import MIGRATION
from migrate.tasks.carriers import contained_carriers
from migrate.tasks.existing_experiments import is_ours

#: The id of the Default experiment; images of servers may share the moment it was made.
_DEFAULT = "0"


def refuse_itself(draft: Draft) -> None:
    """Raise ``UsageError`` where the target holds the very records that are to be copied.

    So it is with two addresses of one server, a server and its own database, and a database and
    one restored from its backup: every run would be there twice.
    """
    if draft.source_can.archive or draft.target_can.archive:
        return  # An export may go back to where it came from, and keeps the ids of that place.
    for node in draft.containers():
        experiment = draft.experiments[node.ref.id]
        there = draft.existing.by_id.get(experiment.experiment_id)
        if there is None or not experiment.creation_time:
            continue
        if there.creation_time != experiment.creation_time:
            continue
        if is_ours(there, experiment) and not _is_same_copy(there, experiment):
            continue  # A copy that keeps both.
        if experiment.experiment_id != _DEFAULT or _is_read_there(draft, node.ref):
            raise UsageError(
                f"{draft.target_can.description} holds what {draft.source_can.description} does: "
                f"experiment {experiment.name!r} of the same id and moment is there, so it is the "
                "same store, or a copy of its database",
                "name two different ends; an empty target gets everything",
            )


def _is_same_copy(there: Experiment, experiment: Experiment) -> bool:
    """Say whether both are one copy that was made of something else."""
    return there.tags.get(MIGRATION) == experiment.tags.get(MIGRATION)


def _is_read_there(draft: Draft, container: Ref) -> bool:
    """Say whether something that an experiment holds has its own id on the target."""
    for carrier in contained_carriers():
        ids = [node.ref.id for node in draft.held_by(container) if node.ref.kind is carrier.kind]
        taken = ids and carrier.kind in draft.target_can.writable
        if taken and carrier.copies(draft.target).read(ids[:1]):
            return True
    return False
