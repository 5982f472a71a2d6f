"""Names in an export directory: what each file is called, and how unsafe names are escaped.

A name of the server that every common file system takes is used as it is. Any other name is
replaced by ``<readable part>~<digest><extension>``; names that look like such a replacement are
replaced themselves, so no two names meet. The original name is kept in a JSON file beside.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

FORMAT_VERSION = 1
EXPORT_FILE_VERSION = "2"  # of mlflow-export-import, whose importer reads these files too

OURS = "mlflow_migrate"  # our member of the ``system`` block

EXPERIMENTS_FILE = "experiments.json"
EXPERIMENT_FILE = "experiment.json"
RUN_FILE = "run.json"
LOGGED_MODEL_FILE = "logged_model.json"
LOGGED_MODELS_FILE = "logged_models.json"
MODEL_FILE = "model.json"
MODELS_FILE = "models.json"
VERSION_FILE = "version.json"
TRACE_FILE = "trace.json"
#: The index of an experiment's traces, and among the files of one, the dump of its spans.
TRACES_FILE = "traces.json"
SPANS_FILE = "spans.json"
PROMPT_FILE = "prompt.json"
PROMPTS_FILE = "prompts_summary.json"
MANIFEST_FILE = "manifest.json"
SIDECAR_FILE = "migrate.json"
LOSSES_FILE = "losses.json"
LOCK_FILE = ".migrate.lock"
RUNS = "runs"
ARTIFACTS = "artifacts"
LOGGED_MODELS = "logged_models"
VERSIONS = "versions"
VERSION_MODELS = "version_models"  # of export-model and the tools for several models
VERSION_MODEL = "version_model"  # of export-model-version
TRACES = "traces"
EXPERIMENTS = "experiments"
MODELS = "models"
PROMPTS = "prompts"
EVALUATION_DATASETS = "evaluation_datasets"
#: Directories of an export that are neither an experiment nor a run.
NOT_OBJECTS = frozenset(
    {RUNS, ARTIFACTS, LOGGED_MODELS, TRACES, EXPERIMENTS, MODELS, PROMPTS, EVALUATION_DATASETS}
)
#: The name of the directory of a version of a prompt.
PROMPT_VERSION = re.compile(r"(.+)_v([0-9]{1,18})\Z", re.S)

_NAME_BYTES = 255
_ID_BYTES = 200  # leaves room for the names of half-made and replaced directories
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_WINDOWS_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CLOCK\$|(COM|LPT)[0-9¹²³]) *(\.|\Z)", re.I)
_LOOKS_ESCAPED = re.compile(r"~[0-9a-f]{16}(\.[a-z0-9]{1,12})?\Z", re.I)
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,12}\Z")
_NOT_READABLE = re.compile(r"[^A-Za-z0-9_-]+")
_READABLE_CHARS = 40


def _is_safe(name: str, most_bytes: int) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:  # half a surrogate pair: no file system takes it
        return False
    return (
        0 < length <= most_bytes
        and name[-1] not in ". "  # also "." and ".."; Windows drops both at the end
        and not _UNSAFE.search(name)
        and not _WINDOWS_DEVICE.match(name)
        and not _LOOKS_ESCAPED.search(name)
    )


def escaped(name: str, apart: str = "") -> str:
    """Return the replacement of a name: always the same, always safe, never another's.

    ``apart`` gives the same name a second replacement; it has a ``/``, which no name has.
    """
    extension = _EXTENSION.search(name)
    suffix = extension.group() if extension else ""
    readable = _NOT_READABLE.sub("_", name.removesuffix(suffix))[:_READABLE_CHARS]
    digest = hashlib.sha256((name + apart).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{readable}~{digest}{suffix}"


def file_name(part: str) -> str:
    """Return the name under which one part of an artifact's path is stored."""
    return part if _is_safe(part, _NAME_BYTES) else escaped(part)


def directory_name(ident: str) -> str:
    """Return the name of the directory of an experiment, run or model."""
    hidden = ident.startswith(".")  # such names are half-made directories and temporary files
    taken = ident in NOT_OBJECTS or ident.endswith(".json")
    if hidden or taken or not _is_safe(ident, _ID_BYTES):
        return escaped(ident)
    return ident


def experiment_directory(base: Path, experiment_id: str) -> Path:
    """Return where an experiment is written."""
    return base / directory_name(experiment_id)


def registry_names(name: str) -> tuple[str, str]:
    """Return the name on disk of what has one in a registry, or a file of its own, and the one
    where that is another's.

    Names that differ only by case meet on a file system that takes them for the same.
    """
    return directory_name(name), escaped(name)


def partial_directory(place: Path) -> Path:
    """Return where a run or logged model is put together before it gets its name."""
    return place.with_name(f".{place.name}.partial")


def replaced_directory(place: Path) -> Path:
    """Return where the old copy of one rests while the new one takes its place."""
    return place.with_name(f".{place.name}.replaced")


def name_of_partial(name: str) -> str | None:
    """Return the name that a half-made directory is to get; None when it is not one."""
    return _between(name, ".partial")


def name_of_replaced(name: str) -> str | None:
    """Return the name that a replaced directory had; None when it is not one."""
    return _between(name, ".replaced")


def _between(name: str, end: str) -> str | None:
    if name.startswith(".") and name.endswith(end) and len(name) > len(end) + 1:
        return name[1 : -len(end)]
    return None
