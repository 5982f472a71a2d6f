"""Which of two ways to files is taken where one of them is no use: without a server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pytest

from migrate.endpoints.tracking.artifact_routes import ServerRoutes
from migrate.endpoints.tracking.artifacts import ReadOtherwise, ServedStore
from migrate.errors import EndpointError, NoSuchRoute, NotAuthenticated, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot

FILE = Artifact("a.txt", 1)
ROOT = ArtifactRoot(Ref(Kind.RUN, "a"), "hdfs://elsewhere/a")
NO_LIBRARY = EndpointError("the library is missing")


class Files:
    """A way to one file, or one that fails at everything."""

    def __init__(self, content: bytes = b"", problem: Exception | None = None) -> None:
        self._content = content
        self._problem = problem

    def list_files(self) -> list[Artifact]:
        self._fail()
        return [FILE]

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[BinaryIO]:
        self._fail()
        yield io.BytesIO(self._content)

    def put(self, artifact: Artifact, stream: BinaryIO) -> None:
        self._fail()

    def _fail(self) -> None:
        if self._problem is not None:
            raise self._problem


def otherwise(store: Files, routes: Files) -> ReadOtherwise:
    return ReadOtherwise(store, cast(ServerRoutes, cast(Any, routes)))


def read(store: ReadOtherwise) -> bytes:
    with store.open(FILE) as stream:
        return stream.read()


def test_a_store_that_works_is_read_itself() -> None:
    store = otherwise(Files(b"s"), Files(problem=Refused("not asked")))
    assert (store.list_files(), read(store)) == ([FILE], b"s")


def test_a_store_that_is_no_use_is_read_through_the_server_and_never_written_there() -> None:
    store = otherwise(Files(problem=NO_LIBRARY), Files(b"r"))
    assert (store.list_files(), read(store)) == ([FILE], b"r")
    with pytest.raises(EndpointError, match="library"):
        store.put(FILE, io.BytesIO(b"x"))


def test_a_listing_that_both_refuse_names_what_is_wrong_with_the_store() -> None:
    with pytest.raises(EndpointError, match="library"):
        otherwise(Files(problem=NO_LIBRARY), Files(problem=Refused("no"))).list_files()
    with pytest.raises(NotAuthenticated):
        otherwise(Files(problem=NO_LIBRARY), Files(problem=NotAuthenticated("log in"))).list_files()


def test_an_error_of_whoever_reads_a_file_is_not_one_of_the_store() -> None:
    read_on = []

    def send() -> None:
        with otherwise(Files(b"s"), Files(b"r")).open(FILE) as stream:
            read_on.append(stream.read())
            raise Refused("by the target")

    with pytest.raises(Refused):
        send()
    assert read_on == [b"s"]


def test_a_place_that_nobody_may_use_is_named_with_the_option_that_allows_it() -> None:
    missing = Files(problem=NoSuchRoute("answered 404", "have the gateway pass it on"))
    routes = cast(ServerRoutes, cast(Any, missing))
    store = ServedStore(ROOT, routes, "source", "nobody named its root")
    with pytest.raises(NoSuchRoute, match="hdfs://elsewhere/a") as raised:
        store.list_files()
    assert "--source-artifacts" in raised.value.hint
