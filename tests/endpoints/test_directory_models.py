"""Logged models in an export directory are read back as they were written."""

from __future__ import annotations

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.endpoints.directory import ExportDirectory
from migrate.errors import AlreadyExists, DirectoryError, NotFound, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import (
    DELETED,
    Artifact,
    ArtifactRoot,
    LoggedModel,
    ModelLinks,
    ModelMetric,
    ModelOutput,
)
from tests.endpoints.exports import (
    POINTS,
    a_logged_model,
    a_run,
    all_points,
    an_experiment,
    files_below,
    files_of,
    model_root,
    put,
    write_logged_model,
    write_run,
)
from tests.endpoints.test_directory_roundtrip import names, texts, times

RUN_ID = "a" * 32
metrics = st.lists(
    st.builds(
        ModelMetric,
        key=texts,
        value=st.floats(),
        timestamp=times,
        step=st.integers(-(2**63), 2**63 - 1),
        run_id=texts,
        dataset_name=texts,
        dataset_digest=texts,
    ),
    max_size=4,
    unique_by=repr,
)
logged_models = st.builds(
    LoggedModel,
    model_id=names,
    experiment_id=st.just("7"),
    name=texts,
    model_type=texts,
    status=st.sampled_from(["PENDING", "READY", "UPLOAD_FAILED"]),
    status_message=texts,
    source_run_id=texts,
    lifecycle_stage=st.sampled_from(["active", DELETED]),
    artifact_uri=texts,
    creation_time=st.none() | times,
    last_update_time=st.none() | times,
    params=st.dictionaries(texts, texts, max_size=3),
    tags=st.dictionaries(texts, texts, max_size=3),
    metrics=metrics.map(tuple),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the export is."""
    return tmp_path / "export"


@pytest.fixture
def target(path: Path) -> ExportDirectory:
    """A new export with experiment 7 in it."""
    directory = ExportDirectory(path, writable=True)
    directory.experiments.create(an_experiment())
    return directory


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=logged_models, files=st.dictionaries(names, st.binary(max_size=20), max_size=5))
def test_a_logged_model_is_read_back_as_it_was_written(
    model: LoggedModel, files: dict[str, bytes]
) -> None:
    outside = Path(tempfile.mkdtemp())
    try:
        path = outside / "export"
        target = ExportDirectory(path, writable=True)
        target.experiments.create(an_experiment())
        write_logged_model(target, model, files=files)
        target.publish()

        source = reader(path)
        (found,) = source.logged_models.read([model.model_id, "another"])
        assert repr(found) == repr(replace(model, tags=dict(sorted(model.tags.items()))))
        listed = [it.model_id for it in source.logged_models.list(["7"])]
        assert listed == [model.model_id]
        assert files_below(source, model_root(model.model_id)) == files
        assert source.unreadable.all() == []
        assert [entry.name for entry in outside.iterdir()] == ["export"]
    finally:
        shutil.rmtree(outside)


def test_logged_model_json_is_what_other_tools_read(target: ExportDirectory, path: Path) -> None:
    write_logged_model(target, a_logged_model(), files={"MLmodel": b"x"})
    write_logged_model(target, a_logged_model("m-2", creation_time=9))
    write_logged_model(target, a_logged_model("m-3", lifecycle_stage=DELETED))
    target.logged_models.create("7", a_logged_model("m-4"))
    target.publish()
    folder = path / "7" / "logged_models"
    content = json.loads((folder / "m-1" / "logged_model.json").read_text())
    assert content["system"]["export_file_version"] == "2"
    mlflow = content["mlflow"]
    assert mlflow["metrics"][0] == {
        "key": "acc",
        "value": 0.5,
        "timestamp": 1_700_000_000_000,
        "step": 0,
        "model_id": "m-1",
        "dataset_name": "wine",
        "dataset_digest": "d1",
        "run_id": RUN_ID,
    }
    assert mlflow["artifact_location"] == "mlflow-artifacts:/7/models/m-1/artifacts"
    assert (mlflow["model_uri"], mlflow["status"]) == ("models:/m-1", "READY")
    assert (folder / "m-1" / "artifacts" / "MLmodel").read_bytes() == b"x"

    index = json.loads((folder / "logged_models.json").read_text())
    (entry,) = index["mlflow"]["experiments"]
    assert entry == {"id": "7", "name": "experiment 7", "logged_models": ["m-1", "m-2"]}
    assert index["info"]["failed_logged_models"] == ["m-4"]
    experiment = json.loads((path / "7" / "experiment.json").read_text())
    assert experiment["mlflow"]["logged_models"] == ["m-1", "m-2"]
    assert experiment["mlflow"]["deleted_logged_models"] == ["m-3"]
    assert experiment["info"]["ok_logged_models"] == 3
    assert experiment["info"]["failed_logged_models"] == 1
    assert experiment["info"]["num_failed_runs"] == 0

    (told,) = reader_after_listing(path).unreadable.all()
    assert (told.ref, told.container) == (Ref(Kind.LOGGED_MODEL, "m-4"), "7")


def reader_after_listing(path: Path) -> ExportDirectory:
    source = reader(path)
    assert {it.model_id for it in source.logged_models.list(["7"])} == {"m-1", "m-2", "m-3"}
    return source


def test_publishing_what_is_published_writes_nothing(target: ExportDirectory, path: Path) -> None:
    write_logged_model(target, a_logged_model(), files={"a": b"1"})
    target.publish()
    before = {it: it.stat().st_mtime_ns for it in path.rglob("*")}
    ExportDirectory(path, writable=True).publish()
    assert {it: it.stat().st_mtime_ns for it in path.rglob("*")} == before


def test_a_copy_is_made_once_and_found_by_its_id(target: ExportDirectory) -> None:
    copy = target.logged_models.create("7", a_logged_model())
    assert (copy.model_id, copy.artifact_uri) == ("m-1", a_logged_model().artifact_uri)
    assert target.logged_models.find("7")["m-1"][0].mark == ""
    target.logged_models.finish(copy, a_logged_model(), "m")
    with pytest.raises(AlreadyExists):
        target.logged_models.create("7", a_logged_model())
    write_logged_model(target, a_logged_model("m-2", lifecycle_stage=DELETED), mark="n")
    copies = target.logged_models.find("7")
    assert {origin: (it[0].target_id, it[0].mark) for origin, it in copies.items()} == {
        "m-1": ("m-1", "m"),
        "m-2": ("m-2", "n"),
    }
    assert copies["m-2"][0].lifecycle_stage == DELETED
    assert list(target.logged_models.find("7", ["m-2", "m-9"])) == ["m-2"]
    assert target.logged_models.find("8") == {}
    with pytest.raises(NotFound):
        target.logged_models.create("8", a_logged_model())


def test_a_complete_copy_is_completed_again(target: ExportDirectory, path: Path) -> None:
    write_logged_model(target, a_logged_model(), files={"a:b": b"1", "c": b"2"})
    (copy,) = target.logged_models.read(["m-1"])
    put(target, model_root("m-1"), "c", b"33")
    put(target, model_root("m-1"), "d", b"4")
    assert dict(target.artifacts.list(model_root("m-1"))) == {"a:b": 1, "c": 2, "d": 1}
    assert files_below(reader(path), model_root("m-1")) == {"a:b": b"1", "c": b"2"}
    later = ModelMetric("acc", 0.75, 5, 1, RUN_ID)
    changed = a_logged_model(tags={"new": "tag"}, status="UPLOAD_FAILED", metrics=(later,))
    target.logged_models.finish(copy, changed, "m2")
    (found,) = reader(path).logged_models.read(["m-1"])
    assert found == replace(changed, metrics=(*a_logged_model().metrics, later))
    assert files_below(reader(path), model_root("m-1")) == {"a:b": b"1", "c": b"33", "d": b"4"}
    assert target.logged_models.find("7")["m-1"][0].mark == "m2"


def test_metrics_are_never_lost(target: ExportDirectory) -> None:
    """Whether the logged model is being written, complete, or was begun by a killed process."""
    first, *others = (ModelMetric("k", float(step), step, step, RUN_ID) for step in range(4))
    plain = a_logged_model(metrics=())
    copy = target.logged_models.create("7", plain)
    target.logged_models.log_metrics("m-1", [first])
    target.logged_models.finish(copy, plain, "m")
    target.logged_models.log_metrics("m-1", [first, others[0]])
    target.logged_models.log_metrics("m-1", [others[0]])
    (found,) = target.logged_models.read(["m-1"])
    assert found.metrics == (first, others[0])
    assert target.logged_models.find("7")["m-1"][0].mark == "m"
    with pytest.raises(NotFound):
        target.logged_models.log_metrics("m-2", [first])


def test_the_links_of_a_run_are_in_its_record(target: ExportDirectory, path: Path) -> None:
    write_run(target, a_run(), files={"a": b"1"}, mark="m")
    write_run(target, a_run("b" * 32, links=ModelLinks()))
    links = ModelLinks(("m-1",), (ModelOutput("m-2", 3),))
    assert target.model_links.read([RUN_ID, "b" * 32, "c" * 32]) == {
        RUN_ID: links,
        "b" * 32: ModelLinks(),
    }
    before = (path / "7" / "runs" / RUN_ID / "run.json").stat().st_mtime_ns
    target.model_links.write(RUN_ID, links)
    assert (path / "7" / "runs" / RUN_ID / "run.json").stat().st_mtime_ns == before
    with target.runs.restored(RUN_ID):
        target.model_links.write(RUN_ID, ModelLinks(("m-3",), (ModelOutput("m-4"),)))
    (run,) = reader(path).runs.read([RUN_ID])
    assert run.links == ModelLinks(("m-1", "m-3"), (ModelOutput("m-2", 3), ModelOutput("m-4", 0)))
    assert files_of(target, RUN_ID) == {"a": b"1"}
    assert all_points(target, run) == POINTS
    assert target.runs.find("7")[RUN_ID][0].mark == "m"


def test_runs_are_found_in_whatever_experiment(target: ExportDirectory, path: Path) -> None:
    target.experiments.create(an_experiment("8"))
    write_run(target, a_run())
    write_run(target, a_run("b" * 32, experiment_id="8"))
    (path / "7" / "runs" / RUN_ID / "run.json").write_text("{")
    source = reader(path)
    found = source.runs.read([RUN_ID, "b" * 32, "none such"])
    assert [(run.run_id, run.experiment_id) for run in found] == [("b" * 32, "8")]
    assert [entry.ref for entry in source.unreadable.all()] == [Ref(Kind.RUN, RUN_ID)]


def test_files_can_be_sent_as_soon_as_there_is_a_copy(target: ExportDirectory, path: Path) -> None:
    writer = target.runs.create("7", a_run())
    target.logged_models.create("7", a_logged_model())
    for owner in (Ref(Kind.RUN, RUN_ID), Ref(Kind.LOGGED_MODEL, "m-1")):
        root = ArtifactRoot(owner, "")
        put(target, root, "a", b"1")
        assert target.artifacts.list(root) == [("a", 1)]
    writer.abandon()


def test_nothing_is_written_where_only_reading_was_asked_for(
    target: ExportDirectory, path: Path
) -> None:
    write_logged_model(target, a_logged_model(), files={"b": b"2"})
    source = reader(path)
    for attempt in (
        lambda: source.logged_models.create("7", a_logged_model("m-2")),
        lambda: put(source, model_root("m-1"), "c", b"3"),
        lambda: source.logged_models.finish(a_logged_model(), a_logged_model(), "m"),
        lambda: source.logged_models.log_metrics("m-1", [ModelMetric("k", 1.0, 1, 1, RUN_ID)]),
    ):
        with pytest.raises(Refused):
            attempt()
    assert [entry.name for entry in (path / "7" / "logged_models").iterdir()] == ["m-1"]


def test_several_logged_models_are_written_at_once(target: ExportDirectory) -> None:
    def write(number: int) -> None:
        files = {f"{number}/{n}": b"x" * n for n in range(3)}
        write_logged_model(target, a_logged_model(f"m-{number}"), files=files)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert {it.model_id for it in target.logged_models.list(["7"])} == {f"m-{n}" for n in range(24)}
    assert len(files_below(target, model_root("m-5"))) == 3


@pytest.mark.parametrize("name", ["logged_model.json", "migrate.json"])
def test_a_file_that_is_cut_off_is_named(target: ExportDirectory, path: Path, name: str) -> None:
    write_logged_model(target, a_logged_model())
    write_logged_model(target, a_logged_model("m-2"))
    file = path / "7" / "logged_models" / "m-1" / name
    content = file.read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 3):
        file.write_bytes(content[:length])
        source = reader(path)
        assert [it.model_id for it in source.logged_models.list(["7"])] == ["m-2"]
        (entry,) = source.unreadable.all()
        assert (entry.ref, entry.container) == (Ref(Kind.LOGGED_MODEL, "m-1"), "7")
        assert str(file) in entry.reason
        assert entry.hint
        if name == "logged_model.json":
            with pytest.raises(DirectoryError, match=name):
                target.logged_models.create("7", a_logged_model())
        else:  # the next export writes it anew
            assert target.logged_models.find("7")["m-1"][0].mark == ""


def test_a_changed_record_no_longer_counts_as_a_copy(target: ExportDirectory, path: Path) -> None:
    write_logged_model(target, a_logged_model())
    file = path / "7" / "logged_models" / "m-1" / "logged_model.json"
    file.write_text(file.read_text().replace("forest", "by hand"))
    (found,) = target.logged_models.list(["7"])
    assert found.name == "by hand"
    assert target.logged_models.find("7")["m-1"][0].mark == ""


@pytest.mark.parametrize("name", ["m-1", "m-1/logged_model.json", "m-1/artifacts", ""])
def test_links_are_not_followed(target: ExportDirectory, path: Path, name: str) -> None:
    write_logged_model(target, a_logged_model(), files={"b": b"2"})
    place = path / "7" / "logged_models" / name
    moved = path.parent / "moved"
    shutil.move(place, moved)
    place.symlink_to(moved)
    source = reader(path)
    found = list(source.logged_models.list(["7"]))
    if name.endswith("artifacts"):
        with pytest.raises(DirectoryError, match="links"):
            source.artifacts.list(model_root("m-1"))
    else:
        assert found == []
        (entry,) = source.unreadable.all()
        assert "symbolic link" in entry.reason
    if name in ("m-1", "m-1/artifacts"):
        with pytest.raises((DirectoryError, NotFound)):
            source.artifacts.open(model_root("m-1"), Artifact("b", 1))


def test_a_newer_format_is_refused_by_name(target: ExportDirectory, path: Path) -> None:
    write_logged_model(target, a_logged_model())
    sidecar = path / "7" / "logged_models" / "m-1" / "migrate.json"
    sidecar.write_text(sidecar.read_text().replace('"format_version": 1', '"format_version": 2'))
    source = reader(path)
    assert list(source.logged_models.list(["7"])) == []
    assert "export format 2" in source.unreadable.all()[0].reason
