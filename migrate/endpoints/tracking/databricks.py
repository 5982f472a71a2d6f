"""Databricks workspaces, reached through MLflow's own client stack and its many ways to log in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from migrate.endpoints.tracking.access import Access
from migrate.endpoints.tracking.http import HttpSession
from migrate.endpoints.tracking.server import TrackingServer
from migrate.errors import UsageError


class DatabricksSession(HttpSession):
    """Sends every request with ``mlflow.utils.rest_utils.http_request``, without its retries."""

    def __init__(
        self, uri: str, *, side: str, workers: int, per_second: float | None = None
    ) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.utils.databricks_utils import get_databricks_host_creds

        profile = urlsplit(uri).netloc
        try:
            self._creds = get_databricks_host_creds(uri)
        except (MlflowException, ValueError) as problem:
            raise UsageError(
                f"no Databricks credentials for {uri}: {str(problem)[:300]}",
                "set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg "
                f"as databricks://PROFILE{f' (given: {profile})' if profile else ''}",
            ) from None
        access = Access(base_url=str(self._creds.host).rstrip("/"))
        super().__init__(access, side=side, workers=workers, per_second=per_second)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        from mlflow.utils.rest_utils import http_request

        headers = options.pop("headers", None)
        options.pop("allow_redirects", None)
        timeout = options.pop("timeout")[1]
        answer: requests.Response = http_request(
            self._creds,
            path,
            method,
            max_retries=0,
            extra_headers=headers,
            timeout=timeout,
            raise_on_status=False,
            **options,
        )
        return answer


def open_databricks(
    uri: str, *, side: str, workers: int, per_second: float | None = None
) -> TrackingServer:
    """Open ``databricks`` or ``databricks://profile``.

    Raises ``UsageError`` when no credentials are found.
    """
    session = DatabricksSession(uri, side=side, workers=workers, per_second=per_second)
    return TrackingServer(session, side=side, address=session.base_url, tracking_uri=uri)
