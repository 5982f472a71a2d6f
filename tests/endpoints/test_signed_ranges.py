"""Files read by ranges through signed URLs: in order, bounded, and nothing odd is content."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.tracking.signed import memory, ranges
from migrate.endpoints.tracking.signed.ranges import (
    Changed,
    NotGiven,
    RangedStream,
    SignedFile,
    ranges_of,
)
from migrate.endpoints.tracking.signed.uploads import MOST_PARTS, part_size, parts_in
from migrate.endpoints.tracking.signed.urls import NoConnection, Signed
from migrate.errors import EndpointError, MigrateError, NotFound, Unavailable
from migrate.shares import Limits, Share, holding
from tests.storage import KEY, Ask, Reply, Spoil, Storage

BLOCK = 1000
CONTENT = random.Random(5).randbytes(10 * BLOCK + 7)
RANGES = 11


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCK", BLOCK)
    monkeypatch.setattr(ranges, "READING", memory.Memory(8 * BLOCK))
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@contextmanager
def opened(
    storage: Storage, size: int = len(CONTENT), limits: Limits | None = None, url: str = ""
) -> Iterator[RangedStream]:
    limits = limits or Limits(4, None)
    keys = count()

    def sign() -> Signed:
        return Signed(url or storage.url(key=f"{KEY}-{next(keys)}"), {"x-of-the-server": "1"})

    with limits.gate.place() as place:
        file = SignedFile(sign, size, "artifact 'a'", limits)
        with closing(RangedStream(file, limits, place)) as stream:
            stream.begin()
            yield stream


def fails(spoil: Spoil, kind: type[MigrateError], size: int = len(CONTENT)) -> MigrateError:
    with (
        Storage(CONTENT, spoil) as storage,
        pytest.raises(kind) as raised,
        opened(storage, size) as stream,
    ):
        stream.read()
    told = f"{raised.value!r} {raised.value.hint}"
    assert KEY not in told
    assert storage.host not in told
    assert vars(ranges.READING)["_left"] == 8 * BLOCK
    return raised.value


@given(st.integers(0, 10_000), st.integers(1, 1_000))
def test_ranges_cover_a_file_and_do_not_overlap(size: int, block: int) -> None:
    found = list(ranges_of(size, block))
    assert sum(it.size for it in found) == size
    assert all(1 <= it.size <= block for it in found)
    assert all(after.first == before.last + 1 for before, after in pairwise(found))
    assert [it.first for it in found[:1]] == [0][: len(found)]


@given(st.integers(0, 5 << 40))
def test_parts_are_at_least_a_block_and_not_too_many(size: int) -> None:
    step, number = part_size(size), parts_in(size)
    assert step >= memory.BLOCK
    assert 1 <= number <= MOST_PARTS
    assert (number - 1) * step < max(size, 1) <= number * step


@pytest.mark.parametrize("piece", [-1, 1 << 20, BLOCK, 333])
def test_a_file_comes_whole_and_in_order_by_several_ranges_at_once(piece: int) -> None:
    meeting = threading.Barrier(3)

    def meet(ask: Ask, reply: Reply) -> None:
        if ask.number in (2, 3, 4):
            meeting.wait(10)

    with Storage(CONTENT, meet) as storage, opened(storage) as stream:
        read = b"".join(iter(lambda: stream.read(piece), b""))
        assert stream.is_read
    assert read == CONTENT
    assert len(storage.asks) == RANGES
    assert 3 <= storage.most_at_once <= 4
    assert {ask.key for ask in storage.asks} == {f"{KEY}-0"}
    assert all(ask.headers["x-of-the-server"] == "1" for ask in storage.asks)
    assert vars(ranges.READING)["_left"] == 8 * BLOCK


def test_no_more_requests_are_under_way_than_are_allowed() -> None:
    for share, limits in ((None, Limits(2, None)), (Share(0, 2), Limits(8, None))):
        most = 1 if share else 2
        with holding(share), Storage(CONTENT) as storage, opened(storage, limits=limits) as stream:
            assert stream.read() == CONTENT
        assert storage.most_at_once <= most


def test_what_is_read_ahead_is_bounded_for_all_files_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranges, "READING", memory.Memory(3 * BLOCK))
    limits = Limits(16, None)
    with Storage(CONTENT) as storage, opened(storage, limits=limits) as one:
        assert one.read(1) == CONTENT[:1]
        with opened(storage, limits=limits) as other:
            assert other.read(1) == CONTENT[:1]
            assert vars(ranges.READING)["_left"] == -BLOCK  # each has one in any case
            assert other.read() == CONTENT[1:]
        assert one.read() == CONTENT[1:]
    assert vars(ranges.READING)["_left"] == 3 * BLOCK


def test_a_stream_that_is_left_gives_everything_back() -> None:
    limits = Limits(3, None)
    with Storage(CONTENT) as storage, opened(storage, limits=limits) as stream:
        stream.read(5)
        assert not stream.is_read
    assert vars(ranges.READING)["_left"] == 8 * BLOCK
    assert all(limits.gate.take_now() for _ in range(3))


def test_no_login_and_no_cookie_goes_to_a_storage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="utf-8") as file:
        file.write("machine 127.0.0.1 login somebody password secret")
    monkeypatch.setenv("NETRC", netrc)

    def bake(ask: Ask, reply: Reply) -> None:
        reply.headers["Set-Cookie"] = "a=b"

    with Storage(CONTENT, bake) as storage, opened(storage) as stream:
        stream.read()
    for ask in storage.asks:
        assert {"Authorization", "Cookie"}.isdisjoint(ask.headers)


def test_a_range_that_breaks_off_is_asked_for_again() -> None:
    def cut(ask: Ask, reply: Reply) -> None:
        reply.cut = 10 if ask.number in (1, 4) else 0

    with Storage(CONTENT, cut) as storage, opened(storage) as stream:
        assert stream.read() == CONTENT
    assert len(storage.asks) == RANGES + 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_url_that_ran_out_is_signed_afresh(status: int) -> None:
    def run_out(ask: Ask, reply: Reply) -> None:
        if ask.key.endswith("-0") and ask.number > 3:
            reply.status, reply.body = status, b""

    with Storage(CONTENT, run_out) as storage, opened(storage) as stream:
        assert stream.read() == CONTENT
    assert {ask.key for ask in storage.asks} == {f"{KEY}-0", f"{KEY}-1"}


def headers(**given: str) -> Spoil:
    def spoil(ask: Ask, reply: Reply) -> None:
        if ask.number == 3:
            reply.headers |= {name.replace("_", "-"): value for name, value in given.items()}

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        headers(Content_Range="bytes 0-999/10007"),
        headers(Content_Range="bytes 2000-2998/10007"),
        headers(Content_Range="bytes 2000-2999/*"),
        headers(Content_Range=""),
        headers(ETag=""),
    ],
)
def test_another_part_of_the_file_is_not_taken_for_it(spoil: Spoil) -> None:
    fails(spoil, NotGiven)


def test_a_whole_file_and_a_redirect_are_not_taken_for_a_part() -> None:
    def whole(ask: Ask, reply: Reply) -> None:
        reply.status, reply.body = 200, CONTENT

    def elsewhere(ask: Ask, reply: Reply) -> None:
        reply.status = 302
        reply.headers["Location"] = f"/elsewhere?part=0&X-Amz-Signature={ask.key}"

    assert "200" in fails(whole, EndpointError).message
    assert "302" in fails(elsewhere, EndpointError).message


def test_more_or_less_than_was_said_is_an_error() -> None:
    def less(ask: Ask, reply: Reply) -> None:
        reply.body = reply.body[:-1]

    def without_length(ask: Ask, reply: Reply) -> None:
        reply.headers["Transfer-Encoding"] = "chunked"
        reply.headers["Content-Length"] = str(BLOCK)
        reply.body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body) + 1, reply.body + b"!")

    fails(less, EndpointError)
    fails(without_length, MigrateError)


def test_a_file_that_changes_meanwhile_is_not_put_together() -> None:
    assert isinstance(fails(headers(ETag="another"), Unavailable), Changed)
    larger = fails(headers(Content_Range="bytes 2000-2999/10008"), Unavailable)
    assert isinstance(larger, Changed)
    assert isinstance(fails(lambda ask, reply: None, Unavailable, len(CONTENT) + 1), Changed)


def test_a_file_that_is_not_there_is_said() -> None:
    def gone(ask: Ask, reply: Reply) -> None:
        reply.status = 404

    fails(gone, NotFound)
    fails(lambda ask, reply: gone(ask, reply) if ask.number > 2 else None, NotGiven)


def test_a_storage_that_cannot_be_reached_is_not_asked_again() -> None:
    with Storage(CONTENT) as storage:
        pass
    with pytest.raises(NoConnection) as raised, opened(storage):
        pass
    assert KEY not in f"{raised.value!r}"
    assert KEY not in repr(Signed(storage.url(), {}))
