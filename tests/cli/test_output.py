"""What happens when there is no room for what a command prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
