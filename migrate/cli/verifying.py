"""``migrate verify``: reads both ends and compares."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from migrate.cli import options
from migrate.cli.app import EPILOG, app, print_json, session
from migrate.cli.choices import Choices
from migrate.cli.chosen import ComparingOptions
from migrate.cli.ends import Ends, ends_of, stored_ends
from migrate.cli.groups import expanded
from migrate.cli.migrations import compare_ends, resume_plan
from migrate.cli.stored_choices import choices_of
from migrate.cli.workspaces import Done, Move, asks_for_all, go_through, moves_between
from migrate.errors import EXIT_INCOMPLETE, EXIT_OK, StateError, UsageError
from migrate.plans import Report
from migrate.verify import Comparison, explain
from migrate.views.layout import result_console, say
from migrate.views.verify import differences_as_json, print_differences
from state.store import StateStore


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
