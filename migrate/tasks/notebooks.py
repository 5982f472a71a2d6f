"""Puts the notebook that a run was started from beside its files, as it was at that moment.

Names and the file ``manifest.json`` are those of mlflow-export-import, so that exports of either
tool are read alike. Only where copies are kept as files; a notebook cannot be written into another
workspace's history.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from migrate.endpoints.protocols import Source, Target
from migrate.errors import EndpointError, NotAuthenticated, Refused, Unavailable
from migrate.objects import NOTEBOOK_FORMATS, Artifact, ArtifactRoot
from migrate.outcomes import Loss
from migrate.tasks.batches import PATIENT_ATTEMPTS

#: Tags that Databricks writes on every run that a notebook starts.
PATH_TAG = "mlflow.databricks.notebookPath"
REVISION_TAG = "mlflow.databricks.notebookRevisionID"
FOLDER = "notebooks"
MANIFEST = f"{FOLDER}/manifest.json"


class Notebooks(NamedTuple):
    """What came of a run's notebook: files and bytes written, what is missing, and warnings."""

    files: int = 0
    bytes: int = 0
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()


NONE = Notebooks()


def copy_notebooks(
    tags: Mapping[str, str],
    formats: Sequence[str],
    source: Source,
    target: Target,
    root: ArtifactRoot,
    *,
    own_files: Collection[str],
    attempt: int,
) -> Notebooks:
    """Write the notebook that a run's ``tags`` name in these formats below ``root``.

    A notebook that is not to be had is a loss by name. ``own_files`` are those of the run itself,
    which stay as they are. Raises ``Unavailable`` while it is worth another attempt.
    """
    path = tags.get(PATH_TAG, "")
    if not formats or not path or not target.capabilities().keeps_notebooks:
        return NONE
    revision = tags.get(REVISION_TAG, "")
    if not revision:
        text = f"notebook {path}: the run does not say at which revision it was, so it is left out"
        return Notebooks(warnings=(text,))
    written: list[str] = []
    size = 0
    losses: list[Loss] = []
    for export_format in formats:
        name = file_name(path, export_format)
        if name in own_files:
            losses.append(Loss(f"notebook {path} as {export_format}", f"the run has a file {name}"))
            continue
        try:
            content = _read(source, path, revision, export_format, attempt)
            _write(target, root, name, content)
        except NotAuthenticated:
            raise
        except EndpointError as problem:
            losses.append(Loss(f"notebook {path} as {export_format}", str(problem)))
            continue
        written.append(export_format)
        size += len(content)
    if written and MANIFEST not in own_files:
        manifest = {PATH_TAG: path, REVISION_TAG: revision, "formats": written}
        content = (json.dumps(manifest, indent=2) + "\n").encode()
        _write(target, root, MANIFEST, content)
        return Notebooks(len(written) + 1, size + len(content), tuple(losses))
    return Notebooks(len(written), size, tuple(losses))


def file_name(path: str, export_format: str) -> str:
    """Return the path of a notebook's file among the files of a run."""
    return f"{FOLDER}/{path.rpartition('/')[2]}.{export_format.lower()}"


def notebook_files(tags: Mapping[str, str]) -> frozenset[str]:
    """Return the files that a copy may have for the notebook that a run's ``tags`` name."""
    path = tags.get(PATH_TAG, "")
    if not path:
        return frozenset()
    return frozenset({MANIFEST, *(file_name(path, one) for one in NOTEBOOK_FORMATS)})


def _read(source: Source, path: str, revision: str, export_format: str, attempt: int) -> bytes:
    """Return the notebook; what stays out of reach becomes an error that names the reason."""
    try:
        return source.notebook(path, revision, export_format)
    except Unavailable as problem:
        if attempt < PATIENT_ATTEMPTS:
            raise
        raise EndpointError(problem.message) from None


def _write(target: Target, root: ArtifactRoot, name: str, content: bytes) -> None:
    """Write one file. Raises ``Refused`` for a name that the target cannot take."""
    if name.rpartition("/")[2].startswith("."):
        raise Refused(f"a notebook without a name cannot be stored: {name!r}")
    target.artifacts.put(root, Artifact(name, len(content)), io.BytesIO(content))
