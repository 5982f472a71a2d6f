"""An export of which one file is malformed: the rest arrives, and the exit code says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.endpoints.exports import POINTS
from tests.malformed.planted import (
    COUNTS_ARE_NOT_COMPARED,
    LISTS_ARE_EMPTY,
    TAGS_ARE_NONE,
    UNREADABLE_IS_NOTHING,
    Defect,
    found,
    planted,
)
from tests.malformed.worlds import Case, check_ended, count_in, each, migrate, seeds, write_little
from tests.mutations import any_body


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export")
    write_little(path)
    return path


def _case(export: Path, which: str = "*.json") -> Case:
    """What has to hold whatever is wrong with one file."""
    counts = count_in(export)
    files = sorted(path.relative_to(export) for path in export.rglob(which))

    def case(random: Random, folder: Path) -> None:
        source, target = folder / "source", folder / "target"
        shutil.copytree(export, source)
        file = random.choice(files)
        wrong = any_body(json.loads((source / file).read_bytes()), random)
        (source / file).write_bytes(wrong.body)
        ended = migrate("run", source, target, "--serial", "--state", folder / "state.db")
        check_ended(ended)
        if ended.code == 0 and not wrong.may_hide:
            told = f"{file}: {wrong.body[:500]!r}"
            assert count_in(target) == counts, f"{told}\n{ended.output}"

    return case


@pytest.mark.parametrize("instead", ["..", 5, [1]])
def test_a_version_of_a_prompt_of_another_type_is_not_taken_for_one_that_is_not_there(
    export: Path, tmp_path: Path, instead: object
) -> None:
    source = tmp_path / "source"
    shutil.copytree(export, source)
    [file] = source.rglob("prompt.json")
    document = json.loads(file.read_bytes())
    document["mlflow"]["model_version"] = instead
    file.write_text(json.dumps(document))
    ended = migrate("run", source, tmp_path / "target", "--state", tmp_path / "state.db")
    assert ended.code == 3
    assert "model_version" in ended.output


@seeds(12, 4_000)
def test_one_malformed_file_costs_what_it_tells_of(export: Path, seeds: range) -> None:
    each(seeds, _case(export))


@planted(TAGS_ARE_NONE, LISTS_ARE_EMPTY, UNREADABLE_IS_NOTHING)
def test_malformed_files_find_a_planted_defect(export: Path, defect: Defect) -> None:
    assert found(defect, _case(export))


@planted(COUNTS_ARE_NOT_COMPARED)
def test_malformed_counts_find_a_planted_defect(tmp_path: Path, defect: Defect) -> None:
    """The latest point comes first here: that it is there says nothing of those after it."""
    write_little(tmp_path / "export", POINTS[::-1])
    assert found(defect, _case(tmp_path / "export", "runs/*/migrate.json"))
