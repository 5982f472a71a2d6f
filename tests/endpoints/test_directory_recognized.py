"""What is no export is said to be what it is, with the way to copy it, and is never written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import WrongDirectory
from tests.conftest import RunMigrate
from tests.endpoints.exports import a_run, an_experiment, write_run

_FILL = """
import mlflow
from mlflow import MlflowClient
client = MlflowClient()
[run] = [client.create_run(client.create_experiment("wine"))]
client.log_text(run.info.run_id, "x", "notes.txt")
mlflow.set_experiment("wine")
client.create_logged_model(run.info.experiment_id, "forest", source_run_id=run.info.run_id)
client.create_registered_model("fraud")
client.create_model_version("fraud", f"runs:/{run.info.run_id}/model", run.info.run_id)
client.delete_run(client.create_run(run.info.experiment_id).info.run_id)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file store as MLflow itself makes it, with something of every kind."""
    store = tmp_path_factory.mktemp("store") / "mlruns"
    environment = {
        **os.environ,
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": store.as_uri(),
    }
    subprocess.run([sys.executable, "-c", _FILL], env=environment, check=True)
    return store


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "mlruns"))


def keep(store: Path, *names: str) -> None:
    for entry in store.iterdir():
        if entry.name not in names:
            shutil.rmtree(entry)


def as_it_is(store: Path) -> Path:
    return store


def only_the_default_experiment(store: Path) -> Path:
    keep(store, "0")
    return store


def only_models(store: Path) -> Path:
    keep(store, "models")
    return store


def only_trash(store: Path) -> Path:
    keep(store, ".trash")
    return store


def one_experiment(store: Path) -> Path:
    return next(path.parent for path in store.glob("*/models") if path.parent != store)


def one_run(store: Path) -> Path:
    return next(path.parent.parent for path in store.glob("*/*/artifacts/notes.txt"))


FORMS = [as_it_is, only_the_default_experiment, only_models, only_trash, one_experiment, one_run]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_store_is_said_to_be_one_with_the_way_to_copy_it(
    store: Path, form: Callable[[Path], Path]
) -> None:
    path = form(store)
    with pytest.raises(WrongDirectory, match="file store") as caught:
        ExportDirectory(path, writable=False).capabilities()
    assert str(path) in caught.value.message
    assert "never written" in caught.value.message
    assert caught.value.hint == f"to copy from it, name {store} as the source"


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_into_a_file_store(store: Path, form: Callable[[Path], Path]) -> None:
    path = form(store)
    before = sorted(store.rglob("*"))
    with pytest.raises(WrongDirectory, match="file store"):
        ExportDirectory(path, writable=True, holds_models=True).capabilities()
    assert sorted(store.rglob("*")) == before


@pytest.mark.parametrize("named", ["mlruns", "./mlruns", "file"])
def test_a_file_store_given_as_a_target_is_wrong_usage(
    store: Path, run_migrate: RunMigrate, named: str
) -> None:
    path = store.as_uri() if named == "file" else named
    with_source = ExportDirectory(store.parent / "export", writable=True)
    with_source.capabilities()
    ended = run_migrate("run", store.parent / "export", path)
    assert ended.returncode == 2, ended.stderr
    assert "is an MLflow file store" in ended.stderr
    assert "Hint: " in ended.stderr


def test_a_part_of_a_file_store_given_as_a_source_is_wrong_usage(
    store: Path, run_migrate: RunMigrate
) -> None:
    for part in (one_experiment(store), one_run(store)):
        ended = run_migrate("run", part, "http://127.0.0.1:9")
        assert ended.returncode == 2, ended.stderr
        assert f"is in the MLflow file store {store}" in ended.stderr
        assert f"name {store} as the source" in ended.stderr


def test_files_of_a_database_are_told_from_a_file_store(
    tmp_path: Path, run_migrate: RunMigrate
) -> None:
    (tmp_path / "mlruns/1/0123456789abcdef0123456789abcdef/artifacts").mkdir(parents=True)
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3")
    for place in (tmp_path / "mlruns", tmp_path):
        ended = run_migrate("run", place, "http://127.0.0.1:9")
        assert ended.returncode == 2, ended.stderr
        assert "files of runs and no records" in ended.stderr
        named = f"sqlite:///{tmp_path / 'mlflow.db'} --source-artifacts {tmp_path / 'mlruns'}"
        assert named in " ".join(ended.stderr.split())


def test_a_sqlite_database_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
    database.close()
    with pytest.raises(WrongDirectory, match="is a SQLite database") as caught:
        ExportDirectory(path, writable=False).capabilities()
    assert f"sqlite:///{path}" in caught.value.hint


def test_a_directory_above_an_export_or_a_file_store_says_where_that_is(
    tmp_path: Path, store: Path
) -> None:
    with pytest.raises(WrongDirectory, match="is no export") as caught:
        ExportDirectory(tmp_path, writable=False).capabilities()
    assert f"an MLflow file store in {store}" in caught.value.hint
    shutil.rmtree(store)
    export = ExportDirectory(tmp_path / "nightly", writable=True, holds_models=True)
    export.capabilities()
    with pytest.raises(WrongDirectory, match="is no export") as caught:
        ExportDirectory(tmp_path, writable=False).capabilities()
    assert caught.value.hint == f"there is one in {tmp_path / 'nightly'}: name that"


@pytest.mark.parametrize(
    "names",
    [
        ["models/forest/MLmodel", "models/forest/model.pkl"],
        [".git/HEAD", "README.md", "runs/first.py"],
        ["artifacts/a/b.txt"],
        ["models/notes.txt"],
    ],
    ids=["model files", "checkout", "artifacts", "a folder called models"],
)
def test_a_directory_of_anything_else_is_no_export_and_none_is_made_in_it(
    tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WrongDirectory, match="is no export"):
        ExportDirectory(tmp_path, writable=False).capabilities()
    with pytest.raises(WrongDirectory, match="holds no export of this tool"):
        ExportDirectory(tmp_path, writable=True).capabilities()
    assert sorted(tmp_path.rglob("*")) == before


def test_an_export_inside_a_file_store_stays_readable(store: Path) -> None:
    shutil.rmtree(store / "models")
    (store / "export").mkdir()
    target = ExportDirectory(store / "export", writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run())
    source = ExportDirectory(store / "export", writable=False)
    assert [run.run_id for run in source.runs.list(["7"])] == [a_run().run_id]
