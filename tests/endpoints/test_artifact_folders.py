"""Folders are listed to their end, and those that have none are an error by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.artifacts.folders import walk
from migrate.errors import EndpointError
from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot

Listing = dict[str, Any]


def folder(path: str) -> Listing:
    return {"path": path, "is_dir": True}


def file(path: str) -> Listing:
    return {"path": path, "is_dir": False, "file_size": 3}


class Asked:
    """Lists what it is told to, and gives up after more requests than any walk may need."""

    def __init__(self, members: dict[str, list[Listing]] | None = None, *repeated: Listing) -> None:
        self.members = members
        self.repeated = repeated
        self.requests = 0

    def __call__(self, path: str) -> list[Listing]:
        self.requests += 1
        assert self.requests < 1000
        if self.members is not None:
            return self.members.get(path, [])
        above = f"{path}/" if path else ""
        return [{**item, "path": above + item["path"]} for item in self.repeated]


def test_files_of_all_folders_are_found() -> None:
    members = {"": [folder("b"), file("z")], "b": [folder("b/b"), file("b/a")], "b/b": []}
    assert [found.path for found in walk(Asked(members))] == ["b/a", "z"]


def test_markers_of_folders_are_no_files() -> None:
    def marker(path: str) -> Listing:
        return {"path": path, "is_dir": False, "file_size": 0}

    members = {
        # As they are, and as old versions tell them: the folder itself, and "." for the root.
        "": [folder("a"), marker("a/"), marker("."), marker("/")],
        "a": [marker("a"), marker("a/"), marker("a/."), folder("a/b"), marker("a/empty")],
        "a/b": [{"path": "a/b/", "is_dir": False}],
    }
    assert [found.path for found in walk(Asked(members))] == ["a/empty"]


def test_what_ends_in_a_slash_and_is_not_empty_is_a_file() -> None:
    assert [found.path for found in walk(Asked({"": [file("odd/")]}))] == ["odd/"]


@pytest.mark.parametrize(
    "links",
    [
        (folder("latest"),),
        (folder("a"), folder("b")),
        (folder("a"), file("x"), folder("b"), folder("c")),
    ],
)
def test_a_folder_that_contains_itself_is_noticed_soon(links: tuple[Listing, ...]) -> None:
    asked = Asked(None, *links)
    with pytest.raises(EndpointError, match="it contains itself"):
        walk(asked)
    assert asked.requests < 20


def test_folders_that_contain_each_other_are_noticed() -> None:
    class Alternating(Asked):
        def __call__(self, path: str) -> list[Listing]:
            self.repeated = (folder("odd" if path.count("/") % 2 else "even"), file("x"))
            return super().__call__(path)

    with pytest.raises(EndpointError, match="it contains itself"):
        walk(Alternating(None))


def test_some_folders_of_one_name_in_each_other_are_read() -> None:
    deep = "/".join(["model"] * 6)
    members = {"/".join(["model"] * n): [folder("/".join(["model"] * (n + 1)))] for n in range(6)}
    assert walk(Asked(members | {deep: [file(f"{deep}/MLmodel")]}))[0].path == f"{deep}/MLmodel"


@pytest.mark.parametrize("name", ["", ".", "..", "/", "elsewhere", "in"])
def test_a_folder_that_is_not_below_the_one_that_lists_it_is_refused(name: str) -> None:
    members = {"": [folder("in")], "in": [folder(name)]}
    with pytest.raises(EndpointError, match="folder 'in' of the artifacts lists the folder"):
        walk(Asked(members))


def test_a_path_deeper_than_reason_is_an_error() -> None:
    class Deeper(Asked):
        def __call__(self, path: str) -> list[Listing]:
            self.repeated = (folder(str(self.requests)),)
            return super().__call__(path)

    with pytest.raises(EndpointError, match="200th in a row"):
        walk(Deeper(None))


def test_links_in_the_storage_of_a_real_server_are_noticed(
    source_server: TrackingServerProcess,
) -> None:
    place = Path(source_server.directory) / "artifacts" / "linked"
    place.mkdir(parents=True)
    (place / "one").symlink_to(".")
    (place / "two").symlink_to(".")
    (place / "file.txt").write_text("x")
    server = open_source(Address(uri=source_server.uri, side="source"))
    try:
        root = ArtifactRoot(Ref(Kind.RUN, "0" * 32), "mlflow-artifacts:/linked")
        with pytest.raises(EndpointError, match="it contains itself"):
            server.artifacts.list(root)
    finally:
        server.close()
