"""``export-all``, ``export-models`` and ``export-experiments``: from a server to a directory."""

from __future__ import annotations

from migrate.cli import bulk_options as bulk
from migrate.cli import options
from migrate.cli.app import session
from migrate.cli.bulk import directory, server, transfer
from migrate.cli.choices import Choices, parse_choices
from migrate.cli.manner import Manner, command


@command("export-all")
def export_all(
    output_dir: bulk.OutputDirectory,
    source: bulk.ExportSource = "",
    registry_uri: bulk.Registry = "",
    export_latest_versions: bulk.LatestVersions = False,
    stages: options.Stages = None,
    run_start_time: options.RunStartTime = None,
    runs_until: options.RunsUntil = None,
    export_deleted_runs: bulk.DeletedRuns = False,
    export_version_model: bulk.VersionModels = False,
    export_permissions: bulk.ExportPermissions = False,
    permission_users: options.PermissionUsers = None,
    notebook_formats: options.NotebookFormats = None,
    *,
    manner: Manner,
) -> None:
    """Export everything of a tracking server to a directory: models, experiments, runs, prompts.

    Called again, also after it was killed, it exports what is not there yet.
    """
    with session(manner.debug):
        choices = parse_choices(
            latest_versions=export_latest_versions,
            stages=stages,
            run_start_time=run_start_time,
            runs_until=runs_until,
            include_deleted=export_deleted_runs,
            version_models=export_version_model,
            permissions=export_permissions,
            users=permission_users,
            notebook_formats=notebook_formats,
            source_registry=registry_uri,
        )
        _export(source, output_dir, choices, manner)


@command("export-models")
def export_models(
    output_dir: bulk.OutputDirectory,
    models: bulk.Models = None,
    source: bulk.ExportSource = "",
    registry_uri: bulk.Registry = "",
    export_latest_versions: bulk.LatestVersions = False,
    export_all_runs: bulk.AllRuns = False,
    stages: options.Stages = None,
    run_start_time: options.RunStartTime = None,
    runs_until: options.RunsUntil = None,
    export_permissions: bulk.ExportPermissions = False,
    permission_users: options.PermissionUsers = None,
    export_deleted_runs: bulk.DeletedRuns = False,
    export_version_model: bulk.VersionModels = False,
    notebook_formats: options.NotebookFormats = None,
    *,
    manner: Manner,
) -> None:
    """Export registered models to a directory, with the runs and experiments they come from.

    Called again, also after it was killed, it exports what is not there yet.
    """
    with session(manner.debug):
        choices = parse_choices(
            models=models or ["all"],
            latest_versions=export_latest_versions,
            all_runs=export_all_runs,
            stages=stages,
            run_start_time=run_start_time,
            runs_until=runs_until,
            include_deleted=export_deleted_runs,
            version_models=export_version_model,
            permissions=export_permissions,
            users=permission_users,
            notebook_formats=notebook_formats,
            source_registry=registry_uri,
        )
        _export(source, output_dir, choices, manner)


@command("export-experiments")
def export_experiments(
    experiments: bulk.Experiments,
    output_dir: bulk.OutputDirectory,
    source: bulk.ExportSource = "",
    registry_uri: bulk.Registry = "",
    run_start_time: options.RunStartTime = None,
    runs_until: options.RunsUntil = None,
    export_permissions: bulk.ExportPermissions = False,
    permission_users: options.PermissionUsers = None,
    export_deleted_runs: bulk.DeletedRuns = False,
    notebook_formats: options.NotebookFormats = None,
    *,
    manner: Manner,
) -> None:
    """Export experiments with their runs and logged models to a directory.

    Called again, also after it was killed, it exports what is not there yet.
    """
    with session(manner.debug):
        choices = parse_choices(
            experiments=experiments,
            run_start_time=run_start_time,
            runs_until=runs_until,
            include_deleted=export_deleted_runs,
            permissions=export_permissions,
            users=permission_users,
            notebook_formats=notebook_formats,
            source_registry=registry_uri,
        )
        _export(source, output_dir, choices, manner)


def _export(source: str, output_dir: str, choices: Choices, manner: Manner) -> None:
    transfer(server(source, "--source"), directory(output_dir, "--output-dir"), choices, manner)
