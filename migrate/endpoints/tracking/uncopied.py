"""Counts what is on a server and of a kind that is not copied, with as few requests as it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.shapes import objects
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import (
    NO_SUCH_STORE,
    OLDER_TRACES,
    TRACES,
    Standing,
    ask,
)
from migrate.endpoints.tracking.searches.search import chunks
from migrate.endpoints.tracking.stores.counted import (
    OF_TRACES,
    OF_WORKSPACE,
    Counted,
)
from migrate.endpoints.tracking.stores.jobs import count_jobs
from migrate.endpoints.tracking.stores.traces import ServerTraces
from migrate.endpoints.tracking.versions import Release
from migrate.errors import MigrateError, Refused
from migrate.kinds import Kind

NOT_COUNTED = -1
TRACE = ServerTraces.kind

Item = Mapping[str, Any]


def count_on_server(
    http: HttpSession,
    release: Release,
    gaps: Gaps,
    experiment_ids: Sequence[str],
    *,
    whole_server: bool,
) -> dict[Kind, int]:
    """Count the traces of these experiments, and with ``whole_server`` what is in none."""
    counts = {TRACE: UncopiedObjects(http, release, gaps).traces(experiment_ids)}
    return counts | count_jobs(http, release, gaps) if whole_server else counts


class UncopiedObjects:
    """Counts the objects of one server; what could not be learned of them is a gap."""

    def __init__(self, http: HttpSession, release: Release, gaps: Gaps) -> None:
        self._http = http
        self._release = release
        self._gaps = gaps

    def in_workspace(self, experiment_ids: Sequence[str], *, registry: bool) -> dict[Kind, int]:
        """Count what a workspace of Databricks publishes: traces, with ``registry`` webhooks too.

        Where there are traces, what belongs to them is named without a number. An empty list of
        webhooks is believed: what a workspace refuses there is not published.
        """
        counts = dict.fromkeys((TRACE, *OF_TRACES), self.traces(experiment_ids))
        if registry:
            try:
                counts[OF_WORKSPACE.kind] = sum(1 for _ in self._items(OF_WORKSPACE))
            except Refused as problem:
                if problem.code not in NO_SUCH_STORE:
                    self._note(OF_WORKSPACE.kind, problem.message)
            except MigrateError as problem:
                self._note(OF_WORKSPACE.kind, problem.message)
        return counts

    def _note(self, kind: Kind, reason: str) -> None:
        side = self._gaps.side
        self._gaps.note(f"whether the {side} has {kind.plural} is not known: {reason}")

    def _items(self, what: Counted) -> Iterator[Item]:
        for page in self._http.get_pages(what.part.path, what.part.request):
            yield from objects(page, what.key)

    def traces(self, experiment_ids: Sequence[str]) -> int:
        """Return ``NOT_COUNTED`` where one of these experiments has a trace, else 0."""
        if not experiment_ids:
            return 0
        reasons: list[str] = []
        for part, request in ((TRACES, _locations), (OLDER_TRACES, _ids)):
            answer = ask(self._http, part, self._release)
            if answer.standing is not Standing.PRESENT:
                reasons += [answer.reason] if answer.standing is Standing.UNKNOWN else []
                continue
            for chunk in chunks(experiment_ids):
                asked = {"max_results": 1, **request(chunk)}
                try:
                    found = objects(self._http.ask(part.method, part.path, asked), "traces")
                except MigrateError as problem:
                    reasons.append(problem.message)
                    break
                if found:
                    return NOT_COUNTED
            else:
                return 0
        if reasons:
            self._note(TRACE, reasons[0])
        return 0


def _locations(chunk: Sequence[str]) -> Item:
    kind = "MLFLOW_EXPERIMENT"
    return {
        "locations": [
            {"type": kind, "mlflow_experiment": {"experiment_id": ident}} for ident in chunk
        ]
    }


def _ids(chunk: Sequence[str]) -> Item:
    return {"experiment_ids": list(chunk)}
