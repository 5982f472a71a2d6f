"""Steps that find the source's objects, leave out what is not selected, and link the rest."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from migrate.endpoints.answers import Unreadable
from migrate.endpoints.protocols import Source
from migrate.graph.draft import Draft, Node
from migrate.graph.selection import ALL, Selection, choose_experiments
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.objects import DELETED, FINAL_RUN_STATUSES, Experiment, Run
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.plans import Because
from migrate.tasks.experiment import wanted_experiment
from migrate.tasks.fingerprint import run_facts
from migrate.tasks.references import fit

EXPERIMENTS_AT_ONCE = 25

#: Runs are read by several threads, and each may meet an experiment that is new.
_listing = threading.Lock()


def discover_experiments(draft: Draft) -> None:
    """Add every experiment of the source; those not selected as skipped, with the reason."""
    found = list(draft.source.experiments.list())
    selection = draft.selection
    chosen: frozenset[str] | None = frozenset()
    because = Because("selected by --experiments")
    if selection.whole_server:
        because = Because("the whole server is copied")
    if not (selection.only_models or selection.leaves_out_kind(Kind.EXPERIMENT)):
        chosen = choose_experiments(selection.experiments, found)
    for experiment in found:
        left_out = selection.leaves_out_experiment(experiment, chosen)
        if left_out and selection.only_models:
            text = "not selected: nothing in it belongs to the chosen models"
            left_out = LeftOut(LeftOutCode.NOT_SELECTED, text)
        _add_experiment(draft, experiment, because, left_out)


def _add_experiment(
    draft: Draft, experiment: Experiment, because: Because, left_out: LeftOut | None
) -> None:
    """Add an experiment, or as left out."""
    draft.experiments[experiment.experiment_id] = experiment
    node = Node(
        ref=experiment.ref,
        name=experiment.name,
        deleted=experiment.lifecycle_stage == DELETED,
    )
    if left_out:
        node.skip(left_out)
    else:
        node.because = (because,)
    node.losses = wanted_experiment(experiment, draft.target_can, draft.policy)[1]
    draft.add(node)


def experiment_of(draft: Draft, experiment_id: str, held: Ref) -> Node:
    """Return the experiment that holds a run or logged model.

    One that was made since the experiments were listed is looked for now, and copied where the
    whole server is. One that the source does not list is left out, and that is said.
    """
    ref = experiment_ref(experiment_id)
    with _listing:
        if ref not in draft.nodes:
            for experiment in draft.source.experiments.list():
                if experiment.experiment_id not in draft.experiments:
                    _add_late(draft, experiment)
        if ref not in draft.nodes:
            node = Node(ref=ref, name=experiment_id, unreadable=True)
            text = "the source names it, and does not list it"
            node.skip(LeftOut(LeftOutCode.NOT_LISTED, text))
            draft.add(node)
            draft.experiments[experiment_id] = Experiment(
                experiment_id=experiment_id, name=experiment_id
            )
            draft.unknown.append(
                f"source: {held} is in experiment {experiment_id!r}, which is not among those "
                "that the source lists: what that holds is not copied"
            )
    return draft.nodes[ref]


def _add_late(draft: Draft, experiment: Experiment) -> None:
    left_out = draft.selection.leaves_out_experiment(experiment, None)
    made = "made at the source while the plan was"
    if not left_out and not draft.selection.whole_server:
        left_out = LeftOut(LeftOutCode.NOT_SELECTED, f"not selected: {made}")
    _add_experiment(draft, experiment, Because(made), left_out)
    found = draft.source.unreadable.of(experiment.ref)
    if found is not None:
        _tell_of_contents(draft, found)


def discover_runs(draft: Draft) -> None:
    """Add the runs of the selected experiments, and as skipped those of deleted ones."""
    if draft.selection.leaves_out_kind(Kind.RUN):
        return
    wanted = [
        node.ref.id
        for node in draft.nodes.values()
        if node.ref.kind is Kind.EXPERIMENT
        and (node.selected or node.deleted)
        and not node.may_be_taken_along
    ]
    draft.searched.setdefault(Kind.RUN, set()).update(wanted)
    groups = [
        wanted[start : start + EXPERIMENTS_AT_ONCE]
        for start in range(0, len(wanted), EXPERIMENTS_AT_ONCE)
    ]
    with ThreadPoolExecutor(max(1, min(draft.workers, len(groups)))) as pool:
        for found in pool.map(lambda group: _read(draft, group), groups):
            for node, sizes in found:
                draft.add(node)
                draft.known.update(sizes)


def add_run(draft: Draft, run: Run, because: Because) -> Node:
    """Add a run that something else needs, and its experiment with it."""
    left_out = draft.selection.leaves_out_content(run.lifecycle_stage, run.start_time)
    if not left_out:
        take_along_experiment(draft, run.experiment_id, run.ref)
    node, sizes = _node_of(draft, run)
    if left_out:
        node.skip(left_out)
    node.because = (because,)
    draft.add(node)
    draft.by_id.add(node.ref)
    draft.known.update(sizes)
    return node


def take_along_experiment(draft: Draft, experiment_id: str, needed_by: Ref) -> None:
    """Select the experiment of a run or logged model that something else needs."""
    experiment = experiment_of(draft, experiment_id, needed_by)
    if not experiment.may_be_taken_along:
        return
    stage = draft.experiments[experiment_id].lifecycle_stage
    if left_out := draft.selection.leaves_out_deleted(stage):
        experiment.skip(left_out)
    else:
        experiment.select(Because("the experiment of", needed_by))


def experiment_left_out(experiment: Node) -> LeftOut:
    """Return why what is in an experiment that is left out is left out too."""
    return LeftOut(LeftOutCode.CONTAINER, f"its experiment is left out: {experiment.reason}")


def _read(draft: Draft, experiment_ids: list[str]) -> list[tuple[Node, dict[str, int]]]:
    """Read the runs of some experiments; keep of each only what the plan needs."""
    found = []
    for run in draft.source.runs.list(experiment_ids):
        ref = run.ref
        draft.by_id.discard(ref)
        if ref not in draft.nodes:
            found.append(_node_of(draft, run))
    return found


def _node_of(draft: Draft, run: Run) -> tuple[Node, dict[str, int]]:
    """Return the node of a run, and the sizes of what is known of it."""
    node = Node(
        ref=run.ref,
        name=run.name,
        container=run.experiment_id,
        deleted=run.lifecycle_stage == DELETED,
        unsettled=run.status not in FINAL_RUN_STATUSES,
    )
    experiment = experiment_of(draft, run.experiment_id, node.ref)
    left_out = draft.selection.leaves_out_content(run.lifecycle_stage, run.start_time)
    if not experiment.selected:
        left_out = experiment_left_out(experiment)
    if left_out:
        node.skip(left_out)
        return node, {}
    node.because = (Because("a run of", experiment.ref),)
    node.losses = fit(run, draft.target_can, draft.policy)[1]
    node.facts = run_facts(run)
    sizes = {
        "params": len(run.params),
        "tags": len(run.tags),
        "metric keys": len(run.latest_metrics),
        "dataset inputs": len(run.inputs),
    }
    return node, sizes


def discover_unreadable(draft: Draft) -> None:
    """Add what the source has and cannot give: it is tried like the rest, and fails by name."""
    for found in sorted(draft.source.unreadable.all(), key=lambda it: bool(it.ref.kind.container)):
        kind = found.ref.kind.container
        around = draft.nodes.get(Ref(kind, found.container)) if kind else None
        if found.ref in draft.nodes or (around is not None and not around.selected):
            continue
        if around is None and not _may_be_meant(draft, found.ref):
            continue
        node = Node(ref=found.ref, name=found.where, container=found.container, unreadable=True)
        node.reason = f"cannot be read: {found.reason}"
        draft.add(node)
        if around is not None:
            draft.need(around.ref, node.ref)
        if any(it.container is found.ref.kind for it in Kind):
            _tell_of_contents(draft, found)


def _tell_of_contents(draft: Draft, container: Unreadable) -> None:
    """Say that nothing of a container was looked for; it may itself be read when it is copied."""
    ref = container.ref
    draft.unknown.append(
        f"source: what {ref} holds was not looked for, since it could not be read: "
        f"{container.reason}"
    )


def _may_be_meant(draft: Draft, unreadable: Ref) -> bool:
    tokens = draft.selection.experiments
    return not tokens or ALL in tokens or unreadable.id in tokens


def count_unsupported(draft: Draft) -> None:
    """Count what is there and is not copied."""
    chosen = [node.ref.id for node in draft.containers()]
    draft.unsupported.update(unsupported_in(draft.source, draft.selection, chosen))


def unsupported_in(
    source: Source, selection: Selection, experiment_ids: Sequence[str]
) -> Mapping[Kind, int]:
    """Count what is selected and not copied, with what is in these experiments.

    See ``Source.unsupported``.
    """
    if not experiment_ids and not selection.whole_server:
        return {}
    counted = source.unsupported(experiment_ids, whole_server=selection.whole_server)
    return {
        kind: count
        for kind, count in counted.items()
        if source.store(kind) is None and not selection.leaves_out_kind(kind)
    }
