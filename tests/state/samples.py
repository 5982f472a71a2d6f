"""Small plans, outcomes and strategies for random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from migrate.kinds import Action, Kind, Ref
from migrate.outcomes import Loss, LossCode, Outcome, TaskStatus
from migrate.plans import Because, Plan, PlannedTask, Side

SOURCE = Side(uri="http://old:5000", identity="old", description="MLflow 2.9.2")
TARGET = Side(uri="http://new:5000", identity="new", description="MLflow 3.17.2")

EXPERIMENT = Ref(Kind.EXPERIMENT, "1")


def run_ref(name: str) -> Ref:
    return Ref(Kind.RUN, name)


def experiment_task(**changes: Any) -> PlannedTask:
    fields = {"ref": EXPERIMENT, "name": "fraud", "action": Action.CREATE} | changes
    return PlannedTask(**fields)


def run_task(name: str, **changes: Any) -> PlannedTask:
    fields = {
        "ref": run_ref(name),
        "name": f"run {name}",
        "action": Action.CREATE,
        "container": "1",
        "needs": (EXPERIMENT,),
    }
    return PlannedTask(**(fields | changes))


def plan_of(*tasks: PlannedTask, migration_id: str = "m1", **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "migration_id": migration_id,
        "created": 1_000,
        "source": SOURCE,
        "target": TARGET,
        "options": {},
        "tasks": tasks,
    }
    return Plan(**(fields | changes))


def small_plan(runs: Sequence[str] = ("a", "b", "c"), **changes: Any) -> Plan:
    """One experiment and its runs."""
    return plan_of(experiment_task(), *(run_task(name) for name in runs), **changes)


def done(ref: Ref, target_id: str = "", **changes: Any) -> Outcome:
    fields = {"ref": ref, "status": TaskStatus.DONE, "target_id": target_id or f"new-{ref.id}"}
    return Outcome(**(fields | changes))


def failed(ref: Ref, error: str = "no answer", **changes: Any) -> Outcome:
    return Outcome(**({"ref": ref, "status": TaskStatus.FAILED, "error": error} | changes))


_words = st.text(max_size=8)
_losses = st.lists(st.builds(Loss, _words, _words, st.sampled_from(LossCode)), max_size=2).map(
    tuple
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=5,
)
_sides = st.builds(Side, uri=_words, identity=_words, description=_words)


def _some_of(refs: Sequence[Ref]) -> st.SearchStrategy[tuple[Ref, ...]]:
    return st.lists(st.sampled_from(refs), unique=True).map(tuple) if refs else st.just(())


def _reasons(refs: Sequence[Ref]) -> st.SearchStrategy[Because]:
    return st.builds(Because, _words, st.sampled_from([None, *refs]))


@st.composite
def plans(draw: st.DrawFn, migration_id: str = "m1") -> Plan:
    """Any plan: tasks of any kind, each of which needs some of those before it."""
    refs = draw(
        st.lists(
            st.builds(Ref, st.sampled_from(Kind), st.text(min_size=1, max_size=5)),
            unique=True,
            max_size=8,
        )
    )
    tasks = tuple(
        PlannedTask(
            ref=ref,
            name=draw(_words),
            action=draw(st.sampled_from(Action)),
            container=draw(_words),
            reason=draw(_words),
            target_id=draw(_words),
            mark=draw(_words),
            needs=draw(_some_of(refs[:place])),
            after=draw(_some_of(refs[:place])),
            because=tuple(draw(st.lists(_reasons(refs), max_size=2))),
            number=draw(st.integers(0, 2**31 - 1)),
            first_free=draw(st.integers(0, 2**31 - 1)),
            losses=draw(_losses),
            warnings=tuple(draw(st.lists(_words, max_size=2))),
            status=draw(st.sampled_from(TaskStatus)),
        )
        for place, ref in enumerate(refs)
    )
    return Plan(
        migration_id=migration_id,
        created=draw(st.integers(0, 2**45)),
        source=draw(_sides),
        target=draw(_sides),
        options=draw(st.dictionaries(_words, _json, max_size=3)),
        tasks=tasks,
        notes=tuple(draw(st.lists(_words, max_size=3))),
        collisions=tuple(draw(st.lists(_words, max_size=3))),
        unknown=tuple(draw(st.lists(_words, max_size=3))),
        unsupported=draw(st.dictionaries(st.sampled_from(Kind), st.integers(-1, 10**9))),
        known=draw(st.dictionaries(_words, st.integers(0, 10**12), max_size=3)),
    )
