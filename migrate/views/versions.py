"""A table of versions of registered models, as they are on the target."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from migrate.objects import ModelVersion
from migrate.views.layout import print_table, result_console, say
from migrate.views.words import printable

COLUMNS = ("model", "version", "stage", "aliases", "run", "source")


def print_versions(versions: Iterable[ModelVersion], console: Console | None = None) -> None:
    """Print a row for each version; those of prompts are left out."""
    console = console or result_console()
    rows = [
        [
            printable(version.name),
            str(version.version),
            version.stage,
            printable(", ".join(version.aliases)) or "-",
            printable(version.run_id) or "-",
            printable(version.source),
        ]
        for version in versions
        if not version.is_of_prompt
    ]
    say(console)
    if rows:
        print_table(console, COLUMNS, rows)
    else:
        say(console, "No versions of registered models.")
