"""A database as a target: its stores, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

# MLflow's records of traces load it. While one thread does, statements of others fail (SQLAlchemy
# 2.1): so before there are any.
import sqlalchemy.orm  # noqa: F401

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Ended
from migrate.endpoints.database.auth import NO_PERMISSIONS
from migrate.endpoints.database.end import DatabaseEnd
from migrate.endpoints.database.reading import is_
from migrate.endpoints.database.revisions import REVISIONS, TABLES
from migrate.endpoints.database.target.experiments import WrittenExperimentStore
from migrate.endpoints.database.target.files import KeptFiles, PlacedFiles
from migrate.endpoints.database.target.logged_models import (
    WrittenLoggedModelStore,
    WrittenModelLinkStore,
)
from migrate.endpoints.database.target.permissions import WrittenAuthPermissions
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.records import RECORDS
from migrate.endpoints.database.target.registry import WrittenModelStore, WrittenVersionStore
from migrate.endpoints.database.target.runs import WrittenRunStore
from migrate.endpoints.database.target.skills import WrittenSkillStore
from migrate.endpoints.database.target.traces import WrittenTraceStore
from migrate.endpoints.database.target.users import (
    WrittenAuthDatabase,
    WrittenRoleStore,
    WrittenUserStore,
)
from migrate.endpoints.database.target.written import DEFAULT_WORKSPACE, WrittenDatabase
from migrate.endpoints.one_writer import OneWriter
from migrate.endpoints.permissions import UngrantedPermissions
from migrate.endpoints.protocols.permissions import WritesPermissions
from migrate.endpoints.stores import Bookkeeping, Identity, Store
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import MODEL_KINDS, VERSION_KINDS, Kind, Ref
from migrate.objects import Loss

#: A table and a column of it that MLflow has since 3.17.
_OF_3_17 = ("trace_info", "trace_name")
#: A table that it has since 3.18.
_OF_3_18 = "issue_categories"
_FOUND_BY: Mapping[Kind, Identity] = {
    **{it.kind: it.identity for it in (WrittenExperimentStore, WrittenRunStore)},
    WrittenLoggedModelStore.kind: WrittenLoggedModelStore.identity,
    **dict.fromkeys(MODEL_KINDS, WrittenModelStore.identity),
    **dict.fromkeys(VERSION_KINDS, WrittenVersionStore.identity),
}


class DatabaseTarget(DatabaseEnd):
    """Implements ``Target``: a database of the head revision of the installed MLflow.

    Every object appears in one transaction, with its mark; what is not finished is nowhere in it.
    Two migrations cannot make a copy each, since copies keep the ids of their originals. ``files``
    says where the files of copies are. With ``reads_only`` it is only compared with. ``auth`` is
    the database of its server's basic-auth app, where users, roles or permissions are asked for;
    see ``DatabaseSource``.
    """

    def __init__(
        self,
        uri: str,
        *,
        files: PlacedFiles | KeptFiles,
        workspace: str = "",
        reads_only: bool = False,
        auth: str = "",
        users: Sequence[str] = (),
        roles_too: bool = False,
    ) -> None:
        database = WrittenDatabase(uri, workspace or DEFAULT_WORKSPACE, reads_only=reads_only)
        self._written = database
        self._reads_only = reads_only
        self.unreadable = UnreadableObjects()
        self.writers = OneWriter()
        self.artifacts: PlacedFiles | KeptFiles = files
        self.experiments = WrittenExperimentStore(database, self.unreadable, files)
        self.runs = WrittenRunStore(database, self.unreadable, self.experiments)
        self.logged_models = WrittenLoggedModelStore(database, self.unreadable, self.experiments)
        self.model_links = WrittenModelLinkStore(self.runs, self.logged_models)
        self.registered_models = WrittenModelStore(database, self.unreadable)
        self.model_versions = WrittenVersionStore(
            database, self.unreadable, self.registered_models, self.experiments
        )
        traces = WrittenTraceStore(database, self.unreadable, files, self.experiments)
        skills = WrittenSkillStore(database, self.unreadable, files)
        records = [record(database, self.unreadable) for record in RECORDS]
        found: list[WrittenTraceStore | WrittenRecordStore[Any]] = [traces, skills, *records]
        self._stores = {it.kind: it for it in found}
        self._without_permissions = "" if auth else NO_PERMISSIONS.format(side="target")
        self.permissions: WritesPermissions = UngrantedPermissions(self._without_permissions)
        kept = None
        of_auth: list[WrittenUserStore | WrittenRoleStore] = []
        if auth:
            kept = WrittenAuthDatabase(auth, database.workspace, reads_only=reads_only)
            of_auth += [it(kept, self.unreadable) for it in (WrittenUserStore, WrittenRoleStore)]
            self.permissions = WrittenAuthPermissions(kept, names=users, roles_too=roles_too)
        super().__init__(database, kept, of_auth)

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``; makes the database where it is missing or empty."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        database = self._written
        database.open()
        default = database.rows("experiments", ("artifact_location",), is_("experiment_id", 0))
        for row in default:
            self.artifacts.serve(str(row["artifact_location"]))
        kinds = frozenset(_FOUND_BY) | self._kinds_of_auth()
        description = f"database {database.shown} (revision {database.revision})"
        return Capabilities(
            description=description,
            version=REVISIONS[database.revision],
            identity=f"{database.shown}#{database.identity()}#{database.workspace}",
            readable=kinds,
            writable=frozenset() if self._reads_only else kinds,
            found_by=_FOUND_BY,
            without={**self._too_new(description), **self._without("target")},
            bookkeeping=Bookkeeping.TAGS,
            experiment_ids=self.experiments.ids,
            run_name_length=database.length("runs", "name"),
            param_length=database.length("params", "value"),
            run_tag_length=database.length("tags", "value"),
            metric_key_length=database.length("metrics", "key"),
            model_tag_length=database.length("registered_model_tags", "value"),
            version_tag_length=database.length("model_version_tags", "value"),
            description_length=database.length("registered_models", "description"),
            holds_nul=database.backend != "postgresql",
            folding=database.folding("tags", "key"),
            registry_folding=database.folding("registered_model_tags", "key"),
            permissions=self._auth is not None,
            without_permissions=self._without_permissions,
            keeps_files=self.artifacts.keeps,
            keeps_sealed=True,
            lists_links=True,
            span_kinds=database.has(_OF_3_18),
            issue_metadata=database.has(_OF_3_18),
        )

    def _too_new(self, description: str) -> Mapping[Kind, str]:
        """Say of which kinds the installed MLflow makes no tables."""
        return {
            kind: f"{description} does not take {kind.plural}: MLflow has them since "
            f"{REVISIONS[TABLES[store.table]]}"
            for kind, store in self._stores.items()
            if not self._database.has(store.table)
        }

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``; what these have is written in the form of MLflow 3.17."""
        if kind in self._of_auth:
            return self._store_of_auth(kind)
        store = self._stores.get(kind) if self._database.has(*_OF_3_17) else None
        return store if store is not None and self._database.has(store.table) else None

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``."""
        return ()

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """See ``Target.before_creating``: what two create at a time only one of them has made."""

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``: tags of the copy say it."""

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """A database needs no indexes from us."""

    def claim(self) -> None:
        """See ``Target.claim``: a database takes several writers at a time."""

    def withdraw(self) -> None:
        """See ``Target.withdraw``."""
        self._written.withdraw()
