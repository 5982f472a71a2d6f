"""Steps for registered models and prompts: found, filtered, and linked to what they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from migrate.endpoints.protocols import Source
from migrate.errors import EndpointError, UsageError
from migrate.graph.draft import Draft, Node
from migrate.graph.selection import Selection, candidate_names, choose_models, needs_all_names
from migrate.kinds import (
    MODEL_KINDS,
    VERSION_KINDS,
    Kind,
    Ref,
    experiment_ref,
    run_ref,
    version_ref,
)
from migrate.objects import ModelVersion, RegisteredModel
from migrate.origins import known_losses
from migrate.outcomes import LeftOut, LeftOutCode, Loss
from migrate.plans import Because
from migrate.tasks.registered_model import experiments_named
from migrate.tasks.version_sources import named_by


def ask_for_models(draft: Draft) -> None:
    """Ask ahead for the registered models that may be selected."""
    if draft.selection.takes_registry:
        draft.ahead.begin(_listed, draft.source, _names(draft.selection))


def _names(selection: Selection) -> tuple[str, ...] | None:
    """Return the names of models that may be selected, None for all there are."""
    if selection.models and not needs_all_names(selection.models):
        return candidate_names(selection.models)
    return None


def _listed(source: Source, names: tuple[str, ...] | None) -> Sequence[RegisteredModel]:
    return list(source.registered_models.list(names))


def discover_registry(draft: Draft) -> None:
    """Add registered models and prompts with their versions, as far as they are selected.

    Models that are given by their names are read by them: what that costs does not grow with the
    others.
    """
    selection = draft.selection
    if not selection.takes_registry:
        return
    lacking = [why for kind in MODEL_KINDS if (why := draft.source_can.without.get(kind))]
    if selection.models and lacking:
        raise EndpointError(
            f"no models can be chosen: {lacking[0]}",
            "leave out --models to copy what else the source has",
        )
    names = _names(selection)
    found = [
        model
        for model in draft.ahead.take(_listed, draft.source, names)
        if not selection.leaves_out_kind(model.kind)
    ]
    chosen = _choose(draft, [model.name for model in found], all_names=names is None)
    because = Because("selected by --models")
    if not selection.models:
        because = Because("the whole server is copied")
    taken: list[RegisteredModel] = []
    for model in found:
        node = Node(ref=model.ref, name=model.name, because=(because,), losses=known_losses(model))
        if chosen is not None and model.name not in chosen:
            node.skip(LeftOut(LeftOutCode.NOT_SELECTED, "not selected by --models"))
        else:
            taken.append(model)
            draft.registered[model.ref] = model
        draft.add(node)
    _add_versions(draft, list(draft.source.model_versions.list(taken)) if taken else [])


def _choose(draft: Draft, names: Sequence[str], *, all_names: bool) -> frozenset[str] | None:
    """Return the names that are selected, None for all; ``all_names`` says that no other is there.

    Raises ``UsageError`` for what is not there, with the nearest of all names.
    """
    try:
        return choose_models(draft.selection.models, names)
    except UsageError:
        if all_names:
            raise
    return choose_models(
        draft.selection.models, [model.name for model in draft.source.registered_models.list(None)]
    )


def _add_versions(draft: Draft, versions: Iterable[ModelVersion]) -> None:
    newest: dict[tuple[str, str], int] = {}
    for version in versions:
        place = (version.name, version.stage)
        newest[place] = max(newest.get(place, 0), version.version)
    for version in versions:
        node = Node(
            ref=version.ref,
            name=f"{version.name} version {version.version}",
            container=version.name,
            because=(Because("a version of", version.model),),
            losses=known_losses(version),
        )
        is_newest = newest[version.name, version.stage] == version.version
        left_out = draft.selection.leaves_out_version(version, is_newest)
        if left_out:
            node.skip(left_out)
        draft.versions[version.ref] = version
        draft.add(node)
        draft.need_container(node)


def tell_of_lost_aliases(draft: Draft) -> None:
    """Note as lost the aliases of versions that the source does not show."""
    for ref, model in draft.registered.items():
        gone = {
            alias: number
            for alias, number in sorted(model.aliases.items())
            if version_ref(model.version_kind, model.name, number) not in draft.nodes
        }
        draft.nodes[ref].losses += tuple(
            Loss(f"alias {alias}", f"it points to version {number}, which the source does not show")
            for alias, number in gone.items()
        )


def link_versions(draft: Draft) -> None:
    """Draw the edges: what a version is made of before it, and versions in order of number.

    Prompts come after the experiments they are used in.
    """
    for node in (node for kind in MODEL_KINDS for node in draft.of_kind(kind)):
        for ident in experiments_named(draft.registered[node.ref]):
            if draft.selects(experiment_ref(ident)):
                draft.need(experiment_ref(ident), node.ref)
    by_model: dict[tuple[Kind, str], list[ModelVersion]] = {}
    for kind in sorted(VERSION_KINDS):
        for node in draft.of_kind(kind):
            version = draft.versions[node.ref]
            by_model.setdefault((kind, version.name), []).append(version)
            for ref in named_by(version):
                if draft.selects(ref) and _comes_before(draft, ref, version):
                    draft.need(ref, version.ref)
    for (kind, _), versions in by_model.items():
        if draft.target_can.counts(kind):
            ordered = sorted(versions, key=lambda version: version.version)
            for earlier, later_one in pairwise(ordered):
                draft.follow(earlier.ref, later_one.ref)


def _comes_before(draft: Draft, ref: Ref, version: ModelVersion) -> bool:
    """Say whether what a version names can be there before it.

    A version that was made later cannot be what it was made of: that is gone, and a registered
    model of the same name was made since.
    """
    other = draft.versions.get(ref)
    if other is None:
        return True
    if (other.kind, other.name) == (version.kind, version.name):
        return other.version < version.version
    return (other.creation_time or 0) <= (version.creation_time or other.creation_time or 0)


def tell_of_missing(draft: Draft, node: Node) -> None:
    """Warn of a version whose run or files are not among what is copied."""
    version = draft.versions[node.ref]
    if draft.target_can.archive or version.is_of_prompt:
        return
    named = named_by(version)
    if not any(draft.will_have_copy(ref) for ref in named) and _is_below_server(version.source):
        node.warnings += (
            f"its source {version.source} belongs to no run or logged model that is copied: "
            "the target may refuse it",
        )
    run = run_ref(version.run_id)
    if version.run_id and not draft.will_have_copy(run):
        node.warnings += (
            f"its run {version.run_id} is not among the runs copied: kept as a source tag",
        )


def _is_below_server(source: str) -> bool:
    """Say whether a source is of a form that MLflow wants to see below a run or logged model."""
    scheme = source.partition(":")[0] if ":" in source else ""
    return scheme in ("", "file", "mlflow-artifacts", "models")
