"""Files as a tracking server itself lists, sends and takes them."""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlparse, urlunparse

from migrate.endpoints.artifacts.folders import walk
from migrate.endpoints.artifacts.locations import PROXY
from migrate.endpoints.shapes import Object, count, flag, objects, required_text
from migrate.endpoints.tracking.http.errors import PresignedOnly
from migrate.endpoints.tracking.http.login_pages import file_in, pages_are_logins
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.signed.server import NotThisWay, SigningServer
from migrate.errors import EndpointError, NotAuthenticated, Refused, Unavailable
from migrate.kinds import Kind
from migrate.objects import Artifact, ArtifactRoot

log = logging.getLogger(__name__)

#: Fewer than for other reads: a file that is gone is a 500 on servers before 3.17.
FILE_TRIES = 4


class ProxyStore:
    """Files behind the server's artifact proxy, streamed both ways.

    Large ones, and all that the server does not let through, go past it where ``signing`` says so.
    """

    def __init__(
        self,
        http: HttpSession,
        side: str,
        path: str,
        routes: ServerRoutes,
        signing: SigningServer,
    ) -> None:
        self._http = http
        self._side = side
        self._path = path
        self._routes = routes
        self._signing = signing

    def list_files(self) -> list[Artifact]:
        """One call a folder; the listing is never paged, and an empty file has no size."""

        def list_folder(folder: str) -> Any:
            path = posixpath.join(self._path, folder) if folder else self._path
            with pages_are_logins(self._side):
                answer = self._http.get(PROXY, {"path": path})
            return [
                {**item, "path": posixpath.join(folder, item["path"])} for item in files_of(answer)
            ]

        return believed(walk(list_folder), self._http, PROXY, {"path": self._path})

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """See ``ArtifactStore.open``."""
        refuse_changed_name(self._place(artifact), self._side)
        with ExitStack() as opened:
            yield self._opened(artifact, opened)

    def _opened(self, artifact: Artifact, opened: ExitStack) -> BinaryIO:
        if self._signing.reads(artifact.size):
            try:
                return opened.enter_context(self._straight(artifact))
            except NotThisWay as problem:
                if self._signing.only:
                    raise
                log.debug("reading through the server instead: %s", problem)
        try:
            return opened.enter_context(self._through(artifact))
        except PresignedOnly:
            self._signing.insist()
            return opened.enter_context(self._straight(artifact))

    def _straight(self, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        return self._signing.open(self._place(artifact), artifact, named(artifact, self._side))

    @contextmanager
    def _through(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """Open a file through the proxy.

        Up to 3.8 it fails on names outside ASCII or Latin-1, and the UI's route does not;
        the other way round, that route loses a leading space.
        """
        tries = FILE_TRIES if artifact.path.isascii() else 1
        with ExitStack() as opened:
            path = f"{PROXY}/{self._quoted(artifact)}"
            try:
                stream = opened.enter_context(
                    delivered(self._http, artifact, self._side, path, tries=tries)
                )
            except (NotAuthenticated, PresignedOnly):
                raise
            except (EndpointError, Unavailable):
                if tries > 1:
                    raise
                stream = opened.enter_context(self._routes.open(artifact))
            yield stream

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``ArtifactStore.put``."""
        place, what = self._place(artifact), f"artifact {artifact.path!r}"
        if not passes_proxy(place):
            raise Refused(
                f"the {self._side}'s artifact proxy refuses or changes this name: {artifact.path!r}"
            )
        again = stream.seekable()
        if self._signing.writes(artifact.size, once=not again):
            rest = self._signing.put(place, artifact, stream, what)
            if rest is None:
                return
            stream = rest
        try:
            self._http.put(f"{PROXY}/{self._quoted(artifact)}", stream, artifact.size, what)
        except PresignedOnly:
            if not again:
                raise
            self._signing.insist()
            stream.seek(0)
            self._signing.put(place, artifact, stream, what)

    def _place(self, artifact: Artifact) -> str:
        return posixpath.join(self._path, artifact.path)

    def _quoted(self, artifact: Artifact) -> str:
        return quote(self._place(artifact), safe="/")


class ServerRoutes:
    """Files of an object as the server lists and sends them, whatever its backend.

    Of a version it sends them, and lists none.
    """

    def __init__(self, http: HttpSession, root: ArtifactRoot, side: str) -> None:
        self._http = http
        self._side = side
        ident = root.owner.id
        self._list = ""
        if root.owner.kind.is_version:
            name, _, number = ident.rpartition("/")
            self._ids: dict[str, str] = {"name": name, "version": number}
            self._get, self._file_key = "/model-versions/get-artifact", "path"
        elif root.owner.kind is Kind.LOGGED_MODEL:
            self._ids = {}
            self._list = f"/api/2.0/mlflow/logged-models/{ident}/artifacts/directories"
            self._folder_key = "artifact_directory_path"
            self._get = f"/ajax-api/2.0/mlflow/logged-models/{ident}/artifacts/files"
            self._file_key = "artifact_file_path"
        else:
            self._ids = {"run_id": ident, "run_uuid": ident}
            self._list, self._folder_key = "/api/2.0/mlflow/artifacts/list", "path"
            self._get, self._file_key = "/get-artifact", "path"

    def list_files(self) -> list[Artifact]:
        """See ``ArtifactStore.list_files``."""

        if not self._list:
            raise Refused(f"the {self._side} lists no files of versions that are no run's")

        def list_folder(folder: str) -> Any:
            params = dict(self._ids)
            if folder:
                params[self._folder_key] = folder
            with pages_are_logins(self._side):
                pages = self._http.get_pages(self._list, params)
                return [item for page in pages for item in files_of(page)]

        return believed(walk(list_folder), self._http, self._list, self._ids)

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        """See ``ArtifactStore.open``."""
        refuse_changed_name(artifact.path, self._side)
        params = {**self._ids, self._file_key: artifact.path}
        with delivered(
            self._http, artifact, self._side, self._get, params, tries=FILE_TRIES
        ) as stream:
            yield stream

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        """The routes of the server's UI take no more than 10 MB: not used."""
        raise Refused("a tracking server takes files only through its artifact proxy")


def believed(
    files: list[Artifact], http: HttpSession, path: str, params: Mapping[str, Any]
) -> list[Artifact]:
    """Return files as a route listed them. Raises ``EndpointError`` for none, where it lists none.

    A gateway may keep the route to itself, and then every file would be lost without a word.
    """
    doubt = "" if files else http.silence.look_at("GET", path, params)
    if doubt:
        raise EndpointError(doubt, "have the gateway before the server pass this route on")
    return files


@contextmanager
def delivered(
    http: HttpSession, artifact: Artifact, side: str, path: str, params: Any = None, *, tries: int
) -> Iterator[BinaryIO]:
    """Open a file that a route of a server delivers. Raises ``NotAuthenticated`` for a web page."""
    with ExitStack() as opened:
        with pages_are_logins(side):
            response = opened.enter_context(
                http.stream(path, params, size=artifact.size, tries=tries)
            )
            stream = file_in(response, artifact.path, named(artifact, side))
        yield stream


def named(artifact: Artifact, side: str) -> str:
    """Return what a file is called in messages."""
    return f"artifact {artifact.path!r} of the {side}"


def files_of(answer: Object) -> list[dict[str, Any]]:
    """Return the files and folders that an answer lists. Raises ``Malformed``."""
    return [
        {
            "path": required_text(item, "path"),
            "is_dir": flag(item, "is_dir"),
            "file_size": count(item, "file_size"),
        }
        for item in objects(answer, "files")
    ]


def refuse_changed_name(path: str, side: str) -> None:
    """Raise ``Refused`` for a path by which a server would deliver another file."""
    if not _is_stable(path):
        raise Refused(f"the {side} decodes the name {path!r} and looks for another file")


def _is_stable(path: str) -> bool:
    try:
        return urlunparse(urlparse(unquote(path))) == path
    except ValueError:
        return False


def passes_proxy(path: str) -> bool:
    """Say whether a path can be written under its own name.

    The server decodes a path until it no longer changes, so ``a%41`` would become ``aA``; and
    it refuses ``#``, ``..``, absolute paths and control characters (read in ``mlflow.utils.uri``
    of 3.17.2, and seen on all versions from 1.30).
    """
    return (
        _is_stable(path)
        and "#" not in path
        and not re.search(r"[\x00-\x1f\x7f]", path)
        and not path.startswith("/")
        and ".." not in path.split("/")
        and not re.match(r"[A-Za-z]:[\\/]", path)
        and not path.startswith("\\\\")
    )
