"""Logged models on servers that have none (before MLflow 3): as files of the run that made them.

That is where such servers keep models, so what is flattened can be registered and loaded there. A
tag of the run remembers each; a model's type, params, tags and status have no place.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Copy
from migrate.endpoints.shapes import objects, required, required_text
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.searches.copies import Copies
from migrate.endpoints.tracking.wire import run_from, tags_to
from migrate.errors import NotFound, Refused
from migrate.objects import ACTIVE, LoggedModel, ModelMetric, Run
from migrate.origins import FLATTENED, HOLDS_FLATTENED, ORIGIN, losses_from_tags, losses_to_tags
from migrate.outcomes import Loss, loss_from_stored, loss_to_stored

_RUNS_PER_PAGE = 500


class FlattenedModelStore:
    """What a ``LoggedModelStore`` is where there are none; ids are URIs, ``runs:/<run>/<path>``.

    Metrics of a model are with its run, which has them without it.
    """

    def __init__(self, http: HttpSession) -> None:
        self._http = http
        self._claiming = threading.Lock()

    def list(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """Yield nothing: what is flattened is a run's files to whoever reads the server."""
        return iter(())

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> tuple[Loss, ...]:
        """Write nothing: the run has them."""
        return ()

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        """Give a model its place below its run's copy. Raises ``Refused`` for one without."""
        origin, run_id = model.tags[ORIGIN], model.source_run_id
        if not run_id:
            raise Refused("the target has no logged models, and this one has no run to go into")
        with self._claiming:
            run = self._run(run_id)
            taken = {
                claim["path"] for key, claim in _claims(run).items() if key != origin
            } | self._folders(run_id)
            path = model.name if model.name not in taken else f"{model.name}-{origin}"
            path = _claims(run).get(origin, {}).get("path", path)
            self._tag(run_id, origin, {"path": path})
        return _flattened(run, path, model.name)

    def find(self, experiment_id: str, origins: Collection[str] | None = None) -> Copies:
        """Return what is flattened into runs of an experiment, by origin."""
        found: Copies = {}
        body = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ALL",
            "max_results": _RUNS_PER_PAGE,
            "filter": f"tags.`{HOLDS_FLATTENED}` = 'true'",
        }
        for page in self._http.pages(f"{API}/runs/search", body):
            for run in map(run_from, objects(page, "runs")):
                for origin, claim in _claims(run).items():
                    if origins is None or origin in origins:
                        found.setdefault(origin, []).append(_copy(run, origin, claim))
        return found

    def read(self, model_ids: Sequence[str]) -> Sequence[LoggedModel]:
        """Return those flattened models that are there."""
        return [*self._read(model_ids)]

    def _read(self, model_ids: Sequence[str]) -> Iterator[LoggedModel]:
        for model_id in model_ids:
            run_id, _, path = model_id.removeprefix("runs:/").partition("/")
            try:
                run = self._run(run_id)
            except NotFound:
                continue
            for claim in _claims(run).values():
                if claim["path"] == path:
                    yield _flattened(run, path, path, losses=claim.get("losses"))

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> tuple[Loss, ...]:
        """Remember that a model is complete, and what of it was lost."""
        run_id, _, path = copy.model_id.removeprefix("runs:/").partition("/")
        lost = list(map(loss_to_stored, losses_from_tags(model.tags)))
        self._tag(run_id, model.tags[ORIGIN], {"path": path, "mark": mark, "losses": lost[:5]})
        return ()

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        """Raise ``Refused``: its files are the run's."""
        raise Refused(f"{model_id} is kept as files of a run, which are not deleted")

    def _run(self, run_id: str) -> Run:
        answer = self._http.get(f"{API}/runs/get", {"run_id": run_id})
        return run_from(required(answer, "run"))

    def _folders(self, run_id: str) -> set[str]:
        """Return what lies at the top of a run's artifacts."""
        answer = self._http.get(f"{API}/artifacts/list", {"run_id": run_id, "run_uuid": run_id})
        return {required_text(item, "path") for item in objects(answer, "files")}

    def _tag(self, run_id: str, origin: str, claim: Mapping[str, Any]) -> None:
        tags = {HOLDS_FLATTENED: "true", FLATTENED + origin: json.dumps(claim)}
        body = {"run_id": run_id, "tags": tags_to(tags)}
        self._http.post(f"{API}/runs/log-batch", body, idempotent=True)


def _claims(run: Run) -> dict[str, dict[str, Any]]:
    """Return what a run remembers of the models flattened into it, by origin."""
    claims = {}
    for key, value in run.tags.items():
        if key.startswith(FLATTENED):
            try:
                claim = json.loads(value)
            except ValueError:
                continue
            if isinstance(claim, dict) and isinstance(claim.get("path"), str):
                claims[key.removeprefix(FLATTENED)] = claim
    return claims


def _flattened(run: Run, path: str, name: str, losses: Any = None) -> LoggedModel:
    known = losses_to_tags(map(loss_from_stored, losses or ()))
    return LoggedModel(
        model_id=f"runs:/{run.run_id}/{path}",
        experiment_id=run.experiment_id,
        name=name,
        source_run_id=run.run_id,
        artifact_uri=f"{run.artifact_uri.rstrip('/')}/{path}",
        tags=known,
    )


def _copy(run: Run, origin: str, claim: Mapping[str, Any]) -> Copy:
    return Copy(
        origin=origin,
        target_id=f"runs:/{run.run_id}/{claim['path']}",
        mark=str(claim.get("mark", "")),
        lifecycle_stage=ACTIVE,
    )
