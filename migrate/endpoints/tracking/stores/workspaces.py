"""Counts the workspaces of a server: from one of them, no call sees what is in the others."""

from __future__ import annotations

from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.access import DEFAULT_WORKSPACE
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import NO_SUCH_STORE
from migrate.endpoints.tracking.versions import Release
from migrate.endpoints.tracking.workspaces import Workspaces
from migrate.errors import MigrateError, Refused
from migrate.kinds import Kind

SINCE = (3, 10)


def count_workspaces(http: HttpSession, release: Release, gaps: Gaps) -> dict[Kind, int]:
    """Count those beside the default one; what cannot be learned is a gap and counts as none."""
    if release.is_before(SINCE):
        return {}
    workspaces = Workspaces(http)
    try:
        if not workspaces.enabled():
            return {}
        return {Kind.WORKSPACE: sum(it.name != DEFAULT_WORKSPACE for it in workspaces.all())}
    except MigrateError as problem:
        if not (isinstance(problem, Refused) and problem.code in NO_SUCH_STORE):
            whether = f"whether the {gaps.side} has other workspaces is not known"
            gaps.note(f"{whether}: {problem.message}")
        return {}
