"""What is asked of a plan in the making costs no more than what is answered."""

from __future__ import annotations

import pytest

from migrate.graph.draft import Node
from migrate.graph.planner import discover
from migrate.graph.registry_matching import match_registry
from migrate.graph.selection import Selection
from migrate.kinds import Kind, Ref
from tests.counted import Counted
from tests.graph import loading
from tests.graph.memory import MemoryServer

EXPERIMENTS = 100


def test_what_an_experiment_holds_is_found_without_looking_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = [
        {
            "experiment_id": f"{number}",
            "name": f"experiment {number}",
            "runs": [{"run_id": f"run-{number}"}],
            "logged_models": [{"model_id": f"m-{number}", "name": "m"}],
        }
        for number in range(EXPERIMENTS)
    ]
    source = loading.server("source", {"experiments": content})
    draft = discover(source, MemoryServer(), Selection(), workers=1)
    looked_at = 0
    is_selected = Node.selected.fget  # type: ignore[attr-defined]

    def counted(node: Node) -> bool:
        nonlocal looked_at
        looked_at += 1
        return bool(is_selected(node))

    monkeypatch.setattr(Node, "selected", property(counted))
    for number in range(EXPERIMENTS):
        held = [node.ref for node in draft.held_by(Ref(Kind.EXPERIMENT, f"{number}"))]
        assert held == [Ref(Kind.RUN, f"run-{number}"), Ref(Kind.LOGGED_MODEL, f"m-{number}")]
    assert looked_at == 2 * EXPERIMENTS


def test_the_versions_of_a_model_are_matched_without_looking_at_those_of_the_others() -> None:
    names = [Counted(f"m{number}") for number in range(EXPERIMENTS)]
    models = [{"name": name, "versions": [{"version": 1}]} for name in names]
    copies = [{"name": name, "copy_of": name, "versions": []} for name in names]
    source = loading.server("source", {"registered": models})
    target = loading.server("target", {"registered": copies}, source)
    draft = discover(source, target, Selection(), workers=1)
    Counted.compared = 0
    match_registry(draft)
    assert draft.of_kind(Kind.REGISTERED_MODEL)[0].target_id == "m0"
    assert Counted.compared <= 10 * EXPERIMENTS
