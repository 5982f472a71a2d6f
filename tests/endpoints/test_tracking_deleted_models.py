"""Copies of deleted logged models, which no search shows: a tag of their experiment has them."""

from __future__ import annotations

from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.objects import ACTIVE, DELETED
from migrate.origins import DELETED_MODEL, MARK, ORIGIN


def test_a_copy_is_one_before_it_is_deleted_and_after(
    target_server: TrackingServerProcess, unique_name: str
) -> None:
    """It is remembered first; where a kill comes before the deletion, a search shows it too."""
    client = MlflowClient(target_server.uri)
    experiment = client.create_experiment(unique_name)
    model = client.create_logged_model(experiment, tags={ORIGIN: "m-1", MARK: "whole"})
    client.set_experiment_tag(experiment, DELETED_MODEL + "m-1", model.model_id)
    target = open_target(Address(uri=target_server.uri, side="target"))
    try:
        for stage in (ACTIVE, DELETED):
            [copy] = target.logged_models.find(experiment)["m-1"]
            assert (copy.target_id, copy.mark) == (model.model_id, "whole")
            assert copy.lifecycle_stage == stage
            client.delete_logged_model(model.model_id)
    finally:
        target.close()
