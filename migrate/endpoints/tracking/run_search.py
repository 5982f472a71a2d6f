"""Searches runs; one that the server cannot serve is found, named and left out.

MLflow answers a whole search with 500 for one run whose row lacks something, such as its start
time, and does not say which. Its id is found by searches for what ids begin with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from string import ascii_letters, digits
from typing import Any

from migrate.endpoints.shapes import Object
from migrate.endpoints.tracking.http import TRIES, HttpSession
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import EndpointError, MigrateError, Refused, ServerFault
from migrate.objects import Kind, Ref

SEARCH = "/api/2.0/mlflow/runs/search"
RUNS_PER_PAGE = 500
#: How often a search is sent that the server fails at (500), while its run is looked for.
FAULT_TRIES = 2
#: MLflow's own ids are of the first sixteen; others were made by hand.
CHARACTERS = "".join(dict.fromkeys(digits + "abcdef" + ascii_letters + "-."))
USUAL_ID = 32
LONGEST_ID = 64
REPAIR = (
    "repair its row in that server's database (a run needs a start time, a status and a user), "
    "or delete the row"
)


class RunSearch:
    """Searches the runs of one server; safe for use by several threads.

    On a source, a run that it cannot serve is left out and told by ``unreadable``. On a target
    it is an error: it may be a copy, and whoever passes over it makes a second one.
    """

    def __init__(self, http: HttpSession, side: str, unreadable: UnreadableObjects) -> None:
        self._http = http
        self._may_leave_out = side == "source"
        self._unreadable = unreadable
        self._left_out: dict[str, list[str]] = {}
        self._looking = threading.Lock()

    def pages(
        self,
        experiment_ids: Sequence[str],
        condition: str = "",
        *,
        among: Sequence[str] = (),
        **options: Any,
    ) -> Iterator[Object]:
        """Yield the pages of a search, for runs ``among`` some ids where there are any.

        Raises ``EndpointError`` for a run that stays in its way.
        """
        condition = _one_of(among) if among else condition
        request = {
            "experiment_ids": list(experiment_ids),
            "run_view_type": "ALL",
            "max_results": RUNS_PER_PAGE,
            **options,
        }

        def ask(token: str) -> Object:
            # An offset: what is left out meanwhile comes after it, or that page had failed.
            return self._page(
                {**request, "page_token": token} if token else request, condition, among
            )

        return self._http.paged(SEARCH, ask)

    def leave_out(self, run_id: str, experiment_id: str, where: str, problem: MigrateError) -> None:
        """Tell of a run that the server cannot serve. Raises ``EndpointError`` on a target."""
        reason = EndpointError(f"the server cannot serve run {run_id}: {problem}", REPAIR)
        if not self._may_leave_out:
            raise reason
        self._unreadable.report(Ref(Kind.RUN, run_id), experiment_id, where, reason)

    def _page(self, request: dict[str, Any], condition: str, among: Sequence[str]) -> Object:
        ids = request["experiment_ids"]
        while True:
            asked = self._without_known(ids, condition)
            try:
                return self._send(request, asked, TRIES)
            except (Refused, ServerFault) as problem:
                with self._looking:
                    # Another thread may have found it meanwhile.
                    if self._without_known(ids, condition) == asked:
                        self._look_for(ids, asked, among, problem)

    def _send(self, request: dict[str, Any], condition: str, fault_tries: int) -> Object:
        body = {**request, "filter": condition} if condition else request
        page: Object = self._http.post(SEARCH, body, idempotent=True, fault_tries=fault_tries)
        return page

    def _without_known(self, experiment_ids: Sequence[str], condition: str) -> str:
        known = [run_id for ident in experiment_ids for run_id in self._left_out.get(ident, ())]
        conditions = [f"attributes.run_id != '{run_id}'" for run_id in known]
        return " AND ".join([condition, *conditions] if condition else conditions)

    def _look_for(
        self, ids: Sequence[str], condition: str, among: Sequence[str], problem: MigrateError
    ) -> None:
        """Find the run at which a search fails and leave it out from now on.

        Raises ``problem`` where there is none: the server is out of order, or refuses the search.
        """
        if self._fails(ids, condition, "attributes.run_id = 'none'"):
            raise problem
        run_id = self._find_among(ids, among) if among else self._find(ids, condition)
        if not run_id:
            raise problem
        (experiment_id,) = self._experiment(ids, f"attributes.run_id = '{run_id}'")
        where = f"runs/search of experiment {experiment_id}"
        self.leave_out(run_id, experiment_id, where, problem)
        self._left_out.setdefault(experiment_id, []).append(run_id)

    def _find(self, ids: Sequence[str], condition: str) -> str:
        """Return the id of a run at which a search fails; empty where it fails at none."""

        def fails(begins: str, *, whole: bool = False) -> bool:
            which = f"= '{begins}'" if whole else f"LIKE '{begins}%'"
            return self._fails(ids, condition, f"attributes.run_id {which}")

        begins = ""
        while len(begins) < LONGEST_ID:
            if len(begins) == USUAL_ID and fails(begins, whole=True):
                return begins
            longer = next((begins + one for one in CHARACTERS if fails(begins + one)), "")
            if not longer:
                break
            begins = longer
        return begins if begins and fails(begins, whole=True) else ""

    def _find_among(self, ids: Sequence[str], run_ids: Sequence[str]) -> str:
        """Return the same for runs that are known by their ids."""
        known = {run_id for ident in ids for run_id in self._left_out.get(ident, ())}
        left = [run_id for run_id in run_ids if run_id not in known]
        while len(left) > 1:
            half = left[: len(left) // 2]
            left = half if self._fails(ids, _one_of(half)) else left[len(half) :]
        return left[0] if left and self._fails(ids, _one_of(left)) else ""

    def _experiment(self, ids: Sequence[str], condition: str) -> Sequence[str]:
        """Return the one of these experiments in which a search fails."""
        while len(ids) > 1:
            half = ids[: len(ids) // 2]
            ids = half if self._fails(half, condition) else ids[len(half) :]
        return ids

    def _fails(self, ids: Sequence[str], *conditions: str) -> bool:
        """Say whether the server fails at a search, on whichever page."""
        request = {
            "experiment_ids": list(ids),
            "run_view_type": "ALL",
            "max_results": RUNS_PER_PAGE,
        }
        asked = " AND ".join(condition for condition in conditions if condition)

        def ask(token: str) -> Object:
            body = {**request, "page_token": token} if token else request
            return self._send(body, asked, FAULT_TRIES)

        try:
            for _ in self._http.paged(SEARCH, ask):
                pass
        except (Refused, ServerFault):
            return True
        return False


def _one_of(run_ids: Sequence[str]) -> str:
    listed = ",".join(f"'{run_id}'" for run_id in run_ids)
    return f"attributes.run_id IN ({listed})"
