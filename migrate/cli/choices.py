"""What the user chose about what to copy and how, checked and kept with the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from migrate.endpoints.artifacts.locations import absolute_root, check_root
from migrate.endpoints.tracking.passwords import check_password_file
from migrate.endpoints.tracking.workspaces import is_name
from migrate.errors import UsageError
from migrate.graph.left_out_kinds import parse_left_out
from migrate.graph.planner import new_migration_id
from migrate.graph.renames import NO_RENAMES, Renames, Rule, read_rules
from migrate.graph.selection import (
    ALL,
    NO_TRACES,
    Selection,
    candidate_names,
    parse_stages,
    parse_time,
    parse_tokens,
)
from migrate.kinds import ON_REQUEST, Kind
from migrate.objects import NOTEBOOK_FORMATS
from migrate.redaction import shown_address
from migrate.tasks.batches import MOST_PLACEHOLDERS, Policy
from migrate.tasks.carriers import CARRIERS
from migrate.tasks.experiment import TRASH_CHOICES

#: What becomes of files: they are copied, or copies point at where they are.
COPY, KEEP = "copy", "keep"
NAMES = "names of workspaces are made of letters, digits, '-', '_' and '.'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose about what to copy and how; kept with the plan as JSON values."""

    selection: Selection
    if_trashed: str = "fail"
    most_placeholders: int = MOST_PLACEHOLDERS
    #: Tells what is made in place of the target's registered models; empty: nothing is.
    replaces: str = ""
    locations: tuple[tuple[str, str], ...] = ()
    quick: bool = False
    repair: bool = False
    renames: Renames = NO_RENAMES
    source_tags: bool = False
    source_user: bool = False
    permissions: bool = False
    #: Users whose permissions are asked for, on servers that cannot list their users.
    users: tuple[str, ...] = ()
    #: The file that keeps the passwords of users made; empty where users are not copied.
    passwords: str = ""
    version_models: bool = False
    notebook_formats: tuple[str, ...] = ()
    #: Where registered models are, on either side, when not with all the rest.
    source_registry: str = ""
    target_registry: str = ""
    #: Where users are, of a server whose database is one of the sides.
    source_auth: str = ""
    target_auth: str = ""
    #: Roots of files that a side may send us to: folders of this machine, and URIs.
    source_artifacts: tuple[str, ...] = ()
    target_artifacts: tuple[str, ...] = ()
    #: Files stay where they are, and copies point at them.
    keeps_files: bool = False
    #: Of servers with workspaces; empty: what the environment says, or the default one.
    source_workspace: str = ""
    target_workspace: str = ""

    def as_options(self) -> dict[str, object]:
        """Return the choices as JSON values."""
        return {
            **self.selection.as_options(),
            "if_trashed": "" if self.if_trashed == "fail" else self.if_trashed,
            "most_placeholders": (
                None if self.most_placeholders == MOST_PLACEHOLDERS else self.most_placeholders
            ),
            "delete_model": self.replaces,
            "artifact_location_map": [list(pair) for pair in self.locations],
            "quick": self.quick,
            "repair": self.repair,
            "experiment_renames": [list(rule) for rule in self.renames.experiments],
            "model_renames": [list(rule) for rule in self.renames.models],
            "import_source_tags": self.source_tags,
            "use_src_user_id": self.source_user,
            "permissions": self.permissions,
            "permission_users": list(self.users),
            "users": self.passwords,
            "export_version_model": self.version_models,
            "notebook_formats": list(self.notebook_formats),
            # Credentials come from the environment when the plan is carried out later.
            "source_registry": shown_address(self.source_registry),
            "target_registry": shown_address(self.target_registry),
            "source_auth_database": shown_address(self.source_auth),
            "target_auth_database": shown_address(self.target_auth),
            "source_artifacts": list(self.source_artifacts),
            "target_artifacts": list(self.target_artifacts),
            "artifacts": KEEP if self.keeps_files else "",
            "source_workspace": self.source_workspace,
            "target_workspace": self.target_workspace,
        }

    @property
    def selects(self) -> bool:
        """True when any choice differs from what holds without options.

        Where files lie may be told later too, also to go on with a plan; a workspace tells, as
        its server does, which plan that is.
        """
        chosen = dataclasses.replace(
            self,
            source_artifacts=(),
            target_artifacts=(),
            source_workspace="",
            target_workspace="",
        )
        return chosen != Choices(selection=Selection())

    def over(self, others: Choices) -> Choices:
        """Return ``others`` with what was chosen here in its place."""
        default = Choices(selection=Selection())
        names = [field.name for field in dataclasses.fields(self)]
        chosen = {name for name in names if getattr(self, name) != getattr(default, name)}
        return dataclasses.replace(others, **{name: getattr(self, name) for name in chosen})

    def policy(self, migration_id: str) -> Policy:
        """Return what the tasks need to know of the choices."""
        return Policy(
            migration_id=migration_id,
            locations=self.locations,
            if_trashed=self.if_trashed,
            most_placeholders=self.most_placeholders,
            replaces=self.replaces,
            source_tags=self.source_tags,
            source_user=self.source_user,
            permissions=self.permissions,
            repair=self.repair,
            version_models=self.version_models,
            notebook_formats=self.notebook_formats,
        )


