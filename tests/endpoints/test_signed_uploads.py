"""Files written in parts through signed URLs: from memory, bounded, each repeated by itself."""

from __future__ import annotations

import hashlib
import io
import random
import threading

import pytest

from migrate.endpoints.tracking.signed import memory, uploads
from migrate.endpoints.tracking.signed.uploads import (
    Interrupted,
    NotTaken,
    PartsSender,
    Upload,
    completed,
)
from migrate.endpoints.tracking.signed.urls import Signed
from migrate.errors import MigrateError, Unavailable
from migrate.shares import Limits
from tests.storage import KEY, Ask, Reply, Spoil, Storage

BLOCK = 1000
CONTENT = random.Random(6).randbytes(10 * BLOCK + 7)
PARTS = 11


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "part_size", lambda size: BLOCK)
    monkeypatch.setattr(uploads, "WRITING", memory.Memory(3 * BLOCK))
    monkeypatch.setattr("time.sleep", lambda seconds: None)


class Once(io.BytesIO):
    """A stream that cannot be rewound, as those of answers."""

    def seekable(self) -> bool:
        return False


def upload(storage: Storage) -> Upload:
    return Upload("id", [Signed(storage.url(part), {}) for part in range(1, PARTS + 1)])


def send(storage: Storage, content: bytes = CONTENT, limits: Limits | None = None) -> list[str]:
    limits = limits or Limits(4, None)
    with limits.gate.place() as place:
        sender = PartsSender(upload(storage), len(CONTENT), "artifact 'a'", limits, place)
        return list(sender.send(Once(content)))


def fails(
    spoil: Spoil = lambda ask, reply: None,
    kind: type[MigrateError] = MigrateError,
    content: bytes = CONTENT,
) -> MigrateError:
    with Storage(spoil=spoil) as storage, pytest.raises(kind) as raised:
        send(storage, content)
    assert KEY not in f"{raised.value!r} {raised.value.hint}"
    assert vars(uploads.WRITING)["_left"] == 3 * BLOCK
    return raised.value


def test_a_file_goes_in_parts_several_at_once() -> None:
    meeting = threading.Barrier(2)

    def meet(ask: Ask, reply: Reply) -> None:
        if ask.number in (2, 3):
            meeting.wait(10)

    with Storage(spoil=meet) as storage:
        tags = send(storage)
    assert b"".join(storage.parts[part] for part in sorted(storage.parts)) == CONTENT
    assert tags == [
        f'"{hashlib.md5(storage.parts[part]).hexdigest()}"' for part in sorted(storage.parts)
    ]
    assert len(storage.asks) == PARTS
    assert 2 <= storage.most_at_once <= 3  # so many parts are in memory at a time
    assert vars(uploads.WRITING)["_left"] == 3 * BLOCK


def test_no_more_requests_are_under_way_than_are_allowed() -> None:
    limits = Limits(1, None)
    with Storage() as storage:
        send(storage, limits=limits)
    assert storage.most_at_once == 1
    assert limits.gate.take_now() is not None


def test_one_file_takes_no_more_than_a_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "WRITING", memory.Memory(100 * BLOCK))
    never = threading.Event()

    def meet(ask: Ask, reply: Reply) -> None:
        if ask.number >= 2:
            never.wait(0.1)  # so long that all that may be sent at a time are there

    with Storage(spoil=meet) as storage:
        send(storage, limits=Limits(16, None))
    assert storage.most_at_once == memory.AT_ONCE


def test_a_part_that_fails_is_sent_again_and_no_other() -> None:
    def fault(ask: Ask, reply: Reply) -> None:
        if ask.number in (1, 5):
            reply.status = 503

    with Storage(spoil=fault) as storage:
        send(storage)
    assert len(storage.asks) == PARTS + 2
    assert b"".join(storage.parts[part] for part in sorted(storage.parts)) == CONTENT


def test_a_part_that_is_not_taken_ends_the_upload() -> None:
    def refuse(ask: Ask, reply: Reply) -> None:
        if ask.part == "7":
            reply.status = 403

    fails(refuse, NotTaken)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"!"])
def test_a_source_of_another_length_ends_the_upload(content: bytes) -> None:
    assert "than the 10007 bytes" in fails(kind=Unavailable, content=content).message


def test_an_odd_etag_is_not_passed_on() -> None:
    def odd(ask: Ask, reply: Reply) -> None:
        if ask.part != "1":
            reply.headers["ETag"] = "x" * 201

    fails(odd, NotTaken)


@pytest.mark.parametrize("status", [0, 302, 400, 403, 404])
def test_where_the_storage_takes_no_first_part_the_whole_stream_is_left(status: int) -> None:
    with Storage(spoil=lambda ask, reply: setattr(reply, "status", status)) as storage:
        if status:
            with pytest.raises(Interrupted) as raised:
                send(storage)
    if not status:
        with pytest.raises(Interrupted) as raised:
            send(storage)
    assert raised.value.rest.read(5) + raised.value.rest.read() == CONTENT
    assert vars(uploads.WRITING)["_left"] == 3 * BLOCK


def test_urls_are_told_only_where_a_storage_has_no_etags() -> None:
    with Storage() as storage:
        begun = upload(storage)
    assert KEY not in str(completed(begun, "a", ["tag"] * PARTS))
    assert KEY in str(completed(begun, "a", [""] * PARTS))
    assert KEY not in repr(begun)
