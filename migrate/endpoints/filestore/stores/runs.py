"""The runs of a file store, with their metric histories and the logged models that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from migrate.endpoints.answers import Histories
from migrate.endpoints.disk import subdirectories
from migrate.endpoints.filestore.files import Losses, is_foreign, is_name
from migrate.endpoints.filestore.metric_files import MetricFile
from migrate.endpoints.filestore.places import ExperimentFolder
from migrate.endpoints.filestore.stores.contained import ContainedStore
from migrate.endpoints.run_members import links_from
from migrate.endpoints.shapes import Object, ident, integer, pairs, present, text, word
from migrate.errors import EndpointError, Malformed, NotFound
from migrate.kinds import Kind
from migrate.objects import (
    DELETED,
    LIFECYCLE_STAGES,
    RUN_NAME_TAG,
    RUN_STATUSES,
    Metric,
    ModelLinks,
    Run,
)

#: MLflow's words for the numbers that its files have.
_STATUSES = {
    "1": "RUNNING",
    "2": "SCHEDULED",
    "3": "FINISHED",
    "4": "FAILED",
    "5": "KILLED",
}
#: Points in one page of a history.
POINTS = 10_000
#: What a line of a metric has at least, about; a time alone has 13 characters.
_BYTES_A_POINT = 16
_METRICS = "metrics"
_DATASET = ("name", "digest", "source_type", "source", "schema", "profile")


class RunStore(ContainedStore[Run]):
    """Implements ``ReadsRuns``."""

    kind = Kind.RUN
    folder = ""

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        """See ``ReadsRuns.read_in``."""
        return [run for run in self.read(run_ids) if run.experiment_id == experiment_id]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        found: dict[str, Histories] = {}
        left = budget
        for run in runs:
            files = {it.key: self._metric(run.run_id, it.key) for it in run.latest_metrics}
            sizes = {key: file.size() // _BYTES_A_POINT for key, file in files.items()}
            if found and sum(sizes.values()) > left:
                break
            found[run.run_id] = history = Histories()
            for key, file in files.items():
                if sizes[key] > left:
                    history.unread.append(key)
                else:
                    history.points += file.points()
                    left -= sizes[key]
            if history.unread:
                break
        return found

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        points = self._metric(run_id, key).points()
        while page := list(islice(points, POINTS)):
            yield page

    def links(self, run_ids: Sequence[str]) -> Mapping[str, ModelLinks]:
        """Return which logged models these runs name."""
        found = ((it, self._places.find(it, self.folder)) for it in run_ids)
        return {run_id: self._links(place[1], []) for run_id, place in found if place}

    def _record(self, experiment: ExperimentFolder, path: Path) -> Run:
        body = self._files.described(path)
        self._require_own(experiment, path, body, "run_id", "run_uuid")
        losses: Losses = []
        tags = self._files.texts(path / "tags", "tag", losses)
        stage = word(body, "lifecycle_stage", LIFECYCLE_STAGES)
        return Run(
            run_id=path.name,
            experiment_id=experiment.id,
            name=text(body, "run_name") or text(body, "name") or tags.get(RUN_NAME_TAG, ""),
            user_id=text(body, "user_id"),
            status=_status(body),
            start_time=integer(body, "start_time") or 0,
            end_time=integer(body, "end_time"),
            # Before 2.0 the runs of an experiment stayed as they were when that was deleted.
            lifecycle_stage=DELETED if experiment.in_trash else stage,
            deleted_time=integer(body, "deleted_time"),
            artifact_uri=text(body, "artifact_uri"),
            params=self._files.texts(path / "params", "param", losses),
            tags=tags,
            latest_metrics=tuple(self._latest(path, losses)),
            inputs=tuple(self._datasets(experiment, path, losses)),
            links=self._links(path, losses),
            losses=tuple(losses),
        )

    def _latest(self, path: Path, losses: Losses) -> Iterator[Metric]:
        for key, place in self._files.keys(path / _METRICS, "metric", losses):
            latest = MetricFile(self._files, place, key).latest(losses)
            if latest is not None:
                yield latest

    def _datasets(
        self, experiment: ExperimentFolder, path: Path, losses: Losses
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the dataset inputs of a run as MLflow's API has them."""
        for body in self._named(path / "inputs", losses):
            if text(body, "source_type") != "DATASET":
                continue
            name = text(body, "source_id")
            try:
                if not is_name(name):
                    raise Malformed("it has no such name")
                dataset = self._files.described(experiment.path / "datasets" / name)
                told = {key: text(dataset, key) for key in _DATASET if dataset.get(key) is not None}
                tags = [{"key": it, "value": value} for it, value in pairs(body, "tags").items()]
            except EndpointError as problem:
                losses.append(self._files.lost(f"dataset input {name}", problem.message))
                continue
            yield {"dataset": told, "tags": tags}

    def _links(self, path: Path, losses: Losses) -> ModelLinks:
        inputs = [it for it in self._named(path / "inputs", []) if it["source_type"] == "MODEL"]
        outputs = self._named(path / "outputs", losses)
        return links_from(
            {
                "inputs": {"model_inputs": [{"model_id": it["source_id"]} for it in inputs]},
                "outputs": {
                    "model_outputs": [
                        {"model_id": it["destination_id"], "step": it.get("step")} for it in outputs
                    ]
                },
            }
        )

    def _named(self, folder: Path, losses: Losses) -> Iterator[Object]:
        """Yield what the files in a folder say that a run names: datasets and logged models."""
        for path in subdirectories(folder):
            if is_foreign(path.name):
                continue
            try:
                body = self._files.described(path)
                for key in ("source_type", "source_id", "destination_id"):
                    ident(body, key)
            except EndpointError as problem:
                losses.append(self._files.lost(f"{folder.name} {path.name}", problem.message))
                continue
            yield body

    def _metric(self, run_id: str, key: str) -> MetricFile:
        place = self._places.find(run_id, self.folder)
        if place is None:
            raise NotFound(f"run {run_id} is not there any more")
        return MetricFile(self._files, place[1] / _METRICS / key, key)


class ModelLinkStore:
    """Implements ``ReadsModelLinks``."""

    def __init__(self, runs: RunStore) -> None:
        self.read = runs.links


def _status(body: Object) -> str:
    """Return MLflow's word for a status: its number, or itself. Raises ``Malformed``."""
    told = str(present(body, "status"))
    return word({"status": _STATUSES.get(told, told)}, "status", RUN_STATUSES)
