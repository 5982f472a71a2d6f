"""The workspaces of a tracking server (MLflow 3.10 and newer), where it was started with them.

Of a server with workspaces every call sees one: that of the header, or the default one. Names are
unique in one workspace, ids of experiments and runs on the whole server.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from migrate.endpoints.shapes import Object, as_object, flag, member, objects, required_text, text
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.access import DEFAULT_WORKSPACE
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import NEWER_API, NO_SUCH_STORE
from migrate.endpoints.tracking.versions import Release
from migrate.errors import (
    AlreadyExists,
    EndpointError,
    MigrateError,
    NoSuchRoute,
    NotFound,
    Refused,
    UsageError,
)

SINCE = (3, 10)
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

        Versions without them do not have the route that tells (it came with 3.9).
        """
        try:
            info = as_object(self._http.get(_INFO, tries=CONNECT_TRIES), "the answer")
        except (NotFound, NoSuchRoute):
            return False
        if not text(info, "store_type"):
            where = f"{self._http.base_url}{_INFO}"
            raise EndpointError(f"{where} does not say whether the server has workspaces")
        return flag(info, _ENABLED)

    def all(self) -> Sequence[Workspace]:
        """Return those that this account may see, in the order of their names."""
        found = objects(self._http.get(_PATH), "workspaces")
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

    def check(self, name: str, side: str) -> None:
        """Raise ``UsageError`` where the server has no such workspace."""
        if not self.enabled():
            raise UsageError(
                f"{self._http.base_url} has no workspaces, and {name!r} was asked for",
                f"leave out --{side}-workspace, or start the server with --enable-workspaces",
            )
        try:
            self._http.get(f"{_PATH}/{quote(name, safe='')}", tries=CONNECT_TRIES)
        except (NotFound, Refused) as problem:
            raise UsageError(
                f"{self._http.base_url} has no workspace {name!r}: {problem.message}",
                "make it first; migrate run --all-workspaces makes those that the target lacks",
            ) from None


def count_others(http: HttpSession, release: Release, gaps: Gaps) -> int:
    """Count the workspaces beside the default one, which calls that name none do not see.

    What cannot be learned is a gap.
    """
    if release.is_before(SINCE):
        return 0
    workspaces = Workspaces(http)
    try:
        if not workspaces.enabled():
            return 0
        return sum(it.name != DEFAULT_WORKSPACE for it in workspaces.all())
    except MigrateError as problem:
        if not (isinstance(problem, Refused) and problem.code in NO_SUCH_STORE):
            gaps.note(f"whether the {gaps.side} has other workspaces is not known: {problem}")
        return 0


def _workspace(item: Object) -> Workspace:
    archive = member(item, "trace_archival_config")
    return Workspace(
        name=required_text(item, "name"),
        description=text(item, "description"),
        artifact_root=text(item, "default_artifact_root"),
        archive=text(archive, "location"),
        retention=text(archive, "retention"),
    )
