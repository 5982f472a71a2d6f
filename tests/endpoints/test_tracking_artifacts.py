"""Files of a real server: listed whole, streamed both ways, and refused names told as such."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.artifact_routes import passes_proxy
from migrate.endpoints.tracking.http.login_pages import Redirected
from migrate.errors import (
    DirectoryError,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    Unavailable,
)
from migrate.kinds import Kind, Ref
from migrate.objects import NO_RUN, Artifact, ArtifactRoot, VersionRun
from tests.conftest import ProxyFactory
from tests.faults import (
    Fault,
    Faults,
    always,
    answer,
    answer_with,
    cut_upload,
    on_nth,
    redirect_to,
    replace_response,
    truncate,
)
from tests.proxy import Proxy
from tests.seed import Source
from tests.seed_models import ModelSource

UPLOAD = ("PUT", "/mlflow-artifacts/artifacts/")
DOWNLOAD = ("GET", "/mlflow-artifacts/artifacts/.")
MB = 1 << 20
BIG = bytes(range(256)) * (3 * MB // 256) + b"the end"

ODD_NAMES = [
    "plain.txt",
    "a b",
    "model/MLmodel",
    "deep/er/and/deeper/file",
    "ünï/çödé 実験 🧪.bin",
    "+?;:=&,'\"",
    "100%",
    "back\\slash",
    ".hidden/.file",
    " leading/ and trailing ",
    "A:b",
    "c:\\x",
    "~user$HOME`x`",
]
REFUSED_NAMES = ["a%41", "a%20b", "with#hash", "../up", "a/../b", "/absolute", "new\nline", "x?"]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def server(proxy: Proxy) -> Iterator[Target]:
    with closing(open_target(Address(uri=proxy.uri, side="target"))) as opened:
        yield opened


@pytest.fixture
def source(target_server: TrackingServerProcess, unique_name: str) -> Iterator[Source]:
    with Source(target_server.uri, prefix=unique_name) as seed:
        yield seed


@pytest.fixture
def root(server: Target, source: Source) -> ArtifactRoot:
    return root_of(server, source.run("r", source.experiment("a")))


def root_of(server: Target, run_id: str) -> ArtifactRoot:
    (found,) = [
        run
        for experiment in server.experiments.list()
        for run in server.runs.read_in(experiment.experiment_id, [run_id])
    ]
    return ArtifactRoot(Ref(Kind.RUN, run_id), found.artifact_uri)


def named(proxy: Proxy, side: str, root: Path) -> closing[Target]:
    """The server with a folder of this machine named as a root of its files."""
    return closing(open_target(Address(uri=proxy.uri, side=side, artifacts=(str(root),))))


def put(server: Target, root: ArtifactRoot, path: str, content: bytes) -> Artifact:
    artifact = Artifact(path, len(content))
    server.artifacts.put(root, artifact, io.BytesIO(content))
    return artifact


def get(server: Target, root: ArtifactRoot, artifact: Artifact) -> bytes:
    with server.artifacts.open(root, artifact) as stream:
        return stream.read()


class Pipe:
    """A stream that cannot go back, and remembers how much was asked of it at most."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self.most = 0

    def read(self, size: int = -1) -> bytes:
        self.most = max(self.most, size if size >= 0 else MB * MB)
        return self._content.read(size)

    def seekable(self) -> bool:
        return False


