"""Puts one run together, and writes it in one transaction with its mark."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any

from migrate.endpoints.database.reading import Row, among, is_
from migrate.endpoints.database.target.contained import stored_value
from migrate.endpoints.database.target.logged_models import write_links
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.errors import Refused
from migrate.kinds import run_ref
from migrate.objects import RUN_NAME_TAG, ArtifactRoot, Loss, Metric, Run
from migrate.origins import MARK

_HELD_BYTES = 4 << 20  # of the points of one run, before they go to a file
_POINT = struct.Struct("<Idqq")
_POINTS_READ = 4096
#: Rows that say of a run what its record does not: MLflow's own servers write the same.
UNTOLD = {
    "source_type": "UNKNOWN",
    "source_name": "",
    "entry_point_name": "",
    "source_version": "",
}
_POINT_COLUMNS = ("run_uuid", "key", "value", "is_nan", "timestamp", "step")
_Place = tuple[int, int, float]
_LATEST = ("key", "value", "timestamp", "step", "is_nan")


class DatabaseRunWriter:
    """A ``RunWriter``. Until ``finish`` has returned, a reader sees the earlier copy or none."""

    def __init__(
        self,
        database: WrittenDatabase,
        run: Run,
        *,
        is_new: bool,
        write: Callable[[Transaction, Run, Run], None],
    ) -> None:
        self._database = database
        self._run = run
        self._is_new = is_new
        self._write = write
        self._params: dict[str, str] = {}
        self._tags = dict(run.tags)
        self._removed: set[str] = set()
        self._inputs: list[Mapping[str, Any]] = []
        self._points = _Points()

    @property
    def run_id(self) -> str:
        """Id of the copy: that of the original."""
        return self._run.run_id

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        return ArtifactRoot(run_ref(self.run_id), self._run.artifact_uri)

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """See ``RunWriter.write_tags``."""
        self._tags.update(tags)

    def remove_tags(self, keys: Sequence[str]) -> None:
        """See ``RunWriter.remove_tags``."""
        self._removed.update(keys)

    def write_params(self, params: Mapping[str, str]) -> None:
        """See ``RunWriter.write_params``."""
        self._params.update(params)

    def write_metrics(self, points: Iterable[Metric]) -> None:
        """See ``RunWriter.write_metrics``."""
        self._points.add(list(points))

    def write_inputs(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        """See ``RunWriter.write_inputs``."""
        self._inputs += inputs

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``RunWriter.finish``: all that was given is written now, and is there at once."""
        tags = {**self._tags, RUN_NAME_TAG: run.name, MARK: mark}
        mine = is_("run_uuid", self.run_id)
        with self._database.transaction() as transaction:
            self._write(transaction, self._run, run)
            if self._removed:
                transaction.delete("tags", mine, among("key", self._removed))
            transaction.put("params", ("key", "run_uuid"), self._rows(self._params))
            transaction.put("tags", ("key", "run_uuid"), self._rows(tags))
            transaction.insert_many(
                "metrics", _POINT_COLUMNS, partial(self._points.rows, self.run_id)
            )
            known = () if self._is_new else transaction.rows("latest_metrics", _LATEST, mine)
            latest = self._points.latest(self.run_id, known)
            transaction.put("latest_metrics", ("key", "run_uuid"), latest)
            _write_inputs(transaction, self._run, self._inputs)
            # Those that name what has no copy are told by nobody else.
            write_links(transaction, self.run_id, run.links)
        self.abandon()
        return ()

    def abandon(self) -> None:
        """See ``RunWriter.abandon``: of a new run nothing is there."""
        self._points.close()

    def _rows(self, texts: Mapping[str, str]) -> Iterator[Row]:
        for key, value in texts.items():
            yield {"key": key, "value": value, "run_uuid": self.run_id}


