"""Records in a database that is written to: their rows, and what is not taken, or left alone."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.utils.crypto import KEKManager, _decrypt_secret, _encrypt_secret

from migrate.endpoints.database.target.endpoint import DatabaseTarget
from migrate.endpoints.record_json import record_to_json
from migrate.errors import AlreadyExists, Refused
from migrate.kinds import Kind
from migrate.objects import Loss
from migrate.origins import MARK, ORIGIN
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset
from migrate.records.gateway import (
    PLACEHOLDER,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
    ModelConfig,
    Sealed,
)
from migrate.records.issues import Issue
from migrate.records.mcp_servers import MCPServer, MCPServerVersion
from migrate.records.review_queues import ReviewItem, ReviewQueue
from migrate.records.scorers import OnlineConfig, Scorer, ScorerVersion
from migrate.records.webhooks import Webhook, WebhookEvent
from tests.endpoints.databases import rows, target_at
from tests.endpoints.exports import an_experiment


@pytest.fixture
def target(new_database: Path) -> Iterator[DatabaseTarget]:
    """A new database with experiments 7 and 8 in it."""
    with closing(target_at(new_database)) as opened:
        for ident in "78":
            opened.experiments.create(an_experiment(ident, name=f"in {ident}"))
        yield opened


def put(target: DatabaseTarget, kind: Kind, container: str, wanted: Any) -> Any:
    """Make a copy, as a task does; return what the database shows of it."""
    store: Any = target.store(kind)
    copy = store.create(container, wanted)
    assert store.finish(copy, wanted, "m") == ()
    [shown] = store.find(container)[getattr(wanted, store.named[1] if store.named else store.key)]
    return shown.record


def an_issue(**changes: Any) -> Issue:
    issue = Issue(
        issue_id="iss-1",
        experiment_id="7",
        name="rude",
        created_timestamp=5,
        last_updated_timestamp=6,
        created_by="ada",
        root_causes=("the prompt",),
    )
    return dataclasses.replace(issue, **changes)


def a_judge(model: str = "gateway:/chat", **changes: Any) -> Scorer:
    told = {"instructions_judge_pydantic_data": {"instructions": "Polite?", "model": model}}
    scorer = Scorer(
        scorer_id="1/polite",
        experiment_id="1",
        name="polite",
        versions=(ScorerVersion(3, json.dumps(told), 5),),
        online=OnlineConfig(0.5, "status = 'OK'"),
        mlflow_id="the-id",
    )
    return dataclasses.replace(scorer, **changes)


def an_endpoint(**changes: Any) -> GatewayEndpoint:
    return GatewayEndpoint(endpoint_id="e-1", name="chat", **changes)


def test_an_id_that_is_taken_elsewhere_is_named_and_nothing_is_changed(
    target: DatabaseTarget, new_database: Path
) -> None:
    put(target, Kind.ISSUE, "7", an_issue())
    before = new_database.read_bytes()
    issues: Any = target.store(Kind.ISSUE)
    with pytest.raises(Refused, match=r"issue iss-1 is in experiment 7 of .* stays as it is"):
        issues.create("8", an_issue(name="another"))
    with pytest.raises(AlreadyExists):
        issues.create("7", an_issue(name="another"))
    assert new_database.read_bytes() == before
    put(target, Kind.GATEWAY_ENDPOINT, "", an_endpoint())
    endpoints: Any = target.store(Kind.GATEWAY_ENDPOINT)
    with pytest.raises(Refused, match="gateway endpoint e-1 is in"):
        endpoints.create("", dataclasses.replace(an_endpoint(), name="another"))
    with pytest.raises(AlreadyExists):
        endpoints.create("", dataclasses.replace(an_endpoint(), endpoint_id="e-2"))
    assert rows(new_database, "SELECT endpoint_id, name FROM endpoints") == [("e-1", "chat")]


def test_a_dataset_without_an_origin_is_the_targets_own(
    target: DatabaseTarget, new_database: Path
) -> None:
    with closing(sqlite3.connect(new_database)) as connection, connection:
        connection.execute("INSERT INTO evaluation_datasets (dataset_id, name) VALUES ('d', 'own')")
    datasets: Any = target.store(Kind.EVALUATION_DATASET)
    wanted = EvaluationDataset(dataset_id="d", name="golden", tags={ORIGIN: "d"})
    assert datasets.find("", ["d"]) == {}
    with pytest.raises(Refused, match="evaluation dataset d is in"):
        datasets.create("", wanted)
    assert rows(new_database, "SELECT name FROM evaluation_datasets") == [("own",)]


def test_a_dataset_is_there_whole_or_not_at_all(target: DatabaseTarget, new_database: Path) -> None:
    datasets: Any = target.store(Kind.EVALUATION_DATASET)
    wanted = EvaluationDataset(
        dataset_id="d", name="golden", tags={ORIGIN: "d"}, experiment_ids=("7",), created_time=5
    )
    source = {"source_type": "TRACE", "source_data": {"trace_id": "tr-1"}}
    records = [
        DatasetRecord({"n": n, "ü": [None]}, "text", None, {}, source, f"dr-{n}", 5, 6, "ada")
        for n in range(450)
    ]
    copy = datasets.create("", wanted)
    assert list(datasets.contents(copy)) == []
    datasets.add(copy, records[:1])
    # A second attempt begins anew.
    assert list(datasets.contents(copy)) == []
    datasets.add(copy, records)
    assert rows(new_database, "SELECT count(*) FROM evaluation_datasets") == [(0,)]
    datasets.finish(copy, wanted, "m1", (Loss("a record", "refused"),))
    assert rows(new_database, "SELECT count(*) FROM evaluation_dataset_records") == [(450,)]
    [row] = rows(
        new_database,
        "SELECT inputs, outputs, expectations, source_id, source_type, created_time, created_by, "
        "input_hash FROM evaluation_dataset_records WHERE dataset_record_id = 'dr-0'",
    )
    assert row[:2] == ('{"n": 0, "\\u00fc": [null]}', '{"mlflow_wrapped": "text"}')
    assert row[2:] == ("null", "tr-1", "TRACE", 5, "ada", records[0].key)
    [[found]] = datasets.find("").values()
    assert (found.mark, [it.what for it in found.losses]) == ("m1", ["a record"])
    kept = {it.dataset_record_id: it for page in datasets.contents(copy) for it in page}
    assert kept == {it.dataset_record_id: it for it in records}

    datasets.remove(copy, ["dr-1", "dr-2"])
    datasets.add(copy, [records[1]._replace(outputs=None)])
    assert rows(new_database, "SELECT count(*) FROM evaluation_dataset_records") == [(450,)]
    datasets.finish(copy, dataclasses.replace(wanted, experiment_ids=("8",)), "m2")
    assert rows(new_database, "SELECT count(*) FROM evaluation_dataset_records") == [(449,)]
    tags = "SELECT key, value FROM evaluation_dataset_tags ORDER BY 1"
    assert rows(new_database, tags) == [(MARK, "m2"), (ORIGIN, "d")]
    belongs = "SELECT destination_id FROM entity_associations ORDER BY 1"
    assert rows(new_database, belongs) == [("7",), ("8",)], "it is taken out of none"


def test_a_judge_is_bound_to_the_endpoint_of_this_database(
    target: DatabaseTarget, new_database: Path
) -> None:
    scorers: Any = target.store(Kind.SCORER)
    with pytest.raises(Refused, match="asks 'chat' of the gateway"):
        scorers.create("7", a_judge())
    assert rows(new_database, "SELECT count(*) FROM scorers") == [(0,)]
    put(target, Kind.GATEWAY_ENDPOINT, "", an_endpoint())
    shown = put(target, Kind.SCORER, "7", a_judge())
    assert shown == a_judge(scorer_id="7/polite", experiment_id="7")
    [(kept,)] = rows(new_database, "SELECT serialized_scorer FROM scorer_versions")
    assert json.loads(kept)["instructions_judge_pydantic_data"]["model"] == "gateway:/e-1"
    bound = "SELECT endpoint_id, resource_type, resource_id, display_name FROM endpoint_bindings"
    assert rows(new_database, bound) == [("e-1", "scorer", "the-id", "polite")]

    judged = a_judge("openai:/gpt-5").versions[0]._replace(version=9)
    more = a_judge(versions=(*a_judge().versions, judged), online=None)
    scorers.finish(shown, more, "m")
    [[found]] = scorers.find("7").values()
    assert [it.version for it in found.record.versions] == [3, 9]
    assert rows(new_database, bound) != []
    assert rows(new_database, "SELECT count(*) FROM online_scoring_configs") == [(0,)]
    before = new_database.read_bytes()
    scorers.finish(found.record, more, "m")
    assert new_database.read_bytes() == before


def test_where_an_endpoint_is_gone_a_judge_has_no_model(
    target: DatabaseTarget, new_database: Path
) -> None:
    put(target, Kind.GATEWAY_ENDPOINT, "", an_endpoint())
    put(target, Kind.SCORER, "7", a_judge())
    with closing(sqlite3.connect(new_database)) as connection, connection:
        connection.execute("DELETE FROM endpoints")
    [[found]] = target.store(Kind.SCORER).find("7").values()  # type: ignore[union-attr]
    [version] = found.record.versions
    assert version.content["instructions_judge_pydantic_data"]["model"] is None


def test_a_guardrail_whose_scorer_is_not_there_is_refused(target: DatabaseTarget) -> None:
    guardrails: Any = target.store(Kind.GATEWAY_GUARDRAIL)
    with pytest.raises(Refused, match="scorer '7/none' is not in"):
        guardrails.create("", GatewayGuardrail(guardrail_id="g", name="no harm", scorer="7/none"))


def test_a_secret_has_a_placeholder_that_is_never_written_again(
    target: DatabaseTarget, new_database: Path
) -> None:
    secrets: Any = target.store(Kind.GATEWAY_SECRET)
    wanted = GatewaySecret(secret_id="s-1", name="key", provider="openai", keys=("one", "other"))
    shown = put(target, Kind.GATEWAY_SECRET, "", wanted)
    assert shown.keys == ("one", "other")
    columns = "encrypted_value, wrapped_dek, kek_version, secret_id, secret_name"
    [kept] = rows(new_database, f"SELECT {columns} FROM secrets")
    told = _decrypt_secret(kept[0], kept[1], KEKManager(), kept[3], kept[4])
    assert told == dict.fromkeys(("one", "other"), PLACEHOLDER)
    changed = dataclasses.replace(wanted, auth_config={"api_base": "https://h"}, keys=())
    assert secrets.finish(shown, changed, "m") == ()
    assert rows(new_database, f"SELECT {columns} FROM secrets") == [kept]
    assert rows(new_database, "SELECT auth_config FROM secrets") == [('{"api_base": "https://h"}',)]


def test_a_secret_of_a_database_opens_in_its_copy_and_is_in_no_text(
    target: DatabaseTarget, new_database: Path, tmp_path: Path
) -> None:
    values = {"api_key": "sk-not-for-others"}
    made = _encrypt_secret(json.dumps(values), KEKManager("of the source"), "s-1", "key")
    sealed = Sealed(made.encrypted_value, made.wrapped_dek, made.kek_version, '{"api_key": "*"}')
    wanted = GatewaySecret(secret_id="s-1", name="key", keys=("api_key",), sealed=sealed)
    shown = put(target, Kind.GATEWAY_SECRET, "", wanted)
    assert (shown.keys, shown.sealed) == (wanted.keys, sealed)
    columns = "encrypted_value, wrapped_dek, kek_version, masked_value"
    [kept] = rows(new_database, f"SELECT {columns} FROM secrets")
    assert kept == tuple(sealed)
    told = _decrypt_secret(kept[0], kept[1], KEKManager("of the source"), "s-1", "key")
    assert told == values
    changed = dataclasses.replace(wanted, auth_config={"a": "b"}, sealed=None)
    secrets: Any = target.store(Kind.GATEWAY_SECRET)
    assert secrets.finish(shown, changed, "m") == ()
    assert rows(new_database, f"SELECT {columns} FROM secrets") == [kept]
    written = json.dumps(record_to_json(wanted)) + repr(wanted)
    assert "sealed" not in written
    assert str(made.encrypted_value) not in written


def test_models_of_an_endpoint_are_changed_where_they_are(
    target: DatabaseTarget, new_database: Path
) -> None:
    for ident in ("m-a", "m-b"):
        model = GatewayModel(model_definition_id=ident, name=ident, provider="p", model_name="n")
        put(target, Kind.GATEWAY_MODEL, "", model)
    models = (ModelConfig("m-a", weight=0.7), ModelConfig("m-b", "FALLBACK", 1.0, 1))
    shown = put(target, Kind.GATEWAY_ENDPOINT, "", an_endpoint(model_configs=models))
    asked = "SELECT mapping_id, model_definition_id, weight FROM endpoint_model_mappings ORDER BY 2"
    before = rows(new_database, asked)
    assert before[0][2] == pytest.approx(0.7, abs=1e-7)
    assert before[0][2] != 0.7, "as the API's four bytes have it"
    [(told,)] = rows(new_database, "SELECT fallback_config_json FROM endpoints")
    assert json.loads(told)["model_definition_ids"] == ["m-b"]
    fewer = an_endpoint(model_configs=(ModelConfig("m-a", weight=0.5),))
    target.store(Kind.GATEWAY_ENDPOINT).finish(shown, fewer, "m")  # type: ignore[union-attr]
    assert rows(new_database, asked) == [(before[0][0], "m-a", 0.5)]


def test_items_whose_traces_are_not_there_are_lost_by_name(target: DatabaseTarget) -> None:
    queues: Any = target.store(Kind.REVIEW_QUEUE)
    wanted = ReviewQueue(
        queue_id="q", experiment_id="1", name="Weekly", items=(ReviewItem("tr-none"),)
    )
    copy = queues.create("7", wanted)
    [loss] = queues.finish(copy, wanted, "m")
    assert loss.what == "item tr-none"
    [[found]] = queues.find("7", ["weekly"]).values()
    assert found.record.items == ()


def test_a_version_that_was_deleted_here_is_not_made_again(
    target: DatabaseTarget, new_database: Path
) -> None:
    versions = tuple(MCPServerVersion(it, {"version": it}) for it in ("1.0.0", "1.1.0-rc.1"))
    wanted = MCPServer(name="a/b", versions=versions, tags={"k": "v"})
    shown = put(target, Kind.MCP_SERVER, "", wanted)
    order = "version_major, version_minor, version_prerelease_sort_key"
    [first, _] = rows(new_database, f"SELECT {order} FROM mcp_server_versions ORDER BY 2")
    assert first == (1, 0, "2")
    with closing(sqlite3.connect(new_database)) as connection, connection:
        gone = "UPDATE mcp_server_versions SET status = 'deleted' WHERE version = '1.0.0'"
        connection.execute(gone)
    servers: Any = target.store(Kind.MCP_SERVER)
    [loss] = servers.finish(shown, dataclasses.replace(wanted, tags={}), "m")
    assert loss.what == "version 1.0.0"
    states = "SELECT version, status FROM mcp_server_versions ORDER BY 1"
    assert rows(new_database, states) == [("1.0.0", "deleted"), ("1.1.0-rc.1", "draft")]
    with pytest.raises(Refused, match="Invalid semantic version"):
        servers.create("", MCPServer(name="c/d", versions=(MCPServerVersion("one", {}),)))
    assert rows(new_database, "SELECT name FROM mcp_servers") == [("a/b",)]


def test_whether_a_webhook_is_on_stays_as_the_user_sets_it(
    target: DatabaseTarget, new_database: Path
) -> None:
    events = (WebhookEvent("PROMPT", "CREATED"), WebhookEvent("REGISTERED_MODEL", "CREATED"))
    wanted = Webhook(webhook_id="w", name="team", url="https://h", events=events, status="DISABLED")
    shown = put(target, Kind.WEBHOOK, "", wanted)
    with closing(sqlite3.connect(new_database)) as connection, connection:
        connection.execute("UPDATE webhooks SET status = 'ACTIVE', secret = 'hush'")
    webhooks: Any = target.store(Kind.WEBHOOK)
    webhooks.finish(shown, dataclasses.replace(wanted, name="renamed", events=events[:1]), "m")
    assert rows(new_database, "SELECT name, status, secret FROM webhooks") == [
        ("renamed", "ACTIVE", "hush")
    ]
    assert rows(new_database, "SELECT entity FROM webhook_events") == [("prompt",)]


@pytest.mark.thorough
def test_statements_are_made_while_a_thread_loads_what_mlflow_takes_of_sqlalchemy(
    tmp_path: Path,
) -> None:
    """While it is loaded, whatever SQLAlchemy looks at in another thread fails; only once."""
    script = """
