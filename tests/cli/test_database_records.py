"""Records of every kind go into a database, and a server on it shows them as the source does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_database_target import assert_same_rows
from tests.cli.test_everything import ALWAYS_LOST
from tests.comparison_records import SEEDED, kinds_that_differ
from tests.conftest import ServerFactory
from tests.endpoints.databases import assert_the_same, rows
from tests.seed_gateway import Gateway
from tests.seed_records import JUDGE, Api, register
from tests.seed_reviews import add, make_queue, make_traces, set_status


def seed_all(uri: str) -> Api:
    """Fill a server with records of every kind, and with what they say of each other."""
    api = Api(uri)
    Gateway(uri)
    for seeded in SEEDED:
        seeded.seed(api)
    experiment = api.experiment("support")
    judge = {**JUDGE, "model": "gateway:/chat"}
    register(api, experiment, "asks", instructions_judge_pydantic_data=judge)
    online = {"experiment_id": experiment, "name": "asks", "sample_rate": 0.25}
    api("PUT", "scorers/online-config", online)
    queue = make_queue(api, experiment, "Of traces")
    first, second = make_traces(api, experiment, 2)
    add(api, queue, first, second)
    set_status(api, queue, first, "COMPLETE", "Ada")
    return api


@pytest.fixture(scope="module")
def every_record(fresh_source: TrackingServerProcess) -> TrackingServerProcess:
    """A server with records of every kind."""
    seed_all(fresh_source.uri)
    return fresh_source


def kept(server: TrackingServerProcess) -> Path:
    return server.directory / "mlflow.db"


def test_a_database_gives_a_judge_of_the_gateway_as_its_server_does(
    every_record: TrackingServerProcess,
) -> None:
    assert_the_same(every_record, ["scorer"])


def test_each_arrives_whole_with_ids_and_times_and_what_changes_follows(
    typed: Typed,
    every_record: TrackingServerProcess,
    tmp_path: Path,
    server_factory: ServerFactory,
) -> None:
    new, files = tmp_path / "new.db", str(tmp_path / "files")
    Path(files).mkdir()
    words = (every_record.uri, f"sqlite:///{new}", "--target-artifacts", files)
    report = json.loads(typed("run", *words, "--json", code=3).stdout)
    assert report["failures"] == []
    assert {(it["kind"], it["what"]) for it in report["losses"]} == ALWAYS_LOST
    assert_same_rows(kept(every_record), new)
    assert rows(new, "PRAGMA foreign_key_check") == []
    before = new.read_bytes()
    for state in ("migrate.db", "another.db"):
        assert "Wrote nothing" in typed("run", *words, "--state", state, code=3).stdout
    assert new.read_bytes() == before
    assert "no difference" in typed("verify", *words).stdout

    second = tmp_path / "second.db"
    places = ("--source-artifacts", files, "--target-artifacts", str(tmp_path / "other"))
    ends = (f"sqlite:///{new}", f"sqlite:///{second}", *places, "--state", "second-state.db")
    typed("run", *ends, code=3)
    assert_same_rows(kept(every_record), second)
    values = (
        "SELECT secret_id, encrypted_value, wrapped_dek, kek_version, masked_value FROM secrets"
    )
    assert rows(second, values) == rows(new, values)
    assert new.read_bytes() == before

    with server_factory(
        backend_store_uri=f"sqlite:///{new}", artifacts_destination=files
    ) as target:
        assert kinds_that_differ(every_record.uri, target.uri) == []
        for seeded in SEEDED:
            seeded.change(Api(every_record.uri))
        typed("run", *words, code=3)
        typed("run", *words, "--repair", code=3)  # takes off what is there no more
        assert kinds_that_differ(every_record.uri, target.uri) == []
    assert rows(new, "PRAGMA foreign_key_check") == []
