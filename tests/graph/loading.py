"""Builds endpoints in memory from the JSON of a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.objects import Experiment, Metric, Run
from migrate.origins import MARK, ORIGIN, experiment_origin
from migrate.tasks.fingerprint import Fingerprint, quick_half
from tests.graph.memory import MemoryServer

Json = Mapping[str, Any]


def experiment(fields: Json) -> Experiment:
    known = {key: value for key, value in fields.items() if key not in ("runs", "copy_of")}
    return Experiment(**{"creation_time": 77, **known})


def run(fields: Json, experiment_id: str) -> Run:
    known = {key: value for key, value in fields.items() if key in Run.__slots__}
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
    made = MemoryServer(name, **content.get("capabilities", {}))
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
    return made


def _mark(item: Json, original: MemoryServer) -> str:
    if "mark" in item:
        return {"older": "1older.mark", "": ""}[item["mark"]]
    copied = original.runs_held[item["copy_of"]]
    mark = Fingerprint(copied, item.get("orphans", ())).mark()
    assert quick_half(mark)
    return mark
