"""Review queues with their items, and label schemas where reading them would write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.seed_records import Api
from tests.seed_reviews import (
    DEFAULT,
    add,
    make_queue,
    make_schema,
    make_traces,
    open_questions,
    queues_shown,
    schema_named,
    set_status,
)

STATUSES = ("PENDING", "COMPLETE", "DECLINED")


class Reviewed:
    """A server with an experiment of traces, and a queue of three of them."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.api = Api(uri)
        self.experiment = self.api.experiment("support")
        open_questions(self.api, self.experiment)
        asked = make_schema(self.api, self.experiment, "Is it polite?")
        self.queue = make_queue(self.api, self.experiment, "Weekly", schema_ids=[asked])
        self.traces = make_traces(self.api, self.experiment, 4)
        add(self.api, self.queue, *self.traces[:3])
        for trace, status in zip(self.traces, STATUSES, strict=False):
            if status != "PENDING":
                set_status(self.api, self.queue, trace, status, "Ada")


@pytest.fixture
def reviewed(own_source: TrackingServerProcess) -> Reviewed:
    return Reviewed(own_source.uri)


def test_items_arrive_with_what_became_of_them_and_changes_follow(
    typed: Typed,
    reviewed: Reviewed,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    source, target = reviewed.api, Api(fresh_target.uri)
    proxy = proxy_factory(fresh_target.uri)
    ends = (reviewed.uri, proxy.uri)
    typed("run", *ends)
    assert queues_shown(target) == queues_shown(source)
    [queue] = queues_shown(target)
    assert [it[1] for it in sorted(queue["items"])] == [
        status for _, status in sorted(zip(reviewed.traces, STATUSES, strict=False))
    ]
    assert "no difference." in typed("verify", *ends).stdout
    proxy.clear()
    typed("run", *ends)
    assert not proxy.matching(("POST", "review-queues/(items|update|create)"))

    first, second, third, fourth = reviewed.traces
    add(source, reviewed.queue, fourth)
    set_status(source, reviewed.queue, second, "PENDING")
    set_status(source, reviewed.queue, third, "COMPLETE", "grace")
    removed = {"queue_id": reviewed.queue, "item_ids": [first]}
    source("POST", "review-queues/items/remove", removed)
    typed("run", *ends)
    [there] = queues_shown(target)
    assert {ident: status for ident, status, _ in there["items"]} == {
        first: "PENDING",
        second: "COMPLETE",
        third: "COMPLETE",
        fourth: "PENDING",
    }
    typed("run", *ends, "--repair")
    assert queues_shown(target) == queues_shown(source)


@pytest.mark.thorough
def test_questions_of_a_queue_with_items_change(
    typed: Typed, reviewed: Reviewed, fresh_target: TrackingServerProcess
) -> None:
    source, target = reviewed.api, Api(fresh_target.uri)
    ends = (reviewed.uri, fresh_target.uri)
    typed("run", *ends)
    more = make_schema(source, reviewed.experiment, "how good")
    removed = {"queue_id": reviewed.queue, "item_ids": reviewed.traces[:3]}
    source("POST", "review-queues/items/remove", removed)
    asked = {"queue_id": reviewed.queue, "update_schema_ids": True, "schema_ids": [more]}
    source("POST", "review-queues/update", asked)
    add(source, reviewed.queue, *reviewed.traces)
    report = json.loads(typed("run", *ends, "--json", code=3).stdout)
    assert [(it["kind"], it["what"]) for it in report["losses"]] == [("review queue", "schema_ids")]
    [there] = queues_shown(target)
    assert there["questions"] == ["Is it polite?"]
    assert "COMPLETE" in {status for _, status, _ in there["items"]}
    typed("run", *ends, "--repair")
    assert queues_shown(target) == queues_shown(source)


def test_an_item_whose_trace_is_not_copied_is_a_loss_by_name(
    typed: Typed, reviewed: Reviewed, fresh_target: TrackingServerProcess
) -> None:
    ends = (reviewed.uri, fresh_target.uri, "--without", "traces")
    said = typed("run", *ends, code=3).stdout
    assert all(f"item {trace}" in said for trace in reviewed.traces[:3])
    [queue] = queues_shown(Api(fresh_target.uri))
    assert queue["items"] == []
    assert queue["questions"] == ["Is it polite?"]


@pytest.mark.thorough
def test_questions_come_along_with_the_queues_that_ask_them(
    typed: Typed, reviewed: Reviewed, fresh_target: TrackingServerProcess
) -> None:
    ends = (reviewed.uri, fresh_target.uri, "--kinds", "review-queues,traces")
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    named = [it["name"] for it in plan["tasks"] if it["kind"] == "label schema"]
    assert named == ["Is it polite?"]
    typed("run", *ends)
    assert queues_shown(Api(fresh_target.uri)) == queues_shown(reviewed.api)


def schemas_in(server: TrackingServerProcess) -> int:
    database = sqlite3.connect(server.directory / "mlflow.db")
    with closing(database):
        [[number]] = database.execute("SELECT COUNT(*) FROM label_schemas")
    return int(number)


def test_reading_label_schemas_writes_nothing_and_what_is_not_seen_is_said(
    typed: Typed, own_source: TrackingServerProcess, fresh_target: TrackingServerProcess
) -> None:
    source, target = Api(own_source.uri), Api(fresh_target.uri)
    listed, unlisted = source.experiment("listed"), source.experiment("unlisted")
    open_questions(source, listed)
    make_schema(source, listed, "how good")
    named = make_schema(source, unlisted, "Is it polite?")
    make_schema(source, unlisted, "ideal answer")
    make_queue(source, unlisted, "Weekly", schema_ids=[named])
    ends = (own_source.uri, fresh_target.uri)
    before = schemas_in(own_source)
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    [said] = plan["unknown"]
    assert f"({unlisted}) have label schemas that no review queue names is not known" in said
    typed("run", *ends, code=3)
    typed("verify", *ends, code=3)
    assert schemas_in(own_source) == before == 4
    there = target.experiment("listed"), target.experiment("unlisted")
    assert schema_named(target, there[0], DEFAULT) is not None
    assert schema_named(target, there[0], "how good") is not None
    assert schema_named(target, there[1], "Is it polite?") is not None
    assert schema_named(target, there[1], "ideal answer") is None
    # Listed once, as it says, it is copied whole.
    open_questions(source, unlisted)
    typed("run", *ends)
    assert schema_named(target, there[1], "ideal answer") is not None


@pytest.mark.thorough
def test_reviews_of_a_deleted_experiment_are_named_where_it_has_traces(
    typed: Typed, reviewed: Reviewed, fresh_target: TrackingServerProcess
) -> None:
    deleted = {"experiment_id": reviewed.experiment}
    reviewed.api("POST", "experiments/delete", deleted, api="2.0")
    ends = (reviewed.uri, fresh_target.uri, "--include-deleted")
    said = typed("run", *ends, code=3).stdout
    assert f"deleted experiments of the source ({reviewed.experiment}) have review queues" in said
    typed("run", *ends, "--without", "review-queues,label-schemas")
