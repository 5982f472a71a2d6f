"""Commands that are measured: run to their end, with the seconds and the memory they took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from benchmarks.stage import PROJECT


@dataclass(frozen=True)
class Done:
    """A command that has ended; `peak_bytes` is its largest resident set.

    `cpu_seconds` are those of its processor time: a busy machine adds little to them.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_code: int
    output: str
    errors: str

    @property
    def failure(self) -> str | None:
        """The end of what the command said if its exit code is not 0."""
        if self.exit_code == 0:
            return None
        last_lines = (self.errors or self.output).strip().splitlines()[-3:]
        return f"exit code {self.exit_code}: {' '.join(last_lines)}"


def run(command: list[str], tracking_uri: str | None = None) -> Done:
    """Run `command` in the project's directory, with MLFLOW_TRACKING_URI set if one is given.

    The kernel counts this process's own resident set as the least peak a child can have.
    """
    environment = child_environment()
    if tracking_uri:
        environment["MLFLOW_TRACKING_URI"] = tracking_uri
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        kilobyte = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there
        return Done(
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * kilobyte,
            exit_code=process.returncode,
            output=output.read(),
            errors=errors.read(),
        )


def child_environment() -> dict[str, str]:
    """Return this process's environment without settings that would make commands unequal."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start compiles its imports again
    return own | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
