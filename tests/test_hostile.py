"""A hostile source and a hostile target: nothing leaks, nothing is written elsewhere, it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import TERMINAL, everything_in
from tests.hostile import Canary, Hostile, Trick, endless, naming, quoting, redirecting
from tests.processes import ROOT
from tests.seed import START, Source

SECRET_FILE = b"only this machine may read this: 6f1e0c"
TOKENS = {"SOURCE": "token-of-the-source-0b7c", "TARGET": "token-of-the-target-91fe"}
#: Kilobytes, of one process with all its threads.
MEMORY = 500_000
#: Runs ``migrate`` and writes the most memory it took to the file that the first argument names.
TELLING = """
import sys
from pathlib import Path
from migrate.cli import main

peak = Path(sys.argv.pop(1))
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    peak.write_text(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
#: Seconds in which everything has to be over, on a busy machine too.
SECONDS = 240


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as host:
        yield host


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of this machine that is nobody else's business."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "f").write_bytes(SECRET_FILE)
    return folder


def locations(secret: Path, host: str) -> list[Trick]:
    """Places of files that are not the server's own."""
    uris = {
        "a path": str(secret),
        "a file URI": f"file://{secret}",
        "a file URI with dots": f"file://{secret.parent}/x/../{secret.name}",
        "the artifacts of another server": f"mlflow-artifacts://{host}/x",
        "another server": f"http://{host}/x",
        "another run": f"runs:/{'0' * 32}/",
        "a logged model": "models:/m-0123",
        "a version": "models:/wine/1",
        "ftp": f"ftp://{host}/x",
        "sftp": f"sftp://{host}/x",
        "hdfs": f"hdfs://{host}/x",
        "an account of Azure that is none": f"abfss://box@{host}/x",
        "a bucket of R2 that is none": f"r2://bucket@{host}/x",
        "a bucket of B2 that is none": f"b2://bucket@{host}/x",
        "a bucket with a host": f"s3://bucket@{host}/x",
        "Databricks' files": "dbfs:/databricks/mlflow-tracking/x",
        "an unknown scheme": f"evil://{host}/x",
        "no URI": "http://[::1",
        "an escape sequence": "\x1b[2Jmlflow-artifacts:/\x1b]0;x\x07",
    }
    return [Trick(name, uri=uri) for name, uri in uris.items()]


def of_any_server(host: str) -> list[Trick]:
    """Answers that either side may give."""
    return [
        Trick("credentials quoted back", answer=quoting),
        Trick("a redirect to a third host", answer=redirecting(f"http://{host}/stolen")),
        Trick("a redirect to a file", answer=redirecting("file:///etc/passwd")),
    ]


def of_a_source(secret: Path) -> list[Trick]:
    """Names, sizes and files that only a source has."""
    return [
        Trick("names that lead out", answer=naming("../../out", "/tmp/out", "a/../../out")),
        Trick("names for a terminal", answer=naming("\x1b[2J", "a\nError: forged", "=1+1")),
        Trick("a name of this machine", answer=naming(str(secret / "f"))),
    ]


def of_a_broken_source() -> list[Trick]:
    """Sizes and files that are never as listed; each is tried again for half a minute."""
    return [
        Trick("a size below nothing", answer=naming("f", size=-1)),
        Trick("a size beyond all disks", answer=naming("f", size=1 << 62)),
        Trick("a file without end", answer=endless),
    ]


def migrate(
    folder: Path, *args: str, env: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run ``migrate`` by itself; return its end and the most memory it took, in kilobytes.

    It tells its memory itself: what ``wait4`` tells of a process begins with what its parent had.
    """
    out, err = folder / "out.txt", folder / "err.txt"
    peak = folder.parent / f"{folder.name}.peak"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", TELLING, str(peak), *args],
            cwd=folder,
            env={**os.environ, **TERMINAL, "PYTHONPATH": str(ROOT), **env},
            stdout=stdout,
            stderr=stderr,
        )
        too_late = threading.Timer(SECONDS, process.kill)
        too_late.start()
        process.wait()
        too_late.cancel()
    ended = subprocess.CompletedProcess(args, process.returncode, out.read_text(), err.read_text())
    return ended, int(peak.read_text())


def check(
    folder: Path, ended: subprocess.CompletedProcess[str], memory: int, canary: Canary
) -> None:
    """Hold the end of a migration with a hostile server to what docs/security.md promises."""
    said = ended.stdout + ended.stderr
    assert ended.returncode == 3, said
    assert "Traceback" not in said
    assert "defect" not in said
    assert not {"\x1b", "\x07"} & set(said)
    assert canary.called == []
    assert memory < MEMORY
    written = {path.name for path in folder.iterdir()}
    assert written == {"private", "out.txt", "err.txt", ".migrate"}
    assert [path.name for path in (folder / "private").iterdir()] == ["f"]
    assert not (Path("/tmp") / "out").exists()
    kept = everything_in(folder / ".migrate") + said.encode()
    for token in TOKENS.values():
        assert token.encode() not in kept


def environment() -> dict[str, str]:
    own = {f"MIGRATE_{side}_TRACKING_TOKEN": token for side, token in TOKENS.items()}
    return {**own, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "AWS_SECRET_ACCESS_KEY": "k" * 40}


def seed(uri: str, name: str, runs: int) -> None:
    with Source(uri) as source:
        experiment = source.experiment(name)
        for number in range(runs):
            run = source.run(f"run {number}", experiment)
            source.metrics(run, [("loss", 0.5, START, 0), ("loss", 0.25, START + 1, 1)])
            source.artifact(run, "f", b"abc")


@pytest.mark.parametrize("kind", ["hostile", pytest.param("broken", marks=pytest.mark.thorough)])
def test_a_hostile_source_reads_nothing_here_and_reaches_nobody_else(
    kind: str,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    secret: Path,
    canary: Canary,
    unique_name: str,
) -> None:
    host = canary.host
    tricks = {
        "hostile": [*locations(secret, host), *of_any_server(host), *of_a_source(secret)],
        "broken": of_a_broken_source(),
    }[kind]
    seed(source_server.uri, unique_name, len(tricks))
    with Hostile(source_server.uri, tricks) as source:
        args = ("run", source.uri, fresh_target.uri, "--experiments", unique_name)
        ended, memory = migrate(tmp_path, *args, env=environment())
        assert {trick.name for trick in source.played.values()} == {trick.name for trick in tricks}
    check(tmp_path, ended, memory, canary)
    arrived = everything_in(fresh_target.directory / "artifacts")
    assert SECRET_FILE not in arrived
    assert (b"abc" in arrived) is (kind == "hostile")


def test_a_hostile_target_has_nothing_written_here_and_reaches_nobody_else(
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    secret: Path,
    canary: Canary,
    unique_name: str,
) -> None:
    tricks = [*locations(secret, canary.host), *of_any_server(canary.host)]
    seed(source_server.uri, unique_name, len(tricks))
    with Hostile(fresh_target.uri, tricks) as target:
        args = ("run", source_server.uri, target.uri, "--experiments", unique_name)
        ended, memory = migrate(tmp_path, *args, env=environment())
        assert {trick.name for trick in target.played.values()} == {trick.name for trick in tricks}
    check(tmp_path, ended, memory, canary)
