"""Files of a server that are on this machine's disk too, below a root that the user named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from migrate.endpoints.artifacts.locations import Location
from migrate.endpoints.disk import open_file, partial_file, refuse_links, writing
from migrate.errors import Refused
from migrate.objects import Artifact

CHUNK = 1 << 20


class DiskFiles:
    """The files below ``location.folder``. No link below it is followed, and no ``..``."""

    def __init__(self, location: Location) -> None:
        self._folder = location.folder

    def exists(self) -> bool:
        """Say whether the folder is on this disk."""
        return self._folder.is_dir()

    def list_files(self) -> list[Artifact]:
        """Return every file; a link is listed as one, and cannot be opened."""
        files = []
        for place, folders, names in os.walk(self._folder):
            links = [name for name in folders if (Path(place) / name).is_symlink()]
            for name in (*names, *links):
                path = Path(place) / name
                below = path.relative_to(self._folder).as_posix()
                files.append(Artifact(below, path.lstat().st_size))
        return sorted(files)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """Open one file. Raises ``DirectoryError``, for what is a link too, and ``Refused``."""
        with open_file(self._folder, self._place(artifact)) as stream:
            yield stream

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """Write one file, whole or not at all. Raises likewise, and ``StorageFull``."""
        path = self._place(artifact)
        refuse_links(self._folder, path)
        partial = partial_file(path)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        refuse_links(self._folder, partial)
        try:
            with writing(path), partial.open("wb") as copy:
                while chunk := stream.read(CHUNK):
                    copy.write(chunk)
            with writing(path):
                os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _place(self, artifact: Artifact) -> Path:
        parts = PurePosixPath(artifact.path).parts
        if not parts or artifact.path.startswith("/") or ".." in parts or "\0" in artifact.path:
            raise Refused(f"the name {artifact.path!r} leads out of its folder")
        return self._folder.joinpath(*parts)
