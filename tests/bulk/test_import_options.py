"""Every option that says what an import makes of an export, but for renames."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk, one_of
from tests.bulk.worlds import IRIS, VERSIONS
from tests.comparison import Server
from tests.seed import Source
from tests.seed_models import ModelSource


@pytest.mark.parametrize(
    ("options", "versions"),
    [("--delete-model no", [1, 2, 3]), ("--delete-model", [1])],
)
def test_delete_model_makes_a_model_of_the_same_name_anew(
    bulk: Bulk,
    wine_and_iris: Path,
    fresh_target: TrackingServerProcess,
    options: str,
    versions: list[int],
) -> None:
    with ModelSource(fresh_target.uri) as target:
        name = target.registered("sklearn-iris", description="of the target")
        for number in (1, 2):
            target.version(name, f"s3://bucket/own/{number}")
    bulk(f"import-models --input-dir {wine_and_iris} {options}", fresh_target.uri)
    assert "no difference" in bulk("migrate verify").stdout
    arrived = Arrived(fresh_target.uri)
    assert arrived.versions == {"sklearn-iris": versions, "sklearn-wine": [1, 2, 3]}

    bulk(f"import-models --input-dir {wine_and_iris} {options}", fresh_target.uri)
    assert arrived.versions == {"sklearn-iris": versions, "sklearn-wine": [1, 2, 3]}


class TestTrash:
    """An experiment of the same name is in the target's trash, with a run."""

    @pytest.fixture
    def target(self, fresh_target: TrackingServerProcess) -> Arrived:
        with Source(fresh_target.uri) as target:
            experiment = target.experiment("iris", IRIS)
            target.run("of the target", experiment)
            target.delete_experiment(experiment)
        return Arrived(fresh_target.uri)

    def test_it_stops_an_import_before_anything_is_written(
        self, bulk: Bulk, wine_and_iris: Path, target: Arrived
    ) -> None:
        result = bulk(f"import-experiments --input-dir {wine_and_iris}", target.uri, code=2)
        assert f"in the target's trash: '{IRIS}'" in result.stderr
        assert "--if-trashed restore" in result.stderr
        assert target.runs == {"Default": set(), IRIS: {"of the target"}}

    @one_of("import-experiments", "import-all")
    def test_it_is_restored_and_added_to(
        self, bulk: Bulk, wine_and_iris: Path, target: Arrived, command: str
    ) -> None:
        bulk(f"{command} --input-dir {wine_and_iris} --if-trashed restore", target.uri)
        assert target.runs[IRIS] == {"of the target", "iris-1", "iris-2"}
        assert target.deleted == set()
        assert "no difference" in bulk("migrate verify").stdout

    def test_or_the_copy_gets_another_name(
        self, bulk: Bulk, wine_and_iris: Path, target: Arrived
    ) -> None:
        bulk(f"import-all --input-dir {wine_and_iris} --if-trashed rename", target.uri)
        assert target.runs == {
            "Default": set(),
            IRIS: {"of the target"},
            f"{IRIS} (migrated)": {"iris-1", "iris-2"},
        }
        assert target.deleted == {IRIS, "of the target"}
        assert "no difference" in bulk("migrate verify").stdout


@one_of("import-experiments", "import-all")
def test_artifacts_go_where_the_location_map_says(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess, command: str
) -> None:
    moved = "--artifact-location-map mlflow-artifacts:/=mlflow-artifacts:/moved/"
    bulk(f"{command} --input-dir {wine_and_iris} {moved}", fresh_target.uri)
    with Server(fresh_target.uri) as server:
        location = server.experiments()[IRIS]["artifact_location"]
    assert location.startswith("mlflow-artifacts:/moved/")
    run = Arrived(fresh_target.uri).run("iris-1")["info"]
    assert run["artifact_uri"].startswith(location)
    with Server(fresh_target.uri) as server:
        assert server.files(run["run_id"]) == {"model/weights.bin": 4}
    assert "no difference" in bulk("migrate verify").stdout


def test_import_experiments_leaves_models_and_prompts(
    bulk: Bulk, whole: Path, fresh_target: TrackingServerProcess, world: ModelSource
) -> None:
    bulk(f"import-experiments --input-dir {whole}", fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    assert arrived.differences(world, models=False) == []
    assert arrived.versions == {}


def test_runs_are_added_to_an_experiment_of_the_same_name(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess
) -> None:
    with Source(fresh_target.uri) as target:
        target.run("of the target", target.experiment("iris", IRIS))
    bulk(f"import-experiments --input-dir {wine_and_iris}", fresh_target.uri)
    runs = Arrived(fresh_target.uri).runs
    assert runs == {"Default": set(), IRIS: {"of the target", "iris-1", "iris-2"}}


def test_verbose_shows_every_version_on_the_target(
    bulk: Bulk, whole: Path, fresh_target: TrackingServerProcess
) -> None:
    shown = bulk(f"import-models --input-dir {whole} --verbose True", fresh_target.uri).stdout
    lines = shown.splitlines()
    (start,) = (n for n, line in enumerate(lines) if "aliases" in line)
    assert lines[start].split() == ["model", "version", "stage", "aliases", "run", "source"]
    rows = lines[start + 1 :]
    told = [(row.split()[0], int(row.split()[1])) for row in rows if row]
    assert sorted(told) == sorted((name, n) for name, numbers in VERSIONS.items() for n in numbers)
    (champion,) = (row for row in rows if "champion" in row)
    assert champion.split()[:4] == ["keras_mnist", "3", "None", "champion"]
    assert Arrived(fresh_target.uri).run("mnist-child")["info"]["run_id"] in champion

    again = bulk(f"import-models --input-dir {whole} --verbose False", fresh_target.uri).stdout
    assert "champion" not in again


def test_nothing_is_written_to_a_directory_that_is_imported(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess
) -> None:
    def listing() -> list[tuple[str, int, int]]:
        found = sorted(wine_and_iris.rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_mode) for p in [wine_and_iris, *found]]

    paths = [wine_and_iris, *wine_and_iris.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    try:
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = listing()
        for command in ("import-all", "import-models --delete-model", "import-experiments"):
            bulk(f"{command} --input-dir {wine_and_iris}", fresh_target.uri)
            assert listing() == before
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
