"""Says of what is missing what a migration that is remembered tells of it."""

from __future__ import annotations

from collections.abc import Iterator

from migrate.kinds import Ref
from migrate.plans import Report
from migrate.tasks.carriers import carrier_of
from migrate.verify.result import Comparison


def explain(result: Comparison, report: Report) -> None:
    """Have objects without a copy say why they have none, where ``report`` tells: each kind's."""
    result.explain(dict(_told(report)))


def _told(report: Report) -> Iterator[tuple[Ref, tuple[str, str]]]:
    for ref, _, loss in report.losses:
        carrier = carrier_of(ref.kind)
        lost = carrier.lost_object(loss) if carrier else None
        if lost is not None:
            yield lost, ("lost", loss.reason)
    names = {failure.ref: failure.name for failure in report.failures}
    for failure in report.failures:
        yield failure.ref, ("failed", failure.error)
    for ref, by in report.blocked.items():
        yield ref, ("blocked", f"it needs {by.kind} {names.get(by) or by.id!r}, which failed")
