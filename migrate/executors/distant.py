"""What executors have in common whose batches are carried out by other processes."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future

from migrate.executors.local import LocalExecutor
from migrate.executors.setup import Setup
from migrate.outcomes import Outcome
from migrate.shares import Share, keep_to, useful_shares
from migrate.tasks.batches import Batch
from migrate.tasks.carriers import carrier_of


class DistantExecutor(ABC):
    """Gives each of ``most`` batches a share of what is allowed, and sends it without credentials.

    Batches that write files of this machine are carried out here.
    """

    distant = True
    looks = False
    spreads = False

    def __init__(self, setup: Setup, most: int) -> None:
        self.setup = setup
        self._home = LocalExecutor(setup.target, 1)
        number = useful_shares(most, setup.source.per_second)
        self._most = number
        self._free = [Share(it, number) for it in reversed(range(number))]
        self._changing = threading.Lock()
        keep_to(Share(number, number))

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """See ``BatchExecutor.submit``."""
        carrier = carrier_of(batch.kind)
        if carrier is not None and carrier.stays_home:
            return self._home.submit(batch)
        with self._changing:
            share = self._free.pop()
        future = self._send(self.setup.sent(batch), share)
        future.add_done_callback(lambda _: self._give_back(share))
        return future

    def _give_back(self, share: Share) -> None:
        with self._changing:
            self._free.append(share)

    @abstractmethod
    def _send(self, batch: Batch, share: Share) -> Future[list[Outcome]]:
        """Send a batch to a process that carries it out within its share."""

    def drain(self) -> None:
        """See ``BatchExecutor.drain``: what other processes have, they end."""
        self._home.drain()

    @abstractmethod
    def transferred(self) -> int:
        """See ``BatchExecutor.transferred``."""

    def close(self) -> None:
        """See ``BatchExecutor.close``."""
        self._home.close()
        keep_to(None)
