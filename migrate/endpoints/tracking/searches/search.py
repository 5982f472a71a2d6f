"""Searches of runs and logged models; what the server cannot serve is found, named and left out.

MLflow answers a whole search with 500 for one row that lacks something, such as a run's start
time, and does not say which. Its id is found by searches for what ids begin with, and the origin
of a copy by searches for what that begins with.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from migrate.endpoints.answers import Copy
from migrate.endpoints.shapes import Object
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import TRIES, HttpSession
from migrate.endpoints.tracking.searches.narrowing import culprit, spelled
from migrate.errors import EndpointError, MigrateError, Refused, ServerFault
from migrate.kinds import Kind, Ref
from migrate.origins import ORIGIN

EXPERIMENTS_PER_SEARCH = 100
#: How often a search is sent that the server fails at (500), while what is at fault is looked for.
FAULT_TRIES = 2


class Route(NamedTuple):
    """How one kind is searched; ``id`` is what its ids are called in conditions.

    ``usual_id`` is the length of the ids that MLflow makes, ``remedy`` what to do about a row.
    """

    kind: Kind
    path: str
    id: str
    usual_id: int
    per_page: int
    options: Mapping[str, Any]
    remedy: str


def chunks(experiment_ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield as many experiments at a time as one search takes."""
    for start in range(0, len(experiment_ids), EXPERIMENTS_PER_SEARCH):
        yield list(experiment_ids[start : start + EXPERIMENTS_PER_SEARCH])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """One search: what it asks for, and whether it ``passes_over`` what cannot be served."""

    experiment_ids: Sequence[str]
    condition: str
    among: Sequence[str]
    passes_over: bool


