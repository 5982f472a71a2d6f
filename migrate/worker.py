"""Executes a batch: the one function sent to an executor.

Takes one plain value and returns plain outcomes; never raises, never touches state. Endpoints
are opened once per process and address, so connections outlive a batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from migrate.endpoints.addresses import Address, open_endpoint
from migrate.endpoints.protocols import Source, Target
from migrate.errors import EndpointError, MigrateError
from migrate.objects import Kind
from migrate.outcomes import Outcome
from migrate.tasks.batches import Batch
from migrate.tasks.experiment import copy_experiments, delete_objects
from migrate.tasks.logged_model import copy_logged_models
from migrate.tasks.model_version import copy_versions
from migrate.tasks.outcomes import failed
from migrate.tasks.registered_model import copy_registered_models
from migrate.tasks.run import copy_runs

log = logging.getLogger(__name__)

COPIERS: dict[Kind, Callable[[Batch, Source, Target], Iterator[Outcome]]] = {
    Kind.EXPERIMENT: copy_experiments,
    Kind.RUN: copy_runs,
    Kind.LOGGED_MODEL: copy_logged_models,
    Kind.REGISTERED_MODEL: copy_registered_models,
    Kind.PROMPT: copy_registered_models,
    Kind.MODEL_VERSION: copy_versions,
    Kind.PROMPT_VERSION: copy_versions,
    Kind.DELETION: delete_objects,
}

_open: dict[Address, Target] = {}
_opening = threading.Lock()


def endpoint(address: Address) -> Target:
    """Return this process's endpoint for an address, opened at first use."""
    with _opening:
        if address not in _open:
            _open[address] = open_endpoint(address)
        return _open[address]


def close_endpoints() -> None:
    """Close every endpoint this process has opened."""
    with _opening:
        while _open:
            _open.popitem()[1].close()


def execute(batch: Batch) -> list[Outcome]:
    """Carry out a batch; return one outcome per job, whatever happens."""
    started = time.monotonic()
    left = {job.ref: job for job in batch.jobs}
    outcomes: list[Outcome] = []
    try:
        source, target = endpoint(batch.source), endpoint(batch.target)
        for outcome in COPIERS[batch.kind](batch, source, target):
            outcomes.append(outcome)
            del left[outcome.ref]
        problem: MigrateError = EndpointError("the batch ended without a word on this task")
    except MigrateError as known:
        problem = known
    except Exception as unknown:  # a defect of ours must not take the migration down
        log.exception("unexpected error in a batch of %s", batch.kind.plural)
        problem = EndpointError(
            f"unexpected {type(unknown).__name__}: {str(unknown)[:300]}",
            "this is a defect of mlflow-migrate: please report it with --debug output",
        )
    seconds = time.monotonic() - started
    outcomes += [failed(job, problem, seconds=seconds) for job in left.values()]
    return outcomes
