"""``migrate verify`` of logged models, registered models, prompts and versions."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.graph.selection import Selection
from migrate.kinds import REGISTRY_KINDS, Kind
from migrate.verify import Comparison, Ends, compare
from tests.comparison import ORIGIN, copies_of_runs, differences
from tests.comparison_models import compare_models
from tests.conftest import ROOT, OfAllModels, ServerFactory
from tests.seed_models import ModelSource, SeededModels

pytestmark = pytest.mark.timeout(300)

Found = set[tuple[Kind, str, str]]
BOOKKEEPING_PLACEHOLDER = "mlflow-migrate.placeholder"


@dataclass(frozen=True)
class Copied:
    """A source of every model, and a target with copies of all of it."""

    source: TrackingServerProcess
    target: TrackingServerProcess
    seeded: SeededModels
    state: Path
    #: The target as the migration left it.
    saved: Path

    def restore(self) -> None:
        """Bring the target back to what the migration left."""
        copy_database(self.saved / "mlflow.db", self.target.directory / "mlflow.db")
        artifacts = self.target.directory / "artifacts"
        shutil.rmtree(artifacts)
        shutil.copytree(self.saved / "artifacts", artifacts)

    def compare(self, selection: Selection, *, contents: bool = False) -> Comparison:
        source = open_source(Address(uri=self.source.uri, side="source"))
        target = open_target(Address(uri=self.target.uri, side="target", read_only=True))
        with contextlib.closing(source), contextlib.closing(target):
            return compare(
                Ends(source=source, target=target, selection=selection, contents=contents)
            )


def migrate(*args: str | Path) -> str:
    command = [sys.executable, "-m", "migrate", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def everything(
    of_all_models: OfAllModels,
    server_factory: ServerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Copied:
    source, seeded = of_all_models
    target = server_factory()
    with ModelSource(target.uri) as there:
        there.experiment("in the way")
    saved = tmp_path_factory.mktemp("saved")
    state = saved / "state.db"
    migrate("run", source.uri, target.uri, "--include-deleted", "--state", state, "--json")
    copy_database(target.directory / "mlflow.db", saved / "mlflow.db")
    shutil.copytree(target.directory / "artifacts", saved / "artifacts")
    return Copied(source, target, seeded, state, saved)


@pytest.fixture
def copied(everything: Copied) -> Iterator[Copied]:
    yield everything
    everything.restore()


def found_in(result: Comparison) -> Found:
    return {(ref.kind, ref.id, what) for ref, what, *_ in result.differences}


def test_a_whole_copy_shows_no_difference(copied: Copied) -> None:
    result = copied.compare(Selection(include_deleted=True), contents=True)
    assert result.differences == []
    seeded = copied.seeded
    assert result.compared[Kind.LOGGED_MODEL] == len(seeded.models)
    assert result.compared[Kind.REGISTERED_MODEL] == len(seeded.registered)
    assert result.compared[Kind.PROMPT] == len(seeded.prompts)
    with ModelSource(copied.source.uri) as source:
        query = {"filter": "tags.`mlflow.prompt.is_prompt` = 'true'"}
        prompts = _get(source, "model-versions/search", query)["model_versions"]
        versions = _get(source, "model-versions/search", {})["model_versions"]
    assert result.compared[Kind.MODEL_VERSION] == len(versions)
    assert result.compared[Kind.PROMPT_VERSION] == len(prompts)
    declared = {(ref.id, loss.what) for ref, loss in result.declared}
    gone = {seeded.runs["made nobody's model"], seeded.models["of no known run"]}
    of_nowhere = {
        f"{name}/{number}"
        for label, (name, number) in seeded.versions.items()
        if label in ("s3 of nowhere", "run of nowhere", "deleted model")
    }
    assert gone <= {ident for ident, _ in declared} <= gone | of_nowhere


def test_what_a_copy_holds_is_what_the_source_holds(copied: Copied) -> None:
    """By a comparison that shares no code with the copying, nor with ``verify``."""
    source, target, seeded = copied.source.uri, copied.target.uri, copied.seeded
    assert differences(source, target, expected_losses=seeded.rewritten) == []
    hard = "/".join(map(str, seeded.versions["deleted model"]))
    declared = {(hard, what) for what in ("copy", "source", "run_id")}
    declared |= {(seeded.runs["nested models"], "artifact of-another-run/MLmodel")}
    assert compare_models(source, target, copies_of_runs(source, target), declared=declared) == []


@pytest.mark.thorough
def test_with_models_only_what_they_are_made_of_is_compared(copied: Copied) -> None:
    result = copied.compare(Selection(models=("by the client",)))
    assert result.differences == []
    assert result.compared[Kind.REGISTERED_MODEL] == 1
    assert result.compared[Kind.MODEL_VERSION] == 2
    assert result.compared[Kind.EXPERIMENT] == 1
    runs = result.compared[Kind.RUN]
    models = result.compared[Kind.LOGGED_MODEL]
    assert 0 < runs < len(copied.seeded.runs)
    assert 0 < models < len(copied.seeded.models)

    with Changes(copied) as change:
        change.registered("churn", description="changed")
        change.tag_model("same name 1", "extra", "not looked at")
        change.tag_model("checkpoint-1", "extra", "looked at")
    result = copied.compare(Selection(models=("by the client",)))
    checkpoint = copied.seeded.models["checkpoint-1"]
    assert found_in(result) == {(Kind.LOGGED_MODEL, checkpoint, "tag extra")}
    every_run = copied.compare(Selection(models=("by the client",), all_runs=True))
    assert every_run.compared[Kind.RUN] > runs
    same = copied.seeded.models["same name 1"]
    assert (Kind.LOGGED_MODEL, same, "tag extra") in found_in(every_run)


def test_stages_and_latest_versions_choose_what_is_compared(copied: Copied) -> None:
    with Changes(copied) as change:
        for number in (3, 25, 24):
            change.version("many", number, description="changed")
    production = Selection(models=("many",), stages=("Production",))
    assert {ident for _, ident, _ in found_in(copied.compare(production))} == {"many/3", "many/25"}
    latest = Selection(models=("many",), stages=("Production",), latest_versions=True)
    result = copied.compare(latest)
    assert found_in(result) == {(Kind.MODEL_VERSION, "many/25", "description")}
    assert result.compared[Kind.MODEL_VERSION] == 1


def test_experiments_alone_take_no_registered_models(copied: Copied) -> None:
    result = copied.compare(Selection(experiments=("models elsewhere",)))
    assert result.differences == []
    assert set(result.compared) == {Kind.EXPERIMENT, Kind.RUN, Kind.LOGGED_MODEL}
    assert result.compared[Kind.LOGGED_MODEL] == 1


class Changes:
    """Changes copies on the target, each named by its original."""

    def __init__(self, copied: Copied) -> None:
        self.seeded = copied.seeded
        self.writer = ModelSource(copied.target.uri)
        self.database = copied.target.directory / "mlflow.db"
        self.runs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.expected: Found = set()

    def __enter__(self) -> Changes:
        self.writer.__enter__()
        found = self.writer.post("experiments/search", {"max_results": 100})["experiments"]
        where = {"experiment_ids": [item["experiment_id"] for item in found]}
        query = {**where, "run_view_type": "ALL", "max_results": 1000}
        for run in self.writer.post("runs/search", query)["runs"]:
            ident = self.runs[_origin(run["data"]["tags"])] = run["info"]["run_id"]
            self.writer.seeded.artifact_uris[ident] = run["info"]["artifact_uri"]
        for model in self.writer.post("logged-models/search", where)["models"]:
            ident = self.models[_origin(model["info"]["tags"])] = model["info"]["model_id"]
            self.writer.seeded.artifact_uris[ident] = model["info"]["artifact_uri"]
        return self

    def __exit__(self, *error: Any) -> None:
        self.writer.__exit__(*error)

    def run(self, label: str, *whats: str) -> str:
        """Expect these differences of a run; return the id of its copy."""
        ident = self.seeded.runs[label]
        self.expected |= {(Kind.RUN, ident, what) for what in whats}
        return self.runs[ident]

    def model(self, label: str, *whats: str) -> str:
        """Expect these differences of a logged model; return the id of its copy."""
        ident = self.seeded.models[label]
        self.expected |= {(Kind.LOGGED_MODEL, ident, what) for what in whats}
        return self.models[ident]

    def expect(self, kind: Kind, ident: str, *whats: str) -> None:
        self.expected |= {(kind, ident, what) for what in whats}

    def tag_model(self, label: str, key: str, value: str) -> None:
        ident = self.model(label, f"tag {key}")
        self.writer.send("PATCH", f"logged-models/{ident}/tags", {"tags": [_pair(key, value)]})

    def registered(self, name: str, *, description: str) -> None:
        self.expect(Kind.REGISTERED_MODEL, name, "description")
        body = {"name": name, "description": description}
        self.writer.send("PATCH", "registered-models/update", body)

    def version(self, name: str, number: int, *, description: str) -> None:
        self.expect(Kind.MODEL_VERSION, f"{name}/{number}", "description")
        body = {"name": name, "version": str(number), "description": description}
        self.writer.send("PATCH", "model-versions/update", body)

    def origin_of(self, name: str, number: int) -> str:
        query = {"name": name, "version": str(number)}
        return _origin(_get(self.writer, "model-versions/get", query)["model_version"]["tags"])

    def unlink(self, run_id: str, model_id: str) -> None:
        """No call of MLflow takes back what a run names."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as database:
            where = "source_id = ? AND destination_id = ?"
            gone = database.execute(f"DELETE FROM inputs WHERE {where}", (run_id, model_id))
            assert gone.rowcount == 1
            database.commit()


