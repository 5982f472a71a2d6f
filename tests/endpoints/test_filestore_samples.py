"""File stores of five MLflow versions are read as they were filled."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.filestore import FileStoreSource
from migrate.endpoints.stores import traces_of
from migrate.kinds import Kind
from migrate.objects import ArtifactRoot, LoggedModel, ModelVersion, RegisteredModel, Run
from migrate.traces import Stretch
from tests.endpoints.filestores import VERSIONS, listing, manifest, opened, unpacked
from tests.endpoints.noted import assert_experiments, assert_runs, points_of

Sample = tuple[FileStoreSource, dict[str, Any], Path]


@pytest.fixture(params=VERSIONS)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sample]:
    """A file store, and what it holds; it stays as it is."""
    root = unpacked(request.param, tmp_path)
    before = listing(root)
    source = opened(root)
    yield source, manifest(request.param), root
    source.close()
    assert source.unreadable.all() == []
    assert listing(root) == before


def _ids(source: FileStoreSource) -> list[str]:
    return [it.experiment_id for it in source.experiments.list()]


def _runs(source: FileStoreSource) -> dict[str, Run]:
    return {run.run_id: run for run in source.runs.list(_ids(source))}


def _models(source: FileStoreSource) -> dict[str, RegisteredModel]:
    return {it.name: it for it in source.registered_models.list()}


def _texts(folder: Path) -> dict[str, str]:
    """Return what is in the files below a folder, by their paths."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in files}


def _folder(root: Path, *names: str) -> Path:
    """Return a folder of an experiment, or in one, which may be in the trash."""
    folders = (root.joinpath(*names), root.joinpath(".trash", *names))
    return next(folder for folder in folders if folder.is_dir())


def test_experiments_are_those_that_were_made(sample: Sample) -> None:
    source, noted, root = sample
    listed = [*source.experiments.list()]
    assert_experiments(listed, noted)
    for it in listed:
        assert it.tags == _texts(_folder(root, it.experiment_id) / "tags")
        assert it.creation_time
        assert it.last_update_time
        assert source.experiments.read([it.experiment_id, "77", "../mlruns"]) == [it]


def test_runs_are_those_that_were_made(sample: Sample) -> None:
    source, noted, root = sample
    runs = _runs(source)
    assert_runs(runs, noted)
    for run in runs.values():
        folder = _folder(root, run.experiment_id, run.run_id)
        status = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4, "KILLED": 5}[run.status]
        assert f"\nstatus: {status}\n" in (folder / "meta.yaml").read_text()
        assert run.params == _texts(folder / "params")
        assert run.tags == _texts(folder / "tags")
        assert {it.key for it in run.latest_metrics} == set(_texts(folder / "metrics"))
        assert run.losses == ()
        asked = [run.run_id, "f" * 32, "../0"]
        # As text: NaN is not equal to itself.
        assert repr(source.runs.read_in(run.experiment_id, asked)) == repr([run])
    assert {"a/b.c", "case", "Case"} <= set(runs[noted["runs"]["full"]["id"]].tags)


@pytest.mark.parametrize("budget", [100_000, 1])
def test_metric_histories_are_whole(sample: Sample, budget: int) -> None:
    source, noted, _ = sample
    wanted = noted["runs"]["full"]
    run = _runs(source)[wanted["id"]]
    history = source.runs.histories([run], budget)[run.run_id]
    points = [*history.points]
    for key in history.unread:
        points += [it for page in source.runs.metric_history(run.run_id, key) for it in page]
    assert Counter((key, repr(value), at, step) for key, value, at, step in points) == Counter(
        (key, repr(float(value)), at, step) for key, value, at, step in points_of(noted, wanted)
    )
    for it in run.latest_metrics:
        steps = [point.step for point in points if point.key == it.key]
        assert it in points or math.isnan(it.value)
        assert it.step == max(steps)


def test_histories_of_many_runs_are_read_by_a_budget(sample: Sample) -> None:
    source, _, root = sample
    left = [*_runs(source).values()]
    points = 0
    while left:
        found = source.runs.histories(left, 5)
        for run_id, history in found.items():
            points += len(history.points)
            for key in history.unread:
                points += sum(map(len, source.runs.metric_history(run_id, key)))
        left = left[len(found) :]
    files = [*root.glob("*/*/metrics/**/*"), *root.glob(".trash/*/*/metrics/**/*")]
    lines = [
        line
        for path in files
        if path.is_file() and path.parents[1].name != "models"
        for line in path.read_text().splitlines()
    ]
    assert points == len(lines)


