"""``migrate demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from migrate.cli import options
from migrate.cli.app import EPILOG, app, session


@app.command(epilog=EPILOG)
def demo(
    directory: Annotated[
        Path | None,
        typer.Option(help="Where the demo's servers keep their data; without it: thrown away."),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Start two servers here, fill one with sample data, migrate, interrupt, resume and verify."""
    with session(debug):
        from migrate.demo import play

        raise typer.Exit(play(directory))
