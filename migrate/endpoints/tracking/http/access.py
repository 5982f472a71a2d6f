"""How one side is reached: address, credentials, TLS settings and headers, each side its own.

Looked up in this order: the URI, ``MIGRATE_SOURCE_…`` or ``MIGRATE_TARGET_…``, MLflow's own
variables (only for the server of ``MLFLOW_TRACKING_URI``, where that is set), MLflow's credentials
file. The names after the prefix are MLflow's:
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
from urllib.parse import unquote

import requests

from migrate.endpoints.importing import IMPORTING
from migrate.errors import UsageError
from migrate.redaction import keep_secret, shown_address, split_address

WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
#: That of calls that name none.
DEFAULT_WORKSPACE = "default"
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
            with IMPORTING:
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
    with IMPORTING:
        from mlflow.tracking.request_header.registry import resolve_request_headers

    return dict(resolve_request_headers())


def access_for(uri: str, side: str, environment: Mapping[str, str] = os.environ) -> Access:
    """Work out how to reach ``uri`` as ``side`` (``source`` or ``target``), and keep it secret.

    Raises ``UsageError`` for a URI without a host or with a port that is no number, and for a
    token that no header can carry.
    """
    parts = split_address(uri)
    if parts is None:
        raise UsageError(
            f"{shown_address(uri)!r} is not a usable tracking URI",
            "write it as http://host:port or https://host/path, and characters such as / # ? @ "
            "in a user name or password as %2F %23 %3F %40",
        )
    # MLflow's own variables are meant for the server of MLFLOW_TRACKING_URI, where that is set.
    general = _is_meant(uri, environment.get("MLFLOW_TRACKING_URI", ""))

    def setting(name: str) -> str | None:
        own = environment.get(f"MIGRATE_{side.upper()}_{name}")
        given = own if own is not None or not general else environment.get(f"MLFLOW_{name}")
        # What is read from a mounted file often ends in a newline.
        return given if given is None else given.strip("\r\n")

    own = f"MIGRATE_{side.upper()}_TRACKING_"
    # A user named for this side alone is not overruled by a token meant for any server.
    own_user = bool(parts.username) or own + "USERNAME" in environment
    token = setting("TRACKING_TOKEN") if not own_user or own + "TOKEN" in environment else None
    saved_name, saved_password = credentials_file() if general else (None, None)
    username = unquote(parts.username) if parts.username else setting("TRACKING_USERNAME")
    password = unquote(parts.password) if parts.password else setting("TRACKING_PASSWORD")
    keep_secret(token, parts.password)
    keep_secret(password or saved_password, user=username or saved_name or "")
    if token:
        token = checked_token(token, f"the token of the {side}")
    insecure = (setting("TRACKING_INSECURE_TLS") or "").lower() in TRUE_WORDS
    return Access(
        base_url=shown_address(uri),
        username=username or saved_name,
        password=password or saved_password,
        token=None if parts.username else token,
        verify=False if insecure else setting("TRACKING_SERVER_CERT_PATH") or True,
        client_certificate=setting("TRACKING_CLIENT_CERT_PATH"),
        workspace=setting("WORKSPACE"),
        auth_plugin=setting("TRACKING_AUTH"),
        aws_sigv4=(setting("TRACKING_AWS_SIGV4") or "").lower() in TRUE_WORDS,
    )


def checked_token(token: str, whose: str) -> str:
    """Return a token without white space around it. Raises ``UsageError``, never quoting it."""
    token = token.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UsageError(
            f"{whose} has a line break, a space or another character that no token has",
            "was it read from the right file, and is it one line?",
        )
    return token


def _is_meant(uri: str, general: str) -> bool:
    """Say whether MLflow's variables are for ``uri`` too: ``general`` is what they are set for."""
    named, asked = split_address(general), split_address(uri)
    if named is None or asked is None:
        return True
    return (named.hostname, named.port) == (asked.hostname, asked.port)


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