def test_logged_models_are_those_that_were_made(sample: Sample) -> None:
    source, noted, _ = sample
    shown = {it.name: it for it in source.logged_models.list(_ids(source))}
    wanted_models = noted.get("logged_models", {})
    for name, wanted in wanted_models.items():
        deleted = wanted.get("lifecycle") == "deleted"
        assert name in shown
        model: LoggedModel
        [model] = source.logged_models.read([wanted["id"]])
        assert model.lifecycle_stage == ("deleted" if deleted else "active")
        assert model.status == ("PENDING" if deleted else "READY")
        assert model.source_run_id == wanted.get("run", model.source_run_id)
        assert model.artifact_uri == wanted.get("location", model.artifact_uri)
        if "metric" in wanted:
            [point] = model.metrics
            assert [*point[:4], *point[5:]][: len(wanted["metric"])] == wanted["metric"]
    assert shown.keys() == wanted_models.keys()
    links = source.model_links.read([*_runs(source)])
    made = {it.model_id: run for run, link in links.items() for it in link.outputs}
    assert made == {it["id"]: it["run"] for it in wanted_models.values() if "run" in it}
    assert all(run.links == links[run_id] for run_id, run in _runs(source).items())


def test_versions_are_those_that_were_made_and_deleted_ones_are_gaps(sample: Sample) -> None:
    source, noted, root = sample
    models = _models(source)
    wanted_models = noted.get("models", {})
    assert {name for name, it in models.items() if it.kind is Kind.REGISTERED_MODEL} == set(
        wanted_models
    )
    found: dict[str, dict[str, ModelVersion]] = {name: {} for name in models}
    for version in source.model_versions.list([*models.values()]):
        found[version.name][str(version.version)] = version
    for name, wanted in wanted_models.items():
        assert set(found[name]) == set(wanted["versions"])
        aliases = {alias: int(number) for alias, number in wanted.get("aliases", {}).items()}
        assert models[name].aliases == aliases
        assert models[name].tags == _texts(root / "models" / name / "tags")
        for number, described in wanted["versions"].items():
            version = found[name][number]
            assert version.stage == described["stage"]
            assert version.description == (described["description"] or "")
            assert version.source == described.get("source", wanted["source"])
            assert version.tags == _texts(root / "models" / name / f"version-{number}" / "tags")
            assert source.model_versions.read(version.ref) == version


def test_prompts_are_those_that_were_made(sample: Sample) -> None:
    source, noted, _ = sample
    models = _models(source)
    prompts = {name: it for name, it in models.items() if it.kind is Kind.PROMPT}
    assert set(prompts) == set(noted.get("prompts", {}))
    for name, wanted in noted.get("prompts", {}).items():
        versions = [*source.model_versions.list([prompts[name]])]
        texts = {str(it.version): it.tags["mlflow.prompt.text"] for it in versions}
        assert texts == wanted["versions"]
        assert prompts[name].aliases == wanted.get("aliases", {})


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
def test_files_are_found_where_the_store_is_now(
    version: str, in_place: bool, tmp_path: Path
) -> None:
    root = unpacked(version, tmp_path, in_place=in_place)
    source = opened(root)
    owners = [*_runs(source).values(), *source.logged_models.list(_ids(source))]
    found = set()
    for it in owners:
        place = ArtifactRoot(it.ref, it.artifact_uri)
        for file in source.artifacts.list(place):
            folder = "models" if it.ref.kind is Kind.LOGGED_MODEL else ""
            path = _folder(root, it.experiment_id) / folder / it.ref.id / "artifacts" / file.path
            with source.artifacts.open(place, file) as stream:
                assert stream.read() == path.read_bytes()
            found.add(path)
    assert found == {
        path
        for path in root.rglob("*")
        if path.is_file() and "artifacts" in path.parts and "traces" not in path.parts
    }
    assert source.unknown() == []


def test_traces_are_those_that_were_made(sample: Sample) -> None:
    source, noted, root = sample
    store = traces_of(source)
    assert store is not None
    found = {it.trace_id: it for it in store.list(_ids(source))}
    assert set(found) == set(noted.get("traces", {}))
    for trace_id, wanted in noted.get("traces", {}).items():
        trace = found[trace_id]
        folder = _folder(root, trace.experiment_id, "traces", trace_id)
        assert (trace.state, trace.losses) == ("OK", ())
        assert trace.tags == _texts(folder / "tags")
        assert trace.metadata == _texts(folder / "request_metadata")
        said = {path.stem for path in (folder / "assessments").glob("*.yaml")}
        assert {it["assessment_id"] for it in trace.assessments} == said
        place = ArtifactRoot(trace.ref, trace.tags["mlflow.artifactLocation"])
        [file] = source.artifacts.list(place)
        with source.artifacts.open(place, file) as stream:
            spans = json.loads(stream.read())["spans"]
        assert [it["name"] for it in spans] == wanted["spans"]
    in_order = sorted(found.values(), key=lambda it: it.request_time)
    for number, trace in enumerate(in_order):
        stretch = Stretch(trace.request_time, None)
        assert [*store.within(trace.experiment_id, stretch)] == in_order[number:]
        assert [*store.within(trace.experiment_id, Stretch(None, trace.request_time))] == (
            in_order[: number + 1]
        )
        assert trace.execution_duration is not None
    assert store.read(["tr-" + "0" * 32, "../models", *found]) == [*found.values()]


def test_nothing_is_left_out(sample: Sample) -> None:
    source, _, _ = sample
    assert source.unsupported(_ids(source), whole_server=True) == {}
