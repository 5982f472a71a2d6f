"""Compares source and target in lock step, re-reading both in full. Writes nothing.

Copies are found by their origin on the target, and say themselves what they lost, so no state
database is needed.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from migrate.endpoints.protocols import Copy, Histories, Source, Target
from migrate.errors import EndpointError, MigrateError
from migrate.graph.selection import Selection, choose_experiments
from migrate.objects import (
    RUN_NAME_TAG,
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    Metric,
    Ref,
    Run,
)
from migrate.origins import losses_from_tags, without_bookkeeping
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy
from migrate.tasks.experiment import (
    experiments_on,
    find_copy,
    is_ours,
    missing_tags,
    wanted_experiment,
)
from migrate.tasks.fingerprint import point_digest
from migrate.tasks.references import kept_references, wanted_copy, with_own_id
from migrate.tasks.run import with_histories

RUNS_TOGETHER = 50
LARGEST = 1.7976931348623157e308

Difference = tuple[Ref, str, str]
Sums = dict[str, tuple[int, int]]


@dataclass(slots=True)
class Comparison:
    """What was compared and what differs; ``declared`` are losses that were known."""

    compared: Counter[Kind] = field(default_factory=Counter)
    files: int = 0
    differences: list[Difference] = field(default_factory=list)
    declared: list[tuple[Ref, Loss]] = field(default_factory=list)

    def merge(self, other: Comparison) -> None:
        """Take in the result of another part."""
        self.compared += other.compared
        self.files += other.files
        self.differences += other.differences
        self.declared += other.declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of a comparison and how it is made.

    With ``contents`` every file is read on both ends, otherwise names and sizes are compared.
    """

    source: Source
    target: Target
    selection: Selection
    workers: int = 8
    contents: bool = False


def compare(ends: Ends) -> Comparison:
    """Compare everything selected at the source with its copies on the target."""
    result = Comparison()
    at_source = list(ends.source.experiments())
    chosen = choose_experiments(ends.selection.experiments, at_source)
    there = experiments_on(ends.target)
    pairs: list[tuple[Experiment, Experiment]] = []
    for experiment in at_source:
        if ends.selection.leaves_out_experiment(experiment, chosen):
            continue
        result.compared[Kind.EXPERIMENT] += 1
        copy = find_copy(experiment, there, "")
        if copy is None:
            ref = Ref(Kind.EXPERIMENT, experiment.experiment_id)
            result.differences.append((ref, "missing", f"{experiment.name!r} is not on the target"))
            continue
        pairs.append((experiment, copy))
        result.differences += _experiment_differences(ends, experiment, copy)
    result.differences += [
        (found.ref, "unreadable", f"{found.where}: {found.reason}")
        for end in (ends.source, ends.target)
        for found in end.unreadable()
    ]
    copies = _copies(ends, pairs)
    ids = {
        origin: found[0].target_id
        for found_in in copies.values()
        for origin, found in found_in.items()
    }
    with ThreadPoolExecutor(ends.workers) as pool:
        parts = [
            pool.submit(_compare_runs, ends, runs, copy.experiment_id, copies, ids)
            for experiment, copy in pairs
            for runs in _selected_runs(ends, experiment)
        ]
        for part in parts:
            result.merge(part.result())
    return result


def _copies(
    ends: Ends, pairs: Sequence[tuple[Experiment, Experiment]]
) -> dict[str, dict[str, list[Copy]]]:
    ids = [copy.experiment_id for _, copy in pairs]
    with ThreadPoolExecutor(ends.workers) as pool:
        return dict(zip(ids, pool.map(ends.target.find_copies, ids), strict=True))


def _selected_runs(ends: Ends, experiment: Experiment) -> Iterator[list[Run]]:
    group: list[Run] = []
    for run in ends.source.runs([experiment.experiment_id]):
        if not ends.selection.leaves_out_run(run):
            group.append(run)
        if len(group) == RUNS_TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _experiment_differences(
    ends: Ends, experiment: Experiment, copy: Experiment
) -> Iterator[Difference]:
    ref = Ref(Kind.EXPERIMENT, experiment.experiment_id)
    ours = is_ours(copy, experiment)
    if experiment.lifecycle_stage != copy.lifecycle_stage:
        yield ref, "lifecycle stage", f"{experiment.lifecycle_stage} became {copy.lifecycle_stage}"
    wanted, _ = wanted_experiment(experiment, ends.target.capabilities(), Policy(migration_id=""))
    if ends.target.capabilities().keeps_ids:
        differing = [k for k, v in experiment.tags.items() if copy.tags.get(k) != v]
    else:
        differing = sorted(without_bookkeeping(missing_tags(copy, wanted, experiment)))
    for key in differing:
        yield ref, f"tag {key}", f"{experiment.tags.get(key)!r} became {copy.tags.get(key)!r}"
    if ours:
        for key in sorted(without_bookkeeping(copy.tags).keys() - experiment.tags.keys()):
            yield ref, f"tag {key}", "only on the target"


