"""Writes logged models, registered models, versions and prompts, and what refers to them.

``seed_models`` writes one of each to a server of MLflow 3; ``ModelSource`` is for a test that needs
a model or two of its own. What loads and predicts is logged by MLflow's client; the rest is
written over the raw REST API, which takes what the client refuses or changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.mlflow_client import with_client
from tests.seed import NOWHERE, START, Seeded, Source

#: A model id that no server has.
NO_MODEL = "m-" + NOWHERE

#: Names of registered models, by label; what a server takes is anything without "/" and ":".
NAMES = {
    "plain": "churn",
    "single quote": "it's",
    "double quote": 'the "best" one',
    "both quotes": 'it\'s "both"',
    "percent": "100%",
    "percent code": "%41 and %2F",
    "spaces": " two  spaces ",
    "unicode": "Größe 実験 🧪",
    "hash": "a#b",
    "question": "a?b=c",
    "plus": "a+b",
    "ampersand": "a&b;c",
    "backslash": "a\\b",
    "like": "a_b",
    "long": "long" + "g" * 210,
}

#: The numbers of the versions that "many" has: 1 to 25 but for two gaps.
MANY = [n for n in range(1, 26) if n not in (4, 11, 12, 13)]


@dataclass(frozen=True)
class SeededModels(Seeded):
    """What was written, by readable labels; ``artifact_uris`` has the logged models' too."""

    #: Label -> id of a logged model.
    models: dict[str, str] = field(default_factory=dict)
    #: Label -> name of a registered model, prefix included.
    registered: dict[str, str] = field(default_factory=dict)
    #: Label -> name of a prompt, prefix included.
    prompts: dict[str, str] = field(default_factory=dict)
    #: Label of a source's form -> (name of the registered model, version).
    versions: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: Model URIs that load, with the factor by which each multiplies.
    factors: dict[str, float] = field(default_factory=dict)

    @property
    def rewritten(self) -> set[tuple[str, str]]:
        """Run and what: its MLmodel files, of which the copies are not equal: they name copies."""
        files = {
            "old-style": ["model/MLmodel"],
            "old-style-root": ["MLmodel"],
            "nested models": ["a/MLmodel", "a/b/MLmodel", "of-another-run/MLmodel"],
        }
        return {(self.runs[run], f"artifact {path}") for run in files for path in files[run]}


