"""Servers behind gateways that pass only a part of MLflow's routes on, through the commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Result, Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, answer_with
from tests.proxy import Proxy
from tests.seed import Source
from tests.servers import IS_3_18

VERSION = ("GET", "/version$")
LOGGED_MODELS = ("*", "/logged-models")
REGISTRY = ("*", "/(registered-models|model-versions)/")
NO_REGISTRY = answer_with(
    '{"error_code": "INVALID_PARAMETER_VALUE", "message": " Model registry functionality is'
    " unavailable; got unsupported URI './mlruns' for model registry data storage.\"}",
    400,
)
EMPTY = answer_with("{}")


@pytest.fixture(scope="module")
def source(fresh_source: TrackingServerProcess) -> TrackingServerProcess:
    """A server that has an experiment, a run, a logged model, a registered model and a prompt."""
    with Source(fresh_source.uri) as seed:
        run_id = seed.run("r", seed.experiment("a"))
        seed.post("logged-models", {"experiment_id": "0", "name": "x"})
        seed.post("registered-models/create", {"name": "Wine"})
        version = {"name": "Wine", "source": f"runs:/{run_id}/model", "run_id": run_id}
        seed.post("model-versions/create", version)
        seed.post(
            "registered-models/create",
            {"name": "ask", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
        )
    return fresh_source


@pytest.fixture
def gateway(source: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source.uri)


@pytest.fixture
def behind(fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    """A gateway before the target."""
    return proxy_factory(fresh_target.uri)


def counts(report: dict[str, Any]) -> dict[str, int]:
    """How many objects of each kind the target has for it, after a run."""
    return {kind: totals["done"] for kind, totals in report["totals"].items() if totals["done"]}


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


EVERYTHING = {
    "experiment": 2,
    "run": 1,
    "logged model": 1,
    "registered model": 1,
    "model version": 1,
    "prompt": 1,
}


@pytest.mark.parametrize(
    "fault",
    [answer(404), pytest.param(answer(200), marks=pytest.mark.thorough)],
    ids=["404", "a web page"],
)
def test_a_gateway_that_keeps_the_version_loses_nothing(
    typed: Typed,
    gateway: Proxy,
    behind: Proxy,
    fault: Fault,
) -> None:
    gateway.faults = behind.faults = Faults(always(VERSION, fault))
    # Of a server that may be newer, a part that is not there may be kept by the gateway.
    ends = (gateway.uri, behind.uri, *([] if IS_3_18 else ["--without", "skills"]))
    plan = told(typed("plan", *ends, "--json"))
    assert any("does not tell its version" in note for note in plan["notes"])
    report = told(typed("run", *ends, "--json"))
    assert (counts(report), report["unknown"]) == (EVERYTHING, [])
    typed("verify")
    assert "no difference" in typed("verify", *ends).stdout


MODEL = {"logged model"}
OF_REGISTRY = {"registered model", "model version", "prompt"}


@pytest.mark.parametrize(
    ("hidden", "lost", "fault"),
    [
        pytest.param(
            LOGGED_MODELS, MODEL, answer(403), id="logged models 403", marks=pytest.mark.thorough
        ),
        pytest.param(REGISTRY, OF_REGISTRY, EMPTY, id="registry empty"),
        pytest.param(
            LOGGED_MODELS, MODEL, EMPTY, id="logged models empty", marks=pytest.mark.thorough
        ),
        pytest.param(
            REGISTRY, OF_REGISTRY, answer(403), id="registry 403", marks=pytest.mark.thorough
        ),
    ],
)
def test_what_a_gateway_hides_of_the_source_is_not_known_and_the_rest_is_copied(
    typed: Typed,
    gateway: Proxy,
    behind: Proxy,
    hidden: tuple[str, str],
    lost: set[str],
    fault: Fault,
) -> None:
    gateway.faults = Faults(always(hidden, fault))
    shown = typed("plan", gateway.uri, behind.uri).stdout
    assert "Not known, so something may be missing:" in shown
    assert "1 thing not known" in shown.splitlines()[-1]
    report = told(typed("run", gateway.uri, behind.uri, "--json", code=3))
    assert counts(report).keys() == EVERYTHING.keys() - lost
    assert len(report["unknown"]) == 1
    assert "nothing lost" not in report["summary"]
    assert "1 thing not known" in typed("verify", gateway.uri, behind.uri, code=3).stdout

    gateway.faults = Faults()
    later = told(typed("run", gateway.uri, behind.uri, "--json"))
    assert (counts(later), later["unknown"]) == (EVERYTHING, [])
    assert "no difference." in typed("verify", gateway.uri, behind.uri).stdout


@pytest.mark.parametrize(
    ("hidden", "lost", "fault"),
    [
        pytest.param(
            LOGGED_MODELS, MODEL, answer(404), id="logged models 404", marks=pytest.mark.thorough
        ),
        pytest.param(REGISTRY, OF_REGISTRY, EMPTY, id="registry empty"),
        pytest.param(
            LOGGED_MODELS, MODEL, EMPTY, id="logged models empty", marks=pytest.mark.thorough
        ),
        pytest.param(
            REGISTRY, OF_REGISTRY, answer(404), id="registry 404", marks=pytest.mark.thorough
        ),
    ],
)
def test_what_a_gateway_hides_of_the_target_is_not_supported_and_said(
    typed: Typed,
    gateway: Proxy,
    behind: Proxy,
    hidden: tuple[str, str],
    lost: set[str],
    fault: Fault,
) -> None:
    behind.faults = Faults(always(hidden, fault))
    report = told(typed("run", gateway.uri, behind.uri, "--json", code=3))
    assert counts(report).keys() == EVERYTHING.keys() - lost
    assert "nothing lost" not in report["summary"]
    assert "not compared: whether the target has" in typed("verify", code=3).stdout

    behind.faults = Faults()
    later = told(typed("run", gateway.uri, behind.uri, "--json"))
    assert counts(later) == EVERYTHING
    typed("verify")


def test_files_that_a_gateway_may_keep_are_a_loss_by_name(
    typed: Typed, gateway: Proxy, behind: Proxy
) -> None:
    listing = ("GET", "/mlflow-artifacts/artifacts$")
    gateway.faults = Faults(always(listing, EMPTY))
    shown = typed("run", gateway.uri, behind.uri, code=3).stdout
    assert "/mlflow-artifacts/artifacts answers with nothing" in shown
    assert "nothing lost" not in shown


def test_a_source_without_a_registry_is_copied_with_a_note(
    typed: Typed, gateway: Proxy, behind: Proxy
) -> None:
    gateway.faults = Faults(always(REGISTRY, NO_REGISTRY))
    plan = typed("plan", gateway.uri, behind.uri).stdout
    assert "the source does not have a model registry" in plan
    assert "nothing lost" in typed("run", gateway.uri, behind.uri).stdout
    typed("verify")
    typed.fails("plan", gateway.uri, behind.uri, "--models", "Wine", code=1, says="./mlruns")


@pytest.mark.parametrize(
    ("fault", "code"), [(NO_REGISTRY, 0), (answer(404), 3)], ids=["has none", "404"]
)
def test_everything_is_exported_of_a_source_without_a_registry(
    typed: Typed, gateway: Proxy, fault: Fault, code: int
) -> None:
    gateway.faults = Faults(always(REGISTRY, fault))
    shown = typed("export-all", "--source", gateway.uri, "--output-dir", "out", code=code).stdout
    assert "Wrote 4 objects" in shown
    assert ("nothing lost" in shown) == (code == 0)
