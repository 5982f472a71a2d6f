"""Compares experiments with their copies."""

from __future__ import annotations

from migrate.kinds import experiment_ref
from migrate.objects import Experiment
from migrate.origins import known_losses, without_bookkeeping
from migrate.tasks.experiment import kept_of_experiment, missing_tags, wanted_experiment
from migrate.tasks.repairs import surplus_tags
from migrate.verify.permissions import compare_permissions
from migrate.verify.result import Comparison, Ends


def compare_experiment(
    ends: Ends, experiment: Experiment, copy: Experiment, result: Comparison, *, ours: bool
) -> None:
    """Compare an experiment with its copy; that is not ``ours`` when it was there before."""
    ref = experiment.ref
    can = ends.target.capabilities()
    if experiment.lifecycle_stage != copy.lifecycle_stage:
        detail = f"{experiment.lifecycle_stage} became {copy.lifecycle_stage}"
        result.differs(ref, "lifecycle stage", detail)
    wanted, losses = wanted_experiment(experiment, can, ends.policy)
    result.declare(ref, losses + known_losses(copy))
    if not can.archive and not ours:
        result.declare(ref, kept_of_experiment(copy, wanted))
    if can.archive:
        differing = [k for k, v in experiment.tags.items() if copy.tags.get(k) != v]
    else:
        differing = sorted(without_bookkeeping(missing_tags(copy, wanted, experiment)))
    for key in differing:
        result.check(ref, f"tag {key}", wanted.tags.get(key), copy.tags.get(key))
    compare_permissions(ends, ref, experiment_ref(copy.experiment_id), result, ours=ours)
    if ours:
        there = without_bookkeeping(copy.tags)
        known = {**experiment.tags, **wanted.tags}
        for key in surplus_tags(ref.kind, there, known, can, ends.policy):
            result.differs(ref, f"tag {key}", "only on the target")
