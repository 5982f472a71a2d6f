"""File stores written by five MLflow versions and a broken one, and what each holds, as noted."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from migrate.endpoints.filestore import FileStoreSource

DATA = Path(__file__).parents[1] / "data/filestores"
VERSIONS = ("1.30.1", "2.9.2", "2.22.5", "3.8.1", "3.17.2")
#: Where each was when it was filled, which its files still say.
OLD_ROOT = "/data/ml/mlruns"


def unpacked(version: str, folder: Path, *, in_place: bool = False) -> Path:
    """Return a file store of its own below a folder; ``in_place``: its files say that it is there.

    Git and archives drop empty folders, so that it has none.
    """
    with tarfile.open(DATA / f"filestore-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    root = folder / "mlruns"
    if in_place:
        for path in root.rglob("*.yaml"):
            path.write_text(path.read_text().replace(OLD_ROOT, str(root)))
    return root


def manifest(version: str) -> dict[str, Any]:
    """Return what was noted of a file store when it was filled."""
    found: dict[str, Any] = json.loads((DATA / f"filestore-{version}.json").read_text())
    return found


def listing(root: Path) -> dict[str, tuple[str, int]]:
    """Return the content of every file by its path, as a digest, and when it was written (ns).

    Of a folder, only the latter.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        digest = hashlib.sha256(content).hexdigest()
        found[path.relative_to(root).as_posix()] = (digest, path.lstat().st_mtime_ns)
    return found


def opened(root: Path) -> FileStoreSource:
    """Return a file store as a source."""
    return FileStoreSource(root, side="source")
