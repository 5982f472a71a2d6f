"""Links between runs and logged models that the target refuses are one loss, told as that."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_unstorable import found_in
from tests.conftest import ProxyFactory
from tests.faults import Faults, always, answer_with
from tests.seed_models import ModelSource

REFUSED = answer_with('{"error_code": "INVALID_PARAMETER_VALUE", "message": "not this link"}', 400)


@pytest.mark.parametrize(
    ("route", "way"),
    [
        pytest.param("/runs/outputs$", "output"),
        pytest.param("/runs/log-inputs$", "input", marks=pytest.mark.thorough),
    ],
)
def test_verify_names_refused_links_as_the_losses_they_are(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
    route: str,
    way: str,
) -> None:
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        maker, user = source.run("maker", experiment), source.run("user", experiment)
        model = source.logged_model("m", experiment, run_id=maker)
        source.outputs(maker, (model, 3))
        source.model_inputs(user, model)
    proxy = proxy_factory(target_server.uri)
    proxy.faults = Faults(always(("POST", route), REFUSED))
    ends = (source_server.uri, proxy.uri, "--experiments", unique_name)
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert report["failures"] == []
    [lost] = report["losses"]
    assert lost["what"].startswith(f"{way} of run ")

    verified = json.loads(typed("verify", *ends, "--json").stdout)
    assert verified["differences"] == []
    of_run = [it for it in verified["declared"] if it["kind"] == "run"]
    assert [it["id"] for it in of_run] == [maker if way == "output" else user]
    assert of_run[0]["what"].startswith(f"logged model {way} {model}")
    assert "not this link" in of_run[0]["reason"]


@pytest.mark.thorough
def test_a_link_that_is_gone_without_a_refusal_is_a_difference(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    unique_name: str,
) -> None:
    with ModelSource(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        run = source.run("maker", experiment)
        model = source.logged_model("m", experiment, run_id=run)
        source.outputs(run, (model, 3))
    ends = (source_server.uri, target_server.uri, "--experiments", unique_name)
    typed("run", *ends)
    [copy] = found_in(target_server.uri, unique_name)
    database = target_server.directory / "mlflow.db"
    with closing(sqlite3.connect(database, timeout=30)) as rows, rows:
        rows.execute("DELETE FROM inputs WHERE source_id = ?", (copy["info"]["run_id"],))
    [found] = json.loads(typed("verify", *ends, "--json", code=3).stdout)["differences"]
    assert (found["id"], found["what"]) == (run, f"logged model output {model} of step 3")
