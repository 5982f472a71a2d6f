"""The record of an experiment and its permissions, in experiment.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from migrate.endpoints.answers import PermissionsWritten
from migrate.endpoints.directory.layout import EXPERIMENT_FILE
from migrate.endpoints.directory.native.envelope import mlflow_member
from migrate.endpoints.directory.native.kept_permissions import (
    PERMISSIONS,
    change_of,
    with_permissions,
)
from migrate.endpoints.directory.native.records import experiment_from_json
from migrate.endpoints.disk import DAMAGED, load_object, write_object
from migrate.endpoints.shapes import Object, required
from migrate.errors import DirectoryError, Malformed
from migrate.objects import Permissions


def change_experiment(
    base: Path, directory: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Change the ``mlflow.experiment`` member; nothing is written when it stays as it is."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    existing = experiment_in(path, document)
    wanted = dict(existing)
    change(wanted)
    if wanted != existing:
        document["mlflow"]["experiment"] = wanted
        write_object(path, document)


def keep_permissions(base: Path, directory: Path, wanted: Permissions) -> PermissionsWritten:
    """Write permissions into experiment.json in place of others; not when it has them already."""
    path = directory / EXPERIMENT_FILE
    document = load_object(base, path)
    existing = mlflow_member(path, document)
    if existing.get(PERMISSIONS) != wanted.document:
        document["mlflow"] = with_permissions(existing, dict(wanted.document))
        write_object(path, document)
    return change_of(path, existing, wanted)


def experiment_in(path: Path, document: Mapping[str, Any]) -> Object:
    """Return what experiment.json, which was read from ``path``, says of its experiment."""
    try:
        found = required(mlflow_member(path, document), "experiment")
        experiment_from_json(found, path.parent.name)
    except Malformed as error:
        raise DirectoryError(f"{path} is damaged: {error}", DAMAGED) from error
    return found
