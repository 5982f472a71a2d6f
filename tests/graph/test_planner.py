"""What a plan says beside its tasks: the two ends, what was counted, and what is not copied."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address
from migrate.endpoints.directory import ExportDirectory
from migrate.errors import Unavailable, UsageError
from migrate.graph.planner import make_plan
from migrate.graph.selection import Selection
from migrate.kinds import Action, Kind, Ref
from migrate.plans import Plan
from migrate.tasks.batches import Policy
from tests.endpoints.exports import envelope, write_json
from tests.graph import loading
from tests.graph.memory import ARCHIVE, MemoryServer

SOURCE = Address(uri="http://ada:secret@old:5000/?token=secret", side="source", workers=2)
TARGET = Address(uri="http://new:5000", side="target", workers=2)


def world() -> MemoryServer:
    run: dict[str, Any] = {
        "run_id": "a",
        "params": {"depth": "3", "width": "4"},
        "tags": {"why": "x"},
        "points": [["loss", 0.5, 1, 0]],
        "inputs": [{"dataset": {"name": "train"}, "tags": []}],
    }
    source = loading.server(
        "source",
        {
            "capabilities": {"notes": ["source: not an administrator"]},
            "experiments": [
                {"experiment_id": "1", "name": "fraud", "runs": [run, {**run, "run_id": "b"}]},
                {"experiment_id": "2", "name": "churn", "runs": [{**run, "run_id": "c"}]},
            ],
        },
    )
    source.traces = {"2"}
    return source


def plan(
    source: MemoryServer,
    selection: Selection,
    target: MemoryServer | None = None,
    **choices: Any,
) -> Plan:
    return make_plan(
        source,
        target or MemoryServer("target"),
        source_address=SOURCE,
        target_address=TARGET,
        selection=selection,
        policy=Policy(migration_id="m1", **choices),
        options={"experiments": list(selection.experiments)},
    )


def test_a_plan_knows_its_ends_without_credentials() -> None:
    made = plan(world(), Selection())
    assert (made.source.uri, made.source.identity) == ("http://old:5000", "source")
    assert (made.target.uri, made.target.description) == ("http://new:5000", "MLflow at target")
    assert "secret" not in repr(made)
    assert made.notes == ("source: not an administrator",)


def test_what_is_known_of_the_size_counts_selected_runs_only() -> None:
    made = plan(world(), Selection(experiments=("fraud",)))
    assert made.known == {"params": 4, "tags": 2, "metric keys": 2, "dataset inputs": 2}


def test_traces_are_missed_only_in_the_experiments_that_are_copied() -> None:
    assert plan(world(), Selection()).unsupported == {Kind.TRACE: -1}
    assert plan(world(), Selection(experiments=("churn",))).unsupported == {Kind.TRACE: -1}
    assert plan(world(), Selection(experiments=("fraud",))).unsupported == {}


def test_a_choice_made_later_is_seen_in_the_mark_of_runs_copied_without_it() -> None:
    source = world()
    copied = {"run_id": "copy-of-a", "copy_of": "a"}
    place = {"experiment_id": "71", "name": "fraud", "copy_of": "1", "runs": [copied]}
    content = {"experiments": [place]}
    target = loading.server("target", content, source)
    a = Ref(Kind.RUN, "a")

    def action_of(**choices: Any) -> Action:
        tasks = plan(source, Selection(), target, **choices).tasks
        return next(task.action for task in tasks if task.ref == a)

    assert action_of() is Action.ADOPT
    assert action_of(notebook_formats=("HTML",)) is Action.UPDATE


@pytest.mark.parametrize(
    ("choices", "archive", "option"),
    [
        ({"source_tags": True}, True, "--import-source-tags"),
        ({"source_user": True}, True, "--use-src-user-id"),
        ({"version_models": True}, False, "--export-version-model"),
    ],
)
def test_a_choice_that_means_nothing_on_the_target_is_refused(
    choices: dict[str, bool], archive: bool, option: str
) -> None:
    targets = {True: MemoryServer("target", **ARCHIVE), False: MemoryServer("target")}
    with pytest.raises(UsageError, match=option):
        plan(world(), Selection(), targets[archive], **choices)
    plan(world(), Selection(), targets[not archive], **choices)


def test_a_failure_while_planning_leaves_the_collector_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = world()

    def fails(experiment_ids: object) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(source.runs, "list", fails)
    with pytest.raises(Unavailable):
        plan(source, Selection())
    with pytest.raises(UsageError):
        plan(world(), Selection(experiments=("nothing",)))
    assert gc.isenabled()


@pytest.mark.parametrize("name", ["fraud", "Shared/fraud", "/", "/Shared/", "/Shared//fraud"])
def test_names_that_are_no_paths_are_refused_where_experiments_are_called_by_paths(
    name: str,
) -> None:
    experiments = [{"experiment_id": "1", "name": name}, {"experiment_id": "2", "name": "/a/b"}]
    source = loading.server("source", {"experiments": experiments})
    with pytest.raises(UsageError, match="absolute paths") as refused:
        plan(source, Selection(), MemoryServer("target", absolute_names=True))
    assert repr(name) in refused.value.message
    assert "/a/b" not in refused.value.message
    assert "--experiment-rename-file" in refused.value.hint


def test_of_many_names_that_are_refused_the_first_are_shown_and_the_others_counted() -> None:
    experiments = [{"experiment_id": str(n), "name": f"e{n:02}"} for n in range(1, 31)]
    source = loading.server("source", {"experiments": experiments})
    with pytest.raises(UsageError, match="and 10 more"):
        plan(source, Selection(), MemoryServer("target", absolute_names=True))


def test_choices_that_have_no_effect_on_these_ends_are_notes() -> None:
    target = MemoryServer("target", sets_user=True, keeps_notebooks=True)
    made = plan(world(), Selection(), target, source_user=True, notebook_formats=("SOURCE",))
    assert sum("has no effect" in note for note in made.notes) == 2


def test_registered_models_and_versions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """An export says which of them failed; the others are planned beside them, by name."""
    version = {"name": "fraud", "version": "1", "source": "s3://bucket/model"}
    model = {"registered_model": {"name": "fraud", "versions": [version]}}
    info = {"failed_versions": [{"version": "2", "message": "deleted run"}]}
    write_json(tmp_path / "models" / "fraud" / "model.json", envelope(model, info))
    listed = envelope({"models": ["fraud"]}, {"failed_models": ["lost"]})
    write_json(tmp_path / "models" / "models.json", listed)
    made = make_plan(
        ExportDirectory(tmp_path, writable=False),
        MemoryServer("target"),
        source_address=Address(uri=str(tmp_path), side="source"),
        target_address=TARGET,
        selection=Selection(),
        policy=Policy(migration_id="m1"),
        options={},
    )
    reasons = {str(task.ref): task.reason for task in made.tasks}
    assert reasons.keys() == {
        "registered model:fraud",
        "model version:fraud/1",
        "model version:fraud/2",
        "registered model:lost",
    }
    assert "failed to export" in reasons["registered model:lost"]
    assert "failed to export" in reasons["model version:fraud/2"]
