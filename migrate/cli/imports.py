"""``import-all``, ``import-models`` and ``import-experiments``: from a directory to a server."""

from __future__ import annotations

from migrate.cli import bulk_options as bulk
from migrate.cli import options
from migrate.cli.app import session
from migrate.cli.bulk import directory, server, transfer
from migrate.cli.choices import parse_choices
from migrate.cli.manner import Manner, command


@command("import-all", "import-models")
def import_models(
    input_dir: bulk.InputDirectory,
    target: bulk.ImportTarget = "",
    registry_uri: bulk.Registry = "",
    delete_model: bulk.DeleteModel = False,
    import_permissions: bulk.ImportPermissions = False,
    experiment_rename_file: bulk.ExperimentRenames = None,
    model_rename_file: options.ModelRenames = None,
    import_source_tags: bulk.SourceTags = False,
    use_src_user_id: bulk.SourceUser = False,
    if_trashed: options.IfTrashed = "fail",
    artifact_location_map: options.LocationMap = None,
    verbose: bulk.Verbose = False,
    *,
    manner: Manner,
) -> None:
    """Import everything in a directory: experiments, runs, registered models, prompts.

    import-all and import-models are the same. Called again, also after it was killed, it imports
    what is not there yet.
    """
    with session(manner.debug):
        choices = parse_choices(
            # What was exported as deleted was asked for then.
            include_deleted=True,
            delete_model=delete_model,
            permissions=import_permissions,
            experiment_renames=experiment_rename_file,
            model_renames=model_rename_file,
            source_tags=import_source_tags,
            source_user=use_src_user_id,
            if_trashed=if_trashed,
            location_map=artifact_location_map,
            target_registry=registry_uri,
        )
        source, server_uri = directory(input_dir, "--input-dir"), server(target, "--target")
        transfer(source, server_uri, choices, manner, verbose=verbose)


@command("import-experiments")
def import_experiments(
    input_dir: bulk.InputDirectory,
    target: bulk.ImportTarget = "",
    registry_uri: bulk.Registry = "",
    import_permissions: bulk.ImportPermissions = False,
    import_source_tags: bulk.SourceTags = False,
    use_src_user_id: bulk.SourceUser = False,
    experiment_rename_file: bulk.ExperimentRenames = None,
    if_trashed: options.IfTrashed = "fail",
    artifact_location_map: options.LocationMap = None,
    *,
    manner: Manner,
) -> None:
    """Import the experiments in a directory, with their runs and logged models.

    The runs are added to experiments of the same name. Called again, also after it was killed, it
    imports what is not there yet.
    """
    with session(manner.debug):
        choices = parse_choices(
            experiments=["all"],
            # What was exported as deleted was asked for then.
            include_deleted=True,
            permissions=import_permissions,
            source_tags=import_source_tags,
            source_user=use_src_user_id,
            experiment_renames=experiment_rename_file,
            if_trashed=if_trashed,
            location_map=artifact_location_map,
            target_registry=registry_uri,
        )
        source, server_uri = directory(input_dir, "--input-dir"), server(target, "--target")
        transfer(source, server_uri, choices, manner)
