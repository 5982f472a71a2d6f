"""What copies have to say of their originals with ``--import-source-tags``: a list of our own."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.comparison_models import ModelServer
from tests.seed import START
from tests.seed_models import ModelSource

#: The names of "source tags" in mlflow-export-import's documentation, and as it writes them.
OF_RUN_INFO = {
    *("run_id", "experiment_id", "user_id", "status", "start_time", "end_time"),
    *("lifecycle_stage", "artifact_uri", "run_name", "_start_time", "_end_time"),
}
OF_EXPERIMENT = {
    *("experiment_id", "name", "artifact_location", "lifecycle_stage"),
    *("creation_time", "last_update_time", "_creation_time", "_last_update_time"),
}
OF_VERSION = {
    *("name", "version", "creation_timestamp", "last_updated_timestamp", "description"),
    *("user_id", "current_stage", "source", "run_id", "run_link", "status", "status_message"),
    *("aliases", "model_id", "_run_artifact_uri", "_experiment_name"),
    *("_creation_timestamp", "_last_updated_timestamp"),
}
OF_MODEL = {
    *("name", "creation_timestamp", "last_updated_timestamp", "description", "aliases"),
    *("_creation_timestamp", "_last_updated_timestamp"),
}
PREFIX = "mlflow_exim."
BOOKKEEPING = "mlflow-migrate."


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in found.get("tags", ())}


@dataclass(frozen=True)
class Held:
    """What one server has of the registered model: every answer as the server gave it."""

    experiment: Mapping[str, Any]
    run: Mapping[str, Any]
    model: Mapping[str, Any]
    version: Mapping[str, Any]

    @classmethod
    def on(cls, uri: str, name: str) -> Held:
        with ModelServer(uri) as server:
            experiment = server.experiments()[name]
            (run,) = server.runs(experiment["experiment_id"])
            version = server.version(name, 1)
            assert version is not None
            return cls(experiment, run, server.registered_models(prompts=False)[name], version)

    def tags(self) -> dict[str, dict[str, str]]:
        """All tags but those that this tool keeps its books in."""
        found = {
            "experiment": tags_of(self.experiment),
            "run": tags_of(self.run["data"]),
            "model": tags_of(self.model),
            "version": tags_of(self.version),
        }
        return {
            kind: {k: v for k, v in tags.items() if not k.startswith(BOOKKEEPING)}
            for kind, tags in found.items()
        }


def seed_tagged(uri: str, name: str) -> None:
    """Writes a registered model with one version, and the experiment of its name with its run."""
    with ModelSource(uri) as server:
        note = {"mlflow.note.content": "why", "team": "risk"}
        experiment = server.experiment(name, tags=note)
        tags = {"mlflow.user": "a service", "mlflow.source.name": "train.py", "own": "x"}
        run = server.run("first", experiment, user="ada", tags=tags)
        server.metrics(run, [("loss", 0.5, START, 0)])
        server.artifact(run, "model/weights", b"abc")
        server.registered(name, description="of customers", tags={"mlflow.odd": "y"})
        fields = {"run_id": run, "run_link": "https://old/a", "description": "one"}
        place = f"runs:/{run}/model"
        server.version(name, place, tags={"by": "ada"}, **fields)
        if server.seeded.capabilities.version >= (2, 3):
            server.alias(name, "champion", 1)
        server.stage(name, 1, "Production")


def expected_of(held: Held) -> dict[str, dict[str, str]]:
    """What copies have to say of the objects of the source, by the names listed above."""
    info = dict(held.run["info"])
    readable = {f"_{key}": _readable(info[key]) for key in ("start_time", "end_time")}
    run = {f"run_info.{key}": str((info | readable)[key]) for key in OF_RUN_INFO}
    experiment = dict(held.experiment)
    for key in ("creation_time", "last_update_time"):
        # Servers before 2.0 do not tell them.
        experiment.setdefault(key, "None")
        experiment[f"_{key}"] = _readable(experiment[key])
    version = {"user_id": "", "status_message": "", "model_id": "None", **held.version}
    has_alias = bool(held.version.get("aliases"))
    version |= {
        "_run_artifact_uri": info["artifact_uri"],
        "_experiment_name": experiment["name"],
        "aliases": "['champion']" if has_alias else "[]",
    }
    alias = "{'alias': 'champion', 'version': '1'}" if has_alias else ""
    model = {**held.model, "aliases": f"[{alias}]"}
    for fields in (version, model):
        for key in ("creation_timestamp", "last_updated_timestamp"):
            fields[f"_{key}"] = _readable(fields[key])
    wanted = {
        "run": run,
        "experiment": {f"field.{key}": str(experiment[key]) for key in OF_EXPERIMENT},
        "version": {f"field.{key}": str(version[key]) for key in OF_VERSION},
        "model": {f"field.{key}": str(model[key]) for key in OF_MODEL},
    }
    wanted["run"] |= {
        "mlflow_tag.user": "a service",
        "mlflow_tag.source.name": "train.py",
        "mlflow_tag.runName": "first",
    }
    wanted["experiment"]["mlflow_tag.note.content"] = "why"
    wanted["model"]["mlflow_tag.odd"] = "y"
    return {
        kind: {PREFIX + key: text for key, text in tags.items()} for kind, tags in wanted.items()
    }


def _readable(milliseconds: str | int) -> str:
    if milliseconds == "None":
        return "None"
    moment = datetime.datetime.fromtimestamp(int(milliseconds) // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def plus(
    tags: dict[str, dict[str, str]], more: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """All tags of both, by kind."""
    return {kind: {**held, **more[kind]} for kind, held in tags.items()}
