"""``--import-source-tags`` and ``--use-src-user-id``, between real servers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.graph.selection import Selection
from migrate.tasks.batches import Policy
from migrate.verify import Ends, compare
from tests.cli.conftest import Migrate
from tests.conftest import ProxyFactory
from tests.seed_models import ModelSource
from tests.source_tags import Held, expected_of, plus, seed_tagged, tags_of


@pytest.fixture(scope="module")
def source(source_server: TrackingServerProcess) -> str:
    return source_server.uri


@pytest.fixture
def name(source: str, unique_name: str) -> str:
    """A registered model, and an experiment of its name that its version is from."""
    seed_tagged(source, unique_name)
    return unique_name


@pytest.fixture
def args(name: str) -> list[str]:
    return ["--models", name]


def test_copies_say_what_their_originals_were_and_a_second_time_nothing_is_written(
    migrate: Migrate,
    proxy_factory: ProxyFactory,
    fresh_target: Any,
    source: str,
    name: str,
    args: list[str],
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    command = ["run", source, proxy.uri, *args, "--import-source-tags"]
    migrate(*command)
    original = Held.on(source, name)
    assert Held.on(fresh_target.uri, name).tags() == plus(original.tags(), expected_of(original))

    proxy.clear()
    migrate(*command)
    assert proxy.writes() == []


@pytest.mark.thorough
def test_they_say_the_same_when_a_directory_lies_between(
    migrate: Migrate, fresh_target: Any, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    migrate("run", source, tmp_path / "export", *args)
    migrate("run", tmp_path / "export", fresh_target.uri, "--import-source-tags")
    original = Held.on(source, name)
    assert Held.on(fresh_target.uri, name).tags() == plus(original.tags(), expected_of(original))


@pytest.mark.thorough
def test_asked_for_later_they_complete_the_copies_and_make_no_others(
    migrate: Migrate, fresh_target: Any, source: str, name: str, args: list[str]
) -> None:
    command = ["run", source, fresh_target.uri, *args]
    migrate(*command)
    plain = Held.on(fresh_target.uri, name)
    original = Held.on(source, name)
    assert plain.tags() == original.tags()
    migrate(*command, "--import-source-tags", "--use-src-user-id")
    after = Held.on(fresh_target.uri, name)
    wanted = plus(original.tags(), expected_of(original))
    wanted["run"]["mlflow.user"] = "ada"
    assert after.tags() == wanted
    assert after.run["info"]["run_id"] == plain.run["info"]["run_id"]
    assert after.version["version"] == plain.version["version"]


@pytest.mark.thorough
def test_the_newest_source_wins_and_nothing_is_nested(
    migrate: Migrate,
    fresh_target: Any,
    own_source: Any,
    source: str,
    name: str,
    args: list[str],
) -> None:
    between = own_source
    migrate("run", source, between.uri, *args, "--import-source-tags")
    migrate("run", between.uri, fresh_target.uri, *args, "--import-source-tags")
    newest = Held.on(between.uri, name)
    wanted = plus(Held.on(source, name).tags(), expected_of(newest))
    assert Held.on(fresh_target.uri, name).tags() == wanted


def test_an_experiment_that_was_there_before_gets_only_what_it_lacks(
    migrate: Migrate, fresh_target: Any, source: str, name: str, args: list[str]
) -> None:
    own = {"mlflow_exim.field.experiment_id": "its own", "team": "growth"}
    with ModelSource(fresh_target.uri) as target:
        target.experiment(name, tags=own)
    # What the target keeps of its own is not as at the source: a loss by name.
    migrate("run", source, fresh_target.uri, *args, "--import-source-tags", code=3)
    original = Held.on(source, name)
    wanted = plus(original.tags(), expected_of(original))["experiment"] | own
    assert Held.on(fresh_target.uri, name).tags()["experiment"] == wanted


def test_a_tag_that_the_target_cannot_hold_is_cut_and_told(
    migrate: Migrate, fresh_target: Any, source: str, name: str, args: list[str]
) -> None:
    experiment = Held.on(source, name).experiment["experiment_id"]
    with ModelSource(source) as server:
        key = "mlflow." + "k" * 240
        server.post(
            "experiments/set-experiment-tag",
            {"experiment_id": experiment, "key": key, "value": "x"},
        )
    told = migrate("run", source, fresh_target.uri, *args, "--import-source-tags", code=3)
    assert "mlflow_exim.mlflow_tag.kkk" in told.stdout
    tags = Held.on(fresh_target.uri, name).tags()["experiment"]
    assert tags[key] == "x"
    assert not [key for key in tags if key.startswith("mlflow_exim.mlflow_tag.k")]


@pytest.mark.parametrize(("options", "user"), [([], "a service"), (["--use-src-user-id"], "ada")])
def test_the_tag_of_the_user_stays_unless_the_user_of_the_source_is_asked_for(
    migrate: Migrate,
    fresh_target: Any,
    source: str,
    name: str,
    args: list[str],
    options: list[str],
    user: str,
) -> None:
    migrate("run", source, fresh_target.uri, *args, *options)
    run = Held.on(fresh_target.uri, name).run
    assert tags_of(run["data"])["mlflow.user"] == user
    assert run["info"]["user_id"] == "ada"


@pytest.mark.parametrize("option", ["--import-source-tags", "--use-src-user-id"])
def test_a_directory_takes_no_such_tags(
    migrate: Migrate, source: str, args: list[str], option: str, tmp_path: Path
) -> None:
    migrate.fails(
        "run",
        source,
        tmp_path / "export",
        *args,
        option,
        code=2,
        says=option,
        hints="when the directory is imported",
    )
    assert not list((tmp_path / "export").rglob("run.json"))


class Verified:
    """Compares a source with its copies, as what they should be."""

    def __init__(self, source: str, target: str, name: str) -> None:
        self._uris = source, target
        self._name = name

    def differing(self, **choices: bool) -> set[str]:
        """What differs where the copies were made with these choices."""
        with (
            contextlib.closing(open_source(Address(uri=self._uris[0], side="source"))) as source,
            contextlib.closing(
                open_target(Address(uri=self._uris[1], side="target", read_only=True))
            ) as target,
        ):
            ends = Ends(
                source=source,
                target=target,
                selection=Selection(models=(self._name,)),
                policy=Policy(migration_id="", **choices),
            )
            return {f"{ref.kind}: {what}" for ref, what, *_ in compare(ends).differences}


@pytest.fixture
def verified(migrate: Migrate, fresh_target: Any, source: str, name: str) -> Verified:
    options = ["--import-source-tags", "--use-src-user-id"]
    migrate("run", source, fresh_target.uri, "--models", name, *options)
    return Verified(source, fresh_target.uri, name)


@pytest.mark.thorough
def test_verify_knows_what_the_copies_were_asked_to_say(
    verified: Verified, fresh_target: Any, name: str
) -> None:
    assert verified.differing(source_tags=True, source_user=True) == set()
    assert verified.differing() == {"run: tag mlflow.user"}

    held = Held.on(fresh_target.uri, name)
    run_tag = {"run_id": held.run["info"]["run_id"], "key": "mlflow_exim.run_info.status"}
    with ModelSource(fresh_target.uri) as target:
        target.post("runs/set-tag", {**run_tag, "value": "changed"})
        target.version_tag(name, 1, "mlflow_exim.field._experiment_name", "changed")
        for kind, path, ident in (
            ("experiment", "experiments/set-experiment-tag", held.experiment["experiment_id"]),
            ("registered model", "registered-models/set-tag", name),
        ):
            key = "experiment_id" if kind == "experiment" else "name"
            body = {key: ident, "key": "mlflow_exim.field.name", "value": "changed"}
            target.post(path, body)
    assert verified.differing(source_tags=True, source_user=True) == {
        "run: tag mlflow_exim.run_info.status",
        "model version: tag mlflow_exim.field._experiment_name",
        "experiment: tag mlflow_exim.field.name",
        "registered model: tag mlflow_exim.field.name",
    }
