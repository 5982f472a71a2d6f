"""Commands that only read the state: ``migrate status`` and ``migrate map``."""

from __future__ import annotations

import csv as csv_module
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Annotated

import typer
from rich.console import Console

from migrate.cli import options
from migrate.cli.app import EPILOG, app, print_json, session
from migrate.errors import MigrateError, UsageError
from migrate.views.report import print_report, report_as_json
from migrate.views.words import cell, printable
from state.store import StateStore

#: Each look at the map goes through all of it.
_IDS_AT_ONCE = 500


@app.command(epilog=EPILOG)
def status(
    state: options.State = str(options.DEFAULT_STATE),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show how the migrations of a state database stand; works while one is running."""
    with session(debug), StateStore.open(state, read_only=True) as store:
        found = store.overview()
        if not found:
            raise UsageError("there is no migration in this state database")
        if json:
            print_json(
                [{"status": str(item.status), **report_as_json(report)} for item, report in found]
            )
            return
        for item, report in found:
            console = Console(soft_wrap=True, highlight=False, markup=False)
            console.print(
                printable(
                    f"Migration {item.id} ({item.status}): {item.source.uri} -> {item.target.uri}"
                )
            )
            print_report(report)


@app.command("map", epilog=EPILOG)
def map_(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids or names on either side; without any: all.", show_default=False),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print as CSV on stdout.")] = False,
    state: options.State = str(options.DEFAULT_STATE),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what became of what: ids at the source and on the target, names, version numbers."""
    with session(debug), StateStore.open(state, read_only=True) as store:
        rows = [dict(row) for row in _mapped(store, ids or [])]
        if not rows and ids:
            raise MigrateError(
                f"not in this state database: {', '.join(ids)}",
                "ids are those of experiments, runs and logged models, the names of registered "
                "models and prompts, and NAME/NUMBER of a version, on either side",
            )
        if json:
            print_json(rows)
        elif csv:
            _print_csv(rows)
        else:
            for row in rows:
                kind, original, copy, name = (
                    printable(row[column]) for column in ("kind", "source_id", "target_id", "name")
                )
                typer.echo(f"{kind} {original} -> {copy}  {name}")


def _mapped(store: StateStore, ids: list[str]) -> Iterator[Mapping[str, str]]:
    """Yield the entries of the map that are asked for: of each id, those of sources first."""
    if not ids:
        yield from store.id_map()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        asked = ids[start : start + _IDS_AT_ONCE]
        found = list(store.id_map(ids=asked))
        seen = set()
        for ident, side in product(asked, ("source_id", "target_id")):
            for row in found:
                key = (row["migration_id"], row["kind"], row["source_id"])
                if row[side] == ident and key not in seen:
                    seen.add(key)
                    yield row


def _print_csv(rows: Iterable[Mapping[str, str]]) -> None:
    columns = ("kind", "source_id", "target_id", "name", "migration_id", "source_uri", "target_uri")
    writer = csv_module.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: cell(row[column]) for column in columns} for row in rows)
