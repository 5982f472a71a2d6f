"""Steps that take along what selected objects are made of: runs, their parents, logged models."""

from __future__ import annotations

from migrate.graph.discover import add_run, discover_runs, take_along_experiment
from migrate.graph.draft import Draft
from migrate.graph.logged_models import (
    add_model,
    discover_links,
    discover_logged_models,
    read_links,
)
from migrate.graph.records import named_by_records
from migrate.kinds import Kind, Ref, logged_model_ref, run_ref
from migrate.plans import Because
from migrate.tasks.version_sources import named_by

Wanted = dict[Ref, Because]  #: what is to be looked for, and why


def discover_needed(draft: Draft) -> None:
    """Add what versions, runs and logged models name, and what that names, until all is there.

    Runs of other experiments are taken along for the sake of registered models only; without
    them, an experiment is copied alone, and what it names elsewhere is kept as a source tag.
    """
    wanted = _named_by_versions(draft) if draft.selection.takes_registry else {}
    wanted |= _named_by_runs(draft) | named_by_records(draft)
    looked_for: set[Ref] = set()
    while wanted := {
        ref: why for ref, why in wanted.items() if _is_missing(draft, ref, looked_for)
    }:
        looked_for |= wanted.keys()
        wanted = _add_runs(draft, wanted) | _add_models(draft, wanted)


def discover_all_runs(draft: Draft) -> None:
    """With ``--export-all-runs``: add all runs of the experiments that are taken along."""
    if draft.selection.all_runs:
        discover_runs(draft)
        discover_logged_models(draft)
        discover_links(draft)
        discover_needed(draft)


def _is_missing(draft: Draft, ref: Ref, looked_for: set[Ref]) -> bool:
    return ref not in draft.nodes and ref not in looked_for


def _named_by_versions(draft: Draft) -> Wanted:
    wanted: Wanted = {}
    # Runs that used a prompt are none that it is made of.
    for node in draft.of_kind(Kind.MODEL_VERSION):
        for ref in named_by(draft.versions[node.ref]):
            wanted.setdefault(ref, Because("named by", node.ref))
    return wanted


def _named_by_runs(draft: Draft) -> Wanted:
    """Return the logged models that runs name: of a search, deleted ones are never a part."""
    if draft.selection.leaves_out_kind(Kind.LOGGED_MODEL):
        return {}
    return {
        logged_model_ref(model_id): Because("named by", run_ref(run_id))
        for run_id, links in draft.links.items()
        for model_id in sorted(links.model_ids)
    }


def _add_runs(draft: Draft, wanted: Wanted) -> Wanted:
    ids = sorted(ref.id for ref in wanted if ref.kind is Kind.RUN)
    more: Wanted = {}
    added = []
    for run in draft.source.runs.read(ids):
        node = add_run(draft, run, wanted[run.ref])
        if node.selected:
            added.append(run.run_id)
            for parent in node.facts.mentions.values():
                more.setdefault(run_ref(parent), Because("the parent of", node.ref))
    read_links(draft, added)
    for run_id in added:
        links = draft.links.get(run_id)
        if links and not draft.selection.leaves_out_kind(Kind.LOGGED_MODEL):
            by = Because("named by", run_ref(run_id))
            more |= {logged_model_ref(it): by for it in sorted(links.model_ids)}
    return more


def _add_models(draft: Draft, wanted: Wanted) -> Wanted:
    ids = sorted(ref.id for ref in wanted if ref.kind is Kind.LOGGED_MODEL)
    more: Wanted = {}
    for model in draft.source.logged_models.read(ids) if ids else ():
        ref = model.ref
        left_out = draft.selection.leaves_out_deleted(model.lifecycle_stage)
        if draft.selection.takes_registry and not left_out:
            take_along_experiment(draft, model.experiment_id, ref)
        node = add_model(draft, model, wanted[ref])
        draft.by_id.add(ref)
        if node.selected and draft.selection.takes_registry:
            runs = {model.source_run_id, *(metric.run_id for metric in model.metrics)} - {""}
            more |= {run_ref(run_id): Because("a run of", ref) for run_id in sorted(runs)}
    return more