def parse_choices(
    *,
    experiments: Sequence[str] | None = None,
    run_start_time: str | None = None,
    runs_until: str | None = None,
    traces: str = ALL,
    trace_start_time: str | None = None,
    traces_until: str | None = None,
    kinds: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    include_deleted: bool = False,
    models: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    latest_versions: bool = False,
    all_runs: bool = False,
    if_trashed: str = "fail",
    most_placeholders: int = MOST_PLACEHOLDERS,
    delete_model: bool = False,
    location_map: Sequence[str] | None = None,
    quick: bool = False,
    repair: bool = False,
    experiment_renames: Path | None = None,
    model_renames: Path | None = None,
    source_tags: bool = False,
    source_user: bool = False,
    permissions: bool = False,
    users: Sequence[str] | None = None,
    with_users: bool = False,
    passwords: Path | None = None,
    version_models: bool = False,
    notebook_formats: Sequence[str] | None = None,
    source_registry: str = "",
    target_registry: str = "",
    source_auth: str = "",
    target_auth: str = "",
    source_artifacts: Sequence[str] | None = None,
    target_artifacts: Sequence[str] | None = None,
    artifacts: str = COPY,
    source_workspace: str = "",
    target_workspace: str = "",
) -> Choices:
    """Check the options of a command. Raises ``UsageError`` naming the bad one."""
    if if_trashed not in TRASH_CHOICES:
        raise UsageError(
            f"--if-trashed {if_trashed!r} is not a choice", f"use one of {', '.join(TRASH_CHOICES)}"
        )
    locations = []
    for pair in location_map or ():
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise UsageError(f"--artifact-location-map {pair!r} is not OLD=NEW")
        locations.append((old, new))
    start, until = _times("run", run_start_time=run_start_time, runs_until=runs_until)
    traces_from, traces_end = _times(
        "trace", trace_start_time=trace_start_time, traces_until=traces_until
    )
    if traces not in (ALL, NO_TRACES):
        raise UsageError(f"--traces {traces!r} is not a choice", f"use {ALL} or {NO_TRACES}")
    if artifacts not in (COPY, KEEP):
        raise UsageError(f"--artifacts {artifacts!r} is not a choice", f"use {COPY} or {KEEP}")
    if artifacts == KEEP and (target_artifacts or locations):
        raise UsageError(
            "with --artifacts keep files and locations stay as they are: neither "
            "--target-artifacts nor --artifact-location-map goes with it",
            "leave these out, or --artifacts keep",
        )
    selection = Selection(
        experiments=parse_tokens(experiments or ()),
        started_from=start,
        until=until,
        include_deleted=include_deleted,
        models=parse_tokens(models or ()),
        stages=parse_stages(stages or ()),
        latest_versions=latest_versions,
        all_runs=all_runs,
        traces=traces == ALL,
        traces_from=traces_from,
        traces_until=traces_end,
        without=parse_left_out(kinds or (), without or ()),
        requested=with_users or passwords is not None,
    )
    _check_kinds(selection)
    _check_models_options(selection)
    if (source_auth or target_auth) and not (selection.requested or permissions):
        raise UsageError(
            "--source-auth-database and --target-auth-database say where users and permissions "
            "are, and none are copied",
            "ask for them as well: --users FILE, or --permissions (--export-users and "
            "--export-permissions, --import-permissions of the commands that have these)",
        )
    return Choices(
        selection=selection,
        if_trashed=if_trashed,
        most_placeholders=most_placeholders,
        replaces=new_migration_id() if delete_model else "",
        locations=tuple(locations),
        quick=quick,
        repair=repair,
        renames=Renames(
            _rules(experiment_renames, "--experiment-rename-file"),
            _rules(model_renames, "--model-rename-file"),
        ),
        source_tags=source_tags,
        source_user=source_user,
        permissions=permissions,
        users=_users(users or (), permissions=permissions),
        passwords=_password_file(passwords),
        version_models=version_models,
        notebook_formats=parse_notebook_formats(notebook_formats or ()),
        source_registry=source_registry,
        target_registry=target_registry,
        source_auth=source_auth,
        target_auth=target_auth,
        source_artifacts=tuple(
            check_root(it, "--source-artifacts") for it in source_artifacts or ()
        ),
        target_artifacts=tuple(map(absolute_root, target_artifacts or ())),
        keeps_files=artifacts == KEEP,
        source_workspace=_workspace(source_workspace, "--source-workspace"),
        target_workspace=_workspace(target_workspace, "--target-workspace"),
    )


