"""What happens when there is no room for what a command prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.malformed.worlds import migrate, write_little

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [["--version"], ["--help"], ["run", "--help"]], ids=" ".join)
def test_no_room_for_the_output_is_an_error_without_a_traceback(command: list[str]) -> None:
    with FULL.open("w") as nowhere:
        ended = subprocess.run(
            [sys.executable, "-m", "migrate", *command],
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert "the output cannot be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        ["plan", "source", "target", "--json"],
        *(
            pytest.param(command, marks=pytest.mark.thorough)
            for command in (["status", "--json"], ["map"], ["map", "--csv"], ["run", "--resume"])
        ),
    ],
    ids=" ".join,
)
def test_no_room_for_a_result_is_an_error_without_a_traceback(
    command: list[str], tmp_path: Path
) -> None:
    write_little(tmp_path / "source")
    ends = (tmp_path / "source", tmp_path / "target", "--state", tmp_path / "state.db")
    assert migrate("run", *ends).code == 0
    with FULL.open("w") as nowhere:
        ended = subprocess.run(
            [sys.executable, "-m", "migrate", *command, "--state", "state.db"],
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    assert ended.returncode == 1
    assert "the output cannot be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
