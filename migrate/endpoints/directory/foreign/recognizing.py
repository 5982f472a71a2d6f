"""Says what a place is that is no export, and what to do with it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from migrate.endpoints.directory.layout import (
    EXPERIMENT_FILE,
    EXPERIMENTS,
    EXPERIMENTS_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    MODELS,
    MODELS_FILE,
    RUN_FILE,
    VERSION_FILE,
)
from migrate.endpoints.file_stores import (
    STORE_ID,
    file_store_around,
    folders_in,
    is_file_store,
    visible_names,
)

#: What a directory with such a file is, where it is not an export that can be read.
_PARTS = {
    RUN_FILE: ("is the export of a single run", "import the experiment it belongs to"),
    "evaluation_datasets_summary.json": (
        "is an export of evaluation datasets alone, which are not copied",
        "name another one",
    ),
    "traces.json": ("is an export of traces alone, which are not copied", "name another one"),
    VERSION_FILE: (
        "is the export of a single version without its registered model",
        "export the registered model it belongs to",
    ),
    MANIFEST_FILE: (
        "holds no experiments; exports of mlflow-export-import before 1.2.0, which have only a"
        " manifest.json, are not read",
        "export again with mlflow-export-import 1.2.0 or later, or with mlflow-migrate",
    ),
}
_SQLITE = b"SQLite format 3\0"


def what_it_is(path: Path) -> tuple[str, str]:
    """Return what is wrong with a place as an export, and what to do. Raises ``DirectoryError``."""
    if not path.is_dir():
        return _no_directory(path)
    store = file_store_around(path)
    if store is not None:
        return _file_store(path, store)
    names = visible_names(path)
    if not names:
        return f"export directory {path} is empty", "check the path"
    if _has_files_only(path):
        return _files_only(path)
    for name, (what, hint) in _PARTS.items():
        if name in names:
            return f"{path} {what}", hint
    return f"{path} is no export: there is no {EXPERIMENTS_FILE} in it", _meant(path)


def _no_directory(path: Path) -> tuple[str, str]:
    if not os.path.lexists(path):
        return f"export directory {path} does not exist", "check the path"
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(_SQLITE)) == _SQLITE:
                    return (
                        f"{path} is a SQLite database, not an export",
                        f"to copy from it, name it as one: sqlite:///{path}",
                    )
    return f"export directory {path} is not a directory", "check the path"


def _file_store(path: Path, store: Path) -> tuple[str, str]:
    what = "is an MLflow file store" if store == path else f"is in the MLflow file store {store}"
    return (
        f"{path} {what}, not an export; file stores are read, and never written",
        f"to copy from it, name {store} as the source",
    )


def _has_files_only(path: Path) -> bool:
    """Say whether a folder has the files of experiments whose records are in a database."""
    around = (it for it in folders_in(path) if STORE_ID.match(it.name))
    places = (it for experiment in around for it in folders_in(experiment))
    return any((it / "artifacts").is_dir() or it.name == MODELS for it in places)


def _files_only(path: Path) -> tuple[str, str]:
    database = path.parent / "mlflow.db"
    named = str(database) if database.is_file() else "FILE"
    return (
        f"{path} has files of runs and no records of them: those are in a database",
        f"name that as the source: sqlite:///{named} --source-artifacts {path}",
    )


def _meant(path: Path) -> str:
    """Return a hint: where below ``path`` there is something that could be copied."""
    for place in folders_in(path):
        if any(os.path.lexists(place / name) for name in _SIGNS):
            return f"there is one in {place}: name that"
        if is_file_store(place):
            return f"there is an MLflow file store in {place}: name that"
        if _has_files_only(place):
            what, hint = _files_only(place)
            return f"{what}. {hint}"
    return "check the path"


_SIGNS = (
    EXPERIMENTS_FILE,
    f"{EXPERIMENTS}/{EXPERIMENTS_FILE}",
    f"{MODELS}/{MODELS_FILE}",
    MANIFEST_FILE,
    EXPERIMENT_FILE,
    MODEL_FILE,
)
