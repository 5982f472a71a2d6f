"""The experiments of a database that is written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from migrate.endpoints.database.reading import among, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.experiments import ExperimentStore
from migrate.endpoints.database.target.files import KeptFiles, PlacedFiles
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.stores import Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.objects import ACTIVE, DELETED, Experiment, Loss

#: SQLite keeps larger numbers of experiments than Postgres and MySQL do.
_IDS = {True: range(2**63), False: range(2**31)}
#: What gives Postgres the number that comes after the largest one.
_COUNT_ON = (
    "SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'), "
    "greatest((SELECT max(experiment_id) FROM experiments), 1))"
)


class WrittenExperimentStore(ExperimentStore):
    """Implements ``WritesExperiments``; an experiment keeps its id where that is free."""

    identity = Identity.NAMED

    def __init__(
        self,
        database: WrittenDatabase,
        unreadable: UnreadableObjects,
        files: PlacedFiles | KeptFiles,
    ) -> None:
        super().__init__(database, unreadable)
        self._written = database
        self._files = files

    @property
    def ids(self) -> range:
        """Ids that an experiment can have here."""
        return _IDS[self._written.is_sqlite]

    def create(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create``; a deleted one is created active."""
        self._require_fitting(experiment.name)
        with self._written.transaction() as transaction:
            if self._is_taken(transaction, experiment.name):
                raise AlreadyExists(
                    f"an experiment of the name {experiment.name!r} is in {self._written.shown}"
                )
            number = self._number(transaction, experiment.experiment_id)
            location = self._files.for_experiment(experiment.artifact_location, number)
            transaction.insert(
                "experiments",
                {
                    "experiment_id": number,
                    "name": experiment.name,
                    "artifact_location": location,
                    "lifecycle_stage": ACTIVE,
                    "creation_time": experiment.creation_time,
                    "last_update_time": experiment.last_update_time,
                    "workspace": self._written.workspace,
                },
            )
            _put_tags(transaction, number, experiment.tags)
            if self._written.backend == "postgresql":  # the others count on by themselves
                transaction.run(_COUNT_ON)
        return str(number)

    def place_in(self, experiment_id: str, stated: str, *path: str) -> str:
        """Return where the files of what is in an experiment are to be; ``stated`` is where those
        of the original are. Raises ``NotFound``."""
        for number in numbers([experiment_id]):
            mine = (is_("experiment_id", number), *self._written.here("experiments"))
            for row in self._written.rows("experiments", ("artifact_location",), *mine):
                return self._files.place(stated, str(row["artifact_location"] or ""), number, *path)
        raise NotFound(f"experiment {experiment_id} is not in {self._written.shown}")

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """See ``WritesExperiments.set_tags``."""
        with self._written.transaction() as transaction:
            _put_tags(transaction, self._present(transaction, experiment_id), tags)
        return ()

    def remove_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_tags``."""
        if keys:
            with self._written.transaction() as transaction:
                number = self._present(transaction, experiment_id)
                mine = is_("experiment_id", number)
                transaction.delete("experiment_tags", mine, among("key", keys))

    def delete(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete``; its runs stay as their own rows say."""
        self._change(experiment_id, lifecycle_stage=DELETED)

    def restore(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore``; its runs stay as their own rows say."""
        self._change(experiment_id, lifecycle_stage=ACTIVE)

    def rename(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename``. Raises ``AlreadyExists``."""
        self._require_fitting(name)
        self._change(experiment_id, name=name)

    def _change(self, experiment_id: str, **values: str) -> None:
        with self._written.transaction() as transaction:
            number = self._present(transaction, experiment_id)
            transaction.update("experiments", values, is_("experiment_id", number))

    def _present(self, transaction: Transaction, experiment_id: str) -> int:
        """Return the number of an experiment that is there. Raises ``NotFound``."""
        for number in numbers([experiment_id]):
            if transaction.rows("experiments", ("name",), is_("experiment_id", number)):
                return number
        raise NotFound(f"experiment {experiment_id} is not in {self._written.shown}")

    def _is_taken(self, transaction: Transaction, name: str) -> bool:
        here = self._written.here("experiments")
        return bool(transaction.rows("experiments", ("experiment_id",), is_("name", name), *here))

    def _number(self, transaction: Transaction, wanted: str) -> int:
        """Return the id an experiment had, or the next that is free."""
        rows = transaction.rows("experiments", ("experiment_id",))
        taken = {row["experiment_id"] for row in rows}
        for number in numbers([wanted]):
            if number in self.ids and number not in taken:
                return number
        return max(taken, default=0) + 1

    def _require_fitting(self, name: str) -> None:
        length = self._written.length("experiments", "name")
        if length is not None and len(name) > length:
            raise Refused(f"its name has {len(name)} characters, the database holds {length}")


def _put_tags(transaction: Transaction, number: int, tags: Mapping[str, str]) -> None:
    rows = [{"experiment_id": number, "key": key, "value": text} for key, text in tags.items()]
    transaction.put("experiment_tags", ("key", "experiment_id"), rows)
