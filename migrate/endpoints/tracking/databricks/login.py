"""How a Databricks workspace is reached: host and login, by Databricks' own SDK.

The SDK knows all of Databricks' ways to log in (tokens, OAuth, cloud accounts, profiles) and
renews what expires. Requests are sent by our own session, as to any server: the SDK repeats every
request after a lost connection, creates too, and its typed answers leave out what it does not know.
"""

from __future__ import annotations

import configparser
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from migrate.endpoints.tracking.http.access import checked_token
from migrate.errors import UsageError
from migrate.redaction import cut, keep_secret

#: Seconds in which the SDK has to get an answer while it looks for the login. Its own limit lets a
#: host that is down hold up the first call for five minutes (databricks-sdk 0.162).
LOGIN_SECONDS = 15
#: Settings that name a workspace or an account, and the variables that have them.
LOGIN_VARIABLES = {
    "host": "DATABRICKS_HOST",
    "token": "DATABRICKS_TOKEN",
    "client_id": "DATABRICKS_CLIENT_ID",
    "client_secret": "DATABRICKS_CLIENT_SECRET",
    "username": "DATABRICKS_USERNAME",
    "password": "DATABRICKS_PASSWORD",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A workspace and who we are there; ``headers`` gives fresh ones for each request."""

    host: str
    workspace_id: str
    headers: Callable[[], Mapping[str, str]] = field(repr=False)


def log_in(uri: str) -> Login:
    """Return the login of ``databricks``, ``databricks://PROFILE`` or the same with ``-uc``.

    Raises ``UsageError`` when the SDK or the credentials are missing, or are not of one workspace.
    """
    profile = urlsplit(uri).netloc
    try:
        from databricks.sdk.config import Config
    except ImportError:
        raise UsageError(
            f"{uri} needs the package databricks-sdk", "pip install 'mlflow-migrate[databricks]'"
        ) from None
    # What matters of it comes back as an error; the rest would stand between lines of progress.
    logging.getLogger("databricks.sdk").setLevel(logging.ERROR)
    if profile:
        _check_environment(uri, profile)
    try:
        # A profile of None is not the same to it as none: it would skip variables.
        named: dict[str, Any] = {"profile": profile} if profile else {}
        config = Config(
            **named,
            retry_timeout_seconds=LOGIN_SECONDS,
            http_timeout_seconds=LOGIN_SECONDS,
            product="mlflow-migrate",
        )
        config.authenticate()
    except Exception as problem:  # whatever a way to log in may raise; secrets are masked in it
        raise UsageError(
            f"no Databricks credentials for {uri}: {_first_line(problem)}",
            "set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg as "
            f"databricks://PROFILE{f' (given: {profile})' if profile else ''}",
        ) from None
    keep_secret(config.token, config.client_secret, config.azure_client_secret)
    keep_secret(config.password, user=config.username or "")
    if config.token:
        checked_token(config.token, f"the token of {uri}")
    if not config.host:
        raise UsageError(
            f"the Databricks credentials for {uri} name no host",
            "set DATABRICKS_HOST, or write host = https://... into the profile",
        )
    return Login(
        host=str(config.host).rstrip("/"),
        # Not in every version of the SDK that MLflow takes.
        workspace_id=str(getattr(config, "workspace_id", None) or ""),
        headers=config.authenticate,
    )


def _first_line(problem: Exception) -> str:
    return cut(str(problem).partition("\n")[0], 300)


def _check_environment(uri: str, profile: str) -> None:
    """Refuse variables that would silently take the place of what the profile says.

    So it is in databricks-sdk and with it in MLflow; the other side's workspace would be meant.
    """
    said = _profile(profile)
    others = [
        variable
        for name, variable in LOGIN_VARIABLES.items()
        if os.environ.get(variable) and os.environ[variable].rstrip("/") != said.get(name)
    ]
    if others:
        raise UsageError(
            f"{' and '.join(others)} in the environment would be used in place of what the "
            f"profile of {uri} says",
            "unset them; where both sides are Databricks, name a profile of ~/.databrickscfg for "
            "each: databricks://ONE databricks://OTHER",
        )


def _profile(name: str) -> dict[str, str]:
    path = Path(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as problem:
        raise UsageError(
            f"cannot read {path}: {type(problem).__name__}", "it needs a section for each profile"
        ) from None
    section: Mapping[str, str] = config[name] if config.has_section(name) else {}
    return {key: value.rstrip("/") for key, value in section.items()}
