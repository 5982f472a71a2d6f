"""Progress for programs: one JSON object per line, ASCII only."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from migrate.kinds import Heading, Ref
from migrate.outcomes import Outcome
from migrate.redaction import redacted_json
from migrate.views.json_values import loss_as_json, ref_as_json
from migrate.views.lines import EVERY, Clock
from migrate.views.tally import KindTally, Tally


class JsonProgress:
    """Writes events; each has ``event`` and ``time`` (epoch milliseconds).

    ======== =====================================================================================
    started  ``totals`` and ``done``: kind -> number of tasks
    task     one ended task: ``kind``, ``id``, ``status``, ``target_id``, ``wrote``,
             ``bytes_sent``, ``files_sent``, ``seconds``, ``losses``, ``warnings``, ``error``,
             ``hint``
    blocked  ``kinds``: kind -> number of tasks that failures have just blocked
    retrying ``kind``, ``id``, ``name``, ``error``, ``in_seconds``, ``attempt``
    progress every ten seconds and at the end: ``bytes_sent``, and ``kinds``: kind -> ``total``,
             ``done``, ``failed``, ``blocked``, ``skipped``, ``left``, ``bytes_sent``,
             ``per_second`` and ``seconds_left`` (null: not known)
    message  ``text``
    draining ``running``: number of tasks that are waited for
    stopped  the last event
    ======== =====================================================================================

    ``bytes_sent`` of a task counts the files of the try that ended it, that of ``progress`` all
    that left so far, in vain too.
    """

    def __init__(
        self, stream: TextIO, clock: Clock = time.monotonic, wall_clock: Clock = time.time
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._wall_clock = wall_clock
        self._tally = Tally()
        self._due = float("inf")

    def started(self, totals: Mapping[Heading, int], done: Mapping[Heading, int]) -> None:
        """Write ``started``."""
        self._tally.start(totals, done)
        self._due = self._clock() + EVERY
        self._write("started", totals=_numbers(totals), done=_numbers(done))

    def outcomes(self, outcomes: Sequence[Outcome], blocked: Mapping[Heading, int]) -> None:
        """Write a ``task`` for each, then ``blocked`` if they block anything."""
        self._tally.count(outcomes, blocked)
        for outcome in outcomes:
            self._write("task", **_outcome_as_json(outcome))
        if any(blocked.values()):
            self._write("blocked", kinds=_numbers(blocked))

    def retrying(self, ref: Ref, name: str, error: str, in_seconds: float, attempt: int) -> None:
        """Write ``retrying``."""
        self._write(
            "retrying",
            **ref_as_json(ref),
            name=name,
            error=error,
            in_seconds=in_seconds,
            attempt=attempt,
        )

    def tick(self, bytes_sent: int) -> None:
        """Write ``progress`` when it is time."""
        self._tally.sample(self._clock(), bytes_sent)
        if self._clock() >= self._due:
            self._due = self._clock() + EVERY
            self._write_progress()

    def message(self, text: str) -> None:
        """Write ``message``."""
        self._write("message", text=text)

    def draining(self, running: int) -> None:
        """Write ``draining``."""
        self._write("draining", running=running)

    def stopped(self) -> None:
        """Write a last ``progress``, and ``stopped``."""
        self._write_progress()
        self._write("stopped")

    def _write_progress(self) -> None:
        kinds = {str(kind): _tally_as_json(tally) for kind, tally in self._tally.kinds.items()}
        self._write("progress", bytes_sent=self._tally.bytes_sent, kinds=kinds)

    def _write(self, event: str, **values: Any) -> None:
        line = {"event": event, "time": round(self._wall_clock() * 1000), **values}
        self._stream.write(json.dumps(redacted_json(line)) + "\n")
        self._stream.flush()


def _numbers(counts: Mapping[Heading, int]) -> dict[str, int]:
    return {str(kind): number for kind, number in counts.items()}


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        **ref_as_json(outcome.ref),
        "status": str(outcome.status),
        "target_id": outcome.target_id,
        "wrote": outcome.wrote,
        "bytes_sent": outcome.bytes_sent,
        "files_sent": outcome.files_sent,
        "seconds": outcome.seconds,
        "losses": [loss_as_json(loss) for loss in outcome.losses],
        "warnings": list(outcome.warnings),
        "error": outcome.error,
        "hint": outcome.hint,
    }


def _tally_as_json(tally: KindTally) -> dict[str, Any]:
    return {
        "total": tally.total,
        "done": tally.done,
        "failed": tally.failed,
        "blocked": tally.blocked,
        "skipped": tally.skipped,
        "left": tally.left,
        "bytes_sent": tally.bytes_sent,
        "per_second": tally.pace.per_second(),
        "seconds_left": tally.seconds_left(),
    }
