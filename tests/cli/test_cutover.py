"""A server is moved while it is used, as docs/cutover.md says: for the last step it is stopped."""

from __future__ import annotations

import json

from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed


def _written(report: str) -> dict[str, int]:
    totals = json.loads(report)["totals"]
    return {kind: numbers["wrote"] for kind, numbers in totals.items() if numbers["wrote"]}


def test_the_last_step_is_read_from_the_database_of_a_server_that_is_stopped(
    typed: Typed, own_source: TrackingServerProcess, fresh_target: TrackingServerProcess
) -> None:
    client = MlflowClient(own_source.uri)
    experiment = client.create_experiment("churn")

    def train(name: str) -> str:
        run = client.create_run(experiment, run_name=name)
        client.log_metric(run.info.run_id, "loss", 0.5)
        client.log_text(run.info.run_id, name, "note.txt")
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    ids = [train("first")]
    live = (own_source.uri, fresh_target.uri)
    typed("run", *live)
    ids.append(train("second"))
    client.create_registered_model("churn")
    client.create_model_version("churn", f"runs:/{ids[1]}/note.txt", ids[1])
    written = _written(typed("run", *live, "--json").stdout)
    assert written == {"run": 1, "registered model": 1, "model version": 1}

    ids.append(train("third"))
    client.set_registered_model_alias("churn", "champion", "1")
    own_source.stop()
    try:
        stopped = (f"sqlite:///{own_source.directory / 'mlflow.db'}", fresh_target.uri)
        files = ("--source-artifacts", str(own_source.directory / "artifacts"))
        written = _written(typed("run", *stopped, *files, "--json").stdout)
        assert written == {"run": 1, "model version": 1}
        typed("verify", *stopped, *files, "--contents")
        mapped = json.loads(typed("map", "--json").stdout)
    finally:
        own_source.start()

    pairs = {it["source_id"]: it["target_id"] for it in mapped if it["kind"] == "run"}
    assert pairs.keys() == set(ids)
    target = MlflowClient(fresh_target.uri)
    names = [target.get_run(pairs[ident]).info.run_name for ident in ids]
    assert names == ["first", "second", "third"]
    version = target.get_model_version_by_alias("churn", "champion")
    assert version.run_id == pairs[ids[1]]
    assert _written(typed("run", *live, "--json").stdout) == {}
