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
                        f"{path} is a SQLite database, not an export; databases of MLflow cannot"
                        " be read directly yet",
                        _serve(f"sqlite:///{path}"),
                    )
    return f"export directory {path} is not a directory", "check the path"


def _file_store(path: Path, store: Path) -> tuple[str, str]:
    what = "is an MLflow file store" if store == path else f"is in the MLflow file store {store}"
    return (
        f"{path} {what}, not an export; file stores cannot be read directly yet, nor written",
        _serve(str(store), "MLFLOW_ALLOW_FILE_STORE=true "),
    )


def _serve(backend: str, environment: str = "") -> str:
    return (
        f"to copy from it, start {environment}mlflow server --backend-store-uri {backend} --port"
        " 5555, and name http://127.0.0.1:5555 in its place"
    )


def _meant(path: Path) -> str:
    """Return a hint: where below ``path`` there is something that could be copied."""
    for place in folders_in(path):
        if any(os.path.lexists(place / name) for name in _SIGNS):
            return f"there is one in {place}: name that"
        if is_file_store(place):
            return f"there is an MLflow file store in {place}. {_file_store(place, place)[1]}"
    return "check the path"


_SIGNS = (
    EXPERIMENTS_FILE,
    f"{EXPERIMENTS}/{EXPERIMENTS_FILE}",
    f"{MODELS}/{MODELS_FILE}",
    MANIFEST_FILE,
    EXPERIMENT_FILE,
    MODEL_FILE,
)
