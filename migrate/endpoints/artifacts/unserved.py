"""Finds the files that a database or file store names, without its server.

They are below roots of this machine, or in the storage of a cloud. ``mlflow-artifacts:/x`` says
only that something is behind a server: where that keeps files, the user has to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

from migrate.endpoints.artifacts.disk import DiskFiles
from migrate.endpoints.artifacts.locations import Location, Roots, Way, disk_path, locate
from migrate.endpoints.artifacts.repositories import Repositories, place_of
from migrate.endpoints.artifacts.stores import ArtifactStore, CloudStore
from migrate.errors import NotPermitted
from migrate.objects import Artifact, ArtifactRoot

#: Ids that no other object has: of runs, logged models and traces.
_ID = re.compile(r"[0-9a-f]{32}|m-[0-9a-f]{32}|tr-[0-9a-f]{32}")
_HINT = "name the folder that has its files with --source-artifacts"


class UnservedArtifacts:
    """Implements ``ReadsArtifacts``; ``roots`` are those that the user named.

    ``own`` are folders of the source itself, which are roots as well, but of no server's proxy.
    """

    def __init__(self, roots: Roots, side: str, own: Sequence[Path] = ()) -> None:
        self._roots = roots
        self._all = roots._replace(folders=[*own, *roots.folders])
        self._repositories = Repositories(side)

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        """See ``ReadsArtifacts.list``. Raises ``NotPermitted`` for a place that is not used."""
        return self.store(root).list_files()

    def open(self, root: ArtifactRoot, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open``."""
        return self.store(root).open(artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``: there are none."""
        return {}

    def location(self, root: ArtifactRoot) -> str:
        """See ``ReadsArtifacts.location``."""
        stated = disk_path(root.uri)
        if stated is None or (stated.is_absolute() and stated.is_dir()):
            return root.uri
        moved = _first_with_files([*self._moved(stated)])
        if moved is None and not any(map(_ID.fullmatch, stated.parts)):
            # That of an experiment, which has no id that no other store has: by its last part.
            folders = [folder / stated.name for folder in self._all.folders]
            moved = next((self._in(it) for it in folders if stated.name and it.is_dir()), None)
        if moved is None:
            return root.uri
        return moved.folder.as_uri() if root.uri.startswith("file:") else str(moved.folder)

    def doubts(self, locations: Sequence[str], shown: str) -> Sequence[str]:
        """Return a sentence for the user where the roots that are named may be the wrong ones.

        They have the folder of none of these ``locations`` of experiments of the source, which is
        ``shown`` so, that are behind a server's proxy.
        """
        behind = [below for below in map(below_proxy, locations) if below]
        folders = [root / below for root in self._roots.folders for below in behind]
        if not folders or any(folder.is_dir() for folder in folders):
            return ()
        return (
            f"whether {shown} has files is not known: no experiment of it has a folder below "
            "--source-artifacts (is it the server's --artifacts-destination?)",
        )

    def is_elsewhere(self, uri: str) -> bool:
        """Say whether a location is on a disk, and not where files are read."""
        return disk_path(uri) is not None and self._locate(uri).way is not Way.DISK

    def close(self) -> None:
        """End what was started to reach clouds."""
        self._repositories.close()

    def store(self, root: ArtifactRoot) -> ArtifactStore:
        """Return the files at ``root``. Raises ``NotPermitted`` for a place that is not used."""
        below = below_proxy(root.uri)
        if below is not None:
            return DiskFiles(self._behind_proxy(root, below))
        location = self._locate(root.uri)
        if location.way is Way.REPOSITORY:
            return CloudStore(root.uri, "", self._repositories)
        if location.way is Way.DISK and location.folder.is_dir():
            return DiskFiles(location)
        stated = disk_path(root.uri)
        moved = _first_with_files([*self._moved(stated)] if stated is not None else [])
        is_there = stated is not None and stated.is_absolute() and stated.is_dir()
        if location.way is not Way.DISK and (moved is None or (is_there and _is_empty(moved))):
            raise NotPermitted(f"{place_of(root.uri)} is not read: {location.reason}", _HINT)
        return DiskFiles(moved or location)  # one below a root that is not made has no files

    def _behind_proxy(self, root: ArtifactRoot, below: str) -> Location:
        """Return where the server of the source keeps what is ``below`` its artifact proxy."""
        if not self._roots.folders:
            raise NotPermitted(
                f"{root.uri} is behind the server of this source, which does not say where",
                "name the folder that the server has as --artifacts-destination "
                "(./mlartifacts, where it has none) with --source-artifacts",
            )
        found = [self._in(folder / below) for folder in self._roots.folders]
        return next((it for it in found if it.folder.is_dir()), found[0])

    def _in(self, folder: Path) -> Location:
        location = self._locate(str(folder))
        if location.way is not Way.DISK:
            raise NotPermitted(f"{folder} is not read: {location.reason}", _HINT)
        return location

    def _locate(self, uri: str) -> Location:
        return locate(uri, "", self._all)

    def _moved(self, stated: Path) -> Iterator[Location]:
        """Yield where the folder may be now: the longest end of its path that is below a root.

        An end counts that holds the id of a run, logged model or trace, so that it can be no
        other's. Where only the folder of the experiment is there, the object has no files.
        """
        parts = PurePosixPath(str(stated).replace("\\", "/")).parts
        places = [place for place, part in enumerate(parts) if _ID.fullmatch(part)]
        for folder in self._all.folders if places else ():
            for start in range(1, places[-1] + 1):
                moved = folder.joinpath(*parts[start:])
                around = folder.joinpath(*parts[start : places[-1]])
                is_around = start < places[-1] and around.is_dir()
                if ".." not in parts and (moved.is_dir() or is_around):
                    yield self._in(moved)


def _first_with_files(places: Sequence[Location]) -> Location | None:
    """Return the first place with files, else the first.

    An empty one may be what a store has for each run, wherever that has its files.
    """
    return next((it for it in places if not _is_empty(it)), places[0] if places else None)


def _is_empty(location: Location) -> bool:
    return not location.folder.is_dir() or not any(location.folder.iterdir())


def below_proxy(uri: str) -> str | None:
    """Return the path behind a server's artifact proxy, whichever host it names."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return parts.path.strip("/") if parts.scheme == "mlflow-artifacts" else None
