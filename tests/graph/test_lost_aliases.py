"""Aliases of versions that the source does not show: they are lost by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from migrate.endpoints.protocols import Source
from migrate.graph.planner import discover
from migrate.graph.registry import tell_of_lost_aliases
from migrate.graph.selection import Selection
from migrate.kinds import Kind, Ref
from migrate.objects import ModelVersion, RegisteredModel
from tests.graph.memory import MemoryServer
from tests.malformed.worlds import migrate, write_little


def lost(source: Source, kind: Kind, selection: Selection) -> list[str]:
    draft = discover(source, MemoryServer("target"), selection, workers=1)
    tell_of_lost_aliases(draft)
    return [loss.what for loss in draft.nodes[Ref(kind, "M")].losses]


@pytest.mark.parametrize("kind", [Kind.REGISTERED_MODEL, Kind.PROMPT])
@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ({}, []),
        ({"best": 1, "old": 2}, []),
        ({"best": 17, "old": 2, "a b": 3}, ["alias a b", "alias best"]),
    ],
)
def test_an_alias_is_lost_with_its_version(
    kind: Kind, aliases: Mapping[str, int], expected: list[str]
) -> None:
    source = MemoryServer("source")
    source.registered_held["M"] = RegisteredModel(name="M", kind=kind, aliases=aliases)
    for number in (1, 2):
        source.versions_held["M", number] = ModelVersion(
            name="M", version=number, kind=kind.versions or kind, source="s3://b/x"
        )
    assert lost(source, kind, Selection()) == expected


def test_an_alias_of_a_version_that_the_user_left_out_is_not_lost() -> None:
    source = MemoryServer("source")
    source.registered_held["M"] = RegisteredModel(name="M", aliases={"best": 1})
    for number, stage in ((1, "None"), (2, "Production")):
        source.versions_held["M", number] = ModelVersion(
            name="M", version=number, source="s3://b/x", stage=stage
        )
    selection = Selection(stages=("Production",), models=("M",))
    assert lost(source, Kind.REGISTERED_MODEL, selection) == []


def test_an_export_whose_alias_points_nowhere_is_not_imported_as_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_little(source)
    [file] = source.glob("models/*/model.json")
    document = json.loads(file.read_bytes())
    document["mlflow"]["registered_model"]["aliases"][0]["version"] = "17"
    file.write_text(json.dumps(document))
    state = str(tmp_path / "state.db")
    ended = migrate("run", source, tmp_path / "target", "--state", state)
    assert ended.code == 3
    assert "it points to version 17, which the source does not show" in " ".join(
        ended.output.split()
    )
