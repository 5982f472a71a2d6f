"""The files of versions of registered models, which an export may hold once more.

Below ``version_models/`` of a registered model's directory each version has a directory of the
files it is made of. Where a file could not be stored under its own name, ``<number>.names.jsonl``
beside that directory tells which one it has.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from migrate.endpoints.directory.layout import MODEL_FILE, VERSION_MODELS
from migrate.endpoints.directory.native.artifacts import (
    IncomingFiles,
    files_on_disk,
    names_given,
    open_stored,
)
from migrate.endpoints.disk import refuse_links, subdirectories, writing
from migrate.objects import Artifact

_INCOMING = ".incoming"


def version_artifacts(base: Path, folder: Path) -> list[Artifact]:
    """Return the files of a version. Raises ``DirectoryError`` for a link among them."""
    paths = {stored: path for path, stored in names_given(base, _names_file(folder)).items()}
    return [Artifact(paths.get(it, it), size) for it, size in files_on_disk(base, folder)]


def open_of_version(base: Path, folder: Path, artifact: Artifact) -> BinaryIO:
    """Open one. Raises ``NotFound``, and ``DirectoryError`` when it has another size."""
    stored_as = names_given(base, _names_file(folder)).get(artifact.path, artifact.path)
    return open_stored(base, folder, stored_as, artifact.size)


def has_files(folder: Path) -> bool:
    """Say whether there is anything in the directory of a version's files."""
    return folder.is_dir() and any(folder.iterdir())


class VersionFilesWriter:
    """Takes in files of versions, each of which appears whole; several threads may use it."""

    def __init__(self, base: Path, *, folds_case: bool) -> None:
        self._base = base
        self._folds_case = folds_case
        self._lock = Lock()
        self._incoming: dict[Path, IncomingFiles] = {}

    def put(
        self, folder: Path, artifact: Artifact, stream: BinaryIO, arrived: Callable[[int], None]
    ) -> None:
        """Take in one file of the version whose files are in ``folder``; see ``IncomingFiles``."""
        with self._lock:
            if folder not in self._incoming or not _work_of(folder).exists():  # deleted since
                self._incoming[folder] = self._begin(folder)
            files = self._incoming[folder]
        files.put(artifact, stream, arrived)

    def settle(self, models: Path) -> None:
        """Remove what only the writing needed, of earlier attempts too, below ``models``."""
        with self._lock:
            self._incoming.clear()
            for model in subdirectories(models):
                if not model.is_symlink() and (model / MODEL_FILE).exists():
                    for path in subdirectories(model / VERSION_MODELS):
                        if path.name.endswith(_INCOMING) and not path.is_symlink():
                            shutil.rmtree(path, ignore_errors=True)

    def _begin(self, folder: Path) -> IncomingFiles:
        work = _work_of(folder)
        for path in (folder, work, _names_file(folder)):
            refuse_links(self._base, path)
        with writing(work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        return IncomingFiles(
            folder, work, _names_file(folder), folds_case=self._folds_case, durable=True
        )


def forget_version_files(folder: Path) -> None:
    """Remove the files of a version that is deleted."""
    with writing(folder):
        for path in (folder, _work_of(folder)):
            if path.exists():
                shutil.rmtree(path)
        _names_file(folder).unlink(missing_ok=True)


def _work_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_INCOMING}")


def _names_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.names.jsonl")
