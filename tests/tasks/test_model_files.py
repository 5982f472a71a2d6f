"""Model files get the ids and the place of the copy, and stay as they are in all else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import NotFound
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot
from migrate.tasks import model_files
from migrate.tasks.model_files import (
    Rewrites,
    UnreadableModelFile,
    foreign_ids,
    is_model_file,
    read_model_files,
    rewritten,
)
from migrate.tasks.model_yaml import LARGE
from tests.graph.memory import MemoryServer

RUN, MODEL = "a" * 32, "m-" + "b" * 32
NEW_RUN, NEW_MODEL = "1" * 32, "m-" + "2e" * 16
ROOT, NEW_ROOT = f"mlflow-artifacts:/1/models/{MODEL}/artifacts", "mlflow-artifacts:/9, ä/x"
REWRITES = Rewrites(ids={RUN: NEW_RUN, MODEL: NEW_MODEL}, roots=((ROOT, NEW_ROOT),))
NEW = {RUN: NEW_RUN, MODEL: NEW_MODEL, ROOT: NEW_ROOT, f"{ROOT}/a": f"{NEW_ROOT}/a"}
KEYS = ("run_id", "model_id", "model_uuid", "artifact_path")


def changed(text: str) -> str:
    return rewritten(text.encode(), REWRITES).decode()


def test_the_four_values_are_replaced_and_nothing_else() -> None:
    text = (
        f"# of run {RUN}\nartifact_path: {ROOT}/a # here\nflavors:\n  f:\n    run_id: {RUN}\n"
        f"    note: 'run_id: {RUN}'\nmodel_id:   \"{MODEL}\"\nmodel_uuid: '{MODEL}'\n"
        f"other: {RUN}\nrun_id: {RUN}\r\nsignature: |\n  run_id: {RUN}\n"
    )
    assert changed(text) == (
        f"# of run {RUN}\nartifact_path: '{NEW_ROOT}/a' # here\nflavors:\n  f:\n    run_id: {RUN}\n"
        f"    note: 'run_id: {RUN}'\nmodel_id:   {NEW_MODEL}\nmodel_uuid: '{NEW_MODEL}'\n"
        f"other: {RUN}\nrun_id: '{NEW_RUN}'\r\nsignature: |\n  run_id: {RUN}\n"
    )


SCALARS = st.sampled_from([RUN, MODEL, ROOT, f"{ROOT}/a", f"{ROOT}2", "x: y", "größe 日本 🦆", "1"])
STYLES = st.sampled_from(["plain", "single", "double", "literal", "folded", "anchor", "tag"])


def _scalar(value: str, style: str, indent: str, end: str, anchor: str) -> str:
    if style == "single" or (style in ("plain", "anchor", "tag") and ": " in value):
        return f"'{value}'"
    return {
        "plain": value,
        "double": '"' + value.replace(" ", "\\x20") + '"',
        "literal": f"|-{end}{indent}  {value}",
        "folded": f">-  # folded{end}{indent}  {value}{end}",
        "anchor": f"&{anchor} {value}",
        "tag": f"!!str {value}",
    }[style]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A mapping as YAML has it: any order and style, comments, the same keys deeper and twice."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = []
    for anchor in "abcdefg"[: draw(st.integers(1, 7))]:
        key = draw(st.sampled_from([*KEYS, "other", "größe 🦆", '"run_id"']))
        what = draw(st.sampled_from(["scalar", "scalar", "mapping", "list", "comment", "flow"]))
        value = draw(SCALARS)
        inner = draw(st.sampled_from(KEYS))
        if what == "scalar":
            lines.append(f"{key}: {_scalar(value, draw(STYLES), '', end, anchor)}")
        elif what == "mapping":
            lines.append(f"{key}:{end}  {inner}: {_scalar(value, draw(STYLES), '  ', end, anchor)}")
        elif what == "list":
            lines.append(f"{key}:{end}- '{value}'{end}- {inner}: '{value}'")
        elif what == "flow":
            lines.append(f"{key}: {{{inner}: '{value}', b: [1]}}")
        else:
            lines.append(f"# {inner}: {value}")
    text = end.join(lines) + draw(st.sampled_from(["", end, f"{end}# end{end}"]))
    return draw(st.sampled_from(["", "\ufeff", f"---{end}"])) + text


def members(text: str) -> list[tuple[str, Any]]:
    """The members of a document, double ones too, with their values."""
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    if top is None:
        return []
    loader = yaml.SafeLoader("")
    return [(key.value, loader.construct_document(value)) for key, value in top.value]


def replaced(key: str, value: Any) -> Any:
    """What the value of a member has to become: ids and places are told apart by the key."""
    if not isinstance(value, str) or key not in KEYS:
        return value
    is_place = key == "artifact_path"
    return NEW.get(value, value) if is_place == value.startswith("mlflow") else value


@given(documents())
def test_any_document_keeps_all_but_the_four_values(text: str) -> None:
    result = changed(text)
    assert members(result) == [(key, replaced(key, value)) for key, value in members(text)]
    comments = re.compile(r"^#.*$", re.M)
    assert comments.findall(result) == comments.findall(text)
    bare = [content.replace("\r\n", "").count("\n") for content in (text, result)]
    assert bare[0] == bare[1] or "\r\n" not in text
    assert changed(result) == result


@given(st.binary() | st.text(max_size=60).map(str.encode))
def test_whatever_a_file_holds_it_is_rewritten_or_cannot_be_read(content: bytes) -> None:
    for text in (content, RUN.encode() + content, content + b"\nrun_id: " + RUN.encode()):
        try:
            rewritten(text, REWRITES)
        except UnreadableModelFile:
            continue


@pytest.mark.parametrize(
    "text",
    [
        f"run_id: [{RUN}",
        f"run_id: {RUN}\n--- \nrun_id: {RUN}\n",
        f'run_id: {RUN}\nx: "\\UFFFFFFFF"\n',
        f"run_id: {RUN}\nx: *nothing\n",
        f"run_id: {RUN}\n" + "[" * 5000,
    ],
    ids=["not closed", "two documents", "no character", "no anchor", "deep"],
)
def test_what_is_no_yaml_cannot_be_read(text: str) -> None:
    with pytest.raises(UnreadableModelFile):
        changed(text)


@pytest.mark.parametrize(
    "text",
    [
        RUN,
        f"- run_id: {RUN}",
        f"run_id: [{RUN}]",
        f"? [run_id]\n: {RUN}\n",
        f"? {{a: b}}\n: {RUN}\n",
        f"run_id: {RUN}x\n",
        f"artifact_path: {ROOT}2\n",
        f"artifact_path: {RUN}\n",
        "run_id: other\n",
        f"x: &r {RUN}\nrun_id: *r\n",
        "",
    ],
)
def test_what_is_none_of_the_four_stays(text: str) -> None:
    assert changed(text) == text


def test_a_value_that_is_named_twice_is_replaced_once() -> None:
    text = f"artifact_path: &p {ROOT}\nrun_id: &r {RUN}\nmodel_uuid: *r\n"
    assert yaml.safe_load(changed(text)) == {
        "artifact_path": NEW_ROOT,
        "run_id": NEW_RUN,
        "model_uuid": NEW_RUN,
    }


@pytest.mark.parametrize("style", ["{%s}", "{x: 1, %s, y: [2]}"])
def test_a_document_on_one_line_stays_one(style: str) -> None:
    text = style % f"run_id: {RUN}, artifact_path: {ROOT}"
    found = yaml.safe_load(changed(text))
    assert (found["run_id"], found["artifact_path"]) == (NEW_RUN, NEW_ROOT)


def test_a_model_file_is_told_by_its_name() -> None:
    assert all(map(is_model_file, ["MLmodel", "a/b/MLmodel"]))
    assert not any(map(is_model_file, ["MLmodel/x", "xMLmodel", "MLmodel.yaml", ""]))


def test_ids_that_are_not_its_own_are_named() -> None:
    other = "f" * 32
    text = f"run_id: {RUN}\nmodel_id: '{other}'\nflavors:\n  run_id: {'e' * 32}\nrun_id: null\n"
    assert foreign_ids(text.encode(), REWRITES) == [other]


class TestReading:
    @pytest.fixture
    def source(self) -> MemoryServer:
        return MemoryServer()

    ROOT_OF_RUN = ArtifactRoot(Ref(Kind.RUN, RUN), "memory:/x")

    def read(self, source: MemoryServer) -> model_files.ModelFiles:
        files = source.artifacts.list(self.ROOT_OF_RUN)
        return read_model_files(source, self.ROOT_OF_RUN, files, REWRITES)

    def test_model_files_alone_are_read_and_rewritten(self, source: MemoryServer) -> None:
        text = f"run_id: {RUN}\n".encode()
        source.files[RUN] = {"MLmodel": text, "a/MLmodel": b"x: 1\n", "run.txt": text}
        found = self.read(source)
        new = f"run_id: '{NEW_RUN}'\n".encode()
        assert found.contents == {"MLmodel": new, "a/MLmodel": b"x: 1\n"}
        assert found.warnings == ()

    def test_one_that_cannot_be_read_is_kept_with_a_warning(self, source: MemoryServer) -> None:
        broken = f"run_id: {RUN}\n".encode() + b"\xff\x00"
        source.files[RUN] = {"MLmodel": broken}
        found = self.read(source)
        assert found.contents == {"MLmodel": broken}
        assert "MLmodel cannot be read" in found.warnings[0]

    def test_what_is_too_long_or_not_delivered_is_copied_like_any_file(
        self, source: MemoryServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source.files[RUN] = {"MLmodel": f"run_id: {RUN}\n".encode()}
        monkeypatch.setattr(model_files, "LONGEST", 3)
        assert self.read(source).contents == {}
        monkeypatch.undo()

        @contextmanager
        def refuses(root: ArtifactRoot, artifact: Artifact) -> Iterator[BinaryIO]:
            raise NotFound("gone")
            yield

        monkeypatch.setattr(source.artifacts, "open", refuses)
        assert self.read(source).contents == {}

    def test_one_that_changes_meanwhile_is_copied_like_any_file(self, source: MemoryServer) -> None:
        source.files[RUN] = {"MLmodel": b"run_id: x\n"}
        files = [Artifact("MLmodel", 3)]
        assert read_model_files(source, self.ROOT_OF_RUN, files, REWRITES).contents == {}


def test_a_model_file_of_megabytes_is_rewritten_like_a_small_one() -> None:
    old, new = "a" * 32, "b" * 32
    flavors = "".join(f"  'key {n}': [é, {{n: {n}}}]\n" for n in range(20_000))
    text = f"flavors:\n{flavors}run_id: {old}\nmodel_uuid: '{old}'\nartifact_path: model\n"
    assert len(text) > LARGE
    result = rewritten(text.encode(), Rewrites(ids={old: new})).decode()
    assert result == text.replace(old, new)


def test_an_odd_model_file_of_megabytes_loses_nothing() -> None:
    old = "a" * 32
    for head in ("\ufeff", "# \U0001f600\r\n", "%YAML 1.1\n---\n", "? |\n  é\r\n  é\n: x\n"):
        text = f"{head}run_id: {old}\nflavors: '{'x' * LARGE}'\n"
        result = rewritten(text.encode(), Rewrites(ids={old: "b" * 32})).decode()
        assert result == text.replace(old, "b" * 32)
