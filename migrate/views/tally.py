"""The numbers behind every progress view: how far each kind is, how fast, and how long still."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrate.kinds import HEADINGS, Heading
from migrate.outcomes import Outcome, TaskStatus

WINDOW = 60.0  #: seconds that a rate looks back
SHORTEST = 2.0  #: seconds below which a rate says nothing


class Pace:
    """How fast a growing number grows, over the last ``WINDOW`` seconds.

    The first amounts seen only set the start: how long they took is not known.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, amount: int) -> None:
        """Note that the number is ``amount`` at ``now`` (seconds of a monotonic clock)."""
        if not amount:
            return
        self._samples.append((now, amount))
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()

    def per_second(self) -> float | None:
        """Return the growth per second, or None while that is not known."""
        if not self._samples:
            return None
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end - start >= SHORTEST else None


@dataclass(slots=True)
class KindTally:
    """How the tasks of one kind stand. ``done`` includes those done before a resume."""

    total: int = 0
    done: int = 0
    failed: int = 0
    blocked: int = 0
    skipped: int = 0
    bytes_sent: int = 0
    carried_out: int = 0
    pace: Pace = field(default_factory=Pace)

    @property
    def left(self) -> int:
        """Tasks that are still to be carried out."""
        return max(0, self.total - self.done - self.failed - self.blocked - self.skipped)

    def seconds_left(self) -> float | None:
        """Return the time for what is left at the current pace, None when there is no telling."""
        if not self.left:
            return 0.0
        speed = self.pace.per_second()
        return self.left / speed if speed else None


class Tally:
    """Counts what the scheduler reports. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.kinds: dict[Heading, KindTally] = {}
        self.bytes_pace = Pace()
        self._ticked_bytes = 0

    @property
    def bytes_sent(self) -> int:
        """Artifact bytes sent in this run, files in flight included where they are known."""
        return max(self._ticked_bytes, sum(kind.bytes_sent for kind in self.kinds.values()))

    def start(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Set what this run has to carry out, and what was done before it."""
        for kind in HEADINGS:
            before = done.get(kind, 0)
            if before or totals.get(kind, 0):
                self.kinds[kind] = KindTally(total=totals.get(kind, 0) + before, done=before)

    def count(self, outcomes: Sequence[Outcome], blocked: Mapping[Heading, int]) -> None:
        """Count ended tasks, and tasks that will not be carried out because of them."""
        for outcome in outcomes:
            tally = self.kinds.setdefault(outcome.ref.heading, KindTally())
            tally.bytes_sent += outcome.bytes_sent
            match outcome.status:
                case TaskStatus.DONE:
                    tally.done += outcome.count
                case TaskStatus.FAILED:
                    tally.failed += outcome.count
                case TaskStatus.SKIPPED:
                    tally.skipped += outcome.count
                case TaskStatus.BLOCKED | TaskStatus.PENDING:
                    continue
            tally.carried_out += outcome.count
        for kind, number in blocked.items():
            if number:
                self.kinds.setdefault(kind, KindTally()).blocked += number

    def sample(self, now: float, bytes_sent: int) -> None:
        """Take the samples that rates are made of; called a few times a second."""
        self._ticked_bytes = bytes_sent
        self.bytes_pace.sample(now, self.bytes_sent)
        for tally in self.kinds.values():
            tally.pace.sample(now, tally.carried_out)