def test_every_change_of_a_logged_model_is_found(copied: Copied) -> None:
    with Changes(copied) as change:
        writer, seeded = change.writer, copied.seeded
        change.tag_model("ready", "json", "changed")
        change.tag_model("ready", "extra", "added")
        ready = change.model("ready", "param added", "metric auc", "metric new")
        body = {"model_id": ready, "params": [_pair("added", "1")]}
        writer.send("POST", f"logged-models/{ready}/params", body)
        evaluation = change.run("evaluation", "metric auc", "metric new")
        point = {"key": "auc", "value": 9.0, "timestamp": 5, "step": 9}
        writer.model_metrics(evaluation, ready, [point, {**point, "key": "new"}])
        failed = change.model("failed", "status")
        body = {"model_id": failed, "status": "LOGGED_MODEL_READY"}
        writer.send("PATCH", f"logged-models/{failed}", body)
        writer.delete_logged_model(change.model("odd name", "missing"))
        changed = ("name", "model type", "source run", "param p", "mark")
        deleted = change.model("same name 2", *changed)
        writer.delete_logged_model(deleted)
        tags = {ORIGIN: seeded.models["same name 2"]}
        here = _get(writer, "experiments/get-by-name", {"experiment_name": "models"})["experiment"]
        experiment = here["experiment_id"]
        writer.logged_model("other", experiment, model_type="x", params={"p": "1"}, tags=tags)
        change.model("pending", "copies")
        tags = {ORIGIN: seeded.models["pending"]}
        writer.logged_model("again", experiment, status=None, tags=tags)

        checkpoint = change.model("checkpoint-1", "artifact MLmodel", "artifact added")
        content = _file(copied, writer.seeded.artifact_uris[checkpoint], "MLmodel")
        writer.artifact(checkpoint, "MLmodel", content.swapcase())
        writer.artifact(checkpoint, "added", b"1")
        root = change.run("old-style-root", "artifact MLmodel")
        content = _file(copied, writer.seeded.artifact_uris[root], "MLmodel")
        original = seeded.runs["old-style-root"].encode()
        writer.artifact(root, "MLmodel", content.replace(root.encode(), original))
        empty = change.model("ready", "artifact empty")
        writer.artifact(empty, "empty", b"longer")

        elsewhere = change.model("elsewhere")
        step = f"logged model output {elsewhere} of step 7"
        writer.outputs(change.run("several outputs", step), (elsewhere, 7))
        used = change.run("evaluation", f"logged model input {elsewhere}")
        writer.model_inputs(used, elsewhere)
        named = seeded.models["pending"]
        several = change.run("several outputs", f"logged model output {named} of step -3")
        change.unlink(several, change.models[named])
    result = copied.compare(Selection(include_deleted=True), contents=True)
    assert found_in(result) == change.expected


