"""What other tools and other versions of MLflow leave in exports, file by file."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import DirectoryError
from migrate.kinds import Kind, Ref
from migrate.objects import Experiment, Metric
from tests.endpoints.exports import (
    a_run,
    all_points,
    envelope,
    files_below,
    files_of,
    foreign_experiment,
    foreign_run,
    foreign_trace,
    model_root,
    root_of,
    same,
    write_json,
    write_old_export,
)
from tests.endpoints.test_directory_foreign_models import (
    foreign_logged_model,
    foreign_model,
    foreign_prompt,
    foreign_version,
)

B, C = "b" * 32, "c" * 32


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


def test_an_index_that_lists_everything_twice(tmp_path: Path) -> None:
    """Exporting experiments twice into one directory joins both lists."""
    write_old_export(tmp_path)
    index = json.loads((tmp_path / "experiments.json").read_text())
    index["mlflow"]["experiments"] *= 2
    index["info"] = [index["info"]]
    write_json(tmp_path / "experiments.json", index)
    source = reader(tmp_path)
    assert [it.experiment_id for it in source.experiments.list()] == ["1", "2"]
    assert len(list(source.runs.list(["1", "2"]))) == 3
    assert source.unreadable.all() == []


@pytest.mark.parametrize(
    "info",
    [
        {"duration": 0.2, "experiments": 2, "total_runs": 3, "ok_runs": 3, "failed_runs": 0},
        {"experiment_names": ["a"], "options": {}, "status": {"ok_runs": -1}, "note": "Merged"},
        None,
    ],
    ids=["flat", "grouped", "none"],
)
def test_the_numbers_of_an_index_are_of_no_weight(tmp_path: Path, info: object) -> None:
    write_old_export(tmp_path)
    index = json.loads((tmp_path / "experiments.json").read_text())
    write_json(tmp_path / "experiments.json", envelope(index["mlflow"], info))
    assert [it.experiment_id for it in reader(tmp_path).experiments.list()] == ["1", "2"]


def test_members_that_later_versions_of_mlflow_add(tmp_path: Path) -> None:
    experiment = foreign_experiment(
        "5",
        [B],
        workspace="default",
        trace_location=None,
        effective_trace_archival_retention=None,
    )
    later = {"logged_models": ["m-1"], "traces": ["tr-1"], "scorers": [1]}
    write_json(tmp_path / "5" / "experiment.json", envelope({**experiment, **later}))
    point = {"value": 0.5, "timestamp": 7, "step": 3, "model_id": None, "dataset_name": None}
    run = foreign_run(
        B,
        metrics={"acc": [{**point, "dataset_digest": None, "run_id": B}]},
        inputs={"dataset_inputs": [], "model_inputs": [{"model_id": "m-1", "new": 1}], "x": 1},
        outputs={"model_outputs": [{"model_id": "m-1", "step": 2}], "y": []},
        traces=["tr-1"],
        more={"k": "v"},
    )
    write_json(tmp_path / "5" / "runs" / B / "run.json", envelope(run))
    model = foreign_logged_model("m-1", workspace="default", _creation_time="2022")
    folder = tmp_path / "5" / "logged_models"
    write_json(folder / "m-1" / "logged_model.json", envelope(model))
    write_json(tmp_path / "5" / "traces" / "traces.json", envelope({"experiments": []}))
    write_json(tmp_path / "5" / "traces" / "tr-1" / "trace.json", envelope(foreign_trace("tr-1")))
    version = foreign_version("fraud", 1, workspace="default", params=None, metrics=[])
    registered = foreign_model("fraud", [version], workspace="default", latest_version="1")
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(registered))
    source = reader(tmp_path)
    (found,) = source.runs.list(["5"])
    assert found.latest_metrics == (Metric("acc", 0.5, 7, 3),)
    assert found.links.inputs == ("m-1",)
    assert [it.model_id for it in source.logged_models.list(["5"])] == ["m-1"]
    assert [
        it.version for it in source.model_versions.list(list(source.registered_models.list()))
    ] == [1]
    assert [it.trace_id for it in source.store(Kind.TRACE).list(["5"])] == ["tr-1"]
    assert source.unsupported(["5"]) == {}
    assert source.unreadable.all() == []


def test_readable_copies_of_members_are_not_taken_for_them(tmp_path: Path) -> None:
    """Keys that begin with ``_`` are for people; one that is wrong changes nothing."""
    write_old_export(tmp_path)
    for file in tmp_path.rglob("*.json"):
        text = file.read_text()
        assert "2022-12-15 02:17:4" in text or file.name == "experiments.json"
        file.write_text(text.replace("2022-12-15 02:17:4", "sometime "))
    source = reader(tmp_path)
    assert [it.creation_time for it in source.experiments.list()] == [1671070664092, 1671070664093]
    assert {it.start_time for it in source.runs.list(["1"])} == {1671070664322}


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    """Written as the bare tokens of Python's ``json``."""
    values = [math.nan, math.inf, -math.inf, 1e308, -0.0]
    points = [{"value": it, "timestamp": 5, "step": step} for step, it in enumerate(values)]
    write_json(tmp_path / "9" / B / "run.json", envelope(foreign_run(B, metrics={"k": points})))
    write_json(tmp_path / "9" / "experiment.json", envelope(foreign_experiment("9", [B])))
    assert "-Infinity" in (tmp_path / "9" / B / "run.json").read_text()
    source = reader(tmp_path)
    (run,) = source.runs.list(["9"])
    expected = [Metric("k", value, 5, step) for step, value in enumerate(values)]
    assert same(all_points(source, run)) == same(expected)


