"""`migrate` between two places, with what must hold for every call of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import RunMigrate

#: (id of an object at the source, what of it is lost).
Losses = set[tuple[str, str]]

#: What must not be said on stderr, however old a server is: what it lacks is known in advance.
_UNEXPECTED = re.compile(r"Traceback|\b\w+(Error|Exception|Warning)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The commands from one source to one target, everything selected, with one state database.

    `environment` is added to that of the command, `options` to its options. Each method returns
    exit code and the result as JSON values, and fails the test when stderr holds a traceback, an
    error or a warning.
    """

    run_migrate: RunMigrate
    source: str
    target: str
    state: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def plan(self) -> tuple[int, dict[str, Any]]:
        """`migrate plan`."""
        return self._result("plan", "--include-deleted", "--state", self.state)

    def run(self) -> tuple[int, dict[str, Any]]:
        """`migrate run`."""
        return self._result("run", "--include-deleted", "--state", self.state, "--quiet")

    def verify(self) -> tuple[int, dict[str, Any]]:
        """`migrate verify`, every file read."""
        return self._result("verify", "--include-deleted", "--contents")

    def _result(self, command: str, *options: str | Path) -> tuple[int, dict[str, Any]]:
        done = self.run_migrate(
            command,
            self.source,
            self.target,
            *options,
            *self.options,
            "--json",
            env=self.environment,
            timeout=300,
        )
        assert not _UNEXPECTED.search(done.stderr), done.stderr
        assert done.stdout, f"exit code {done.returncode}: {done.stderr}"
        return done.returncode, json.loads(done.stdout)


def planned_losses(plan: Mapping[str, Any]) -> Losses:
    """What a plan says will be lost."""
    return {(task["id"], loss["what"]) for task in plan["tasks"] for loss in task["losses"]}


def reported_losses(report: Mapping[str, Any]) -> Losses:
    """What a report says was lost."""
    return {(loss["id"], loss["what"]) for loss in report["losses"]}
