"""What is written to an export directory is read back as it was."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.directory.layout import (
    FORMAT_VERSION,
    NOT_OBJECTS,
    directory_name,
    escaped,
    file_name,
)
from migrate.endpoints.directory.native.records import latest_rank
from migrate.objects import DELETED, Metric
from tests.endpoints.exports import (
    POINTS,
    a_run,
    all_points,
    an_experiment,
    files_of,
    put,
    same,
    write_run,
)

HOSTILE = [
    *("", ".", "..", "../x", "/etc/passwd", "a//b", "a/./b", "a/../../b", "a/", "\0", "a\0b"),
    *("\\", "..\\x", "C:\\x", "C:", "con", "CON.txt", "com1.log", "aux .txt", "a:b", "a?b*", "a|b"),
    *(
        "trailing.",
        "trailing ",
        "x" * 256,
        "é" * 200,
        "\ud800",
        "line\nbreak",
        "~",
        "a~b",
        ".hidden",
    ),
    *("#1 100%+ü 名前.txt", "%2e%2e", "run.json", "migrate.json", "artifacts", ".work/names.jsonl"),
    *(escaped("x"), escaped("..")),
]
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=0, max_size=12),
    st.lists(st.text(alphabet="ab./\\~ é", max_size=4), max_size=4).map("/".join),
)
texts = st.text(alphabet=st.characters(codec=None), max_size=20)
times = st.integers(0, 2**53)
points = st.builds(
    Metric,
    key=st.sampled_from(["loss", "é/x", "k y", "", "\n", '"']),
    value=st.floats(),
    timestamp=times,
    step=st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Metric]:
    """Points of several keys, all of one key in a row, none twice."""
    unique = {repr(point): point for point in draw(st.lists(points, max_size=12))}
    return sorted(unique.values(), key=lambda point: point.key)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    params=st.dictionaries(texts, texts, max_size=4),
    tags=st.dictionaries(texts, texts, max_size=4),
    name=texts,
    history=histories(),
    files=st.dictionaries(names, st.binary(max_size=20), max_size=6),
    run_id=st.one_of(names, st.just("f" * 32)),
    experiment_id=st.one_of(names, st.just("7")),
    end_time=st.none() | times,
    lifecycle_stage=st.sampled_from(["active", DELETED]),
)
def test_a_run_is_read_back_as_it_was_written(
    params: dict[str, str],
    tags: dict[str, str],
    name: str,
    history: list[Metric],
    files: dict[str, bytes],
    run_id: str,
    experiment_id: str,
    end_time: int | None,
    lifecycle_stage: str,
) -> None:
    latest: dict[str, Metric] = {}
    for point in history:
        if point.key not in latest or latest_rank(point) > latest_rank(latest[point.key]):
            latest[point.key] = point
    run = a_run(
        run_id,
        experiment_id=experiment_id,
        name=name,
        params=params,
        tags=tags,
        end_time=end_time,
        lifecycle_stage=lifecycle_stage,
        latest_metrics=(),
    )
    outside = Path(tempfile.mkdtemp())
    try:
        path = outside / "export"
        target = ExportDirectory(path, writable=True)
        experiment = an_experiment(experiment_id, name=name, tags=tags)
        target.experiments.create(experiment)
        write_run(target, run, points=history, files=files)
        target.publish()

        source = ExportDirectory(path, writable=False)
        assert list(source.experiments.list()) == [experiment]
        (found,) = source.runs.list([experiment_id])
        assert same(found.latest_metrics) == same(latest.values())
        assert found == a_run(
            **{field: getattr(run, field) for field in ("experiment_id", "name", "params", "tags")},
            run_id=run_id,
            end_time=end_time,
            lifecycle_stage=lifecycle_stage,
            latest_metrics=found.latest_metrics,
        )
        assert same(all_points(source, found)) == same(history)
        assert files_of(source, run_id) == files
        assert source.unreadable.all() == []
        assert source.runs.read_in(experiment_id, [run_id, "other"])[0].params == params
        assert [entry.name for entry in outside.iterdir()] == ["export"]
        assert sorted(entry.name for entry in path.iterdir()) == sorted(
            ["experiments.json", directory_name(experiment_id)]
        )
    finally:
        shutil.rmtree(outside)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "#1", "100%", "a+b", "a b", "名前", "é", ".hidden", "MLmodel", "a~b", "x" * 255],
)
def test_a_safe_name_is_kept_to_the_letter(name: str) -> None:
    assert file_name(name) == name


@given(st.text(max_size=300))
def test_an_escaped_name_is_safe_and_never_that_of_another(name: str) -> None:
    stored = file_name(name)
    assert file_name(stored) == stored or stored != name
    assert "/" not in stored
    assert stored not in ("", ".", "..")
    assert len(stored.encode()) <= 255
    if stored != name:
        assert file_name(stored) != stored  # so nobody else's name is stored like this


def test_run_json_is_what_other_tools_read(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files={"model/MLmodel": b"x"})
    target.publish()

    index = json.loads((tmp_path / "experiments.json").read_text())
    assert [(entry["id"], entry["name"]) for entry in index["mlflow"]["experiments"]] == [
        ("7", "experiment 7")
    ]
    experiment = json.loads((tmp_path / "7" / "experiment.json").read_text())
    assert experiment["info"]["failed_runs"] == []
    assert experiment["info"]["num_ok_runs"] == 1
    assert experiment["mlflow"]["runs"] == ["a" * 32]
    assert experiment["mlflow"]["logged_models"] == experiment["mlflow"]["traces"] == []
    assert experiment["mlflow"]["experiment"]["tags"] == {"mlflow.note.content": "about it"}
    assert experiment["mlflow"]["experiment"]["_creation_time"] == "2023-11-14 22:13:20"
    folder = tmp_path / "7" / "runs" / ("a" * 32)
    run = json.loads((folder / "run.json").read_text())
    assert run["system"]["export_file_version"] == "2"
    assert run["mlflow"]["info"]["run_id"] == "a" * 32
    assert run["mlflow"]["info"]["_start_time"] == "2023-11-14 22:13:20"
    assert run["mlflow"]["metrics"]["loss"] == [
        {"value": 0.5, "timestamp": 1_700_000_000_000, "step": 0},
        {"value": 0.25, "timestamp": 1_700_000_000_001, "step": 1},
    ]
    assert run["mlflow"]["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "wine"
    assert run["mlflow"]["inputs"]["model_inputs"] == [{"model_id": "m-1"}]
    assert run["mlflow"]["outputs"]["model_outputs"] == [{"model_id": "m-2", "step": 3}]
    assert (folder / "artifacts" / "model" / "MLmodel").read_bytes() == b"x"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "artifacts",
        "migrate.json",
        "run.json",
    ]


def test_a_changed_run_json_is_read_as_it_is_now(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    write_run(target, a_run(), files={"a:b": b"odd"})
    path = tmp_path / "7" / "runs" / ("a" * 32) / "run.json"
    document = json.loads(path.read_text())
    document["mlflow"]["tags"]["team"] = "green, by hand"
    document["mlflow"]["metrics"]["loss"].append({"value": 1.5, "timestamp": 3, "step": 9})
    path.write_text(json.dumps(document))

    source = ExportDirectory(tmp_path, writable=False)
    (run,) = source.runs.list(["7"])
    assert run.tags["team"] == "green, by hand"
    assert run.latest_metrics == (Metric("loss", 1.5, 3, 9),)
    assert len(all_points(source, run)) == 3
    assert run.links == a_run().links
    assert files_of(source, run.run_id) == {"a:b": b"odd"}
    assert target.runs.find("7")["a" * 32][0].mark == ""  # not what was written


def test_a_file_and_a_directory_of_the_same_name_are_both_kept(tmp_path: Path) -> None:
    """Object stores hold both ``a`` and ``a/b``."""
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    files = {"a": b"1", "a/b": b"2", "c/d": b"3", "c": b"4", "a/b/c": b"5"}
    write_run(target, a_run(), files=files)
    assert files_of(ExportDirectory(tmp_path, writable=False), "a" * 32) == files


def test_histories_stay_within_the_budget(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    long = [Metric("long", float(step), step, step) for step in range(25_000)]
    write_run(target, a_run("1" * 32), points=[*POINTS, *long])
    write_run(target, a_run("2" * 32))
    runs = sorted(target.runs.list(["7"]), key=lambda run: run.run_id)

    first = target.runs.histories(runs, 100)
    assert list(first) == ["1" * 32, "2" * 32]
    assert first["1" * 32].points == POINTS
    assert first["1" * 32].unread == ["long"]
    assert list(target.runs.histories(runs[::-1], 100)) == ["2" * 32]
    assert list(target.runs.histories(runs, 25_003)) == ["1" * 32]
    pages = list(target.runs.metric_history("1" * 32, "long"))
    assert [point for page in pages for point in page] == long
    assert max(map(len, pages)) <= 10_000
    both = target.runs.histories(runs, 25_004)
    assert both["1" * 32].unread == []
    assert both["2" * 32].points == POINTS
    assert list(target.runs.metric_history("1" * 32, "no such key")) == []


def test_points_written_again_are_not_doubled(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    writer = target.runs.create("7", a_run())
    other = Metric("acc", math.nan, 5, 0)
    later = Metric("loss", 0.1, 1_700_000_000_002, 2)
    writer.write_metrics(POINTS)
    writer.write_metrics(POINTS)
    writer.write_metrics([later])  # the next page of the same key
    writer.write_metrics([other])
    writer.write_metrics([*POINTS, later, other])
    writer.finish(a_run(), "m")
    (run,) = target.runs.list(["7"])
    assert same(all_points(target, run)) == same([*POINTS, later, other])


def test_every_point_of_a_long_history_is_kept_in_its_order(tmp_path: Path) -> None:
    """Long enough for the points to leave memory while they come in."""
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    writer = target.runs.create("7", a_run())
    pages = [
        [Metric(key, step / 7, step, -step) for step in range(start, start + 5_000)]
        for key in ("a", "b")
        for start in range(0, 20_000, 5_000)
    ]
    for page in pages:
        writer.write_metrics(page)
    writer.finish(a_run(), "m")
    (run,) = ExportDirectory(tmp_path, writable=False).runs.list(["7"])
    assert all_points(target, run) == [point for page in pages for point in page]
    assert run.latest_metrics == (Metric("a", 0.0, 0, 0), Metric("b", 0.0, 0, 0))


def test_artifacts_of_a_run_in_the_making_are_listed(tmp_path: Path) -> None:
    target = ExportDirectory(tmp_path, writable=True)
    target.experiments.create(an_experiment())
    writer = target.runs.create("7", a_run())
    put(target, writer.root, "x/y", b"12")
    assert target.artifacts.list(writer.root) == [("x/y", 2)]
    assert target.artifacts.transferred == 2
    writer.abandon()


def test_each_directory_has_an_identity_that_stays(tmp_path: Path) -> None:
    identities = set()
    for name in ("one", "two"):
        first = ExportDirectory(tmp_path / name, writable=True).capabilities()
        again = ExportDirectory(tmp_path / name, writable=False).capabilities()
        assert first.identity == again.identity
        assert (first.version, again.writable, again.archive) == ("1", frozenset(), True)
        identities.add(first.identity)
    assert len(identities) == 2
    assert uuid.UUID(identities.pop())


def test_the_format_document_is_about_this_format() -> None:
    document = (Path(__file__).parents[2] / "docs" / "export-format.md").read_text()
    assert file_name("what?.txt") in document
    assert f"\n| {FORMAT_VERSION} | mlflow-migrate" in document
    assert f'"format_version": {FORMAT_VERSION}' in document
    for name in NOT_OBJECTS - {"evaluation_datasets"}:
        assert name in document
