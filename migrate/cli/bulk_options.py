"""Options of the six commands that export and import in bulk, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from migrate.cli.options import traces_option

OutputDirectory = Annotated[
    str, typer.Option("--output-dir", help="Directory to export to: new, empty, or an export.")
]
InputDirectory = Annotated[str, typer.Option("--input-dir", help="Directory to import from.")]
ExportSource = Annotated[
    str,
    typer.Option(
        "--source",
        envvar="MLFLOW_TRACKING_URI",
        help="Tracking server, file store or database to export from.",
    ),
]
ImportTarget = Annotated[
    str,
    typer.Option(
        "--target",
        envvar="MLFLOW_TRACKING_URI",
        help="Tracking server to import into, or a database with --target-artifacts.",
    ),
]
Registry = Annotated[
    str,
    typer.Option(
        "--registry-uri",
        envvar="MLFLOW_REGISTRY_URI",
        help="Where the server's registered models are, when that is another one.",
    ),
]
Experiments = Annotated[
    list[str],
    typer.Option(
        "--experiments",
        help="Experiments: names or ids, 'prefix*' of names, 'all', a comma list of these, or a "
        ".txt file with one a line. May be repeated.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        help="Registered models: names, 'prefix*', 'all', a comma list of these, or a .txt file "
        "with one a line. May be repeated. Without it: all.",
        show_default=False,
    ),
]
LatestVersions = Annotated[
    bool,
    typer.Option(
        "--export-latest-versions",
        help="Only the newest version of each stage of a registered model, not all versions.",
    ),
]
AllRuns = Annotated[
    bool,
    typer.Option(
        "--export-all-runs",
        help="All runs of the experiments that the models' runs are in, not only those runs.",
    ),
]
DeletedRuns = Annotated[
    bool,
    typer.Option(
        "--export-deleted-runs",
        help="Deleted runs too, also those of deleted experiments.",
    ),
]
VersionModels = Annotated[
    bool,
    typer.Option(
        "--export-version-model",
        help="The files of every version once more, as MLflow downloads models:/name/version.",
    ),
]
ExportPermissions = Annotated[
    bool,
    typer.Option(
        "--export-permissions",
        help="Permissions on experiments and registered models: those of Databricks, and of "
        "MLflow's basic-auth app.",
    ),
]
ImportPermissions = Annotated[
    bool,
    typer.Option(
        "--import-permissions",
        help="Grant the exported permissions again; nobody's are taken away.",
    ),
]
ExportUsers = Annotated[
    bool,
    typer.Option(
        "--export-users", help="Users and roles of MLflow's basic-auth app, without passwords."
    ),
]
ExportTraces = Annotated[str, traces_option("--export-traces", "--traces")]
ImportTraces = Annotated[str, traces_option("--import-traces", "--traces")]
DeleteModel = Annotated[
    bool,
    typer.Option(
        "--delete-model",
        help="If a registered model exists, first delete it and all its versions. What an "
        "earlier import copied whole stays.",
    ),
]
ExperimentRenames = Annotated[
    Path | None,
    typer.Option(
        "--experiment-rename-file",
        "--experiment-name-replacements-file",
        metavar="FILE",
        help="Lines old_name,new_name: experiments whose name is, or begins with, old_name get "
        "new_name in its place; the first line that fits holds.",
    ),
]
UseThreads = Annotated[
    bool | None,
    typer.Option(
        "--use-threads/--no-use-threads",
        help="Work in parallel. Without it: one request after the other.",
        show_default="False",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        help="With --use-threads: how many requests are under way at a time. Given alone, it "
        "means --use-threads.",
        show_default="8",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Show a table of every version that is on the target."),
]
