"""The seeded models are what they say, and the comparison of models finds whatever is wrong.

The copy compared with is the source's own database and files, in which every id of a run, a
logged model and an experiment is another: right in all, until something in it is changed.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from tests.comparison_models import ModelServer, compare_models
from tests.conftest import ServerFactory
from tests.mlflow_client import predictions, with_client
from tests.seed import NOWHERE, Source
from tests.seed_models import MANY, NAMES, ModelSource, SeededModels, seed_models

#: The tools of the tests are tested with the variants, not before every commit.
pytestmark = pytest.mark.thorough

#: An id, but for those in the paths of files below a run, where they mean nothing.
_IDENT = re.compile(
    rb"(?<!artifacts/models/)(?<!runs:/.{32}/models/)m-[0-9a-f]{32}|(?<![\w-])[0-9a-f]{32}(?!\w)"
)


@dataclass(frozen=True)
class Twins:
    """A source, and a server that holds a right copy of it under other ids."""

    source: TrackingServerProcess
    target: TrackingServerProcess
    seeded: SeededModels
    #: Id of a run or a logged model at the source -> id of its copy.
    ids: Mapping[str, str]
    #: The database of the right copy.
    right: Path

    def compare(self, *declared: tuple[str, str]) -> list[str]:
        runs = {old: new for old, new in self.ids.items() if not old.startswith("m-")}
        return compare_models(self.source.uri, self.target.uri, runs, declared=declared)

    def change(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """Changes rows of the copy, each statement at least one."""
        database = self.target.directory / "mlflow.db"
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            for statement, values in statements:
                assert connection.execute(statement, values).rowcount > 0, statement

    def new(self, label: str) -> str:
        """The id of the copy of a run or, before all, a logged model."""
        return self.ids[self.old(label)]

    def old(self, label: str) -> str:
        return self.seeded.models.get(label) or self.seeded.runs[label]

    def file(self, label: str, path: str) -> Path:
        """A file of the copy."""
        uri = self.seeded.artifact_uris[self.old(label)].removeprefix("mlflow-artifacts:/")
        folder = _renamed(uri.encode(), self.ids).decode()
        return self.target.directory / "artifacts" / folder / path


def _renamed(text: bytes, ids: Mapping[str, str]) -> bytes:
    def new(match: re.Match[bytes]) -> bytes:
        old = match[0].decode()
        return ids.get(old, old).encode()

    return _IDENT.sub(new, text)


@pytest.fixture(scope="module")
def twins(server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    with ThreadPoolExecutor(1) as threads:
        starting = threads.submit(server_factory)
        source = server_factory()
        seeded = seed_models(source.uri)
        target = starting.result()
    with Source(source.uri) as writer:
        runs = writer.post(
            "runs/search",
            {"experiment_ids": [*seeded.experiments.values()], "run_view_type": "ALL"},
        )["runs"]
    digits = random.Random(7)
    known = [run["info"]["run_id"] for run in runs] + [m[2:] for m in seeded.models.values()]
    fresh = {old: f"{digits.getrandbits(128):032x}" for old in known}
    ids = {old: new for old, new in fresh.items() if f"m-{old}" not in seeded.models.values()}
    ids |= {old: "m-" + fresh[old[2:]] for old in seeded.models.values()}

    right = tmp_path_factory.mktemp("right") / "mlflow.db"
    _write_copy(source.directory / "mlflow.db", right, ids)
    copy_database(right, target.directory / "mlflow.db")
    for file in (source.directory / "artifacts").rglob("*"):
        if file.is_file():
            path = _renamed(bytes(file.relative_to(source.directory)), ids).decode()
            copy = target.directory / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
            if file.name == "MLmodel":
                lines = file.read_bytes().splitlines(keepends=True)
                # Indented lines are not the model's own.
                own = (line if line.startswith(b" ") else _renamed(line, ids) for line in lines)
                copy.write_bytes(b"".join(own))
    return Twins(source, target, seeded, ids, right)


def _write_copy(source: Path, copy: Path, ids: Mapping[str, str]) -> None:
    with (
        contextlib.closing(sqlite3.connect(source)) as from_source,
        contextlib.closing(sqlite3.connect(copy)) as to_copy,
        to_copy,
    ):
        script = "\n".join(from_source.iterdump()).encode()
        to_copy.executescript(_renamed(script, ids).decode())
        # What no copy changes: addresses elsewhere.
        for name, version, text in from_source.execute(
            "SELECT name, version, source FROM model_versions WHERE source LIKE 's3://%'"
        ):
            to_copy.execute(
                "UPDATE model_versions SET source = ? WHERE name = ? AND version = ?",
                (text, name, version),
            )
        for old, new in ids.items():
            if old.startswith("m-"):
                to_copy.execute(
                    "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) "
                    "SELECT model_id, experiment_id, 'mlflow-migrate.origin', ? "
                    "FROM logged_models WHERE model_id = ?",
                    (old, new),
                )
        _renumber_experiments(to_copy)


def _renumber_experiments(database: sqlite3.Connection) -> None:
    """Moves experiment ids up by 100 wherever a table or a prompt names one."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        if "experiment_id" in columns:
            database.execute(
                f"UPDATE {table} SET experiment_id = experiment_id + 100 WHERE experiment_id > 0"
            )
    database.execute(
        "UPDATE registered_model_tags SET value = ',' || (trim(value, ',') + 100) || ',' "
        "WHERE key = '_mlflow_experiment_ids'"
    )