def test_notebooks_are_files_of_their_runs(tmp_path: Path) -> None:
    write_old_export(tmp_path)
    folder = tmp_path / "1" / C / "artifacts" / "notebooks"
    told = {"mlflow.databricks.notebookPath": "/Users/ada/train", "formats": ["SOURCE"]}
    write_json(folder / "manifest.json", told)
    (folder / "train.source").write_bytes(b"print(1)\n")
    files = files_of(reader(tmp_path), C)
    assert json.loads(files["notebooks/manifest.json"]) == told
    assert files["notebooks/train.source"] == b"print(1)\n"


def test_a_single_experiment_of_late_2025(tmp_path: Path) -> None:
    """What export-experiment writes: runs/, logged_models/ and traces/ right there."""
    lists = {**foreign_experiment("5", [B]), "logged_models": ["m-1"], "traces": ["tr-1"]}
    write_json(tmp_path / "experiment.json", envelope(lists))
    write_json(tmp_path / "runs" / B / "run.json", envelope(foreign_run(B)))
    model = tmp_path / "logged_models" / "m-1"
    write_json(model / "logged_model.json", envelope(foreign_logged_model("m-1")))
    write_json(tmp_path / "logged_models" / "logged_models.json", envelope({"experiments": []}))
    write_json(tmp_path / "traces" / "tr-1" / "trace.json", envelope(foreign_trace("tr-1")))
    source = reader(tmp_path)
    assert [it.experiment_id for it in source.experiments.list()] == ["5"]
    assert [it.run_id for it in source.runs.list(["5"])] == [B]
    assert [it.model_id for it in source.logged_models.list(["5"])] == ["m-1"]
    assert [it.trace_id for it in source.store(Kind.TRACE).list(["5"])] == ["tr-1"]
    assert source.unsupported(["5"]) == {}
    assert source.artifacts.list(root_of(B)) == []
    assert source.unreadable.all() == []


def test_a_single_version_made_of_a_logged_model(tmp_path: Path) -> None:
    """What export-model-version of late 2025 writes; tags of the experiment are a list."""
    experiment = foreign_experiment("5", [], tags=[{"key": "k", "value": "v"}])
    del experiment["runs"]
    write_json(tmp_path / "experiment.json", {"mlflow": experiment})
    write_json(tmp_path / "run" / "run.json", envelope(foreign_run(B)))
    folder = tmp_path / B
    write_json(folder / "logged_model.json", envelope(foreign_logged_model("m-1")))
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "MLmodel").write_bytes(b"x")
    write_json(tmp_path / "model.json", envelope(foreign_model("fraud", "absent")))
    version = foreign_version("fraud", 4, source="models:/m-1", model_id="m-1")
    write_json(tmp_path / "version.json", envelope({"model_version": version}))
    source = reader(tmp_path)
    (found,) = source.experiments.list()
    assert (found.experiment_id, found.tags) == ("5", {"k": "v"})
    assert [it.run_id for it in source.runs.list(["5"])] == [B]
    assert [it.model_id for it in source.logged_models.list(["5"])] == ["m-1"]
    assert files_below(reader(tmp_path), model_root("m-1")) == {"MLmodel": b"x"}
    (only,) = source.model_versions.list(list(source.registered_models.list()))
    assert (only.version, only.model_id) == (4, "m-1")
    assert source.capabilities().notes == ()
    assert source.unreadable.all() == []


def test_copies_of_runs_and_logged_models_beside_registered_models(tmp_path: Path) -> None:
    """They are read where their experiments are, and once."""
    write_old_export(tmp_path / "experiments")
    content = foreign_model("team/fraud", [foreign_version("team/fraud", 1)])
    folder = tmp_path / "models" / "team" / "fraud"
    write_json(folder / "model.json", envelope(content))
    shutil.copytree(tmp_path / "experiments" / "1" / B, folder / B)
    write_json(folder / "m-1" / "logged_model.json", envelope(foreign_logged_model("m-1")))
    write_json(folder / "m-1" / "artifacts" / "model.json", envelope(content))
    source = reader(tmp_path)
    assert [it.name for it in source.registered_models.list()] == ["team/fraud"]
    assert sorted(it.run_id for it in source.runs.list(["1", "2"])) == sorted([B, C, "d" * 32])
    assert source.logged_models.read(["m-1"]) == []
    assert source.unreadable.all() == []


