"""A small source with something of every kind, and damage done to its copies on a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.commands import app
from tests.comparison import ORIGIN
from tests.seed import START
from tests.seed_models import ModelSource

CONTENT = bytes(range(256)) * 16


def seed(uri: str) -> dict[str, str]:
    """Fill a server; return the ids of what was made, by label."""
    with ModelSource(uri) as source:
        kept = source.experiment("kept", tags={"team": "wine"})
        trash = source.experiment("trash", tags={"team": "old"})
        whole = source.run("whole", kept, tags={"stage": "one", "note": "as it was"})
        source.params(whole, {"lr": "0.1", "depth": "7"})
        source.metrics(whole, [("loss", 1.0 / step, START + step, step) for step in range(1, 40)])
        dataset = {"name": "wine", "digest": "d1", "source_type": "local", "source": "{}"}
        source.inputs(whole, (dataset, {"mlflow.data.context": "training"}))
        for path in ("weights.bin", "deep/er/notes.txt", "gone.txt"):
            source.artifact(whole, path, CONTENT)
        user = source.run("user", kept, name="uses the model")
        plain = source.run("plain", kept)
        source.params(plain, {"p": "1"})
        scratch = source.run("scratch", trash)
        source.artifact(scratch, "old.txt", b"old")
        model = source.logged_model("m", kept, run_id=whole, params={"k": "v"}, tags={"of": "m"})
        source.artifact(model, "model.bin", CONTENT)
        point = {"key": "auc", "value": 0.5, "timestamp": START, "step": 1}
        source.model_metrics(whole, model, [point])
        source.outputs(whole, (model, 1))
        source.model_inputs(user, model)
        source.registered("churn", description="who leaves", tags={"team": "crm"})
        for number in (1, 2):
            fields = {"run_id": whole, "description": f"version {number}"}
            source.version("churn", f"runs:/{whole}/v{number}", tags={"n": str(number)}, **fields)
        source.stage("churn", 1, "Production")
        source.alias("churn", "champion", 1)
        source.alias("churn", "challenger", 2)
        source.delete_experiment(trash)
        return {**source.seeded.runs, "model": model, "kept": kept, "trash": trash}


@dataclass(frozen=True)
class Ended:
    """How a command ended that ran in this process."""

    code: int
    stdout: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def migrate(*args: str | Path) -> Ended:
    """Run ``migrate`` to its end; what is not ours shows as an error."""
    result = CliRunner().invoke(app, [*map(str, args)], catch_exceptions=False)
    assert result.exit_code in (0, 3), result.output
    return Ended(result.exit_code, result.stdout)


class Copies:
    """The copies on a target server, by the labels of their originals, to be damaged."""

    def __init__(self, uri: str, files: Path, originals: dict[str, str]) -> None:
        self.writer = ModelSource(uri)
        self._files = files
        by_origin: dict[str, str] = {}
        experiments = self.writer.post(
            "experiments/search", {"max_results": 100, "view_type": "ALL"}
        )["experiments"]
        for item in experiments:
            by_origin[_origin(item).partition("@")[0]] = item["experiment_id"]
        query = {"experiment_ids": [item["experiment_id"] for item in experiments]}
        runs = self.writer.post("runs/search", {**query, "run_view_type": "ALL"})["runs"]
        for run in runs:
            self._add(by_origin, run["data"], run["info"], run["info"]["run_id"])
        for model in self.writer.post("logged-models/search", query)["models"]:
            self._add(by_origin, model["info"], model["info"], model["info"]["model_id"])
        self.ids = {label: by_origin[ident] for label, ident in originals.items()}

    def _add(
        self, by_origin: dict[str, str], tagged: Any, info: dict[str, str], ident: str
    ) -> None:
        by_origin[_origin(tagged)] = ident
        self.writer.seeded.artifact_uris[ident] = info["artifact_uri"]

    def file(self, label: str, path: str) -> Path:
        """Return a file of a copy on the server's disk."""
        folder = self.writer.seeded.artifact_uris[self.ids[label]].removeprefix(
            "mlflow-artifacts:/"
        )
        return self._files / folder / path

    def run_tag(self, label: str, key: str, value: str) -> None:
        self.writer.tags(self.ids[label], {key: value})

    def send(self, method: str, path: str, **body: str) -> None:
        self.writer.send(method, path, body)


