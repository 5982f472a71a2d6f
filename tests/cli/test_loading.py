"""A command loads what it needs."""

from __future__ import annotations

import subprocess
import sys

from migrate.cli.app import COMMANDS
from tests.conftest import ROOT

#: Each before those that load it.
_IN_ORDER = ["showing", "inspecting", "verifying", "copying", "exports", "imports"]
_EACH = f"""
from importlib import import_module
import typer
from migrate.cli.app import app
known = set()
for module in {_IN_ORDER}:
    import_module("migrate.cli." + module)
    now = set(typer.main.get_command(app).commands)
    print(module, *sorted(now - known))
    known = now
"""
_STATUS = """
import sys
from migrate.cli import main
sys.argv = ["migrate", "status", "--state", "nowhere.db"]
try:
    main()
except SystemExit as end:
    assert end.code == 1, end.code
print(*(name for name in sys.modules if name.startswith("migrate.")))
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that has loaded nothing."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def test_each_command_is_in_the_module_that_is_loaded_for_it() -> None:
    told = run(_EACH).stdout.splitlines()
    assert told == [" ".join([module, *sorted(COMMANDS[module])]) for module in _IN_ORDER]
    assert sorted(_IN_ORDER) == sorted(COMMANDS)


def test_to_read_the_state_loads_no_end() -> None:
    done = run(_STATUS)
    assert "there is no state database at" in done.stderr
    loaded = done.stdout.split()
    assert "migrate.cli.inspecting" in loaded
    unneeded = ("migrate.endpoints", "migrate.tasks", "migrate.graph", "migrate.worker")
    assert [name for name in loaded if name.startswith(unneeded)] == []