def test_every_change_of_the_registry_is_found(copied: Copied) -> None:
    version, prompt_version = Kind.MODEL_VERSION, Kind.PROMPT_VERSION
    with Changes(copied) as change:
        writer, prompts = change.writer, copied.seeded.prompts
        change.registered("many", description="changed")
        body: dict[str, Any] = {"name": "empty", "key": "cost centre"}
        writer.send("DELETE", "registered-models/delete-tag", body)
        writer.post("registered-models/set-tag", {**body, "key": "team", "value": "other"})
        change.expect(Kind.REGISTERED_MODEL, "empty", "tag cost centre", "tag team")
        writer.send("DELETE", "registered-models/delete", {"name": "bare"})
        change.expect(Kind.REGISTERED_MODEL, "bare", "missing")
        writer.post("registered-models/rename", {"name": "a+b", "new_name": "renamed"})
        change.expect(Kind.REGISTERED_MODEL, "a+b", "name")

        change.version("many", 1, description="changed")
        writer.version_tag("many", 3, "n", "changed")
        writer.stage("many", 3, "Archived")
        change.expect(version, "many/3", "tag n", "stage")
        writer.delete_version("many", 5)
        change.expect(version, "many/5", "missing")
        writer.alias("many", "champion", 24)
        change.expect(version, "many/24", "alias champion")
        change.expect(version, "many/25", "alias champion")
        tags = {ORIGIN: change.origin_of("many", 2)}
        writer.version("many", "s3://bucket/many/2", tags=tags)
        change.expect(version, "many/2", "copies")
        writer.version("left", "s3://bucket/placeholder", tags={BOOKKEEPING_PLACEHOLDER: "1"})
        change.expect(Kind.REGISTERED_MODEL, "left", "version 4")

        tags = {ORIGIN: change.origin_of("churn", 1), "of": "churn"}
        writer.delete_version("churn", 1)
        some_run = change.run("training")
        fields = {"run_id": some_run, "run_link": "https://example.com/x"}
        writer.version("churn", "s3://bucket/other", tags=tags, **fields)
        whats = ("number", "source", "run", "run link", "description")
        change.expect(version, "churn/1", *whats, "alias champion", "alias Also_1-a")

        odd = prompts["odd"]
        writer.post("registered-models/set-tag", {"name": odd, "key": "team", "value": "x"})
        change.expect(Kind.PROMPT, odd, "tag team")
        writer.version_tag(odd, 3, "mlflow.prompt.text", "changed")
        change.expect(prompt_version, f"{odd}/3", "tag mlflow.prompt.text")
        writer.version_tag(prompts["text"], 5, "mlflow.prompt.associatedRunIds", "f" * 32)
        change.expect(prompt_version, f"{prompts['text']}/5", "tag mlflow.prompt.associatedRunIds")
    result = copied.compare(Selection(include_deleted=True))
    assert found_in(result) == change.expected


