"""One server's calls: bounded, rate-limited, retried where harmless, errors translated.

Reads and writes that may be repeated (``idempotent``) are tried again here after no answer,
408, 429, 500, 502, 503 and 504. Creates are sent once: when no clear answer comes they end in
``AnswerLost``, and after as long again the caller looks for the object before it tries again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NoReturn

import requests
from urllib3.exceptions import HTTPError, SSLError

from migrate.endpoints.shapes import Named, parse_json
from migrate.endpoints.tracking.http.access import DEFAULT_WORKSPACE, Access
from migrate.endpoints.tracking.http.bounds import Watch, bounds_from, paged, read_answer
from migrate.endpoints.tracking.http.connections import PromptAdapter
from migrate.endpoints.tracking.http.direct import Direct
from migrate.endpoints.tracking.http.errors import reason_of, refuse
from migrate.endpoints.tracking.http.forms import Form
from migrate.endpoints.tracking.http.login_pages import (
    WebPage,
    is_page,
    pages_are_logins,
)
from migrate.endpoints.tracking.http.silence import Silence, has_items
from migrate.endpoints.tracking.http.streams import sized
from migrate.errors import (
    AnswerLost,
    EndpointError,
    Malformed,
    Refused,
    ServerFault,
    Unavailable,
)
from migrate.shares import Limits
from migrate.storable import Unstorable, storable_json

log = logging.getLogger(__name__)

TRIES = 7
CONNECT_TRIES = 3
LONGEST_PAUSE = 10.0
#: Seconds after which a create that got no answer is looked for, at the latest.
LONGEST_DOUBT = 120.0
TIMEOUT = (10.0, 120.0)


class HttpSession:
    """Calls one server with at most ``workers`` requests under way at a time."""

    def __init__(
        self, access: Access, *, side: str, workers: int, per_second: float | None = None
    ) -> None:
        self._side = side
        self._base = access.base_url
        self._username = access.username or ""
        self._workspace = access.workspace or DEFAULT_WORKSPACE
        self._session = requests.Session()
        adapter = PromptAdapter(workers)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        access.apply(self._session)
        self._direct = Direct(self._session, self._base)
        #: What this side allows; requests to a storage for its files keep to it too.
        self.limits = Limits(workers, per_second)
        #: Called before each request that is sent once, in its thread.
        self.before_creating: Callable[[], None] | None = None
        self._bounds = bounds_from()
        self._watch = Watch()
        #: What is thought of routes that answer with nothing.
        self.silence = Silence(self._ask_once_more, self._where)

    @property
    def side(self) -> str:
        """Which side of a migration the server is: source or target."""
        return self._side

    @property
    def username(self) -> str:
        """Whom the server knows us as; empty where we log in otherwise, or not at all."""
        return self._username

    @property
    def workspace(self) -> str:
        """The workspace that all calls are about; that by default where there are none."""
        return self._workspace

    @property
    def base_url(self) -> str:
        """The server's address, without credentials."""
        return self._base

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def get(self, path: str, params: Any = None, *, tries: int = TRIES) -> Any:
        """GET and return the JSON answer."""
        return self._json("GET", path, params=params, tries=tries)

    def text(self, path: str, *, tries: int = TRIES) -> str:
        """GET and return the answer as text."""

        def attempt() -> str:
            with self._sent("GET", path) as response:
                return read_answer(response, self._where(path), self._bounds).decode(
                    "utf-8", "replace"
                )

        return str(self._retry(attempt, tries))

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        idempotent: bool,
        tries: int = TRIES,
        fault_tries: int = TRIES,
    ) -> Any:
        """POST JSON and return the JSON answer; sent once unless ``idempotent``.

        ``fault_tries`` is how often it is sent where the server answers 500.
        """
        if not idempotent and self.before_creating is not None:
            self.before_creating()
        data = self._body(path, body)
        tries = tries if idempotent else 1
        return self._json("POST", path, data=data, tries=tries, fault_tries=fault_tries)

    def post_form(self, path: str, form: Form) -> Any:
        """POST a form, once, as a create; return the JSON answer."""
        if self.before_creating is not None:
            self.before_creating()
        return self._json("POST", path, data=form, content_type=form.content_type, tries=1)

    def change(
        self, method: str, path: str, body: Mapping[str, Any], *, fault_tries: int = TRIES
    ) -> Any:
        """Send JSON by any method in a request that may be repeated; return the JSON answer.

        ``fault_tries`` as in ``post``.
        """
        data = self._body(path, body)
        return self._json(method, path, data=data, tries=TRIES, fault_tries=fault_tries)

    def _body(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Return a body as JSON. Raises ``Refused`` for what MLflow would drop unnoticed.

        Its parser stops at the first value that it does not take, and the server carries out what
        was read until then: bare NaN tokens, integers beyond 64 bits, halves of characters.
        """
        try:
            return storable_json(body)
        except Unstorable as problem:
            raise Refused(
                f"not sent to {self._where(path)}: {problem.place} holds half a character, or "
                "a number that is beyond 64 bits or none: no MLflow server stores it",
                "change it at the source, or leave the object out",
            ) from None

    def ask(self, method: str, path: str, request: Mapping[str, Any], *, tries: int = TRIES) -> Any:
        """GET, or POST what may be repeated, and return the JSON answer."""
        if method == "GET":
            return self.get(path, request, tries=tries)
        return self.post(path, request, idempotent=True, tries=tries)

    def pages(self, path: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """POST a search and yield its pages, as ``paged`` does."""
        return self._pages("POST", path, body)

    def get_pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """GET a search and yield its pages, likewise."""
        return self._pages("GET", path, params)

    def _pages(
        self, method: str, path: str, request: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        def ask(token: str) -> Any:
            return self.ask(method, path, {**request, "page_token": token} if token else request)

        return self.searched(method, path, request, ask)

    def searched(
        self, method: str, path: str, request: Mapping[str, Any], ask: Callable[[str], Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a search as ``paged`` does; one that finds nothing is looked at."""
        found = False
        for page in self.paged(path, ask):
            found = found or has_items(page)
            yield page
        if not found:
            self.silence.look_at(method, path, request)

    def paged(self, path: str, ask: Callable[[str], Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a search that ``ask`` returns for their tokens, as ``paged`` does."""
        return paged(ask, self._where(path), self._bounds)

    def put(self, path: str, stream: BinaryIO, size: int, what: str) -> None:
        """PUT a file of ``size`` bytes; tried again where the stream can be rewound.

        ``what`` is its name in messages. A web page as the answer is that of a login.
        """
        again = stream.seekable()

        def body() -> Any:
            if not size:
                return b""
            if again:
                stream.seek(0)
            return sized(stream, size, what)

        def attempt() -> None:
            headers = {"Content-Type": "application/octet-stream"}
            with self._sent("PUT", path, size, data=body(), headers=headers) as response:
                if is_page(read_answer(response, self._where(path), self._bounds)):
                    raise self._web_page(path)

        with pages_are_logins(self._side):
            self._retry(attempt, TRIES if again else 1)

    def post_message(self, path: str, message: bytes, headers: Mapping[str, str]) -> None:
        """POST a protobuf message, which may be repeated; what is answered says no more."""

        def attempt() -> None:
            with self._sent("POST", path, len(message), data=message, headers=headers) as response:
                if is_page(read_answer(response, self._where(path), self._bounds)):
                    raise self._web_page(path)

        self._retry(attempt, TRIES)

    @contextmanager
    def stream(
        self, path: str, params: Any = None, *, size: int = 0, tries: int = TRIES
    ) -> Iterator[requests.Response]:
        """GET a body of about ``size`` bytes as a stream.

        The request counts as under way until the block ends.
        """

        def attempt() -> tuple[requests.Response, ExitStack]:
            with ExitStack() as opened:
                request = self._sent("GET", path, size, speaks=False, params=params)
                return opened.enter_context(request), opened.pop_all()

        response, opened = self._retry(attempt, tries)
        with opened:
            try:
                yield response
            except (requests.RequestException, HTTPError, OSError) as problem:
                raise Unavailable(
                    f"{self._where(path)}: the answer broke off: {reason_of(problem)}"
                ) from None

    def _json(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        data: bytes | Form | None = None,
        content_type: str = "application/json",
        tries: int,
        fault_tries: int = TRIES,
    ) -> Any:
        headers = {"Content-Type": content_type} if data is not None else None

        def attempt() -> Any:
            size = len(data or b"")
            request = self._sent(method, path, size, params=params, data=data, headers=headers)
            with request as response:
                return self._answer(path, read_answer(response, self._where(path), self._bounds))

        began = time.monotonic()
        try:
            return self._retry(attempt, tries, fault_tries)
        except (Unavailable, Malformed) as problem:
            if tries > 1:
                raise
            # A gateway may have given up what the server is still at, which gets as long again.
            took = min(time.monotonic() - began, LONGEST_DOUBT)
            wait = max(getattr(problem, "retry_after", None) or 0.0, took)
            raise AnswerLost(problem.message, problem.hint, wait) from None

    def _answer(self, path: str, content: bytes) -> Named:
        """Return the JSON object of an answer. Raises ``Malformed``."""
        why = ""
        try:
            answer = parse_json(content) if content else {}
        except ValueError as problem:
            answer, why = None, f": {problem}"
        if is_page(content):
            raise self._web_page(path)
        if not isinstance(answer, dict):
            raise Malformed(
                f"{self._where(path)} answered with something that is not MLflow's JSON{why}",
                "is this URI an MLflow tracking server, without a login page before it?",
            )
        return Named(answer, f"the answer of {self._where(path)}")

    def _web_page(self, path: str) -> WebPage:
        return WebPage(
            f"{self._where(path)} answered with a web page, not MLflow's JSON",
            "is this URI an MLflow tracking server, without a login page before it?",
        )

    @contextmanager
    def _sent(
        self, method: str, path: str, size: int = 0, *, speaks: bool = True, **options: Any
    ) -> Iterator[requests.Response]:
        """Send once, and give the answer if it is one of success; its body is not read yet.

        All has to be done in the time that the bounds allow for ``size`` bytes.
        """
        seconds = self._bounds.seconds_for(size)
        with (
            self.limits.request(),
            self._watch.over(self._where(path), seconds, speaks=speaks) as wait,
            self._send(method, path, **options) as response,
        ):
            wait.answered()
            if not 200 <= response.status_code < 300:
                self._refuse(response)
            yield response

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._request(method, path, **options)
        except (requests.exceptions.SSLError, SSLError) as problem:
            raise self._insecure(problem) from None
        except (requests.RequestException, HTTPError, OSError) as problem:
            if isinstance(getattr(problem, "reason", None), SSLError):
                raise self._insecure(problem) from None
            raise Unavailable(
                f"cannot reach the {self._side} at {self._base}: {reason_of(problem)}",
                "is the server running, and the URI right?",
            ) from None
        except ValueError as problem:
            # requests reads where a redirect leads, though it is not to follow.
            raise EndpointError(
                f"the answer of {self._where(path)} makes no sense: {reason_of(problem)}",
                "is there a proxy before the server that answers in its place?",
            ) from None

    def _insecure(self, problem: Exception) -> EndpointError:
        return EndpointError(
            f"no secure connection to the {self._side} at {self._base}: {reason_of(problem)}",
            f"set MIGRATE_{self._side.upper()}_TRACKING_SERVER_CERT_PATH to its certificate",
        )

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        if self._direct.is_possible:
            return self._direct.send(method, path, timeout=TIMEOUT, **options)
        response: requests.Response = self._session.request(
            method,
            self._base + path,
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
            **options,
        )
        return response

    def _retry(self, attempt: Callable[[], Any], tries: int, fault_tries: int = TRIES) -> Any:
        pause = 0.25
        faults = 0
        for left in range(tries - 1, -1, -1):
            try:
                return attempt()
            except Unavailable as problem:
                faults += isinstance(problem, ServerFault)
                if not left or faults == fault_tries:
                    raise
                log.debug("trying again (%d left): %s", left, problem)
                wait = problem.retry_after
                if wait is None:
                    wait = pause * random.uniform(0.5, 1.5)
                time.sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE)
        raise AssertionError("tries is at least 1")

    def _where(self, path: str) -> str:
        return f"{self._side} {self._base}{path}"

    def _ask_once_more(
        self, method: str, path: str, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.ask(method, path, request, tries=CONNECT_TRIES)
        return answer

    def _refuse(self, response: requests.Response) -> NoReturn:
        refuse(response, self._side, self._base)