class _Points:
    """The points of one run, in memory or a file; the latest of each metric is known."""

    def __init__(self) -> None:
        self._file: SpooledTemporaryFile[bytes] | None = None
        self._keys: dict[str, int] = {}
        #: Of each metric, by what MLflow orders its points.
        self._latest: dict[str, tuple[_Place, Metric]] = {}

    def add(self, points: Sequence[Metric]) -> None:
        if not points:
            return
        keys, pack = self._keys, _POINT.pack
        for key in {point.key for point in points}:
            keys.setdefault(key, len(keys))
        packed = b"".join([pack(keys[key], *point) for key, *point in points])
        self._file = self._file or SpooledTemporaryFile(_HELD_BYTES)  # noqa: SIM115
        self._file.write(packed)
        self._note_latest(points)

    def _note_latest(self, points: Sequence[Metric]) -> None:
        last: dict[str, int] = {}
        for key, _, _, step in points:
            if key not in last or step > last[key]:
                last[key] = step
        for point in points:
            key = point.key
            if point.step == last[key]:
                place = _place(point)
                if key not in self._latest or place > self._latest[key][0]:
                    self._latest[key] = place, point

    def rows(self, run_id: str) -> Iterator[tuple[Any, ...]]:
        if self._file is None:
            return
        keys = list(self._keys)
        self._file.seek(0)
        while content := self._file.read(_POINT.size * _POINTS_READ):
            for number, value, timestamp, step in _POINT.iter_unpack(content):
                if value - value == 0:  # neither infinite nor no number
                    yield run_id, keys[number], value, False, timestamp, step
                else:
                    yield run_id, keys[number], *stored_value(value), timestamp, step

    def latest(self, run_id: str, known: Iterable[Row]) -> Iterator[Row]:
        """Yield the latest point of each metric, unless one that is ``known`` comes after it."""
        there = {
            row["key"]: (row["step"], row["timestamp"], 0.0 if row["is_nan"] else row["value"])
            for row in known
        }
        for key, (place, point) in self._latest.items():
            if key not in there or place >= there[key]:
                row = (run_id, key, *stored_value(point.value), point.timestamp, point.step)
                yield dict(zip(_POINT_COLUMNS, row, strict=True))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _place(point: Metric) -> _Place:
    return point.step, point.timestamp, stored_value(point.value)[0]


def _write_inputs(transaction: Transaction, run: Run, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Write the dataset inputs of a run; an experiment has each dataset once."""
    for item in inputs:
        dataset = item["dataset"]
        row = {
            "dataset_uuid": uuid.uuid4().hex,
            "experiment_id": int(run.experiment_id),
            "name": dataset.get("name", ""),
            "digest": dataset.get("digest", ""),
            "dataset_source_type": dataset.get("source_type", ""),
            "dataset_source": dataset.get("source", ""),
            "dataset_schema": dataset.get("schema"),
            "dataset_profile": dataset.get("profile"),
        }
        transaction.insert_missing("datasets", [row])
        same = [is_(name, row[name]) for name in ("experiment_id", "name", "digest")]
        [known] = transaction.rows("datasets", ("dataset_uuid", "name", "digest"), *same)
        if (known["name"], known["digest"]) != (row["name"], row["digest"]):
            raise Refused(
                f"dataset {row['name']!r} is {known['name']!r} to this database, whose collation "
                "takes the two for one name"
            )
        link = {
            "source_type": "DATASET",
            "source_id": known["dataset_uuid"],
            "destination_type": "RUN",
            "destination_id": run.run_id,
        }
        new = {"input_uuid": uuid.uuid4().hex, **link, "step": 0}
        transaction.insert_missing("inputs", [new])
        [there] = transaction.rows(
            "inputs", ("input_uuid",), *(is_(name, text) for name, text in link.items())
        )
        tags = (
            {
                "input_uuid": there["input_uuid"],
                "name": tag["key"],
                "value": tag.get("value", ""),
            }
            for tag in item.get("tags", ())
        )
        transaction.put("input_tags", ("input_uuid", "name"), tags)
