"""``--import-source-tags`` and ``--use-src-user-id``, between real servers."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_endpoint
from migrate.graph.selection import Selection
from migrate.tasks.batches import Policy
from migrate.verify import Ends, compare
from tests.cli.conftest import Migrate
from tests.comparison_models import ModelServer
from tests.conftest import ProxyFactory
from tests.seed import START
from tests.seed_models import ModelSource

#: The names of "source tags" in mlflow-export-import's documentation, and as it writes them.
OF_RUN_INFO = {
    *("run_id", "experiment_id", "user_id", "status", "start_time", "end_time"),
    *("lifecycle_stage", "artifact_uri", "run_name", "_start_time", "_end_time"),
}
OF_EXPERIMENT = {
    *("experiment_id", "name", "artifact_location", "lifecycle_stage"),
    *("creation_time", "last_update_time", "_creation_time", "_last_update_time"),
}
OF_VERSION = {
    *("name", "version", "creation_timestamp", "last_updated_timestamp", "description"),
    *("user_id", "current_stage", "source", "run_id", "run_link", "status", "status_message"),
    *("aliases", "model_id", "_run_artifact_uri", "_experiment_name"),
    *("_creation_timestamp", "_last_updated_timestamp"),
}
OF_MODEL = {
    *("name", "creation_timestamp", "last_updated_timestamp", "description", "aliases"),
    *("_creation_timestamp", "_last_updated_timestamp"),
}
PREFIX = "mlflow_exim."
BOOKKEEPING = "mlflow-migrate."


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in found.get("tags", ())}


@dataclass(frozen=True)
class Held:
    """What one server has of the registered model: every answer as the server gave it."""

    experiment: Mapping[str, Any]
    run: Mapping[str, Any]
    model: Mapping[str, Any]
    version: Mapping[str, Any]

    @classmethod
    def on(cls, uri: str, name: str) -> Held:
        with ModelServer(uri) as server:
            experiment = server.experiments()[name]
            (run,) = server.runs(experiment["experiment_id"])
            version = server.version(name, 1)
            assert version is not None
            return cls(experiment, run, server.registered_models(prompts=False)[name], version)

    def tags(self) -> dict[str, dict[str, str]]:
        """All tags but those that this tool keeps its books in."""
        found = {
            "experiment": tags_of(self.experiment),
            "run": tags_of(self.run["data"]),
            "model": tags_of(self.model),
            "version": tags_of(self.version),
        }
        return {
            kind: {k: v for k, v in tags.items() if not k.startswith(BOOKKEEPING)}
            for kind, tags in found.items()
        }


@pytest.fixture(scope="module")
def source(source_server: TrackingServerProcess) -> str:
    return source_server.uri


@pytest.fixture
def name(source: str, unique_name: str) -> str:
    """A registered model, and an experiment of its name that its version is from."""
    with ModelSource(source) as server:
        note = {"mlflow.note.content": "why", "team": "risk"}
        experiment = server.experiment(unique_name, tags=note)
        tags = {"mlflow.user": "a service", "mlflow.source.name": "train.py", "own": "x"}
        run = server.run("first", experiment, user="ada", tags=tags)
        server.metrics(run, [("loss", 0.5, START, 0)])
        server.artifact(run, "model/weights", b"abc")
        server.registered(unique_name, description="of customers", tags={"mlflow.odd": "y"})
        fields = {"run_id": run, "run_link": "https://old/a", "description": "one"}
        server.version(unique_name, f"runs:/{run}/model", tags={"by": "ada"}, **fields)
        server.alias(unique_name, "champion", 1)
        server.stage(unique_name, 1, "Production")
    return unique_name


@pytest.fixture
def args(name: str) -> list[str]:
    return ["--models", name]


def expected_of(held: Held) -> dict[str, dict[str, str]]:
    """What copies have to say of the objects of the source, by the names listed above."""
    info = dict(held.run["info"])
    readable = {f"_{key}": _readable(info[key]) for key in ("start_time", "end_time")}
    run = {f"run_info.{key}": str((info | readable)[key]) for key in OF_RUN_INFO}
    experiment = dict(held.experiment)
    for key in ("creation_time", "last_update_time"):
        experiment[f"_{key}"] = _readable(experiment[key])
    version = {"user_id": "", "status_message": "", "model_id": "None", **held.version}
    version |= {
        "_run_artifact_uri": info["artifact_uri"],
        "_experiment_name": experiment["name"],
        "aliases": "['champion']",
    }
    model = {**held.model, "aliases": "[{'alias': 'champion', 'version': '1'}]"}
    for fields in (version, model):
        for key in ("creation_timestamp", "last_updated_timestamp"):
            fields[f"_{key}"] = _readable(fields[key])
    wanted = {
        "run": run,
        "experiment": {f"field.{key}": str(experiment[key]) for key in OF_EXPERIMENT},
        "version": {f"field.{key}": str(version[key]) for key in OF_VERSION},
        "model": {f"field.{key}": str(model[key]) for key in OF_MODEL},
    }
    wanted["run"] |= {
        "mlflow_tag.user": "a service",
        "mlflow_tag.source.name": "train.py",
        "mlflow_tag.runName": "first",
    }
    wanted["experiment"]["mlflow_tag.note.content"] = "why"
    wanted["model"]["mlflow_tag.odd"] = "y"
    return {
        kind: {PREFIX + key: text for key, text in tags.items()} for kind, tags in wanted.items()
    }


def _readable(milliseconds: str | int) -> str:
    moment = datetime.datetime.fromtimestamp(int(milliseconds) // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def plus(tags: dict[str, dict[str, str]], more: dict[str, dict[str, str]]) -> Any:
    return {kind: {**held, **more[kind]} for kind, held in tags.items()}


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


def test_they_say_the_same_when_a_directory_lies_between(
    migrate: Migrate, fresh_target: Any, source: str, name: str, args: list[str], tmp_path: Path
) -> None:
    migrate("run", source, tmp_path / "export", *args)
    migrate("run", tmp_path / "export", fresh_target.uri, "--import-source-tags")
    original = Held.on(source, name)
    assert Held.on(fresh_target.uri, name).tags() == plus(original.tags(), expected_of(original))


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


def test_the_newest_source_wins_and_nothing_is_nested(
    migrate: Migrate,
    fresh_target: Any,
    server_factory: Any,
    source: str,
    name: str,
    args: list[str],
) -> None:
    between = server_factory()
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
    migrate("run", source, fresh_target.uri, *args, "--import-source-tags")
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
        with contextlib.ExitStack() as opened:
            source, target = (
                opened.enter_context(contextlib.closing(open_endpoint(address)))
                for address in (
                    Address(uri=self._uris[0], side="source"),
                    Address(uri=self._uris[1], side="target", read_only=True),
                )
            )
            ends = Ends(
                source=source,
                target=target,
                selection=Selection(models=(self._name,)),
                policy=Policy(migration_id="", **choices),
            )
            return {f"{ref.kind}: {what}" for ref, what, _ in compare(ends).differences}


@pytest.fixture
def verified(migrate: Migrate, fresh_target: Any, source: str, name: str) -> Verified:
    options = ["--import-source-tags", "--use-src-user-id"]
    migrate("run", source, fresh_target.uri, "--models", name, *options)
    return Verified(source, fresh_target.uri, name)


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
