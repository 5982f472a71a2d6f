"""Every planned task is in one box, lines join boxes that are shown, and large plans stay small."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.graph.drawing import FOLDED_BOXES, MOST_BOXES, Drawing, draw
from migrate.graph.layout import BEND, Layout, lay_out, without_implied
from migrate.kinds import Action, Kind, Ref, Step, experiment_ref
from migrate.outcomes import TaskStatus
from migrate.plans import Plan, PlannedTask
from tests.state.samples import plans
from tests.views.plans import experiment, large, mixed, run
from tests.views.samples import plan, task


def edges() -> st.SearchStrategy[set[tuple[int, int]]]:
    numbers = st.integers(0, 9)
    return st.sets(st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1]))


def check(value: Plan, drawing: Drawing) -> None:
    drawn = Counter(task.ref for box in drawing.boxes for task in box.tasks)
    assert drawn == Counter(task.ref for task in value.tasks)
    for box in drawing.boxes:
        assert {(item.ref.kind, item.action) for item in box.tasks} == {(box.kind, box.action)}
    waits = {True: Counter(), False: Counter()}
    box_of = {item.ref: n for n, box in enumerate(drawing.boxes) for item in box.tasks}
    for item in value.tasks:
        for soft, refs in ((False, item.needs), (True, item.after)):
            waits[soft].update((box_of[ref], box_of[item.ref]) for ref in refs)
    for line in drawing.lines:
        assert line.start != line.end
        assert waits[line.soft][line.start, line.end] == line.count
    places = [box.place for box in drawing.boxes]
    assert len(set(places)) == len(places)
    assert all(place.column < drawing.columns for place in places)
    assert all(0.49 < place.row <= drawing.rows - 0.49 for place in places)


@given(plans())
def test_every_task_is_in_one_box_and_lines_join_boxes(value: Plan) -> None:
    check(value, draw(value))


@pytest.mark.parametrize("value", [plan(), mixed(), large(), large(900, 5_000, 300)], ids=str)
def test_plans_of_every_size_are_drawn(value: Plan) -> None:
    drawing = draw(value)
    check(value, drawing)
    assert len(drawing.boxes) <= MOST_BOXES
    assert draw(value) == drawing


def test_a_small_plan_has_a_box_for_every_object() -> None:
    drawing = draw(mixed())
    assert [box.count for box in drawing.boxes] == [1] * len(mixed().tasks)
    labels = {box.tasks[0].ref: box.label for box in drawing.boxes}
    assert labels[Ref(Kind.EXPERIMENT, "1")] == "fraud detection"
    assert labels[experiment_ref("1").deletion] == "fraud detection"
    assert labels[Ref(Kind.TRACE, "tr-1")] == "tr-1"


def test_runs_fold_within_their_experiment() -> None:
    tasks = [experiment(1, name="fraud"), experiment(2, name="churn")]
    tasks += [run(f"a{n}", 1) for n in range(1_234)] + [run("b", 2)]
    tasks += [run(f"u{n}", 1, Action.UPDATE) for n in range(2)]
    drawing = draw(plan(*tasks))
    assert {(box.label, box.homes, box.count) for box in drawing.boxes} == {
        ("fraud", (), 1),
        ("churn", (), 1),
        ("1,234 runs to create", ("fraud",), 1_234),
        ("2 runs to update", ("fraud",), 2),
        ("run-b", ("churn",), 1),
    }
    assert sorted(line.count for line in drawing.lines) == [1, 2, 1_234]


def test_experiments_with_less_to_do_fold_when_there_are_many() -> None:
    tasks = [experiment(n) for n in range(100)]
    tasks += [run(f"{n}-{m}", n) for n in range(100) for m in range(3 if n < 90 else 50)]
    drawing = draw(plan(*tasks))
    assert len(drawing.boxes) <= FOLDED_BOXES
    largest = {f"experiment-{n}" for n in range(90, 100)}
    assert largest <= {box.label for box in drawing.boxes}
    (others,) = (box for box in drawing.boxes if box.count > 50 and box.kind is Kind.EXPERIMENT)
    kept = sum(box.count == 1 for box in drawing.boxes)
    assert others.label == f"{100 - kept} experiments to create"
    (runs,) = (box for box in drawing.boxes if len(box.homes) > 1)
    assert len(runs.homes) == others.count


def test_what_is_done_and_what_is_left_out_fold_apart() -> None:
    ended = task(Kind.RUN, "done", status=TaskStatus.DONE, container="1")
    tasks = [experiment(1), ended, *(run(f"{n}", 1) for n in range(100))]
    tasks += [run(f"s{n}", n, Action.SKIP) for n in range(20)]
    tasks.append(task(Kind.EXPERIMENT, "1", step=Step.DELETION))
    labels = {(box.label, box.verb) for box in draw(plan(*tasks)).boxes}
    assert ("100 runs to create", "to create") in labels
    assert ("done", "already done") in labels
    assert ("20 runs skipped", "skipped") in labels
    assert ("experiment-1", "to mark as deleted") in labels


def test_versions_of_a_model_fold_within_it() -> None:
    tasks: list[PlannedTask] = [task(Kind.REGISTERED_MODEL, name, name=name) for name in "mn"]
    for name in "mn":
        for number in range(1, 61):
            before = (Ref(Kind.MODEL_VERSION, f"{name}/{number - 1}"),) if number > 1 else ()
            ref = Ref(Kind.REGISTERED_MODEL, name)
            where = {"container": name, "needs": (ref,), "after": before}
            tasks.append(task(Kind.MODEL_VERSION, f"{name}/{number}", **where))
    boxes = draw(plan(*tasks)).boxes
    assert {(box.label, box.homes) for box in boxes if box.count > 1} == {
        ("60 model versions to create", ("m",)),
        ("60 model versions to create", ("n",)),
    }


def test_versions_that_wait_their_turn_stand_in_one_column() -> None:
    drawing = draw(mixed())
    versions = [box.place for box in drawing.boxes if box.kind is Kind.MODEL_VERSION]
    assert len({place.column for place in versions}) == 1
    assert sorted(versions) == versions
    assert sum(line.soft for line in drawing.lines) == 4


def test_a_need_that_is_not_planned_is_not_drawn() -> None:
    drawing = draw(plan(run("a", 1)))
    assert drawing.lines == ()
    assert drawing.apart == 0.0


# -- the layout ---------------------------------------------------------------------------------


def laid_out_well(layout: Layout, boxes: int) -> None:
    sizes: dict[int, list[tuple[float, float]]] = {}
    for place in layout.boxes.values():
        sizes.setdefault(place.column, []).append((place.row, 1.0))
    for bends in layout.bends.values():
        for place in bends:
            sizes.setdefault(place.column, []).append((place.row, BEND))
    assert len(layout.boxes) == boxes
    for column in sizes.values():
        column.sort()
        for (above, size), (below, next_size) in pairwise(column):
            assert below - above >= (size + next_size) / 2 - 1e-6


@given(edges(), edges())
def test_boxes_and_bends_never_overlap_even_in_circles(
    needs: set[tuple[int, int]], weak: set[tuple[int, int]]
) -> None:
    layout = lay_out(12, needs, weak)
    laid_out_well(layout, 12)
    assert layout == lay_out(12, sorted(needs, reverse=True), sorted(weak, reverse=True))


@given(edges())
def test_what_is_needed_stands_to_the_left(pairs: set[tuple[int, int]]) -> None:
    needs = {(a, b) for a, b in pairs if a < b}
    layout = lay_out(10, needs)
    for start, end in needs:
        apart = layout.boxes[end].column - layout.boxes[start].column
        assert apart >= 1
        assert len(layout.bends.get((start, end), ())) == apart - 1


def test_lines_do_not_cross_where_they_need_not() -> None:
    layout = lay_out(8, {(0, 7), (1, 6), (2, 5), (3, 4)})
    for start in range(4):
        assert layout.boxes[start].row == pytest.approx(layout.boxes[7 - start].row)


@given(edges())
def test_what_follows_from_others_is_left_out_and_nothing_else(
    pairs: set[tuple[int, int]],
) -> None:
    needs = [(a, b) for a, b in sorted(pairs) if a < b]
    shown = without_implied(needs)
    assert shown <= set(needs)
    assert reachable(shown) == reachable(set(needs))


def reachable(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    found = set(pairs)
    while more := {(a, d) for a, b in found for c, d in pairs if b == c} - found:
        found |= more
    return found


def test_of_a_circle_every_edge_is_kept() -> None:
    circle = [(0, 1), (1, 2), (2, 0), (0, 3), (2, 3)]
    assert {(0, 1), (1, 2), (2, 0)} <= without_implied(circle)
