"""An export of which one file is malformed: the rest arrives, and the exit code says so."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings

from migrate.endpoints.directory import ExportDirectory
from migrate.objects import Experiment, Metric
from tests.endpoints.exports import a_run
from tests.malformed.worlds import check_ended, count_in, migrate
from tests.mutations import MANY, SEEDS, any_mutation


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export")
    target = ExportDirectory(path, writable=True)
    experiment = target.create_experiment(Experiment(experiment_id="7", name="churn"))
    for run_id in ("a" * 32, "b" * 32):
        run = a_run(run_id=run_id)
        writer = target.create_run(experiment, run)
        writer.write_params(run.params)
        points = [Metric(key, 0.5, 1, step) for key in ("auc", "loss") for step in (1, 2)]
        writer.write_metrics(points)
        writer.write_inputs(run.inputs)
        writer.finish(run, "mark")
    target.publish()
    target.close()
    return path


@settings(max_examples=15, **MANY)
@given(seed=SEEDS)
def test_one_malformed_file_costs_what_it_tells_of(export: Path, seed: int) -> None:
    _with_one_malformed_file(export, seed)


@pytest.mark.thorough
@settings(max_examples=2000, **MANY)
@given(seed=SEEDS)
def test_two_thousand_malformed_files(export: Path, seed: int) -> None:
    _with_one_malformed_file(export, seed)


def _with_one_malformed_file(export: Path, seed: int) -> None:
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        shutil.copytree(export, source)
        file = random.choice(sorted(source.rglob("*.json")))
        content = json.loads(file.read_text())
        mutation = any_mutation(content, random)
        file.write_text(json.dumps(mutation.of(content)))
        state = Path(folder) / "state.db"
        ended = migrate("run", source, target, "--serial", "--state", state)
        check_ended(ended)
        if ended.code == 0 and not mutation.may_hide:
            told = f"{file.name}: {mutation}"[:500]
            assert count_in(target) == count_in(export), f"{told}\n{ended.output}"
