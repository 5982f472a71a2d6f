"""What the six commands have in common: a selection and options, planned, copied and reported."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

from migrate import worker
from migrate.cli.app import print_json
from migrate.cli.choices import Choices
from migrate.cli.copying import exit_code
from migrate.cli.ends import Ends, ends_of
from migrate.cli.manner import Manner
from migrate.cli.migrations import carry_out, plan_anew, progress_view
from migrate.endpoints.addresses import Address
from migrate.errors import UsageError
from migrate.redaction import is_bare_login, shown_address
from migrate.views.report import print_report, report_as_json
from migrate.views.versions import print_versions
from state.store import StateStore

SERVER_SCHEMES = ("http://", "https://", "databricks:")


def transfer(
    source: str,
    target: str,
    choices: Choices,
    manner: Manner,
    *,
    take_over: bool = False,
    verbose: bool = False,
) -> None:
    """Plan and copy; print the report, and end the command with the exit code it stands for.

    It always plans anew: what an earlier call has copied, also one that was killed, is found on
    the target, and what the source has got since is copied as well. With ``verbose`` a table of
    all versions on the target follows.
    """
    workers = manner.at_a_time()
    ends = ends_of(
        source, target, choices, workers=workers, per_second=manner.max_requests_per_second
    )
    view = progress_view(json=manner.json, quiet=manner.quiet)
    executor = manner.chosen_executor()
    ends.check_executor(executor)
    ends.check()
    with StateStore.open(manner.state) as store:
        ends.claim()
        made = plan_anew(ends, choices, store)
        report = carry_out(
            made,
            ends,
            store,
            executor=executor,
            view=view,
            stored=False,
            take_over=take_over,
        )
    if manner.json:
        print_json(report_as_json(report))
    else:
        print_report(report, resume=_this_command())
        if verbose:
            _print_versions(ends)
    raise typer.Exit(exit_code(report))


def _print_versions(ends: Ends) -> None:
    target = worker.target_at(ends.target)
    print_versions(target.model_versions.list(list(target.registered_models.list())))


def _this_command() -> str:
    """Return this command line, as it can be pasted; never with a password."""
    program, *args = sys.argv
    shown = (shown_address(it) if "://" in it else it for it in args)
    return shlex.join([Path(program).name, *shown])


def server_or_store(uri: str, option: str) -> str:
    """Return the URI of a tracking server, or of what one keeps its records in. Raises likewise."""
    address = Address(uri=uri, side="source")
    is_store = uri and (address.is_database or address.is_file_store)
    return uri if is_store else server(uri, option)


def server_or_database(uri: str, option: str) -> str:
    """Return the URI of a tracking server, or of a database. Raises likewise."""
    is_database = bool(uri) and Address(uri=uri, side="target").is_database
    return uri if is_database else server(uri, option)


def server(uri: str, option: str) -> str:
    """Return the URI of a tracking server. Raises ``UsageError`` for anything else."""
    if not uri:
        raise UsageError(
            "no tracking server is named",
            f"set MLFLOW_TRACKING_URI, or give {option} http://host:port",
        )
    if uri != "databricks" and not uri.startswith(SERVER_SCHEMES):
        raise UsageError(
            f"{shown_address(uri)!r} is no tracking server",
            f"give its address, such as {option} http://host:port; for a file store or a "
            "database, start one: mlflow server --backend-store-uri ...",
        )
    return uri


def directory(path: str, option: str) -> str:
    """Return the address of a directory. Raises ``UsageError`` for a URI that is none."""
    if path.startswith(("file:", "dbfs:")):
        return path
    if "://" in path or not path or is_bare_login(path):
        raise UsageError(f"{option} {shown_address(path)!r} is no directory", "give a path")
    return str(Path(path).expanduser().absolute())
