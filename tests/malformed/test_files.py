"""An export of which one file is malformed: the rest arrives, and the exit code says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.malformed.worlds import check_ended, count_in, each, migrate, seeds, write_little
from tests.mutations import any_body


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export")
    write_little(path)
    return path


@seeds(15, 10_000)
def test_one_malformed_file_costs_what_it_tells_of(export: Path, seeds: range) -> None:
    counts = count_in(export)
    files = sorted(path.relative_to(export) for path in export.rglob("*.json"))

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

    each(seeds, case)
