"""``migrate plan`` and ``migrate run``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from migrate.cli import options
from migrate.cli.app import EPILOG, app, print_json, session
from migrate.cli.choices import Choices
from migrate.cli.chosen import CopyingOptions
from migrate.cli.ends import Ends, ends_of, stored_ends
from migrate.cli.groups import expanded
from migrate.cli.migrations import (
    carry_out,
    check_not_stale,
    plan_anew,
    progress_view,
    resume_plan,
    waiting_plan,
)
from migrate.cli.stored_choices import choices_of
from migrate.cli.workspaces import Done, Move, asks_for_all, go_through, moves_between
from migrate.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_OK, UsageError
from migrate.executors.chosen import Chosen, ExecutorName
from migrate.graph.why import explain
from migrate.plans import Plan, Report
from migrate.redaction import shown_address
from migrate.views.plan import plan_as_json, print_plan
from migrate.views.report import print_report, report_as_json
from migrate.views.why import print_why, why_as_json
from state.store import StateStore


@app.command(epilog=EPILOG)
@expanded
def plan(
    source: options.Source,
    target: options.Target,
    *,
    chosen: CopyingOptions,
    all_workspaces: options.AllWorkspaces = False,
    workspace_map: options.WorkspaceMap = None,
    workers: options.Workers = 8,
    max_requests_per_second: options.MaxRequests = None,
    graph: options.Graph = None,
    why: options.Why = None,
    state: options.State = str(options.DEFAULT_STATE),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Read both ends, show what would be done, and store it for migrate run. Copies nothing.

    A directory or database that is the target is made where there is none yet.
    """
    with session(debug):
        choices = chosen.choices()
        if graph is not None:
            from migrate.views.graph import check_graph_path, write_graph

            check_graph_path(graph)
        ends = ends_of(source, target, choices, workers=workers, per_second=max_requests_per_second)
        if asks_for_all(all_workspaces, workspace_map):
            if graph is not None or why is not None:
                raise UsageError(
                    "--graph and --why are about one plan, and each workspace has its own",
                    "name one with --source-workspace and --target-workspace",
                )
            _plan_each(ends, choices, workspace_map or (), state, json=json)
            return
        ends.check()
        with StateStore.open(state) as store:
            made = plan_anew(ends, choices, store, waits=True)
        if graph is not None:
            write_graph(made, graph)
        if why is not None:
            found = explain(made, why)
            if json:
                print_json(why_as_json(found))
            else:
                print_why(found)
        elif json:
            print_json(plan_as_json(made))
        else:
            print_plan(made)


def _plan_each(
    ends: Ends, choices: Choices, pairs: Sequence[str], state: str, *, json: bool
) -> None:
    """Plan workspace by workspace, those too that the target is still to get."""
    moves = moves_between(ends, choices, pairs)
    with StateStore.open(state) as store:

        def planned(move: Move, both: Ends, chosen: Choices) -> Done:
            both = both if move.exists else both.before_made()
            both.check()
            made = plan_anew(both, chosen, store, waits=True)
            told = {"exists": move.exists, "plan": plan_as_json(made)}
            return Done(lambda: told, lambda: print_plan(made))

        go_through(moves, ends, choices, planned, json=json)