@pytest.fixture
def copy(twins: Twins) -> Iterator[Twins]:
    """The right copy, to be spoilt."""
    copy_database(twins.right, twins.target.directory / "mlflow.db")
    yield twins
    copy_database(twins.right, twins.target.directory / "mlflow.db")


@contextlib.contextmanager
def spoilt(file: Path, content: bytes | None) -> Iterator[None]:
    """Writes a file, or removes it, for the length of a block."""
    before = file.read_bytes() if file.exists() else None
    _put(file, content)
    yield
    _put(file, before)


def _put(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


class TestSeed:
    """What is written is there, told by the server itself."""

    def test_registry(self, twins: Twins) -> None:
        seeded = twins.seeded
        with ModelServer(twins.source.uri) as server:
            models = server.registered_models(prompts=False)
            prompts = server.registered_models(prompts=True)
            rows = server.versions(prompts=False)
            rows += server.versions(prompts=True)
        assert models.keys() == set(seeded.registered.values()) > set(NAMES.values())
        assert prompts.keys() == set(seeded.prompts.values())
        numbers: dict[str, list[int]] = {}
        for row in rows:
            numbers.setdefault(row["name"], []).append(int(row["version"]))
        numbers = {name: sorted(found) for name, found in numbers.items()}
        assert numbers["many"] == MANY
        assert numbers[seeded.prompts["text"]] == [1, 4, 5]
        assert numbers[seeded.prompts["odd"]] == [2, 3]
        assert not {"empty", "bare", "empty prompt"} & numbers.keys()
        stages = {int(r["version"]): r["current_stage"] for r in rows if r["name"] == "many"}
        staged = {1: "Archived", 3: "Production", 10: "Staging", 25: "Production"}
        assert {n: stage for n, stage in stages.items() if stage != "None"} == staged
        forms = {row["source"].partition("/")[0] for row in rows if row["name"] == "sources"}
        assert forms == {"models:", "runs:", "mlflow-artifacts:", "s3:", "gs:", "dbfs:"}
        runs = {row.get("run_id", "") for row in rows}
        assert {"", NOWHERE, seeded.runs["registered and deleted"]} < runs

    def test_logged_models(self, twins: Twins) -> None:
        seeded = twins.seeded
        with ModelServer(twins.source.uri) as server:
            models = server.logged_models(seeded.experiments.values())
            deleted = server.deleted_model(seeded.models["deleted"])
            (maker,) = (server.run(seeded.runs["made a deleted model"]),)
            files = server.contents(seeded.artifact_uris[seeded.models["ready"]])
        found = {model["info"]["model_id"]: model for model in models}
        gone = {seeded.models["deleted"], seeded.models["registered and deleted"]}
        assert found.keys() == set(seeded.models.values()) - gone
        assert deleted is not None
        outputs = maker["outputs"]["model_outputs"]
        assert outputs == [{"model_id": seeded.models["deleted"], "step": "4"}] or outputs == [
            {"model_id": seeded.models["deleted"], "step": 4}
        ]
        statuses = {model["info"]["status"] for model in models}
        assert statuses == {f"LOGGED_MODEL_{s}" for s in ("READY", "PENDING", "UPLOAD_FAILED")}
        metrics = found[seeded.models["ready"]]["data"]["metrics"]
        runs = {seeded.runs["evaluation"], seeded.runs["evaluation again"]}
        assert {metric["run_id"] for metric in metrics} == runs
        assert {
            "MLmodel",
            "nested/er/MLmodel",
            "empty",
            "with spaces/größe 100%.txt",
        } < files.keys()

    def test_models_predict_and_prompts_load(self, twins: Twins) -> None:
        seeded = twins.seeded
        factors = {uri: [f, 2 * f, 3 * f] for uri, f in seeded.factors.items()}
        assert len(factors) > 8
        assert predictions(twins.source.uri, [*factors]) == factors
        uris = [f"prompts:/{seeded.prompts['text']}@production"]
        uris.append(f"prompts:/{seeded.prompts['chat']}/1")
        argument = {"uris": uris, "experiment": seeded.names["models elsewhere"]}
        loaded = with_client(twins.source.uri, "load-prompts", argument)
        assert loaded[uris[0]][0] == 4
        assert loaded[uris[1]][3]["type"] == "object"


def test_a_right_copy_has_no_differences(copy: Twins) -> None:
    assert copy.compare() == []


def test_nothing_is_right_on_an_empty_target(twins: Twins) -> None:
    """The other way round, with no copy declared."""
    found = compare_models(twins.target.uri, twins.source.uri, {})
    assert sum("has no copy" in line for line in found) >= len(twins.seeded.models)


def _version(column: str, value: object, label: str, copy: Twins) -> tuple[str, tuple[object, ...]]:
    name, number = copy.seeded.versions[label]
    statement = f"UPDATE model_versions SET {column} = ? WHERE name = ? AND version = ?"
    return statement, (value, name, number)


def _found(copy: Twins, expected: Mapping[str, str], *declared: tuple[str, str]) -> None:
    """Asserts that exactly these differences are found, each by how it begins and a word of it."""
    lines = copy.compare(*declared)
    for begin, word in expected.items():
        matching = [line for line in lines if line.startswith(begin) and word in line]
        assert len(matching) == 1, (begin, word, lines)
    assert len(lines) == len(expected), lines


def test_every_wrong_value_of_a_registry_is_found(copy: Twins) -> None:
    seeded = copy.seeded
    old, new = seeded.runs["old-style"], copy.new("old-style")
    text = seeded.prompts["text"]
    mv = "UPDATE model_versions SET "
    copy.change(
        ("UPDATE registered_models SET description = '' WHERE name = 'churn'", ()),
        ("UPDATE registered_model_tags SET value = 'x' WHERE name = ? AND key = 'is'", ("100%",)),
        ("DELETE FROM registered_model_tags WHERE name = ? AND key = 'is'", ("%41 and %2F",)),
        ("INSERT INTO registered_model_tags (name, key, value) VALUES ('bare', 'new', '')", ()),
        ("UPDATE registered_model_aliases SET version = 24 WHERE alias = 'also-champion'", ()),
        ("DELETE FROM registered_model_aliases WHERE name = 'a_b' AND alias = 'champion'", ()),
        (mv + "current_stage = 'Staging' WHERE name = 'many' AND version = 1", ()),
        (mv + "description = 'other' WHERE name = 'many' AND version = 25", ()),
        ("DELETE FROM model_version_tags WHERE version = 9 AND key = 'empty'", ()),
        ("UPDATE model_version_tags SET value = '7' WHERE name = 'many' AND version = 6", ()),
        _version("run_link", "https://x", "link", copy),
        _version("run_id", old, "s3 with run", copy),
        _version("run_id", "", "s3 of nowhere", copy),
        _version("source", f"runs:/{old}/model", "run", copy),
        _version("source", f"models:/{seeded.models['checkpoint-5']}", "logged model", copy),
        _version("source", seeded.artifact_uris[old] + "/model", "run location", copy),
        _version("source", f"models:/{copy.new('checkpoint-5')}", "logged model location", copy),
        _version("source", "models:/many/2", "registered model", copy),
        _version("source", f"s3://bucket/1/{new}/artifacts", "looks alike", copy),
        ("UPDATE registered_model_tags SET value = ',1,2,' WHERE name = ? AND key LIKE '%_ids'",
         (text,)),
        ("UPDATE model_version_tags SET value = ? WHERE key LIKE '%RunIds'", (old,)),
        ("UPDATE model_version_tags SET value = 'x' WHERE name = ? AND version = 4 "
         "AND key = 'mlflow.prompt.text'", (text,)),
    )  # fmt: skip
    sources = "registered model 'sources' version"

    def at(label: str) -> str:
        return f"{sources} {seeded.versions[label][1]}: "

    _found(
        copy,
        {
            "registered model 'churn': description: ": "became ''",
            "registered model '100%': tag is: ": "became 'x'",
            "registered model '%41 and %2F': tag is: ": "is missing",
            "registered model 'bare': tag new: ": "is not at the source",
            "registered model 'many': alias also-champion: ": "'25' became '24'",
            "registered model 'a_b': alias champion: ": "is missing",
            "registered model 'many' version 1: current_stage: ": "'Archived' became 'Staging'",
            "registered model 'many' version 25: description: ": "became 'other'",
            "registered model 'many' version 9: tag empty: ": "is missing",
            "registered model 'many' version 6: tag n: ": "'6' became '7'",
            "registered model 'many' version 6: tag empty: ": "'' became '7'",
            f"{at('link')}run_link: ": "became 'https://x'",
            f"{at('s3 with run')}run_id: ": f"should be '{new}', is '{old}'",
            f"{at('s3 of nowhere')}run_id: ": f"should be '{NOWHERE}', is ''",
            f"{at('run')}source: ": f"should be 'runs:/{new}/model'",
            f"{at('logged model')}source: ": copy.new("checkpoint-5"),
            f"{at('run location')}source: ": f"/{new}/artifacts/model'",
            f"{at('logged model location')}source: ": "should be 'mlflow-artifacts:/",
            f"{at('registered model')}source: ": "is 'models:/many/2'",
            f"{at('looks alike')}source: ": f"/{new}/",
            "prompt 'summary': tag _mlflow_experiment_ids: ": "became ',1,2,'",
            "prompt 'summary' version 5: tag mlflow.prompt.associatedRunIds: ": f"'{old}'",
            "prompt 'summary' version 4: tag mlflow.prompt.text: ": "became 'x'",
        },
    )


def test_versions_and_models_too_many_or_too_few_are_found(copy: Twins) -> None:
    seeded = copy.seeded
    with ModelSource(copy.target.uri) as target:
        target.version("many", "s3://bucket/x")
        target.delete_version("many", 24)
        target.registered("strange")
        target.post("registered-models/rename", {"name": "bare", "new_name": "barely"})
        # Neither search finds this one, as it is not tagged as a prompt's.
        target.version(seeded.prompts["chat"], "s3://bucket/placeholder")
    copy.change(
        (
            "UPDATE model_versions SET current_stage = 'None' WHERE name = 'many' AND version = 12",
            (),
        ),
        ("DELETE FROM registered_model_tags WHERE name = 'empty prompt'", ()),
    )
    _found(
        copy,
        {
            "registered model 'many' version 12: copy: ": "is not at the source",
            "registered model 'many' version 24: copy: ": "is missing",
            "registered model 'many' version 28: copy: ": "is not at the source",
            "registered model 'strange': copy: ": "is not at the source",
            "registered model 'bare': copy: ": "is not on the target",
            "registered model 'barely': copy: ": "is not at the source",
            "registered model 'empty prompt': copy: ": "is not at the source",
            "prompt 'empty prompt': copy: ": "is not on the target",
            f"prompt '{seeded.prompts['chat']}' version 2: ": "a placeholder is left",
        },
    )


def test_every_wrong_value_of_a_logged_model_is_found(copy: Twins) -> None:
    m = "UPDATE logged_models SET "
    ready, again = copy.new("ready"), copy.old("evaluation again")
    copy.change(
        (m + "name = 'red' WHERE model_id = ?", (copy.new("odd name"),)),
        (m + "model_type = '' WHERE model_id = ?", (copy.new("elsewhere"),)),
        (m + "status = 2 WHERE model_id = ?", (copy.new("failed"),)),
        (m + "source_run_id = ? WHERE model_id = ?", (copy.old("training"), ready)),
        (m + "source_run_id = '' WHERE model_id = ?", (copy.new("of no known run"),)),
        (m + "lifecycle_stage = 'deleted' WHERE model_id = ?", (copy.new("checkpoint-1"),)),
        (m + "lifecycle_stage = 'active' WHERE model_id = ?", (copy.new("deleted"),)),
        (m + "experiment_id = 0 WHERE model_id = ?", (copy.new("same name 2"),)),
        ("UPDATE logged_model_params SET param_value = 'x' WHERE param_key = 'p007'", ()),
        ("DELETE FROM logged_model_params WHERE param_key = 'empty'", ()),
        ("DELETE FROM logged_model_tags WHERE tag_key = 'json'", ()),
        ("UPDATE logged_model_tags SET tag_value = '?' WHERE tag_key = 'stage' AND model_id = ?",
         (copy.new("checkpoint-5"),)),
        ("DELETE FROM logged_model_metrics "
         "WHERE model_id = ? AND run_id = ? AND metric_name = 'loss'",
         (ready, copy.ids[again])),
        ("UPDATE logged_model_metrics SET dataset_digest = 'x' WHERE metric_name = 'auc' "
         "AND metric_step = 2 AND run_id = ?", (copy.ids[again],)),
        ("DELETE FROM logged_model_tags WHERE tag_key = 'mlflow-migrate.origin' AND model_id = ?",
         (copy.new("same name 1"),)),
        ("UPDATE logged_model_tags SET tag_value = ? WHERE tag_key = 'mlflow-migrate.origin' "
         "AND model_id = ?", (copy.old("without-run"), copy.new("pending"))),
    )  # fmt: skip
    lines = copy.compare()

    def about(label: str) -> list[str]:
        return [line.partition(": ")[2] for line in lines if f" {copy.old(label)}" in line]

    assert about("odd name") == ["name: ' größe #1 & co? (50+) ' became 'red'"]
    assert about("elsewhere") == ["model_type: 'agent' became ''"]
    assert about("failed") == ["status: 'LOGGED_MODEL_UPLOAD_FAILED' became 'LOGGED_MODEL_READY'"]
    assert about("of no known run") == [f"source_run_id: should be '{NOWHERE}', is ''"]
    assert about("deleted") == ["lifecycle_stage: deleted True became False"]
    assert about("same name 2") == ["experiment: is in 'Default' instead of 'models'"]
    assert about("checkpoint-5") == ["tag stage: 'after 5' became '?'"]
    assert about("checkpoint-1")[0] == "lifecycle_stage: deleted False became True"
    found = [line.partition(": ")[0] for line in about("ready")]
    expected = ["tag json", "source_run_id", "param empty", "param p007"]
    assert found == [*expected, "metric auc", "metric loss", "metric auc"]
    assert about("same name 1")[0] == "copy: has no copy"
    assert about("pending")[0] == "copy: has no copy"
    assert about("without-run")[0].startswith("copy: has 2 copies: m-")
    assert f"{copy.new('same name 1')} on the target is a copy of no model" in "\n".join(lines)


def test_wrong_inputs_and_outputs_are_found(copy: Twins) -> None:
    runs, models = copy.seeded.runs, copy.seeded.models
    i = "FROM inputs WHERE source_id = ? AND destination_id = ?"
    copy.change(
        ("UPDATE inputs SET step = 6 WHERE source_id = ? AND destination_id = ?",
         (copy.new("training"), copy.new("checkpoint-5"))),
        ("DELETE " + i, (copy.new("several outputs"), copy.new("ready"))),
        ("DELETE " + i, (copy.new("evaluation"), copy.new("checkpoint-5"))),
        ("UPDATE inputs SET destination_id = ? WHERE source_id = ? AND destination_id = ?",
         (models["ready"], copy.new("evaluation again"), copy.new("ready"))),
        # Nobody has this model, so that it need not be named.
        ("DELETE FROM inputs WHERE source_id = ?", (copy.new("made nobody's model"),)),
    )  # fmt: skip
    with ModelSource(copy.target.uri) as target:
        target.outputs(copy.new("old-style"), (copy.new("ready"), 0))

    def run(label: str) -> str:
        return f"run {label!r} {runs[label]} -> {copy.new(label)}: "

    output = f"output {models['checkpoint-5']}: {copy.new('checkpoint-5')} at step"
    expected = {
        f"{run('training')}{output} 5": "is missing",
        f"{run('training')}{output} 6": "is not at the source",
        f"{run('several outputs')}output {models['ready']}: ": "at step 0 is missing",
        f"{run('evaluation')}input {models['checkpoint-5']}: ": "is missing",
        f"{run('evaluation again')}input {models['ready']}: {copy.new('ready')}": "is missing",
        f"{run('evaluation again')}input {models['ready']}: {models['ready']}": "not at the source",
        f"{run('old-style')}output {copy.new('ready')}: ": "is not at the source",
    }
    _found(copy, expected)
    declared = (runs["several outputs"], f"output {models['ready']}")
    del expected[f"{run('several outputs')}output {models['ready']}: "]
    _found(copy, expected, declared)


def test_wrong_files_are_found(copy: Twins) -> None:
    ready, old = copy.old("ready"), copy.old("old-style")
    mlmodel, below = copy.file("ready", "MLmodel"), copy.file("old-style", "model/MLmodel")
    nested = copy.file("nested models", "a/b/MLmodel")
    changes: list[tuple[Path, Callable[[bytes], bytes] | None]] = [
        (mlmodel, lambda b: b.replace(f"model_id: {copy.new('ready')}".encode(), b"model_id: x")),
        (copy.file("ready", "nested/er/MLmodel"), lambda b: b + b"more: 1\n"),
        (copy.file("ready", "broken/MLmodel"), lambda b: b[:-1]),
        (copy.file("ready", "empty"), None),
        (copy.file("failed", "partial.bin"), lambda b: b[:-1] + b"y"),
        (below, lambda b: b.replace(copy.ids[old].encode(), old.encode())),
        (nested, lambda b: b.replace(b"flavors: {}", b"flavors: {x: 1}")),
        (copy.file("old-style-root", "MLmodel"), lambda b: b.replace(b"2.9.2", b"2.9.3")),
    ]
    title = f"logged model 'ready' {ready} -> {copy.ids[ready]}: artifact"
    with contextlib.ExitStack() as until_compared:
        for file, change in changes:
            content = None if change is None else change(file.read_bytes())
            assert content != file.read_bytes()
            until_compared.enter_context(spoilt(file, content))
        extra = copy.file("without-run", "strange.txt")
        extra.parent.mkdir(parents=True)
        extra.write_bytes(b"")
        _found(
            copy,
            {
                f"{title} MLmodel: ": "is b'mod",
                f"{title} nested/": "entries",
                f"{title} broken/": "became",
                f"{title} empty: ": "is missing",
                f"logged model 'failed' {copy.old('failed')}": "partial.bin: has other contents",
                f"logged model 'without a run' {copy.old('without-run')}": "is not at the source",
                f"run 'old-style' {old} -> {copy.ids[old]}: artifact model/MLmodel: ": "should be",
                f"run 'nested models' {copy.old('nested models')}": "became b'flavors: {x: 1}",
                f"run 'old-style-root' {copy.old('old-style-root')}": "2.9.3",
            },
        )
        extra.unlink()
