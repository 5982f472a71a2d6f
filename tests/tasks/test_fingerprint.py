"""The mark of a copy: the same for the same content in any order, another for any other."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from migrate.objects import Artifact, Metric, Run
from migrate.tasks.fingerprint import Fingerprint, content_digest, quick_half, quick_mark
from tests.tasks.strategies import FILES, MAPPINGS, POINTS, runs

LISTS_OF_POINTS = st.lists(POINTS, max_size=6, unique_by=repr)
LISTS_OF_FILES = st.lists(FILES, max_size=4, unique_by=lambda file: file.path)


def mark_of(
    run: Run, points: list[Metric], files: list[Artifact], orphans: tuple[str, ...] = ()
) -> str:
    fingerprint = Fingerprint(run, orphans)
    fingerprint.add_files(files)
    # In pieces, as points stream by.
    fingerprint.add_points(points[:2])
    fingerprint.add_points(points[2:])
    return fingerprint.mark()


@settings(max_examples=40)
@given(runs(), LISTS_OF_POINTS, LISTS_OF_FILES, st.randoms())
def test_order_does_not_matter(
    run: Run, points: list[Metric], files: list[Artifact], draw: random.Random
) -> None:
    before = mark_of(run, points, files)
    shuffled = dataclasses.replace(
        run,
        params=dict(_shuffled(draw, run.params.items())),
        tags=dict(_shuffled(draw, run.tags.items())),
        latest_metrics=tuple(_shuffled(draw, run.latest_metrics)),
        inputs=tuple(_shuffled(draw, run.inputs)),
    )
    assert mark_of(shuffled, _shuffled(draw, points), _shuffled(draw, files)) == before


def _shuffled(draw: random.Random, items: Any) -> list[Any]:
    found = list(items)
    draw.shuffle(found)
    return found


@settings(max_examples=25)
@given(runs())
def test_where_a_run_is_and_what_it_is_called_by_do_not_matter(run: Run) -> None:
    moved = dataclasses.replace(run, run_id="f" * 4, experiment_id="9", artifact_uri="s3://new")
    assert content_digest(moved) == content_digest(run)


CHANGES: dict[str, Any] = {
    "name": "another name",
    "user_id": "somebody else",
    "status": "SCHEDULED",
    "start_time": 2**50,
    "end_time": 2**50,
    "lifecycle_stage": "elsewhere",
    "params": {"another": "param"},
    "tags": {"another": "tag"},
    "latest_metrics": (Metric("another", 1.0, 1, 1),),
    "inputs": ({"dataset": {"name": "another"}, "tags": []},),
}


@given(runs(), st.sampled_from(sorted(CHANGES)))
def test_a_change_of_any_field_changes_both_halves(run: Run, field: str) -> None:
    change: dict[str, Any] = {field: CHANGES[field]}
    changed = dataclasses.replace(run, **change)
    assert quick_half(mark_of(changed, [], [])) != quick_half(mark_of(run, [], []))
    assert mark_of(changed, [], []) != mark_of(run, [], [])


@given(MAPPINGS.filter(bool), st.sampled_from(["params", "tags"]), st.randoms())
def test_one_value_of_one_param_or_tag_changes_it(
    values: dict[str, str], field: str, draw: random.Random
) -> None:
    key = draw.choice(sorted(values))
    before: dict[str, Any] = {field: values}
    after: dict[str, Any] = {field: {**values, key: values[key] + "x"}}
    assert content_digest(_run(**after)) != content_digest(_run(**before))


def test_params_are_not_tags() -> None:
    variants = (_run(), _run(params={"a": "1"}), _run(tags={"a": "1"}))
    assert len({content_digest(run) for run in variants}) == 3


@given(LISTS_OF_POINTS.filter(bool), POINTS, st.randoms())
def test_one_point_more_less_or_different_changes_the_mark(
    points: list[Metric], other: Metric, draw: random.Random
) -> None:
    run = _run()
    before = mark_of(run, points, [])
    place = draw.randrange(len(points))
    assume(repr(other) not in map(repr, points))
    rest = points[:place] + points[place + 1 :]
    for changed in (rest, [*points, other], [*rest, other], [*points, points[place]]):
        assert mark_of(run, changed, []) != before


@given(POINTS, st.sampled_from(["key", "value", "timestamp", "step"]))
def test_every_part_of_a_point_counts(point: Metric, part: str) -> None:
    run = _run()
    values: dict[str, Any] = {"key": point.key + "x", "value": 1.5, "timestamp": 2**50, "step": 12}
    changed = point._replace(**{part: values[part]})
    assume(repr(changed) != repr(point))
    assert mark_of(run, [changed], []) != mark_of(run, [point], [])


@given(LISTS_OF_FILES.filter(bool), st.randoms())
def test_one_file_more_less_renamed_or_of_another_size_changes_the_mark(
    files: list[Artifact], draw: random.Random
) -> None:
    run = _run()
    before = mark_of(run, [], files)
    place = draw.randrange(len(files))
    file = files[place]
    rest = files[:place] + files[place + 1 :]
    for changed in (
        rest,
        [*rest, file._replace(size=file.size + 1)],
        [*rest, file._replace(path=file.path + "x")],
        [*files, Artifact("new", 0)],
    ):
        assert mark_of(run, [], changed) != before


def test_not_a_number_is_like_itself_and_like_nothing_else() -> None:
    run = _run()
    marks = {
        name: mark_of(run, [Metric("loss", value, 1, 0)], [])
        for name, value in {
            "nan": float("nan"),
            "same": float("NaN"),
            "none": 0.0,
            "inf": float("inf"),
        }.items()
    }
    assert marks["nan"] == marks["same"]
    assert len(set(marks.values())) == 3


def test_zero_has_no_sign() -> None:
    marks = {mark_of(_run(), [Metric("loss", value, 1, 0)], []) for value in (0.0, -0.0)}
    assert len(marks) == 1


def test_no_files_listed_is_not_the_same_as_no_files() -> None:
    assert Fingerprint(_run(), ()).mark() != mark_of(_run(), [], [])


def test_orphans_count_so_that_a_parent_that_arrives_later_makes_a_difference() -> None:
    run = _run()
    tags = ("mlflow.parentRunId", "mlflow.rootRunId")
    marks = [mark_of(run, [], [], orphans) for orphans in ((), tags[:1], tags[1:], tags)]
    assert len(set(marks)) == 4
    assert mark_of(run, [], [], tags[::-1]) == marks[-1]
    assert quick_half(marks[-1]) == quick_mark(content_digest(run), tags)


def test_what_was_chosen_counts_and_a_choice_of_nothing_leaves_marks_as_they_always_were() -> None:
    content = content_digest(_run())
    chosen = [(), ("source tags",), ("source user",), ("source tags", "source user")]
    assert len({quick_mark(content, (), words) for words in chosen}) == 4
    assert quick_mark(content, (), ()) == "1fde7c606f0d506aa"
    marks = [Fingerprint(_run(), (), words).mark() for words in chosen]
    assert [quick_half(mark) for mark in marks] == [quick_mark(content, (), w) for w in chosen]


def test_the_mark_has_two_halves_of_one_length_and_fits_any_tag() -> None:
    mark = mark_of(_run(), [], [])
    assert [len(half) for half in mark.split(".")] == [17, 16]
    assert quick_half("") == ""


def _run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "run_id": "r",
        "experiment_id": "1",
        "name": "n",
        "user_id": "u",
        "status": "FINISHED",
        "start_time": 0,
        "end_time": None,
    }
    return Run(**fields | changes)
