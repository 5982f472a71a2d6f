"""What a server has, or may have, and does not give, so that nothing is passed over in silence."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import EndpointError
from migrate.kinds import Ref


class Gaps:
    """Collects what one server does not give; several threads may use it.

    On a source that is left out and told. On a target it is an error: it may be a copy, and whoever
    passes over it makes a second one.
    """

    def __init__(self, side: str) -> None:
        self.side = side
        self.may_leave_out = side == "source"
        self.unreadable = UnreadableObjects()
        #: Sentences in the order in which they were first said, as keys.
        self._unknown: dict[str, None] = {}

    def leave_out(self, ref: Ref, container: str, where: str, reason: EndpointError) -> None:
        """Tell of an object that cannot be read. Raises ``reason`` on a target."""
        if not self.may_leave_out:
            raise reason
        self.unreadable.report(ref, container, where, reason)

    def doubt(self, text: str) -> None:
        """Tell of objects that may be missing. Raises ``EndpointError`` on a target."""
        if not self.may_leave_out:
            raise EndpointError(text)
        self.note(text)

    def note(self, *texts: str) -> None:
        """Tell what could not be learned, on a target too."""
        self._unknown.update(dict.fromkeys(texts))

    def unknown(self) -> Sequence[str]:
        """Return what could not be learned, in sentences, each once."""
        return tuple(self._unknown)
