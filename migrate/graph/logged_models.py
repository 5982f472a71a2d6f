"""Steps for logged models: found with their experiment, linked to runs, matched with copies."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from migrate.graph.discover import experiment_left_out, experiment_of
from migrate.graph.draft import Draft, Node
from migrate.kinds import Kind, experiment_ref, logged_model_ref, run_ref
from migrate.objects import DELETED, LoggedModel
from migrate.origins import known_losses
from migrate.plans import Because
from migrate.tasks.logged_model import FLATTENED
from migrate.tasks.model_marks import facts_of

RUNS_AT_ONCE = 200


def discover_logged_models(draft: Draft) -> None:
    """Add the logged models of the selected experiments."""
    if draft.selection.leaves_out_kind(Kind.LOGGED_MODEL):
        return
    wanted = [node.ref.id for node in draft.containers()]
    draft.searched.setdefault(Kind.LOGGED_MODEL, set()).update(wanted)
    for model in draft.source.logged_models.list(wanted):
        ref = model.ref
        draft.by_id.discard(ref)
        if ref not in draft.nodes:
            experiment = experiment_ref(model.experiment_id)
            add_model(draft, model, Because("a logged model of", experiment))


def add_model(draft: Draft, model: LoggedModel, because: Because) -> Node:
    """Add a logged model; as skipped where its experiment is, or where it is deleted."""
    node = Node(
        ref=model.ref,
        name=model.name,
        container=model.experiment_id,
        deleted=model.lifecycle_stage == DELETED,
        because=(because,),
        losses=known_losses(model),
    )
    experiment = experiment_of(draft, model.experiment_id, node.ref)
    if left_out := draft.selection.leaves_out_deleted(model.lifecycle_stage):
        node.skip(left_out)
    elif not experiment.selected:
        node.skip(experiment_left_out(experiment))
    node.facts = facts_of(model)
    draft.add(node)
    return node


def discover_links(draft: Draft) -> None:
    """Read which logged models the selected runs name; no search tells it in full."""
    read_links(draft, [node.ref.id for node in draft.of_kind(Kind.RUN)])


def read_links(draft: Draft, run_ids: Iterable[str]) -> None:
    """Read the links of these runs, as far as listing them has not told."""
    ids = list(run_ids)
    if draft.source_can.lists_links:
        listed = {run_id: draft.nodes[run_ref(run_id)].facts.links for run_id in ids}
        draft.links |= {run_id: links for run_id, links in listed.items() if links.model_ids}
        return
    groups = [ids[start : start + RUNS_AT_ONCE] for start in range(0, len(ids), RUNS_AT_ONCE)]
    with ThreadPoolExecutor(max(1, min(draft.workers, len(groups)))) as pool:
        for found in pool.map(draft.source.model_links.read, groups):
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
