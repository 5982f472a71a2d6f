"""Carries out batches on the workers of a Dask cluster, which may be on many machines.

Dask gives a batch whose worker died to another one by itself; that one finds the batch begun and
hands it back, so that the scheduler of the migration decides. Dask lets go of the batches of a
client that is gone: what is under way then creates nothing more.

Facts about Dask are those of ``distributed`` 2024.8 to 2026.8.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import Any

from migrate import __version__
from migrate.errors import Unavailable, UsageError
from migrate.executors.distant import DistantExecutor
from migrate.executors.protocol import WorkersLost
from migrate.executors.setup import Setup, carry_out, forget, install, knows, transferred_here
from migrate.outcomes import Outcome
from migrate.redaction import redacted
from migrate.shares import Share
from migrate.tasks.batches import Batch
from migrate.tasks.outcomes import failed

log = logging.getLogger(__name__)

#: How a file begins, in a folder of the target, by which a worker sees that it has the same one.
SIGN = ".mlflow-migrate-"
#: Seconds to wait for a scheduler's answer.
PATIENCE = 10.0
#: Seconds between two looks at which workers there are, and two words on bytes sent.
LOOK_EVERY = 0.5
BYTES_EVERY = 0.5
#: Seconds after which a scheduler that went away ends the migration.
GONE_AFTER = 30.0
#: What Dask says of a batch that is still to be carried out where it is.
_WANTED_STATES = frozenset({"executing", "long-running"})


class DaskExecutor(DistantExecutor):
    """Carries out batches on the cluster of the scheduler at ``address``, ``at_once`` at most."""

    # A batch whose worker died after it ended, and before that was known, is begun once more.
    looks = True

    def __init__(self, setup: Setup, *, address: str, at_once: int) -> None:
        """Raise ``UsageError`` where there is no such scheduler, or a worker is of no use."""
        self._client = _connected(address)
        self._signs = [folder / f"{SIGN}{setup.migration}" for folder in setup.target.folders]
        super().__init__(_for_elsewhere(setup, self._signs), at_once)
        self._address = address
        self._executor = self._client.get_executor(pure=False)
        self._sent: dict[str, int] = {}
        self._threads = 0
        self._ready: set[str] = set()
        self._under_way: set[Future[list[Outcome]]] = set()
        self._gone: WorkersLost | None = None
        self._closing = threading.Event()
        self._topic = f"mlflow-migrate-{setup.session}"
        self._client.subscribe_topic(self._topic, self._hear)
        for sign in self._signs:
            sign.parent.mkdir(parents=True, exist_ok=True)
            sign.touch()
        problems = self._prepare(self._workers())
        if problems:
            self.close()
            raise UsageError(
                f"of the Dask workers, {'; '.join(problems)}",
                f"each needs mlflow-migrate {__version__} with what it needs, and one worker can "
                "have the credentials of one migration only",
            )
        threading.Thread(target=self._watch, name="dask", daemon=True).start()

    @property
    def at_once(self) -> int:
        """See ``BatchExecutor.at_once``: as many as there are threads on the cluster."""
        return max(1, min(self._most, self._threads))

    def _send(self, batch: Batch, share: Share) -> Future[list[Outcome]]:
        if self._gone is not None or self._client.status != "running":
            return _lost(self._gone or ConnectionError("the Dask scheduler went away"))
        future: Future[list[Outcome]] = self._executor.submit(
            execute, self.setup.session, self._topic, batch, share
        )
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    def _workers(self) -> Mapping[str, int]:
        """Return the threads of every worker there is, by its address."""
        known: Mapping[str, int] = self._client.nthreads()
        self._threads = sum(known.values())
        return known

    def _prepare(self, workers: Iterable[str]) -> Sequence[str]:
        """Make workers ready that are not yet; return what is wrong with some, worker by worker."""
        new = sorted(set(workers) - self._ready)
        if not new:
            return ()
        answers = self._client.run(
            prepared, self.setup, self._topic, workers=new, on_error="return"
        )
        self._ready.update(new)
        found = []
        for address, answer in sorted(answers.items()):
            problem = _said(answer)
            if problem:
                found.append(f"{address} {problem}")
        return found

    def _watch(self) -> None:
        """Make workers ready that come later, and find out when the scheduler has gone."""
        since: float | None = None
        while not self._closing.wait(LOOK_EVERY):
            if self._client.status == "running":
                since = None
                try:
                    for problem in self._prepare(self._workers()):
                        log.warning("of the Dask workers, %s", problem)
                except Exception as problem:
                    log.debug("Dask did not say which workers there are: %s", problem)
                continue
            since = since or time.monotonic()
            closed = self._client.status in ("closed", "closing")
            if closed or time.monotonic() - since > GONE_AFTER:
                self._end()
                return

    def _end(self) -> None:
        self._gone = WorkersLost(
            f"the Dask scheduler at {self._address} is gone",
            "start it again, or another one, with workers; then go on with migrate run --resume",
        )
        for future in list(self._under_way):
            # Cancelled by Dask in most cases; whatever was not must not be waited for.
            with suppress(InvalidStateError):
                future.set_exception(self._gone)

    def _hear(self, event: tuple[float, Any]) -> None:
        _, said = event
        if isinstance(said, dict):
            self._sent[str(said.get("worker"))] = int(said.get("bytes", 0))

    def transferred(self) -> int:
        """See ``BatchExecutor.transferred``."""
        return sum(list(self._sent.values()))

    def close(self) -> None:
        """See ``BatchExecutor.close``."""
        self._closing.set()
        for future in list(self._under_way):
            future.cancel()
        if self._client.status == "running":
            try:
                self._client.run(forget, self.setup.session, on_error="ignore")
            except Exception as problem:
                log.debug("the Dask workers were not told of the end: %s", problem)
        self._client.close()
        for sign in self._signs:
            sign.unlink(missing_ok=True)
        super().close()


def _for_elsewhere(setup: Setup, signs: Sequence[Path]) -> Setup:
    """Return a setup with all that a process on another machine needs, and has to see there."""
    ends = (setup.source, setup.target)
    own = [path for end in ends if (path := end.own_path) is not None]
    variables = {name: value for end in ends for name, value in end.variables().items()}
    return dataclasses.replace(setup, environment=variables, seen=(*own, *signs))


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--executor dask needs the package distributed", "pip install 'mlflow-migrate[dask]'"
        ) from None
    # Its own words on workers that come and go are of no use beside ours.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False, name="mlflow-migrate")
    except (OSError, ValueError, TimeoutError) as problem:
        raise UsageError(
            f"no Dask scheduler answers at {redacted(address)}: {type(problem).__name__}",
            "is it running? `dask scheduler` prints its address, such as tcp://host:8786",
        ) from None


def _lost(problem: Exception) -> Future[list[Outcome]]:
    future: Future[list[Outcome]] = Future()
    future.set_exception(problem)
    return future


def _said(answer: object) -> str:
    """Return what is wrong with a worker by its answer, or by why there is none."""
    if isinstance(answer, ModuleNotFoundError):
        return f"has no package {answer.name}"
    if isinstance(answer, Exception):
        return f"failed: {type(answer).__name__}: {redacted(str(answer))[:200]}"
    return str(answer or "")


# -- what runs on the workers -----------------------------------------------------------------


def prepared(setup: Setup, topic: str, dask_worker: Any = None) -> str:
    """Make a worker ready; return why it cannot be, or nothing.

    Dask itself gives the ``dask_worker``, by this name.
    """
    problem = install(setup)
    if not problem:
        telling = threading.Thread(
            target=_tell_bytes, args=(dask_worker, setup, topic), daemon=True
        )
        telling.start()
    return problem


def _tell_bytes(here: Any, setup: Setup, topic: str) -> None:
    """Say how many bytes this worker has sent, as long as it knows the session."""
    last = 0
    while knows(setup.session):
        now = transferred_here(setup)
        if now != last:
            here.log_event(topic, {"worker": here.address, "bytes": now})
            last = now
        time.sleep(BYTES_EVERY)


def execute(session: str, topic: str, batch: Batch, share: Share) -> list[Outcome]:
    """Carry out a batch on a worker, unless it was begun on another one that died or hangs."""
    from distributed import Lock, Status, get_worker

    here = get_worker()
    key = here.get_current_task()

    def wanted() -> bool:
        task = here.state.tasks.get(key)
        return here.status is Status.running and task is not None and task.state in _WANTED_STATES

    begun = Lock(f"{topic}-{key}")
    if not begun.acquire(blocking=False):
        problem = Unavailable("a worker of the cluster died or hangs while it had this batch")
        return [failed(job, problem) for job in batch.jobs]
    outcomes = carry_out(session, batch, share, wanted)
    begun.release()
    begun.close()
    return outcomes