class TestNames:
    def test_odd_names_arrive_as_they_are(self, server: Target, root: ArtifactRoot) -> None:
        sent = {path: path.encode() * 3 for path in ODD_NAMES}
        for path, content in sent.items():
            put(server, root, path, content)
        listed = server.artifacts.list(root)
        assert listed == sorted(Artifact(path, len(data)) for path, data in sent.items())
        assert {item.path: get(server, root, item) for item in listed} == sent

    @pytest.mark.parametrize("path", REFUSED_NAMES)
    def test_a_name_that_would_change_is_refused_without_a_call(
        self, server: Target, proxy: Proxy, root: ArtifactRoot, path: str
    ) -> None:
        proxy.clear()
        with pytest.raises(Refused) as caught:
            put(server, root, path, b"x")
        assert repr(path) in str(caught.value)
        assert proxy.requests == []

    def test_a_file_the_server_would_take_for_another_is_not_read(
        self, server: Target, root: ArtifactRoot
    ) -> None:
        put(server, root, "aA", b"the wrong one")
        with (
            pytest.raises(Refused, match="looks for another file"),
            server.artifacts.open(root, Artifact("a%41", 13)),
        ):
            pass

    @given(st.text("abA%41.#?/\\ :;ü\n", max_size=8))
    def test_what_passes_is_no_way_out_of_its_folder(self, path: str) -> None:
        if passes_proxy(path):
            assert ".." not in path.split("/")
            assert not path.startswith("/")
            assert not set("#\n") & set(path)
            assert "%41" not in path

    def test_empty_files_and_empty_runs(self, server: Target, root: ArtifactRoot) -> None:
        assert server.artifacts.list(root) == []
        put(server, root, "dir/empty", b"")
        assert server.artifacts.list(root) == [Artifact("dir/empty", 0)]
        assert get(server, root, Artifact("dir/empty", 0)) == b""

    def test_a_run_of_its_own_location(self, server: Target, source: Source) -> None:
        location = f"mlflow-artifacts:/chosen/{source.seeded.prefix}"
        root = root_of(server, source.run("r", source.experiment("located", location=location)))
        put(server, root, "a/b", b"x")
        assert root.uri.startswith(location)
        assert server.artifacts.list(root) == [Artifact("a/b", 1)]


