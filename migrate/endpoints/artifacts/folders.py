"""Collects the files of all folders below an artifact root, from a function that lists one."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from migrate.errors import EndpointError
from migrate.objects import Artifact

#: Folders in folders: a path of so many parts is no longer one that somebody made.
DEEPEST = 200
#: Folders above one that list just the same, from which on it is taken for one that contains
#: itself: two or three of the same name in each other are not rare.
ALIKE = 8

Item = Mapping[str, Any]


class _Folder(NamedTuple):
    path: str
    #: What each folder above it lists, hashed, from the root on.
    above: tuple[int, ...]


def walk(list_folder: Callable[[str], Iterable[Item]]) -> list[Artifact]:
    """Return every file, sorted by path.

    ``list_folder`` returns the members of a folder (empty: the root) as MLflow lists them, with
    paths from the root on. Markers of folders are no files.

    Raises ``EndpointError`` for folders without end: one that is not below the folder that lists
    it, that contains itself (as by a symbolic link), or is deeper than reason.
    """
    files: list[Artifact] = []
    folders = [_Folder("", ())]
    while folders:
        folder = folders.pop()
        items = list(list_folder(folder.path))
        alike = _fingerprint(folder.path, items)
        below = (*folder.above, alike)
        for item in items:
            if not item.get("is_dir"):
                if _marks_folder(folder.path, item):
                    continue
                files.append(Artifact(item["path"], int(item.get("file_size") or 0)))
                continue
            _refuse_endless(folder, item["path"], folder.above.count(alike))
            folders.append(_Folder(item["path"], below))
    files.sort()
    return files


def _marks_folder(folder: str, item: Item) -> bool:
    """Say whether an entry is the empty object that consoles of S3-like storages make of a folder.

    It has the folder's own path (read in ``S3ArtifactRepository`` of 1.30 and 2.9), or one that
    ends in a slash; neither can be that of a file.
    """
    path = item["path"]
    is_own = posixpath.normpath(path) == (folder or ".")
    return (is_own or path.endswith("/")) and not int(item.get("file_size") or 0)


def _fingerprint(folder: str, items: Iterable[Item]) -> int:
    """Return what is alike for two folders that list the same names and sizes."""
    names = (
        (item["path"].removeprefix(folder).lstrip("/"), item.get("is_dir"), item.get("file_size"))
        for item in items
    )
    return hash(frozenset((name, bool(is_dir), str(size)) for name, is_dir, size in names))


def _refuse_endless(folder: _Folder, path: str, alike: int) -> None:
    name = path.removeprefix(f"{folder.path}/") if folder.path else path
    place = f"folder {folder.path!r} of the artifacts" if folder.path else "the artifacts' root"
    if (name == path and folder.path) or not name.strip("/") or name in (".", ".."):
        raise EndpointError(f"{place} lists the folder {path!r}, which is not below it")
    if alike >= ALIKE:
        raise EndpointError(
            f"{place} lists the same as {alike} folders above it: it contains itself",
            "is there a symbolic link to a folder above, where the artifacts are stored?",
        )
    if len(folder.above) >= DEEPEST:
        raise EndpointError(f"{place} is the {DEEPEST}th in a row, and is not the last")
