"""Records to export, and exports as other tools wrote them, file by file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from migrate.endpoints.directory import ExportDirectory
from migrate.kinds import Kind, Ref
from migrate.objects import (
    Artifact,
    ArtifactRoot,
    Experiment,
    LoggedModel,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelOutput,
    ModelVersion,
    RegisteredModel,
    Run,
)

POINTS = [Metric("loss", 0.5, 1_700_000_000_000, 0), Metric("loss", 0.25, 1_700_000_000_001, 1)]


def an_experiment(ident: str = "7", **changes: Any) -> Experiment:
    """An experiment as a server returns it."""
    values = {
        "experiment_id": ident,
        "name": f"experiment {ident}",
        "tags": {"mlflow.note.content": "about it"},
        "artifact_location": f"mlflow-artifacts:/{ident}",
        "creation_time": 1_700_000_000_000,
        "last_update_time": 1_700_000_100_000,
    }
    return Experiment(**{**values, **changes})


def a_run(run_id: str = "a" * 32, **changes: Any) -> Run:
    """A run as a server returns it; its metrics are ``POINTS`` unless told otherwise."""
    values = {
        "run_id": run_id,
        "experiment_id": "7",
        "name": "brave-fox-1",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": 1_700_000_000_000,
        "end_time": 1_700_000_060_000,
        "artifact_uri": f"mlflow-artifacts:/7/{run_id}/artifacts",
        "params": {"lr": "0.1"},
        "tags": {"mlflow.runName": "brave-fox-1", "team": "blue"},
        "latest_metrics": (POINTS[-1],),
        "inputs": (
            {
                "dataset": {"name": "wine", "digest": "d1", "source_type": "local", "source": "x"},
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
            },
        ),
        "links": ModelLinks(("m-1",), (ModelOutput("m-2", 3),)),
    }
    return Run(**{**values, **changes})


def a_logged_model(model_id: str = "m-1", **changes: Any) -> LoggedModel:
    """A logged model as a server returns it."""
    values = {
        "model_id": model_id,
        "experiment_id": "7",
        "name": "forest",
        "model_type": "sklearn",
        "status": "READY",
        "status_message": "done",
        "source_run_id": "a" * 32,
        "artifact_uri": f"mlflow-artifacts:/7/models/{model_id}/artifacts",
        "creation_time": 1_700_000_000_000,
        "last_update_time": 1_700_000_100_000,
        "params": {"depth": "3"},
        "tags": {"team": "blue"},
        "metrics": (
            ModelMetric("acc", 0.5, 1_700_000_000_000, 0, "a" * 32, "wine", "d1"),
            ModelMetric("acc", 0.5, 1_700_000_000_000, 0, "b" * 32),
        ),
    }
    return LoggedModel(**{**values, **changes})


def a_registered_model(name: str = "fraud", **changes: Any) -> RegisteredModel:
    """A registered model as a server returns it, but for its aliases."""
    values = {
        "name": name,
        "description": "finds fraud",
        "tags": {"owner": "ada"},
        "creation_time": 1_700_000_000_000,
        "last_update_time": 1_700_000_100_000,
    }
    return RegisteredModel(**{**values, **changes})


def a_prompt(name: str = "greeting", **changes: Any) -> RegisteredModel:
    """A prompt as a server returns it, but for its aliases."""
    tags = {"mlflow.prompt.is_prompt": "true", "owner": "ada"}
    return a_registered_model(name, **{"kind": Kind.PROMPT, "tags": tags, **changes})


def a_version(number: int = 1, **changes: Any) -> ModelVersion:
    """A version of ``a_registered_model`` as a server returns it."""
    values = {
        "name": "fraud",
        "version": number,
        "source": "models:/m-1",
        "run_id": "a" * 32,
        "run_link": "http://elsewhere/run",
        "model_id": "m-1",
        "description": f"version {number}",
        "tags": {"checked": "yes"},
        "stage": "Staging",
        "status": "READY",
        "user_id": "ada",
        "creation_time": 1_700_000_000_000 + number,
        "last_update_time": 1_700_000_100_000 + number,
    }
    return ModelVersion(**{**values, **changes})


def a_prompt_version(number: int = 1, **changes: Any) -> ModelVersion:
    """A version of ``a_prompt`` as a server returns it."""
    values = {
        "name": "greeting",
        "kind": Kind.PROMPT_VERSION,
        "source": "dummy-source",
        "run_id": "",
        "run_link": "",
        "model_id": "",
        "stage": "None",
        "tags": {
            "mlflow.prompt.is_prompt": "true",
            "mlflow.prompt.text": '[{"role": "user", "content": "Hello {{name}}"}]',
            "_mlflow_prompt_type": "chat",
            "_mlflow_prompt_response_format": '{"type": "string"}',
            "_mlflow_prompt_model_config": '{"temperature": 0.5}',
            "language": "en",
        },
    }
    return a_version(number, **{**values, **changes})


def model_root(model_id: str) -> ArtifactRoot:
    """The artifact root of a logged model, as whoever read it names it."""
    return ArtifactRoot(Ref(Kind.LOGGED_MODEL, model_id), f"mlflow-artifacts:/{model_id}")


def write_logged_model(
    target: ExportDirectory,
    model: LoggedModel,
    *,
    files: Mapping[str, bytes] | None = None,
    mark: str = "1abc.def",
) -> None:
    """Write a whole logged model into an experiment that is there."""
    copy = target.logged_models.create(model.experiment_id, model)
    for path, content in (files or {}).items():
        put(target, model_root(copy.model_id), path, content)
    target.logged_models.finish(copy, model, mark)


def write_registry(
    target: ExportDirectory, model: RegisteredModel, versions: Sequence[ModelVersion] = ()
) -> None:
    """Write a registered model or prompt with its versions, in the order a migration does."""
    target.registered_models.create(model)
    for version in versions:
        assert target.model_versions.create(version) == version.version
        copy = replace(version, aliases=())
        target.model_versions.update(copy, version)


def root_of(run_id: str) -> ArtifactRoot:
    """The artifact root of a run, as whoever read the run names it."""
    return ArtifactRoot(Ref(Kind.RUN, run_id), f"mlflow-artifacts:/7/{run_id}/artifacts")


def write_run(
    target: ExportDirectory,
    run: Run,
    *,
    points: Iterable[Metric] = POINTS,
    files: Mapping[str, bytes] | None = None,
    mark: str = "1abc.def",
) -> None:
    """Write a whole run into an experiment that is there."""
    writer = target.runs.create(run.experiment_id, run)
    try:
        writer.write_params(run.params)
        for path, content in (files or {}).items():
            put(target, writer.root, path, content)
        writer.write_inputs(run.inputs)
        writer.write_metrics(points)
        writer.finish(run, mark)
    except BaseException:
        writer.abandon()
        raise


def put(target: ExportDirectory, root: ArtifactRoot, path: str, content: bytes) -> None:
    """Write one artifact."""
    target.artifacts.put(root, Artifact(path, len(content)), io.BytesIO(content))


def files_of(source: ExportDirectory, run_id: str) -> dict[str, bytes]:
    """Read all artifacts of a run."""
    return files_below(source, root_of(run_id))


def files_below(source: ExportDirectory, root: ArtifactRoot) -> dict[str, bytes]:
    """Read all artifacts of a run or a logged model."""
    found = {}
    for artifact in source.artifacts.list(root):
        with source.artifacts.open(root, artifact) as stream:
            found[artifact.path] = stream.read()
        assert len(found[artifact.path]) == artifact.size
    return found


def all_points(source: ExportDirectory, run: Run) -> list[Metric]:
    """Read all metric points of a run, in bulk."""
    histories = source.runs.histories([run], 10**9)
    assert histories[run.run_id].unread == []
    return histories[run.run_id].points


def same(points: Iterable[Metric]) -> list[str]:
    """Metric points in a form in which NaN equals itself."""
    return [repr(tuple(point)) for point in points]


def write_json(path: Path, content: object) -> None:
    """Write JSON the way mlflow-export-import does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


