"""``--export-version-model``: the files of versions, once more, as MLflow's client gives them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.endpoints.directory.layout import LOCK_FILE
from migrate.graph.selection import Selection
from migrate.tasks.batches import Policy
from migrate.verify import Ends, compare
from tests.cli.conftest import Migrate
from tests.conftest import ProxyFactory, StartMigrate
from tests.faults import Faults, call_before, on_nth
from tests.mlflow_client import with_client
from tests.seed import NOWHERE
from tests.seed_models import ModelSource

FILES = {"MLmodel": b"flavors: {}\n", "data/weights": b"w" * 70_000, "empty": b""}
LOGGED = {path: content + b"# of a logged model\n" for path, content in FILES.items()}
#: Numbers of versions: what MLflow's client downloads to one folder; a file alone; what lies in a
#: logged model that the source names as a folder of its run; what is not there.
WHOLE, ALONE, BY_NAME, GONE = (1, 2, 3, 4), 5, 6, 7
LOST = "files of the version"


@pytest.fixture(scope="module")
def source(source_server: TrackingServerProcess) -> str:
    return source_server.uri


@pytest.fixture
def name(source: str, unique_name: str) -> str:
    """A registered model with a version of every kind of source that is some run's or model's."""
    with ModelSource(source) as server:
        experiment = server.experiment(unique_name)
        run = server.run("training", experiment)
        model = server.logged_model("classifier", experiment, run_id=run)
        for path, content in FILES.items():
            server.artifact(run, f"model/{path}", content)
            server.artifact(model, path, content + b"# of a logged model\n")
        server.artifact(run, "model-2/MLmodel", b"another\n")
        server.artifact(run, "notes/read me.txt", b"alone")
        server.registered(unique_name)
        place = server.seeded.artifact_uris[run]
        server.version(unique_name, f"{place}/model", run_id=run)
        server.version(unique_name, f"runs:/{run}/model", run_id=run)
        server.version(unique_name, f"models:/{model}", model_id=model)
        server.version(unique_name, f"models:/{unique_name}/1")
        server.version(unique_name, f"runs:/{run}/notes/read me.txt", run_id=run)
        server.version(unique_name, f"runs:/{run}/classifier", run_id=run)
    return unique_name


@pytest.fixture
def args(name: str) -> list[str]:
    return ["--models", name]


def files_below(folder: Path) -> dict[str, bytes]:
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def files_of(export: Path, name: str, number: int) -> dict[str, bytes]:
    """What an export holds of one version."""
    return files_below(export / "models" / name / "version_models" / str(number))


def times_in(export: Path) -> dict[str, int]:
    """When each file of an export was written, in ns."""
    files = (path for path in export.rglob("*") if path.is_file())
    found = (path for path in files if path.name != LOCK_FILE)
    return {str(path.relative_to(export)): path.stat().st_mtime_ns for path in found}


def meta_of(name: str, number: int) -> dict[str, bytes]:
    """What MLflow's client adds to a model of the registry."""
    text = f"model_name: {name}\nmodel_version: '{number}'\n"
    return {"registered_model_meta": text.encode()}


