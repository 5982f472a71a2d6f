"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from migrate.executors.chosen import ExecutorName

DEFAULT_STATE = Path(".migrate") / "state.db"
ENDPOINT_FORMS = "a tracking URI (http(s)://host:port, databricks[://profile]) or a directory"

_SOURCE_HELP = (
    f"Where to copy from: {ENDPOINT_FORMS}; or, without a server, a file store (./mlruns) or a "
    "database (sqlite:///FILE, postgresql://..., mysql://...)."
)
Source = Annotated[str, typer.Argument(help=_SOURCE_HELP)]
_TARGET_HELP = (
    f"Where to copy to: {ENDPOINT_FORMS}; or, with --target-artifacts, a database "
    "(sqlite:///FILE, postgresql://..., mysql://...), which may be new."
)
Target = Annotated[str, typer.Argument(help=_TARGET_HELP)]
OptionalSource = Annotated[str | None, typer.Argument(help=_SOURCE_HELP)]
OptionalTarget = Annotated[str | None, typer.Argument(help=_TARGET_HELP)]
Experiments = Annotated[
    list[str] | None,
    typer.Option(
        "--experiments",
        help="Names, ids, 'prefix*', 'all', comma lists of these, or a .txt file with one a "
        "line; may be repeated. Without it and --models: the whole server.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        help="Registered models, with what they are made of: names, 'prefix*', 'all', comma "
        "lists of these, or a .txt file with one a line; may be repeated.",
    ),
]
Stages = Annotated[
    list[str] | None,
    typer.Option(
        "--stages",
        help="Of registered models, only versions in these stages: None, Staging, Production, "
        "Archived, or a comma list; may be repeated.",
    ),
]
LatestVersions = Annotated[
    bool,
    typer.Option(
        "--export-latest-versions", help="Of registered models, only each stage's newest version."
    ),
]
AllRuns = Annotated[
    bool,
    typer.Option(
        "--export-all-runs",
        help="With --models: all runs of the experiments that the models' runs are in.",
    ),
]
RunStartTime = Annotated[
    str | None,
    typer.Option(help="Only runs started at this UTC time or later: YYYY-MM-DD[ HH:MM:SS]."),
]
RunsUntil = Annotated[
    str | None, typer.Option(help="Only runs started before this UTC time: YYYY-MM-DD[ HH:MM:SS].")
]


def traces_option(*names: str) -> Any:
    """Return the option that says whether traces are copied, under the names of a command."""
    return typer.Option(
        *names,
        metavar="all|none",
        help="Traces of the experiments: all, or none; none are missed then.",
    )