class Search:
    """Searches the objects of one kind on one server; safe for use by several threads.

    What it cannot serve is a gap; but for a search for copies: ``copies_left_out`` tells of them.
    """

    def __init__(self, http: HttpSession, gaps: Gaps, route: Route) -> None:
        self._http = http
        self._gaps = gaps
        self._route = route
        #: What is known that cannot be served, by experiment and id.
        self._left_out: dict[str, dict[str, Copy]] = {}
        self._looking = threading.Lock()

    def pages(
        self,
        experiment_ids: Sequence[str],
        condition: str = "",
        *,
        among: Sequence[str] = (),
        for_copies: bool = False,
        **options: Any,
    ) -> Iterator[Object]:
        """Yield the pages of a search, for objects ``among`` some ids where there are any.

        Raises ``EndpointError`` for an object that stays in its way. A search ``for_copies`` passes
        over those, on a target too.
        """
        search = _Search(
            experiment_ids=experiment_ids,
            condition=self._one_of(among) if among else condition,
            among=among,
            passes_over=for_copies or self._gaps.may_leave_out,
        )
        request = {**self._request(experiment_ids), **options}

        def ask(token: str) -> Object:
            # An offset: what is left out meanwhile comes after it, or that page had failed.
            return self._page({**request, "page_token": token} if token else request, search)

        return self._http.searched("POST", self._route.path, request, ask)

    def copies_left_out(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Sequence[Copy]:
        """Return the copies in an experiment that could not be served: all, or those of origins."""
        found = self._left_out.get(experiment_id, {}).values()
        return [copy for copy in found if origins is None or copy.origin in origins]

    @property
    def has_left_out(self) -> bool:
        """True when there is something that could not be served."""
        return bool(self._left_out)

    def leave_out(self, ident: str, experiment_id: str, where: str, problem: MigrateError) -> None:
        """Tell of an object that the server cannot serve. Raises ``EndpointError`` on a target."""
        ref = Ref(self._route.kind, ident)
        self._gaps.leave_out(ref, experiment_id, where, self._reason(ident, problem))

    def _reason(self, ident: str, problem: MigrateError) -> EndpointError:
        return EndpointError(
            f"the {self._gaps.side} has {self._route.kind} {ident} and cannot serve it: {problem}",
            self._route.remedy,
        )

    def _request(self, experiment_ids: Sequence[str]) -> dict[str, Any]:
        return {
            "experiment_ids": list(experiment_ids),
            "max_results": self._route.per_page,
            **self._route.options,
        }

    def _page(self, request: dict[str, Any], search: _Search) -> Object:
        while True:
            asked = self._condition(search)
            try:
                return self._send(request, asked, TRIES)
            except (Refused, ServerFault) as problem:
                with self._looking:
                    # Another thread may have found it meanwhile.
                    if self._condition(search) == asked:
                        self._look_for(search, asked, problem)

    def _send(self, request: dict[str, Any], condition: str, fault_tries: int) -> Object:
        body = {**request, "filter": condition} if condition else request
        path = self._route.path
        page: Object = self._http.post(path, body, idempotent=True, fault_tries=fault_tries)
        return page

    def _condition(self, search: _Search) -> str:
        """Return the condition of a search, without what it is known to fail at."""
        conditions = [search.condition] if search.condition else []
        if search.passes_over:
            known = self._known(search.experiment_ids)
            conditions += [f"{self._route.id} != '{ident}'" for ident in known]
        return " AND ".join(conditions)

    def _known(self, experiment_ids: Sequence[str]) -> list[str]:
        return [ident for one in experiment_ids for ident in self._left_out.get(one, ())]

    def _look_for(self, search: _Search, condition: str, problem: MigrateError) -> None:
        """Find what a search fails at, and leave it out from now on where it passes over such.

        Raises ``problem`` where there is none: the server is out of order, or refuses the search.
        """
        ids = search.experiment_ids
        if self._fails(ids, condition, f"{self._route.id} = 'none'"):
            raise problem
        ident = self._find(search, condition)
        if not ident:
            raise problem
        reason = self._reason(ident, problem)
        if not search.passes_over:
            raise reason
        this = f"{self._route.id} = '{ident}'"
        experiment_id = culprit(ids, lambda some: self._fails(some, this)) or ids[0]
        origin = ""
        if self._gaps.may_leave_out:
            where = f"{self._route.path.rpartition('/mlflow/')[2]} of experiment {experiment_id}"
            self.leave_out(ident, experiment_id, where, problem)
        else:
            origin = self._spelled(f"tags.`{ORIGIN}`", [experiment_id], this)
            if not origin:
                raise reason
        copy = Copy(
            origin=origin, target_id=ident, mark="", lifecycle_stage="", unreadable=reason.message
        )
        self._left_out.setdefault(experiment_id, {})[ident] = copy

    def _find(self, search: _Search, condition: str) -> str:
        """Return the id of an object at which a search fails; empty where it fails at none."""
        ids = search.experiment_ids
        if not search.among:
            return self._spelled(self._route.id, ids, condition)
        known = self._known(ids) if search.passes_over else ()
        left = [ident for ident in search.among if ident not in known]
        return culprit(left, lambda some: self._fails(ids, self._one_of(some))) or ""

    def _spelled(self, what: str, experiment_ids: Sequence[str], condition: str) -> str:
        """Return the value of ``what`` at which a search fails, by what it begins with."""

        def begins(text: str) -> bool:
            return self._fails(experiment_ids, condition, f"{what} LIKE '{text}%'")

        def whole(text: str) -> bool:
            return self._fails(experiment_ids, condition, f"{what} = '{text}'")

        return spelled(begins, whole, self._route.usual_id)

    def _fails(self, experiment_ids: Sequence[str], *conditions: str) -> bool:
        """Say whether the server fails at a search, on whichever page."""
        request = self._request(experiment_ids)
        asked = " AND ".join(condition for condition in conditions if condition)

        def ask(token: str) -> Object:
            body = {**request, "page_token": token} if token else request
            return self._send(body, asked, FAULT_TRIES)

        try:
            for _ in self._http.paged(self._route.path, ask):
                pass
        except (Refused, ServerFault):
            return True
        return False

    def _one_of(self, ids: Sequence[str]) -> str:
        listed = ",".join(f"'{ident}'" for ident in ids)
        return f"{self._route.id} IN ({listed})"
