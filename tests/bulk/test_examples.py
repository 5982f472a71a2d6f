"""The examples in the documentation of mlflow-migration and mlflow-export-import, as written.

Only the ids are those of the server at hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.bulk.worlds import FOOS, GIVEN_UP, IRIS, MINE, MNIST, RUNS, VERSIONS
from tests.seed_models import ModelSource

MY_MODELS = "sklearn_iris\nsklearn_wine\n"
MY_EXPERIMENTS = "/Users/me@my.com/sklearn_iris\n/Users/me@my.com/keras_mnist\n"
EXPERIMENT_NAMES = (
    "/Users/me@mycompany.com,/Users/you@mycompany.com\n"
    "/Users/foo@mycompany.com,/Users/bar@mycompany.com\n"
)
BOTH = {IRIS: RUNS[IRIS], MNIST: RUNS[MNIST]}


def test_everything_is_exported_and_imported(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    bulk("export-all --output-dir out", world.seeded.uri)
    out = bulk.exported()
    assert out.runs == RUNS
    assert out.versions == VERSIONS
    assert out.prompts == {"greeting": [1, 2]}
    assert out.logged_models == {"net"}

    bulk("import-all --input-dir out", fresh_target.uri)
    assert Arrived(fresh_target.uri).differences(world) == []


def test_all_models_are_exported_and_imported(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    bulk("export-models --output-dir out", world.seeded.uri)
    out = bulk.exported()
    assert out.versions == VERSIONS
    # The runs of versions, and their parents; no other runs, no other experiments.
    of_versions = {IRIS: {"iris-1", "iris-2"}, MNIST: {"mnist-parent", "mnist-child"}}
    assert out.runs == of_versions

    bulk("import-models  --input-dir out", fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    assert arrived.versions == VERSIONS
    assert arrived.runs == {**of_versions, "Default": set()}


def test_specified_models_are_exported(bulk: Bulk, world: ModelSource) -> None:
    line = """export-models \\
      --output-dir out \\
      --models sklearn-wine,sklearn-iris
    """
    bulk(line, world.seeded.uri)
    out = bulk.exported()
    assert out.versions == {"sklearn-wine": [1, 2, 3], "sklearn-iris": [1]}
    assert out.runs == {IRIS: {"iris-1", "iris-2"}}


def test_models_starting_with_a_prefix_are_exported(bulk: Bulk, world: ModelSource) -> None:
    line = """export-models \\
      --output-dir out \\
      --models sklearn*
    """
    bulk(line, world.seeded.uri)
    assert bulk.exported().versions == {k: v for k, v in VERSIONS.items() if k != "keras_mnist"}


def test_models_from_a_file_are_exported(bulk: Bulk, world: ModelSource) -> None:
    bulk.write("my-models.txt", MY_MODELS)
    line = """export-models \\
      --output-dir out \\
      --models my-models.txt
    """
    bulk(line, world.seeded.uri)
    assert bulk.exported().versions == {"sklearn_iris": [1], "sklearn_wine": [1]}


def test_experiments_are_exported_by_their_ids(bulk: Bulk, world: ModelSource) -> None:
    ids = world.seeded.experiments
    line = f"""export-experiments \\
      --experiments {ids["iris"]},{ids["mnist"]} \\
      --output-dir out
    """
    bulk(line, world.seeded.uri)
    assert bulk.exported().runs == BOTH
    assert bulk.exported().versions == {}


def test_experiments_are_exported_by_their_names(bulk: Bulk, world: ModelSource) -> None:
    line = """export-experiments \\
      --experiments /Users/me@my.com/sklearn_iris,/Users/me@my.com/keras_mnist \\
      --output-dir out
    """
    bulk(line, world.seeded.uri)
    assert bulk.exported().runs == BOTH
    assert bulk.exported().logged_models == {"net"}


def test_experiments_from_a_file_are_exported(bulk: Bulk, world: ModelSource) -> None:
    bulk.write("my-experiments.txt", MY_EXPERIMENTS)
    line = """export-experiments \\
      --output-dir out \\
      --experiments my-experiments.txt
    """
    bulk(line, world.seeded.uri)
    assert bulk.exported().runs == BOTH


@pytest.fixture
def exported_experiments(bulk: Bulk, world: ModelSource) -> Path:
    line = """export-experiments \\
      --experiments all --output-dir exported_experiments
    """
    bulk(line, world.seeded.uri)
    return bulk.directory / "exported_experiments"


@pytest.mark.usefixtures("exported_experiments")
def test_all_experiments_are_exported_and_imported(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    out = bulk.exported("exported_experiments")
    assert (out.runs, out.versions, out.prompts) == (RUNS, {}, {})

    line = """import-experiments \\
      --input-dir exported_experiments
    """
    bulk(line, fresh_target.uri)
    assert Arrived(fresh_target.uri).differences(world, models=False) == []


@pytest.mark.usefixtures("exported_experiments")
def test_experiments_are_imported_under_other_names(
    bulk: Bulk, world: ModelSource, fresh_target: TrackingServerProcess
) -> None:
    bulk.write("experiment-names.csv", EXPERIMENT_NAMES)
    line = """import-experiments \\
      --input-dir exported_experiments \\
      --experiment-name-replacements-file experiment-names.csv
    """
    bulk(line, fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    renamed = {
        MINE: "/Users/you@mycompany.com/churn",
        FOOS: "/Users/bar@mycompany.com/churn",
    }
    assert arrived.runs.keys() == {renamed.get(name, name) for name in RUNS}
    assert arrived.differences(world, models=False, renamed=renamed) == []
    assert GIVEN_UP not in arrived.runs
