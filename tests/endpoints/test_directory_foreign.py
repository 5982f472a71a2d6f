"""Exports of mlflow-export-import are read, of every layout since its version 1.2.0."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError
from migrate.kinds import Kind, Ref
from migrate.objects import ACTIVE, Artifact, Metric, ModelLinks, ModelOutput
from tests.endpoints.exports import (
    all_points,
    envelope,
    files_of,
    foreign_experiment,
    foreign_run,
    root_of,
    same,
    write_json,
    write_old_export,
)

B, C, D = "b" * 32, "c" * 32, "d" * 32


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def write_new_export(base: Path, run_ids: list[str], **changes: Any) -> None:
    """An experiment in the layout of late 2025 (G2), without experiments.json."""
    info = {
        "num_total_runs": len(run_ids),
        "num_ok_runs": len(run_ids),
        "num_failed_runs": 0,
        "failed_runs": [],
        "ok_logged_models": 0,
        "failed_logged_models": 0,
        "ok_traces": 0,
        "failed_traces": 0,
    }
    lists = {**foreign_experiment("5", run_ids), "logged_models": [], "traces": []}
    write_json(base / "5" / "experiment.json", envelope(lists, {**info, **changes}))
    for run_id in run_ids:
        content = foreign_run(
            run_id,
            inputs={
                "dataset_inputs": foreign_run(run_id)["inputs"],
                "model_inputs": [{"model_id": "m-1"}],
            },
            outputs={"model_outputs": [{"model_id": "m-2", "step": 0}]},
        )
        write_json(base / "5" / "runs" / run_id / "run.json", envelope(content))


def test_runs_below_their_experiment(tmp_path: Path) -> None:
    """G1: ``<experiment>/<run>/run.json``, lists for inputs, flat numbers in the index."""
    write_old_export(tmp_path)
    source = reader(tmp_path)
    assert [(it.experiment_id, it.name) for it in source.experiments.list()] == [
        ("1", "sklearn_1"),
        ("2", "sklearn_2"),
    ]
    runs = {run.run_id: run for run in source.runs.list(["1", "2"])}
    assert {ident: run.experiment_id for ident, run in runs.items()} == {B: "1", C: "1", D: "2"}
    run = runs[B]
    assert (run.name, run.user_id, run.status) == ("train.sh", "andre", "FINISHED")
    assert (run.start_time, run.end_time) == (1671070664322, 1671070667923)
    assert run.params == {"max_depth": "None"}
    assert same(run.latest_metrics) == same(
        [Metric("rmse", 0.5, 1671070665139, 1), Metric("auc", math.nan, 1671070665139, 0)]
    )
    assert run.inputs == (
        {
            "dataset": {
                "name": "wine",
                "digest": "062ac4fa",
                "source_type": "delta_table",
                "source": "{}",
                "schema": "{}",
            },
            "tags": [{"key": "mlflow.data.context", "value": "training"}],
        },
    )
    assert len(all_points(source, run)) == 3
    assert files_of(source, B) == {"model/MLmodel": b"flavors: {}\n"}
    assert files_of(source, C) == {}
    assert source.unreadable.all() == []
    assert source.runs.read_in("1", [C, D]) == [runs[C]]


def test_runs_in_a_directory_of_their_own(tmp_path: Path) -> None:
    """G2: ``<experiment>/runs/<run>/run.json``, inputs and outputs apart."""
    write_new_export(tmp_path, [B, C])
    source = reader(tmp_path)
    runs = list(source.runs.list(["5"]))
    assert [run.run_id for run in runs] == [B, C]
    assert runs[0].links == ModelLinks(("m-1",), (ModelOutput("m-2", 0),))
    assert runs[0].inputs[0]["dataset"]["name"] == "wine"
    assert source.unreadable.all() == []


@pytest.mark.parametrize("folder", ["1", "experiments"])
def test_a_single_experiment(tmp_path: Path, folder: str) -> None:
    """What export-experiment writes, whatever its directory is called."""
    write_old_export(tmp_path / "all")
    shutil.move(tmp_path / "all" / "1", tmp_path / folder)
    source = reader(tmp_path / folder)
    assert [it.experiment_id for it in source.experiments.list()] == ["1"]
    assert {run.run_id for run in source.runs.list(["1"])} == {B, C}
    assert files_of(source, B) == {"model/MLmodel": b"flavors: {}\n"}
    assert source.unreadable.all() == []


def test_the_experiments_of_an_export_of_models(tmp_path: Path) -> None:
    """export-models and export-all keep them one level down."""
    write_old_export(tmp_path / "experiments")
    write_json(tmp_path / "manifest.json", envelope({}))
    dataset = tmp_path / "evaluation_datasets" / "iris_1" / "evaluation_dataset.json"
    write_json(dataset, envelope({}))

    source = reader(tmp_path)
    assert [it.experiment_id for it in source.experiments.list()] == ["1", "2"]
    assert source.unsupported(["1", "2"]) == {Kind.EVALUATION_DATASET: 1}
    assert source.capabilities().notes == ()
    assert {run.run_id for run in source.runs.list(["1"])} == {B, C}
    # One that says of which experiments it is counts for these, and where all is imported.
    assert source.unsupported(["2", "none such"]) == {Kind.EVALUATION_DATASET: 1}
    write_json(dataset, envelope({"evaluation_dataset": {"experiment_ids": ["1"]}}))
    assert source.unsupported(["2", "none such"]) == {}
    assert source.unsupported(["1"]) == {Kind.EVALUATION_DATASET: 1}
    assert source.unsupported([], whole_server=True) == {Kind.EVALUATION_DATASET: 1}
    dataset.write_text("{")
    assert source.unsupported(["2"]) == {Kind.EVALUATION_DATASET: 1}


def test_old_oddities(tmp_path: Path) -> None:
    """``run_uuid`` alone, tags as lists, no name, no inputs, no times, numbers for text."""
    content = foreign_run(
        B,
        info={"run_uuid": B, "status": "RUNNING", "end_time": None, "user_id": None},
        tags=[{"key": "mlflow.runName", "value": "from the tag"}, {"key": "empty"}],
        params={"depth": 3},
    )
    del content["inputs"]
    write_json(tmp_path / "9" / B / "run.json", {"mlflow": content})
    experiment = foreign_experiment("9", [B])
    experiment["experiment"] = {
        "name": "from a version",
        "tags": [{"key": "k", "value": "v"}],
    }
    write_json(tmp_path / "9" / "experiment.json", {"mlflow": experiment})
    source = reader(tmp_path)
    (found,) = source.experiments.list()
    assert (found.experiment_id, found.name, found.tags) == ("9", "from a version", {"k": "v"})
    assert (found.lifecycle_stage, found.creation_time) == (ACTIVE, None)
    (run,) = source.runs.list(["9"])
    assert (run.run_id, run.name, run.status) == (B, "from the tag", "RUNNING")
    assert (run.start_time, run.end_time, run.user_id) == (0, None, "")
    assert run.params == {"depth": "3"}
    assert run.tags == {"mlflow.runName": "from the tag", "empty": ""}
    assert run.inputs == ()


def test_points_between_two_milliseconds_or_steps_are_lost_by_name_and_none_is_rounded(
    tmp_path: Path,
) -> None:
    start = 1671070665139
    metrics = {
        "loss": [
            {"value": 0.5, "timestamp": start + 0.5, "step": 1},
            {"value": 0.4, "timestamp": float(start), "step": 2},
            {"value": 0.3, "timestamp": start + 1, "step": 3.25},
        ],
        "late": [{"value": 1.0, "timestamp": start + 0.25, "step": 0}],
        "whole": [{"value": 1.0, "timestamp": str(start), "step": 0}],
    }
    content = foreign_run(B, metrics=metrics)
    write_json(tmp_path / "5" / B / "run.json", {"mlflow": content})
    write_json(tmp_path / "5" / "experiment.json", {"mlflow": foreign_experiment("5", [B])})
    source = reader(tmp_path)
    (run,) = source.runs.list(["5"])
    assert [loss.what for loss in run.losses] == ["metric loss", "metric late"]
    assert run.losses[0].reason.startswith("2 of its points")
    whole = {Metric("loss", 0.4, start, 2), Metric("whole", 1.0, start, 0)}
    assert set(run.latest_metrics) == whole
    assert set(all_points(source, run)) == whole


def test_odd_members_of_runs_and_experiments_cost_themselves_by_name(tmp_path: Path) -> None:
    content = foreign_run(
        B,
        metrics={"loss": [{"step": 1}, {"value": 0.5, "timestamp": 1, "step": 2}], "gone": [{}]},
        params={"depth": "3", "deep": {"er": 1}},
        tags=[
            {"key": "k", "value": "v"},
            {"value": "lost"},
            {"key": "twice", "value": "1"},
            {"key": "twice", "value": "2"},
            {"key": "listed", "value": ["v"]},
        ],
        inputs={
            "dataset_inputs": [{"dataset": {"name": "d", "digest": []}}, {"tags": []}],
            "model_inputs": [{"model_id": "m-1"}, {"model_id": None}],
        },
        outputs={"model_outputs": [{"model_id": "m-2", "step": 0.5}, {"model_id": "m-3"}]},
    )
    write_json(tmp_path / "5" / B / "run.json", {"mlflow": content})
    experiment = foreign_experiment("5", [B])
    experiment["experiment"]["tags"] = {"good": "1", "bad": {}}
    write_json(tmp_path / "5" / "experiment.json", {"mlflow": experiment})
    source = reader(tmp_path)
    (found,) = source.experiments.list()
    assert (found.tags, [loss.what for loss in found.losses]) == ({"good": "1"}, ["tag bad"])
    (run,) = source.runs.list(["5"])
    assert (run.params, run.tags) == ({"depth": "3"}, {"k": "v"})
    assert list(all_points(source, run)) == [Metric("loss", 0.5, 1, 2)]
    assert run.links == ModelLinks(("m-1",), (ModelOutput("m-3", 0),))
    assert {loss.what for loss in run.losses} == {
        "metric loss",
        "metric gone",
        "param deep",
        "tag without a key",
        "tag twice",
        "tag listed",
        "dataset input d",
        "dataset input",
        "model input",
        "model output m-2",
    }


def test_runs_listed_by_the_numbers(tmp_path: Path) -> None:
    """One version listed the runs as ``info.ok_runs``."""
    experiment = foreign_experiment("9", [])
    del experiment["runs"]
    info = {"ok_runs": [B], "failed_runs": []}
    write_json(tmp_path / "9" / "experiment.json", envelope(experiment, info))
    for run_id in (B, C):
        write_json(tmp_path / "9" / run_id / "run.json", envelope(foreign_run(run_id)))
    source = reader(tmp_path)
    assert [run.run_id for run in source.runs.list(["9"])] == [B]
    assert [entry.ref for entry in source.unreadable.all()] == [Ref(Kind.RUN, C)]


def test_a_run_whose_directory_has_another_name(tmp_path: Path) -> None:
    """The samples of that tool have them; its index lists the directory."""
    write_json(tmp_path / "9" / "experiment.json", envelope(foreign_experiment("9", ["renamed"])))
    write_json(tmp_path / "9" / "renamed" / "run.json", envelope(foreign_run(B)))
    assert [run.run_id for run in reader(tmp_path).runs.list(["9"])] == [B]
    alone = reader(tmp_path)  # as in another process, which has listed nothing
    assert [run.run_id for run in alone.runs.read_in("9", [B])] == [B]
    assert alone.artifacts.list(root_of(B)) == []
    assert [len(page) for page in alone.runs.metric_history(B, "rmse")] == [2]


def test_each_broken_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """Cut off, not JSON, not an object, of another shape, missing, listed but not there."""
    write_old_export(tmp_path)
    folder = tmp_path / "1"
    whole = (folder / B / "run.json").read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "list": b"[]",
        "binary": b"\xff\xfe\x00",
        "deep": b"[" * 100_000,
        "no-info": json.dumps(envelope({})).encode(),
        "no-status": json.dumps(envelope({"info": {"run_id": "x"}})).encode(),
        "metrics": json.dumps(envelope(foreign_run(B, metrics={"k": [5]}))).encode(),
        "number": json.dumps(envelope(foreign_run(B, metrics={"k": 0.5}))).encode(),
        "times": whole.replace(b"1671070664322", b"Infinity"),
    }
    for name, content in broken.items():
        (folder / name).mkdir()
        (folder / name / "run.json").write_bytes(content)
    (folder / "runs" / "nothing-in-it").mkdir(parents=True)
    listed = foreign_experiment("1", [B, C, *broken, "absent"])
    write_json(folder / "experiment.json", envelope(listed, {"failed_runs": ["failed-then"]}))

    source = reader(tmp_path)
    assert {run.run_id for run in source.runs.list(["1", "2"])} == {B, C, D}
    told = {entry.ref.id: entry for entry in source.unreadable.all()}
    assert set(told) == {*broken, "nothing-in-it", "absent", "failed-then"}
    for name in broken:
        assert str(folder / name / "run.json") in told[name].reason
        assert told[name].container == "1"
        with pytest.raises(DirectoryError):
            source.runs.read_in("1", [name])
    assert "listed" in told["absent"].reason
    assert "failed to export" in told["failed-then"].reason

    for name in broken:
        (folder / name / "run.json").write_bytes(whole.replace(B.encode(), name.encode()))
    assert len(list(source.runs.list(["1"]))) == 2 + len(broken)
    assert {entry.ref.id for entry in source.unreadable.all()} == {
        "nothing-in-it",
        "absent",
        "failed-then",
    }


def test_a_run_that_was_not_listed_did_not_finish(tmp_path: Path) -> None:
    """That tool writes run.json before the files, and lists the run after them."""
    write_new_export(tmp_path, [B])
    shutil.copytree(tmp_path / "5" / "runs" / B, tmp_path / "5" / "runs" / C)
    content = (tmp_path / "5" / "runs" / C / "run.json").read_text().replace(B, C)
    (tmp_path / "5" / "runs" / C / "run.json").write_text(content)
    source = reader(tmp_path)
    assert [run.run_id for run in source.runs.list(["5"])] == [B]
    (entry,) = source.unreadable.all()
    assert "did not finish" in entry.reason
    alone = reader(tmp_path)  # as in another process, which has listed nothing
    with pytest.raises(DirectoryError, match="did not finish"):
        alone.runs.read_in("5", [C])
    assert [run.run_id for run in alone.runs.read([B, C])] == [B]
    assert [entry.ref for entry in alone.unreadable.all()] == [Ref(Kind.RUN, C)]

    write_json(tmp_path / "5" / "experiment.json", envelope(foreign_experiment("5", [B, C])))
    assert [run.run_id for run in alone.runs.read_in("5", [B, C])] == [B, C]


def test_broken_experiments_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    (tmp_path / "2" / "experiment.json").write_text('{"system": {')
    (tmp_path / "3" / D).mkdir(parents=True)  # an export that was killed: no experiment.json
    shutil.copy(tmp_path / "2" / D / "run.json", tmp_path / "3" / D)
    shutil.copytree(tmp_path / "1", tmp_path / "copy of 1")
    index = json.loads((tmp_path / "experiments.json").read_text())
    index["mlflow"]["experiments"] += [{"id": "4", "name": "lost"}] * 2
    (tmp_path / "experiments.json").write_text(json.dumps(index))
    source = reader(tmp_path)
    named, whole = source.experiments.list()
    assert whole.experiment_id == "1"
    assert (named.experiment_id, named.name) == ("2", "sklearn_2")  # as experiments.json has it
    assert "experiment.json is not valid JSON" in named.losses[0].reason
    told = {entry.ref: (entry.container, entry.reason) for entry in source.unreadable.all()}
    assert set(told) == {
        *(Ref(Kind.EXPERIMENT, ident) for ident in ("3", "4", "copy of 1")),
        *(Ref(Kind.RUN, ident) for ident in (B, C, D)),
    }
    assert "lost" in told[Ref(Kind.EXPERIMENT, "4")][1]
    assert told[Ref(Kind.RUN, D)][0] == "3"
    assert "what it is in cannot be read" in told[Ref(Kind.RUN, D)][1]
    assert [run.run_id for run in source.runs.list(["2"])] == [D]
    assert {run.run_id for run in source.runs.list(["1"])} == {B, C}


def test_a_broken_index_is_told_and_not_needed(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    (tmp_path / "experiments.json").write_text('{"mlflow": {"exp')
    source = reader(tmp_path)
    assert [it.experiment_id for it in source.experiments.list()] == ["1", "2"]
    assert "experiments.json is not valid JSON" in source.unknown()[0]


def test_one_run_in_two_experiments_is_read_once(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    shutil.copytree(tmp_path / "1" / B, tmp_path / "2" / B)
    listed = foreign_experiment("2", [B, D])
    write_json(tmp_path / "2" / "experiment.json", envelope(listed))
    source = reader(tmp_path)
    for _ in range(2):
        assert {run.run_id for run in source.runs.list(["1"])} == {B, C}
        assert {run.run_id for run in source.runs.list(["2"])} == {D}
        assert [(entry.ref.id, entry.container) for entry in source.unreadable.all()] == [(B, "2")]


def test_one_damaged_run_is_singled_out_of_a_group(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    source = reader(tmp_path)
    runs = list(source.runs.list(["1"]))
    (tmp_path / "1" / C / "run.json").write_text("{")
    assert list(source.runs.histories(runs, 10**6)) == [B]
    with pytest.raises(DirectoryError, match=C):
        source.runs.histories(runs[1:], 10**6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "is empty"),
        (["notes.txt"], "no export"),
        (["run.json"], "single run"),
        (["version.json"], "single version"),
        (["manifest.json"], "before 1.2.0"),
    ],
)
def test_what_is_no_export_is_said_to_be_none(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(DirectoryError, match=message) as caught:
        reader(tmp_path).experiments.list()
    assert str(tmp_path) in caught.value.message


def test_a_missing_directory_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="does not exist"):
        reader(tmp_path / "none").capabilities()
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="not a directory"):
        reader(tmp_path / "file").capabilities()


def test_the_oldest_format_gets_a_clear_message(tmp_path: Path) -> None:
    """G0 has no ``mlflow`` member."""
    content = {"export_info": {"ok_runs": [B]}, "experiment": {"name": "x"}}
    write_json(tmp_path / "1" / "experiment.json", content)
    source = reader(tmp_path)
    assert list(source.experiments.list()) == []
    (entry,) = source.unreadable.all()
    assert "before 1.2.0" in entry.reason
    assert "export again" in entry.hint


def test_an_export_is_known_again_when_it_has_grown(tmp_path: Path) -> None:
    write_old_export(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "1", tmp_path / "b" / "1")
    first = reader(tmp_path / "a").capabilities()
    shutil.rmtree(tmp_path / "a" / "2")
    assert reader(tmp_path / "a").capabilities().identity == first.identity
    assert first.version == "mlflow-export-import 1.2.0"
    other = foreign_experiment("1", [B, C], creation_time=5)
    write_json(tmp_path / "b" / "1" / "experiment.json", envelope(other))
    assert reader(tmp_path / "b").capabilities().identity != first.identity


def test_artifacts_are_listed_with_their_sizes(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    folder = tmp_path / "1" / B / "artifacts"
    (folder / "empty").write_bytes(b"")
    (folder / "a b#%+é").write_bytes(b"123")
    assert sorted(reader(tmp_path).artifacts.list(root_of(B))) == [
        Artifact("a b#%+é", 3),
        Artifact("empty", 0),
        Artifact("model/MLmodel", 12),
    ]