def damage(copies: Copies) -> set[tuple[str, str]]:
    """Change whatever can be changed back; return it as kind and ``what`` of a difference."""
    run, model = copies.ids["whole"], copies.ids["model"]
    copies.run_tag("whole", "stage", "two")
    copies.run_tag("whole", "added", "later")
    copies.send("POST", "runs/delete-tag", run_id=run, key="note")
    copies.writer.update(run, status="FAILED", end=START + 5, name="another name")
    copies.writer.delete_run(copies.ids["plain"])
    flip(copies.file("whole", "weights.bin"))
    copies.file("whole", "gone.txt").unlink()
    copies.file("whole", "deep/er/notes.txt").write_bytes(b"short")
    copies.file("scratch", "old.txt").write_bytes(b"new")
    tag = {"experiment_id": copies.ids["kept"], "key": "team"}
    copies.send("POST", "experiments/set-experiment-tag", **tag, value="beer")
    copies.send("POST", "experiments/set-experiment-tag", **{**tag, "key": "own"}, value="1")
    failed = {"model_id": model, "status": "LOGGED_MODEL_UPLOAD_FAILED"}
    copies.send("PATCH", f"logged-models/{model}", **failed)
    tags: list[Any] = [{"key": "of", "value": "x"}, {"key": "odd key ?", "value": "1"}]
    copies.writer.send("PATCH", f"logged-models/{model}/tags", {"tags": tags})
    flip(copies.file("model", "model.bin"))
    name = "churn"
    copies.send("PATCH", "registered-models/update", name=name, description="somebody")
    copies.send("POST", "registered-models/set-tag", name=name, key="own", value="1")
    copies.send("DELETE", "registered-models/delete-tag", name=name, key="team")
    copies.send("PATCH", "model-versions/update", name=name, version="1", description="")
    copies.writer.stage(name, 1, "Archived")
    copies.writer.version_tag(name, 2, "n", "3")
    copies.writer.version_tag(name, 2, "own", "1")
    copies.writer.alias(name, "champion", 2)
    copies.writer.alias(name, "added", 1)
    copies.send("DELETE", "registered-models/alias", name=name, alias="challenger")
    return {
        *(("run", f"tag {key}") for key in ("stage", "added", "note")),
        *(("run", what) for what in ("status", "end time", "name", "lifecycle stage")),
        *(("run", f"artifact {path}") for path in ("weights.bin", "gone.txt", "old.txt")),
        ("run", "artifact deep/er/notes.txt"),
        *(("experiment", f"tag {key}") for key in ("team", "own")),
        *(("logged model", f"tag {key}") for key in ("of", "odd key ?")),
        *(("logged model", what) for what in ("status", "artifact model.bin")),
        ("registered model", "description"),
        *(("registered model", f"tag {key}") for key in ("team", "own")),
        *(("model version", what) for what in ("description", "stage")),
        *(("model version", f"tag {key}") for key in ("n", "own")),
        *(("model version", f"alias {it}") for it in ("champion", "added", "challenger")),
    }


def damage_for_good(copies: Copies) -> set[tuple[str, str]]:
    """Change what no client can change back; return it likewise."""
    run, plain, model = (copies.ids[label] for label in ("whole", "plain", "model"))
    copies.writer.metrics(run, [("loss", 9.0, START + 99, 99), ("new", 1.0, START, 1)])
    copies.writer.params(plain, {"added": "1"})
    copies.writer.artifact(run, "added.txt", b"added")
    dataset = {"name": "beer", "digest": "d2", "source_type": "local", "source": "{}"}
    copies.writer.inputs(plain, (dataset, {}))
    copies.writer.model_inputs(plain, model)
    body = {"model_id": model, "params": [{"key": "more", "value": "1"}]}
    copies.writer.send("POST", f"logged-models/{model}/params", body)
    tags = [{"key": "in/path", "value": "1"}]
    copies.writer.send("PATCH", f"logged-models/{model}/tags", {"tags": tags})
    point = {"key": "auc", "value": 9.0, "timestamp": START, "step": 9}
    copies.writer.model_metrics(run, model, [point])
    return {
        *(("run", f"metric {key}") for key in ("loss", "new", "auc")),
        *(("run", what) for what in ("param added", "artifact added.txt", "dataset inputs")),
        ("run", f"logged model input {model}"),
        *(("logged model", what) for what in ("param more", "metric auc", "tag in/path")),
    }


def found_in(verified: Ended) -> set[tuple[str, str]]:
    """Return the differences that ``migrate verify --json`` found, as kind and ``what``."""
    return {(item["kind"], item["what"]) for item in verified.json["differences"]}


def declared_in(verified: Ended) -> set[tuple[str, str]]:
    """Return the known losses that it found, likewise."""
    return {(item["kind"], item["what"]) for item in verified.json["declared"]}


def flip(path: Path) -> None:
    """Change one bit of a file, and not its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _origin(item: Any) -> str:
    tags: Sequence[dict[str, str]] = item.get("tags", ())
    return {tag["key"]: tag["value"] for tag in tags}.get(ORIGIN, "")
