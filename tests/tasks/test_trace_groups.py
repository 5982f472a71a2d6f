"""How many traces are in memory with their spans at a time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from migrate.tasks.trace_slice import GROUP, GROUP_BYTES, groups
from migrate.traces import SIZE_BYTES, Trace


def traces(number: int, metadata: Mapping[str, str]) -> list[Trace]:
    return [
        Trace(
            trace_id=f"tr-{n:032x}",
            experiment_id="1",
            request_time=n,
            state="OK",
            metadata=metadata,
        )
        for n in range(number)
    ]


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ("", GROUP),
        ("1", GROUP),
        (str(GROUP_BYTES // 4), 4),
        (str(GROUP_BYTES * 2), 1),
        ("9" * 10_000, GROUP),
        ("-5", GROUP),
        ("many", GROUP),
    ],
)
def test_a_group_is_bounded_by_number_and_by_what_traces_say_of_their_size(
    told: str, most: int
) -> None:
    given = traces(3 * GROUP + 1, {SIZE_BYTES: told} if told else {})
    made = list(groups(given))
    assert [trace for group in made for trace in group] == given
    assert max(map(len, made)) == most
