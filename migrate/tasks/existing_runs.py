"""Finds the copies of runs that are on the target already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from migrate.endpoints.protocols import Target
from migrate.endpoints.protocols.runs import ReadsRuns
from migrate.errors import EndpointError
from migrate.objects import Run
from migrate.tasks.batches import Batch


class Existing(NamedTuple):
    """A copy, and its mark as far as it is known."""

    run: Run
    mark: str


def existing_copies(
    batch: Batch, target: Target
) -> tuple[dict[str, Existing], dict[str, EndpointError]]:
    """Return the copies that are there already, and why others cannot be read, by source run id.

    A job whose earlier attempt ended unclear is looked for by its origin; no other is.
    """
    known = {job.ref.id: (job.target_id, job.mark) for job in batch.jobs if job.target_id}
    unclear = [job.ref.id for job in batch.jobs if not job.target_id and job.attempt > 1]
    if unclear:
        for origin, copies in target.runs.find(batch.target_container, unclear).items():
            if origin in unclear:
                known[origin] = (copies[0].target_id, copies[0].mark)
    if not known:
        return {}, {}
    ids = [target_id for target_id, _ in known.values()]
    runs, damaged = read_runs(target.runs, batch.target_container, ids)
    there = {run.run_id: run for run in runs}
    # What a search does not show is asked for by itself before it is made once more.
    for target_id in set(ids) - there.keys() - damaged.keys():
        there |= {run.run_id: run for run in target.runs.read([target_id])}
    existing = {
        source_id: Existing(there[target_id], mark)
        for source_id, (target_id, mark) in known.items()
        if target_id in there
    }
    unreadable = {
        source_id: damaged[target_id]
        for source_id, (target_id, _) in known.items()
        if target_id in damaged
    }
    return existing, unreadable


def read_runs(
    end: ReadsRuns, experiment_id: str, run_ids: Sequence[str]
) -> tuple[Sequence[Run], dict[str, EndpointError]]:
    """Read runs; where one cannot be read, return the others and the error of that one."""
    try:
        return end.read_in(experiment_id, run_ids), {}
    except EndpointError as problem:
        if len(run_ids) == 1:
            return [], {run_ids[0]: problem}
    runs: list[Run] = []
    damaged: dict[str, EndpointError] = {}
    for run_id in run_ids:
        found, problems = read_runs(end, experiment_id, [run_id])
        runs += found
        damaged |= problems
    return runs, damaged
