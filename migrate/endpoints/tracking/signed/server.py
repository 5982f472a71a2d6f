"""What a tracking server signs for the files behind its proxy, and whether it is of use here."""

from __future__ import annotations

import logging
import posixpath
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import quote

from migrate import straight
from migrate.endpoints.artifacts.locations import PROXY, UnknownStorage, require_storage
from migrate.endpoints.shapes import Object, count, flag, member, objects, required_text, text
from migrate.endpoints.tracking.http.bounds import large_file
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.signed.ranges import Changed, NotGiven, RangedStream, SignedFile
from migrate.endpoints.tracking.signed.uploads import (
    Interrupted,
    NotTaken,
    PartsSender,
    Upload,
    begun,
    completed,
    parts_in,
)
from migrate.endpoints.tracking.signed.urls import NoConnection, RunOut, Signed
from migrate.errors import (
    EndpointError,
    Malformed,
    MigrateError,
    NotFound,
    NotPermitted,
    Refused,
    ServerFault,
    Unavailable,
)
from migrate.objects import Artifact

log = logging.getLogger(__name__)

#: Since 3.9. What is signed it says of late only: 3.13 signs for reading and does not say so, and
#: uploads in parts are older than the route (read in ``mlflow.server.handlers`` of 2.9 to 3.18).
INFO = "/api/3.0/mlflow/server-info"
SIGNED = "/api/2.0/mlflow-artifacts/presigned"
UPLOADS = "/api/2.0/mlflow-artifacts/mpu"
#: Fewer than for other calls: through the server a file may go as well.
TRIES = 3
#: Seconds between looks at what became of an upload whose end was not answered.
LOOKS = (0.0, 1.0, 4.0, 16.0)


class Offers(NamedTuple):
    """What a server says that it signs; where it does not say, it is tried.

    ``only`` if no file goes through itself.
    """

    downloads: bool = True
    uploads: bool = True
    only: bool = False


class NotThisWay(NotPermitted):
    """A file cannot go past the server; through it, it may."""


