"""Rate limit, Retry-After and idle connections, with a clock that the test moves."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from migrate import shares
from migrate.endpoints.tracking.http import connections
from migrate.endpoints.tracking.http import session as http_module
from migrate.endpoints.tracking.http.errors import retry_after_of
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import AnswerLost, Unavailable
from migrate.shares import RateLimit


class Clock:
    """Stands for the module ``time``: sleeping takes no time, but the clock goes on."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (connections, http_module, shares):
        monkeypatch.setattr(module, "time", clock)
    return clock


class TestRateLimit:
    def test_calls_are_spread_evenly(self, clock: Clock) -> None:
        limit = RateLimit(4)
        starts = []
        for _ in range(9):
            limit.wait()
            starts.append(clock.now - 1_000)
        assert starts == [pytest.approx(n / 4) for n in range(9)]

    def test_a_pause_is_not_saved_up_for_a_burst(self, clock: Clock) -> None:
        limit = RateLimit(2)
        limit.wait()
        clock.now += 60
        limit.wait()
        limit.wait()
        assert sum(clock.slept) == pytest.approx(0.5)

    def test_without_a_limit_nobody_waits(self, clock: Clock) -> None:
        limit = RateLimit(None)
        for _ in range(9):
            limit.wait()
        assert clock.slept == []

    def test_threads_share_one_limit(self, clock: Clock) -> None:
        limit = RateLimit(10)
        threads = [threading.Thread(target=limit.wait) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Five starts a tenth of a second apart: the last one is 0.4 s after the first.
        assert limit._next == pytest.approx(1_000.5)


def answer(**headers: str) -> requests.Response:
    response = requests.Response()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("86400", 300.0), ("", None), ("soon", None)],
    )
    def test_seconds(self, value: str, seconds: float | None) -> None:
        assert retry_after_of(answer(Retry_After=value)) == seconds

    def test_no_header_is_no_word(self) -> None:
        assert retry_after_of(answer()) is None

    @pytest.mark.parametrize(
        ("ahead", "least", "most"), [(60, 57, 61), (-60, 0, 0), (9_999, 300, 300)]
    )
    def test_dates(self, ahead: int, least: float, most: float) -> None:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        seconds = retry_after_of(answer(Retry_After=moment))
        assert seconds is not None
        assert least <= seconds <= most

    @given(st.text("0123456789-+. :GMTWed,eE", max_size=30))
    def test_whatever_a_server_says_it_is_seconds_up_to_five_minutes_or_nothing(
        self, value: str
    ) -> None:
        seconds = retry_after_of(answer(Retry_After=value))
        assert seconds is None or 0 <= seconds <= 300


class TestRetries:
    """The loop itself, with attempts that fail as told; ``test_tracking_http`` has real ones."""

    def retry(self, problems: list[Unavailable], tries: int) -> int:
        session = HttpSession.__new__(HttpSession)
        left = list(problems)

        def attempt() -> int:
            if left:
                raise left.pop(0)
            return len(problems)

        answer: int = session._retry(attempt, tries)
        return answer

    def test_pauses_grow_up_to_the_longest(self, clock: Clock) -> None:
        assert self.retry([Unavailable("503")] * 8, 9) == 8
        expected = [0.25, 0.5, 1, 2, 4, 8, 10, 10]
        for pause, middle in zip(clock.slept, expected, strict=True):
            assert middle * 0.5 <= pause <= middle * 1.5

    def test_what_the_server_asks_for_is_waited_for(self, clock: Clock) -> None:
        self.retry([Unavailable("429", retry_after=42.0), Unavailable("429", retry_after=0.0)], 3)
        assert clock.slept == [42.0, 0.0]

    def test_the_last_error_is_the_one_that_is_told(self, clock: Clock) -> None:
        with pytest.raises(AnswerLost, match="second"):
            self.retry([Unavailable("first"), AnswerLost("second")], 2)
        assert len(clock.slept) == 1
