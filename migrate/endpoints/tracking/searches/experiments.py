"""Lists experiments; one that the server cannot serve is named, and hides no other.

A search of experiments takes no condition on their ids before MLflow 3.17. So it is made from both
ends, and what lies between them is asked for by the ids, which are numbers that follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrate.endpoints.shapes import Object, items, told_id
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.searches.search import FAULT_TRIES
from migrate.errors import EndpointError, MigrateError, NoSuchRoute, NotFound, Refused, ServerFault
from migrate.kinds import experiment_ref

#: The sizes of pages, down to that which fails at no other's fault.
SIZES = (100, 10, 1)
#: How many ids are asked for between those that a search tells, and behind the last of them.
MOST_BETWEEN = 1000
MOST_BEHIND = 20
REMEDY = "repair its row in that server's database, or delete the row"


class ExperimentSearch:
    """Lists the experiments of one server; those that cannot be served are gaps."""

    def __init__(self, http: HttpSession, gaps: Gaps) -> None:
        self._http = http
        self._gaps = gaps
        #: What a listing as a whole has failed with: others do without it.
        self._problem: Refused | ServerFault | None = None

    def pages(self, size: int) -> Iterator[Object]:
        """Yield pages with all experiments, by their ids; of ``size`` where all can be served.

        Raises the error of a search that fails whatever it asks for.
        """
        seen: set[str] = set()
        if self._problem is None:
            try:
                for page in self._http.pages(f"{API}/experiments/search", _request(size, "ASC")):
                    seen.update(_ids(page))
                    yield page
            except (Refused, ServerFault) as problem:
                self._problem = problem
        if self._problem is not None:
            yield from self._around(seen, self._problem)

    def leave_out(self, ident: str, problem: MigrateError) -> None:
        """Tell of an experiment that cannot be served. Raises ``EndpointError`` on a target."""
        text = f"the {self._gaps.side} has experiment {ident} and cannot serve it: {problem}"
        reason = EndpointError(text, REMEDY)
        self._gaps.leave_out(experiment_ref(ident), "", f"{API}/experiments/get", reason)

    def _around(self, seen: set[str], problem: MigrateError) -> Iterator[Object]:
        """Yield what a search that ``problem`` ended has not shown."""
        ends: list[str] = []
        for direction in ("ASC", "DESC"):
            last = ""
            for page in self._as_far_as_served(direction):
                last = (_ids(page) or [last])[-1]
                new = [it for it in items(page, "experiments") if told_id(it, _ID) not in seen]
                seen.update(_ids(page))
                yield {"experiments": new}
            ends.append(last)
        if not any(ends):
            raise problem
        first, last = ends
        yield from self._between(first, last, problem)

    def _as_far_as_served(self, direction: str) -> Iterator[Object]:
        token = ""
        for size in SIZES:
            while True:
                request = {**_request(size, direction), **({"page_token": token} if token else {})}
                try:
                    page = self._http.post(
                        f"{API}/experiments/search",
                        request,
                        idempotent=True,
                        fault_tries=FAULT_TRIES,
                    )
                except (Refused, ServerFault):
                    break
                yield page
                token = page.get("next_page_token") or ""
                if not token:
                    return

    def _between(self, first: str, last: str, problem: MigrateError) -> Iterator[Object]:
        """Yield the experiments behind ``first`` and before ``last``, asked for by their ids."""
        try:
            low = int(first) if first else -1
            high = int(last) if last else low + 1 + MOST_BEHIND
        except ValueError:
            low = high = 0
        found = False
        for ident in map(str, range(low + 1, min(high, low + 1 + MOST_BETWEEN))):
            try:
                answer = self._http.get(
                    f"{API}/experiments/get", {"experiment_id": ident}, tries=FAULT_TRIES
                )
            except NotFound:
                continue
            except NoSuchRoute:
                found = False  # nothing is known of this one and those behind it
                break
            except (Refused, ServerFault) as why:
                found = True
                self.leave_out(ident, why)
                continue
            yield {"experiments": [answer.get("experiment")]}
        if not found or high - low > MOST_BETWEEN:
            self._gaps.doubt(
                f"the {self._gaps.side} does not serve all of its experiments: those behind "
                f"{first or 'the first'} and before {last or 'the last'} are not known: {problem}"
            )


_ID = "experiment_id"


def _request(size: int, direction: str) -> dict[str, Any]:
    order = [f"{_ID} {direction}"]
    return {"max_results": size, "view_type": "ALL", "order_by": order}


def _ids(page: Object) -> list[str]:
    return [ident for it in items(page, "experiments") if (ident := told_id(it, _ID))]
