"""Counts what a database has and no copy is made of, so that none is left out in silence."""

from __future__ import annotations

from migrate.endpoints.database.reading import Database
from migrate.kinds import Kind

_JOBS = "jobs"


def count_uncopied(database: Database) -> dict[Kind, int]:
    """Count jobs, which MLflow lets no client make, and the workspaces that are not read."""
    counts = {
        Kind.JOB: database.count(_JOBS, *database.here(_JOBS)),
        Kind.WORKSPACE: len(_others(database)),
    }
    return {kind: number for kind, number in counts.items() if number}


def _others(database: Database) -> set[str]:
    """Return the workspaces with anything in them that are not the one which is read."""
    tables = ("experiments", "registered_models")
    found = {name for table in tables for name, _ in database.counts(table, ("workspace",))}
    return found - {None, database.workspace}
