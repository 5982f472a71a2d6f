"""A server that answers too much, too slowly or without end is an error by name, in bounded time.

No MLflow does this: the servers here are small ones that mean harm.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from migrate.endpoints.tracking.http import bounds as bounds_module
from migrate.endpoints.tracking.http.access import Access
from migrate.endpoints.tracking.http.bounds import Bounds, bounds_from, paged
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import AnswerLost, EndpointError, MigrateError, Unavailable, UsageError

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[HttpSession]:
    """A session with a server that answers every request in this way."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    session = HttpSession(
        Access(base_url=f"http://127.0.0.1:{server.server_port}"), side="source", workers=2
    )
    try:
        yield session
    finally:
        session.close()
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, **headers: str) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def small(session: HttpSession, **bounds: Any) -> HttpSession:
    session._bounds = Bounds(**bounds)
    return session


class TestSizes:
    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
    def test_a_small_packed_answer_does_not_become_a_large_one(self, encoding: str) -> None:
        body = b" " * (64 << 20)
        packed = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
        if encoding == "gzip, gzip":
            packed = gzip.compress(packed)
        with answering(lambda handler: send(handler, packed, Content_Encoding=encoding)) as session:
            small(session, answer_bytes=1 << 20)
            with pytest.raises(
                EndpointError, match=r"source http.*/x answered with more than 1 MB"
            ):
                session.get("/x")

    def test_an_answer_of_many_small_parts_is_not_unfolded(self) -> None:
        body = b'{"runs": [' + b"{}," * 100_000 + b"{}]}"
        with answering(lambda handler: send(handler, body)) as session:
            small(session, answer_parts=10_000)
            with pytest.raises(EndpointError, match="100,003 objects and lists"):
                session.get("/x")

    def test_an_answer_without_a_length_and_without_an_end_is_given_up(self) -> None:
        def endless(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(b" " * (1 << 16))
            except OSError:
                handler.close_connection = True

        with answering(endless) as session:
            small(session, answer_bytes=1 << 20)
            with pytest.raises(EndpointError, match="more than 1 MB"):
                session.get("/x")

    def test_an_error_page_is_read_in_part_only(self) -> None:
        def large(handler: BaseHTTPRequestHandler) -> None:
            packed = gzip.compress(b" " * (64 << 20))
            handler.send_response(404)
            handler.send_header("Content-Encoding", "gzip")
            handler.send_header("Content-Length", str(len(packed)))
            handler.end_headers()
            handler.wfile.write(packed)

        with answering(large) as session, pytest.raises(EndpointError, match="answered 404"):
            session.get("/x")

    def test_the_bounds_are_the_users_to_set(self) -> None:
        given = bounds_from({"MIGRATE_LARGEST_ANSWER_MB": "512"})
        assert (given.answer_bytes, given.answer_parts) == (512 << 20, 6_000_000)
        assert bounds_from({"MIGRATE_LONGEST_ANSWER_SECONDS": "7.5"}).answer_seconds == 7.5
        assert bounds_from({}) == Bounds()

    @pytest.mark.parametrize("text", ["much", "0", "-1", "inf", "nan", "1e300"])
    def test_a_bound_that_is_no_amount_is_named(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"MIGRATE_LARGEST_ANSWER_MB is .* which is no amount"):
            bounds_from({"MIGRATE_LARGEST_ANSWER_MB": text})


class TestTimes:
    @pytest.fixture(autouse=True)
    def one_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(seconds / 10))

    def dripping_body(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        self.drip(handler)

    def dripping_body_without_length(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        self.drip(handler)

    def dripping_headers(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip(handler)

    @staticmethod
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b" ")
                threading.Event().wait(0.02)
        except OSError:
            return

    @pytest.mark.parametrize(
        "way", ["dripping_body", "dripping_body_without_length", "dripping_headers"]
    )
    def test_a_few_bytes_a_second_do_not_hold_a_call_for_ever(self, way: str) -> None:
        with answering(getattr(self, way)) as session:
            small(session, answer_seconds=0.3)
            with pytest.raises(Unavailable, match=r"source http\S+/x took longer than 0 s"):
                session.get("/x", tries=1)

    def test_a_create_that_is_given_up_may_have_been_carried_out(self) -> None:
        with answering(self.dripping_body) as session:
            small(session, answer_seconds=0.3)
            with pytest.raises(AnswerLost, match="took longer"):
                session.post("/create", {}, idempotent=False)

    def test_a_file_that_drips_is_given_up_while_its_copy_is_written(self) -> None:
        """The connection that is cut is the one the file comes from, not the last one used."""
        other: list[Any] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if handler.path == "/file":
                self.dripping_body(handler)
            else:
                send(handler, b'{"ok": 1}')

        with answering(answer) as session:
            small(session, answer_seconds=0.5, bytes_per_second=1 << 30)

            def copy() -> None:
                with session.stream("/file", size=100_000, tries=1) as response:
                    other.append(session.get("/other"))
                    while response.raw.read(1000):
                        pass

            with pytest.raises(Unavailable, match="/file"):
                copy()
        assert other == [{"ok": 1}]

    def test_what_takes_long_says_so(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(bounds_module, "QUIET_SECONDS", 0.05)
        with answering(self.dripping_body) as session:
            small(session, answer_seconds=0.6)
            with pytest.raises(Unavailable):
                session.get("/x", tries=1)
        assert any(
            record.getMessage().startswith("waiting for source http")
            and "/x" in record.getMessage()
            for record in caplog.records
        )


class TestPages:
    def walk(self, pages: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
        found = paged(pages, "source http://s/search", Bounds(empty_pages=5, pages=50))
        return [dict(page) for page in found]

    def test_a_token_that_was_seen_before_is_an_end_by_name(self) -> None:
        with pytest.raises(EndpointError, match=r"http://s/search comes to no end: .* same page"):
            self.walk(lambda token: {"runs": [token], "next_page_token": "again"})

    def test_tokens_in_a_circle_are_noticed(self) -> None:
        following = {"": "a", "a": "b", "b": "c", "c": "a"}
        with pytest.raises(EndpointError, match="comes to no end"):
            self.walk(lambda token: {"runs": [token], "next_page_token": following[token]})

    def test_the_same_page_under_new_tokens_is_noticed(self) -> None:
        numbers = iter(range(1000))
        with pytest.raises(EndpointError, match="comes to no end: it gives the same page again"):
            self.walk(lambda token: {"runs": [1, 2], "next_page_token": str(next(numbers))})

    def test_empty_pages_with_new_tokens_come_to_an_end(self) -> None:
        numbers = iter(range(1000))
        with pytest.raises(EndpointError, match="6 empty pages in a row"):
            self.walk(lambda token: {"next_page_token": str(next(numbers))})

    def test_more_pages_than_a_server_can_have_are_not_read(self) -> None:
        numbers = iter(range(1000))
        with pytest.raises(EndpointError, match="more than 50 pages"):
            self.walk(lambda token: {"runs": [token], "next_page_token": str(next(numbers))})

    def test_empty_pages_between_others_are_not_the_end(self) -> None:
        given: list[dict[str, Any]] = [{"runs": [1]}, {}, {"runs": []}, {"runs": [2]}]
        for place, page in enumerate(given[:-1]):
            page["next_page_token"] = str(place + 1)
        assert self.walk(lambda token: given[int(token or 0)]) == given

    def test_every_search_of_the_session_is_bounded(self) -> None:
        body = json.dumps({"files": [{"path": "a"}], "next_page_token": "again"}).encode()
        with answering(lambda handler: send(handler, body)) as session:
            for pages in (session.pages("/x", {}), session.get_pages("/x", {})):
                with pytest.raises(MigrateError, match="comes to no end"):
                    list(pages)


def test_a_connection_that_nobody_waits_on_is_left_alone() -> None:
    """The watching thread ends when there is nothing to watch."""
    with answering(lambda handler: send(handler, b"{}")) as session:
        for _ in range(3):
            assert session.get("/x") == {}
        deadline = time.monotonic() + 30
        while session._watch._looking and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not session._watch._looking