class TestStreaming:
    def test_a_big_file_goes_both_ways_in_pieces(self, server: Target, root: ArtifactRoot) -> None:
        before = server.artifacts.transferred
        pipe = Pipe(BIG)
        artifact = Artifact("big", len(BIG))
        server.artifacts.put(root, artifact, pipe)  # type: ignore[arg-type]
        assert pipe.most <= MB
        assert server.artifacts.transferred - before == len(BIG)
        with server.artifacts.open(root, artifact) as stream:
            pieces = list(iter(lambda: stream.read(MB), b""))
        assert b"".join(pieces) == BIG
        assert max(map(len, pieces)) <= MB

    def test_a_file_that_is_there_is_replaced(self, server: Target, root: ArtifactRoot) -> None:
        put(server, root, "f", b"longer than the new one")
        put(server, root, "f", b"new")
        assert server.artifacts.list(root) == [Artifact("f", 3)]
        assert get(server, root, Artifact("f", 3)) == b"new"

    def test_one_that_is_not_there_is_not_found(self, server: Target, root: ArtifactRoot) -> None:
        with pytest.raises(NotFound), server.artifacts.open(root, Artifact("nothing", 1)):
            pass

    def test_an_upload_that_breaks_starts_over_where_it_can(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        proxy.faults = Faults(
            on_nth(UPLOAD, 1, cut_upload(MB)),
            on_nth(UPLOAD, 2, answer(503, retry_after=0)),
            on_nth(UPLOAD, 3, replace_response(502, retry_after=0)),
        )
        artifact = put(server, root, "big", BIG)
        assert len(proxy.matching(UPLOAD)) == 4
        assert server.artifacts.list(root) == [artifact]
        assert get(server, root, artifact) == BIG

    def test_one_that_cannot_start_over_is_sent_once_and_leaves_nothing(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        proxy.faults = Faults(on_nth(UPLOAD, 1, cut_upload(MB)))
        with pytest.raises(Unavailable):
            server.artifacts.put(root, Artifact("big", len(BIG)), Pipe(BIG))  # type: ignore[arg-type]
        assert len(proxy.matching(UPLOAD)) == 1
        assert server.artifacts.list(root) == []

    @pytest.mark.parametrize("change", [-1, 1])
    def test_a_file_of_another_size_than_listed_is_not_sent_as_if_whole(
        self, server: Target, root: ArtifactRoot, change: int
    ) -> None:
        artifact = Artifact("changing", len(BIG) - change)
        difference = "1 bytes fewer" if change < 0 else "more"
        says = f"artifact 'changing': the source delivers {difference} than the .* that it listed"
        with pytest.raises(Unavailable, match=says):
            server.artifacts.put(root, artifact, Pipe(BIG))  # type: ignore[arg-type]
        assert [file for file in server.artifacts.list(root) if file == artifact] == []

    @pytest.mark.parametrize("after", [1, 2 * MB])
    def test_a_download_that_breaks_off_is_never_taken_for_the_end(
        self, server: Target, proxy: Proxy, root: ArtifactRoot, after: int
    ) -> None:
        artifact = put(server, root, "big", BIG)
        proxy.faults = Faults(always(DOWNLOAD, truncate(after)))
        with (
            pytest.raises(Unavailable, match="artifact 'big' of the target broke off"),
            server.artifacts.open(root, artifact) as stream,
        ):
            b"".join(iter(lambda: stream.read(MB), b""))
        proxy.faults = Faults()
        assert get(server, root, artifact) == BIG

    def test_a_download_that_does_not_begin_is_tried_again(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        artifact = put(server, root, "f", b"content")
        proxy.faults = Faults(on_nth(DOWNLOAD, 1, answer(503, retry_after=0)))
        assert get(server, root, artifact) == b"content"
        assert len(proxy.matching(DOWNLOAD)) == 2

    def test_reading_leaves_room_for_others_when_it_ends(
        self, proxy: Proxy, root: ArtifactRoot, server: Target
    ) -> None:
        artifact = put(server, root, "big", BIG)
        with closing(open_target(Address(uri=proxy.uri, side="target", workers=1))) as narrow:
            for _ in range(3):
                with narrow.artifacts.open(root, artifact) as stream:
                    stream.read(10)
            with pytest.raises(NotFound), narrow.artifacts.open(root, Artifact("nothing", 1)):
                pass
            assert get(narrow, root, artifact) == BIG


PAGE = answer_with("<!DOCTYPE html><title>Log in</title>", 200, "text/html; charset=utf-8")
LISTING = ("GET", "/mlflow-artifacts/artifacts$")


class TestLogins:
    @pytest.mark.parametrize(
        "fault", [PAGE, redirect_to("https://login.example.com/?token=x")], ids=["page", "redirect"]
    )
    def test_a_login_in_place_of_files_stops_like_wrong_credentials(
        self, server: Target, proxy: Proxy, root: ArtifactRoot, fault: Fault
    ) -> None:
        artifact = put(server, root, "data.bin", b"content")
        proxy.faults = Faults(*(always(route, fault) for route in (LISTING, DOWNLOAD, UPLOAD)))
        with pytest.raises(NotAuthenticated, match="target") as caught:
            server.artifacts.list(root)
        assert "log in at the gateway before the target" in caught.value.hint
        with pytest.raises(NotAuthenticated, match="target"):
            get(server, root, artifact)
        with pytest.raises(NotAuthenticated, match="target"):
            put(server, root, "more.bin", b"content")

    def test_a_redirect_to_elsewhere_says_nothing_about_other_files(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        proxy.faults = Faults(always(LISTING, redirect_to("/elsewhere")))
        with pytest.raises(Redirected, match=r"to another address: http://.*/elsewhere"):
            server.artifacts.list(root)

    @pytest.mark.parametrize("path", ["page.html", "page.htm", "no name of a page"])
    def test_a_file_that_is_a_web_page_is_read(
        self, server: Target, root: ArtifactRoot, path: str
    ) -> None:
        content = b"<!DOCTYPE html><title>Report</title>"
        assert get(server, root, put(server, root, path, content)) == content

    @pytest.mark.thorough
    def test_a_page_from_a_server_that_names_no_files_is_read(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        artifact = put(server, root, "page.html", b"<html>")
        proxy.faults = Faults(always(DOWNLOAD, answer_with("<html>", 200, "text/html")))
        assert get(server, root, artifact) == b"<html>"


class TestPathsOfTheServersDisk:
    """A run whose artifacts are at a local path: that of the machine the server runs on."""

    @pytest.fixture
    def root(self, server: Target, source: Source, tmp_path: Path) -> ArtifactRoot:
        location = str(tmp_path / "on the server's disk")
        return root_of(server, source.run("r", source.experiment("local", location=location)))

    def test_files_are_listed_and_read_through_the_server(
        self, server: Target, proxy: Proxy, root: ArtifactRoot
    ) -> None:
        folder = Path(root.uri.removeprefix("file://"))
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "ü weights").write_bytes(BIG)
        (folder / "empty").touch()
        proxy.clear()
        listed = server.artifacts.list(root)
        assert listed == [Artifact("empty", 0), Artifact("model/ü weights", len(BIG))]
        assert get(server, root, listed[1]) == BIG
        assert proxy.requests
        assert proxy.writes() == []

    def test_nothing_is_written_where_nobody_named_the_root(
        self, server: Target, root: ArtifactRoot, tmp_path: Path
    ) -> None:
        with pytest.raises(NotPermitted, match="nobody named its root") as caught:
            put(server, root, "model/weights", b"abc")
        assert "--target-artifacts" in caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_files_are_written_below_a_root_that_the_user_named(
        self, proxy: Proxy, root: ArtifactRoot, tmp_path: Path
    ) -> None:
        with named(proxy, "target", tmp_path) as server:
            put(server, root, "model/weights", b"abc")
            assert server.artifacts.list(root) == [Artifact("model/weights", 3)]
        (found,) = [
            Path(folder, name)
            for folder, _, names in os.walk(root.uri.removeprefix("file://"))
            for name in names
        ]
        assert found.read_bytes() == b"abc"

    def test_a_source_is_read_on_the_disk_that_the_user_named(
        self, proxy: Proxy, root: ArtifactRoot, tmp_path: Path
    ) -> None:
        folder = Path(root.uri.removeprefix("file://"))
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "weights").write_bytes(b"abc")
        (tmp_path / "secret").write_bytes(b"of this machine")
        (folder / "link").symlink_to(tmp_path / "secret")
        (folder / "folder").symlink_to(tmp_path)
        proxy.clear()
        with named(proxy, "source", tmp_path) as server:
            listed = {file.path: file for file in server.artifacts.list(root)}
            assert listed.keys() == {"model/weights", "link", "folder"}
            assert get(server, root, listed["model/weights"]) == b"abc"
            for link in ("link", "folder"):
                with pytest.raises(DirectoryError, match="symbolic link"):
                    get(server, root, listed[link])
        assert proxy.requests == []

    @pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/out", "link/out", "link"])
    def test_no_name_leads_out_of_a_root_that_the_user_named(
        self, proxy: Proxy, root: ArtifactRoot, tmp_path: Path, name: str
    ) -> None:
        outside = tmp_path / "elsewhere"
        outside.mkdir()
        folder = Path(root.uri.removeprefix("file://"))
        folder.mkdir(parents=True)
        (folder / "link").symlink_to(outside)
        with (
            named(proxy, "target", tmp_path) as server,
            pytest.raises((Refused, DirectoryError)),
        ):
            put(server, root, name, b"x")
        assert list(outside.iterdir()) == []
        assert sorted(folder.iterdir()) == [folder / "link"]


class TestVersions:
    """Files of a version of a registered model: where the server says that they are."""

    @pytest.fixture
    def name(
        self, target_server: TrackingServerProcess, unique_name: str, root: ArtifactRoot
    ) -> str:
        with ModelSource(target_server.uri) as registry:
            name = registry.registered(unique_name)
            registry.version(name, f"{root.uri}/model", run_id=root.owner.id)
        return name

    def test_the_server_tells_where_they_are_and_they_are_read_there(
        self, server: Target, root: ArtifactRoot, name: str
    ) -> None:
        put(server, root, "model/deep/weights", b"abc")
        put(server, root, "other", b"x")
        place = server.model_versions.files(Ref(Kind.MODEL_VERSION, f"{name}/1"))
        assert place == ArtifactRoot(Ref(Kind.MODEL_VERSION, f"{name}/1"), f"{root.uri}/model")
        assert server.artifacts.list(place) == [Artifact("deep/weights", 3)]
        assert get(server, place, Artifact("deep/weights", 3)) == b"abc"

    def test_one_that_is_not_there_is_not_found(self, server: Target, name: str) -> None:
        with pytest.raises(NotFound):
            server.model_versions.files(Ref(Kind.MODEL_VERSION, f"{name}/2"))

    def test_of_a_local_path_the_server_sends_files_and_lists_none(
        self, server: Target, root: ArtifactRoot, name: str
    ) -> None:
        put(server, root, "model/weights", b"abc")
        place = ArtifactRoot(Ref(Kind.MODEL_VERSION, f"{name}/1"), "/on/the/server")
        assert get(server, place, Artifact("weights", 3)) == b"abc"
        with pytest.raises(Refused, match="the target lists no files of versions"):
            server.artifacts.list(place)

    def test_the_run_of_a_version_says_where_it_is(
        self, server: Target, root: ArtifactRoot, source: Source, name: str
    ) -> None:
        version = server.model_versions.read(Ref(Kind.MODEL_VERSION, f"{name}/1"))
        assert version is not None
        experiment = source.seeded.names["a"]
        assert server.model_versions.run_of(version) == VersionRun(root.uri, experiment)
        for gone in ("", "0" * 32):
            alone = dataclasses.replace(version, run_id=gone)
            assert server.model_versions.run_of(alone) == NO_RUN