class SigningServer:
    """Reads and writes files behind a server's proxy by URLs that it signs, where that is of use.

    ``storages`` are those that the user named for this side. That one way does not lead anywhere
    is remembered. Safe for use by several threads.
    """

    def __init__(self, http: HttpSession, storages: Sequence[str] = ()) -> None:
        self._http = http
        self._side = http.side
        self._storages = storages
        self._large = large_file()
        self._lock = threading.Lock()
        self._offers: Offers | None = None
        self._closed_ways: dict[str, MigrateError] = {}

    @property
    def only(self) -> bool:
        """Whether it is known that the server lets no file through itself."""
        return self._offers is not None and self._offers.only

    def reads(self, size: int) -> bool:
        """Say whether a file of ``size`` bytes is to be read this way."""
        if self._offers is None and size < self._large:
            return False
        offers = self._told()
        is_open = size >= self._large and offers.downloads and "read" not in self._closed_ways
        return offers.only or is_open

    def writes(self, size: int, *, once: bool) -> bool:
        """Say whether a file of ``size`` bytes is to be written this way.

        One that can be sent ``once`` only must not be refused by a server that lets none through.
        """
        if self._offers is None and size < self._large and not once:
            return False
        offers = self._told()
        is_open = size >= self._large and offers.uploads and "write" not in self._closed_ways
        return offers.only or is_open

    def insist(self) -> None:
        """Remember that the server lets no file through itself."""
        offers = self._told()
        self._offers = offers._replace(only=True)

    @contextmanager
    def open(self, path: str, artifact: Artifact, what: str) -> Iterator[BinaryIO]:
        """Open the file at ``path`` of the proxy. Raises ``NotThisWay`` before anything is read.

        Raises ``NotPermitted`` in its place where there is no other.
        """
        self._refuse_closed("read")
        size, limits = artifact.size, self._http.limits
        with limits.gate.place() as place:
            file = SignedFile(lambda: self._sign(path, size, what), size, what, limits)
            with closing(RangedStream(file, limits, place)) as stream:
                with self._or_not_this_way("read"):
                    if not size:
                        with place.used():
                            self._sign(path, size, what)
                    stream.begin()
                try:
                    yield cast(BinaryIO, stream)
                except NotGiven as problem:
                    self._close("read", problem)  # the next try goes another way
                    raise
                if stream.is_read:
                    straight.went(self._side, artifact.path, size)

    def put(self, path: str, artifact: Artifact, stream: BinaryIO, what: str) -> BinaryIO | None:
        """Write the file at ``path`` of the proxy; return None, or what has to go through it.

        Raises ``NotPermitted`` where nothing can go through it.
        """
        size = artifact.size
        folder, name = posixpath.split(path)
        try:
            self._refuse_closed("write")
            with self._or_not_this_way("write"):
                before = self._listed(folder, name) if size >= self._large else None
                upload = self._begin(folder, name, size, what)
        except NotThisWay:
            if self.only:
                raise
            return stream
        try:
            tags = self._send(upload, size, stream, what)
            self._complete(upload, folder, name, tags, size, before)
        except Interrupted as problem:
            self._abort(upload, folder, name)
            closed = self._close("write", problem.why)
            if self.only:
                raise closed from None
            return problem.rest
        except BaseException as problem:
            self._abort(upload, folder, name)
            if isinstance(problem, NotTaken):
                # Its URLs may not last as long as such a file takes.
                self._close("write", problem)
            raise
        straight.went(self._side, artifact.path, size)
        return None

    def _told(self) -> Offers:
        """Return what the server says, asked once."""
        with self._lock:
            if self._offers is None:
                try:
                    answer = self._http.get(INFO, tries=CONNECT_TRIES)
                    self._offers = Offers(
                        downloads=_unless_denied(answer, "multipart_downloads_enabled"),
                        uploads=_unless_denied(answer, "multipart_uploads_enabled"),
                        only=flag(answer, "artifacts_presigned_only"),
                    )
                except MigrateError as problem:
                    log.debug("the %s does not say what it signs: %s", self._side, problem)
                    self._offers = Offers()
            return self._offers

    def _sign(self, path: str, size: int, what: str) -> Signed:
        answer = self._http.get(f"{SIGNED}/{quote(path, safe='/')}", tries=TRIES)
        signed = self._signed(answer, what)
        if answer.get("file_size") is not None and count(answer, "file_size") != size:
            raise Changed(
                f"{what}: its storage has {count(answer, 'file_size')} bytes of it, and {size} "
                "were listed"
            )
        return signed

    def _begin(self, folder: str, name: str, size: int, what: str) -> Upload:
        number = parts_in(size)
        answer = self._post("create", folder, {"path": name, "num_parts": number}, tries=TRIES)
        ident = text(answer, "upload_id")
        found = list(objects(answer, "credentials"))
        try:
            if [count(it, "part_number") for it in found] != list(range(1, number + 1)):
                raise Malformed(f"the {self._side} signs other parts of {what} than it is to")
            return Upload(ident, [self._signed(it, what) for it in found])
        except EndpointError:
            self._abort(Upload(ident, ()), folder, name)
            raise

    def _signed(self, answer: Object, what: str) -> Signed:
        url = required_text(answer, "url")
        headers = member(answer, "headers")
        if not all(isinstance(value, str) for value in headers.values()):
            raise Malformed(f"the {self._side} signs a URL for {what} with odd headers")
        require_storage(url, self._http.base_url, what, self._storages, self._side)
        return Signed(url, dict(headers))

    def _send(self, upload: Upload, size: int, stream: BinaryIO, what: str) -> Sequence[str]:
        limits = self._http.limits
        with limits.gate.place() as place:
            return PartsSender(upload, size, what, limits, place).send(stream)

    def _complete(
        self,
        upload: Upload,
        folder: str,
        name: str,
        tags: Sequence[str],
        size: int,
        before: int | None,
    ) -> None:
        """Put the parts together, once; without a clear answer, look whether that was done.

        ``before`` is the size that was listed before; where it was the same, looking tells nothing.
        """
        try:
            self._post("complete", folder, completed(upload, name, tags), tries=1)
            return
        except (Unavailable, Malformed) as problem:
            unclear = problem
        except Refused as problem:
            # It has taken the name: what is refused is not that.
            raise EndpointError(problem.message, problem.hint) from None
        for pause in LOOKS if before not in (None, size) else ():
            time.sleep(pause)
            if self._listed(folder, name) == size:
                return
        raise Unavailable(unclear.message, unclear.hint)

    def _abort(self, upload: Upload, folder: str, name: str) -> None:
        """Have the storage forget the parts, as far as that can be done."""
        try:
            self._post("abort", folder, begun(upload, name), tries=TRIES)
        except MigrateError as problem:
            log.debug("parts of an upload may stay in the storage: %s", problem)

    def _post(self, call: str, folder: str, body: Object, *, tries: int) -> Object:
        path = f"{UPLOADS}/{call}/{quote(folder, safe='/')}"
        answer: Object = self._http.post(path, body, idempotent=True, tries=tries)
        return answer

    def _listed(self, folder: str, name: str) -> int | None:
        """Return the size that is listed of a file: -1 for none, None where it is not known."""
        try:
            files = objects(self._http.get(PROXY, {"path": folder}), "files")
            sizes = [count(it, "file_size") for it in files if text(it, "path") == name]
        except MigrateError:
            return None
        return sizes[0] if sizes else -1

    def _refuse_closed(self, way: str) -> None:
        if problem := self._closed_ways.get(way):
            raise self._not_this_way(problem)

    @contextmanager
    def _or_not_this_way(self, way: str) -> Iterator[None]:
        """Raise ``NotThisWay`` for all that through the server may go well."""
        try:
            yield
        except Changed:
            raise
        except (EndpointError, Unavailable) as problem:
            lasts = isinstance(problem, EndpointError | NoConnection | RunOut | ServerFault)
            of_one = isinstance(problem, NotFound) or (
                isinstance(problem, Refused) and problem.code != "NOT_IMPLEMENTED"
            )
            if lasts and not of_one:
                raise self._close(way, problem) from None
            raise self._not_this_way(problem) from None

    def _close(self, way: str, problem: MigrateError) -> MigrateError:
        """Remember that a way leads nowhere, unless there is no other; return what to raise."""
        with self._lock:
            is_news = way not in self._closed_ways and not self.only
            if is_news:
                self._closed_ways[way] = problem
        told = self._not_this_way(problem)
        if is_news:
            # Only of a storage that nobody named the user can make use.
            level = logging.WARNING if isinstance(problem, UnknownStorage) else logging.INFO
            log.log(level, "large files go through the %s: %s; %s", self._side, told, told.hint)
        return told

    def _not_this_way(self, problem: MigrateError) -> MigrateError:
        if not self.only:
            return NotThisWay(problem.message, problem.hint)
        without = f"start the {self._side} without MLFLOW_ARTIFACTS_PRESIGNED_ONLY while this runs"
        # A loss is told without a hint, and this may be the end of the file.
        todo = "; or ".join(filter(None, [problem.hint, without]))
        kind = Unavailable if isinstance(problem, Unavailable) else NotThisWay
        return kind(f"{problem.message}; {todo}")


def _unless_denied(answer: Object, name: str) -> bool:
    return name not in answer or flag(answer, name)
