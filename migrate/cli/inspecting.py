"""Commands that only look: ``migrate status``, ``migrate verify`` and ``migrate map``."""

from __future__ import annotations

import csv as csv_module
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Annotated

import typer
from rich.console import Console

from migrate.cli import options
from migrate.cli.app import EPILOG, app, print_json, session
from migrate.cli.choices import Choices
from migrate.cli.chosen import ComparingOptions
from migrate.cli.groups import expanded
from migrate.cli.migrations import (
    Ends,
    compare_ends,
    ends_of,
    resume_plan,
    stored_ends,
)
from migrate.cli.stored_choices import choices_of
from migrate.cli.workspaces import Done, Move, asks_for_all, go_through, moves_between
from migrate.errors import EXIT_INCOMPLETE, EXIT_OK, MigrateError, StateError, UsageError
from migrate.plans import Report
from migrate.verify import Comparison, explain
from migrate.views.layout import result_console, say
from migrate.views.report import print_report, report_as_json
from migrate.views.verify import differences_as_json, print_differences
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


@app.command(epilog=EPILOG)
@expanded
def verify(
    source: options.OptionalSource = None,
    target: options.OptionalTarget = None,
    *,
    chosen: ComparingOptions,
    contents: Annotated[
        bool,
        typer.Option("--contents", help="Read every file on both ends and compare contents."),
    ] = False,
    all_workspaces: options.AllWorkspaces = False,
    workspace_map: options.WorkspaceMap = None,
    workers: options.Workers = 8,
    max_requests_per_second: options.MaxRequests = None,
    state: options.State = str(options.DEFAULT_STATE),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Read both ends in full and compare. Without SOURCE and TARGET: the last migration's.

    Exit code 0 when all that is selected could be compared and nothing differs beyond losses the
    migration reported, else 3: also when there are objects of kinds that are not copied.
    """
    with session(debug):
        choices = chosen.choices()
        if source is None:
            with StateStore.open(state, read_only=True) as store:
                last = resume_plan(None, store)
            ends = stored_ends(last, workers, max_requests_per_second)
            choices = choices.over(choices_of(last))
            ends = ends.chosen(choices)
        else:
            if target is None:
                raise UsageError("TARGET is needed", "migrate verify SOURCE TARGET")
            ends = ends_of(
                source, target, choices, workers=workers, per_second=max_requests_per_second
            )
        if asks_for_all(all_workspaces, workspace_map):
            if source is None:
                raise UsageError(
                    "SOURCE and TARGET are needed", "migrate verify SOURCE TARGET --all-workspaces"
                )
            code = _verify_each(
                ends, choices, workspace_map or (), state, contents=contents, json=json
            )
            raise typer.Exit(code)
        result = _compared(ends, choices, state, contents=contents)
        if json:
            print_json(differences_as_json(result))
        else:
            _print_compared(ends, choices, result)
        raise typer.Exit(_exit_code(result))


def _compared(ends: Ends, choices: Choices, state: str, *, contents: bool) -> Comparison:
    """Compare two ends, neither of which is written to.

    What has no copy says why, where the state database knows of a migration between the two.
    """
    ends = ends.only_read()
    ends.check()
    result = compare_ends(ends, choices, contents=contents)
    if result.lacks_copies and (report := _remembered(ends, state)) is not None:
        explain(result, report)
    return result


def _remembered(ends: Ends, state: str) -> Report | None:
    """Return the report of the migration between two ends; None where no state database has it."""
    try:
        with StateStore.open(state, read_only=True) as store:
            migration_id = store.find_migration(*ends.identities())
            return store.report(migration_id) if migration_id else None
    except StateError:
        return None


def _print_compared(ends: Ends, choices: Choices, result: Comparison) -> None:
    again = f"migrate run {ends.source.shown} {ends.target.shown} --repair"
    more = " (with the same selection)" if choices.selects else ""
    print_differences(result, repair=again + more)


def _exit_code(result: Comparison) -> int:
    return EXIT_OK if result.complete else EXIT_INCOMPLETE


def _verify_each(
    ends: Ends, choices: Choices, pairs: Sequence[str], state: str, *, contents: bool, json: bool
) -> int:
    """Compare workspace by workspace, and return the exit code of all together."""

    def verified(move: Move, both: Ends, chosen: Choices) -> Done:
        if not move.exists:
            lacks = partial(say, result_console(), "The target does not have it.", "bold red")
            return Done(lambda: {"missing": True}, lacks, EXIT_INCOMPLETE)
        result = _compared(both, chosen, state, contents=contents)
        return Done(
            lambda: {"missing": False, **differences_as_json(result)},
            lambda: _print_compared(both, chosen, result),
            _exit_code(result),
        )

    moves = moves_between(ends, choices, pairs)
    return go_through(moves, ends, choices, verified, json=json)


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
