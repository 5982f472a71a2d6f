"""Files that went past a server are counted in whatever threads, and told with the outcomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot
from migrate.outcomes import Outcome, Part, TaskStatus
from migrate.shares import SharingThreads
from migrate.spreading import Spreading
from migrate.straight import Files, counting, is_note, summed, went

FILES = st.tuples(st.sampled_from(["source", "target"]), st.text(), st.integers(0, 1 << 60))


@given(st.lists(FILES, max_size=6))
def test_what_is_counted_in_threads_is_read_back_from_the_notes(
    files: list[tuple[str, str, int]],
) -> None:
    with SharingThreads(2) as pool, counting() as count:
        for file in files:
            pool.submit(went, *file).result()
    assert all(map(is_note, count.notes()))
    expected: dict[str, Files] = {}
    for side, _, size in files:
        expected[side] = expected.get(side, Files()) + Files(1, size)
    assert summed([*count.notes(), "some warning"]) == expected


def test_what_nobody_counts_is_not_counted() -> None:
    with counting() as outer, counting():
        went("source", "a", 1)
    went("source", "a", 1)
    assert outer.notes() == []


def test_parts_of_one_object_tell_theirs_at_its_end() -> None:
    ref = Ref(Kind.RUN, "a")
    root = ArtifactRoot(ref, "x")
    part = Part(of=ref, source_root=root, target_root=root, files=())
    spreading = Spreading()
    spreading.begin([part, part])
    for name in "ab":
        ended = Outcome(ref=ref, status=TaskStatus.DONE, of_part=True, straight=(name,))
        spreading.ended(ended)
    end = spreading.with_sent(Outcome(ref=ref, status=TaskStatus.DONE, straight=("c",)))
    assert sorted(end.straight) == ["a", "b", "c"]