SYSTEM_OF_1_2 = {
    "package_version": "1.2.0",
    "script": "export_run.py",
    "export_file_version": "2",
    "export_time": 1721364374,
    "_export_time": "2024-07-19 04:46:14",
    "mlflow_version": "2.14.3",
    "mlflow_tracking_uri": "http://localhost:5020",
    "platform": {"python_version": "3.8.16", "system": "Darwin", "processor": "i386"},
    "user": "andre",
}


def envelope(mlflow: object, info: object = None) -> dict[str, object]:
    """The outer members of every file of mlflow-export-import since 1.2.0."""
    middle = {"info": info} if info else {}
    return {"system": SYSTEM_OF_1_2, **middle, "mlflow": mlflow}


def foreign_run(run_id: str, **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of a run.json of mlflow-export-import 1.2.0 with MLflow 2.14."""
    content = {
        "info": {
            "run_uuid": run_id,
            "run_id": run_id,
            "experiment_id": "1",
            "user_id": "andre",
            "status": "FINISHED",
            "start_time": 1671070664322,
            "end_time": 1671070667923,
            "lifecycle_stage": "active",
            "artifact_uri": f"/opt/mlruns/1/{run_id}/artifacts",
            "run_name": "train.sh",
            "_end_time": "2022-12-15 02:17:47",
            "_start_time": "2022-12-15 02:17:44",
        },
        "params": {"max_depth": "None"},
        "metrics": {
            "rmse": [
                {"value": 0.5, "timestamp": 1671070665139, "step": 1},
                {"value": 0.7, "timestamp": 1671070665140, "step": 0},
            ],
            "auc": [{"value": float("nan"), "timestamp": 1671070665139, "step": 0}],
        },
        "tags": {"mlflow.runName": "train.sh", "mlflow.user": "andre"},
        "inputs": [
            {
                "dataset": {
                    "name": "wine",
                    "digest": "062ac4fa",
                    "source_type": "delta_table",
                    "source": "{}",
                    "schema": "{}",
                    "profile": None,
                },
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
            }
        ],
    }
    return {**content, **changes}


def foreign_experiment(ident: str, run_ids: Sequence[str], **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of an experiment.json of mlflow-export-import 1.2.0."""
    experiment = {
        "experiment_id": ident,
        "name": f"sklearn_{ident}",
        "artifact_location": f"/opt/mlruns/{ident}",
        "lifecycle_stage": "active",
        "tags": {"experiment_created": "2022-12-15 02:17:43"},
        "creation_time": 1671070664091 + int(ident),
        "last_update_time": 1671070664091,
        "_creation_time": "2022-12-15 02:17:44",
        "_last_update_time": "2022-12-15 02:17:44",
    }
    return {"experiment": {**experiment, **changes}, "runs": list(run_ids)}


def foreign_trace(ident: str, **changes: Any) -> dict[str, Any]:
    """The ``mlflow`` member of a trace.json of mlflow-export-import with MLflow 3."""
    info = {
        "trace_id": ident,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": "1"},
            "inference_table": None,
        },
        "request_time": 1754000000123,
        "state": "OK",
        "request_preview": "what?",
        "response_preview": None,
        "client_request_id": None,
        "execution_duration": 42,
        "trace_metadata": {"mlflow.sourceRun": "b" * 32, "mlflow.trace.user": "grace"},
        "tags": {"mlflow.artifactLocation": "mlflow-artifacts:/1/traces", "stage": "one"},
        "assessments": [],
    }
    return {"info": {**info, **changes}, "data": []}


def write_old_export(base: Path) -> None:
    """An export of mlflow-export-import 1.2.0 (G1): two experiments, three runs, one file."""
    listed = [
        {"id": "2", "name": "sklearn_2", "ok_runs": 1, "failed_runs": 0, "duration": 0.1},
        {"id": "1", "name": "sklearn_1", "ok_runs": 2, "failed_runs": 0, "duration": 0.1},
    ]
    totals = {"duration": 0.2, "experiments": 2, "total_runs": 3, "ok_runs": 3, "failed_runs": 0}
    write_json(base / "experiments.json", envelope({"experiments": listed}, totals))
    for ident, runs in (("1", ["b" * 32, "c" * 32]), ("2", ["d" * 32])):
        counts = {
            "num_total_runs": len(runs),
            "num_ok_runs": len(runs),
            "num_failed_runs": 0,
            "failed_runs": [],
        }
        experiment = envelope(foreign_experiment(ident, runs), counts)
        write_json(base / ident / "experiment.json", experiment)
        for run_id in runs:
            write_json(base / ident / run_id / "run.json", envelope(foreign_run(run_id)))
    model = base / "1" / ("b" * 32) / "artifacts" / "model" / "MLmodel"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"flavors: {}\n")
