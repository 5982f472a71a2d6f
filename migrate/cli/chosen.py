"""The options of ``plan``, ``run`` and ``verify`` that say what is copied and how."""

from __future__ import annotations

from dataclasses import dataclass, fields

from migrate.cli import options
from migrate.cli.choices import COPY, Choices, parse_choices
from migrate.graph.selection import ALL
from migrate.tasks.batches import MOST_PLACEHOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparingOptions:
    """What a comparison has to know, named as the parameters of ``parse_choices``."""

    experiments: options.Experiments = None
    run_start_time: options.RunStartTime = None
    runs_until: options.RunsUntil = None
    traces: options.Traces = ALL
    trace_start_time: options.TraceStartTime = None
    traces_until: options.TracesUntil = None
    kinds: options.Kinds = None
    without: options.WithoutKinds = None
    include_deleted: options.IncludeDeleted = False
    models: options.Models = None
    stages: options.Stages = None
    latest_versions: options.LatestVersions = False
    all_runs: options.AllRuns = False
    experiment_renames: options.ExperimentRenames = None
    model_renames: options.ModelRenames = None
    source_tags: options.SourceTags = False
    source_user: options.SourceUser = False
    permissions: options.CopyPermissions = False
    users: options.PermissionUsers = None
    passwords: options.Users = None
    source_registry: options.SourceRegistry = ""
    target_registry: options.TargetRegistry = ""
    source_auth: options.SourceAuth = ""
    target_auth: options.TargetAuth = ""
    source_artifacts: options.SourceArtifacts = None
    target_artifacts: options.TargetArtifacts = None
    artifacts: options.Artifacts = COPY
    source_workspace: options.SourceWorkspace = ""
    target_workspace: options.TargetWorkspace = ""

    def choices(self) -> Choices:
        """Check them all. Raises ``UsageError`` naming the bad one."""
        return parse_choices(**{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyingOptions(ComparingOptions):
    """What copying has to know besides."""

    if_trashed: options.IfTrashed = "fail"
    most_placeholders: options.MostPlaceholders = MOST_PLACEHOLDERS
    delete_model: options.DeleteModel = False
    location_map: options.LocationMap = None
    version_models: options.VersionModels = False
    notebook_formats: options.NotebookFormats = None
    quick: options.Quick = False
    repair: options.Repair = False
