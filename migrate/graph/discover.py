"""Steps that find the source's objects, leave out what is not selected, and link the rest."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from migrate.endpoints.answers import Unreadable
from migrate.endpoints.protocols import Source
from migrate.graph.draft import Draft, Node
from migrate.graph.selection import ALL, Selection, choose_experiments
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.objects import DELETED, Experiment
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.plans import Because
from migrate.tasks.experiment import wanted_experiment

#: Runs are read by several threads, and each may meet an experiment that is new.
_listing = threading.Lock()


def ask_for_experiments(draft: Draft) -> None:
    """Ask ahead for the experiments of the source."""
    draft.ahead.begin(_listed, draft.source)


def _listed(source: Source) -> Sequence[Experiment]:
    return list(source.experiments.list())


def discover_experiments(draft: Draft) -> None:
    """Add every experiment of the source; those not selected as skipped, with the reason."""
    found = draft.ahead.take(_listed, draft.source)
    selection = draft.selection
    chosen: frozenset[str] | None = frozenset()
    because = Because("selected by --experiments")
    if selection.whole_server:
        because = Because("the whole server is copied")
    if not selection.only_models:
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
    """Return the experiment that holds an object.

    One that was made since the experiments were listed is looked for now, and copied where the
    whole server is. One that the source does not list is left out, and that is said.
    """
    ref = experiment_ref(experiment_id)
    if known := draft.nodes.get(ref):
        return known
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
            draft.need_container(node)
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


def ask_for_unsupported(draft: Draft) -> None:
    """Ask ahead how much is there that is not copied."""
    draft.ahead.begin(unsupported_in, draft.source, draft.selection, draft.container_ids())


def count_unsupported(draft: Draft) -> None:
    """Count what is there and is not copied."""
    found = draft.ahead.take(unsupported_in, draft.source, draft.selection, draft.container_ids())
    draft.unsupported.update(found)


def unknown_kinds(source: Source, selection: Selection) -> Sequence[str]:
    """Say that a source may have kinds of objects nobody here knows, where all are asked for."""
    why = source.capabilities().newer_kinds
    if not why or selection.without:
        return ()
    return (
        f"whether the source has kinds of objects that came since is not known: {why}, which this "
        "version of mlflow-migrate knows (is there a newer one? --kinds names what to copy)",
    )


def unsupported_in(
    source: Source, selection: Selection, experiment_ids: Sequence[str]
) -> Mapping[Kind, int]:
    """Count what is selected and not copied, with what is in these experiments.

    See ``Source.unsupported``.
    """
    if not experiment_ids and not selection.whole_server:
        return {}
    counted = source.unsupported(experiment_ids, whole_server=selection.whole_server)
    return {kind: count for kind, count in counted.items() if not selection.leaves_out_kind(kind)}
