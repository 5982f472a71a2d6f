"""What a server can do, learned when it connects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.parts import UNKNOWN_RELEASE
from migrate.endpoints.tracking.versions import NO_KINDS, Release
from migrate.kinds import Kind


class Learned(NamedTuple):
    """What came of connecting; ``registry_release`` is of the server that keeps registered models.

    ``not_known`` are the kinds that the server may have or not, each with a sentence that says why.
    """

    can: Capabilities
    release: Release = UNKNOWN_RELEASE
    registry_release: Release = UNKNOWN_RELEASE
    not_known: Mapping[Kind, str] = NO_KINDS


class Abilities:
    """What one server can do, asked at the first question; several threads may ask.

    ``connect`` raises the reason when the server is no use.
    """

    def __init__(self, connect: Callable[[], Learned], gaps: Gaps) -> None:
        self._connect = connect
        self._gaps = gaps
        self._learned: Learned | None = None
        self._connecting = threading.Lock()

    def learned(self) -> Learned:
        """Return what came of connecting."""
        with self._connecting:
            if self._learned is None:
                self._learned = self._connect()
            return self._learned

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``."""
        return self.learned().can

    def has(self, kind: Kind) -> bool:
        """Say whether this server has a kind; where that is not known, ``unknown`` tells so."""
        can, *_, not_known = self.learned()
        if kind in can.readable:
            return True
        if kind in not_known:
            self._gaps.note(not_known[kind])
        return False
