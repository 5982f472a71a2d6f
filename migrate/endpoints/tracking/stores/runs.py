"""Runs of a tracking server, and their metric histories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from migrate.endpoints.answers import Histories
from migrate.endpoints.shapes import required
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.entries import Entries, Form
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import ALWAYS_THERE, API
from migrate.endpoints.tracking.request_sizes import tags_to_begin_with
from migrate.endpoints.tracking.searches.copies import Copies, by_origin, conditions_for, few_of
from migrate.endpoints.tracking.searches.histories import HistoryReader
from migrate.endpoints.tracking.searches.search import Route, Search, chunks
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.stores.run_writer import ServerRunWriter
from migrate.endpoints.tracking.versions import Version
from migrate.endpoints.tracking.wire import copy_from, run_from, tags_to, told_in_info
from migrate.errors import EndpointError, NoSuchRoute, NotFound, Refused
from migrate.kinds import Kind
from migrate.objects import Metric, Run
from migrate.origins import ORIGIN, bookkeeping

IDS_PER_SEARCH = 100
FORM = Form(Kind.RUN, lambda entry: told_in_info(entry, "run_id", "run_uuid"))
RUNS = Route(
    FORM.kind,
    "/api/2.0/mlflow/runs/search",
    "attributes.run_id",
    32,
    500,
    {"run_view_type": "ALL"},
    "repair its row in that server's database (a run needs a start time, a status and a user), "
    "or delete the row",
)


class RunStore:
    """Finds, reads and makes runs; safe for use by several threads."""

    since: ClassVar[Mapping[Kind, Version]] = {FORM.kind: ALWAYS_THERE}
    identity = Identity.TAGGED

    def __init__(
        self,
        http: HttpSession,
        entries: Entries,
        abilities: Abilities,
        experiments: ExperimentStore,
    ) -> None:
        self._http = http
        self._entries = entries
        self._abilities = abilities
        self._experiments = experiments
        self._search = Search(http, entries.gaps, RUNS)
        self._histories: HistoryReader | None = None

    def list(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsContained.list``. Ordered by start, so that runs begun meanwhile come last."""
        for chunk in chunks(experiment_ids):
            yield from self._found(chunk, order_by=["attributes.start_time ASC"])

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsRuns.read_in``."""
        if not self._filters_ids():
            return self._one_by_one(run_ids)
        return self._among([experiment_id], run_ids)

    def read(self, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsContained.read``."""
        if len(run_ids) < 2 or not self._filters_ids():
            return self._one_by_one(run_ids)
        found = self._among(self._experiments.ids(), run_ids)
        # A search sees no run of an experiment that is not listed, and may leave out others.
        hidden = sorted(set(run_ids) - {run.run_id for run in found})
        return [*found, *self._one_by_one(hidden)]

    def _filters_ids(self) -> bool:
        return self._abilities.learned().release.reaches((2, 3))

    def _one_by_one(self, run_ids: Sequence[str]) -> Sequence[Run]:
        return [run for run in map(self._read_one, run_ids) if run is not None]

    def _read_one(self, run_id: str) -> Run | None:
        try:
            answer = self._http.get(f"{API}/runs/get", {"run_id": run_id})
        except NotFound:
            return None
        except (Refused, NoSuchRoute) as problem:
            self._search.leave_out(run_id, "", "runs/get", problem)
            return None
        return self._entries.one(answer, "run", FORM, run_from)

    def _among(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Sequence[Run]:
        found: list[Run] = []
        for start in range(0, len(run_ids), IDS_PER_SEARCH):
            some = run_ids[start : start + IDS_PER_SEARCH]
            found.extend(self._found(experiment_ids, among=some))
        return found

    def _found(
        self, experiment_ids: Sequence[str], condition: str = "", **options: Any
    ) -> Iterator[Run]:
        pages = self._search.pages(experiment_ids, condition, **options)
        yield from self._entries.all(pages, "runs", FORM, run_from)

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        return self._history_reader().histories(runs, budget)

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        return self._history_reader().metric_history(run_id, key)

    def _history_reader(self) -> HistoryReader:
        if self._histories is None:
            release = self._abilities.learned().release
            bulk_runs = 20 if release.reaches((2, 3)) else 0
            bulk_runs = 100 if release.reaches((2, 22)) else bulk_runs
            self._histories = HistoryReader(self._http, bulk_runs)
        return self._histories

    def find(self, experiment_id: str, origins: Collection[str] | None = None) -> Copies:
        """See ``WritesContained.find``."""
        few = few_of(origins)
        copies = [
            copy_from(run.ref, run.tags, run.lifecycle_stage, self._http.base_url)
            for condition in conditions_for(few)
            for run in self._found([experiment_id], condition, for_copies=True)
        ]
        return by_origin([*copies, *self._search.copies_left_out(experiment_id, few)])

    def create(self, experiment_id: str, run: Run, *, anew: bool = False) -> ServerRunWriter:
        """See ``WritesRuns.create``; a server gives each an id of its own, so all are anew."""
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "user_id": run.user_id,
            "start_time": run.start_time,
            "tags": tags_to(tags_to_begin_with(run.tags)),
        }
        if run.name:
            body["run_name"] = run.name
        try:
            answer = self._http.post(f"{API}/runs/create", body, idempotent=False)
        except Refused:
            ours = bookkeeping(run.tags)
            if ours == run.tags:
                raise
            # One tag may be at fault. The others follow, and what is refused then has a name.
            body["tags"] = tags_to(ours)
            answer = self._http.post(f"{API}/runs/create", body, idempotent=False)
        with read_once():
            made = run_from(required(answer, "run"))
        writer = ServerRunWriter(self._http, made, run.tags)
        if made.tags.get(ORIGIN) != run.tags.get(ORIGIN):
            self._claim(writer, run.tags[ORIGIN])
        return writer

    def _claim(self, writer: ServerRunWriter, origin: str) -> None:
        """Give a run its origin, which its create was to give it.

        Raises ``EndpointError`` where the target does not keep it, having moved the run to the
        trash: nobody could tell whose copy it is.
        """
        writer.flush_tags()
        made = self._read_one(writer.run_id)
        if made is not None and made.tags.get(ORIGIN) == origin:
            return
        self.delete(writer.run_id)
        raise EndpointError(
            f"the {self._http.side} at {self._http.base_url} made run {writer.run_id} for run "
            f"{origin} without the tags it was sent, and keeps none: it was moved to the trash",
            "is a gateway before the server that lets only a part of requests pass?",
        )

    def adopt(self, experiment_id: str, copy: Run, run: Run) -> ServerRunWriter:
        """See ``WritesRuns.adopt``."""
        return ServerRunWriter(self._http, copy, run.tags)

    def delete(self, run_id: str) -> None:
        """Move a run to the trash; no error when it is there."""
        self._http.post(f"{API}/runs/delete", {"run_id": run_id}, idempotent=True)

    def restore(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore``; no error where one is not in the trash."""
        for run_id in run_ids:
            self._http.post(f"{API}/runs/restore", {"run_id": run_id}, idempotent=True)

    @contextmanager
    def restored(self, run_id: str) -> Iterator[None]:
        """See ``WritesRuns.restored``."""
        self.restore([run_id])
        try:
            yield
        finally:
            self.delete(run_id)
