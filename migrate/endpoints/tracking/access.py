"""How one side is reached: address, credentials, TLS settings and headers, each side its own.

Looked up in this order: the URI, ``MIGRATE_SOURCE_…`` or ``MIGRATE_TARGET_…``, MLflow's own
variables, MLflow's credentials file. The names after the prefix are MLflow's:
``MIGRATE_SOURCE_TRACKING_TOKEN`` stands for ``MLFLOW_TRACKING_TOKEN`` on the source.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import requests

from migrate.errors import UsageError

WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
TRUE_WORDS = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to call one server. ``repr`` never shows a secret."""

    base_url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    verify: bool | str = True
    client_certificate: str | None = None
    workspace: str | None = None
    auth_plugin: str | None = None
    aws_sigv4: bool = False

    def apply(self, session: requests.Session) -> None:
        """Give a session these credentials, TLS settings, proxies and headers."""
        session.headers.update(plugin_headers())
        if self.workspace:
            session.headers[WORKSPACE_HEADER] = self.workspace
        if self.token:
            session.headers["Authorization"] = f"Bearer {self.token}"
        auth = self._auth()
        if auth is not None:
            session.auth = auth
        # Looked up once: requests would search environment, netrc and proxies on every call.
        settings = session.merge_environment_settings(
            self.base_url, {}, None, self.verify, self.client_certificate
        )
        session.trust_env = False
        session.proxies.update(settings["proxies"])
        session.verify = settings["verify"]
        session.cert = settings["cert"]

    def _auth(self) -> Any:
        if self.auth_plugin:
            from mlflow.tracking.request_auth.registry import fetch_auth

            return fetch_auth(self.auth_plugin)
        if self.aws_sigv4:
            try:
                from requests_auth_aws_sigv4 import AWSSigV4  # type: ignore[import-not-found]
            except ImportError:
                raise UsageError(
                    "MLFLOW_TRACKING_AWS_SIGV4 needs the package requests-auth-aws-sigv4",
                    "pip install requests-auth-aws-sigv4",
                ) from None
            return AWSSigV4("execute-api")
        if self.username and self.password is not None and not self.token:
            # As bytes: requests would encode text as latin-1 and refuse other letters.
            return (self.username.encode(), self.password.encode())
        return None


def plugin_headers() -> dict[str, str]:
    """Return the headers of installed MLflow request-header plugins.

    MLflow itself (two seconds and 200 MB) is imported only when there is such a plugin.
    """
    if not entry_points(group="mlflow.request_header_provider"):
        return {}
    from mlflow.tracking.request_header.registry import resolve_request_headers

    return dict(resolve_request_headers())


def redact(uri: str) -> str:
    """Return ``uri`` without user, password and query: fit for logs and the state database.

    Where it makes no sense as a URI, as with a bare ``/`` or ``#`` in a password, nothing that
    stands before the last ``@`` is shown.
    """
    parts = _parts(uri)
    if parts is None:
        found = re.match(r"[A-Za-z][\w+.-]*://", uri)
        scheme = found[0] if found else ""
        return scheme + uri.removeprefix(scheme).rpartition("@")[2].partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _parts(uri: str) -> SplitResult | None:
    """Split a URI with a host, None for anything else."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  (reading it is the check)
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def access_for(uri: str, side: str, environment: Mapping[str, str] = os.environ) -> Access:
    """Work out how to reach ``uri`` as ``side`` (``source`` or ``target``).

    Raises ``UsageError`` for a URI without a host or with a port that is no number.
    """
    parts = _parts(uri)
    if parts is None:
        raise UsageError(
            f"{redact(uri)!r} is not a usable tracking URI",
            "write it as http://host:port or https://host/path, and characters such as / # ? @ "
            "in a user name or password as %2F %23 %3F %40",
        )

    def setting(name: str) -> str | None:
        own = environment.get(f"MIGRATE_{side.upper()}_{name}")
        return own if own is not None else environment.get(f"MLFLOW_{name}")

    own = f"MIGRATE_{side.upper()}_TRACKING_"
    # A user named for this side alone is not overruled by a token meant for any server.
    own_user = bool(parts.username) or own + "USERNAME" in environment
    token = environment.get(own + "TOKEN") if own_user else setting("TRACKING_TOKEN")
    saved_name, saved_password = credentials_file()
    username = unquote(parts.username) if parts.username else setting("TRACKING_USERNAME")
    password = unquote(parts.password) if parts.password else setting("TRACKING_PASSWORD")
    insecure = (setting("TRACKING_INSECURE_TLS") or "").lower() in TRUE_WORDS
    return Access(
        base_url=redact(uri),
        username=username or saved_name,
        password=password or saved_password,
        token=None if parts.username else token,
        verify=False if insecure else setting("TRACKING_SERVER_CERT_PATH") or True,
        client_certificate=setting("TRACKING_CLIENT_CERT_PATH"),
        workspace=setting("WORKSPACE"),
        auth_plugin=setting("TRACKING_AUTH"),
        aws_sigv4=(setting("TRACKING_AWS_SIGV4") or "").lower() in TRUE_WORDS,
    )


def credentials_file() -> tuple[str | None, str | None]:
    """Return user and password of MLflow's credentials file, ``~/.mlflow/credentials``."""
    path = Path.home() / ".mlflow" / "credentials"
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as problem:
        raise UsageError(
            f"cannot read {path}: {type(problem).__name__}",
            "it needs a section [mlflow] with mlflow_tracking_username and _password",
        ) from None
    return (
        config.get("mlflow", "mlflow_tracking_username", fallback=None),
        config.get("mlflow", "mlflow_tracking_password", fallback=None),
    )