import sys
from threading import Thread
from migrate.endpoints.database.target import endpoint, trace_rows
from sqlalchemy import inspect
from migrate.traces import Trace
sys.setswitchinterval(1e-5)
said = {"assessment_id": "a", "assessment_name": "n", "feedback": {"value": True}}
trace = Trace(trace_id="t", experiment_id="1", request_time=1, state="OK")
ended, problems = [], []
def state():
    while not ended:
        try:
            inspect(object(), raiseerr=False)
        except AttributeError as problem:
            problems.append(problem)
            return
others = [Thread(target=state) for _ in range(4)]
for it in others: it.start()
try:
    trace_rows.assessment_row(said, trace)
finally:
    ended.append(True)
for it in others: it.join()
assert not problems, problems
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert ended.returncode == 0, ended.stderr


def test_several_threads_may_be_the_first_to_need_mlflow(tmp_path: Path) -> None:
    """Its modules import each other in circles; only a new process has none of them."""
    script = """
from threading import Barrier, Thread
from migrate.endpoints.database.target import mcp_servers, trace_rows
from migrate.records.mcp_servers import MCPServerVersion
from migrate.traces import Trace
trace = Trace(trace_id="t", experiment_id="1", request_time=1, state="OK")
version = MCPServerVersion("1.0.0", {})
said = {"assessment_id": "a", "assessment_name": "n", "feedback": {"value": True}}
calls = [
    lambda: trace_rows.trace_rows(trace, {}),
    lambda: trace_rows.assessment_row(said, trace),
    lambda: mcp_servers._version_row(version),
]
together, done = Barrier(len(calls)), []
def work(call):
    together.wait()
    done.append(call())
threads = [Thread(target=work, args=(call,)) for call in calls]
for it in threads: it.start()
for it in threads: it.join()
assert len(done) == len(calls), done
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
