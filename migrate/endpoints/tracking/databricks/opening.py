"""Opens Databricks workspaces, with their own registry or with Unity Catalog."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.tracking.databricks.login import Login, log_in
from migrate.endpoints.tracking.databricks.server import DatabricksServer
from migrate.endpoints.tracking.databricks.session import DatabricksSession
from migrate.errors import UsageError

CATALOG = "databricks-uc"


def open_databricks(
    uri: str,
    *,
    side: str,
    workers: int,
    per_second: float | None = None,
    registry_uri: str = "",
    roots: Roots = NO_ROOTS,
) -> DatabricksServer:
    """Open ``databricks`` or ``databricks://PROFILE``.

    Registered models are those of the workspace, or with the ``registry_uri`` ``databricks-uc`` or
    ``databricks-uc://PROFILE`` those of Unity Catalog. Raises ``UsageError`` when no credentials
    are found, and for another registry.
    """

    def session(login: Login) -> DatabricksSession:
        return DatabricksSession(login, side=side, workers=workers, per_second=per_second)

    login = log_in(uri)
    workspace: dict[str, Any] = {
        "side": side,
        "address": login.host,
        "tracking_uri": uri,
        "workspace_id": login.workspace_id,
        "roots": roots,
    }
    if registry_uri in ("", uri):
        return DatabricksServer(session(login), **workspace)
    if registry_uri != CATALOG and urlsplit(registry_uri).scheme != CATALOG:
        raise UsageError(
            f"{registry_uri!r} is no registry for {uri}",
            f"use {uri} (or leave it out), {CATALOG} or {CATALOG}://PROFILE",
        )
    from migrate.endpoints.tracking.unity_catalog.server import UnityCatalogServer

    registry = session(log_in(registry_uri))
    return UnityCatalogServer(session(login), registry, uri=registry_uri, **workspace)
