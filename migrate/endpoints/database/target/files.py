"""Where the files of what is written to a database go: below one root that the user named."""

from __future__ import annotations

from typing import BinaryIO

from migrate.endpoints.artifacts.disk import DiskFiles
from migrate.endpoints.artifacts.locations import Roots, Way, roots_of
from migrate.endpoints.artifacts.repositories import place_of
from migrate.endpoints.artifacts.stores import ArtifactStore, CloudStore
from migrate.endpoints.artifacts.unserved import UnservedArtifacts, below_proxy
from migrate.errors import NotPermitted, Refused
from migrate.objects import Artifact, ArtifactRoot

#: Why a location is not written to, and what to do.
_HINT = "name the folder that has it as the only --target-artifacts"


class PlacedFiles(UnservedArtifacts):
    """Implements ``WritesArtifacts``. ``root`` is a folder of this machine, or a URI of a cloud.

    ``mlflow-artifacts:/x`` is ``x`` below it: it is what the target's server has as its artifacts
    destination, where that serves files.
    """

    #: Whether copies point at the files of their originals.
    keeps = False

    def __init__(self, root: str) -> None:
        super().__init__(roots_of([root]), "target")
        self._root = root.rstrip("/")
        self._is_served = False
        self._transferred = 0

    @property
    def transferred(self) -> int:
        """See ``WritesArtifacts.transferred``."""
        return self._transferred

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put``."""
        self.store(root).put(artifact, stream)
        self._transferred += artifact.size

    def serve(self, location: str) -> None:
        """Have new experiments be where the server keeps its own, of which ``location`` is one."""
        self._is_served = below_proxy(location) is not None

    def for_experiment(self, stated: str, number: int) -> str:
        """Return the location of a new experiment: the one that is ``stated``, if any is."""
        made = f"mlflow-artifacts:/{number}" if self._is_served else f"{self._root}/{number}"
        return stated or made

    def place(self, stated: str, location: str, number: int, *path: str) -> str:
        """Return where the files of what is in an experiment go.

        That is below the experiment's own ``location`` where this is reached from here, wherever
        the original, by what is ``stated`` of it, has them.
        """
        return "/".join((location if self._reaches(location) else f"{self._root}/{number}", *path))

    def behind_proxy(self, stated: str, path: str) -> str:
        """Return the location of ``path`` behind the server's proxy, wherever the original is."""
        return f"mlflow-artifacts:/{path}"

    def _reaches(self, location: str) -> bool:
        if below_proxy(location) is not None:
            return True
        return bool(location) and self._locate(location).way in (Way.DISK, Way.REPOSITORY)

    def store(self, root: ArtifactRoot) -> ArtifactStore:
        """See ``UnservedArtifacts.store``: where files are written to."""
        below = below_proxy(root.uri)
        uri = root.uri if below is None else f"{self._root}/{below}"
        location = self._locate(uri)
        if location.way is Way.REPOSITORY:
            return CloudStore(uri, "", self._repositories)
        if location.way is not Way.DISK:
            raise NotPermitted(f"{place_of(root.uri)} is not written to: {location.reason}", _HINT)
        return DiskFiles(location)


class KeptFiles(UnservedArtifacts):
    """Implements ``WritesArtifacts`` where copies point at the files of their originals.

    ``roots`` are those that the user named for the source.
    """

    keeps = True
    transferred = 0

    def __init__(self, roots: Roots) -> None:
        super().__init__(roots, "target")

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """Raise ``NotPermitted``: the copy has a place of its own, so it was made otherwise."""
        raise NotPermitted(
            f"{artifact.path!r} belongs to {place_of(root.uri)}, where the original has no files; "
            "with --artifacts keep none are written",
            "copy what was copied before without --artifacts keep, and name --target-artifacts",
        )

    def serve(self, location: str) -> None:
        """Take no notice of where the server keeps files: new ones are none of ours."""

    def for_experiment(self, stated: str, number: int) -> str:
        """Return the location of the original. Raises ``Refused`` as ``place`` does."""
        return self._checked(stated)

    def place(self, stated: str, location: str, number: int, *path: str) -> str:
        """Return where the original has its files.

        A server on this database will deliver what is there, so that a location counts only if
        this tool would read there itself. Raises ``Refused`` for others.
        """
        return self._checked(stated)

    def behind_proxy(self, stated: str, path: str) -> str:
        """Return where the original has its files. Raises ``Refused`` as ``place`` does."""
        return self._checked(stated)

    def _checked(self, stated: str) -> str:
        if not stated:
            raise Refused("it says not where its files are, so they cannot stay there")
        location = self._locate(stated)
        if location.way is Way.SERVER:
            raise Refused(
                f"its files cannot stay at {place_of(stated)}: {location.reason}",
                "name the folder that has them with --source-artifacts, or leave out "
                "--artifacts keep",
            )
        return stated
