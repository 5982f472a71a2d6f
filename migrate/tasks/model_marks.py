"""What of a logged model decides whether its copy is complete, and its mark."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from migrate.endpoints.protocols import Source
from migrate.objects import (
    MODEL_VERSIONS_TAG,
    Artifact,
    LoggedModel,
    ModelLinks,
    ModelMetric,
)
from migrate.tasks.fingerprint import FORMAT, digest_of

Links = Mapping[str, ModelLinks]


class ModelFacts(NamedTuple):
    """What the mark of a logged model is made of: digests, of the metrics one for each run."""

    content: str
    source_run_id: str
    metrics: Mapping[str, str]


def facts_of(model: LoggedModel) -> ModelFacts:
    """Digest what the source shows of a logged model."""
    of_runs: dict[str, list[str]] = {}
    for metric in model.metrics:
        of_runs.setdefault(metric.run_id, []).append(repr(tuple(metric)))
    content = digest_of(
        [
            [model.name, model.model_type, model.status, model.lifecycle_stage],
            model.source_run_id,
            dict(model.params),
            {key: value for key, value in model.tags.items() if key != MODEL_VERSIONS_TAG},
            *model.losses,
        ]
    )
    metrics = {run_id: digest_of(sorted(points)) for run_id, points in of_runs.items()}
    return ModelFacts(content, model.source_run_id, metrics)


def quick_model_mark(facts: ModelFacts, links: Links, known_runs: Collection[str]) -> str:
    """Return the half of a mark that needs no list of files.

    ``known_runs`` are the runs that have a copy: a model is written again when a run it has to do
    with arrives later.
    """
    named = [
        [run_id, sorted(named.inputs), sorted(map(list, named.outputs))]
        for run_id, named in sorted(links.items())
        if run_id in known_runs
    ]
    metrics = sorted(item for item in facts.metrics.items() if item[0] in known_runs)
    return FORMAT + digest_of([facts.content, facts.source_run_id in known_runs, metrics, named])


def true_metrics(source: Source, metrics: Sequence[ModelMetric]) -> tuple[ModelMetric, ...]:
    """Return a logged model's metrics with NaN where the server shows 0.

    It keeps NaN for the run alone (seen on 3.17.2), so a point of value 0 is looked up there.
    """
    nans: set[tuple[str, str, int, int]] = set()
    for run_id, key in sorted({(m.run_id, m.key) for m in metrics if m.value == 0 and m.run_id}):
        for page in source.runs.metric_history(run_id, key):
            nans.update(
                (run_id, key, point.timestamp, point.step)
                for point in page
                if math.isnan(point.value)
            )
    return tuple(
        metric._replace(value=math.nan)
        if metric.value == 0 and (metric.run_id, metric.key, metric.timestamp, metric.step) in nans
        else metric
        for metric in metrics
    )


def model_mark(quick: str, files: Sequence[Artifact]) -> str:
    """Return the whole mark of a logged model: ``quick.full``, as runs have it."""
    return f"{quick}.{digest_of(sorted(files))}"


def runs_named(facts: ModelFacts, links: Links) -> set[str]:
    """Return the ids of all runs that a logged model has to do with."""
    return {*facts.metrics, *links, facts.source_run_id} - {""}
