"""Each version that the other tests build on is what it says, and holds what they look for."""

from __future__ import annotations

import pytest
import requests

from tests.acceptance.environments import REQUIREMENTS
from tests.acceptance.sources import OldSources
from tests.comparison import Server


@pytest.mark.parametrize("version", REQUIREMENTS)
def test_server_is_of_its_version_and_takes_the_seed(version: str, old_source: OldSources) -> None:
    source = old_source(version)

    answer = requests.get(f"{source.uri}/version", timeout=60)
    if version.startswith("1."):
        assert answer.status_code == 404
    else:
        assert answer.text == version
    with Server(source.uri) as server:
        experiments = server.experiments()
        runs = [run for e in experiments.values() for run in server.runs(e["experiment_id"])]
    assert set(source.seeded.names.values()) == set(experiments)
    assert set(source.seeded.runs.values()) == {run["info"]["run_id"] for run in runs}
