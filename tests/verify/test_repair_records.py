"""``migrate run --repair`` where the records of an export, as the target, are damaged or gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from migrate.cli.app import app
from migrate.endpoints.directory import ExportDirectory
from tests.endpoints.exports import (
    a_logged_model,
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    write_logged_model,
    write_registry,
    write_run,
)
from tests.verify.damages import migrate

RUN = "a" * 32
MODEL = "models/fraud/model.json"
EXPERIMENT = "experiments/7/experiment.json"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with one of each kind, and two versions of each."""
    path = tmp_path_factory.mktemp("origin") / "export"
    target = ExportDirectory(path, writable=True, holds_models=True)
    target.experiments.create(an_experiment("7"))
    write_run(target, a_run(RUN), files={"notes.txt": b"x"})
    write_logged_model(target, a_logged_model(), files={"MLmodel": b"x"})
    write_registry(target, a_registered_model(), [a_version(1, aliases=("best",)), a_version(2)])
    write_registry(target, a_prompt(), [a_prompt_version(1), a_prompt_version(2)])
    target.publish()
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_text("{}")


def truncated_to_nothing(path: Path) -> None:
    path.write_bytes(b"")


#: All that these say is said by what lies beside them, too.
TELL_NOTHING_ELSE = (
    "experiments/7/logged_models/m-1/migrate.json",
    "models/models.json",
)
DAMAGES = [
    pytest.param(MODEL, cut),
    pytest.param(EXPERIMENT, cut),
    pytest.param("prompts/greeting.prompt.json", cut),
    *(
        pytest.param(name, damage, marks=pytest.mark.thorough)
        for name, damage in (
            (MODEL, Path.unlink),
            (MODEL, emptied),
            (MODEL, truncated_to_nothing),
            (EXPERIMENT, Path.unlink),
            (EXPERIMENT, emptied),
            (EXPERIMENT, truncated_to_nothing),
            ("models/fraud/versions/1.json", cut),
            ("models/fraud/versions/1.json", Path.unlink),
            (f"experiments/7/runs/{RUN}/run.json", cut),
            (f"experiments/7/runs/{RUN}/run.json", emptied),
            (f"experiments/7/runs/{RUN}/migrate.json", cut),
            ("experiments/7/logged_models/m-1/logged_model.json", cut),
            ("experiments/7/logged_models/m-1/migrate.json", Path.unlink),
            ("models/models.json", cut),
            ("prompts/greeting.prompt.json", Path.unlink),
            ("prompts/greeting_v1/prompt.json", cut),
        )
    ),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_record_that_is_damaged_or_gone_is_written_anew(
    origin: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    copy, state = tmp_path / "copy", ("--state", tmp_path / "state.db")
    assert migrate("run", origin, copy, *state).code == 0
    files = {it.relative_to(copy) for it in copy.rglob("*") if it.is_file()}
    damage(copy / name)
    assert migrate("verify", origin, copy).code == (0 if name in TELL_NOTHING_ELSE else 3)

    repaired = migrate("run", origin, copy, "--repair", "--json", *state)
    assert (repaired.json["failures"], repaired.code) == ([], 0)
    verified = migrate("verify", origin, copy, "--contents", "--json")
    assert (verified.json["differences"], verified.json["declared"]) == ([], [])
    assert verified.code == 0
    assert {it.relative_to(copy) for it in copy.rglob("*") if it.is_file()} >= files
    json.loads((copy / name).read_text())


@pytest.mark.thorough
@pytest.mark.parametrize("damage", [cut, truncated_to_nothing, Path.unlink])
def test_without_the_index_that_says_whose_it_is_an_export_is_no_target_and_is_left_alone(
    origin: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    assert migrate("run", origin, copy, "--state", tmp_path / "state.db").code == 0
    damage(copy / "experiments" / "experiments.json")
    there = {it: it.read_bytes() for it in copy.rglob("*") if it.is_file()}
    args = ["run", origin, copy, "--repair", "--state", tmp_path / "other.db"]
    refused = CliRunner().invoke(app, [*map(str, args)])
    assert refused.exit_code in (1, 2)
    assert "new directory" in refused.output
    assert {it: it.read_bytes() for it in copy.rglob("*") if it.is_file()} == there
