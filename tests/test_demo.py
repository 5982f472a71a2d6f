"""``migrate demo``: the story it tells is true, and it leaves nothing running."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import RunMigrate, StartMigrate
from tests.processes import MigrateProcess

#: Settings of a user who has servers of their own, and a proxy on the way to them.
SETTINGS = {
    "MLFLOW_TRACKING_URI": "http://example.invalid:5000",
    "MLFLOW_TRACKING_TOKEN": "secret",
    "MIGRATE_STATE": "/nowhere/state.db",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


def ports_in(text: str) -> list[int]:
    return [
        int(port) for port in re.findall(r"^(?:source|target) http://127.0.0.1:(\d+)$", text, re.M)
    ]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.thorough  # CI plays it by `make demo` as well, which fails if the story does
@pytest.mark.timeout(600)
def test_the_demo_is_killed_resumed_and_verified(run_migrate: RunMigrate, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    ended = run_migrate("demo", "--directory", directory, env=SETTINGS, timeout=500)
    assert ended.returncode == 0, ended
    commands = re.findall(r"^\$ migrate ([\w-]+)", ended.stdout, re.M)
    assert commands == ["plan", "run", "status", "run", "run", "export-all", "verify", "verify"]
    killed = re.search(r"^Killed: (\d+) runs on the target", ended.stdout, re.M)
    assert killed is not None
    assert 8 <= int(killed[1]) < 25
    assert ended.stdout.count("\nWrote nothing") == 1
    last = ended.stdout.strip().splitlines()[-1]
    whole = "5 experiments, 25 runs, 1 registered model, 5 model versions"
    assert re.match(rf"Verified: {whole}, \d+ files: no difference\. \(", last)

    ports = ports_in(ended.stdout)
    assert len(ports) == 2
    assert not any(map(accepts, ports))

    state = directory / ".migrate" / "state.db"
    status = run_migrate("status", "--state", state, "--json")
    migrations = json.loads(status.stdout)
    assert [(it["status"], it["complete"]) for it in migrations] == [("done", True)] * 2
    exported = {
        path.parent.name for path in (directory / "export").glob("experiments/*/runs/*/run.json")
    }
    assert len(exported) == 25


def test_a_directory_with_something_in_it_is_left_alone(
    run_migrate: RunMigrate, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("draft")
    ended = run_migrate("demo", "--directory", tmp_path)
    assert ended.returncode == 2
    assert "is not empty" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.thorough
@pytest.mark.timeout(400)
def test_no_server_outlives_an_interrupted_demo(
    start_migrate: StartMigrate, tmp_path: Path
) -> None:
    demo = start_migrate("demo", "--directory", tmp_path / "demo")
    ports = ports_once_told(demo)
    assert all(map(accepts, ports))
    demo.signal_group(signal.SIGINT)
    assert demo.wait(60) == 130
    assert not any(map(accepts, ports))


def ports_once_told(demo: MigrateProcess) -> list[int]:
    """Waits until the demo has told where its two servers are."""
    while len(ports := ports_in(demo.stdout_file.read_text())) < 2:
        assert demo.poll() is None, demo.stderr_file.read_text()
        time.sleep(0.1)
    return ports
