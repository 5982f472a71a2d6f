"""What other processes have to know before they are given batches, and how they carry them out.

A batch says nothing of how its ends are reached: addresses with their credentials come once, by a
channel that shows them nowhere, and stay in the memory of the process.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrate import __version__, worker
from migrate.endpoints.addresses import Address
from migrate.errors import MigrateError, Unavailable
from migrate.outcomes import Outcome
from migrate.redaction import learn
from migrate.shares import Share, holding
from migrate.tasks.batches import Batch
from migrate.tasks.outcomes import failed

#: Seconds that a batch waits for the setup that it belongs to.
PATIENCE = 60.0
#: After so many seconds without a create, a process looks twice whether it is still wanted.
LONG_PAUSE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One run of a migration: both ends as ``source`` and ``target``, and their ``identities``.

    ``environment`` has variables with credentials for a process that was not started from here. It
    may be on another machine: it has to see the files at ``seen``, which are on this one.
    ``session`` tells two runs of one migration apart. ``repr`` shows no secret.
    """

    migration: str
    source: Address
    target: Address
    identities: tuple[str, str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    seen: tuple[Path, ...] = ()
    release: str = __version__
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def sent(self, batch: Batch) -> Batch:
        """Return a batch as it travels: without credentials."""
        return dataclasses.replace(batch, source=_bare(batch.source), target=_bare(batch.target))

    def received(self, batch: Batch) -> Batch:
        """Return it as it was before it was sent."""
        return dataclasses.replace(batch, source=self.source, target=self.target)


def _bare(address: Address) -> Address:
    return Address(uri=address.shown, side=address.side)


class Unwanted(Unavailable):
    """The batch that is carried out here was given up: nothing more may be created for it."""


Wanted = Callable[[], bool]

_setups: dict[str, Setup] = {}
_changed = threading.Condition()
#: Sessions whose ends were looked at, with why they cannot be worked with; empty where they can.
_looked_at: dict[str, str] = {}
_looking = threading.Lock()
_wanted: ContextVar[Wanted | None] = ContextVar("wanted", default=None)


def install(setup: Setup) -> str:
    """Make this process ready for batches of a session; return why it cannot be, or nothing.

    An earlier session of the same migration ends here: what it has under way creates nothing more.
    """
    if setup.release != __version__:
        return f"has mlflow-migrate {__version__}, and {setup.release} was started"
    with _changed:
        for session, other in list(_setups.items()):
            if other.migration == setup.migration:
                del _setups[session]
        for name, value in setup.environment.items():
            for other in _setups.values():
                if other.environment.get(name, value) != value:
                    return f"works for another migration with another {name}"
        os.environ.update(setup.environment)
        learn(os.environ, _addresses(setup))
        _setups[setup.session] = setup
        _changed.notify_all()
    return ""


def _addresses(setup: Setup) -> Iterator[str]:
    for end in (setup.source, setup.target):
        yield from (end.uri, end.registry_uri, *end.artifacts)


def forget(session: str) -> None:
    """End a session here, with all that this process knows of it."""
    with _changed:
        setup = _setups.pop(session, None)
        _looked_at.pop(session, None)
        alone = not _setups
        if setup is not None and alone:
            for name in setup.environment:
                os.environ.pop(name, None)
    if setup is not None and alone:
        worker.close_endpoints()


def knows(session: str) -> bool:
    """Say whether this process still works for a session."""
    return session in _setups


def carry_out(session: str, batch: Batch, share: Share, wanted: Wanted) -> list[Outcome]:
    """Carry out a batch of a session within its share; return an outcome per job.

    Nothing is created any more once ``wanted`` says no.
    """
    setup = _setup_of(session)
    if setup is None:
        problem = Unavailable("a worker knows nothing of this migration (any more)")
        return [failed(job, problem) for job in batch.jobs]

    def still_wanted() -> bool:
        return knows(session) and wanted()

    with holding(share), _for(_twice_after_a_pause(still_wanted)):
        try:
            _look_at_ends(setup)
        except MigrateError as reason:
            return [failed(job, reason) for job in batch.jobs]
        return worker.execute(setup.received(batch))


def transferred_here(setup: Setup) -> int:
    """Return the bytes of artifacts that this process has sent to the target."""
    try:
        return worker.target_at(setup.target).artifacts.transferred
    except MigrateError:  # each batch tells why it cannot be opened
        return 0


def _setup_of(session: str) -> Setup | None:
    """Return the setup of a session, which may arrive after its first batch."""
    with _changed:
        _changed.wait_for(lambda: session in _setups, PATIENCE)
        return _setups.get(session)


@contextmanager
def _for(wanted: Wanted) -> Iterator[None]:
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def _twice_after_a_pause(wanted: Wanted) -> Wanted:
    """Return a ``wanted`` that, after a long pause, first lets this process hear what happened.

    One that was stopped and goes on would create before it learns that it was given up.
    """
    last = time.monotonic()

    def ask() -> bool:
        nonlocal last
        if time.monotonic() - last > LONG_PAUSE:
            time.sleep(1.0)
        last = time.monotonic()
        return wanted()

    return ask


def _check_wanted() -> None:
    """Raise ``Unwanted`` where the batch of this thread was given up."""
    wanted = _wanted.get()
    if wanted is not None and not wanted():
        raise Unwanted("this batch was given up by the process that started the migration")


def _look_at_ends(setup: Setup) -> None:
    """Raise ``Unavailable`` where this process does not see the ends that were planned for."""
    with _looking:
        if setup.session not in _looked_at:
            _looked_at[setup.session] = _what_is_wrong(setup)
        if _looked_at[setup.session]:
            raise Unavailable(
                f"a worker cannot work here: {_looked_at[setup.session]}",
                "workers on other machines need the same directories and databases under the same "
                "names: name others, or use --executor threads or processes",
            )


def _what_is_wrong(setup: Setup) -> str:
    ends = (setup.source, setup.target)
    for path in setup.seen:
        if not path.exists():
            return f"{path} is not there on its machine"
    opened: tuple[Any, Any] = (worker.source_at(setup.source), worker.target_at(setup.target))
    opened[1].before_creating(_check_wanted)
    for end, planned, one in zip(ends, setup.identities, opened, strict=True):
        if one.capabilities().identity != planned:
            return f"the {end.side} at {end.shown} is another one than that of the plan"
    return ""
