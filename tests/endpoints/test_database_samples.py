"""Databases of six MLflow versions are read as their servers were filled."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.endpoints.stores import traces_of
from migrate.kinds import Kind
from migrate.objects import LoggedModel, ModelVersion, RegisteredModel, Run
from migrate.traces import Stretch
from tests.endpoints.databases import VERSIONS, manifest, opened, unpacked
from tests.endpoints.noted import assert_experiments, assert_runs, points_of

Sample = tuple[DatabaseSource, dict[str, Any]]


@pytest.fixture(params=VERSIONS)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sample]:
    """A database, and what it holds; its bytes stay as they are."""
    path = unpacked(request.param, tmp_path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    source = opened(path)
    yield source, manifest(request.param)
    source.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [it.name for it in tmp_path.iterdir()] == ["mlflow.db"]


def _ids(source: DatabaseSource) -> list[str]:
    return [it.experiment_id for it in source.experiments.list()]


def _runs(source: DatabaseSource) -> dict[str, Run]:
    return {run.run_id: run for run in source.runs.list(_ids(source))}


def _models(source: DatabaseSource) -> dict[str, RegisteredModel]:
    return {it.name: it for it in source.registered_models.list()}


def test_experiments_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    assert_experiments(source.experiments.list(), noted)
    assert sum(len(it.tags) for it in source.experiments.list()) == _rows(noted, "experiment_tags")


def _rows(noted: dict[str, Any], table: str) -> int:
    return int(noted["row_counts"].get(table, 0))


def test_runs_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    runs = _runs(source)
    assert len(runs) == _rows(noted, "runs")
    assert_runs(runs, noted)
    for what, table in (
        ("params", "params"),
        ("tags", "tags"),
        ("latest_metrics", "latest_metrics"),
    ):
        assert sum(len(getattr(run, what)) for run in runs.values()) == _rows(noted, table)
    assert source.unreadable.all() == []


def _stored(value: float) -> str:
    """Return a value as it is compared: SQL knows neither infinity nor a zero below zero."""
    if math.isinf(value):
        value = math.copysign(1.7976931348623157e308, value)
    return "nan" if math.isnan(value) else repr(value + 0.0)


@pytest.mark.parametrize("budget", [100_000, 1])
def test_metric_histories_are_whole(sample: Sample, budget: int) -> None:
    source, noted = sample
    wanted = noted["runs"]["full"]
    run = _runs(source)[wanted["id"]]
    history = source.runs.histories([run], budget)[run.run_id]
    points = [*history.points]
    for key in history.unread:
        points += [it for page in source.runs.metric_history(run.run_id, key) for it in page]
    assert Counter((key, _stored(value), at, step) for key, value, at, step in points) == Counter(
        (key, _stored(float(value)), at, step) for key, value, at, step in points_of(noted, wanted)
    )


def test_histories_of_many_runs_are_read_by_a_budget(sample: Sample) -> None:
    source, noted = sample
    left = [*_runs(source).values()]
    points = 0
    while left:
        found = source.runs.histories(left, 5)
        for run_id, history in found.items():
            points += len(history.points)
            for key in history.unread:
                points += sum(map(len, source.runs.metric_history(run_id, key)))
        left = left[len(found) :]
    assert points == _rows(noted, "metrics")


def test_logged_models_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    shown = {it.name: it for it in source.logged_models.list(_ids(source))}
    for name, wanted in noted["logged_models"].items():
        deleted = wanted.get("lifecycle") == "deleted"
        assert name in shown
        model: LoggedModel
        [model] = source.logged_models.read([wanted["id"]])
        assert model.lifecycle_stage == ("deleted" if deleted else "active")
        assert model.source_run_id == wanted.get("run", model.source_run_id)
        if "metric" in wanted:
            [point] = model.metrics
            assert [*point[:4], *point[5:]] == wanted["metric"]
    rows = _rows(noted, "inputs")
    links = source.model_links.read([*_runs(source)]).values()
    datasets = sum(len(run.inputs) for run in _runs(source).values())
    assert sum(len(it.inputs) + len(it.outputs) for it in links) + datasets == rows


def test_versions_are_those_that_were_made_and_deleted_ones_are_gaps(sample: Sample) -> None:
    source, noted = sample
    models = _models(source)
    assert {name for name, it in models.items() if it.kind is Kind.REGISTERED_MODEL} == set(
        noted["models"]
    )
    found: dict[str, dict[str, ModelVersion]] = {name: {} for name in models}
    for version in source.model_versions.list([*models.values()]):
        found[version.name][str(version.version)] = version
    for name, wanted in noted["models"].items():
        assert set(found[name]) == set(wanted["versions"])
        aliases = {alias: int(number) for alias, number in wanted.get("aliases", {}).items()}
        assert models[name].aliases == aliases
        for number, described in wanted["versions"].items():
            version = found[name][number]
            assert version.stage == described["stage"]
            assert version.description == (described["description"] or "")
            assert version.source == described.get("source", wanted["source"])
            assert source.model_versions.read(version.ref) == version


def test_prompts_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    models = _models(source)
    prompts = {name: it for name, it in models.items() if it.kind is Kind.PROMPT}
    assert set(prompts) == set(noted["prompts"])
    for name, wanted in noted["prompts"].items():
        versions = [*source.model_versions.list([prompts[name]])]
        texts = {str(it.version): it.tags["mlflow.prompt.text"] for it in versions}
        assert texts == wanted["versions"]
        assert prompts[name].aliases == wanted.get("aliases", {})


def test_traces_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    store = traces_of(source)
    if store is None:
        assert "trace_info" not in noted["row_counts"]
        return
    found = {it.trace_id: it for it in store.list(_ids(source))}
    assert set(found) == set(noted["traces"])
    kept = [trace_id for trace_id, it in found.items() if it.has_stored_spans]
    assert bool(kept) is (_rows(noted, "spans") > 0)
    for trace_id, spans in store.spans(kept).items():
        assert [it["name"] for it in spans] == noted["traces"][trace_id]["spans"]
    for name, table in (
        ("metadata", "trace_request_metadata"),
        ("assessments", "assessments"),
    ):
        assert sum(len(getattr(it, name)) for it in found.values()) == _rows(noted, table)
    assert {it.tags["mlflow.traceName"] for it in found.values()} == {"op", "root"}
    in_order = sorted(found.values(), key=lambda it: it.request_time)
    for number, trace in enumerate(in_order):
        assert (trace.state, trace.losses) == ("OK", ())
        stretch = Stretch(trace.request_time, None)
        assert [*store.within(trace.experiment_id, stretch)] == in_order[number:]
        assert [*store.within(trace.experiment_id, Stretch(None, trace.request_time))] == (
            in_order[: number + 1]
        )
        assert store.read(["none", trace.trace_id]) == [trace]


def test_evaluation_datasets_are_those_that_were_made(sample: Sample) -> None:
    source, noted = sample
    datasets: Any = source.store(Kind.EVALUATION_DATASET)
    wanted = noted.get("eval_datasets", {})
    if datasets is None:
        assert not wanted
        return
    found = {it.name: it for it in datasets.list(())}
    assert {name: it.dataset_id for name, it in found.items()} == {
        name: it["id"] for name, it in wanted.items()
    }
    for name, dataset in found.items():
        assert dataset.experiment_ids == ("1",)
        records = [it for page in datasets.contents(dataset) for it in page]
        assert len({it.key for it in records}) == wanted[name]["records"]
        assert datasets.read([dataset.dataset_id, "none"]) == [dataset]
    tags = sum(len(it.tags) for it in found.values())
    assert tags == _rows(noted, "evaluation_dataset_tags")


def test_nothing_is_left_out(sample: Sample) -> None:
    source, _ = sample
    assert source.unsupported(_ids(source), whole_server=True) == {}
