"""Runs that are found twice: for what a model is made of, and with all others beside them."""

from __future__ import annotations

import dataclasses

import pytest

from migrate.graph.planner import discover, make_plan
from migrate.graph.selection import Selection
from migrate.kinds import Action, Kind, Ref
from migrate.origins import MARK, ORIGIN
from migrate.tasks.batches import Policy
from migrate.tasks.fingerprint import content_digest, quick_mark
from tests.graph import loading
from tests.graph.memory import ARCHIVE, MemoryServer
from tests.graph.test_planner import SOURCE, TARGET

MADE, BESIDE = "a" * 32, "b" * 32
MODEL = "m-" + "1" * 32
WITH_ALL_RUNS = Selection(models=("churn",), all_runs=True)


@pytest.fixture
def source() -> MemoryServer:
    runs = [
        {"run_id": MADE, "params": {"depth": "3"}, "links": {"outputs": [[MODEL, 0]]}},
        {"run_id": BESIDE, "params": {"depth": "4", "width": "5"}},
    ]
    models = [{"model_id": MODEL, "source_run_id": MADE}]
    version = {"version": 1, "source": f"runs:/{MADE}/model", "run_id": MADE}
    return loading.server(
        "source",
        {
            "experiments": [
                {"experiment_id": "1", "name": "fraud", "runs": runs, "logged_models": models}
            ],
            "registered": [{"name": "churn", "versions": [version]}],
        },
    )


def test_what_is_known_of_the_size_counts_both_once(source: MemoryServer) -> None:
    draft = discover(source, MemoryServer(), WITH_ALL_RUNS, workers=1)
    assert draft.known["params"] == 3


def test_a_run_whose_links_are_read_twice_is_not_taken_for_changed(source: MemoryServer) -> None:
    target = MemoryServer("target", **ARCHIVE)
    target.experiments_held = dict(source.experiments_held)
    run = source.runs_held[MADE]
    content = content_digest(dataclasses.replace(run, links=source.links_held[MADE]))
    tags = {ORIGIN: MADE, MARK: quick_mark(content, ()) + ".all"}
    target.runs_held[MADE] = dataclasses.replace(run, tags=tags)
    plan = make_plan(
        source,
        target,
        source_address=SOURCE,
        target_address=TARGET,
        selection=WITH_ALL_RUNS,
        policy=Policy(migration_id="m1"),
    )
    action = next(task.action for task in plan.tasks if task.ref == Ref(Kind.RUN, MADE))
    assert action is Action.ADOPT
