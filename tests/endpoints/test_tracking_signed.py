"""Which files go past a server, and what becomes of them where what it signs is of no use."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.errors import MigrateError, NotPermitted, Unavailable
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot
from tests.conftest import ProxyFactory
from tests.faults import Faults, Rule, always, answer, answer_with, lose_response
from tests.proxy import Proxy
from tests.seed import Source
from tests.storage import KEY, Storage

INFO = ("GET", "/mlflow/server-info")
SIGNED = ("GET", "/mlflow-artifacts/presigned/")
CREATE = ("POST", "/mlflow-artifacts/mpu/create/")
COMPLETE = ("POST", "/mlflow-artifacts/mpu/complete/")
ABORT = ("POST", "/mlflow-artifacts/mpu/abort/")
DOWNLOAD = ("GET", "/mlflow-artifacts/artifacts/.")
UPLOAD = ("PUT", "/mlflow-artifacts/artifacts/")
CONTENT, STORED = b"on the server" * 1000, b"in the bucket" * 1000
FILE = Artifact("deep/large", len(CONTENT))

#: Opens the server as a target, with storages that are named.
Open = Callable[..., AbstractContextManager[Target]]


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATE_LARGE_FILE_MB", "0.001")


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def opened(proxy: Proxy) -> Open:
    def open_with(*named: str) -> AbstractContextManager[Target]:
        return closing(open_target(Address(uri=proxy.uri, side="target", artifacts=named)))

    return open_with


@pytest.fixture
def root(target_server: TrackingServerProcess, unique_name: str) -> Iterator[ArtifactRoot]:
    with Source(target_server.uri, prefix=unique_name) as source:
        run = source.run("r", source.experiment("a"))
        source.artifact(run, FILE.path, CONTENT)
        yield ArtifactRoot(Ref(Kind.RUN, run), source.seeded.artifact_uris[run])


def told(**said: object) -> Rule:
    return always(INFO, answer_with(json.dumps(said)))


def signs(url: str, **more: object) -> list[Rule]:
    """What makes it a server whose files can be read from a storage."""
    body = json.dumps({"url": url, "headers": {}, **more})
    return [told(multipart_downloads_enabled=True), always(SIGNED, answer_with(body))]


def takes(storage: Storage) -> list[Rule]:
    """What makes it one whose files can be written to a storage, in one part."""
    part = {"part_number": 1, "url": storage.url(1), "headers": {}}
    body = json.dumps({"upload_id": "u", "credentials": [part]})
    return [
        told(multipart_uploads_enabled=True),
        always(CREATE, answer_with(body)),
        always(ABORT, answer_with("{}")),
    ]


def get(server: Target, root: ArtifactRoot, file: Artifact = FILE) -> bytes:
    with server.artifacts.open(root, file) as stream:
        return stream.read()


def put(server: Target, root: ArtifactRoot) -> None:
    server.artifacts.put(root, FILE, io.BytesIO(CONTENT))


def test_a_server_that_signs_nothing_is_asked_once_and_no_more(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with opened() as server:
        for _ in range(2):
            put(server, root)
            assert get(server, root) == CONTENT
    assert len(proxy.matching(INFO)) == 1
    assert not proxy.matching(SIGNED)
    assert not proxy.matching(CREATE)


def test_a_server_that_does_not_say_what_it_signs_is_tried_once(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    proxy.faults = Faults(always(INFO, answer(404)))
    with opened() as server:
        for _ in range(2):
            put(server, root)
            assert get(server, root) == CONTENT
    assert [len(proxy.matching(it)) for it in (INFO, SIGNED, CREATE)] == [1, 1, 1]


def test_small_files_ask_nothing(proxy: Proxy, opened: Open, root: ArtifactRoot) -> None:
    with opened() as server:
        server.artifacts.put(root, Artifact("s", 1), io.BytesIO(b"s"))
        assert get(server, root, Artifact("s", 1)) == b"s"
    assert not proxy.matching(INFO)


def test_a_large_file_is_read_from_a_storage_that_was_named(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with Storage(STORED) as storage, opened(storage.host) as server:
        proxy.faults = Faults(*signs(storage.url(), file_size=len(STORED)))
        assert get(server, root) == STORED
        proxy.faults = Faults(*signs(storage.url(), file_size=len(STORED) + 1))
        with pytest.raises(Unavailable, match="were listed"):
            get(server, root)
    assert not proxy.matching(DOWNLOAD)


def test_a_host_that_nobody_named_is_not_called(
    proxy: Proxy, opened: Open, root: ArtifactRoot, caplog: pytest.LogCaptureFixture
) -> None:
    with Storage(STORED) as storage, opened("http://127.0.0.1:1") as server:
        proxy.faults = Faults(*signs(storage.url()))
        assert get(server, root) == get(server, root) == CONTENT
    assert storage.asks == []
    assert len(proxy.matching(SIGNED)) == 1
    assert caplog.text.count(f"name it: --target-artifacts {storage.host}") == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize("way", ["redirected", "whole", "away", "malformed"])
def test_a_storage_that_is_of_no_use_is_left_to_the_server(
    proxy: Proxy, opened: Open, root: ArtifactRoot, way: str
) -> None:
    with Storage(STORED) as storage:
        elsewhere = storage.url()
    with Storage(STORED) as storage, opened(storage.host, elsewhere[:22]) as server:
        url = elsewhere if way == "away" else storage.url()
        storage.spoil = lambda ask, reply: setattr(
            reply, "status", {"redirected": 302, "whole": 200}.get(way, 206)
        )
        rules = signs(url)
        if way == "malformed":
            rules[1] = always(SIGNED, answer_with(json.dumps({"url": [url]})))
        proxy.faults = Faults(*rules)
        assert get(server, root) == get(server, root) == CONTENT
    assert len(storage.asks) == (way in ("redirected", "whole"))
    assert len(proxy.matching(SIGNED)) == 1


def test_where_no_file_goes_through_the_server_the_reason_is_told(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with Storage(STORED) as storage, opened() as server:
        only = told(multipart_downloads_enabled=True, artifacts_presigned_only=True)
        proxy.faults = Faults(only, *signs(storage.url())[1:])
        for _ in range(2):
            with pytest.raises(NotPermitted) as raised:
                get(server, root)
            assert f"--target-artifacts {storage.host}" in raised.value.message
            assert "without MLFLOW_ARTIFACTS_PRESIGNED_ONLY" in raised.value.message
            assert KEY not in raised.value.message
    assert not proxy.matching(DOWNLOAD)


def test_a_large_file_is_written_in_parts_and_completed_once(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with Storage() as storage, opened(storage.host) as server:
        proxy.faults = Faults(*takes(storage), always(COMPLETE, answer_with("{}")))
        put(server, root)
        assert server.artifacts.transferred == len(CONTENT)
    assert storage.parts == {1: CONTENT}
    assert [len(proxy.matching(it)) for it in (CREATE, COMPLETE, ABORT, UPLOAD)] == [1, 1, 0, 0]


@pytest.mark.parametrize("fault", [answer(400), answer(503), lose_response()])
def test_one_that_is_not_completed_is_aborted(
    proxy: Proxy,
    opened: Open,
    root: ArtifactRoot,
    fault: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Storage() as storage, opened(storage.host) as server:
        proxy.faults = Faults(*takes(storage), always(COMPLETE, fault))  # type: ignore[arg-type]
        # It is there with this size already, which tells nothing.
        with pytest.raises(MigrateError):
            put(server, root)
    assert [len(proxy.matching(it)) for it in (CREATE, COMPLETE, ABORT, UPLOAD)] == [1, 1, 1, 0]


def test_a_storage_that_nobody_named_is_not_written_to(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with Storage() as storage, opened() as server:
        proxy.faults = Faults(*takes(storage))
        put(server, root)
        put(server, root)
    assert storage.asks == []
    assert [len(proxy.matching(it)) for it in (CREATE, ABORT, UPLOAD)] == [1, 1, 2]


def test_a_storage_that_cannot_be_reached_leaves_the_whole_file_to_the_server(
    proxy: Proxy, opened: Open, root: ArtifactRoot
) -> None:
    with Storage() as storage:
        pass
    with opened(storage.host) as server:
        proxy.faults = Faults(*takes(storage))
        put(server, root)
        put(server, root)
        assert get(server, root) == CONTENT
    assert [len(proxy.matching(it)) for it in (CREATE, ABORT, UPLOAD)] == [1, 1, 2]
