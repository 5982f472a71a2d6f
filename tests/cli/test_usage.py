"""What is wrong with a command line is told at once, with the way out, and writes nothing."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, Typed
from tests.conftest import RunMigrate

#: Ends that nobody listens at: these mistakes are found before anything is asked.
NOWHERE = ("http://127.0.0.1:9", "http://127.0.0.1:10")


@pytest.mark.parametrize(
    ("args", "says", "hints"),
    [
        (["--run-start-time", "yesterday"], "--run-start-time 'yesterday' is no date", "YYYY-MM"),
        (["--runs-until", "2023-02-29"], "--runs-until '2023-02-29' is no date", "YYYY-MM"),
        (["--run-start-time", ""], "--run-start-time '' is no date", "YYYY-MM-DD"),
        (
            ["--run-start-time", "2024-01-01", "--runs-until", "2024-01-01"],
            "--run-start-time is not before --runs-until",
            "",
        ),
        (["--if-trashed", "delete"], "--if-trashed 'delete' is not a choice", "restore"),
        (["--artifact-location-map", "s3://old"], "'s3://old' is not OLD=NEW", ""),
        (["--experiments", "gone.txt"], "cannot read gone.txt", "UTF-8"),
        (["--models", "gone.txt"], "cannot read gone.txt", "UTF-8"),
        (["--stages", "none,Prod"], "--stages 'Prod' is no stage", "Production, Archived, None"),
        (["--experiments", "a", "--stages", "None"], "--experiments copies none", "--models"),
        (["--experiments", "a", "--export-latest-versions"], "copies none", "--models"),
        (["--export-all-runs"], "--export-all-runs goes with --models", "--models"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_options(typed: Typed, tmp_path: Path, args: list[str], says: str, hints: str) -> None:
    typed.fails("run", *NOWHERE, *args, code=2, says=says, hints=hints)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ends", "option", "place", "says"),
    [
        (("export", NOWHERE[1]), "--source-artifacts", ".", "has its files in itself"),
        ((NOWHERE[0], "export"), "--target-artifacts", ".", "has its files in itself"),
        (("sqlite:///a.db", NOWHERE[1]), "--source-artifacts", "http://minio:9000", "no server"),
        ((NOWHERE[0], "sqlite:///a.db"), "--target-artifacts", "http://minio:9000", "no server"),
    ],
)
def test_places_of_files_that_mean_nothing(
    typed: Typed, tmp_path: Path, ends: tuple[str, str], option: str, place: str, says: str
) -> None:
    typed.fails("run", *ends, option, place, code=2, says=says)
    assert list(tmp_path.iterdir()) == []


LONG = "x" * 300


@pytest.mark.parametrize(
    "args",
    [
        ["plan", LONG, NOWHERE[1]],
        ["plan", NOWHERE[0], LONG],
        ["run", f"sqlite:///{LONG}", "export"],
        ["plan", *NOWHERE, "--source-artifacts", f"/{LONG}"],
        ["plan", *NOWHERE, "--state", LONG],
        ["status", "--state", LONG],
        ["export-all", "--output-dir", LONG],
        ["import-all", "--input-dir", LONG],
    ],
    ids=lambda args: " ".join(args).replace(LONG, "LONG"),
)
def test_paths_that_no_system_takes(run_migrate: RunMigrate, args: list[str]) -> None:
    result = run_migrate(*args)
    assert result.returncode in (1, 2)
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("args", "says", "hints"),
    [
        (["run"], "SOURCE and TARGET are needed", "migrate run SOURCE TARGET"),
        (["run", "--resume", "http://a"], "SOURCE and TARGET are needed", "--resume"),
        (["run", "--resume", "--quick"], "takes no selection", "leave out --resume"),
        (["run", "--resume", "--models", "m"], "takes no selection", "leave out --resume"),
        (["run", "--resume", "--stages", "None"], "takes no selection", "leave out --resume"),
        (["verify", "http://a"], "TARGET is needed", "migrate verify SOURCE TARGET"),
        (["plan", "http://h:5000", "http://u:p@h:5000/"], "are the same: http://h:5000", "two"),
        (["plan", "http://localhost:80", "http://127.0.0.1"], "source and target are the", "two"),
        (["plan", "s3://bucket", "http://a"], "s3://bucket is not a tracking URI", "directory"),
        (["plan", "http://ada:s3/cret@a", "http://b"], "'http://a' is not a usable", "%2F"),
        (["plan", "http://[::1", "http://b"], "is not a usable tracking URI", "http://host:port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_ends(typed: Typed, args: list[str], says: str, hints: str) -> None:
    result = typed.fails(*args, code=2, says=says, hints=hints)
    assert "s3/cret" not in result.stderr


@pytest.mark.parametrize(
    ("path", "says", "hints"),
    [
        ("plan.png", "--graph plan.png has no ending", ".svg, .html, .mmd, .json"),
        ("plan", "--graph plan has no ending", ".svg, .html, .mmd, .json"),
        ("gone/plan.svg", "there is no folder gone", "make it first"),
    ],
)
def test_bad_places_for_a_graph(
    typed: Typed, tmp_path: Path, path: str, says: str, hints: str
) -> None:
    typed.fails("plan", *NOWHERE, "--graph", path, code=2, says=says, hints=hints)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [["plan"], ["frobnicate"], ["run", "--frobnicate"], ["plan", *NOWHERE, "--workers", "0"]],
)
def test_what_is_no_command_at_all(typed: Typed, args: list[str]) -> None:
    assert "Usage:" in typed(*args, code=2).stderr


def test_help_names_every_exit_code_and_the_version_is_told(typed: Typed) -> None:
    shown = typed("run", "--help").stdout
    codes = re.sub(r"\s+", " ", shown)
    for code in ("0 all done", "1 error", "2 usage", "3 finished", "4 stale", "130 interrupted"):
        assert code in codes
    assert re.fullmatch(r"mlflow-migrate \d+\.\d+\.\d+\n", typed("--version").stdout)


def test_shells_can_complete(migrate: Migrate, typed: Typed) -> None:
    assert "--install-completion" in typed("--help").stdout
    # Else Typer looks for a shell among the parents of the process: CI may have none.
    told = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = migrate("--show-completion", "bash", env=told).stdout
    assert "complete" in script


def test_an_unknown_experiment_is_told_with_its_nearest_names(
    migrate: Migrate, source_server: TrackingServerProcess, target_server: TrackingServerProcess
) -> None:
    result = migrate.fails(
        "plan",
        source_server.uri,
        target_server.uri,
        "--experiments",
        "Defualt,0",
        code=2,
        says="no experiment at the source is called or numbered: 'Defualt'",
        hints="did you mean 'Default'?",
    )
    assert "'0'" not in result.stderr


class TestOutOfReach:
    def test_a_server_that_is_not_there_is_told_soon(
        self, migrate: Migrate, target_server: TrackingServerProcess
    ) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            nowhere = f"http://ada:s3cret@127.0.0.1:{held.getsockname()[1]}"
            started = time.monotonic()
            for ends in ((nowhere, target_server.uri), (target_server.uri, nowhere)):
                side = "source" if ends[0] == nowhere else "target"
                result = migrate.fails(
                    "run",
                    *ends,
                    code=1,
                    says=f"cannot reach the {side} at http://127.0.0.1:",
                    hints="is the server running",
                    timeout=15,
                )
                assert "s3cret" not in result.stderr
        assert time.monotonic() - started < 30

    def test_a_host_without_an_address(self, migrate: Migrate) -> None:
        migrate.fails(
            "plan",
            "http://no-such-host.invalid",
            NOWHERE[0],
            code=1,
            says="cannot reach the source at http://no-such-host.invalid",
            timeout=15,
        )


class _SaysAnything(BaseHTTPRequestHandler):
    """Answers every call with JSON that is not MLflow's."""

    def do_GET(self) -> None:
        body = b'["not", "MLflow"]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(params=[_Files, _SaysAnything], ids=["files", "other JSON"])
def no_mlflow(request: pytest.FixtureRequest) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_is_no_mlflow_is_told(migrate: Migrate, no_mlflow: str) -> None:
    migrate.fails("plan", no_mlflow, NOWHERE[0], code=1, says=no_mlflow, hints="MLflow")
