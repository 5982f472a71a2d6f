"""The runs of a database that is written to."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from migrate.endpoints.database.reading import among, is_
from migrate.endpoints.database.stores.runs import RunStore
from migrate.endpoints.database.target.contained import RUNS, WrittenContained, require_free
from migrate.endpoints.database.target.run_writer import UNTOLD, DatabaseRunWriter
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.stores import Identity
from migrate.errors import Refused
from migrate.objects import ACTIVE, DELETED, Run

#: As MLflow makes them. An id is part of a path.
_ID = re.compile(r"[0-9a-f]{32}")


class WrittenRunStore(WrittenContained, RunStore):
    """Implements ``WritesRuns``; a run keeps its id, and is there whole or not at all."""

    identity = Identity.KEPT
    tagged = RUNS

    def create(self, experiment_id: str, run: Run, *, anew: bool = False) -> DatabaseRunWriter:
        """See ``WritesRuns.create``; nothing is there before ``finish``.

        Raises ``AlreadyExists`` for an id that something else has.
        """
        if not _ID.fullmatch(run.run_id):
            raise Refused(f"{run.run_id!r} is no id of a run: 32 hexadecimal digits are")
        require_free(self._database, RUNS, run.ref)
        place = self._experiments.place_in(experiment_id, run.artifact_uri, run.run_id, "artifacts")
        made = replace(run, experiment_id=experiment_id, artifact_uri=place)
        return DatabaseRunWriter(self._written, made, write=self._insert, is_new=True)

    def adopt(self, experiment_id: str, copy: Run, run: Run) -> DatabaseRunWriter:
        """See ``WritesRuns.adopt``; the copy stays as it is until ``finish``."""
        kept = replace(
            run,
            run_id=copy.run_id,
            experiment_id=experiment_id,
            artifact_uri=copy.artifact_uri,
        )
        return DatabaseRunWriter(self._written, kept, write=self._update, is_new=False)

    def restore(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore``; nothing is written where none is in the trash."""
        found = self._database.rows_of(
            "runs", ("run_uuid",), "run_uuid", run_ids, is_("lifecycle_stage", DELETED)
        )
        if deleted := [row["run_uuid"] for row in found]:
            values = {"lifecycle_stage": ACTIVE, "deleted_time": None}
            with self._written.transaction() as transaction:
                transaction.update("runs", values, among("run_uuid", deleted))

    def restored(self, run_id: str) -> AbstractContextManager[None]:
        """See ``WritesRuns.restored``; here a deleted run can be written to."""
        return nullcontext()

    def _insert(self, transaction: Transaction, made: Run, run: Run) -> None:
        row = {
            "run_uuid": made.run_id,
            "experiment_id": int(made.experiment_id),
            "artifact_uri": made.artifact_uri,
            "user_id": made.user_id,
            "start_time": made.start_time,
            **UNTOLD,
        }
        transaction.insert("runs", {**row, **_state(run)})

    def _update(self, transaction: Transaction, made: Run, run: Run) -> None:
        transaction.update("runs", _state(run), is_("run_uuid", made.run_id))


def _state(run: Run) -> dict[str, str | int | None]:
    """Return the columns that say how a run ended."""
    deleted_time = None
    if run.lifecycle_stage == DELETED:
        deleted_time = run.deleted_time or int(time.time() * 1000)
    return {
        "name": run.name,
        "status": run.status,
        "end_time": run.end_time,
        "lifecycle_stage": run.lifecycle_stage,
        "deleted_time": deleted_time,
    }
