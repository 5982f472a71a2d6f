"""Builds endpoints in memory from the JSON of a case."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from migrate.kinds import Kind, Ref
from migrate.objects import (
    Experiment,
    LoggedModel,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelOutput,
    ModelVersion,
    RegisteredModel,
    Run,
)
from migrate.origins import MARK, ORIGIN, PLACEHOLDER, experiment_origin
from migrate.tasks.batches import Policy
from migrate.tasks.fingerprint import Fingerprint, quick_half
from migrate.tasks.logged_model import links_to
from migrate.tasks.model_marks import facts_of, model_mark, quick_model_mark
from migrate.tasks.model_version import wanted_version
from migrate.tasks.registered_model import wanted_registered_model
from migrate.tasks.version_sources import VersionSource
from tests.graph.memory import ARCHIVE, MemoryServer

Json = Mapping[str, Any]


def experiment(fields: Json) -> Experiment:
    other = ("runs", "logged_models", "copy_of")
    known = {key: value for key, value in fields.items() if key not in other}
    return Experiment(**{"creation_time": 77, **known})


def run(fields: Json, experiment_id: str) -> Run:
    known = {key: value for key, value in fields.items() if key in Run.__slots__}
    known.pop("links", None)
    if "inputs" in known:
        known["inputs"] = tuple(known["inputs"])
    defaults = {
        "experiment_id": experiment_id,
        "name": f"run {fields['run_id']}",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": 1_000,
        "end_time": 2_000,
        "artifact_uri": f"memory:/{fields['run_id']}",
    }
    points = tuple(Metric(*point) for point in fields.get("points", ()))
    return Run(**{**defaults, **known, "latest_metrics": points})


def server(name: str, content: Json, original: MemoryServer | None = None) -> MemoryServer:
    """Fill a server; ``copy_of`` in it names an object of ``original``.

    A copied run has the mark of its original as it is now; ``"mark": "older"`` makes it one of an
    earlier state, ``"mark": ""`` a half-made copy; ``orphans`` are those of when it was copied.
    """
    can = dict(content.get("capabilities", {}))
    if can.pop("archive", False):
        can |= ARCHIVE
    made = MemoryServer(name, **can)
    for fields in content.get("experiments", ()):
        held = experiment(fields)
        if "copy_of" in fields:
            assert original is not None
            origin = experiment_origin(original.experiments_held[fields["copy_of"]])
            held = experiment({**fields, "tags": {ORIGIN: origin, **fields.get("tags", {})}})
        made.experiments_held[held.experiment_id] = held
        for item in fields.get("runs", ()):
            tags = dict(item.get("tags", {}))
            if "copy_of" in item:
                assert original is not None
                tags |= {ORIGIN: item["copy_of"], MARK: _mark(item, original)}
            held_run = run({**item, "tags": tags}, held.experiment_id)
            made.runs_held[held_run.run_id] = held_run
            made.points[held_run.run_id] = list(held_run.latest_metrics)
            if "links" in item:
                made.links_held[held_run.run_id] = links(item["links"])
        for item in fields.get("logged_models", ()):
            model = logged_model(item, held.experiment_id)
            if "copy_of" in item:
                assert original is not None
                tags = dict(item.get("tags", {}))
                tags |= {ORIGIN: item["copy_of"], MARK: _model_mark(item, original)}
                model = dataclasses.replace(model, tags=tags)
            made.logged_held[model.model_id] = model
    for fields in content.get("registered", ()):
        _register(made, fields, original)
    return made


def links(fields: Json) -> ModelLinks:
    outputs = tuple(ModelOutput(*output) for output in fields.get("outputs", ()))
    return ModelLinks(tuple(fields.get("inputs", ())), outputs)


def logged_model(fields: Json, experiment_id: str) -> LoggedModel:
    """``metrics`` are pairs of a run's id and a value."""
    known = {key: value for key, value in fields.items() if key not in ("copy_of", "mark", "known")}
    metrics = (ModelMetric("auc", value, 5, 0, run) for run, value in fields.get("metrics", ()))
    named = {"name": f"model {fields['model_id']}", "experiment_id": experiment_id}
    place = {"artifact_uri": f"memory:/models/{fields['model_id']}"}
    return LoggedModel(**{**named, **place, **known, "metrics": tuple(metrics)})


