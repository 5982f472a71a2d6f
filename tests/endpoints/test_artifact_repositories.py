"""Repositories of MLflow with the keys of one side, each side in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from migrate.endpoints.artifacts.repositories import Repositories, environment_of
from migrate.errors import MigrateError, Unavailable

SHARED = {"PATH": "/bin", "AWS_PROFILE": "both", "AWS_SESSION_TOKEN": "both", "AZURE_X": "both"}


@pytest.mark.parametrize(
    ("given", "source", "target"),
    [
        ({}, None, None),
        ({"MIGRATE_SOURCE_TRACKING_TOKEN": "t", "MIGRATE_SOURCE_WORKSPACE": "w"}, None, None),
        (
            {"MIGRATE_SOURCE_AWS_ACCESS_KEY_ID": "a", "MIGRATE_TARGET_TRACKING_TOKEN": "t"},
            {"PATH": "/bin", "AZURE_X": "both", "AWS_ACCESS_KEY_ID": "a"},
            None,
        ),
        (
            {
                "MIGRATE_SOURCE_MLFLOW_S3_ENDPOINT_URL": "http://s",
                "MIGRATE_TARGET_AZURE_STORAGE_ACCESS_KEY": "k",
                "MLFLOW_TRACKING_TOKEN": "t",
                "MLFLOW_S3_ENDPOINT_URL": "http://both",
            },
            {"PATH": "/bin", "AZURE_X": "both", "MLFLOW_S3_ENDPOINT_URL": "http://s"},
            {
                "PATH": "/bin",
                "AWS_PROFILE": "both",
                "AWS_SESSION_TOKEN": "both",
                "MLFLOW_S3_ENDPOINT_URL": "http://both",
                "AZURE_STORAGE_ACCESS_KEY": "k",
            },
        ),
        (
            {"MIGRATE_SOURCE_GOOGLE_APPLICATION_CREDENTIALS": "/a", "GOOGLE_CLOUD_PROJECT": "p"},
            {**SHARED, "GOOGLE_APPLICATION_CREDENTIALS": "/a"},
            None,
        ),
    ],
)
def test_a_side_with_keys_of_its_own_has_no_others_of_that_cloud(
    given: Mapping[str, str], source: Mapping[str, str] | None, target: Mapping[str, str] | None
) -> None:
    assert environment_of("source", SHARED | given) == source
    assert environment_of("target", SHARED | given) == target


@pytest.fixture
def repositories() -> Iterator[Repositories]:
    environment = {**os.environ, "MIGRATE_SOURCE_AWS_PROFILE": "mine"}
    with closing(Repositories("source", environment)) as made:
        yield made


def test_a_repository_in_another_process_does_what_it_does_in_this_one(
    repositories: Repositories, tmp_path: Path
) -> None:
    place, file = (tmp_path / "place").as_uri(), tmp_path / "a.txt"
    file.write_text("abc")
    repositories.call(place, "", "log_artifact", str(file), "plots")
    assert repositories.call(place, "", "list_artifacts", "plots") == [("plots/a.txt", False, 3)]
    (tmp_path / "to").mkdir()
    copy = repositories.call(place, "", "download_artifacts", "plots/a.txt", str(tmp_path / "to"))
    assert Path(copy).read_text() == "abc"
    with pytest.raises(MigrateError, match=r"none\.txt"):
        repositories.call(place, "", "download_artifacts", "none.txt", str(tmp_path))


@pytest.mark.thorough
def test_a_process_that_is_killed_is_an_error_worth_another_try(
    repositories: Repositories, tmp_path: Path
) -> None:
    place = tmp_path.as_uri()
    assert repositories.call(place, "", "list_artifacts", None) == []
    [process] = _children()
    os.kill(process, signal.SIGKILL)
    with pytest.raises(Unavailable, match="was ended"):
        repositories.call(place, "", "list_artifacts", None)
    assert repositories.call(place, "", "list_artifacts", None) == []


def _children(of: int | None = None) -> list[int]:
    """The processes that this one started to reach files."""
    parent = str(of or os.getpid())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since
            # Of "pid (name) state parent ..." the name may hold anything.
            is_child = (folder / "stat").read_text().rpartition(")")[2].split()[1] == parent
            if is_child and "spawn_main" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


STARTED = """
import sys, time
from migrate.endpoints.artifacts.repositories import Repositories
if __name__ == "__main__":
    made = Repositories("source", {"MIGRATE_SOURCE_AWS_PROFILE": "mine"})
    made.call(sys.argv[1], "", "list_artifacts", None)
    print("started", flush=True)
    time.sleep(60)
"""


@pytest.mark.thorough
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "started.py"
    script.write_text(STARTED)
    command = [sys.executable, str(script), tmp_path.as_uri()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "started\n"
        [child] = _children(parent.pid)
        parent.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline, "it is still there"
