"""Other names for the copies, followed through to everything that goes by a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived, tags_of
from tests.bulk.conftest import Bulk
from tests.bulk.worlds import FOOS, IRIS, MINE, MNIST, RUNS, VERSIONS
from tests.comparison import Server
from tests.comparison_models import ModelServer
from tests.conftest import ProxyFactory
from tests.seed_models import ModelSource

EXPERIMENTS = '/Users/me@my.com/sklearn_iris,flowers\n"/Users/",/Home/\n"weekly, daily",weekly\n'
MODELS = "sklearn-wine,wine\nsklearn-,sk-learn-\nkeras_,torch_\ngreeting,farewell\n"
RENAMED = {
    IRIS: "flowers",
    MNIST: "/Home/me@my.com/keras_mnist",
    MINE: "/Home/me@mycompany.com/churn",
    FOOS: "/Home/foo@mycompany.com/churn",
    "weekly, daily": "weekly",
}
RENAMED_MODELS = {"sklearn-wine": "wine", "sklearn-iris": "sk-learn-iris"} | {
    "keras_mnist": "torch_mnist"
}
BOTH_FILES = "--experiment-rename-file experiments.csv --model-rename-file models.csv"


@pytest.fixture
def rules(bulk: Bulk) -> str:
    """The options of an import with both files."""
    bulk.write("experiments.csv", EXPERIMENTS)
    bulk.write("models.csv", MODELS)
    return BOTH_FILES


def test_everything_that_goes_by_a_name_follows(
    bulk: Bulk, whole: Path, world: ModelSource, fresh_target: TrackingServerProcess, rules: str
) -> None:
    bulk(f"import-all --input-dir {whole} {rules} --use-threads", fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    assert arrived.runs == {RENAMED.get(name, name): runs for name, runs in RUNS.items()}
    assert arrived.differences(world, models=False, renamed=RENAMED) == []
    assert arrived.versions == {RENAMED_MODELS.get(n, n): v for n, v in VERSIONS.items()}

    with ModelServer(fresh_target.uri) as server:
        wine = server.registered_models(prompts=False)["wine"]
        assert (wine["description"], tags_of(wine)["team"]) == ("red", "wine")
        stages = [server.version("wine", number) for number in (1, 2, 3)]
        expected = ["Archived", "Production", "Production"]
        assert [version and version["current_stage"] for version in stages] == expected
        mnist = server.registered_models(prompts=False)["torch_mnist"]
        assert mnist["aliases"] == [{"alias": "champion", "version": "3"}]
        made_of_wine = server.version("torch_mnist", 4)
        assert made_of_wine is not None
        assert made_of_wine["source"] == "models:/wine/3"
        assert list(server.registered_models(prompts=True)) == ["farewell"]
        experiments = server.experiments()
        (net,) = server.logged_models([experiments[RENAMED[MNIST]]["experiment_id"]])
        assert net["info"]["name"] == "net"
        first = server.version("torch_mnist", 1)
        assert first is not None
        assert first["source"] == f"models:/{net['info']['model_id']}"


@pytest.mark.thorough
def test_once_more_with_the_same_files_writes_nothing_and_verify_agrees(
    bulk: Bulk,
    whole: Path,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    rules: str,
) -> None:
    bulk(f"import-all --input-dir {whole} {rules}", fresh_target.uri)
    assert "no difference" in bulk("migrate verify --contents").stdout
    given = f"migrate verify {whole} {fresh_target.uri} {rules} --include-deleted"
    assert "no difference" in bulk(given).stdout

    proxy = proxy_factory(fresh_target.uri)
    assert "Wrote nothing" in bulk(f"import-all --input-dir {whole} {rules}", proxy.uri).stdout
    bulk(f"import-all --input-dir {whole} {rules} --state new.db", proxy.uri)
    assert not proxy.writes()


def test_verify_without_the_files_finds_what_is_called_otherwise(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess, rules: str
) -> None:
    bulk(f"import-all --input-dir {wine_and_iris} {rules}", fresh_target.uri)
    shown = bulk(f"migrate verify {wine_and_iris} {fresh_target.uri}", code=3).stdout
    assert "sklearn-iris" in shown


def test_what_was_imported_before_under_its_own_name_is_renamed_and_not_made_twice(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess, rules: str
) -> None:
    bulk(f"import-experiments --input-dir {wine_and_iris}", fresh_target.uri)
    arrived = Arrived(fresh_target.uri)
    before = arrived.copies
    experiments = "--experiment-rename-file experiments.csv"
    bulk(f"import-experiments --input-dir {wine_and_iris} {experiments}", fresh_target.uri)
    assert arrived.runs == {"Default": set(), "flowers": RUNS[IRIS]}
    assert arrived.copies == before
    assert "no difference" in bulk("migrate verify").stdout

    # Nothing is taken back by an import that has no file.
    bulk(f"import-experiments --input-dir {wine_and_iris}", fresh_target.uri)
    assert arrived.runs == {"Default": set(), "flowers": RUNS[IRIS]}


def test_a_copied_model_stays_and_is_made_anew_under_its_other_name(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess, rules: str
) -> None:
    bulk(f"import-models --input-dir {wine_and_iris}", fresh_target.uri)
    bulk(f"import-models --input-dir {wine_and_iris} {rules}", fresh_target.uri)
    assert Arrived(fresh_target.uri).versions == {
        "sklearn-iris": [1],
        "sklearn-wine": [1, 2, 3],
        "sk-learn-iris": [1],
        "wine": [1, 2, 3],
    }


def test_names_may_change_places(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess
) -> None:
    """Each of two models gets the name of the other, and an experiment one that is taken."""
    bulk.write("models.csv", "sklearn-wine,sklearn-iris\nsklearn-iris,sklearn-wine\n")
    bulk.write("experiments.csv", f"{IRIS},Default\n")
    line = f"import-all --input-dir {wine_and_iris} {BOTH_FILES}"
    for _ in range(2):
        bulk(line, fresh_target.uri)
        arrived = Arrived(fresh_target.uri)
        assert arrived.versions == {"sklearn-iris": [1, 2, 3], "sklearn-wine": [1]}
        assert arrived.runs == {"Default": RUNS[IRIS]}
    with Server(fresh_target.uri) as server:
        assert server.experiments()["Default"]["experiment_id"] == "0"


def test_only_the_beginning_is_replaced_and_only_once(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess
) -> None:
    bulk.write("models.csv", "s,ss\nsklearn,never\nss,never\n")
    bulk.write("experiments.csv", "/Users/me@my.com/s,s/Users/me@my.com/s\n")
    bulk(f"import-all --input-dir {wine_and_iris} {BOTH_FILES}", fresh_target.uri)
    assert Arrived(fresh_target.uri).versions.keys() == {"ssklearn-iris", "ssklearn-wine"}
    assert f"s{IRIS}" in Arrived(fresh_target.uri).runs
