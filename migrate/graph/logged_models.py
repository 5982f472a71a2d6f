"""Steps for what runs say of logged models, and for targets that have none."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from migrate.graph.draft import Draft, Node
from migrate.in_turn import in_turn
from migrate.kinds import Kind, logged_model_ref, run_ref
from migrate.tasks.fingerprint import RunFacts
from migrate.tasks.logged_model import FLATTENED

RUNS_AT_ONCE = 200


def discover_links(draft: Draft) -> None:
    """Read which logged models the selected runs name; no search tells it in full."""
    read_links(draft, draft.nodes.values())


def read_links(draft: Draft, nodes: Iterable[Node]) -> None:
    """Read the links of the runs among these that are selected, where no listing has told."""
    ids = [node.ref.id for node in nodes if isinstance(node.facts, RunFacts) and node.selected]
    if draft.source_can.lists_links:
        listed = {run_id: draft.nodes[run_ref(run_id)].facts.links for run_id in ids}
        draft.links |= {run_id: links for run_id, links in listed.items() if links.model_ids}
        return
    groups = [ids[start : start + RUNS_AT_ONCE] for start in range(0, len(ids), RUNS_AT_ONCE)]
    calls = (partial(draft.source.model_links.read, group) for group in groups)
    for found in in_turn(min(draft.workers, len(groups)), calls):
        draft.links |= {run_id: links for run_id, links in found.items() if links.model_ids}


def check_flattened(draft: Draft) -> None:
    """Say of each logged model what becomes of it on a target that has none."""
    for node in draft.of_kind(Kind.LOGGED_MODEL):
        run_id = node.facts.source_run_id
        run = run_ref(run_id)
        if draft.selects(run) and not draft.nodes[run].deleted:
            node.reason = f"its files become artifacts of run {run_id}"
            node.losses += (FLATTENED,)
            continue
        node.refuse("the target has no logged models, and no run is copied that it could go into")


def tell_of_lost_links(draft: Draft) -> None:
    """Warn of runs that name a logged model which is not copied."""
    for run_id, links in draft.links.items():
        node = draft.nodes[run_ref(run_id)]
        for model_id in sorted(links.model_ids):
            model = draft.nodes.get(logged_model_ref(model_id))
            if node.selected and (model is None or not model.selected):
                why = model.reason if model is not None else "it is not at the source (any more)"
                node.warnings += (f"names logged model {model_id}, which is not copied: {why}",)
