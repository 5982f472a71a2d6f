"""Steps that take along what selected objects are made of: runs, their parents, logged models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from migrate.graph.content_discovery import add_needed, discover_contents
from migrate.graph.draft import Draft, Node
from migrate.graph.logged_models import discover_links, read_links
from migrate.graph.records import named_by_records
from migrate.kinds import Kind, Ref, logged_model_ref, run_ref
from migrate.plans import Because
from migrate.tasks.carriers import contained_carriers
from migrate.tasks.version_sources import named_by


class Wish(NamedTuple):
    """Why an object is to be looked for, and whether it is taken ``along`` with its experiment."""

    because: Because
    along: bool = True


Wanted = dict[Ref, Wish]


def discover_needed(draft: Draft) -> None:
    """Add what versions, runs and logged models name, and what that names, until all is there.

    Runs of other experiments are taken along for the sake of registered models only; without
    them, an experiment is copied alone, and what it names elsewhere is kept as a source tag.
    """
    wanted = _named_by_versions(draft) if draft.selection.takes_registry else {}
    wanted |= _named_by_runs(draft, draft.links)
    wanted |= {ref: Wish(because) for ref, because in named_by_records(draft).items()}
    looked_for: set[Ref] = set()
    while wanted := {
        ref: why for ref, why in wanted.items() if _is_missing(draft, ref, looked_for)
    }:
        looked_for |= wanted.keys()
        wanted = _add(draft, wanted)


def discover_all_runs(draft: Draft) -> None:
    """With ``--export-all-runs``: add all runs of the experiments that are taken along."""
    if draft.selection.all_runs:
        discover_contents(draft)
        discover_links(draft)
        discover_needed(draft)


def _is_missing(draft: Draft, ref: Ref, looked_for: set[Ref]) -> bool:
    return ref not in draft.nodes and ref not in looked_for


def _named_by_versions(draft: Draft) -> Wanted:
    wanted: Wanted = {}
    for node in (node for kind in Kind if kind.is_version for node in draft.of_kind(kind)):
        version = draft.versions[node.ref]
        # Runs that used a prompt are none that it is made of.
        for ref in () if version.is_of_prompt else named_by(version):
            wanted.setdefault(ref, Wish(Because("named by", node.ref)))
    return wanted


def _named_by_runs(draft: Draft, run_ids: Iterable[str]) -> Wanted:
    """Return the logged models that runs name: of a search, deleted ones are never a part."""
    along = draft.selection.takes_registry
    refs = {
        logged_model_ref(model_id): run_ref(run_id)
        for run_id in run_ids
        if run_id in draft.links
        for model_id in sorted(draft.links[run_id].model_ids)
    }
    return {
        ref: Wish(Because("named by", by), along)
        for ref, by in refs.items()
        if not draft.selection.leaves_out_kind(ref.kind)
    }


def _add(draft: Draft, wanted: Wanted) -> Wanted:
    """Add what is there of it; return what that names."""
    more: Wanted = {}
    added: list[Node] = []
    for carrier in contained_carriers():
        ids = sorted(ref.id for ref in wanted if ref.kind is carrier.kind)
        for record in carrier.originals(draft.source).read(ids) if ids else ():
            wish = wanted[record.ref]
            node = add_needed(draft, carrier, record, wish.because, along=wish.along)
            if node.selected and wish.along:
                added.append(node)
                because = Because(carrier.names_as, node.ref)
                for ref in carrier.named(node.facts, {}):
                    more.setdefault(ref, Wish(because))
    read_links(draft, added)
    return _named_by_runs(draft, {node.ref.id for node in added}) | more