def _register(made: MemoryServer, fields: Json, original: MemoryServer | None) -> None:
    """Add a registered model; with ``copy_of``, as this tool copied one of ``original``.

    ``stale`` are fields in which the copy is older. ``highest`` is the highest number ever given.
    """
    stale = fields.get("stale", {})
    if "copy_of" in fields:
        assert original is not None
        source = original.registered_held[fields["copy_of"]]
        policy = Policy(migration_id="earlier")
        can = made.capabilities()
        model = wanted_registered_model(source, _copies(made), can, policy)[0]
        model = dataclasses.replace(model, creation_time=99, **stale)
    else:
        kind = Kind.PROMPT if fields.get("prompt") else Kind.REGISTERED_MODEL
        known = {k: v for k, v in fields.items() if k in RegisteredModel.__slots__}
        model = RegisteredModel(**{"creation_time": 55, "kind": kind, **known})
    made.registered_held[model.name] = model
    for item in fields.get("versions", ()):
        version = _version(made, model, item, original)
        made.versions_held[version.name, version.version] = version
    there = [number for name, number in made.versions_held if name == model.name]
    made.highest[model.name] = max([fields.get("highest", 0), *there])


def _version(
    made: MemoryServer, model: RegisteredModel, item: Json, original: MemoryServer | None
) -> ModelVersion:
    kind = model.version_kind
    number = item["version"]
    known = {k: v for k, v in item.items() if k in ModelVersion.__slots__}
    if "copy_of" in item:
        assert original is not None
        name, _, old = item["copy_of"].rpartition("/")
        source = original.versions_held[name, int(old)]
        place = VersionSource(known.get("source", source.source), known.get("run_id", ""))
        can, policy = made.capabilities(), Policy(migration_id="earlier")
        wanted = wanted_version(source, model.name, place, _copies(made), can, policy)
        stale = item.get("stale", {})
        return dataclasses.replace(wanted.version, version=number, creation_time=99, **stale)
    if item.get("placeholder"):
        known["tags"] = {PLACEHOLDER: "earlier"}
    place_of = {"source": f"s3://bucket/{model.name}/{number}", "creation_time": 60 + number}
    return ModelVersion(**{**place_of, "name": model.name, "kind": kind, **known})


def _copies(made: MemoryServer) -> dict[Ref, str]:
    """Return the copies that a server holds of experiments and runs, by source ref."""
    runs = {
        Ref(Kind.RUN, run.tags[ORIGIN]): run.run_id
        for run in made.runs_held.values()
        if ORIGIN in run.tags
    }
    experiments = {
        Ref(Kind.EXPERIMENT, held.tags[ORIGIN].partition("@")[0]): held.experiment_id
        for held in made.experiments_held.values()
        if ORIGIN in held.tags
    }
    return {**runs, **experiments}


def _model_mark(item: Json, original: MemoryServer) -> str:
    """Return the mark of a copied logged model; ``known`` are the runs that were copied then."""
    if "mark" in item:
        return {"older": "1older.mark", "": ""}[item["mark"]]
    copied = original.logged_held[item["copy_of"]]
    named = links_to(copied.model_id, original.links_held)
    return model_mark(quick_model_mark(facts_of(copied), named, item.get("known", ())), ())


def _mark(item: Json, original: MemoryServer) -> str:
    if "mark" in item:
        return {"older": "1older.mark", "": ""}[item["mark"]]
    copied = original.runs_held[item["copy_of"]]
    mark = Fingerprint(copied, item.get("orphans", ())).mark()
    assert quick_half(mark)
    return mark
