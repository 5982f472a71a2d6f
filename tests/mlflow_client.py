"""What tests let MLflow's own client do, each time in a process of its own.

``with_client`` is for tests; the rest runs in that process. The client keeps servers, experiments
and caches in globals, and takes seconds and 200 MB to import: none of it belongs into a test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_ROOT = Path(__file__).parent.parent

#: A model that multiplies by what one of its artifacts says, so that no two predict alike.
_MODEL = """
from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Scaled(PythonModel):
    def load_context(self, context):
        self.factor = float(Path(context.artifacts["factor"]).read_text())

    def predict(self, context, model_input: list[float]) -> list[float]:
        return [self.factor * value for value in model_input]


set_model(Scaled())
"""


def with_client(uri: str, command: str, argument: Any, *, timeout: float = 240) -> Any:
    """Runs one of ``COMMANDS`` against a server and returns its answer; ``timeout`` in seconds.

    Raises RuntimeError with the end of what the process said when it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.mlflow_client", command],
        cwd=_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "DO_NOT_TRACK": "true",
        },
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def predictions(uri: str, model_uris: list[str]) -> dict[str, list[float]]:
    """Loads these models (``models:/...``, ``runs:/...``) and lets each predict for 1, 2 and 3."""
    answer: dict[str, list[float]] = with_client(uri, "predict", model_uris)
    return answer