@pytest.mark.thorough
def test_an_export_holds_of_versions_what_the_client_downloads_and_nothing_is_sent_twice(
    migrate: Migrate, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    export = tmp_path / "export"
    migrate("run", source, export, *args, "--export-version-model")
    folders = {number: tmp_path / "downloaded" / str(number) for number in WHOLE}
    for folder in folders.values():
        folder.mkdir(parents=True)
    places = {f"models:/{name}/{number}": str(folder) for number, folder in folders.items()}
    with_client(source, "download", places)
    for number, folder in folders.items():
        assert files_of(export, name, number) == files_below(folder)
    assert files_of(export, name, 1) == FILES | meta_of(name, 1)
    assert files_of(export, name, ALONE) == {"read me.txt": b"alone"}
    assert files_of(export, name, BY_NAME) == LOGGED | meta_of(name, BY_NAME)

    written = times_in(export)
    migrate("run", source, export, *args, "--export-version-model")
    assert times_in(export) == written


def test_an_export_without_them_gets_them_when_they_are_asked_for_later(
    migrate: Migrate, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    export = tmp_path / "export"
    migrate("run", source, export, *args)
    assert files_of(export, name, 1) == {}
    migrate("run", source, export, *args, "--export-version-model")
    assert files_of(export, name, 1) == FILES | meta_of(name, 1)


@pytest.mark.parametrize("held", [True, False], ids=["with files of versions", "without them"])
def test_an_export_gives_them_to_another(
    migrate: Migrate, source: str, name: str, args: list[str], tmp_path: Path, held: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    migrate("run", source, first, *args, *(["--export-version-model"] if held else []))
    migrate("run", first, second, "--export-version-model")
    for number in (1, 2, 4):
        assert files_of(second, name, number) == FILES | meta_of(name, number)
    assert files_of(second, name, 3) == LOGGED | meta_of(name, 3)
    assert files_of(second, name, BY_NAME) == LOGGED | meta_of(name, BY_NAME)
    assert files_of(second, name, ALONE) == {"read me.txt": b"alone"}


def test_files_that_are_not_there_are_lost_by_name_and_the_others_arrive(
    migrate: Migrate, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    with ModelSource(source) as server:
        assert server.version(name, f"runs:/{NOWHERE}/model", run_id=NOWHERE) == GONE
    export = tmp_path / "export"
    told = migrate("run", source, export, *args, "--export-version-model", code=3)
    assert LOST in told.stdout
    assert f"runs:/{NOWHERE}/model" in told.stdout
    assert files_of(export, name, 1) == FILES | meta_of(name, 1)
    assert files_of(export, name, GONE) == {}


@pytest.mark.thorough
def test_killed_between_files_the_rest_arrives_and_those_there_are_not_sent_again(
    migrate: Migrate,
    start_migrate: StartMigrate,
    proxy_factory: ProxyFactory,
    source: str,
    name: str,
    args: list[str],
    tmp_path: Path,
) -> None:
    export = tmp_path / "export"
    proxy = proxy_factory(source)
    command = ["run", proxy.uri, str(export), *args]
    migrate(*command)

    def kill() -> None:
        process.signal_group(signal.SIGKILL)

    proxy.faults = Faults(on_nth(("GET", "/weights$"), 2, call_before(kill)))
    process = start_migrate(*command, "--export-version-model", "--workers", "1")
    assert process.ended(120).returncode == -signal.SIGKILL
    proxy.faults = Faults()
    written = times_in(export / "models" / name / "version_models" / "1")
    assert written.keys() >= FILES.keys()

    migrate("run", "--resume")
    assert times_in(export / "models" / name / "version_models" / "1") == written
    assert differing(source, export, name) == {}


def test_a_server_keeps_no_files_of_versions(
    migrate: Migrate, fresh_target: TrackingServerProcess, source: str, args: list[str]
) -> None:
    migrate.fails(
        "run",
        source,
        fresh_target.uri,
        *args,
        "--export-version-model",
        code=2,
        says="--export-version-model",
        hints="point to the files of their runs and models",
    )


@pytest.mark.thorough
def test_verify_compares_them_where_they_were_asked_for(
    migrate: Migrate, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    export = tmp_path / "export"
    migrate("run", source, export, *args, "--export-version-model")
    assert differing(source, export, name) == {}
    folder = export / "models" / name / "version_models"
    shutil.rmtree(folder / "1")
    (folder / "2" / "data" / "weights").write_bytes(b"v" * 70_000)
    (folder / "3" / "more").write_bytes(b"")
    assert differing(source, export, name) == {
        f"{name}/1": {f"artifact {path}" for path in FILES | meta_of(name, 1)},
        f"{name}/2": {"artifact data/weights"},
        f"{name}/3": {"artifact more"},
    }


def differing(source_uri: str, export: Path, name: str) -> Mapping[str, set[str]]:
    """What ``verify`` finds, by ref."""
    with (
        contextlib.closing(open_source(Address(uri=source_uri, side="source"))) as source,
        contextlib.closing(
            open_target(Address(uri=str(export), side="target", read_only=True))
        ) as target,
    ):
        ends = Ends(
            source=source,
            target=target,
            selection=Selection(models=(name,)),
            policy=Policy(migration_id="", version_models=True),
            contents=True,
        )
        found: dict[str, set[str]] = {}
        for ref, what, *_ in compare(ends).differences:
            found.setdefault(ref.id, set()).add(what)
        return found
