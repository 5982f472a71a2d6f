"""No secret and no control character in what a command says, whoever brings it up."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, Typed, everything_in
from tests.seed import Source

TOKEN = "a-token-of-one-side"
COMMANDS = [
    ("plan", "{uri}", "{uri}/x"),
    ("run", "{uri}", "{uri}/x"),
    ("verify", "{uri}", "{uri}/x"),
    ("export-all", "--source", "{uri}", "--output-dir", "out"),
    ("export-experiments", "--experiments", "all", "--source", "{uri}", "--output-dir", "out"),
]


class _Quoting(BaseHTTPRequestHandler):
    """Refuses everything, and says with which credentials it was asked, twice."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = str(self.headers.get("Authorization"))
        body = f'{{"error_code": "BAD_REQUEST", "message": "\\u001b[2Jno: {said}"}}'.encode()
        self.send_response(400, f"no {said}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _refuse

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def quoting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quoting) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    "variable", ["MIGRATE_SOURCE_TRACKING_TOKEN", "MLFLOW_TRACKING_TOKEN"], ids=["own", "MLflow's"]
)
def test_a_token_of_two_lines_is_refused_and_not_quoted(
    typed: Typed, variable: str, command: tuple[str, ...]
) -> None:
    args = [word.format(uri="http://127.0.0.1:9") for word in command]
    env = {variable: f"{TOKEN}\nthe-second-line"}
    result = typed.fails(*args, code=2, says="the token of the source has a line break", env=env)
    assert TOKEN not in result.stderr
    assert "second" not in result.stderr


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize(
    ("env", "login", "hidden"),
    [
        ({"MIGRATE_SOURCE_TRACKING_TOKEN": f"{TOKEN}\n"}, "", [TOKEN]),
        ({}, "ada:pass-of-ada@", ["pass-of-ada", "YWRhOnBhc3Mtb2YtYWRh"]),
    ],
    ids=["token", "password"],
)
def test_a_server_that_quotes_what_it_was_sent_is_harmless(
    typed: Typed,
    tmp_path: Path,
    quoting: str,
    env: dict[str, str],
    login: str,
    hidden: list[str],
    debug: list[str],
) -> None:
    uri = quoting.replace("http://", f"http://{login}")
    result = typed("plan", uri, "http://127.0.0.1:9", *debug, code=1, env=env)
    assert "no: " in result.stderr
    assert "***" in result.stderr
    for secret in hidden:
        assert secret not in result.stderr
        assert secret.encode() not in everything_in(tmp_path)
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("plan", "my_user:s3cret-word@host:5000", "http://b"),
        ("plan", "http://b", "u:s3cret-word@host"),
        ("export-all", "--source", "http://b", "--output-dir", "my_user:s3cret-word@host"),
        ("import-all", "--input-dir", ".", "--target", "my_user:s3cret-word@host"),
        ("status", "--state", "my_user:s3cret-word@host/db"),
    ],
    ids=" ".join,
)
def test_a_login_without_its_scheme_is_not_taken_for_a_path(
    typed: Typed, tmp_path: Path, args: tuple[str, ...]
) -> None:
    result = typed.fails(*args, code=2)
    assert "s3cret-word" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_are_too_many_are_not_quoted_with_their_password(migrate: Migrate) -> None:
    result = migrate("plan", "http://a", "http://b", "http://ada:s3cret-word@c", code=2)
    assert "s3cret-word" not in result.stderr


def test_maps_are_safe_for_a_terminal_and_for_a_spreadsheet(
    migrate: Migrate, source_server: TrackingServerProcess, unique_name: str
) -> None:
    names = ["=HYPERLINK(1)", "+cmd|' /C calc'!A0", "\x1b]0;owned\x07", "@SUM(1)", "-1", "plain"]
    with Source(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        for name in names:
            source.run(name, experiment, name=name)
    migrate("run", source_server.uri, "out", "--experiments", unique_name)
    shown = migrate("map").stdout
    assert "\\x1b]0;owned\\x07" in shown
    assert not {"\x1b", "\x07"} & set(shown)
    rows = list(csv.DictReader(io.StringIO(migrate("map", "--csv").stdout)))
    found = {row["name"] for row in rows if row["kind"] == "run"}
    assert found == {
        "'=HYPERLINK(1)",
        "'+cmd|' /C calc'!A0",
        "\\x1b]0;owned\\x07",
        "'@SUM(1)",
        "'-1",
        "plain",
    }


def test_files_go_to_a_folder_of_this_machine_once_it_is_named(
    migrate: Migrate,
    source_server: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
    unique_name: str,
) -> None:
    with Source(source_server.uri) as source:
        run = source.run("r", source.experiment(unique_name))
        source.artifact(run, "model/weights", b"abc")
    root = tmp_path / "root"
    root.mkdir()
    ends = (source_server.uri, fresh_target.uri)
    chosen = ("--experiments", unique_name, "--artifact-location-map", f"mlflow-artifacts:={root}")
    refused = migrate("run", *ends, *chosen, code=3)
    assert "nobody named its root" in refused.stdout
    assert "--target-artifacts" in refused.stdout
    assert list(root.iterdir()) == []
    migrate("run", "--resume", "--target-artifacts", root)
    assert [path.read_bytes() for path in root.rglob("weights")] == [b"abc"]
    migrate("verify", *ends, "--experiments", unique_name, "--contents")
