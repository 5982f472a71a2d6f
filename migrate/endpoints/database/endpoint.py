"""A database as a source: its stores, put together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.database.auth import NO_PERMISSIONS, AuthDatabase
from migrate.endpoints.database.end import DatabaseEnd
from migrate.endpoints.database.permissions import AuthPermissions
from migrate.endpoints.database.reading import Database, is_
from migrate.endpoints.database.revisions import REVISIONS
from migrate.endpoints.database.stores.experiments import ExperimentStore
from migrate.endpoints.database.stores.logged_models import LoggedModelStore
from migrate.endpoints.database.stores.record import RecordStore
from migrate.endpoints.database.stores.records import RECORDS
from migrate.endpoints.database.stores.registry import ModelVersionStore, RegisteredModelStore
from migrate.endpoints.database.stores.runs import ModelLinkStore, RunStore
from migrate.endpoints.database.stores.skills import SkillStore
from migrate.endpoints.database.stores.traces import TraceStore
from migrate.endpoints.database.stores.users import RoleStore, UserStore
from migrate.endpoints.permissions import NoPermissions
from migrate.endpoints.protocols.permissions import ReadsPermissions
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import REGISTRY_KINDS, Kind


class DatabaseSource(DatabaseEnd):
    """Implements ``Source``: the database of a tracking server, of any revision since MLflow 1.30.

    Nothing is ever written to it. ``roots`` are where the user says that its files are. ``auth`` is
    the database of its server's basic-auth app, where users, roles or permissions are asked for,
    the latter of these ``users``, if any; with ``roles_too`` roles are copied.
    """

    def __init__(
        self,
        uri: str,
        *,
        side: str,
        workspace: str = "",
        roots: Roots = NO_ROOTS,
        auth: str = "",
        users: Sequence[str] = (),
        roles_too: bool = False,
    ) -> None:
        database = Database(uri, workspace or "default")
        self.unreadable = UnreadableObjects()
        self.experiments = ExperimentStore(database, self.unreadable)
        self.runs = RunStore(database, self.unreadable)
        self.model_links = ModelLinkStore(self.runs)
        self.logged_models = LoggedModelStore(database, self.unreadable)
        self.registered_models = RegisteredModelStore(database, self.unreadable)
        self.model_versions = ModelVersionStore(
            database, self.unreadable, self.registered_models, self.experiments
        )
        self.artifacts = UnservedArtifacts(roots, side)
        traces = TraceStore(database, self.unreadable, self.artifacts)
        self._skills = SkillStore(database, self.unreadable, self.artifacts)
        records = [record(database, self.unreadable) for record in RECORDS]
        found: list[TraceStore | RecordStore[Any]] = [traces, self._skills, *records]
        self._stores = {it.kind: it for it in found}
        kept = AuthDatabase(auth, database.workspace) if auth else None
        self.permissions: ReadsPermissions = NoPermissions()
        if kept is not None:
            self.permissions = AuthPermissions(kept, side=side, names=users, roles_too=roles_too)
        stores = (UserStore, RoleStore)
        of_auth = [it(kept, self.unreadable) for it in stores] if kept else ()
        super().__init__(database, kept, of_auth)

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``; raises the reason when the database cannot be read."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        database = self._database
        database.open()
        release = REVISIONS[database.revision]
        readable = {self.experiments.kind, self.runs.kind, *REGISTRY_KINDS}
        readable |= {kind for kind, it in self._stores.items() if database.has(it.table)}
        if database.has(self.logged_models.table):
            readable.add(self.logged_models.kind)
        readable |= self._kinds_of_auth()
        return Capabilities(
            description=f"database {database.shown} (revision {database.revision})",
            version=release,
            identity=f"{database.shown}#{self._created()}#{database.workspace}",
            readable=frozenset(readable),
            writable=frozenset(),
            found_by=ALL_KEPT,
            without=self._without("source"),
            bookkeeping=Bookkeeping.TAGS,
            permissions=self._auth is not None,
            without_permissions="" if self._auth else NO_PERMISSIONS.format(side="source"),
            lists_links=True,
            notes=self._notes(),
        )

    def _created(self) -> str:
        """Say when the Default experiment was made, which no other database shares."""
        rows = self._database.rows("experiments", ("creation_time",), is_("experiment_id", 0))
        return str(rows[0]["creation_time"]) if rows else ""

    def _notes(self) -> tuple[str, ...]:
        if self._database.in_one_state:
            return ()
        return (
            f"{self._database.shown} is read as it is at each moment: what is written to it "
            "meanwhile may be copied or not",
        )

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``. One that reads only: nothing of it is written."""
        if kind in self._of_auth:
            return self._store_of_auth(kind)
        store = self._stores.get(kind)
        return cast("Store[Any]", store) if store and self._database.has(store.table) else None

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``: what there is, a database tells; where its files are, not."""
        table = "experiments"
        rows = self._database.rows(table, ("artifact_location",), *self._database.here(table))
        locations = [str(row["artifact_location"]) for row in rows]
        locations += self._skills.places()
        return self.artifacts.doubts(locations, self._database.shown)