Traces = Annotated[str, traces_option("--traces")]
TraceStartTime = Annotated[
    str | None,
    typer.Option(help="Only traces begun at this UTC time or later: YYYY-MM-DD[ HH:MM:SS]."),
]
TracesUntil = Annotated[
    str | None, typer.Option(help="Only traces begun before this UTC time: YYYY-MM-DD[ HH:MM:SS].")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kinds",
        help="Only these kinds of objects, with what they need: experiments, runs, "
        "registered-models and so on, or a comma list of these; may be repeated. Others are not "
        "missed.",
    ),
]
WithoutKinds = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="KINDS",
        help="All but these kinds, written as for --kinds; what others need of them is copied.",
    ),
]
IncludeDeleted = Annotated[
    bool, typer.Option("--include-deleted", help="Copy deleted experiments and runs too.")
]
IfTrashed = Annotated[
    str,
    typer.Option(
        help="When an experiment's name is held by one in the target's trash: fail (before "
        "anything is written), restore (that one, with its runs) or rename (the copy)."
    ),
]
MostPlaceholders = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Pass over up to so many numbers of versions in one registered model or prompt; each "
        "takes two requests. Versions behind a larger gap are left out.",
    ),
]
DeleteModel = Annotated[
    bool,
    typer.Option(
        "--delete-model",
        help="Delete registered models and prompts that the target has under the same name, and "
        "make them anew with every version's number; those copied before and whole stay.",
    ),
]
LocationMap = Annotated[
    list[str] | None,
    typer.Option(
        "--artifact-location-map",
        metavar="OLD=NEW",
        help="Give experiments whose artifact location begins with OLD one that begins with "
        "NEW. Without it: the target's default location. May be repeated.",
    ),
]
ExperimentRenames = Annotated[
    Path | None,
    typer.Option(
        "--experiment-rename-file",
        metavar="FILE",
        help="Lines old_name,new_name: experiments whose name is, or begins with, old_name get "
        "new_name in its place on the target; the first line that fits holds.",
    ),
]
ModelRenames = Annotated[
    Path | None,
    typer.Option(
        "--model-rename-file", metavar="FILE", help="The same for registered models and prompts."
    ),
]
SourceTags = Annotated[
    bool,
    typer.Option(
        "--import-source-tags",
        help="Put into tags (mlflow_exim.…) of the copies what their originals were.",
    ),
]
SourceUser = Annotated[
    bool,
    typer.Option(
        "--use-src-user-id",
        help="Set the tag mlflow.user of each run to the user who ran it at the source. Not on "
        "Databricks, which knows its own users only.",
    ),
]
CopyPermissions = Annotated[
    bool,
    typer.Option(
        "--permissions",
        help="Copy users' permissions on experiments, registered models, prompts, and whatever "
        "else has some.",
    ),
]
PermissionUsers = Annotated[
    list[str] | None,
    typer.Option(
        "--permission-users",
        help="Whose permissions: names, or a .txt file with one a line; needed where a server "
        "cannot list its users (MLflow before 3.10). May be repeated.",
    ),
]
Users = Annotated[
    Path | None,
    typer.Option(
        "--users",
        metavar="FILE",
        help="Copy users and roles of MLflow's basic-auth app too. New users get random passwords, "
        "which are added to FILE (mode 0600); whom the target has already is left alone.",
    ),
]
VersionModels = Annotated[
    bool,
    typer.Option(
        "--export-version-model",
        help="Into a directory: the files of every version of a registered model once more, "
        "as MLflow downloads them for models:/name/version.",
    ),
]
NotebookFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--notebook-formats",
        help="From Databricks into a directory: the notebooks of runs, as SOURCE, HTML, JUPYTER "
        "or DBC, or a comma list of these; may be repeated.",
    ),
]
SourceAuth = Annotated[
    str,
    typer.Option(
        "--source-auth-database",
        metavar="URI",
        help="From a database, where users or permissions are asked for: that of its server's "
        "basic-auth app (sqlite:///basic_auth.db).",
    ),
]
TargetAuth = Annotated[
    str,
    typer.Option(
        "--target-auth-database",
        metavar="URI",
        help="The same of a database as the target. Between two of them users keep passwords.",
    ),
]
SourceRegistry = Annotated[
    str,
    typer.Option(
        "--source-registry-uri",
        envvar="MIGRATE_SOURCE_REGISTRY_URI",
        help="Where the source keeps registered models, when that is another server.",
    ),
]
TargetRegistry = Annotated[
    str,
    typer.Option(
        "--target-registry-uri",
        envvar="MIGRATE_TARGET_REGISTRY_URI",
        help="Where the target keeps registered models, when that is another server.",
    ),
]
SourceArtifacts = Annotated[
    list[str] | None,
    typer.Option(
        "--source-artifacts",
        metavar="ROOT",
        help="Read files of the source that it keeps below this folder from this machine's disk. "
        "Also a URI such as hdfs://namenode/mlflow, or a storage that its server signs URLs for, "
        "such as http://minio:9000. May be repeated.",
    ),
]
TargetArtifacts = Annotated[
    list[str] | None,
    typer.Option(
        "--target-artifacts",
        metavar="ROOT",
        help="Write files that the target keeps below this folder to this machine's disk, which "
        "is the target's too. Also a URI such as hdfs://namenode/mlflow, or a storage that its "
        "server signs URLs for, such as http://minio:9000. May be repeated. For a "
        "database: the one place below which all files go, a folder or s3://bucket/path.",
    ),
]
Artifacts = Annotated[
    str,
    typer.Option(
        "--artifacts",
        metavar="copy|keep",
        help="Into a database: keep leaves all files where the source has them, and copies point "
        "at these places; copy, the default, copies them.",
    ),
]
SourceWorkspace = Annotated[
    str,
    typer.Option(
        "--source-workspace",
        metavar="NAME",
        help="Copy from this workspace of the source; without it, from its default one.",
    ),
]
TargetWorkspace = Annotated[
    str,
    typer.Option(
        "--target-workspace",
        metavar="NAME",
        help="Copy into this workspace of the target; without it, into its default one.",
    ),
]
AllWorkspaces = Annotated[
    bool,
    typer.Option(
        "--all-workspaces",
        help="One workspace of the source after the other, each into the one of its name; migrate "
        "run makes those that the target lacks.",
    ),
]
WorkspaceMap = Annotated[
    list[str] | None,
    typer.Option(
        "--workspace-map",
        metavar="OLD=NEW",
        help="With --all-workspaces: copy the workspace OLD into NEW. May be repeated.",
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="On a later run, trust finished runs that look unchanged in a search: do not look "
        "for metric points or files added to them since.",
    ),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Go on where another migration says on the target that it is writing there: only "
        "when you know that it has stopped.",
    ),
]
Repair = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="Compare all copies with their originals in full, as migrate verify --contents does, "
        "and mend what differs on the target.",
    ),
]
Workers = Annotated[
    int, typer.Option(min=1, max=256, help="Requests under way at a time, on each side.")
]
MaxRequests = Annotated[
    float | None,
    typer.Option(
        "--max-requests-per-second", min=0.01, help="Requests started in a second, on each side."
    ),
]
State = Annotated[
    str,
    typer.Option(help="State database: a file, or a SQLAlchemy URL.", envvar="MIGRATE_STATE"),
]
Graph = Annotated[
    Path | None,
    typer.Option(
        "--graph",
        help="Draw the plan into this file: .svg a picture, .html a page, .mmd a Mermaid "
        "flowchart, .json all objects and needs.",
    ),
]
Why = Annotated[
    str | None,
    typer.Option(
        "--why",
        metavar="REF",
        help="Show, in place of the plan, why an object is in it and what it needs: kind:id, "
        "or an id or name that only one object has.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Debug = Annotated[
    bool, typer.Option("--debug", help="Log every retry, and show the traceback of an error.")
]

Executor = Annotated[
    ExecutorName | None,
    typer.Option(
        help="What carries out the copying: threads of this process, other processes of this "
        "machine, the workers of a Dask cluster, or serial: one task after the other.",
        show_default="threads",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="With --executor processes, which it implies: how many; as many as there are "
        "processors without it. They share --workers and --max-requests-per-second.",
    ),
]
Dask = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="With --executor dask, which it implies: the address of the scheduler, such as "
        "tcp://host:8786. Needs mlflow-migrate[dask], on the workers too.",
    ),
]
