"""Tells which rows of a server's database were written, by triggers in the database itself.

What a migration says of itself while it creates objects is left out: it takes that back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

#: Tables of runs and the column that names the run.
OF_RUNS = {
    "runs": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "params": "run_uuid",
    "tags": "run_uuid",
    "inputs": "destination_id",
}
OF_EXPERIMENTS = {"experiments": "experiment_id", "experiment_tags": "experiment_id"}
CLAIMED, WRITING = "experiment_tags", "mlflow-migrate.writing."


def begin_audit(database: Path) -> None:
    """Writes down from now on whose rows are written; whatever was written down is forgotten."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS audit (what TEXT, id TEXT)")
        connection.execute("DELETE FROM audit")
        for table, column in (OF_RUNS | OF_EXPERIMENTS).items():
            for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                only = f"WHEN {row}.key NOT LIKE '{WRITING}%' " if table == CLAIMED else ""
                connection.execute(
                    f"CREATE TRIGGER IF NOT EXISTS audit_{table}_{verb} AFTER {verb} ON {table} "
                    f"{only}BEGIN INSERT INTO audit VALUES ('{table}', {row}.{column}); END"
                )
        connection.commit()


def written_runs(database: Path) -> set[str]:
    """The ids of the runs that had a row written since ``begin_audit``."""
    return _written(database, OF_RUNS)


def written_experiments(database: Path) -> set[str]:
    """The ids of the experiments that had a row written since ``begin_audit``."""
    return _written(database, OF_EXPERIMENTS)


def _written(database: Path, tables: dict[str, str]) -> set[str]:
    marks = ", ".join("?" * len(tables))
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        rows = connection.execute(f"SELECT id FROM audit WHERE what IN ({marks})", list(tables))
        return {str(ident) for (ident,) in rows}
