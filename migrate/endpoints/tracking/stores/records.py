"""The kinds of a tracking server whose objects are records, each where the server has it."""

from __future__ import annotations

from threading import RLock
from typing import Any

from migrate.endpoints.stores import Store
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import Standing, ask, on_files
from migrate.endpoints.tracking.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.tracking.stores.issues import IssueStore
from migrate.endpoints.tracking.stores.older_traces import TracesBefore3_2, TracesBefore3_6
from migrate.endpoints.tracking.stores.scorers import ScorerStore
from migrate.endpoints.tracking.stores.traces import ServerTraces
from migrate.endpoints.tracking.stores.webhooks import WebhookStore
from migrate.kinds import Kind

#: The stores of what belongs to experiments, or at least to the server that has these.
OF_TRACKING = {
    store.kind: store for store in (EvaluationDatasetStore, ScorerStore, IssueStore, ServerTraces)
}
#: Those of older servers, of which sources are read: they take no copies that would be whole.
READ_ONLY = {Kind.TRACE: (TracesBefore3_6, TracesBefore3_2)}
#: Those of what belongs to the server that keeps registered models.
OF_REGISTRY = {store.kind: store for store in (WebhookStore,)}


class RecordStores:
    """Opens the store of each kind once, having asked whether the server has it.

    ``registry`` calls the server that keeps registered models, often the same. Several threads may
    ask.
    """

    def __init__(
        self, http: HttpSession, registry: HttpSession, entries: Entries, abilities: Abilities
    ) -> None:
        self._http = http
        self._registry = registry
        self._entries = entries
        self._abilities = abilities
        self._opened: dict[Kind, Store[Any] | None] = {}
        self._lock = RLock()

    def store(self, kind: Kind) -> Store[Any] | None:
        """Return the store of a kind; None where it is not there, or not known to be.

        Of a source, the latter is a gap.
        """
        with self._lock:
            if kind not in self._opened:
                self._opened[kind] = self._open(kind)
            return self._opened[kind]

    def _open(self, kind: Kind) -> Store[Any] | None:
        learned = self._abilities.learned()
        http, release = self._http, learned.release
        if kind in OF_REGISTRY:
            http, release = self._registry, learned.registry_release
        store = (OF_TRACKING | OF_REGISTRY).get(kind)
        if store is None:
            return None
        gaps = self._entries.gaps
        older = READ_ONLY.get(kind, ()) if gaps.side == "source" else ()
        candidates: tuple[Any, ...] = (store, *older)
        for candidate in candidates:
            answer = ask(http, candidate.part, release)
            if answer.standing is Standing.PRESENT:
                opened: Store[Any] = candidate(http, self._entries)
                return opened
            if answer.standing is Standing.UNKNOWN:
                break  # older routes, which newer servers have too, tell less
        is_doubt = answer.standing is Standing.UNKNOWN and gaps.may_leave_out
        if is_doubt and not on_files(http, release, answer):
            whether = f"whether the {gaps.side} has {kind.plural} is not known"
            gaps.note(f"{whether}: {answer.reason}")
        return None
