"""Steps for logged models: found with their experiment, linked to runs, matched with copies."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from migrate.endpoints.answers import Copy
from migrate.graph.discover import experiment_left_out, experiment_of
from migrate.graph.draft import Draft, Node
from migrate.kinds import Action, Kind, Ref, experiment_ref, logged_model_ref, run_ref
from migrate.objects import DELETED, LoggedModel, ModelLinks
from migrate.origins import known_losses
from migrate.outcomes import TaskStatus
from migrate.plans import Because
from migrate.tasks.fingerprint import quick_half
from migrate.tasks.logged_model import FLATTENED, links_to
from migrate.tasks.model_marks import facts_of, quick_model_mark, runs_named
from migrate.tasks.outcomes import copies_beside

RUNS_AT_ONCE = 200


def discover_logged_models(draft: Draft) -> None:
    """Add the logged models of the selected experiments."""
    if draft.selection.leaves_out_kind(Kind.LOGGED_MODEL):
        return
    wanted = [node.ref.id for node in draft.of_kind(Kind.EXPERIMENT)]
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
    draft.logged[model.model_id] = facts_of(model)
    draft.add(node)
    return node


def discover_links(draft: Draft) -> None:
    """Read which logged models the selected runs name; no search tells it in full."""
    read_links(draft, [node.ref.id for node in draft.of_kind(Kind.RUN)])


def read_links(draft: Draft, run_ids: Iterable[str]) -> None:
    """Read the links of these runs, as far as listing them has not told."""
    ids = list(run_ids)
    if draft.source_can.lists_links:
        listed = draft.listed_links
        draft.links |= {run_id: listed[run_id] for run_id in ids if run_id in listed}
        return
    groups = [ids[start : start + RUNS_AT_ONCE] for start in range(0, len(ids), RUNS_AT_ONCE)]
    with ThreadPoolExecutor(max(1, min(draft.workers, len(groups)))) as pool:
        for found in pool.map(draft.source.model_links.read, groups):
            draft.links |= {run_id: links for run_id, links in found.items() if links.model_ids}


def check_flattened(draft: Draft) -> None:
    """Say of each logged model what becomes of it on a target that has none."""
    for node in draft.of_kind(Kind.LOGGED_MODEL):
        run_id = draft.logged[node.ref.id].source_run_id
        run = run_ref(run_id)
        if draft.selects(run) and not draft.nodes[run].deleted:
            node.reason = f"its files become artifacts of run {run_id}"
            node.losses += (FLATTENED,)
            continue
        node.refuse("the target has no logged models, and no run is copied that it could go into")


def links_by_model(draft: Draft) -> dict[str, dict[str, ModelLinks]]:
    """Return what runs say of each logged model, by model id and run id."""
    found: dict[str, dict[str, ModelLinks]] = {}
    for run_id, links in draft.links.items():
        for model_id in links.model_ids:
            found.setdefault(model_id, {}).update(links_to(model_id, {run_id: links}))
    return found


def link_models(draft: Draft) -> None:
    """Draw the edges: experiment and all runs concerned before a logged model.

    Models that write to one deleted run take turns: each has it out of the trash for a moment.
    """
    links = links_by_model(draft)
    sharing: dict[Ref, list[Ref]] = {}
    for node in draft.of_kind(Kind.LOGGED_MODEL):
        draft.need(experiment_ref(node.container), node.ref)
        facts = draft.logged[node.ref.id]
        for run_id in sorted(runs_named(facts, links.get(node.ref.id, {}))):
            run = run_ref(run_id)
            if draft.selects(run):
                draft.need(run, node.ref)
                if draft.nodes[run].deleted and not draft.target_can.archive:
                    sharing.setdefault(run, []).append(node.ref)
    for models in sharing.values():
        for earlier, later in pairwise(sorted(models)):
            draft.follow(earlier, later)
    _tell_of_orphans(draft)


def _tell_of_orphans(draft: Draft) -> None:
    """Warn of runs that name a logged model which is not copied."""
    for run_id, links in draft.links.items():
        node = draft.nodes[run_ref(run_id)]
        for model_id in sorted(links.model_ids):
            model = draft.nodes.get(logged_model_ref(model_id))
            if node.selected and (model is None or not model.selected):
                why = model.reason if model is not None else "it is not at the source (any more)"
                node.warnings += (f"names logged model {model_id}, which is not copied: {why}",)


def match_models(draft: Draft) -> None:
    """Find the copies of logged models by origin, one search for each experiment there."""
    if Kind.LOGGED_MODEL not in draft.target_can.writable:
        return
    there = [node for node in draft.of_kind(Kind.EXPERIMENT) if node.target_id]
    with ThreadPoolExecutor(max(1, min(draft.workers, len(there)))) as pool:
        copies_in = pool.map(lambda node: draft.target.logged_models.find(node.target_id), there)
        copies = dict(zip((node.ref.id for node in there), copies_in, strict=True))
    links = links_by_model(draft)
    for node in draft.nodes.values():
        found = copies.get(node.container, {}).get(node.ref.id)
        if not found or node.ref.kind is not Kind.LOGGED_MODEL:
            continue
        node.target_id, node.mark = found[0].target_id, found[0].mark
        node.copy_deleted = found[0].lifecycle_stage == DELETED
        if node.selected and not node.unreadable:
            _decide(draft, node, found[0], links.get(node.ref.id, {}))
            node.losses += copies_beside(node.ref.kind, [copy.target_id for copy in found])


def _decide(draft: Draft, node: Node, copy: Copy, links: dict[str, ModelLinks]) -> None:
    """Choose what to do with a logged model that has a copy."""
    if copy.unreadable:
        node.fail_to_adopt(copy.unreadable)
        return
    facts = draft.logged[node.ref.id]
    named = runs_named(facts, links)
    for run_id in sorted(named):
        run = run_ref(run_id)
        if not draft.selects(run) and draft.will_have_copy(run):
            draft.need(run, node.ref)
    known = {run_id for run_id in named if draft.will_have_copy(run_ref(run_id))}
    if not node.mark:
        node.action, node.reason = Action.ADOPT, "half-made by an earlier attempt: completed"
    elif quick_half(node.mark) != quick_model_mark(facts, links, known):
        node.action, node.reason = Action.UPDATE, "changed at the source since it was copied"
    else:
        node.action, node.reason = Action.ADOPT, "copied before: checked for new files"
        frozen = draft.experiments[node.container].lifecycle_stage == DELETED
        if draft.quick or frozen:
            node.status, node.reason = TaskStatus.DONE, "copied before, unchanged"


def add_model_deletions(draft: Draft) -> None:
    """Add the last step of deleted logged models: versions are made of models that are there."""
    if draft.target_can.archive or draft.target_can.flattens_models:
        return
    for node in draft.of_kind(Kind.LOGGED_MODEL):
        if not node.deleted or node.copy_deleted:
            continue
        deletion = Node(
            ref=node.ref.deletion,
            name=node.name,
            container=node.container,
            reason="deleted at the source: deleted last, when what is made of it is there",
        )
        draft.add(deletion)
        draft.need(node.ref, deletion.ref)
        for version in list(draft.graph.successors(node.ref)):
            if version.kind is Kind.MODEL_VERSION:
                draft.follow(version, deletion.ref)