def test_what_the_target_had_before_is_no_difference(copied: Copied) -> None:
    with Changes(copied) as change:
        writer = change.writer
        writer.send("DELETE", "registered-models/delete", {"name": "churn"})
        writer.registered("churn", description="its own", tags={"is": "older", "its": "own"})
        writer.version("churn", "s3://bucket/its-own")
    migrate(
        "run", copied.source.uri, copied.target.uri, "--models", "churn", "--json",
        "--state", copied.saved / "again.db",
    )  # fmt: skip
    result = copied.compare(Selection(models=("churn",)))
    assert result.differences == []
    declared = {(ref.kind, ref.id, loss.what) for ref, loss in result.declared}
    assert declared == {
        (Kind.REGISTERED_MODEL, "churn", "description"),
        (Kind.REGISTERED_MODEL, "churn", "tag is"),
        (Kind.MODEL_VERSION, "churn/1", "number"),
    }


def test_map_shows_every_kind(copied: Copied) -> None:
    lines = migrate("map", "--state", copied.state).splitlines()
    for kind in {Kind.EXPERIMENT, Kind.RUN, Kind.LOGGED_MODEL, *REGISTRY_KINDS}:
        assert any(line.startswith(f"{kind} ") for line in lines), kind
    model = copied.seeded.models["ready"]
    (line,) = migrate("map", model, "--state", copied.state).splitlines()
    assert line.startswith(f"logged model {model} -> m-")
    (line,) = migrate("map", "many/25", "--state", copied.state).splitlines()
    assert line.startswith("model version many/25 -> many/25")


def _get(source: ModelSource, path: str, query: dict[str, str]) -> dict[str, Any]:
    answer = source._session.get(
        f"{source._uri}/api/2.0/mlflow/{path}", params={"max_results": "1000", **query}
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _origin(tags: list[dict[str, str]]) -> str:
    return {tag["key"]: tag["value"] for tag in tags}[ORIGIN]


def _pair(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _file(copied: Copied, uri: str, path: str) -> bytes:
    folder = uri.removeprefix("mlflow-artifacts:/")
    return (copied.target.directory / "artifacts" / folder / path).read_bytes()
