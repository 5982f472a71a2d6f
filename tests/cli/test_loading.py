"""A command loads what it needs."""

from __future__ import annotations

import subprocess
import sys

from typer.main import get_command

from migrate.cli.app import COMMANDS, app, load
from tests.conftest import ROOT

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


def test_each_command_is_in_the_module_that_is_loaded_for_it() -> None:
    load()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == {name for names in COMMANDS.values() for name in names}
    for module, names in COMMANDS.items():
        functions = {name.rstrip("_") for name in vars(sys.modules[f"migrate.cli.{module}"])}
        assert functions.issuperset(name.replace("-", "_") for name in names)


def test_to_read_the_state_loads_no_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STATUS], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert "there is no state database at" in done.stderr
    loaded = done.stdout.split()
    assert "migrate.cli.inspecting" in loaded
    unneeded = ("migrate.endpoints", "migrate.tasks", "migrate.graph", "migrate.worker")
    assert [name for name in loaded if name.startswith(unneeded)] == []
