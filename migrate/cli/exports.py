"""``export-all``, ``export-models`` and ``export-experiments``: from a server to a directory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from migrate.cli import bulk_options as bulk
from migrate.cli import options
from migrate.cli.app import session
from migrate.cli.bulk import directory, server_or_store, transfer
from migrate.cli.choices import parse_choices
from migrate.cli.manner import Manner, command
from migrate.graph.selection import ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Which runs and traces are exported, named as the parameters of ``parse_choices``."""

    run_start_time: options.RunStartTime = None
    runs_until: options.RunsUntil = None
    traces: bulk.ExportTraces = ALL
    trace_start_time: options.TraceStartTime = None
    traces_until: options.TracesUntil = None
    kinds: options.Kinds = None
    without: options.WithoutKinds = None
    include_deleted: bulk.DeletedRuns = False
    permissions: bulk.ExportPermissions = False
    users: options.PermissionUsers = None
    with_users: bulk.ExportUsers = False
    notebook_formats: options.NotebookFormats = None
    repair: options.Repair = False
    source_registry: bulk.Registry = ""
    source_auth: options.SourceAuth = ""
    source_artifacts: options.SourceArtifacts = None
    source_workspace: options.SourceWorkspace = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOptions:
    """Which versions of registered models are exported; named likewise."""

    latest_versions: bulk.LatestVersions = False
    stages: options.Stages = None
    version_models: bulk.VersionModels = False


@command("export-all")
def export_all(
    output_dir: bulk.OutputDirectory,
    source: bulk.ExportSource = "",
    *,
    versions: VersionOptions,
    runs: RunOptions,
    manner: Manner,
) -> None:
    """Export everything of a tracking server to a directory: models, experiments, runs, prompts.

    Called again, also after it was killed, it exports what is not there yet.
    """
    _export(source, output_dir, manner, **_values(versions), **_values(runs))


@command("export-models")
def export_models(
    output_dir: bulk.OutputDirectory,
    models: bulk.Models = None,
    all_runs: bulk.AllRuns = False,
    source: bulk.ExportSource = "",
    *,
    versions: VersionOptions,
    runs: RunOptions,
    manner: Manner,
) -> None:
    """Export registered models to a directory, with the runs and experiments they come from.

    Called again, also after it was killed, it exports what is not there yet.
    """
    chosen = {"models": models or ["all"], "all_runs": all_runs}
    _export(source, output_dir, manner, **chosen, **_values(versions), **_values(runs))


@command("export-experiments")
def export_experiments(
    experiments: bulk.Experiments,
    output_dir: bulk.OutputDirectory,
    source: bulk.ExportSource = "",
    *,
    runs: RunOptions,
    manner: Manner,
) -> None:
    """Export experiments with their runs and logged models to a directory.

    Called again, also after it was killed, it exports what is not there yet.
    """
    _export(source, output_dir, manner, experiments=experiments, **_values(runs))


def _values(group: RunOptions | VersionOptions) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)}


def _export(source: str, output_dir: str, manner: Manner, **chosen: Any) -> None:
    """Export what is ``chosen``, by the parameters of ``parse_choices``."""
    with session(manner.debug):
        choices = parse_choices(**chosen)
        target = directory(output_dir, "--output-dir")
        transfer(server_or_store(source, "--source"), target, choices, manner)
