"""The ways to the files of an object; ``locations`` says which one a location is reached by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import BinaryIO

from migrate.endpoints.artifacts.disk import DiskFiles
from migrate.endpoints.artifacts.locations import NO_ROOTS, Location, Roots, Way, locate
from migrate.endpoints.artifacts.repositories import Repositories, place_of
from migrate.endpoints.artifacts.stores import ArtifactStore, CloudStore
from migrate.endpoints.tracking.artifact_routes import ProxyStore, ServerRoutes
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.http.streams import counted
from migrate.endpoints.tracking.signed.server import SigningServer
from migrate.errors import EndpointError, MigrateError, NoSuchRoute, NotAuthenticated, NotPermitted
from migrate.objects import Artifact, ArtifactRoot

log = logging.getLogger(__name__)


#: Returns the store of a root that a server reaches in a way of its own, None for any other root.
OwnWay = Callable[[ArtifactRoot, ServerRoutes], ArtifactStore | None]


class ArtifactStores:
    """Finds the store of an artifact root, and counts what is written.

    ``roots`` are those that the user named for this side, ``own`` the ways that only this server
    has; the first that is for a root counts.
    """

    def __init__(
        self,
        http: HttpSession,
        *,
        tracking_uri: str,
        roots: Roots = NO_ROOTS,
        own: Sequence[OwnWay] = (),
    ) -> None:
        self._http = http
        self._side = http.side
        self._tracking_uri = tracking_uri
        self._roots = roots
        self._own = own
        self._signing = SigningServer(http, roots.storages)
        self._repositories = Repositories(http.side)
        self._counting = threading.Lock()
        self.transferred = 0

    def store(self, root: ArtifactRoot) -> ArtifactStore:
        """Return the store for ``root``."""
        routes = ServerRoutes(self._http, root, self._side)
        for way in self._own:
            found = way(root, routes)
            if found is not None:
                return found
        location = locate(root.uri, self._http.base_url, self._roots)
        match location.way:
            case Way.PROXY:
                return ProxyStore(self._http, self._side, location.path, routes, self._signing)
            case Way.REPOSITORY:
                cloud = CloudStore(root.uri, self._tracking_uri, self._repositories)
                return ReadOtherwise(cloud, routes)
            case Way.DISK:
                return DiskStore(location, routes, self._side)
            case Way.SERVER:
                return ServedStore(root, routes, self._side, location.reason)

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        """See ``ReadsArtifacts.list``."""
        return self.store(root).list_files()

    def open(self, root: ArtifactRoot, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open``."""
        return self.store(root).open(artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``: no server of MLflow tells any."""
        return {}

    def location(self, root: ArtifactRoot) -> str:
        """See ``ReadsArtifacts.location``: what a server says is what it uses itself."""
        return root.uri

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """Write a file and count its bytes as they pass."""
        self.store(root).put(artifact, counted(stream, self._count))

    def close(self) -> None:
        """End what was started to reach files."""
        self._repositories.close()

    def _count(self, size: int) -> None:
        with self._counting:
            self.transferred += size


class ReadOtherwise:
    """A store that is read as the server delivers its files where it is no use itself.

    So it is without its library, or without credentials.
    """

    def __init__(self, store: ArtifactStore, routes: ServerRoutes) -> None:
        self._store = store
        self._routes = routes
        self.put = store.put

    def list_files(self) -> list[Artifact]:
        """See ``ArtifactStore.list_files``."""
        try:
            return self._store.list_files()
        except MigrateError as problem:
            log.debug("listing through the server instead: %s", problem)
            try:
                return self._routes.list_files()
            except NotAuthenticated:
                raise
            except MigrateError:
                raise problem from None

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """See ``ArtifactStore.open``."""
        with ExitStack() as opened:
            try:
                stream = opened.enter_context(self._store.open(artifact))
            except MigrateError as problem:
                log.debug("reading through the server instead: %s", problem)
                stream = opened.enter_context(self._routes.open(artifact))
            yield stream


class ServedStore:
    """Files at a location that is not used: read as the server that named it delivers them."""

    def __init__(self, root: ArtifactRoot, routes: ServerRoutes, side: str, reason: str) -> None:
        self._routes = routes
        self._side = side
        self._because = f"{place_of(root.uri)} is not used by this tool itself: {reason}"
        self.open = routes.open

    def list_files(self) -> list[Artifact]:
        """See ``ArtifactStore.list_files``."""
        try:
            return self._routes.list_files()
        except EndpointError as problem:
            # Of a route that is not there the hint is about the route: here the place is at fault.
            known = "" if isinstance(problem, NoSuchRoute) else problem.hint
            raise type(problem)(
                f"{problem.message}; {self._because}", known or self._hint()
            ) from None

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """Raise ``NotPermitted``: it is the place that is wrong, not the file."""
        raise NotPermitted(
            f"the {self._side} wants its files written to a place of its own choice; "
            f"{self._because}",
            self._hint(),
        )

    def _hint(self) -> str:
        return (
            f"if this machine may use it, name its root: --{self._side}-artifacts PLACE; or let "
            "the server pass files on: mlflow server --serve-artifacts"
        )


class DiskStore:
    """Files on a disk of the server's machine that is, the user says, this machine's disk too.

    A source is read there. A target is written there, and read through its server also when a
    copy is checked, so files written to the wrong disk are noticed.
    """

    def __init__(self, location: Location, routes: ServerRoutes, side: str) -> None:
        disk = DiskFiles(location)
        reader = disk if side == "source" and disk.exists() else routes
        self.list_files = reader.list_files
        self.open = reader.open
        self.put = disk.put
