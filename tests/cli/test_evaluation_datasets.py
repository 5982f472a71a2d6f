"""Evaluation datasets: which are selected, and what happens to their records on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory
from tests.faults import Faults, answer, on_nth
from tests.seed_records import DATASETS, MANY_RECORDS, Api, datasets_shown, put_records

RECORDS = "evaluation_datasets/*.records.jsonl"


@pytest.fixture(scope="module")
def source(fresh_source: TrackingServerProcess) -> Api:
    api = Api(fresh_source.uri)
    DATASETS.seed(api)
    return api


def counts(api: Api) -> list[int]:
    return sorted(len(it["records"]) for it in datasets_shown(api))


def test_those_that_belong_to_a_selected_experiment_are_copied_with_it(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    ends, target = (fresh_source.uri, fresh_target.uri), Api(fresh_target.uri)
    said = typed("run", *ends, "--experiments", "support").stdout
    assert "are not among those copied" in said
    [golden] = datasets_shown(target)
    assert golden["experiments"] == ["support"]
    assert "1 evaluation dataset" in typed("verify", *ends, "--experiments", "support").stdout
    # The other experiment joins.
    typed("run", *ends, "--experiments", "search")
    shown = datasets_shown(target)
    assert sorted(it["experiments"] for it in shown) == [["search"], ["search", "support"]]


@pytest.mark.thorough
def test_verify_finds_a_record_that_is_missing_or_another_and_repair_mends_it(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    ends, target = (fresh_source.uri, fresh_target.uri), Api(fresh_target.uri)
    typed("run", *ends)
    listed = target("POST", "datasets/search", {"max_results": 100})["datasets"]
    many = next(it for it in listed if str(MANY_RECORDS) in it.get("profile", ""))
    ident = many["dataset_id"]
    put_records(target, ident, {"inputs": {"number": 7}, "outputs": "other"})
    put_records(target, ident, {"inputs": {"number": -1}})
    differences = json.loads(typed("verify", *ends, "--json", code=3).stdout)["differences"]
    assert len(differences) == 2
    assert {it["kind"] for it in differences} == {"evaluation dataset"}
    typed("run", *ends, "--repair")
    typed("verify", *ends)


def test_records_go_in_several_requests_and_an_interrupted_dataset_is_completed(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    route = ("POST", "/records$")
    proxy.faults = Faults(on_nth(route, 3, answer(401)))
    typed("run", fresh_source.uri, proxy.uri, code=1)
    proxy.faults = Faults()
    typed("run", "--resume")
    assert counts(Api(fresh_target.uri)) == counts(source) == [0, 5, MANY_RECORDS]
    assert len(proxy.matching(route)) >= 5


def test_a_file_of_records_that_is_cut_off_or_changed_is_named(
    typed: Typed,
    source: Api,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
) -> None:
    export = tmp_path / "export"
    typed("run", fresh_source.uri, export)
    longest = max(export.glob(RECORDS), key=lambda path: path.stat().st_size)
    whole = longest.read_bytes()
    longest.write_bytes(whole[: len(whole) // 2])
    said = typed("run", export, fresh_target.uri, code=3).stdout
    assert f"{longest.name} is cut off" in said
    longest.write_bytes(whole.replace(b'"So."', b'"Os."'))
    assert "is not as it was written" in typed("run", export, fresh_target.uri, code=3).stdout
    # An export into it again makes it whole.
    longest.write_bytes(whole[: len(whole) // 2])
    typed("run", fresh_source.uri, export, "--repair")
    typed("run", export, fresh_target.uri)
    assert counts(Api(fresh_target.uri)) == counts(source)
