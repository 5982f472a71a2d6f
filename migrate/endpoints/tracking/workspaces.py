"""The workspaces of a tracking server (MLflow 3.10 and newer), where it was started with them.

Of a server with workspaces every call sees one: that of the header, or the default one. Names are
unique in one workspace, ids of experiments and runs on the whole server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from migrate.endpoints.shapes import (
    Object,
    as_object,
    flag,
    member,
    objects,
    present,
    required_text,
    text,
)
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import NEWER_API
from migrate.errors import (
    AlreadyExists,
    EndpointError,
    Malformed,
    NoSuchRoute,
    NotFound,
    Refused,
    UsageError,
)

_PATH = f"{NEWER_API}/workspaces"
_INFO = f"{NEWER_API}/server-info"
_ENABLED = "workspaces_enabled"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace and its settings; what is empty the server decides.

    ``artifact_root`` and ``archive`` are URIs, ``retention`` a text such as ``30d``.
    """

    name: str
    description: str = ""
    artifact_root: str = ""
    archive: str = ""
    retention: str = ""


class Workspaces:
    """Lists and makes the workspaces of one server, whatever workspace its calls name."""

    def __init__(self, http: HttpSession) -> None:
        self._http = http

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def enabled(self) -> bool:
        """Say whether the server has workspaces. Raises ``EndpointError`` where it does not tell.

        The route that tells came with 3.9; a gateway may keep it to itself.
        """
        info = as_object(self._http.get(_INFO, tries=CONNECT_TRIES), "the answer")
        present(info, _ENABLED)
        return flag(info, _ENABLED)

    def all(self) -> Sequence[Workspace]:
        """Return those that this account may see, in the order of their names.

        Raises ``EndpointError`` where there are none, since each server with workspaces has one.
        """
        found = objects(as_object(self._http.get(_PATH), "the answer"), "workspaces")
        if not found:
            raise EndpointError(f"{self._http.base_url}{_PATH} lists not even the default one")
        return sorted(map(_workspace, found), key=lambda it: it.name)

    def create(self, workspace: Workspace) -> None:
        """Make a workspace; one of this name that is there already stays as it is."""
        archival = {"location": workspace.archive, "retention": workspace.retention}
        settings = {
            "description": workspace.description,
            "default_artifact_root": workspace.artifact_root,
            "trace_archival_config": {key: value for key, value in archival.items() if value},
        }
        body = {key: value for key, value in settings.items() if value}
        with suppress(AlreadyExists):
            self._http.post(_PATH, {"name": workspace.name, **body}, idempotent=True)

    def require(self, hint: str) -> None:
        """Raise ``UsageError`` with this hint where the server tells of no workspaces."""
        try:
            enabled = self.enabled()
        except (NotFound, NoSuchRoute, Refused, Malformed) as problem:
            told = f"{self._http.base_url} does not say that it has workspaces: {problem.message}"
            raise UsageError(told, hint) from None
        if not enabled:
            raise UsageError(f"{self._http.base_url} has no workspaces", hint)

    def check(self, name: str, side: str) -> None:
        """Raise ``UsageError`` where the server has no such workspace."""
        self.require(f"leave out --{side}-workspace, or start the server with --enable-workspaces")
        try:
            self._http.get(f"{_PATH}/{quote(name, safe='')}", tries=CONNECT_TRIES)
        except (NotFound, Refused) as problem:
            raise UsageError(
                f"{self._http.base_url} has no workspace {name!r}: {problem.message}",
                "make it first; migrate run --all-workspaces makes those that the target lacks",
            ) from None


def is_name(text: str) -> bool:
    """Say whether a text can be a workspace's name, which goes into a header of every call."""
    return re.fullmatch(r"[A-Za-z0-9._-]{1,255}", text) is not None


def _workspace(item: Object) -> Workspace:
    archive = member(item, "trace_archival_config")
    name = required_text(item, "name")
    if not is_name(name):
        raise Malformed(f"{name!r} is no name of a workspace")
    return Workspace(
        name=name,
        description=text(item, "description"),
        artifact_root=text(item, "default_artifact_root"),
        archive=text(archive, "location"),
        retention=text(archive, "retention"),
    )