def _times(noun: str, **options: str | None) -> list[int | None]:
    """Return the two times that options set. Raises ``UsageError`` where nothing is between."""
    names = ["--" + name.replace("_", "-") for name in options]
    times = [
        None if value is None else parse_time(value, name)
        for name, value in zip(names, options.values(), strict=True)
    ]
    start, until = times
    if start is not None and until is not None and start >= until:
        raise UsageError(f"{names[0]} is not before {names[1]}: no {noun} can be both")
    return times


def _rules(path: Path | None, option: str) -> tuple[Rule, ...]:
    return read_rules(path, option) if path is not None else ()


def _users(values: Sequence[str], *, permissions: bool) -> tuple[str, ...]:
    if values and not permissions:
        raise UsageError(
            "--permission-users says whose permissions are copied, and none are",
            "ask for them as well: --permissions (--export-permissions of the export commands)",
        )
    return candidate_names(parse_tokens(values))


def _password_file(path: Path | None) -> str:
    if path is None:
        return ""
    path = path.expanduser().absolute()
    check_password_file(path)
    return str(path)


def parse_notebook_formats(values: Sequence[str]) -> tuple[str, ...]:
    """Return the formats that an option's values name, each once. Raises ``UsageError``."""
    named = {part.strip().upper() for value in values for part in value.split(",") if part.strip()}
    unknown = sorted(named - set(NOTEBOOK_FORMATS))
    if unknown:
        raise UsageError(
            f"--notebook-formats {unknown[0]!r} is no format of a Databricks notebook",
            f"the formats are {', '.join(NOTEBOOK_FORMATS)}",
        )
    return tuple(word for word in NOTEBOOK_FORMATS if word in named)


def _check_kinds(selection: Selection) -> None:
    """Raise ``UsageError`` where objects are named of a kind that is left out."""
    if all(map(selection.leaves_out_kind, Kind)):
        raise UsageError(
            "users and roles are copied on request only, and nothing else is chosen",
            "add --users FILE (--export-users of the export commands)",
        )
    if selection.requested and ON_REQUEST.issubset(selection.without):
        raise UsageError(
            "users are asked for, and --kinds or --without leave them out", "leave out one of both"
        )
    names = {"--experiments": selection.experiments, "--models": selection.models}
    for carrier in CARRIERS:
        option, kind = carrier.chosen_by, carrier.kind
        if names.get(option) and selection.leaves_out_kind(kind):
            raise UsageError(
                f"{option} names some, and --kinds or --without leave out all {kind.plural}",
                "what is copied of others is taken along without being named",
            )


def _check_models_options(selection: Selection) -> None:
    """Raise ``UsageError`` for an option that would do nothing beside the others."""
    for given, option in (
        (selection.stages, "--stages"),
        (selection.latest_versions, "--export-latest-versions"),
    ):
        if given and not selection.takes_registry:
            raise UsageError(
                f"{option} chooses versions of registered models; --experiments copies none",
                "name models as well, with --models",
            )
    if selection.all_runs and not selection.models:
        raise UsageError(
            "--export-all-runs goes with --models: without it, all runs are copied anyway",
            "leave it out, or name models with --models",
        )


def _workspace(name: str, option: str) -> str:
    if name and not is_name(name):
        raise UsageError(f"{option} {name!r} is no name of a workspace", NAMES)
    return name
