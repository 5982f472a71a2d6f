"""Counts the jobs of a server, which MLflow lets no client make: they are never copied."""

from __future__ import annotations

from migrate.endpoints.shapes import required_objects
from migrate.endpoints.tracking.gaps import Gaps
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import Answer, Standing, on_files
from migrate.endpoints.tracking.versions import Release
from migrate.errors import MigrateError
from migrate.kinds import Kind

SINCE = (3, 8)
#: It has no pages, and takes whatever it is asked.
SEARCH = "/ajax-api/3.0/jobs/search"


def count_jobs(http: HttpSession, release: Release, gaps: Gaps) -> dict[Kind, int]:
    """Count them; what cannot be learned is a gap and counts as none."""
    if release.is_before(SINCE):
        return {}
    try:
        return {Kind.JOB: len(required_objects(http.ask("POST", SEARCH, {}), "jobs"))}
    except MigrateError as problem:
        if on_files(http, release, Answer(Standing.UNKNOWN, problem.message)):
            return {}
        whether = f"whether the {gaps.side} has {Kind.JOB.plural} is not known"
        gaps.note(f"{whether}: {problem.message}")
        return {}