def _log_models(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Logs what ``seed_models`` cannot write by itself: models that load, in runs of all styles.

    Answers with the ids of runs and logged models by label, and the artifact URI of each.
    """
    import mlflow
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    runs: dict[str, str] = {}
    models: dict[str, str] = {}
    uris: dict[str, str] = {}
    mlflow.set_experiment(argument["experiment"])
    with TemporaryDirectory() as folder:
        with mlflow.start_run(run_name="training") as run:
            runs["training"], uris[run.info.run_id] = run.info.run_id, run.info.artifact_uri
            for step in (1, 5):
                logged = mlflow.pyfunc.log_model(
                    name="checkpoint",
                    params={"depth": step, "kind": "größe"},
                    tags={"stage": f"after {step}"},
                    model_type="regressor",
                    step=step,
                    **_scaled(Path(folder), 10.0 * step),
                )
                models[f"checkpoint-{step}"] = logged.model_id
                dataset = MetaDataset(CodeDatasetSource({}), name="wine", digest=f"d{step}")
                mlflow.log_metrics(
                    {"auc": 0.8 + step / 100, "loss": 1 / step},
                    step=step,
                    model_id=logged.model_id,
                    dataset=dataset,
                )
        client = mlflow.MlflowClient()
        experiment_id = client.get_experiment_by_name(argument["experiment"]).experiment_id
        alone = mlflow.initialize_logged_model(name="without a run", experiment_id=experiment_id)
        mlflow.finalize_logged_model(alone.model_id, "READY")
        models["without-run"] = alone.model_id
        for model_id in models.values():
            uris[model_id] = client.get_logged_model(model_id).artifact_location
        for label, path, factor in (("old-style", "model", 7.0), ("old-style-root", "", 9.0)):
            run = client.create_run(experiment_id, run_name=label)
            run_id = runs[label] = run.info.run_id
            uris[run_id] = run.info.artifact_uri
            local = Path(folder) / label
            history = _save_as_before(local, run_id, path, **_scaled(Path(folder), factor))
            client.log_artifacts(run_id, str(local), path or None)
            client.set_tag(run_id, "mlflow.log-model.history", json.dumps([history]))
            client.set_terminated(run_id)
    return {"runs": runs, "models": models, "uris": uris}


def _scaled(folder: Path, factor: float) -> dict[str, Any]:
    code = folder / "scaled.py"
    code.write_text(_MODEL)
    data = folder / f"factor-{factor}.txt"
    data.write_text(str(factor))
    # Without requirements it takes a minute to find out what they may be.
    return {
        "python_model": str(code),
        "artifacts": {"factor": str(data)},
        "pip_requirements": ["mlflow"],
    }


def _save_as_before(local: Path, run_id: str, path: str, **model: Any) -> dict[str, Any]:
    """Saves a model with the MLmodel that MLflow 2 wrote; returns its entry in the run's tag."""
    import mlflow.pyfunc
    import yaml

    mlflow.pyfunc.save_model(local, **model)
    file = local / "MLmodel"
    content = yaml.safe_load(file.read_text())
    for key in ("model_id", "prompts", "env_vars", "is_signature_from_type_hint"):
        content.pop(key, None)
    content |= {"artifact_path": path, "run_id": run_id, "mlflow_version": "2.9.2"}
    content["model_uuid"] = (run_id[::-1]) if path else "5" * 32
    file.write_text(yaml.safe_dump(content, allow_unicode=True))
    keys = ("run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors")
    return {key: content[key] for key in keys}


def _register(rows: list[dict[str, str]]) -> list[int]:
    """Registers each of the rows ``{uri, name}`` and answers with the versions' numbers."""
    import mlflow

    return [int(mlflow.register_model(row["uri"], row["name"]).version) for row in rows]


def _prompts(argument: Mapping[str, str]) -> dict[str, str]:
    """Registers prompts whose names begin with a prefix; answers with their names by label."""
    import threading

    import mlflow
    import mlflow.genai

    text, chat = argument["prefix"] + "summary", argument["prefix"] + "chat.v1-b"
    mlflow.set_experiment(argument["experiment"])
    client = mlflow.MlflowClient()

    def register(*args: Any, **options: Any) -> None:
        mlflow.genai.register_prompt(*args, **options)
        # A thread of the client's writes the experiment into the prompt's tags.
        for thread in threading.enumerate():
            if thread.name.startswith("link_prompt"):
                thread.join()

    for number in range(1, 6):
        register(
            text,
            f"Fasse {{{{ text }}}} in {number} Sätzen zusammen\n\nund zwar 'gut' & \"kurz\".",
            commit_message=f"Attempt {number}",
            tags={"author": "ada", "attempt": str(number)},
        )
    client.delete_prompt_version(text, "2")
    client.delete_prompt_version(text, "3")
    client.set_prompt_tag(text, "team", "growth")
    client.set_prompt_version_tag(text, "4", "reviewed", "yes, twice")
    client.set_prompt_alias(text, "production", 4)
    client.set_prompt_alias(text, "candidate", 5)
    register(
        chat,
        [
            {"role": "system", "content": "You are {{ style }}."},
            {"role": "user", "content": "{{ question }} 🦆"},
        ],
        response_format={"type": "object", "properties": {"answer": {"type": "string"}}},
        model_config={"model_name": "gpt-4", "temperature": 0.7, "max_tokens": 100},
    )
    return {"text": text, "chat": chat}


def _load_prompts(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Answers with what each prompt (``prompts:/name/1``, ``prompts:/name@alias``) holds.

    Whoever loads a prompt makes it name his experiment: with the one it names already, nothing
    is written.
    """
    import mlflow
    import mlflow.genai

    mlflow.set_experiment(argument["experiment"])
    loaded = {uri: mlflow.genai.load_prompt(uri) for uri in argument["uris"]}
    return {
        uri: [p.version, p.template, p.commit_message, p.response_format, p.model_config]
        for uri, p in loaded.items()
    }


def _download(places: dict[str, str]) -> dict[str, str]:
    """Downloads what each URI names into a folder of its own."""
    import mlflow.artifacts

    for uri, folder in places.items():
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
    return places


def _predict(uris: list[str]) -> dict[str, list[float]]:
    import mlflow.pyfunc

    return {uri: mlflow.pyfunc.load_model(uri).predict([1.0, 2.0, 3.0]) for uri in uris}


COMMANDS: Mapping[str, Callable[[Any], Any]] = {
    "log-models": _log_models,
    "register": _register,
    "prompts": _prompts,
    "load-prompts": _load_prompts,
    "predict": _predict,
    "download": _download,
}

if __name__ == "__main__":
    # MLflow prints to stdout as it likes: the answer is the last line.
    print("\n" + json.dumps(COMMANDS[sys.argv[1]](json.load(sys.stdin))))
