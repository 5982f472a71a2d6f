"""Steps that hold what objects say of each other against what searches show.

A search that leaves out what is there may leave out more, which nothing names.
"""

from __future__ import annotations

from migrate.graph.discover import add_run, experiment_of
from migrate.graph.draft import Draft
from migrate.graph.logged_models import read_links
from migrate.kinds import Kind, Ref, experiment_ref, run_ref
from migrate.plans import Because
from migrate.tasks.carriers import contained_carriers
from migrate.tasks.model_marks import runs_named


def discover_hidden_runs(draft: Draft) -> None:
    """Add the runs of selected experiments that logged models name and no search has shown."""
    named: dict[str, Ref] = {}
    for node in draft.of_kind(Kind.LOGGED_MODEL):
        for run_id in runs_named(node.facts, {}):
            if run_ref(run_id) not in draft.nodes:
                named.setdefault(run_id, node.ref)
    added = []
    for run in draft.source.runs.read(sorted(named)) if named else ():
        ref = run.ref
        is_listed = experiment_ref(run.experiment_id) in draft.nodes
        if not is_listed and not draft.selection.whole_server:
            continue
        if experiment_of(draft, run.experiment_id, ref).selected:
            add_run(draft, run, Because("named by", named[run.run_id]))
            added.append(run.run_id)
    read_links(draft, [run_id for run_id in added if draft.selects(run_ref(run_id))])


def tell_of_hidden(draft: Draft) -> None:
    """Say which searches leave out what was found by its id; each is made once more first.

    What was made at the source since is shown by then, and deleted logged models never are.
    """
    for carrier in contained_carriers():
        hidden: dict[str, list[Ref]] = {}
        for ref in sorted(ref for ref in draft.by_id if ref.kind is carrier.kind):
            node = draft.nodes[ref]
            never_shown = carrier.hides_deleted and node.deleted
            if node.container in draft.searched.get(ref.kind, ()) and not never_shown:
                hidden.setdefault(node.container, []).append(ref)
        for container, refs in hidden.items():
            shown = {record.ref for record in carrier.originals(draft.source).list([container])}
            if still := [ref for ref in refs if ref not in shown]:
                draft.unknown.append(
                    f"source: the search for {carrier.kind.plural} of experiment {container} does "
                    f"not show {still[0]}, {draft.nodes[still[0]].because[0]}: what else it leaves "
                    "out is not copied"
                )
