"""Puts a tracking server together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.inquiry import Inquiry
from migrate.endpoints.tracking.passwords import PasswordFile
from migrate.endpoints.tracking.permissions.servers import ServerPermissions
from migrate.endpoints.tracking.server import TrackingServer
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.stores.flattened import FlattenedModelStore
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.model_links import ModelLinkStore
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.records import RecordStores
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.registry import Registry
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.stores.workspaces import count_workspaces
from migrate.endpoints.tracking.uncopied import TRACE, count_on_server
from migrate.errors import NotFound
from migrate.kinds import Kind


def open_server(
    http: HttpSession,
    *,
    tracking_uri: str,
    workspace: str = "",
    users: Sequence[str] = (),
    registry: HttpSession | None = None,
    roots: Roots = NO_ROOTS,
    roles_too: bool = False,
    passwords: str = "",
) -> TrackingServer:
    """Open a tracking server; it is connected to at the first call.

    ``tracking_uri`` is what MLflow's own artifact repositories are given; ``workspace`` is the
    one that every call names (MLflow 3.10 and later), empty for the default; ``users`` are those
    whose permissions are asked for where the server cannot list its users. ``registry`` calls
    the server that keeps registered models, when that is another one; ``roots`` are the places of
    files that the user named. With ``roles_too`` roles are copied, and ``passwords`` is the file
    that is to keep those of new users.
    """
    models_http = registry or http
    entries = Entries(http.side)
    permissions = ServerPermissions(
        http, models_http, users=users, workspace=workspace, roles_too=roles_too
    )
    inquiry = Inquiry(http, models_http, permissions, workspace=workspace)
    abilities = Abilities(inquiry.learn, entries.gaps)
    experiments = ExperimentStore(http, entries)
    logged_models = LoggedModelStore(http, entries, experiments)
    calls = Registry(models_http, entries, abilities)
    models = RegisteredModelStore(calls, permissions.forget)
    kept = PasswordFile(Path(passwords), http.base_url) if passwords else None
    artifacts = ArtifactStores(http, tracking_uri=tracking_uri, roots=roots)
    records = RecordStores(http, models_http, entries, abilities, artifacts, kept)

    def uncopied(experiment_ids: Sequence[str], whole_server: bool) -> Mapping[Kind, int]:
        release = abilities.learned().release
        untraced = () if records.store(TRACE) else experiment_ids
        counts = count_on_server(http, release, entries.gaps, untraced, whole_server=whole_server)
        if whole_server and not workspace:
            counts |= count_workspaces(http, release, entries.gaps)
        return counts

    def notebook(path: str, revision: str, export_format: str) -> bytes:
        raise NotFound(f"{http.base_url} has no notebooks: only Databricks has")

    return TrackingServer(
        sessions=(http,) if models_http is http else (http, models_http),
        abilities=abilities,
        gaps=entries.gaps,
        experiments=experiments,
        runs=RunStore(http, entries, abilities, experiments),
        native_models=logged_models,
        flattened=FlattenedModelStore(http),
        model_links=ModelLinkStore(http, entries, abilities, logged_models),
        registered_models=models,
        model_versions=ModelVersionStore(calls, models, http),
        permissions=permissions,
        artifacts=artifacts,
        uncopied=uncopied,
        notebook=notebook,
        records=records,
    )
