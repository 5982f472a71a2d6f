"""Steps that hold what objects say of each other against what searches show.

A search that leaves out what is there may leave out more, which nothing names.
"""

from __future__ import annotations

from migrate.graph.content_discovery import add_needed
from migrate.graph.discover import experiment_of
from migrate.graph.draft import Draft
from migrate.graph.logged_models import read_links
from migrate.kinds import Ref, experiment_ref
from migrate.plans import Because
from migrate.tasks.carriers import contained_carriers


def discover_hidden(draft: Draft) -> None:
    """Add what of selected experiments is named by objects of another kind, and no search shows."""
    named: dict[Ref, Ref] = {}
    for carrier in contained_carriers():
        for node in draft.of_kind(carrier.kind):
            for ref in carrier.named(node.facts, {}):
                if ref.kind is not carrier.kind and ref not in draft.nodes:
                    named.setdefault(ref, node.ref)
    for carrier in contained_carriers():
        ids = sorted(ref.id for ref in named if ref.kind is carrier.kind)
        added = []
        for record in carrier.originals(draft.source).read(ids) if ids else ():
            is_listed = experiment_ref(record.experiment_id) in draft.nodes
            if not is_listed and not draft.selection.whole_server:
                continue
            if experiment_of(draft, record.experiment_id, record.ref).selected:
                because = Because("named by", named[record.ref])
                added.append(add_needed(draft, carrier, record, because))
        read_links(draft, added)


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