def _compare_runs(
    ends: Ends,
    runs: Sequence[Run],
    container: str,
    copies: Mapping[str, Mapping[str, Sequence[Copy]]],
    ids: Mapping[str, str],
) -> Comparison:
    result = Comparison()
    wanted_ids = [ids[run.run_id] for run in runs if run.run_id in ids]
    there = {copy.run_id: copy for copy in ends.target.read_runs(container, wanted_ids)}
    matched: list[tuple[Run, Run]] = []
    for run in runs:
        result.compared[Kind.RUN] += 1
        ref = Ref(Kind.RUN, run.run_id)
        found = copies[container].get(run.run_id, ())
        if len(found) > 1:
            result.differences.append((ref, "copies", f"the target holds {len(found)} of them"))
        copy = there.get(ids.get(run.run_id, ""))
        if copy is None:
            result.differences.append((ref, "missing", f"{run.name!r} is not on the target"))
        else:
            matched.append((run, copy))
    sums = _key_sums(ends.source, [run for run, _ in matched])
    copied_sums = _key_sums(ends.target, [copy for _, copy in matched])
    for run, copy in matched:
        _compare_run(ends, run, copy, ids, result)
        ref = Ref(Kind.RUN, run.run_id)
        mine, theirs = sums[run.run_id], copied_sums[copy.run_id]
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                counts = f"{mine.get(key, (0,))[0]} points became {theirs.get(key, (0,))[0]}"
                _differs(result, ref, f"metric {key}", counts)
    return result


def _differs(result: Comparison, ref: Ref, what: str, detail: str) -> None:
    """Note a difference, as declared when a loss of that name is known."""
    for known, loss in result.declared:
        if known == ref and loss.what == what:
            return
    result.differences.append((ref, what, detail))


def _compare_run(
    ends: Ends, run: Run, copy: Run, ids: Mapping[str, str], result: Comparison
) -> None:
    ref = Ref(Kind.RUN, run.run_id)
    can = ends.target.capabilities()
    wanted = wanted_copy(run, ids, can, "")
    known = wanted.losses + losses_from_tags(copy.tags) + kept_references(run, copy)
    result.declared += [(ref, loss) for loss in known]
    for field_name in ("name", "user_id", "status", "start_time", "end_time", "lifecycle_stage"):
        old, new = getattr(wanted.run, field_name), getattr(copy, field_name)
        # A run without a name (MLflow 1.x) is given one by the target.
        if old != new and (old or field_name != "name"):
            _differs(result, ref, field_name.replace("_", " "), f"{old!r} became {new!r}")
    late = with_own_id(wanted.late_tags, run.run_id, copy.run_id)
    tags = {**wanted.run.tags, **late}
    there = dict(copy.tags)
    if not can.keeps_ids:
        tags, there = without_bookkeeping(tags), without_bookkeeping(there)
        tags.pop(RUN_NAME_TAG, None)
        there.pop(RUN_NAME_TAG, None)
    for word, mine, theirs in (("param", wanted.run.params, copy.params), ("tag", tags, there)):
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                detail = f"{_short(mine.get(key))} became {_short(theirs.get(key))}"
                _differs(result, ref, f"{word} {key}", detail)
    mine_inputs = sorted(map(_input_key, wanted.run.inputs))
    if mine_inputs != sorted(map(_input_key, copy.inputs)):
        detail = f"{len(wanted.run.inputs)} became {len(copy.inputs)}, or their content differs"
        _differs(result, ref, "dataset inputs", detail)
    _compare_files(ends, run, copy, ref, result)


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return repr(value) if len(value) <= 60 else f"{value[:57]!r}… ({len(value)} characters)"


def _input_key(item: Mapping[str, object]) -> str:
    dataset = item["dataset"]
    tags = item.get("tags", ())
    assert isinstance(dataset, Mapping)
    assert isinstance(tags, Iterable)
    pairs = sorted((str(tag["key"]), str(tag.get("value", ""))) for tag in tags)
    return repr((sorted((key, str(value)) for key, value in dataset.items()), pairs))


def _compare_files(ends: Ends, run: Run, copy: Run, ref: Ref, result: Comparison) -> None:
    root = ArtifactRoot(ref, run.artifact_uri)
    copy_root = ArtifactRoot(Ref(Kind.RUN, copy.run_id), copy.artifact_uri)
    mine = dict(ends.source.artifacts(root))
    theirs = dict(ends.target.artifacts(copy_root))
    result.files += len(mine)
    for path in sorted(mine.keys() | theirs.keys()):
        if path not in theirs:
            _differs(result, ref, f"artifact {path}", "is not on the target")
        elif path not in mine:
            _differs(result, ref, f"artifact {path}", "is only on the target")
        elif mine[path] != theirs[path]:
            detail = f"{mine[path]} bytes became {theirs[path]}"
            _differs(result, ref, f"artifact {path}", detail)
        elif ends.contents:
            file = Artifact(path, mine[path])
            if _hash(ends.source, root, file) != _hash(ends.target, copy_root, file):
                _differs(result, ref, f"artifact {path}", "the content differs")


def _hash(end: Source, root: ArtifactRoot, file: Artifact) -> str:
    digest = hashlib.sha256()
    try:
        with end.open_artifact(root, file) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except MigrateError as problem:
        return f"unreadable: {problem}"
    return digest.hexdigest()


def _key_sums(end: Source, runs: Sequence[Run]) -> dict[str, Sums]:
    """Return count and order-free digest of every metric's points, by run and key."""
    sums: dict[str, Sums] = {}
    for run, history in with_histories(end, runs):
        if isinstance(history, EndpointError):
            raise history
        sums[run.run_id] = _sums_of(end, run, history)
    return sums


def _sums_of(end: Source, run: Run, history: Histories) -> Sums:
    sums: Sums = {}
    _add(sums, history.points)
    for key in history.unread:
        for page in end.metric_history(run.run_id, key):
            _add(sums, page)
    return sums


def _add(sums: Sums, points: Iterable[Metric]) -> None:
    for point in points:
        count, total = sums.get(point.key, (0, 0))
        sums[point.key] = (count + 1, (total + point_digest(_stored(point))) & 0xFFFFFFFFFFFFFFFF)


def _stored(point: Metric) -> Metric:
    """Return a point as MLflow's SQL stores keep it: infinity as the largest float."""
    if not math.isinf(point.value):
        return point
    return point._replace(value=math.copysign(LARGEST, point.value))
