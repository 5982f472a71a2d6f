"""What an export lost is written in it, and told by every import, until an export has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.answers import Ended, Unreadable
from migrate.endpoints.directory import ExportDirectory
from migrate.graph.discover import unsupported_in
from migrate.graph.selection import Selection
from migrate.kinds import Kind, Ref
from migrate.objects import Loss, LossCode, ModelLinks
from migrate.outcomes import loss_of
from tests.conftest import RunMigrate
from tests.endpoints.exports import (
    a_logged_model,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    write_logged_model,
    write_registry,
    write_run,
)

A, B = "a" * 32, "b" * 32
GONE = loss_of(LossCode.NOT_DELIVERED, "artifact notes.txt", "it is gone")


def writer(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=True, holds_models=True)


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """What is exported: an experiment with two runs."""
    path = tmp_path / "origin"
    target = writer(path)
    target.experiments.create(an_experiment())
    for run_id in (A, B):
        write_run(
            target, a_run(run_id, links=ModelLinks()), files={"notes.txt": b"x", "b.txt": b"y"}
        )
    target.publish()
    return path


def file_of(export: Path, run_id: str) -> Path:
    return export / "experiments" / "7" / "runs" / run_id / "artifacts" / "notes.txt"


def losses(stdout: str) -> list[tuple[str, str]]:
    return [(it["id"], it["what"]) for it in json.loads(stdout)["losses"]]


def test_a_file_that_an_export_lost_is_told_by_every_import_until_an_export_has_it(
    tmp_path: Path,
    origin: Path,
    run_migrate: RunMigrate,
    fresh_target: TrackingServerProcess,
) -> None:
    export, uri = tmp_path / "export", fresh_target.uri
    content = file_of(origin, A).read_bytes()
    file_of(origin, A).unlink()
    assert run_migrate("run", origin, export).returncode == 3

    planned = run_migrate("plan", export, uri, "--json")
    [task] = [it for it in json.loads(planned.stdout)["tasks"] if it["id"] == A]
    assert [loss["what"] for loss in task["losses"]] == ["artifact notes.txt"]
    for _ in range(2):
        imported = run_migrate("run", export, uri, "--json")
        assert imported.returncode == 3, imported.stderr
        assert losses(imported.stdout) == [(A, "artifact notes.txt")]
    verified = run_migrate("verify", export, uri, "--json")
    assert [it["what"] for it in json.loads(verified.stdout)["declared"]] == ["artifact notes.txt"]

    client = MlflowClient(uri)
    [experiment] = client.search_experiments(filter_string="name = 'experiment 7'")
    [copy] = [
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags["mlflow-migrate.origin"] == A
    ]
    [[what, _, code]] = json.loads(copy.data.tags["mlflow-migrate.losses.0"])
    assert (what, code) == ("artifact notes.txt", "not delivered")

    again = run_migrate("run", uri, tmp_path / "again", "--json")
    assert (copy.info.run_id, "artifact notes.txt") in losses(again.stdout)

    file_of(origin, A).write_bytes(content)
    assert run_migrate("run", origin, export).returncode == 0
    assert "losses" not in json.loads((file_of(export, A).parents[1] / "migrate.json").read_text())
    imported = run_migrate("run", export, uri, "--json")
    assert (imported.returncode, losses(imported.stdout)) == (0, [])
    assert client.get_run(copy.info.run_id).data.tags["mlflow-migrate.losses.0"] == "[]"
    assert run_migrate("verify", export, uri).returncode == 0


def test_an_object_that_failed_to_export_is_told_by_name_until_an_export_has_it(
    tmp_path: Path, origin: Path, run_migrate: RunMigrate
) -> None:
    export = tmp_path / "export"
    run_file = file_of(origin, A).parents[1] / "run.json"
    content = run_file.read_bytes()
    run_file.write_bytes(content[:-40])
    assert run_migrate("run", origin, export).returncode == 3
    imported = run_migrate("run", export, tmp_path / "copy", "--json")
    assert imported.returncode == 3, imported.stderr
    [failure] = json.loads(imported.stdout)["failures"]
    assert failure["id"] == A
    assert "run.json is not valid JSON" in failure["error"]
    # One of other experiments knows nothing of it, and keeps it in mind.
    narrow = run_migrate("run", origin, export, "--run-start-time", "2030-01-01")
    assert narrow.returncode == 3
    assert run_migrate("run", export, tmp_path / "copy").returncode == 3
    run_file.write_bytes(content)
    assert run_migrate("run", origin, export).returncode == 0
    assert run_migrate("run", export, tmp_path / "copy").returncode == 0


def lost_experiment(target: ExportDirectory) -> Ref:
    return Ref(Kind.EXPERIMENT, target.experiments.create(an_experiment("8")))


def lost_logged_model(target: ExportDirectory) -> Ref:
    write_logged_model(target, a_logged_model())
    return Ref(Kind.LOGGED_MODEL, "m-1")


def lost_model(target: ExportDirectory) -> Ref:
    write_registry(target, a_registered_model())
    return a_registered_model().ref


def lost_version(target: ExportDirectory) -> Ref:
    write_registry(target, a_registered_model(), [a_version(1)])
    return a_version(1).ref


@pytest.mark.parametrize("of_kind", [lost_experiment, lost_logged_model, lost_model, lost_version])
def test_losses_of_every_kind_are_read_back_and_forgotten(
    origin: Path, of_kind: Callable[[ExportDirectory], Ref]
) -> None:
    target = writer(origin)
    ref = of_kind(target)
    for lost in ([GONE], [GONE, Loss("permissions", "not told by the source")], []):
        target.keep_losses(ref, lost)
        target.publish()
        assert everything(reader(origin))[ref] == tuple(lost)
    assert not list(origin.rglob("losses.json"))


def everything(source: ExportDirectory) -> dict[Ref, tuple[Loss, ...]]:
    experiments = list(source.experiments.list())
    ids = [it.experiment_id for it in experiments]
    models = list(source.registered_models.list())
    found: dict[Ref, Any] = {Ref(Kind.EXPERIMENT, it.experiment_id): it for it in experiments}
    found |= {Ref(Kind.RUN, it.run_id): it for it in source.runs.list(ids)}
    found |= {Ref(Kind.LOGGED_MODEL, it.model_id): it for it in source.logged_models.list(ids)}
    found |= {it.ref: it for it in (*models, *source.model_versions.list(models))}
    return {ref: record.losses for ref, record in found.items()}


def test_what_was_not_known_and_not_copied_is_told_until_an_export_of_all_knows(
    origin: Path,
) -> None:
    target = writer(origin)
    chosen = {"experiments": ["wine"]}
    target.publish(Ended(unknown=("scorers were refused",), unsupported={Kind.TRACE: 3}))
    target.publish(Ended(options=chosen, unknown=("prompts were refused",)))
    source = reader(origin)
    source.capabilities()
    assert [text.partition(": ")[2] for text in source.unknown()] == [
        "scorers were refused",
        "prompts were refused",
    ]
    assert source.unsupported(["7"]) == {Kind.TRACE: 3}
    target.publish(Ended(options=chosen))
    assert len(reader(origin).capabilities().notes) == 0
    assert [text.partition(": ")[2] for text in opened(origin).unknown()] == [
        "scorers were refused"
    ]
    target.publish()
    assert opened(origin).unknown() == ()


def opened(path: Path) -> ExportDirectory:
    source = reader(path)
    source.capabilities()
    return source


def test_what_failed_is_named_for_every_kind_and_below_what_failed(origin: Path) -> None:
    failed = [
        (Ref(Kind.EXPERIMENT, "9"), ""),
        (Ref(Kind.RUN, "c" * 32), "9"),
        (Ref(Kind.RUN, "d" * 32), "7"),
        (Ref(Kind.LOGGED_MODEL, "m-9"), "7"),
        (Ref(Kind.REGISTERED_MODEL, "gone"), ""),
        (Ref(Kind.MODEL_VERSION, "gone/1"), "gone"),
        (Ref(Kind.MODEL_VERSION, "fraud/2"), "fraud"),
        (Ref(Kind.PROMPT, "greeting"), ""),
    ]
    entries = [
        Unreadable(ref=ref, container=container, where="its name", reason="refused")
        for ref, container in failed
    ]
    target = writer(origin)
    write_registry(target, a_registered_model(), [a_version(1)])
    target.publish(Ended(failed=tuple(entries)))
    source = reader(origin)
    everything(source)
    assert {(it.ref, it.container) for it in source.unreadable.all()} == set(failed)


@pytest.mark.parametrize("asked", [Ref(Kind.RUN, A), Ref(Kind.EXPERIMENT, "9")], ids=str)
def test_what_failed_is_no_longer_missed_after_an_export_that_was_asked_for_it(
    origin: Path, asked: Ref
) -> None:
    failed = Unreadable(ref=Ref(Kind.RUN, A), container="9", where="a-run", reason="refused")
    target = writer(origin)
    target.publish(Ended(failed=(failed,)))
    target.publish(Ended(selects=lambda ref: ref == asked))
    source = reader(origin)
    everything(source)
    assert source.unreadable.all() == []


@pytest.mark.parametrize("kind", [Kind.SCORER, Kind.TRACE, Kind.EVALUATION_DATASET])
def test_what_an_export_left_behind_is_missed_though_there_may_be_others_of_its_kind(
    tmp_path: Path, kind: Kind
) -> None:
    target = writer(tmp_path)
    target.publish(Ended(unsupported={kind: 3}))
    export = reader(tmp_path)
    assert export.store(kind) is not None
    assert unsupported_in(export, Selection(), []) == {kind: 3}


def test_deletions_that_an_earlier_version_listed_as_failed_are_no_objects(origin: Path) -> None:
    gone = Ref(Kind.RUN, "c" * 32)
    entries = [
        {"object": ref, "in": "9", "name": "its name", "reason": "no answer"}
        for ref in ("deletion:9", f"run:{gone.id}")
    ]
    (origin / "experiments" / "losses.json").write_text(json.dumps({"failed": entries}))
    source = reader(origin)
    everything(source)
    assert [it.ref for it in source.unreadable.all()] == [gone]


@pytest.mark.parametrize("content", ["{", '{"failed": [5]}', '{"exports": [{"asked": 1}]}'])
def test_a_damaged_list_of_losses_is_told_and_written_anew(origin: Path, content: str) -> None:
    (origin / "experiments" / "losses.json").write_text(content)
    [text] = opened(origin).unknown()
    assert "losses.json" in text
    writer(origin).publish()
    assert opened(origin).unknown() == ()
    (origin / "experiments" / "7" / "losses.json").write_text(content.replace("failed", "losses"))
    told = everything(reader(origin))[Ref(Kind.EXPERIMENT, "7")]
    assert [loss.what for loss in told] == (["losses.json"] if "exports" not in content else [])
