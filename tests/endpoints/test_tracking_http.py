"""Calls to a real server through a proxy that breaks some: what is sent again, and what is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_source, open_target
from migrate.endpoints.protocols import Target
from migrate.endpoints.tracking.http import connections
from migrate.endpoints.tracking.http import session as http_module
from migrate.endpoints.tracking.http.access import Access
from migrate.endpoints.tracking.http.login_pages import Redirected, WebPage
from migrate.errors import (
    AlreadyExists,
    AnswerLost,
    EndpointError,
    MigrateError,
    NoSuchRoute,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    StorageFull,
    Unavailable,
)
from migrate.objects import Experiment, Run
from tests.conftest import ProxyFactory
from tests.faults import (
    Fault,
    Faults,
    always,
    answer,
    answer_with,
    clock,
    drop_request,
    given_up,
    lose_response,
    on_nth,
    redirect_to,
    refused_with,
    replace_response,
    truncate,
)
from tests.proxy import Proxy
from tests.seed import START

SEARCH = ("POST", "/experiments/search$")
CREATE = ("POST", "/create$")
TAG = ("POST", "/set-experiment-tag$")

Open = Callable[..., Target]


@pytest.fixture
def proxy(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(target_server.uri)


@pytest.fixture
def open_server(proxy: Proxy) -> Iterator[Open]:
    opened: list[Target] = []

    def open_one(**options: object) -> Target:
        fields = {"uri": proxy.uri, "side": "target", "workers": 4, **options}
        opened.append(open_target(Address(**fields)))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for server in opened:
        server.close()


@pytest.fixture
def server(open_server: Open, proxy: Proxy) -> Target:
    server = open_server()
    server.capabilities()
    proxy.clear()
    return server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been slept between tries, in seconds; it takes no time."""
    slept: list[float] = []
    monkeypatch.setattr(http_module, "time", clock(slept.append))
    return slept


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments at which connections were opened; none is renewed."""
    monkeypatch.setattr(connections, "LIFE_SECONDS", 60.0)
    opened: list[float] = []
    connect = connections.PromptConnection.connect

    def counted(connection: connections.PromptConnection) -> None:
        opened.append(time.monotonic())
        connect(connection)

    monkeypatch.setattr(connections.PromptConnection, "connect", counted)
    return opened


def experiment(name: str) -> Experiment:
    return Experiment(experiment_id="", name=name)


def names(server: Target) -> list[str]:
    return [found.name for found in server.experiments.list()]


class TestCreates:
    @pytest.mark.parametrize(
        ("fault", "made"),
        [
            (lose_response(), True),
            (replace_response(502), True),
            (replace_response(503, retry_after=7), True),
            (drop_request(), False),
            (answer(429, retry_after=7), False),
            (answer(500), False),
        ],
        ids=["lost", "502 after", "503 after", "dropped", "429 before", "500 before"],
    )
    def test_one_without_a_clear_answer_is_sent_once_and_told_as_lost(
        self,
        server: Target,
        proxy: Proxy,
        pauses: list[float],
        unique_name: str,
        fault: Fault,
        made: bool,
    ) -> None:
        proxy.faults = Faults(always(CREATE, fault))
        with pytest.raises(AnswerLost) as caught:
            server.experiments.create(experiment(unique_name))
        assert len(proxy.matching(CREATE)) == 1
        assert pauses == []
        waits = caught.value.retry_after
        assert waits is not None
        assert waits == 7.0 if fault.retry_after else 0 < waits < 5
        proxy.faults = Faults()
        assert (unique_name in names(server)) is made

    def test_one_that_somebody_gave_up_is_looked_for_after_as_long_again(
        self, server: Target, proxy: Proxy, unique_name: str
    ) -> None:
        proxy.faults = Faults(always(CREATE, given_up(after=1.5, late=1.0)))
        with pytest.raises(AnswerLost) as caught:
            server.experiments.create(experiment(unique_name))
        waits = caught.value.retry_after
        assert waits is not None
        assert waits > 1.5

    def test_a_run_whose_answer_was_lost_is_found_by_its_origin(
        self, server: Target, proxy: Proxy, unique_name: str
    ) -> None:
        ident = server.experiments.create(experiment(unique_name))
        proxy.faults = Faults(always(("POST", "/runs/create$"), lose_response()))
        run = Run(
            run_id="",
            experiment_id="",
            name="n",
            user_id="u",
            status="RUNNING",
            start_time=START,
            end_time=None,
            tags={"mlflow-migrate.origin": "a" * 32},
        )
        with pytest.raises(AnswerLost):
            server.runs.create(ident, run)
        assert len(proxy.matching(("POST", "/runs/create$"))) == 1
        found = server.runs.find(ident, ["a" * 32])
        assert [copy.target_id for copy in found["a" * 32]] == [
            run.run_id for run in server.runs.list([ident])
        ]


class TestRepeating:
    @pytest.mark.parametrize(
        "fault",
        [
            drop_request(),
            lose_response(),
            replace_response(504),
            *(answer(status) for status in (408, 425, 429, 500, 502, 503, 504)),
        ],
        ids=lambda fault: f"{'reached' if fault.forward else 'not reached'} {fault.reply}",
    )
    def test_what_may_be_repeated_is(
        self, server: Target, proxy: Proxy, pauses: list[float], unique_name: str, fault: Fault
    ) -> None:
        ident = server.experiments.create(experiment(unique_name))
        proxy.faults = Faults(on_nth(TAG, 1, fault), on_nth(TAG, 2, fault))
        server.experiments.set_tags(ident, {"key": "value"})
        assert len(proxy.matching(TAG)) == 3
        assert len(pauses) == 2
        (found,) = [item for item in server.experiments.list() if item.experiment_id == ident]
        assert found.tags == {"key": "value"}

    def test_a_server_that_asks_for_a_pause_gets_it(
        self, server: Target, proxy: Proxy, pauses: list[float]
    ) -> None:
        proxy.faults = Faults(
            on_nth(SEARCH, 1, answer(429, retry_after=11)),
            on_nth(SEARCH, 2, answer(503, retry_after=9_999)),
        )
        list(server.experiments.list())
        assert pauses == [11.0, 300.0]

    def test_after_seven_tries_the_last_problem_is_told(
        self, server: Target, proxy: Proxy, pauses: list[float]
    ) -> None:
        proxy.faults = Faults(always(SEARCH, answer(503)))
        with pytest.raises(Unavailable, match="answered 503"):
            list(server.experiments.list())
        assert (len(proxy.matching(SEARCH)), len(pauses)) == (7, 6)

    def test_what_is_the_same_on_every_try_is_not_tried_again(self, proxy: Proxy) -> None:
        # A server without workspaces answers 500 to whoever asks for one.
        address = Address(uri=proxy.uri, side="target", workspace="team-a")
        session = http_module.HttpSession(address.access, side="target", workers=1)
        with closing(session) as http, pytest.raises(EndpointError, match="workspace"):
            http.get("/api/2.0/mlflow/experiments/get", {"experiment_id": "0"})
        assert [exchange.status for exchange in proxy.requests] == [500]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "error", "words"),
        [
            (400, Refused, "answered 400"),
            (401, NotAuthenticated, "does not accept the credentials (401)"),
            (403, NotPermitted, "answered 403"),
            (404, NoSuchRoute, "answered 404"),
            (405, Refused, "answered 405"),
            (409, AlreadyExists, "answered 409"),
            (413, Refused, "answered 413"),
            (302, Redirected, "redirects to another address"),
            (200, WebPage, "not MLflow's JSON"),
            (507, StorageFull, "answered 507"),
        ],
    )
    def test_every_answer_has_a_meaning_and_names_the_place(
        self,
        proxy: Proxy,
        pauses: list[float],
        status: int,
        error: type[MigrateError],
        words: str,
    ) -> None:
        proxy.faults = Faults(always(SEARCH, answer(status)))
        http = http_module.HttpSession(Access(proxy.uri), side="source", workers=1)
        with closing(http), pytest.raises(MigrateError) as caught:
            http.ask("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})
        assert type(caught.value) is error
        assert words in caught.value.message
        assert proxy.uri in caught.value.message
        assert len(proxy.matching(SEARCH)) == 1
        assert pauses == []

    @pytest.mark.parametrize("left", [0, 1, 30])
    def test_a_refusal_that_breaks_off_is_asked_for_again(
        self, proxy: Proxy, pauses: list[float], left: int
    ) -> None:
        proxy.faults = Faults(on_nth(SEARCH, 1, truncate(left)))
        http = http_module.HttpSession(Access(proxy.uri), side="source", workers=1)
        with closing(http), pytest.raises(Refused) as caught:
            http.ask("POST", "/api/2.0/mlflow/experiments/search", {"max_results": -1})
        assert caught.value.code == "INVALID_PARAMETER_VALUE"
        assert len(proxy.matching(SEARCH)) == 2
        assert len(pauses) == 1

    @pytest.mark.parametrize(
        ("location", "told"),
        [
            (
                "https://amy:hunter22@login.example.com/in?token=abcdef#x",
                "https://login.example.com/in",
            ),
            ("/elsewhere?next=%2Fapi", "{uri}/elsewhere"),
            ("//other.example.com:8443/", "http://other.example.com:8443"),
        ],
        ids=["login", "relative", "other host"],
    )
    def test_a_redirect_is_named_without_credentials_and_query(
        self, server: Target, proxy: Proxy, location: str, told: str
    ) -> None:
        proxy.faults = Faults(always(SEARCH, redirect_to(location)))
        with pytest.raises(Redirected) as caught:
            list(server.experiments.list())
        address = told.format(uri=proxy.uri)
        assert caught.value.message.endswith(f"redirects to another address: {address}")

    def test_a_redirect_to_what_is_no_address_is_an_error_of_ours(
        self, server: Target, proxy: Proxy
    ) -> None:
        proxy.faults = Faults(always(SEARCH, redirect_to("http://[half")))
        with pytest.raises(EndpointError, match=r"experiments/search redirects to another address"):
            list(server.experiments.list())

    @pytest.mark.parametrize(
        "fault",
        [
            answer(507),
            answer_with('{"message": "[Errno 28] No space left on device: \'/a\'"}', 500),
            answer_with("<h1>OSError: [Errno 122] Disk quota exceeded</h1>", 500, "text/html"),
            answer_with("(sqlite3.OperationalError) database or disk is full", 500, "text/plain"),
            answer_with('{"message": "(sqlite3.OperationalError) database or disk is full"}', 503),
        ],
        ids=["507", "no space", "quota", "database", "database of MLflow 3"],
    )
    def test_a_server_without_room_says_so_at_once(
        self, server: Target, proxy: Proxy, pauses: list[float], fault: Fault
    ) -> None:
        proxy.faults = Faults(always(TAG, fault))
        with pytest.raises(StorageFull, match="target http") as caught:
            server.experiments.set_tags("0", {"a": "b"})
        assert "make room where the target keeps its files" in caught.value.hint
        assert (len(proxy.matching(TAG)), pauses) == (1, [])

    @pytest.mark.parametrize("code", ["ABORTED", "RESOURCE_CONFLICT", "COULD_NOT_ACQUIRE_LOCK"])
    def test_what_another_request_was_in_the_way_of_is_asked_again(
        self, server: Target, proxy: Proxy, pauses: list[float], code: str
    ) -> None:
        body = f'{{"error_code": "{code}", "message": "another transaction"}}'
        proxy.faults = Faults(on_nth(TAG, 1, answer_with(body, 409)))
        server.experiments.set_tags("0", {"a": "b"})
        assert len(proxy.matching(TAG)) == 2

    @pytest.mark.parametrize(
        "code",
        [404, ["RESOURCE_DOES_NOT_EXIST"], None],
        ids=["number", "list", "null"],
    )
    def test_an_error_code_that_is_no_word_says_nothing_of_an_object(
        self, server: Target, proxy: Proxy, code: object
    ) -> None:
        """Older parts of Databricks have the status there: that is not MLflow saying "gone"."""
        body = json.dumps({"error_code": code, "message": "nothing here"})
        proxy.faults = Faults(always(TAG, answer_with(body, 404)))
        with pytest.raises(NoSuchRoute):
            server.experiments.set_tags("0", {"a": "b"})

    @pytest.mark.parametrize(
        ("words", "passes"),
        [
            (
                "(sqlite3.IntegrityError) UNIQUE constraint failed: inputs.input_uuid [SQL: "
                "INSERT] (Background on this error at: https://sqlalche.me/e/20/gkpj)",
                True,
            ),
            (
                "(raised as a result of Query-invoked autoflush) (psycopg2.errors.UniqueViolation) "
                "duplicate key (Background on this error at: https://sqlalche.me/e/20/gkpj)",
                True,
            ),
            (
                "(pymysql.err.IntegrityError) (1062, 'Duplicate entry') "
                "(Background on this error at: https://sqlalche.me/e/14/gkpj)",
                True,
            ),
            ("Tag value 'sqlite3.IntegrityError: UNIQUE constraint failed' is too long", False),
            ("Tag value '(sqlite3.IntegrityError) UNIQUE constraint failed' is too long", False),
            (
                "(sqlite3.DataError) too long [SQL: INSERT] [parameters: "
                "('(sqlite3.IntegrityError)',)] (Background on this error at: "
                "https://sqlalche.me/e/20/9h9h)",
                False,
            ),
        ],
    )
    def test_a_race_is_told_by_what_the_database_says_and_not_by_words_of_users(
        self, proxy: Proxy, pauses: list[float], words: str, passes: bool
    ) -> None:
        proxy.faults = Faults(always(SEARCH, refused_with(words)))
        http = http_module.HttpSession(Access(proxy.uri), side="source", workers=1)
        error = Unavailable if passes else Refused
        with closing(http), pytest.raises(error, match="answered 400"):
            http.ask("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})
        assert len(proxy.matching(SEARCH)) == (7 if passes else 1)

    @pytest.mark.parametrize(
        ("status", "words"), [(429, "request quota exceeded"), (500, "quota of requests exceeded")]
    )
    def test_a_limit_of_requests_is_no_full_disk(
        self, server: Target, proxy: Proxy, pauses: list[float], status: int, words: str
    ) -> None:
        fault = answer_with(f'{{"message": "{words}"}}', status)
        proxy.faults = Faults(on_nth(TAG, 1, fault))
        server.experiments.set_tags("0", {"a": "b"})
        assert len(proxy.matching(TAG)) == 2

    @pytest.mark.parametrize(
        "said",
        [
            "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 ",
            "(psycopg2.InterfaceError) connection already closed\n[SQL: SELECT 1]\n",
            "(psycopg2.errors.InFailedSqlTransaction) current transaction is aborted, commands "
            "ignored until end of transaction block\n[SQL: SELECT 1]\n",
            "(psycopg2.DatabaseError) SSL SYSCALL error: EOF detected\n",
            "Can't reconnect until invalid transaction is rolled back.  Please rollback() fully "
            "before proceeding ",
            "This Session's transaction has been rolled back due to a previous exception during "
            "flush. ",
            "(pymysql.err.InternalError) Packet sequence number wrong - got 1 expected 2\n",
            "(pyodbc.Error) ('40001', 'Transaction was deadlocked on lock resources')\n",
            f"(psycopg2.InterfaceError) cursor already closed\n[SQL: INSERT {'x' * 9_000}]\n",
        ],
    )
    def test_a_database_that_may_do_later_what_it_refuses_now_is_asked_again(
        self, server: Target, proxy: Proxy, pauses: list[float], said: str
    ) -> None:
        told = f"{said}(Background on this error at: https://sqlalche.me/e/20/3o7r)"
        proxy.faults = Faults(on_nth(TAG, 1, refused_with(told)))
        server.experiments.set_tags("0", {"a": "b"})
        assert (len(proxy.matching(TAG)), len(pauses)) == (2, 1)

    @pytest.mark.parametrize(
        "said",
        [
            "(psycopg2.errors.StringDataRightTruncation) value too long for type character\n"
            "[SQL: INSERT]\n[parameters: {'value': 'connection already closed'}]\n"
            "(Background on this error at: https://sqlalche.me/e/20/9h9h)",
            "Invalid value 'QueuePool limit of size 5, connection timed out' for a tag",
        ],
        ids=["in a statement", "by MLflow itself"],
    )
    def test_words_of_users_do_not_make_a_refusal_one_that_passes(
        self, server: Target, proxy: Proxy, pauses: list[float], said: str
    ) -> None:
        proxy.faults = Faults(always(SEARCH, refused_with(said)))
        with pytest.raises(Refused):
            list(server.experiments.list())
        assert pauses == []

    def test_words_of_users_do_not_make_a_full_disk(
        self, server: Target, proxy: Proxy, pauses: list[float]
    ) -> None:
        said = (
            "(sqlite3.OperationalError) database is locked\n[SQL: INSERT]\n"
            "[parameters: ('a', 'No space left on device')]\n"
        )
        proxy.faults = Faults(on_nth(TAG, 1, answer_with(json.dumps({"message": said}), 503)))
        server.experiments.set_tags("0", {"a": "b"})
        assert len(pauses) == 1

    def test_the_servers_own_words_are_kept(self, server: Target, unique_name: str) -> None:
        with pytest.raises(NotFound, match=r"No Experiment with id=987654321"):
            server.experiments.set_tags("987654321", {"a": "b"})
        with pytest.raises(Refused, match=r"answered 400: .*name"):
            server.experiments.create(experiment(""))
        server.experiments.create(experiment(unique_name))
        with pytest.raises(AlreadyExists, match=unique_name):
            server.experiments.create(experiment(unique_name))

    def test_credentials_have_a_hint_with_the_side_they_are_for(
        self, open_server: Open, proxy: Proxy
    ) -> None:
        proxy.faults = Faults(always(("*", ""), answer(401)))
        with pytest.raises(NotAuthenticated) as caught:
            open_server(side="source").capabilities()
        assert "MIGRATE_SOURCE_TRACKING_USERNAME" in caught.value.hint
        assert len(proxy.requests) == 1

    def test_nobody_listening_is_told_soon_and_plainly(self, pauses: list[float]) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            uri = f"http://ada:s3cret@127.0.0.1:{held.getsockname()[1]}"
            server = open_source(Address(uri=uri, side="source"))
            with closing(server), pytest.raises(Unavailable) as caught:
                server.capabilities()
        assert "cannot reach the source at http://127.0.0.1:" in caught.value.message
        assert "Connection refused" in caught.value.message
        assert "s3cret" not in caught.value.message
        assert len(pauses) == 2

    def test_https_to_a_server_that_speaks_http_is_told(
        self, target_server: TrackingServerProcess
    ) -> None:
        uri = target_server.uri.replace("http:", "https:")
        server = open_source(Address(uri=uri, side="source"))
        words = "no secure connection to the source"
        with closing(server), pytest.raises(EndpointError, match=words) as caught:
            server.capabilities()
        assert "MIGRATE_SOURCE_TRACKING_SERVER_CERT_PATH" in caught.value.hint


class TestConnections:
    def test_calls_one_after_the_other_share_one_connection(
        self, open_server: Open, connects: list[float], unique_name: str
    ) -> None:
        server = open_server()
        ident = server.experiments.create(experiment(unique_name))
        for n in range(10):
            server.experiments.set_tags(ident, {"n": str(n)})
        assert len(connects) == 1

    def test_threads_open_no_more_than_they_may_use(
        self, open_server: Open, connects: list[float], unique_name: str
    ) -> None:
        server = open_server(workers=3)
        ident = server.experiments.create(experiment(unique_name))
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda _: server.runs.find(ident), range(24)):
                pass
        assert len(connects) <= 3

    def test_no_more_requests_are_under_way_than_allowed(
        self, open_server: Open, proxy: Proxy
    ) -> None:
        server = open_server(workers=3)
        counting = threading.Lock()
        under_way: list[int] = [0]
        seen: list[int] = []

        def count(change: int) -> Callable[[], None]:
            def callback() -> None:
                with counting:
                    under_way[0] += change
                    seen.append(under_way[0])

            return callback

        slow = Fault(before=count(1), after=count(-1), delay_before=0.02)
        proxy.faults = Faults(always(SEARCH, slow))
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda _: list(server.experiments.list()), range(12)):
                pass
        assert 2 <= max(seen) <= 3

    def test_one_that_rested_too_long_is_not_used_again(
        self,
        open_server: Open,
        connects: list[float],
        monkeypatch: pytest.MonkeyPatch,
        unique_name: str,
    ) -> None:
        server = open_server()
        ident = server.experiments.create(experiment(unique_name))
        ahead = 0.0
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
        monkeypatch.setattr(connections, "time", clock)
        for ahead, opened in ((0.5, 1), (4.0, 1), (8.2, 2), (8.3, 2)):
            server.experiments.set_tags(ident, {"at": str(ahead)})
            assert len(connects) == opened

    @pytest.mark.parametrize(
        ("opening", "answering", "renewed_after"),
        [
            (0.0, 0.0, connections.LIFE_SECONDS),
            (0.05, 0.0, 2.0),
            (0.5, 0.1, 20.0),
            (0.0, 0.1, 4.0),
        ],
    )
    def test_one_is_renewed_the_later_the_longer_another_may_take(
        self,
        open_server: Open,
        monkeypatch: pytest.MonkeyPatch,
        opening: float,
        answering: float,
        renewed_after: float,
    ) -> None:
        """All of them may be with one worker of a server, and stay there."""
        now, opened = [1000.0], [0]
        monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(connections, "IDLE_SECONDS", 100.0)
        connect, getresponse = HTTPConnection.connect, HTTPConnection.getresponse

        def slow(connection: HTTPConnection) -> None:
            now[0] += opening
            opened[0] += 1
            connect(connection)

        def late(connection: HTTPConnection) -> BaseHTTPResponse:
            now[0] += answering
            return getresponse(connection)

        monkeypatch.setattr(HTTPConnection, "connect", slow)
        monkeypatch.setattr(HTTPConnection, "getresponse", late)
        server = open_server()
        server.experiments.set_tags("0", {"n": "0"})
        for part, number in ((0.8, 1), (0.2, 2), (0.8, 2), (0.2, 3)):
            now[0] += part * renewed_after + 0.01
            server.experiments.set_tags("0", {"n": f"{now[0]}"})
            assert opened[0] == number

    def test_a_rate_limit_holds_for_all_threads(self, open_server: Open, proxy: Proxy) -> None:
        server = open_server(per_second=50.0)
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda _: list(server.experiments.list()), range(11)):
                pass
        # Eleven starts at fifty a second: ten gaps of 20 ms.
        assert time.monotonic() - started >= 0.2


def test_no_password_is_in_the_log(
    open_server: Open, proxy: Proxy, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    proxy.faults = Faults(on_nth(SEARCH, 1, answer(503)))
    server = open_server(uri=proxy.uri.replace("//", "//ada:s3cret@"))
    list(server.experiments.list())
    assert "trying again" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_path_in_the_uri_goes_before_every_call(proxy: Proxy, open_server: Open) -> None:
    with pytest.raises(EndpointError, match="not an MLflow tracking server"):
        open_server(uri=f"{proxy.uri}/prefix/").capabilities()
    assert proxy.requests
    assert all(exchange.path.startswith("/prefix/") for exchange in proxy.requests)
