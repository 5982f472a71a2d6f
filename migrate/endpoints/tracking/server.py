"""A tracking server as source and target, over MLflow's REST API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Ended
from migrate.endpoints.protocols.permissions import WritesPermissions
from migrate.endpoints.stores import Store
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.stores.flattened import FlattenedModelStore
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.model_links import ModelLinkStore
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.records import RecordStores
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.writers import WriterTags
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Kind, Ref
from migrate.objects import Loss


@dataclass(frozen=True, kw_only=True)
class TrackingServer:
    """Source and target in one, put together of stores; safe for use by several threads.

    ``sessions`` call the server, and the one that keeps registered models where that is another.
    ``flattened`` stands in where there are no logged models. ``uncopied`` counts as
    ``Source.unsupported``, ``notebook`` reads as ``Source.notebook``. ``records`` has the kinds
    that are records; without it there are none.
    """

    sessions: Sequence[HttpSession]
    abilities: Abilities
    gaps: Gaps
    experiments: ExperimentStore
    runs: RunStore
    native_models: LoggedModelStore
    flattened: FlattenedModelStore
    model_links: ModelLinkStore
    registered_models: RegisteredModelStore
    model_versions: ModelVersionStore
    permissions: WritesPermissions
    artifacts: ArtifactStores
    uncopied: Callable[[Sequence[str], bool], Mapping[Kind, int]]
    notebook: Callable[[str, str, str], bytes]
    records: RecordStores | None = None

    @property
    def logged_models(self) -> LoggedModelStore | FlattenedModelStore:
        """Logged models, or what stands in for them. Connects."""
        has_them = self.abilities.has(self.native_models.kind)
        return self.native_models if has_them else self.flattened

    @property
    def writers(self) -> WriterTags:
        """Who writes, among the tags of experiments."""
        return WriterTags(self.experiments)

    @property
    def unreadable(self) -> UnreadableObjects:
        """What it has and does not give."""
        return self.gaps.unreadable

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``; raises the reason when the server is no use."""
        return self.abilities.capabilities()

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``."""
        return self.records.store(kind) if self.records else None

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``."""
        silences = [text for http in self.sessions for text in http.silence.doubts()]
        return (*self.gaps.unknown(), *silences)

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``Source.unsupported``."""
        counts = self.uncopied(experiment_ids, whole_server)
        return {kind: number for kind, number in counts.items() if number}

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``Target.before_creating``."""
        for http in self.sessions:
            http.before_creating = call

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``: tags of the copy say it."""

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """A server needs no indexes from us."""

    def claim(self) -> None:
        """See ``Target.claim``: a server takes several writers at a time."""

    def withdraw(self) -> None:
        """Opening a server makes nothing."""

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self.artifacts.close()
        for http in self.sessions:
            http.close()
