"""The kinds of a tracking server whose objects are records, each where the server has it."""

from __future__ import annotations

from threading import Lock
from typing import Any

from migrate.endpoints.stores import Store
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import Standing, ask, on_files
from migrate.endpoints.tracking.passwords import PasswordFile
from migrate.endpoints.tracking.stores.evaluation_datasets import EvaluationDatasetStore
from migrate.endpoints.tracking.stores.gateway import (
    GatewayBudgetStore,
    GatewayEndpointStore,
    GatewayGuardrailStore,
    GatewayModelStore,
    GatewaySecretStore,
)
from migrate.endpoints.tracking.stores.issues import IssueStore
from migrate.endpoints.tracking.stores.label_schemas import LabelSchemaStore
from migrate.endpoints.tracking.stores.mcp_servers import MCPServerStore
from migrate.endpoints.tracking.stores.older_traces import TracesBefore3_2, TracesBefore3_6
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.endpoints.tracking.stores.review_queues import ReviewQueueStore
from migrate.endpoints.tracking.stores.scorers import ScorerStore
from migrate.endpoints.tracking.stores.skills import SkillStore
from migrate.endpoints.tracking.stores.traces import ServerTraces
from migrate.endpoints.tracking.stores.users import RoleStore, UserStore
from migrate.endpoints.tracking.stores.webhooks import WebhookStore
from migrate.kinds import Kind

RECORDS: tuple[type[RecordStore[Any]], ...] = (
    EvaluationDatasetStore,
    ScorerStore,
    IssueStore,
    LabelSchemaStore,
    ReviewQueueStore,
    MCPServerStore,
    SkillStore,
    GatewaySecretStore,
    GatewayModelStore,
    GatewayEndpointStore,
    GatewayBudgetStore,
    GatewayGuardrailStore,
    ServerTraces,
    WebhookStore,
    UserStore,
    RoleStore,
)
#: Those of older servers, which are read as sources: a copy there would not be whole.
READ_ONLY: tuple[type[RecordStore[Any]], ...] = (TracesBefore3_6, TracesBefore3_2)


class RecordStores:
    """Opens the store of each kind once, having asked whether the server has it.

    ``registry`` calls the server that keeps registered models, often the same; ``artifacts`` has
    the files of skills, ``passwords`` keeps those of users made. Several threads may ask.
    """

    def __init__(
        self,
        http: HttpSession,
        registry: HttpSession,
        entries: Entries,
        abilities: Abilities,
        artifacts: ArtifactStores,
        passwords: PasswordFile | None = None,
    ) -> None:
        self._http = http
        self._registry = registry
        self._entries = entries
        self._abilities = abilities
        self._artifacts = artifacts
        self._passwords = passwords
        self._opened: dict[Kind, Store[Any] | None] = {}
        self._keeps_files: bool | None = None
        #: A kind is asked for once, and several kinds at a time.
        self._opening = {store.kind: Lock() for store in RECORDS}
        self._asking = Lock()

    def store(self, kind: Kind) -> Store[Any] | None:
        """Return the store of a kind; None where it is not there, or not known to be.

        Of a source, the latter is a gap.
        """
        store = next((it for it in RECORDS if it.kind is kind), None)
        if store is None:
            return None
        with self._opening[kind]:
            if kind not in self._opened:
                self._opened[kind] = self._open(store)
            return self._opened[kind]

    def _open(self, store: type[RecordStore[Any]]) -> Store[Any] | None:
        learned, kind = self._abilities.learned(), store.kind
        http, release = self._http, learned.release
        if store.of_registry:
            http, release = self._registry, learned.registry_release
        gaps = self._entries.gaps
        older = (it for it in READ_ONLY if it.kind is kind and gaps.side == "source")
        for candidate in (store, *older):
            answer = ask(http, candidate.part, release)
            # One that asks for nothing is refused before MLflow looks at what it keeps things in.
            if answer.standing is Standing.PRESENT and not candidate.part.request:
                with self._asking:
                    if self._keeps_files is None:
                        self._keeps_files = on_files(http, release, answer)
                if self._keeps_files:
                    return None
            if answer.standing is Standing.PRESENT:
                if issubclass(candidate, SkillStore):
                    return candidate(http, self._entries, self._artifacts)
                if issubclass(candidate, UserStore):
                    return candidate(http, self._entries, self._passwords)
                return candidate(http, self._entries)
            if answer.standing is Standing.UNKNOWN:
                break  # older routes, which newer servers have too, tell less
        is_doubt = answer.standing is Standing.UNKNOWN and gaps.may_leave_out
        if is_doubt and not on_files(http, release, answer):
            whether = f"whether the {gaps.side} has {kind.plural} is not known"
            gaps.note(f"{whether}: {answer.reason}")
        return None
