"""The commands of ``migrate`` and their exit codes."""

from __future__ import annotations

import gc
import json as json_module
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import click
import typer

from migrate import __version__
from migrate.cli.interruption import stopped_by_signal
from migrate.errors import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    MigrateError,
)
from migrate.redaction import learn, redacted_json
from migrate.views.errors import print_error
from migrate.views.logs import guard_output, log_to_stderr
from migrate.views.words import lines

#: The modules of the commands, each with what it has. To load them all takes half a second, most of
#: which is not for those that read the state only.
COMMANDS = {
    "copying": ("plan", "run"),
    "exports": ("export-all", "export-models", "export-experiments"),
    "imports": ("import-all", "import-models", "import-experiments"),
    "inspecting": ("status", "map"),
    "verifying": ("verify",),
    "showing": ("demo",),
}

#: Characters of a path that a message shows; an operating system takes no more than 4,096.
LONGEST_PATH = 300

EPILOG = (
    "Exit codes: 0 all done; 1 error; 2 usage; 3 finished with failures, losses or objects that "
    "are not copied; 4 stale plan, or state or directory in use; 130 interrupted, state saved."
)

app = typer.Typer(
    name="migrate",
    help="Copy experiments, runs, models and prompts between MLflow tracking servers and export "
    "directories: planned, in parallel, resumable, verified. The source is only read.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@contextmanager
def session(debug: bool) -> Iterator[None]:
    """Turn errors into messages and exit codes; close what was opened."""
    log_to_stderr(debug=debug)
    try:
        with stopped_by_signal():
            yield
    except MigrateError as problem:
        if debug:
            sys.stderr.write(lines(traceback.format_exc()) + "\n")
        print_error(problem)
        raise typer.Exit(problem.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except OSError as problem:
        if problem.filename is None:  # of what is printed to, or a defect
            raise
        if debug:
            sys.stderr.write(lines(traceback.format_exc()) + "\n")
        path, reason = str(problem.filename), problem.strerror or str(problem)
        shown = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
        print_error(
            MigrateError(f"{shown}: {reason}", "check the path, and what this account may do there")
        )
        raise typer.Exit(EXIT_ERROR) from None
    finally:
        # Whatever opens an end has loaded it.
        if worker := sys.modules.get("migrate.worker"):
            worker.close_endpoints()


def print_json(value: Mapping[str, Any] | list[Any]) -> None:
    json_module.dump(redacted_json(value), sys.stdout, indent=2)
    sys.stdout.write("\n")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlflow-migrate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


def load(command: str = "") -> None:
    """Load the module of a command; all of them where none has it."""
    modules = [module for module, commands in COMMANDS.items() if command in commands]
    for module in modules or COMMANDS:
        import_module(f"migrate.cli.{module}")


def main(command: str = "") -> None:
    """Run the command line: ``migrate``, or with ``command`` that one under its own name."""
    # What is loaded stays: collections would find nothing of it, now and later.
    gc.disable()
    load(command or next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    gc.freeze()
    gc.enable()
    learn(os.environ, sys.argv)
    guard_output()
    try:
        try:
            if command:
                commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
                commands[command](prog_name=command)
            else:
                app()
        finally:
            sys.stdout.flush()
    except click.exceptions.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        _let_go_of_stdout()
        sys.exit(EXIT_ERROR)
    except OSError as problem:
        if problem.filename is not None:  # not what is printed to, which has no name
            raise
        _let_go_of_stdout()
        reason = problem.strerror or str(problem)
        print_error(
            MigrateError(
                f"the output cannot be written: {reason}",
                "what was done is done, and in the state database: see migrate status",
            )
        )
        sys.exit(EXIT_ERROR)


def _let_go_of_stdout() -> None:
    """Have what is still held for stdout go nowhere, so that the end of the process is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
