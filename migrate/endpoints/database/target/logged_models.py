"""The logged models of a database that is written to, and what runs say of them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from migrate.endpoints.database.reading import IDS, Row, among, is_
from migrate.endpoints.database.stores.logged_models import LoggedModelStore
from migrate.endpoints.database.stores.runs import RunStore
from migrate.endpoints.database.target.contained import (
    LOGGED_MODELS,
    WrittenContained,
    require_free,
    stored_value,
)
from migrate.endpoints.database.target.experiments import WrittenExperimentStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.stores import Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import Refused
from migrate.objects import (
    DELETED,
    MODEL_STATUSES,
    LoggedModel,
    Loss,
    ModelLinks,
    ModelMetric,
)
from migrate.origins import MARK

_ID = re.compile(r"m-[0-9a-f]{32}")
_TWICE = "there is another of this step and time, and the database keeps one"


@dataclass(slots=True)
class _Begun:
    """What is given of a logged model, until it is written as a whole."""

    #: A new one; None where it is there.
    made: LoggedModel | None = None
    metrics: list[ModelMetric] = field(default_factory=list)
    links: dict[str, list[ModelLinks]] = field(default_factory=dict)


class WrittenLoggedModelStore(WrittenContained, LoggedModelStore):
    """Implements ``WritesLoggedModels``; a model keeps its id, and is there whole or not at all."""

    identity = Identity.KEPT
    tagged = LOGGED_MODELS

    def __init__(
        self,
        database: WrittenDatabase,
        unreadable: UnreadableObjects,
        experiments: WrittenExperimentStore,
    ) -> None:
        super().__init__(database, unreadable, experiments)
        self._lock = Lock()
        self._begun: dict[str, _Begun] = {}

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        """See ``WritesLoggedModels.create``; nothing is there before ``finish``.

        Raises ``AlreadyExists`` for an id that something else has.
        """
        if not _ID.fullmatch(model.model_id):
            raise Refused(f"{model.model_id!r} is no id of a logged model: m- and 32 digits are")
        require_free(self._database, LOGGED_MODELS, model.ref)
        path = ("models", model.model_id, "artifacts")
        place = self._experiments.place_in(experiment_id, model.artifact_uri, *path)
        made = replace(model, experiment_id=experiment_id, artifact_uri=place, metrics=())
        with self._lock:
            self._begun[model.model_id] = _Begun(made)
        return made

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """See ``WritesLoggedModels.log_metrics``; they are written by ``finish``."""
        with self._lock:
            self._begun.setdefault(model_id, _Begun()).metrics += metrics
        return ()

    def link(self, model_id: str, run_id: str, links: ModelLinks) -> None:
        """Have a run name a logged model as soon as that is written by ``finish``."""
        with self._lock:
            self._begun.setdefault(model_id, _Begun()).links.setdefault(run_id, []).append(links)

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``WritesLoggedModels.finish``: all that was given is there at once."""
        with self._lock:
            begun = self._begun.pop(copy.model_id, _Begun())
        ident = {"model_id": copy.model_id, "experiment_id": int(copy.experiment_id)}
        mine = is_("model_id", copy.model_id)
        tags = {**model.tags, MARK: mark}
        metrics = {_key(row): row for row in _metric_rows(ident, begun.metrics)}
        with self._written.transaction() as transaction:
            _tell_experiments(transaction, metrics.values())
            if begun.made is None:
                transaction.update("logged_models", _state(model), mine)
                surplus = copy.tags.keys() - tags.keys()
                transaction.delete("logged_model_tags", mine, among("tag_key", surplus))
            else:
                transaction.insert("logged_models", {**ident, **_row(begun.made), **_state(model)})
            for what, texts in (("param", model.params), ("tag", tags)):
                rows = [
                    {**ident, f"{what}_key": key, f"{what}_value": text}
                    for key, text in texts.items()
                ]
                transaction.put(f"logged_model_{what}s", ("model_id", f"{what}_key"), rows)
            transaction.insert_missing("logged_model_metrics", metrics.values())
            for run_id, said in begun.links.items():
                for links in said:
                    write_links(transaction, run_id, links)
        left_out = len(begun.metrics) - len(metrics)
        return (Loss(f"{left_out} metric points", _TWICE),) if left_out else ()

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete``."""
        with self._written.transaction() as transaction:
            values = {"lifecycle_stage": DELETED}
            transaction.update("logged_models", values, is_("model_id", model_id))


class WrittenModelLinkStore:
    """Implements ``WritesModelLinks``; what runs say of a new logged model comes with it."""

    def __init__(self, runs: RunStore, models: WrittenLoggedModelStore) -> None:
        self.read = runs.links
        self._models = models

    def write(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """See ``WritesModelLinks.write``; they are written by ``finish`` of the logged model."""
        for model_id in sorted(links.model_ids):
            inputs = tuple(it for it in links.inputs if it == model_id)
            outputs = tuple(it for it in links.outputs if it.model_id == model_id)
            self._models.link(model_id, run_id, ModelLinks(inputs, outputs))
        return ()


def write_links(transaction: Transaction, run_id: str, links: ModelLinks) -> None:
    """Have a run name logged models, beside those that it names."""
    named = [("INPUT", model_id, 0) for model_id in links.inputs]
    named += [("OUTPUT", output.model_id, output.step) for output in links.outputs]
    transaction.insert_missing(
        "inputs",
        (
            {
                "input_uuid": uuid.uuid4().hex,
                "source_type": f"RUN_{way}",
                "source_id": run_id,
                "destination_type": f"MODEL_{way}",
                "destination_id": model_id,
                "step": step,
            }
            for way, model_id, step in named
        ),
    )


def _row(model: LoggedModel) -> Row:
    return {
        "name": model.name,
        "artifact_location": model.artifact_uri,
        "creation_timestamp_ms": model.creation_time or 0,
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
    }


def _state(model: LoggedModel) -> Row:
    """Return the columns of what may change."""
    return {
        "status": MODEL_STATUSES.index(model.status) + 1,
        "status_message": model.status_message or None,
        "lifecycle_stage": model.lifecycle_stage,
        "last_updated_timestamp_ms": model.last_update_time or model.creation_time or 0,
    }


def _metric_rows(ident: Row, metrics: Iterable[ModelMetric]) -> Iterator[dict[str, Any]]:
    for point in metrics:
        yield {
            **ident,
            "metric_name": point.key,
            "metric_timestamp_ms": point.timestamp,
            "metric_step": point.step,
            # A run's own history says of which points this is no number.
            "metric_value": stored_value(point.value)[0],
            "run_id": point.run_id,
            "dataset_name": point.dataset_name or None,
            "dataset_digest": point.dataset_digest or None,
        }


def _tell_experiments(transaction: Transaction, metrics: Collection[dict[str, Any]]) -> None:
    """Have points name the experiment of their run, which need not be that of the model."""
    runs = sorted({point["run_id"] for point in metrics})
    for start in range(0, len(runs), IDS):
        some = among("run_uuid", runs[start : start + IDS])
        rows = transaction.rows("runs", ("run_uuid", "experiment_id"), some)
        number = {row["run_uuid"]: row["experiment_id"] for row in rows}
        for point in metrics:
            point["experiment_id"] = number.get(point["run_id"], point["experiment_id"])


def _key(row: Row) -> tuple[object, ...]:
    return row["metric_name"], row["metric_timestamp_ms"], row["metric_step"], row["run_id"]