@pytest.mark.parametrize("tags", [{"owner": "ada"}, [{"key": "owner", "value": "ada"}], None])
def test_tags_of_registered_models_of_every_form(tmp_path: Path, tags: object) -> None:
    content = foreign_model("fraud", [], tags=tags, aliases=None)
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(content))
    (model,) = reader(tmp_path).registered_models.list()
    assert model.tags == ({"owner": "ada"} if tags else {})


def test_versions_that_failed_to_export_are_named(tmp_path: Path) -> None:
    """With the whole version, as of a run that is gone, or with its number only."""
    failed = [
        {"version": foreign_version("fraud", 2), "RestException": {"error_code": "X"}},
        {"message": "deleted run", "version": "10"},
        {"message": "no version"},
        "nonsense",
    ]
    content = envelope(
        foreign_model("fraud", [foreign_version("fraud", 1)]), {"failed_versions": failed}
    )
    write_json(tmp_path / "models" / "fraud" / "model.json", content)
    source = reader(tmp_path)
    assert [
        it.version for it in source.model_versions.list(list(source.registered_models.list()))
    ] == [1]
    assert sorted(str(it.ref) for it in source.unreadable.all()) == [
        "model version:fraud/10",
        "model version:fraud/2",
    ]
    assert all("failed to export" in it.reason for it in source.unreadable.all())


def test_what_imports_left_in_the_directory_is_no_prompt(tmp_path: Path) -> None:
    """import-prompts and its like write a summary into what they read."""
    prompt = tmp_path / "prompts" / "greeting_v1" / "prompt.json"
    write_json(prompt, envelope(foreign_prompt("greeting", 1)))
    for folder in ("prompts", "evaluation_datasets"):
        write_json(tmp_path / folder / "import_summary.json", {"mlflow": {"imported": 1}})
    datasets = tmp_path / "evaluation_datasets" / "evaluation_datasets_summary.json"
    write_json(datasets, envelope({"total_datasets": 0}))
    source = reader(tmp_path)
    assert [it.ref for it in source.registered_models.list()] == [Ref(Kind.PROMPT, "greeting")]
    assert source.capabilities().notes == ()
    assert source.unreadable.all() == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("evaluation_datasets_summary.json", "evaluation datasets alone"),
        ("traces.json", "traces alone"),
    ],
)
def test_exports_of_what_is_not_copied_are_said_to_be_such(
    tmp_path: Path, name: str, told: str
) -> None:
    write_json(tmp_path / name, envelope({}))
    with pytest.raises(DirectoryError, match=told):
        reader(tmp_path).capabilities()


class TestASidecarThatLiesOfMetrics:
    """migrate.json says where the histories are in run.json; both are held against each other."""

    @pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
    def test_a_metric_that_it_leaves_out_is_noticed(self, tmp_path: Path, place: int) -> None:
        run, sidecar = self._exported(tmp_path)
        content = json.loads(sidecar.read_text())
        del content["metrics"][place]
        sidecar.write_text(json.dumps(content))
        self._is_damaged(tmp_path, run)

    def test_one_that_names_none_is_noticed(self, tmp_path: Path) -> None:
        run, sidecar = self._exported(tmp_path)
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "metrics": []}))
        self._is_damaged(tmp_path, run)

    def test_one_that_takes_the_points_of_another_metric_is_noticed(self, tmp_path: Path) -> None:
        run, sidecar = self._exported(tmp_path)
        content = json.loads(sidecar.read_text())
        content["metrics"][1]["offset"] = content["metrics"][0]["offset"]
        sidecar.write_text(json.dumps(content))
        self._is_damaged(tmp_path, run)

    def _exported(self, path: Path) -> tuple[str, Path]:
        target = ExportDirectory(path, writable=True)
        experiment = target.experiments.create(Experiment(experiment_id="7", name="churn"))
        run = a_run(run_id="f" * 32)
        writer = target.runs.create(experiment, run)
        points = [Metric(key, 0.5, 1, step) for key in ("acc", "loss", "rmse") for step in (1, 2)]
        writer.write_metrics(points)
        writer.finish(run, "mark")
        target.publish()
        target.close()
        found = reader(path)
        assert [r.run_id for r in found.runs.list([experiment])] == [run.run_id]
        return run.run_id, next(path.rglob("migrate.json"))

    def _is_damaged(self, path: Path, run_id: str) -> None:
        source = reader(path)
        runs = list(source.runs.list(["7"]))
        told = [found.reason for found in source.unreadable.all()]
        if runs:
            with pytest.raises(DirectoryError) as caught:
                source.runs.histories(runs, 1000)
            told.append(caught.value.message)
        assert any(
            "does not hold" in reason and "migrate.json tells of" in reason for reason in told
        )
