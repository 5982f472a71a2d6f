"""The runs of a database, with their metric histories and the logged models that they name."""

from __future__ import annotations

import math
import operator
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Histories
from migrate.endpoints.database.reading import Condition, Row, among, is_
from migrate.endpoints.database.stores.contained import ContainedStore
from migrate.endpoints.database.stores.entries import grouped, readable, texts_by
from migrate.endpoints.shapes import ident, integer, text, word
from migrate.errors import Malformed
from migrate.kinds import Kind, run_ref
from migrate.objects import (
    LIFECYCLE_STAGES,
    RUN_NAME_TAG,
    Loss,
    Metric,
    ModelLinks,
    ModelOutput,
    Run,
)

#: Points in one page of a history.
POINTS = 10_000
_COLUMNS = (
    "run_uuid",
    "experiment_id",
    "name",
    "user_id",
    "status",
    "start_time",
    "end_time",
    "lifecycle_stage",
    "deleted_time",
    "artifact_uri",
)
_POINT = ("run_uuid", "key", "value", "timestamp", "step", "is_nan")
_INPUT = ("input_uuid", "source_type", "source_id", "destination_type", "destination_id", "step")
#: Members of a dataset, and their columns.
_DATASET = {
    "name": "name",
    "digest": "digest",
    "source_type": "dataset_source_type",
    "source": "dataset_source",
    "schema": "dataset_schema",
    "profile": "dataset_profile",
}