class ModelSource(Source):
    """A ``Source`` that makes logged models and what a registry holds as well.

    ``artifact`` takes the id of a logged model just as that of a run.
    """

    seeded: SeededModels

    def __init__(self, uri: str, *, prefix: str = "") -> None:
        super().__init__(uri, prefix=prefix)
        self.seeded = SeededModels(uri, prefix, self.seeded.capabilities)

    def logged_model(
        self,
        label: str,
        experiment_id: str,
        *,
        name: str | None = None,
        model_type: str | None = None,
        run_id: str | None = None,
        status: str | None = "READY",
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Creates a logged model and returns its id; without a ``status`` it stays pending."""
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "name": label if name is None else name,
            "model_type": model_type,
            "source_run_id": run_id,
            "params": _pairs(params or {}),
            "tags": _pairs(tags or {}),
        }
        body = {key: value for key, value in body.items() if value is not None}
        info = self.post("logged-models", body)["model"]["info"]
        model_id: str = info["model_id"]
        self.seeded.models[label] = model_id
        self.seeded.artifact_uris[model_id] = info["artifact_uri"]
        if status is not None:
            body = {"model_id": model_id, "status": f"LOGGED_MODEL_{status}"}
            self.send("PATCH", f"logged-models/{model_id}", body)
        return model_id

    def model_metrics(
        self, run_id: str, model_id: str, points: Iterable[Mapping[str, Any]]
    ) -> None:
        """Logs metrics of a logged model in a run.

        A point has ``key``, ``value``, ``timestamp`` (ms), ``step`` and perhaps ``dataset_name``
        and ``dataset_digest``.
        """
        metrics = [{**point, "model_id": model_id} for point in points]
        self.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})

    def outputs(self, run_id: str, *models: tuple[str, int]) -> None:
        """Makes a run name these models as made by it, each with its step."""
        rows = [{"model_id": model_id, "step": step} for model_id, step in models]
        self.post("runs/outputs", {"run_id": run_id, "models": rows})

    def model_inputs(self, run_id: str, *model_ids: str) -> None:
        """Makes a run name these models as used by it."""
        models = [{"model_id": model_id} for model_id in model_ids]
        self.post("runs/log-inputs", {"run_id": run_id, "models": models})

    def delete_logged_model(self, model_id: str) -> None:
        self.send("DELETE", f"logged-models/{model_id}", {})

    def registered(
        self,
        label: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Creates a registered model and returns its name: the prefix and the label or ``name``."""
        name = self.seeded.prefix + (label if name is None else name)
        body = {"name": name, "description": description, "tags": _pairs(tags or {})}
        self.post("registered-models/create", body)
        self.seeded.registered[label] = name
        return name

    def version(
        self,
        name: str,
        source: str,
        *,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        **fields: str,
    ) -> int:
        """Creates a version and returns its number.

        ``fields`` are MLflow's ``run_id``, ``model_id``, ``run_link`` and ``description``.
        """
        body = {"name": name, "source": source, "tags": _pairs(tags or {}), **fields}
        created = self.post("model-versions/create", body)["model_version"]
        number = int(created["version"])
        if label is not None:
            self.seeded.versions[label] = (name, number)
        return number

    def delete_version(self, name: str, number: int) -> None:
        self.send("DELETE", "model-versions/delete", {"name": name, "version": str(number)})

    def alias(self, name: str, alias: str, number: int) -> None:
        body = {"name": name, "alias": alias, "version": str(number)}
        self.post("registered-models/alias", body)

    def stage(self, name: str, number: int, stage: str) -> None:
        body: dict[str, Any] = {"name": name, "version": str(number), "stage": stage}
        body["archive_existing_versions"] = False
        self.post("model-versions/transition-stage", body)

    def version_tag(self, name: str, number: int, key: str, value: str) -> None:
        body = {"name": name, "version": str(number), "key": key, "value": value}
        self.post("model-versions/set-tag", body)


def seed_models(uri: str, *, prefix: str = "") -> SeededModels:
    """Writes one of everything that a model registry and the logged models can hold.

    ``prefix`` begins the names of experiments, registered models and prompts; it may hold ASCII
    letters, digits, ".", "_" and "-" only. Takes half a minute.
    """
    with ModelSource(uri, prefix=prefix) as source:
        here = source.experiment("models")
        there = source.experiment(
            "models elsewhere", location=f"mlflow-artifacts:/an odd/{prefix}x"
        )
        log_with_the_client(source, here)
        seed_logged_models(source, here)
        seed_model_files(source, here)
        seed_links(source, here, there)
        seed_names(source)
        seed_many_versions(source)
        seed_sources(source, here)
        seed_registered_by_the_client(source)
        seed_prompts(source)
        return source.seeded


def log_with_the_client(source: ModelSource, experiment_id: str) -> None:
    """Two models that load in one run, one without a run, and two runs in the style of MLflow 2."""
    (name,) = (n for n, e in source.seeded.experiments.items() if e == experiment_id)
    made = with_client(source.seeded.uri, "log-models", {"experiment": source.seeded.names[name]})
    source.seeded.runs.update(made["runs"])
    source.seeded.models.update(made["models"])
    source.seeded.artifact_uris.update(made["uris"])
    for label, factor in (("checkpoint-1", 10.0), ("checkpoint-5", 50.0)):
        source.seeded.factors[f"models:/{made['models'][label]}"] = factor


def seed_logged_models(source: ModelSource, experiment_id: str) -> None:
    """Logged models of every status, with many params, without any, and of runs that are gone."""
    training = source.seeded.runs["training"]
    params = {f"p{n:03}": f"value {n}" for n in range(130)}
    params |= {"empty": "", "unicode": "größe 日本 🦆", "lines": "a\nb\t", "long": "x" * 9000}
    tags = {"empty": "", "key with spaces / and: signs": "1 & 2", "json": '{"a": "it\'s"}'}
    source.logged_model(
        "ready", experiment_id, model_type="classifier", run_id=training, params=params, tags=tags
    )
    source.logged_model("pending", experiment_id, run_id=training, status=None)
    source.logged_model("failed", experiment_id, run_id=training, status="UPLOAD_FAILED")
    source.logged_model("odd name", experiment_id, name=" größe #1 & co? (50+) ")
    for n in (1, 2):
        source.logged_model(f"same name {n}", experiment_id, name="same name", run_id=training)

    deleted_run = source.run("run deleted", experiment_id)
    of_deleted = source.logged_model("of a deleted run", experiment_id, run_id=deleted_run)
    source.model_metrics(deleted_run, of_deleted, [_point("auc", 0.25, step) for step in (0, 3)])
    source.outputs(deleted_run, (of_deleted, 3))
    source.delete_run(deleted_run)
    source.logged_model("of no known run", experiment_id, run_id=NOWHERE)


def seed_model_files(source: ModelSource, experiment_id: str) -> None:
    """Files that are no models that load: nested and broken MLmodels, empty and odd files."""
    seeded = source.seeded
    training, ready = seeded.runs["training"], seeded.models["ready"]
    uri = seeded.artifact_uris[ready]
    text = (
        f"artifact_path: {uri}\n"
        "flavors:\n  python_function:\n    loader_module: none.such\n"
        f"    data: run_id {training}  # not a reference\n"
        "metadata:\n"
        f"  run_id: {training}\n"
        f"model_id: {ready}\nmodel_uuid: {ready}\n"
        "# a comment\n"
        f"run_id: {training}\n"
    )
    source.artifact(ready, "MLmodel", text.encode())
    nested = f"run_id: '{training}'\nartifact_path: nested\nmodel_uuid: {'6' * 32}\n"
    source.artifact(ready, "nested/er/MLmodel", nested.encode())
    source.artifact(ready, "broken/MLmodel", b"run_id: [\n\xff\x00")
    source.artifact(ready, "other/MLmodel.yaml", text.encode())
    source.artifact(ready, "empty", b"")
    source.artifact(ready, "with spaces/größe 100%.txt", "ünïcödé".encode())
    source.artifact(seeded.models["failed"], "partial.bin", b"x" * 100)
    source.artifact(seeded.models["of a deleted run"], "weights.bin", bytes(range(256)))

    mixed = source.run("nested models", experiment_id)
    for path in ("a/MLmodel", "a/b/MLmodel"):
        folder = path.removesuffix("/MLmodel")
        text = f"artifact_path: {folder}\nflavors: {{}}\nmodel_uuid: {'7' * 32}\nrun_id: {mixed}\n"
        source.artifact(mixed, path, text.encode())
    other = f"artifact_path: model\nrun_id: {training}\n"
    source.artifact(mixed, "of-another-run/MLmodel", other.encode())
    source.artifact(mixed, "of-nobody/MLmodel", f"run_id: {NOWHERE}\n".encode())


def seed_links(source: ModelSource, here: str, there: str) -> None:
    """Runs that made and used models: several, of other experiments, deleted ones, nobody's."""
    models = source.seeded.models
    several = source.run("several outputs", here)
    source.outputs(several, (models["ready"], 0), (models["pending"], -3))
    source.outputs(several, (models["same name 1"], 2**40))

    evaluation = source.run("evaluation", here, start=START + 1)
    source.model_inputs(evaluation, models["checkpoint-5"], models["ready"])
    wine = {"dataset_name": "wine – größer", "dataset_digest": "e5f6"}
    points = [{**_point("auc", 0.5 + step / 10, step), **wine} for step in range(3)]
    points += [_point("auc", 0.75, 1, START + 77), _point("loss", 1e-9, 0)]
    source.model_metrics(evaluation, models["ready"], points)
    # The server shows a model's NaN as 0, and that of the run as NaN.
    source.model_metrics(evaluation, models["ready"], [_point("nan", "NaN", 0)])
    source.model_metrics(evaluation, models["pending"], [_point("inf", "-Infinity", -2)])
    # The same points of the same model in another run.
    again = source.run("evaluation again", there, start=START + 2)
    source.model_metrics(again, models["ready"], points)
    source.metrics(again, [("auc", 0.1, START, 0), ("only of the run", 1.0, START, 0)])
    source.model_inputs(again, models["ready"], models["without-run"])

    elsewhere = source.logged_model("elsewhere", there, run_id=again, model_type="agent")
    source.artifact(elsewhere, "data.txt", b"in a folder with a space")
    source.outputs(source.run("output elsewhere", here), (elsewhere, 1))

    maker = source.run("made a deleted model", here)
    deleted = source.logged_model("deleted", here, run_id=maker, params={"depth": "3"})
    source.artifact(deleted, "kept.txt", b"still there")
    source.model_metrics(maker, deleted, [_point("auc", 0.125, 4)])
    source.outputs(maker, (deleted, 4))
    source.model_inputs(source.run("used a deleted model", here), deleted)
    source.delete_logged_model(deleted)
    source.outputs(source.run("made nobody's model", here), (NO_MODEL, 1))


def seed_names(source: ModelSource) -> None:
    """Registered models of all names, each with a version, a tag and two aliases; one empty."""
    for label, bare in NAMES.items():
        name = source.registered(label, bare, description=f"{label}: {bare}", tags={"is": label})
        source.version(name, "s3://bucket/x", description=f"one of {name}", tags={"of": name})
        for alias in ("champion", "Also_1-a"):
            source.alias(name, alias, 1)
    note = "# Churn\n\nWhat we *tried*: https://example.com/?a=b&c=d\n" + "n" * 4000
    tags = {"team": "growth", "empty": "", "cost centre": "47 ü 日本"}
    source.registered("empty", description=note, tags=tags)
    source.registered("bare")


def seed_many_versions(source: ModelSource) -> None:
    """A model of 25 versions with gaps, the last numbers deleted too; stages and aliases."""
    name = source.registered("many", description="with gaps")
    for number in range(1, 28):
        tags = {"n": str(number), "empty": ""} if number % 3 == 0 else {}
        text = f"version {number}\n\nof *many*" if number % 2 else ""
        source.version(name, f"s3://bucket/many/{number}", description=text, tags=tags)
    for number, stage in ((1, "Archived"), (3, "Production"), (10, "Staging"), (25, "Production")):
        source.stage(name, number, stage)
    # One went back to no stage.
    source.stage(name, 7, "Staging")
    source.stage(name, 7, "None")
    for alias, number in (("champion", 25), ("challenger", 10), ("rollback", 3), ("Old_1-x", 1)):
        source.alias(name, alias, number)
    source.alias(name, "also-champion", 25)
    source.alias(name, "gone", 12)
    source.stage(name, 11, "Production")
    for number in (n for n in range(1, 28) if n not in MANY):
        source.delete_version(name, number)


def seed_sources(source: ModelSource, experiment_id: str) -> None:
    """A version of every form of source that a server takes."""
    seeded = source.seeded
    runs, models, uris = seeded.runs, seeded.models, seeded.artifact_uris
    many = seeded.registered["many"]
    name = source.registered("sources", description="a version of every source")

    def add(label: str, text: str, **fields: str) -> None:
        number = source.version(name, text, label=label, tags={"form": label}, **fields)
        factor = {"logged model": 50.0, "logged model location": 10.0, "run": 7.0}.get(label)
        factor = factor or {"run location": 7.0, "run root": 9.0}.get(label)
        if factor:
            seeded.factors[f"models:/{name}/{number}"] = factor

    old, root, training = runs["old-style"], runs["old-style-root"], runs["training"]
    checkpoint = models["checkpoint-5"]
    add("logged model", f"models:/{checkpoint}", model_id=checkpoint, run_id=training)
    add("run", f"runs:/{old}/model", run_id=old)
    add("run location", f"{uris[old]}/model", run_id=old)
    add("run root", uris[root], run_id=root)
    checkpoint = models["checkpoint-1"]
    add("logged model location", uris[checkpoint], model_id=checkpoint)
    add(
        "logged model without run",
        f"models:/{models['without-run']}",
        model_id=models["without-run"],
    )
    add("registered model", f"models:/{many}/3")
    add("logged model and other run", f"models:/{checkpoint}", model_id=checkpoint, run_id=old)
    add("s3 of a logged model", "s3://bucket/x", model_id=checkpoint)
    add("alias", f"models:/{many}@rollback")
    add("s3", "s3://bucket/models/artifacts/MLmodel/x")
    add("s3 with run", "s3://bucket/models/artifacts/MLmodel/x", run_id=old)
    add("gs", "gs://bucket/1/models/artifacts")
    add("dbfs", "dbfs:/databricks/mlflow/1/artifacts/model")
    add("s3 of nowhere", "s3://bucket/x", run_id=NOWHERE)
    add("run of nowhere", f"runs:/{NOWHERE}/model", run_id=NOWHERE)
    add("link", "s3://bucket/x", run_link="https://elsewhere.example.com/#/experiments/1?a=b&c=%41")

    # A run that is deleted, and one that is deleted after; a model that is deleted after.
    deleted = source.run("registered and deleted", experiment_id)
    source.artifact(deleted, "model/weights.bin", b"of a deleted run")
    add("deleted run", f"runs:/{deleted}/model", run_id=deleted)
    add("deleted run location", f"{uris[deleted]}/model", run_id=deleted)
    source.delete_run(deleted)
    model = source.logged_model("registered and deleted", experiment_id, run_id=training)
    source.artifact(model, "weights.bin", b"of a deleted model")
    add("deleted model", f"models:/{model}", model_id=model)
    source.delete_logged_model(model)

    # Names of folders and ids where they mean nothing.
    odd = source.run("odd places", experiment_id)
    for path in ("models/artifacts", "artifacts/models/m-1", f"models/{checkpoint}/artifacts"):
        source.artifact(odd, f"{path}/file.txt", path.encode())
        add(f"odd run {path[:16]}", f"runs:/{odd}/{path}", run_id=odd)
        add(f"odd location {path[:16]}", f"{uris[odd]}/{path}", run_id=odd)
    add("odd bucket", f"s3://models/{checkpoint}/artifacts/{old}/artifacts", run_id=old)
    add("looks alike", f"s3://bucket/{uris[old].removeprefix('mlflow-artifacts:/')}", run_id=old)
    spaced = models["elsewhere"]
    add("location with a space", f"{uris[spaced]}", model_id=spaced)
    add("run and its slash", f"runs:/{old}/model/", run_id=old)
    add("run without path", f"runs:/{root}", run_id=root)
    add("location with signs", f"{uris[old]}/a b/%2541/ü#c?d", run_id=old)
    add("s3 with signs", "s3://bucket//a//b c/100%/%41/?versionId=1#f/")

    # Two models each of whose versions come from the other: neither can be copied first.
    left, right = source.registered("left"), source.registered("right")
    source.version(left, "s3://bucket/left")
    source.version(right, f"models:/{left}/1")
    source.version(left, f"models:/{right}/1")
    source.version(left, f"models:/{left}/2")


def seed_lost_references(source: ModelSource) -> None:
    """Versions whose source is gone, so that no server takes another like them.

    Not part of ``seed_models``. The versions are ``versions["of a deleted version"]`` and
    ``versions["of a deleted registered model"]``.
    """
    gone = source.registered("gone")
    kept = source.registered("of what is gone")
    for _ in range(2):
        source.version(gone, "s3://bucket/gone")
    source.version(kept, f"models:/{gone}/1", label="of a deleted version")
    source.delete_version(gone, 1)
    name = source.registered("deleted")
    source.version(name, "s3://bucket/deleted")
    source.version(kept, f"models:/{name}/1", label="of a deleted registered model")
    source.send("DELETE", "registered-models/delete", {"name": name})
    del source.seeded.registered["deleted"]
    source.version(kept, "s3://bucket/after")


def seed_registered_by_the_client(source: ModelSource) -> None:
    """Versions as ``mlflow.register_model`` makes them, with the tags it writes on the model."""
    seeded = source.seeded
    name = seeded.prefix + "by the client"
    seeded.registered["by the client"] = name
    rows = [
        (f"models:/{seeded.models['checkpoint-1']}", 10.0),
        (f"runs:/{seeded.runs['old-style']}/model", 7.0),
    ]
    with_client(seeded.uri, "register", [{"uri": uri, "name": name} for uri, _ in rows])
    for number, (_, factor) in enumerate(rows, start=1):
        source.alias(name, f"number-{number}", number)
        seeded.factors[f"models:/{name}/{number}"] = factor
        seeded.factors[f"models:/{name}@number-{number}"] = factor


def seed_prompts(source: ModelSource) -> None:
    """Prompts as the client writes them, and one as nobody but REST can: with an odd name."""
    seeded = source.seeded
    argument = {"prefix": seeded.prefix, "experiment": seeded.names["models elsewhere"]}
    seeded.prompts.update(with_client(seeded.uri, "prompts", argument))
    runs = f"{seeded.runs['training']},{seeded.runs['evaluation']}"
    source.version_tag(seeded.prompts["text"], 5, "mlflow.prompt.associatedRunIds", runs)

    is_prompt = {"mlflow.prompt.is_prompt": "true"}
    name = source.registered("prompt", 'it\'s a "prompt" 100%', tags={**is_prompt, "team": "ü"})
    seeded.prompts["odd"] = seeded.registered.pop("prompt")
    for number in range(1, 5):
        tags = {**is_prompt, "mlflow.prompt.text": f"{number} {{{{ x }}}}" + "t" * 6000}
        source.version(name, "prompt-template", tags=tags, description=f"message {number}")
    source.alias(name, "champion", 3)
    source.delete_version(name, 1)
    source.delete_version(name, 4)
    empty = source.registered("empty prompt", tags=is_prompt)
    seeded.prompts["empty"] = empty
    del seeded.registered["empty prompt"]


def _point(key: str, value: float | str, step: int, timestamp: int = START) -> dict[str, Any]:
    return {"key": key, "value": value, "step": step, "timestamp": timestamp}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