@app.command(epilog=EPILOG)
@expanded
def run(
    source: options.OptionalSource = None,
    target: options.OptionalTarget = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the stored plan; failed tasks are tried again."),
    ] = False,
    *,
    chosen: CopyingOptions,
    serial: Annotated[
        bool, typer.Option("--serial", help="One task after the other, without threads.")
    ] = False,
    executor: options.Executor = None,
    processes: options.Processes = None,
    dask: options.Dask = "",
    take_over: options.TakeOver = False,
    all_workspaces: options.AllWorkspaces = False,
    workspace_map: options.WorkspaceMap = None,
    workers: options.Workers = 8,
    max_requests_per_second: options.MaxRequests = None,
    state: options.State = str(options.DEFAULT_STATE),
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Copy: carry out the plan that waits, or plan first when there is none.

    A plan waits when migrate plan made it, or when an earlier run did not finish it; options
    that select something make a new one. What is copied already is not copied again.
    """
    with session(debug):
        choices = chosen.choices()
        if resume and choices.selects:
            raise UsageError(
                "--resume goes on with the stored plan, so it takes no selection",
                "leave out --resume to plan anew: what is copied already is not copied again",
            )
        ends = _given_ends(source, target, choices, workers, max_requests_per_second, resume)
        how = How(
            executor=chosen_executor(executor, processes, dask, serial=serial),
            take_over=take_over,
            json=json,
            quiet=quiet,
        )
        if asks_for_all(all_workspaces, workspace_map):
            if ends is None or resume:
                raise UsageError(
                    "--all-workspaces goes on with what is not done whenever it is run",
                    "write migrate run SOURCE TARGET --all-workspaces, without --resume",
                )
            raise typer.Exit(_copy_each(ends, choices, workspace_map or (), state, how))
        with StateStore.open(state, must_exist=resume) as store:
            if resume:
                made = resume_plan(ends, store)
                if ends is None:
                    ends = stored_ends(made, workers, max_requests_per_second).chosen(choices)
                ends = ends.chosen(choices_of(made))
                ends.check_executor(how.executor)
                ends.check()
                ends.claim()
                check_not_stale(made, ends)
                report = how.carry_out(made, ends, store, stored=True)
            else:
                assert ends is not None
                report = _copy(ends, choices, store, how)
        if json:
            print_json(report_as_json(report))
        else:
            print_report(report, resume=_resume_line(state))
        raise typer.Exit(exit_code(report))


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How plans are carried out, and shown meanwhile."""

    executor: Chosen
    take_over: bool
    json: bool
    quiet: bool

    def carry_out(self, made: Plan, ends: Ends, store: StateStore, *, stored: bool) -> Report:
        """See ``migrate.cli.migrations.carry_out``."""
        return carry_out(
            made,
            ends,
            store,
            executor=self.executor,
            view=progress_view(json=self.json, quiet=self.quiet),
            stored=stored,
            take_over=self.take_over,
        )


def chosen_executor(
    name: ExecutorName | None, processes: int | None, address: str, *, serial: bool
) -> Chosen:
    """Return what the options of ``migrate run`` say. Raises ``UsageError``."""
    if serial and (name or processes or address):
        raise UsageError("--serial is an executor itself", "leave out one of the two")
    return Chosen.of(ExecutorName.SERIAL if serial else name, processes, address)


def _copy(ends: Ends, choices: Choices, store: StateStore, how: How) -> Report:
    """Carry out the plan that waits between these ends, or plan first."""
    ends.check_executor(how.executor)
    ends.check()
    waiting = None if choices.selects else waiting_plan(ends, store)
    if waiting is not None:
        # The end that is claimed has to be the one that is written to.
        ends = ends.chosen(choices_of(waiting))
    ends.claim()
    made = waiting or plan_anew(ends, choices, store)
    return how.carry_out(made, ends, store, stored=waiting is not None)


def _copy_each(ends: Ends, choices: Choices, pairs: Sequence[str], state: str, how: How) -> int:
    """Copy workspace by workspace, and return the exit code of all together."""
    again = f"migrate run {ends.source.shown} {ends.target.shown} --all-workspaces"
    with StateStore.open(state) as store:

        def copied(move: Move, both: Ends, chosen: Choices) -> Done:
            report = _copy(both, chosen, store, how)
            return Done(
                lambda: {"report": report_as_json(report)},
                lambda: print_report(report, resume=again),
                exit_code(report),
            )

        moves = moves_between(ends, choices, pairs, make=True)
        return go_through(moves, ends, choices, copied, json=how.json)


def _resume_line(state: str) -> str:
    """Return the command that goes on, as it can be pasted; never with a password."""
    if state == str(options.DEFAULT_STATE):
        return "migrate run --resume"
    return f"migrate run --resume --state {shlex.quote(shown_address(state))}"


def _given_ends(
    source: str | None,
    target: str | None,
    choices: Choices,
    workers: int,
    per_second: float | None,
    resume: bool,
) -> Ends | None:
    if source is not None and target is not None:
        return ends_of(source, target, choices, workers=workers, per_second=per_second)
    if source is not None or not resume:
        raise UsageError(
            "SOURCE and TARGET are needed",
            "migrate run SOURCE TARGET, or migrate run --resume to go on with the last one",
        )
    return None


def exit_code(report: Report) -> int:
    """Return the exit code that a report stands for."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_OK if report.complete else EXIT_INCOMPLETE