class RunStore(ContainedStore[Run]):
    """Implements ``ReadsRuns``."""

    kind = Kind.RUN
    table = "runs"
    key = "run_uuid"
    columns = _COLUMNS

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsRuns.read_in``."""
        return [run for run in self.read(run_ids) if run.experiment_id == experiment_id]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        ids = [run.run_id for run in runs]
        sizes: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for run_id, key, size in self._database.counts(
            "metrics", ("run_uuid", "key"), among("run_uuid", ids)
        ):
            sizes[run_id][key] = size
        found: dict[str, Histories] = {}
        unread: list[str] = []
        points = 0
        for run_id in ids:
            if found and (unread or points + sum(sizes[run_id].values()) > budget):
                break
            found[run_id] = Histories(unread=unread)
            for key, size in sizes[run_id].items():
                if points + size > budget:
                    unread.append(key)
                else:
                    points += size
        self._read_points(found, unread)
        return found

    def _read_points(self, found: Mapping[str, Histories], unread: Sequence[str]) -> None:
        """Fill in the points of all keys but those ``unread``, of which only a single run has."""
        by_key: defaultdict[tuple[str, str], list[Metric]] = defaultdict(list)

        def use(rows: Sequence[Any]) -> None:
            for run_id, key, value, timestamp, step, is_nan in rows:
                by_key[run_id, key].append(_point(key, value, timestamp, step, is_nan))

        where: list[Condition] = [among("run_uuid", found)]
        if unread:
            where.append(self._database.other_than("key", unread))
        self._database.take("metrics", _POINT, use, *where)
        for (run_id, _), points in by_key.items():
            found[run_id].points += points

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``.

        All of it is read at once, 24 bytes for each point, so that no read stays open.
        """
        values, timestamps, steps = array("d"), array("q"), array("q")

        def use(rows: Sequence[Any]) -> None:
            _, told, *numbers, is_nan = zip(*rows, strict=True)
            # Column by column, where all are what nearly all are.
            types = [set(map(type, column)) for column in numbers]
            if set(told) == {key} and types == [{float}, {int}, {int}] and not any(is_nan):
                values.extend(numbers[0])
                timestamps.extend(numbers[1])
                steps.extend(numbers[2])
                return
            for row in rows:
                if row[1] == key:  # not another one, in a database that compares without case
                    _, value, timestamp, step = _point(*row[1:])
                    values.append(value)
                    timestamps.append(timestamp)
                    steps.append(step)

        self._database.take("metrics", _POINT, use, is_("run_uuid", run_id), is_("key", key))
        for start in range(0, len(values), POINTS):
            part = slice(start, start + POINTS)
            parts = zip(values[part], timestamps[part], steps[part], strict=True)
            yield [Metric(key, *point) for point in parts]

    def links(self, run_ids: Sequence[str]) -> Mapping[str, ModelLinks]:
        """Return which logged models these runs name."""
        inputs: defaultdict[str, list[str]] = defaultdict(list)
        outputs: defaultdict[str, list[ModelOutput]] = defaultdict(list)
        for row in self._inputs("source_id", run_ids, "RUN_INPUT"):
            inputs[row["source_id"]].append(row["destination_id"])
        for row in self._inputs("source_id", run_ids, "RUN_OUTPUT"):
            output = ModelOutput(row["destination_id"], row["step"] or 0)
            outputs[row["source_id"]].append(output)
        return {
            run_id: ModelLinks(tuple(inputs[run_id]), tuple(outputs[run_id])) for run_id in run_ids
        }

    def _inputs(self, key: str, ids: Sequence[str], source_type: str) -> Iterator[Row]:
        return self._database.rows_of("inputs", _INPUT, key, ids, is_("source_type", source_type))

    def _whole(self, rows: Sequence[Row]) -> Iterator[Run]:
        ids = [row["run_uuid"] for row in rows]
        params, tags = (
            texts_by(
                self._database.rows_of(it, ("run_uuid", "key", "value"), "run_uuid", ids),
                "run_uuid",
            )
            for it in ("params", "tags")
        )
        latest = grouped(
            self._database.rows_of("latest_metrics", _POINT, "run_uuid", ids), "run_uuid"
        )
        inputs = grouped(self._inputs("destination_id", ids, "DATASET"), "destination_id")
        datasets = self._datasets([it["source_id"] for some in inputs.values() for it in some])
        input_ids = [it["input_uuid"] for some in inputs.values() for it in some]
        input_tags = texts_by(
            self._database.rows_of(
                "input_tags", ("input_uuid", "name", "value"), "input_uuid", input_ids
            ),
            "input_uuid",
            "name",
        )
        links = self.links(ids)

        def run(row: Row) -> Run:
            run_id = row["run_uuid"]
            known = [it for it in inputs[run_id] if it["source_id"] in datasets]
            lost = [it["source_id"] for it in inputs[run_id] if it["source_id"] not in datasets]
            return Run(
                run_id=ident(row, "run_uuid"),
                experiment_id=ident(row, "experiment_id"),
                name=text(row, "name") or tags[run_id].get(RUN_NAME_TAG, ""),
                user_id=text(row, "user_id"),
                status=text(row, "status") or "RUNNING",
                start_time=integer(row, "start_time") or 0,
                end_time=integer(row, "end_time"),
                lifecycle_stage=word(row, "lifecycle_stage", LIFECYCLE_STAGES),
                artifact_uri=text(row, "artifact_uri"),
                params=params[run_id],
                tags=tags[run_id],
                latest_metrics=tuple(
                    _point(*(it[name] for name in _POINT[1:])) for it in latest[run_id]
                ),
                inputs=tuple(
                    {
                        "dataset": datasets[it["source_id"]],
                        "tags": [
                            {"key": key, "value": value}
                            for key, value in input_tags[it["input_uuid"]].items()
                        ],
                    }
                    for it in known
                ),
                links=links[run_id],
                deleted_time=integer(row, "deleted_time"),
                losses=tuple(
                    Loss(f"dataset input {it}", "the source's database has no such dataset")
                    for it in lost
                ),
            )

        return readable(
            rows,
            run,
            lambda row: (run_ref(str(row["run_uuid"])), str(row["experiment_id"])),
            "runs",
            self._unreadable,
        )

    def _datasets(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return datasets as MLflow's API has them, by their ids."""
        columns = ("dataset_uuid", *_DATASET.values())
        rows = self._database.rows_of("datasets", columns, "dataset_uuid", [*dict.fromkeys(ids)])
        return {
            row["dataset_uuid"]: {
                member: text(row, name)
                for member, name in _DATASET.items()
                if row[name] is not None
            }
            for row in rows
        }


class ModelLinkStore:
    """Implements ``ReadsModelLinks``."""

    def __init__(self, runs: RunStore) -> None:
        self.read = runs.links


def _point(key: str, value: Any, timestamp: Any, step: Any, is_nan: object) -> Metric:
    """Make a point of a row, in which SQLite holds anything. Raises ``Malformed``."""
    if type(value) is float and type(timestamp) is type(step) is int and not is_nan:
        return Metric(key, value, timestamp, step)  # as nearly all are
    try:
        return Metric(
            key,
            math.nan if is_nan or value is None else float(value),
            operator.index(timestamp or 0),
            operator.index(step or 0),
        )
    except (TypeError, ValueError):
        raise Malformed(
            f"a point of metric {key!r} has a value, time or step that is no number"
        ) from None
