"""Copies in a database point at the files of their originals: none is written, and none moves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from migrate.traces import ARTIFACT_LOCATION_TAG
from tests.cli.conftest import Typed, seed
from tests.conftest import ServerFactory
from tests.endpoints.databases import rows, unpacked, unpacked_artifacts
from tests.endpoints.filestores import unpacked as unpacked_store

KEEP = ("--artifacts", "keep")
MAP = ("--artifact-location-map", "a=b")
#: Whatever names a place of files in a database, and what has it.
PLACES = (
    "SELECT name, artifact_location FROM experiments",
    "SELECT run_uuid, artifact_uri FROM runs",
    "SELECT model_id, artifact_location FROM logged_models WHERE lifecycle_stage = 'active'",
    "SELECT name, version, source, storage_location FROM model_versions "
    "WHERE current_stage <> 'Deleted_Internal'",
    f"SELECT request_id, value FROM trace_tags WHERE key = '{ARTIFACT_LOCATION_TAG}'",
)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(it): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


def test_all_places_are_those_of_the_originals(
    typed: Typed, tmp_path: Path, server_factory: ServerFactory
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    copy = tmp_path / "copy" / "mlflow.db"
    ends = (f"sqlite:///{source}", f"sqlite:///{copy}")
    words = (*ends, "--source-artifacts", str(files), *KEEP, "--include-deleted")
    before = files_in(files)
    told = typed("run", *words)
    assert "sent 0 B" in told.stdout
    for places in PLACES:
        assert sorted(rows(copy, places)) == sorted(rows(source, places)), places
    assert files_in(files) == before
    assert [it.name for it in copy.parent.iterdir()] == ["mlflow.db"]
    typed("verify", *words, "--contents")

    bytes_before = copy.read_bytes()
    again = typed("run", *words, "--state", "another.db")
    assert "Wrote nothing" in again.stdout
    assert copy.read_bytes() == bytes_before

    (copy.parent / "artifacts").symlink_to(files)
    server = server_factory(directory=copy.parent)
    client = MlflowClient(server.uri)
    [(run_id,)] = rows(copy, "SELECT run_uuid FROM runs WHERE name = 'in beta'")
    (copy.parent / "got").mkdir()
    got = client.download_artifacts(run_id, "", str(copy.parent / "got"))
    [(place,)] = rows(copy, f"SELECT artifact_uri FROM runs WHERE run_uuid = '{run_id}'")
    held = files / urlsplit(str(place)).path.lstrip("/")
    assert [*files_in(Path(got)).values()] == [*files_in(held).values()] != []


def test_what_was_moved_is_found_where_it_is_now(typed: Typed, tmp_path: Path) -> None:
    store, copy = unpacked_store("3.8.1", tmp_path), tmp_path / "copy.db"
    typed("run", str(store), f"sqlite:///{copy}", *KEEP, "--include-deleted")
    with_files = {it.parent for it in store.rglob("artifacts/*")}
    for query in ("SELECT artifact_uri FROM runs", "SELECT artifact_location FROM logged_models"):
        places = {Path(urlsplit(str(uri)).path) for (uri,) in rows(copy, query)}
        assert places & with_files, query
        with_files -= places
    assert {it for it in with_files if "traces" not in it.parts} == set()
    for (uri,) in rows(copy, "SELECT artifact_location FROM experiments WHERE experiment_id > 0"):
        assert Path(urlsplit(str(uri)).path).is_dir(), uri
    typed("verify", str(store), f"sqlite:///{copy}", *KEEP, "--include-deleted", "--contents")


def test_files_of_a_server_stay_with_it(
    typed: Typed, tmp_path: Path, source_server: TrackingServerProcess, unique_name: str
) -> None:
    seeded, copy = seed(source_server.uri, unique_name), tmp_path / "copy.db"
    words = (source_server.uri, f"sqlite:///{copy}", "--experiments", seeded.experiment, *KEEP)
    typed("run", *words)
    client = MlflowClient(source_server.uri)
    found = rows(copy, "SELECT run_uuid, artifact_uri FROM runs")
    assert found
    for run_id, uri in found:
        assert client.get_run(str(run_id)).info.artifact_uri == uri


def test_files_that_nobody_can_look_at_are_told(typed: Typed, tmp_path: Path) -> None:
    source, copy = unpacked("3.17.2", tmp_path), tmp_path / "copy.db"
    told = typed("run", f"sqlite:///{source}", f"sqlite:///{copy}", *KEEP, code=3)
    assert "--source-artifacts" in told.stdout + told.stderr
    assert sorted(rows(copy, PLACES[1])) == sorted(
        rows(source, PLACES[1] + " WHERE lifecycle_stage = 'active'")
    )


@pytest.mark.parametrize(
    "place",
    ["file:///etc", "/etc", "runs:/other/etc", "mlflow-artifacts://elsewhere:5000/1", "http://h/x"],
)
def test_no_place_is_taken_over_that_this_tool_would_not_read(
    typed: Typed, tmp_path: Path, place: str
) -> None:
    source, files = unpacked("3.17.2", tmp_path), unpacked_artifacts(tmp_path)
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(source)) as connection, connection:
        changed = "UPDATE runs SET artifact_uri = ? WHERE name = 'in beta'"
        assert connection.execute(changed, (place,)).rowcount == 1
    ends = (f"sqlite:///{source}", f"sqlite:///{copy}", "--source-artifacts", str(files))
    told = typed("run", *ends, *KEEP, code=3)
    assert "cannot stay at" in told.stdout + told.stderr
    assert rows(copy, "SELECT name FROM runs")
    assert not rows(copy, "SELECT name FROM runs WHERE name = 'in beta'")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sqlite:///mlflow.db", "http://localhost:1", *KEEP), "places of their own"),
        (("sqlite:///mlflow.db", "export", *KEEP), "places of their own"),
        (("export", "sqlite:///new.db", *KEEP), "places of their own"),
        (("sqlite:///mlflow.db", "sqlite:///n.db", *KEEP, "--target-artifacts", "x"), "neither"),
        (
            ("sqlite:///mlflow.db", "sqlite:///n.db", *KEEP, "--artifact-location-map", "a=b"),
            "neither",
        ),
        (("sqlite:///mlflow.db", "sqlite:///n.db", "--artifacts", "move"), "use copy or keep"),
    ],
)
def test_what_has_no_meaning_is_refused(
    typed: Typed, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    unpacked("3.17.2", tmp_path)
    (tmp_path / "export").mkdir()
    assert why in typed("run", *words, code=2).stderr
    assert not (tmp_path / "n.db").exists()
