"""``import-all``, ``import-models`` and ``import-experiments``: from a directory to a server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from migrate.cli import bulk_options as bulk
from migrate.cli import options
from migrate.cli.app import session
from migrate.cli.bulk import directory, server_or_database, transfer
from migrate.cli.choices import parse_choices
from migrate.cli.manner import Manner, command
from migrate.graph.selection import ALL
from migrate.tasks.batches import MOST_PLACEHOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What becomes of what is imported, named as the parameters of ``parse_choices``."""

    kinds: options.Kinds = None
    without: options.WithoutKinds = None
    target_registry: bulk.Registry = ""
    target_auth: options.TargetAuth = ""
    target_artifacts: options.TargetArtifacts = None
    target_workspace: options.TargetWorkspace = ""
    traces: bulk.ImportTraces = ALL
    trace_start_time: options.TraceStartTime = None
    traces_until: options.TracesUntil = None
    permissions: bulk.ImportPermissions = False
    passwords: options.Users = None
    experiment_renames: bulk.ExperimentRenames = None
    source_tags: options.SourceTags = False
    source_user: options.SourceUser = False
    if_trashed: options.IfTrashed = "fail"
    location_map: options.LocationMap = None
    repair: options.Repair = False


@command("import-all", "import-models")
def import_models(
    input_dir: bulk.InputDirectory,
    target: bulk.ImportTarget = "",
    delete_model: bulk.DeleteModel = False,
    model_renames: options.ModelRenames = None,
    take_over: options.TakeOver = False,
    most_placeholders: options.MostPlaceholders = MOST_PLACEHOLDERS,
    verbose: bulk.Verbose = False,
    *,
    imported: ImportOptions,
    manner: Manner,
) -> None:
    """Import everything in a directory: experiments, runs, registered models, prompts.

    import-all and import-models are the same. Called again, also after it was killed, it imports
    what is not there yet.
    """
    chosen = {
        "delete_model": delete_model,
        "model_renames": model_renames,
        "most_placeholders": most_placeholders,
    }
    _import(input_dir, target, imported, manner, take_over, verbose=verbose, **chosen)


@command("import-experiments")
def import_experiments(
    input_dir: bulk.InputDirectory,
    target: bulk.ImportTarget = "",
    take_over: options.TakeOver = False,
    *,
    imported: ImportOptions,
    manner: Manner,
) -> None:
    """Import the experiments in a directory, with their runs and logged models.

    The runs are added to experiments of the same name. Called again, also after it was killed, it
    imports what is not there yet.
    """
    _import(input_dir, target, imported, manner, take_over, experiments=["all"])


def _import(
    input_dir: str,
    target: str,
    imported: ImportOptions,
    manner: Manner,
    take_over: bool,
    *,
    verbose: bool = False,
    **chosen: Any,
) -> None:
    """Import what is ``chosen``, by the parameters of ``parse_choices``."""
    with session(manner.debug):
        given = {field.name: getattr(imported, field.name) for field in fields(imported)}
        # What was exported as deleted was asked for then.
        choices = parse_choices(include_deleted=True, **given, **chosen)
        source = directory(input_dir, "--input-dir")
        target = server_or_database(target, "--target")
        transfer(source, target, choices, manner, take_over=take_over, verbose=verbose)
