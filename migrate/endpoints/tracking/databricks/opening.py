"""Puts a Databricks workspace together, with its own registry or with Unity Catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.tracking.abilities import Abilities, Learned
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.databricks.artifacts import workspace_files
from migrate.endpoints.tracking.databricks.capabilities import MODELS_PER_PAGE, ask_workspace
from migrate.endpoints.tracking.databricks.login import Login, log_in
from migrate.endpoints.tracking.databricks.notebooks import read_notebook
from migrate.endpoints.tracking.databricks.permissions import (
    CatalogPermissions,
    DatabricksPermissions,
    WorkspacePermissions,
)
from migrate.endpoints.tracking.databricks.session import DatabricksSession
from migrate.endpoints.tracking.databricks.stores import (
    WorkspaceExperiments,
    WorkspaceModels,
    WorkspaceRuns,
)
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import UNKNOWN_RELEASE
from migrate.endpoints.tracking.server import TrackingServer
from migrate.endpoints.tracking.stores.flattened import FlattenedModelStore
from migrate.endpoints.tracking.stores.model_links import ModelLinkStore
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.registry import Registry
from migrate.endpoints.tracking.uncopied import UncopiedObjects
from migrate.endpoints.tracking.unity_catalog.capabilities import ask_catalog
from migrate.endpoints.tracking.unity_catalog.files import Originals, catalog_files
from migrate.endpoints.tracking.unity_catalog.model_versions import CatalogVersions
from migrate.endpoints.tracking.unity_catalog.registered_models import CatalogModels
from migrate.endpoints.tracking.unity_catalog.storage import MODELS, VERSIONS, Storage
from migrate.errors import UsageError
from migrate.kinds import Kind

CATALOG = "databricks-uc"


def open_databricks(
    uri: str,
    *,
    side: str,
    workers: int,
    per_second: float | None = None,
    registry_uri: str = "",
    roots: Roots = NO_ROOTS,
) -> TrackingServer:
    """Open ``databricks`` or ``databricks://PROFILE``.

    Registered models are those of the workspace, or with the ``registry_uri`` ``databricks-uc`` or
    ``databricks-uc://PROFILE`` those of Unity Catalog. Raises ``UsageError`` when no credentials
    are found, and for another registry.
    """

    def session(login: Login) -> DatabricksSession:
        return DatabricksSession(login, side=side, workers=workers, per_second=per_second)

    login = log_in(uri)
    http = session(login)
    storage = None
    if registry_uri not in ("", uri):
        _check_registry(registry_uri, uri)
        storage = Storage(session(log_in(registry_uri)), registry_uri)

    def connect() -> Learned:
        can = ask_workspace(http, login.workspace_id)
        return Learned(can if storage is None else ask_catalog(can, storage.http))

    def uncopied(experiment_ids: Sequence[str], whole_server: bool) -> Mapping[Kind, int]:
        counting = UncopiedObjects(http, UNKNOWN_RELEASE, entries.gaps)
        return counting.in_workspace(experiment_ids, registry=whole_server and storage is None)

    entries = Entries(side)
    abilities = Abilities(connect, entries.gaps)
    experiments = WorkspaceExperiments(http, entries)
    runs = WorkspaceRuns(http, entries, abilities, experiments)
    logged_models = WorkspaceModels(http, entries, experiments, per_page=MODELS_PER_PAGE)
    own = [workspace_files(http, uri)]
    if storage is not None:
        own.insert(0, catalog_files(storage))
    files = ArtifactStores(http, tracking_uri=uri, roots=roots, own=own)
    originals = Originals(files, runs, logged_models)
    models, versions, permissions = (
        _own_registry(http, entries, abilities)
        if storage is None
        else _catalog(http, storage, entries, abilities, originals, login)
    )
    return TrackingServer(
        sessions=(http,) if storage is None else (http, storage.http),
        abilities=abilities,
        gaps=entries.gaps,
        experiments=experiments,
        runs=runs,
        native_models=logged_models,
        flattened=FlattenedModelStore(http),
        model_links=ModelLinkStore(http, entries, abilities, logged_models, graphql=False),
        registered_models=models,
        model_versions=versions,
        permissions=permissions,
        artifacts=files,
        uncopied=uncopied,
        notebook=partial(read_notebook, http),
    )


def _own_registry(
    http: HttpSession, entries: Entries, abilities: Abilities
) -> tuple[RegisteredModelStore, ModelVersionStore, DatabricksPermissions]:
    registry = Registry(http, entries, abilities)
    models = RegisteredModelStore(registry)
    guards = WorkspacePermissions(http)
    return models, ModelVersionStore(registry, models, http), DatabricksPermissions(guards, guards)


def _catalog(
    http: HttpSession,
    storage: Storage,
    entries: Entries,
    abilities: Abilities,
    originals: Originals,
    login: Login,
) -> tuple[RegisteredModelStore, ModelVersionStore, DatabricksPermissions]:
    registry = Registry(storage.http, entries, abilities, models=MODELS, versions=VERSIONS)
    models = CatalogModels(registry)
    versions = CatalogVersions(registry, models, http, storage, originals, login.workspace_id)
    guards = WorkspacePermissions(http), CatalogPermissions(storage.http)
    return models, versions, DatabricksPermissions(*guards)


def _check_registry(registry_uri: str, uri: str) -> None:
    if registry_uri != CATALOG and urlsplit(registry_uri).scheme != CATALOG:
        raise UsageError(
            f"{registry_uri!r} is no registry for {uri}",
            f"use {uri} (or leave it out), {CATALOG} or {CATALOG}://PROFILE",
        )
