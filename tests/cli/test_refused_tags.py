"""What a target refuses of an object other than a run costs itself: the object arrives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import ANY, Faults, always, refuse
from tests.proxy import Proxy
from tests.seed import START
from tests.seed_models import ModelSource

#: The target refuses whatever has one of these in it.
WORD, TIME = "forbidden", 77777777
REFUSED = refuse(WORD, str(TIME), '"alias": "champion"')
TAGS = {"kept": "1", "odd": f"a {WORD} value"}


MODEL, PROMPT = "refused tags", "refused tags of a prompt"
PROMPT_TAGS = {**TAGS, "mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "Say {{word}}"}


@pytest.fixture(scope="module")
def experiment(source_server: TrackingServerProcess) -> str:
    """The name of an experiment that has one of each kind, each with something to refuse."""
    name = "refused tags"
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(name, tags=TAGS)
        run = source.run("a", experiment)
        params = {"depth": "3", "how": WORD}
        made = source.logged_model("m", experiment, run_id=run, params=params, tags=TAGS)
        source.outputs(run, (made, 1))
        times = {"auc": START, "loss": TIME}
        points = [{"key": k, "value": 0.5, "timestamp": t, "step": 1} for k, t in times.items()]
        source.model_metrics(run, made, points)
        source.registered(MODEL, description=WORD, tags=TAGS)
        source.version(MODEL, f"runs:/{run}/model", run_id=run, description=WORD, tags=TAGS)
        source.alias(MODEL, "champion", 1)
        source.alias(MODEL, "rollback", 1)
        source.registered(PROMPT, tags={**TAGS, "mlflow.prompt.is_prompt": "true"})
        source.version(PROMPT, "dummy-source", tags=PROMPT_TAGS)
    return name


@pytest.fixture
def target(fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(fresh_target.uri)


#: By kind: what is refused of it.
EXPECTED = {
    "experiment": {"tag odd"},
    "run": {"metric loss"},
    "logged model": {"tag odd", "param how", "metric loss"},
    "registered model": {"tag odd", "description"},
    "model version": {"tag odd", "description", "alias champion"},
    "prompt": {"tag odd"},
    "prompt version": {"tag odd"},
}


def losses(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for loss in json.loads(text)["losses"]:
        found.setdefault(loss["kind"], set()).add(loss["what"])
    return found


@pytest.mark.thorough
def test_a_refused_member_of_any_object_is_lost_by_name_and_the_object_arrives(
    typed: Typed, source_server: TrackingServerProcess, target: Proxy, experiment: str
) -> None:
    target.faults = Faults(always(ANY, REFUSED))
    ends: tuple[str, ...] = (source_server.uri, target.uri, "--experiments", experiment)
    ends += ("--models", MODEL, "--models", PROMPT)
    for _ in range(2):
        assert losses(typed("run", *ends, "--json", code=3).stdout) == EXPECTED
    verified = json.loads(typed("verify", *ends, "--json").stdout)
    declared: dict[str, set[str]] = {}
    for loss in verified["declared"]:
        declared.setdefault(loss["kind"], set()).add(loss["what"])
    assert declared == EXPECTED

    # Another day it takes all of it: what has no mark is completed.
    target.faults = Faults()
    left = {kind: EXPECTED[kind] for kind in ("run", "logged model")}
    assert losses(typed("run", *ends, "--json", code=3).stdout) == left
    typed("verify", *ends)
    target.clear()
    assert losses(typed("run", *ends, "--json", code=3).stdout) == left
    assert target.writes() == []


@pytest.mark.thorough
def test_through_an_export_the_same_members_are_lost_where_they_are_refused(
    typed: Typed,
    source_server: TrackingServerProcess,
    target: Proxy,
    experiment: str,
    tmp_path: Path,
) -> None:
    export = tmp_path / "export"
    chosen = ("--experiments", experiment, "--models", MODEL, "--models", PROMPT)
    typed("run", source_server.uri, export, *chosen)
    target.faults = Faults(always(ANY, REFUSED))
    assert losses(typed("run", export, target.uri, "--json", code=3).stdout) == EXPECTED
    typed("verify", export, target.uri)


@pytest.mark.thorough
def test_a_change_that_is_refused_is_lost_by_name_and_other_changes_arrive(
    typed: Typed, source_server: TrackingServerProcess, target: Proxy, unique_name: str
) -> None:
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        run = source.run("a", experiment)
        made = source.logged_model("m", experiment, run_id=run)
        source.registered(unique_name)
        source.version(unique_name, f"runs:/{run}/model", run_id=run)
        ends: tuple[str, ...] = (source_server.uri, target.uri, "--experiments", unique_name)
        ends += ("--models", unique_name)
        typed("run", *ends)
        for key, value in TAGS.items():
            pair = {"key": key, "value": value}
            place = {"experiment_id": experiment, **pair}
            source.post("experiments/set-experiment-tag", place)
            source.post("registered-models/set-tag", {"name": unique_name, **pair})
            source.version_tag(unique_name, 1, key, value)
            source.send("PATCH", f"logged-models/{made}/tags", {"tags": [pair]})
    target.faults = Faults(always(ANY, REFUSED))
    kinds = ("experiment", "logged model", "registered model", "model version")
    expected = {kind: {"tag odd"} for kind in kinds}
    assert losses(typed("run", *ends, "--json", code=3).stdout) == expected
    typed("verify", *ends)


@pytest.mark.thorough
def test_an_object_whose_own_name_is_refused_fails_by_itself(
    typed: Typed, source_server: TrackingServerProcess, target: Proxy, experiment: str
) -> None:
    target.faults = Faults(always(ANY, refuse(f'"name": "{MODEL}"')))
    ends: tuple[str, ...] = (source_server.uri, target.uri, "--experiments", experiment)
    ends += ("--models", MODEL, "--models", PROMPT)
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert {failure["name"] for failure in report["failures"]} == {MODEL}
