"""Requests to a Databricks workspace: our own session, with the login of Databricks' SDK."""

from __future__ import annotations

from typing import Any, NoReturn

import requests

from migrate.endpoints.tracking.databricks.login import Login
from migrate.endpoints.tracking.http.access import Access
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import NotAuthenticated, NotPermitted, Unavailable

#: Tells which workspace is meant, on hosts that serve several.
WORKSPACE_HEADER = "x-databricks-org-id"


class DatabricksSession(HttpSession):
    """Sends each request with fresh headers of the login."""

    def __init__(
        self, login: Login, *, side: str, workers: int, per_second: float | None = None
    ) -> None:
        self._login = login
        super().__init__(
            Access(base_url=login.host), side=side, workers=workers, per_second=per_second
        )

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**(options.pop("headers", None) or {}), **self._credentials()}
        if self._login.workspace_id:
            headers[WORKSPACE_HEADER] = self._login.workspace_id
        return super()._request(method, path, headers=headers, **options)

    def _credentials(self) -> dict[str, str]:
        try:
            return dict(self._login.headers())
        except Exception as problem:  # each way to log in has errors of its own
            raise Unavailable(
                f"the login to the {self._side} at {self._base} could not be renewed: "
                f"{type(problem).__name__}",
                "log in again, as with: databricks auth login",
            ) from None

    def _refuse(self, response: requests.Response) -> NoReturn:
        try:
            super()._refuse(response)
        except NotAuthenticated:
            raise self._not_authenticated(401) from None
        except NotPermitted as problem:
            # So Databricks says of a token that is wrong or has run out.
            if "access token" in problem.message.lower():
                raise self._not_authenticated(403) from None
            raise

    def _not_authenticated(self, status: int) -> NotAuthenticated:
        return NotAuthenticated(
            f"the {self._side} at {self._base} does not accept the Databricks credentials "
            f"({status})",
            "check DATABRICKS_HOST and DATABRICKS_TOKEN, or the profile in ~/.databrickscfg: has "
            "the token run out?",
        )
