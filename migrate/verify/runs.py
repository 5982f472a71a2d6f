"""Compares runs with their copies, and which logged models both name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from migrate.kinds import Ref, evaluation_dataset_ref, logged_model_ref, run_ref
from migrate.objects import NO_LINKS, ArtifactRoot, ModelLinks, Run, input_name
from migrate.origins import known_losses, losses_from_tags
from migrate.outcomes import Loss
from migrate.tasks.model_files import Rewrites
from migrate.tasks.notebooks import notebook_files
from migrate.tasks.references import (
    REFERENCE_TAGS,
    evaluation_dataset,
    kept_references,
    wanted_copy,
    with_own_id,
    without_dataset_copy,
)
from migrate.tasks.repairs import comparable_tags
from migrate.tasks.run import links_of
from migrate.verify.contents import Group
from migrate.verify.copies import Copies
from migrate.verify.files import compare_files
from migrate.verify.metrics import Sums, key_sums
from migrate.verify.result import Comparison, Ends

#: What a run is created with, and nobody can change later.
SET_ONCE = ("user_id", "start_time")


def compare_runs(group: Group[Run]) -> Comparison:
    """Compare some runs of one experiment with their copies."""
    ends, copies, runs = group.ends, group.copies, group.records
    result = Comparison()
    matched = [(run, copy) for run, copy, _ in group.matched(result)]
    sums = key_sums(ends.source, [run for run, _ in matched])
    copied_sums = key_sums(ends.target, [copy for _, copy in matched])
    mentioned = {run.tags[tag] for run in runs for tag in REFERENCE_TAGS if tag in run.tags}
    references = copies.runs(mentioned | {run.run_id for run in runs})
    named = {ident for run in runs for ident in map(evaluation_dataset, run.inputs) if ident}
    datasets = {ref.id: it for ref, it in copies.ids(map(evaluation_dataset_ref, named)).items()}
    for run, copy in matched:
        _compare_run(ends, run, copy, references, datasets, result)
        _compare_run_files(ends, copies, run, copy, references, result)
        _compare_metrics(run.ref, sums[run.run_id], copied_sums[copy.run_id], result)
    links = links_of(ends.source, runs)
    if ends.compare_links:
        _compare_links(ends, copies, matched, links, result)
    result.links = {run_id: named for run_id, named in links.items() if named.model_ids}
    return result


def _compare_run(
    ends: Ends,
    run: Run,
    copy: Run,
    references: Mapping[str, str],
    datasets: Mapping[str, str],
    result: Comparison,
) -> None:
    ref = run.ref
    can = ends.target.capabilities()
    wanted = wanted_copy(run, references, can, ends.policy, datasets)
    known = wanted.losses + known_losses(copy) + kept_references(run, copy)
    result.declare(ref, known)
    for field_name in ("name", "user_id", "status", "start_time", "end_time", "lifecycle_stage"):
        if field_name == "user_id" and can.sets_user:
            continue
        old, new = getattr(wanted.run, field_name), getattr(copy, field_name)
        lasting = field_name in SET_ONCE or (field_name == "end_time" and old is None)
        result.check(ref, field_name.replace("_", " "), old, new, lasting=lasting)
    late = with_own_id(wanted.late_tags, run.run_id, copy.run_id)
    wanted_tags = {**wanted.run.tags, **late}
    tags = comparable_tags(ref.kind, wanted_tags, wanted_tags, can, ends.policy)
    there = comparable_tags(ref.kind, copy.tags, wanted_tags, can, ends.policy)
    result.check_items(ref, "param", wanted.run.params, copy.params, lasting=copy.params)
    result.check_items(ref, "tag", tags, there)
    lost = {loss.what for loss in known}
    mine = [item for item in wanted.run.inputs if input_name(item) not in lost]
    their_inputs = sorted(map(_input_key, copy.inputs))
    # The copy of an evaluation dataset may have come after that of the run.
    early = [(_input_key(item), _input_key(without_dataset_copy(item))) for item in mine]
    mine_inputs = sorted(old if old in their_inputs else new for new, old in early)
    if mine_inputs != their_inputs:
        detail = f"{len(mine)} became {len(copy.inputs)}, or their content differs"
        added = bool(Counter(their_inputs) - Counter(mine_inputs))
        result.differs(ref, "dataset inputs", detail, lasting=added)


def _compare_metrics(ref: Ref, mine: Sums, theirs: Sums, result: Comparison) -> None:
    """Compare the points of every metric that both ends tell whole, and name the others."""
    lacking: set[str] = set()
    for side, sums in (("source", mine), ("target", theirs)):
        if sums.problem:
            detail = f"not read from the {side}: {sums.problem}"
            result.differs(ref, "metrics", detail, of_copy=False)
        for loss in sums.lacking:
            lacking.add(loss.what)
            detail = f"at the {side}: {loss.reason}"
            result.differs(ref, loss.what, detail, of_copy=side == "target")
    if mine.problem or theirs.problem:
        return
    for key in sorted(mine.by_key.keys() | theirs.by_key.keys()):
        old, new = mine.by_key.get(key, (0, 0)), theirs.by_key.get(key, (0, 0))
        if old != new and f"metric {key}" not in lacking:
            detail = f"{old[0]} points became {new[0]}"
            # Those missing are sent again; any that is not one of its original's stays.
            result.differs(ref, f"metric {key}", detail, lasting=new[0] >= old[0])


def _input_key(item: Mapping[str, object]) -> str:
    dataset = item["dataset"]
    tags = item.get("tags", ())
    assert isinstance(dataset, Mapping)
    assert isinstance(tags, Iterable)
    pairs = sorted((str(tag["key"]), str(tag.get("value", ""))) for tag in tags)
    return repr((sorted((key, str(value)) for key, value in dataset.items()), pairs))


def _compare_run_files(
    ends: Ends,
    copies: Copies,
    run: Run,
    copy: Run,
    references: Mapping[str, str],
    result: Comparison,
) -> None:
    ref = run.ref
    named = {run.tags[tag] for tag in REFERENCE_TAGS if tag in run.tags} & references.keys()
    ids = {run_id: references[run_id] for run_id in named} | {run.run_id: copy.run_id}
    rewrites = Rewrites(ids=ids, roots=((run.artifact_uri, copy.artifact_uri),))
    compare_files(
        ends,
        ref,
        ArtifactRoot(ref, run.artifact_uri),
        ArtifactRoot(run_ref(copy.run_id), copy.artifact_uri),
        rewrites,
        result,
        besides=copies.flattened_into(copy.run_id),
        may_have=notebook_files(run.tags) if ends.target.capabilities().keeps_notebooks else (),
    )


def _compare_links(
    ends: Ends,
    copies: Copies,
    matched: Sequence[tuple[Run, Run]],
    links: Mapping[str, ModelLinks],
    result: Comparison,
) -> None:
    """Compare the logged models that runs name as inputs and outputs."""
    there = ends.target.model_links.read([copy.run_id for _, copy in matched])
    named = {
        model_id for run, _ in matched for model_id in links.get(run.run_id, NO_LINKS).model_ids
    }
    found = copies.names(logged_model_ref(model_id) for model_id in named)
    known = {ref.id: copy for ref, copy in found.items()}
    compared: list[tuple[Ref, str, dict[str, _Named], dict[str, _Named]]] = []
    for run, copy in matched:
        ref = run.ref
        wanted = links.get(run.run_id, NO_LINKS)
        result.declare(
            ref,
            [
                Loss(f"logged model {model_id}", "named by the run, and has no copy")
                for model_id in sorted(wanted.model_ids - known.keys())
            ],
        )
        held = there.get(copy.run_id, NO_LINKS)
        compared.append((ref, copy.run_id, _texts(wanted, known), _texts(held, None)))
    _declare_refused(ends, compared, known, result)
    for ref, _, texts, shown in compared:
        _check_named(ref, texts, shown, result)


def _declare_refused(
    ends: Ends,
    compared: Sequence[tuple[Ref, str, dict[str, _Named], dict[str, _Named]]],
    known: Mapping[str, str],
    result: Comparison,
) -> None:
    """Declare the links that the target refused: the copy of the logged model says which."""
    missing = [
        (ref, copy_id, named)
        for ref, copy_id, wanted, there in compared
        for text, named in wanted.items()
        if text not in there
    ]
    ids = sorted({known[named.model_id] for _, _, named in missing})
    told = {
        model.model_id: {loss.what: loss.reason for loss in losses_from_tags(model.tags)}
        for model in (ends.target.logged_models.read(ids) if ids else ())
    }
    for ref, copy_id, named in missing:
        way = named.text.partition(" ")[0]
        reason = told.get(known[named.model_id], {}).get(f"{way} of run {copy_id}")
        if reason is not None:
            result.declare(ref, [Loss(f"logged model {named.text}", reason)])


class _Named(NamedTuple):
    """A link in words, and the logged model that it names."""

    text: str
    model_id: str


def _texts(links: ModelLinks, ids: Mapping[str, str] | None) -> dict[str, _Named]:
    """Return each link, by its words with the id of the copy of the logged model."""
    texts = {}
    for model_id in links.inputs:
        if ids is None or model_id in ids:
            key = f"input {ids[model_id] if ids else model_id}"
            texts[key] = _Named(f"input {model_id}", model_id)
    for model_id, step in links.outputs:
        if ids is None or model_id in ids:
            copy = ids[model_id] if ids else model_id
            text = f"output {model_id} of step {step}"
            texts[f"output {copy} of step {step}"] = _Named(text, model_id)
    return texts


def _check_named(
    ref: Ref, wanted: Mapping[str, _Named], there: Mapping[str, _Named], result: Comparison
) -> None:
    for text in sorted(wanted.keys() - there.keys()):
        model = wanted[text]
        result.differs(
            ref,
            f"logged model {model.text}",
            f"the copy does not name {text}",
            written_with=logged_model_ref(model.model_id),
        )
    for text in sorted(there.keys() - wanted.keys()):
        what = f"logged model {text}"
        result.differs(ref, what, "is named by the copy only", lasting=True)
