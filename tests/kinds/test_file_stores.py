"""The half of the suite of stores that reads, for file stores: what a server of MLflow wrote there.

Nothing of ours writes a file store, so that who does is a server that has its records in one.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.filestore import FileStoreSource
from migrate.endpoints.protocols import Target
from migrate.endpoints.stores import Found, traces_of
from migrate.errors import AnswerLost, Refused
from migrate.kinds import Kind
from tests.conftest import ServerFactory
from tests.endpoints.filestores import opened
from tests.kinds import test_stores
from tests.kinds.older import DEFAULT
from tests.kinds.subject import OLDER, TRACES, Sample, Subject, on

#: What stays of an empty one: the folders that a server makes as it starts.
_KEPT = {DEFAULT, ".trash", "models"}

#: Names that a server on files does not take, beside those that none takes.
_REFUSED = {
    Kind.EXPERIMENT: {"quote\"'`$(id)"},
    Kind.REGISTERED_MODEL: {"a" * 300, "{}[]%00%2F"},
}

test_there_is_nothing = test_stores.test_there_is_nothing_in_what_holds_nothing
test_what_was_created = test_stores.test_what_was_created_is_listed_and_read_in_bulk
test_containers_are_kept_apart = test_stores.test_containers_are_kept_apart
test_odd_names_come_back = test_stores.test_odd_names_and_ids_come_back_as_they_are


class _Read:
    """The objects of a kind, written by a server and read from its files."""

    def __init__(self, sample: Sample, written: Target, read: FileStoreSource) -> None:
        store = sample.store_of(written)
        self._carrier = sample.carrier
        self.identity, self.bookkeeping = store.identity, store.bookkeeping
        self._create, self.finish, self.delete = store.create, store.finish, store.delete
        ours: Any = traces_of(read) if sample.carrier.kind is Kind.TRACE else None
        ours = ours or sample.older(read)  # type: ignore[misc, arg-type]
        self.list, self.read = ours.list, ours.read
        if sample.carrier.kind is Kind.TRACE:
            self.finish = lambda *_: ()  # a server on files makes no trace anew

    def create(self, container: str, wanted: Any) -> Any:
        """Have the server write one; it ends in an error of its own where no file may be so."""
        try:
            return self._create(container, wanted)
        except AnswerLost as problem:
            raise Refused(problem.message) from None

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, list[Found[Any]]]:
        """Find objects by what tells them, as the planner does with what it has listed."""
        found: dict[str, list[Found[Any]]] = {}
        for record in self.list([container]):
            key = self._carrier.key(record, self.identity)
            if keys is None or key in keys:
                found.setdefault(key, []).append(Found(record))
        return found


@pytest.fixture(scope="module")
def on_files(
    server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrackingServerProcess, Path]:
    """A server on a file store, and its folder."""
    root = tmp_path_factory.mktemp("files") / "mlruns"
    allowed = {"MLFLOW_ALLOW_FILE_STORE": "true"}
    return server_factory(backend_store_uri=str(root), environment=allowed), root


@pytest.fixture(params=(*OLDER, TRACES), ids=lambda it: it.carrier.kind)
def subject(
    request: pytest.FixtureRequest, on_files: tuple[TrackingServerProcess, Path]
) -> Iterator[Subject]:
    server, root = on_files
    for folder in (root, root / ".trash", root / "models"):
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in _KEPT:
                shutil.rmtree(path)
    address = Address(uri=server.uri, side="target", workers=2)
    with closing(open_target(address)) as written, closing(opened(root)) as read:
        tried = on(written, request.param)
        refuses = tried.refuses | _REFUSED.get(request.param.carrier.kind, set())
        store = _Read(request.param, written, read)
        yield dataclasses.replace(tried, store=store, refuses=refuses)
        assert read.unreadable.all() == []
