"""Which of our errors an answer stands for that is none of success; why there is no answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from migrate.endpoints.failures import (
    INSUFFICIENT,
    TRANSIENT,
    database_may_recover,
    is_race,
    says_full,
    storage_full,
)
from migrate.endpoints.shapes import parse_json
from migrate.endpoints.tracking.http.login_pages import redirected
from migrate.errors import (
    AlreadyExists,
    AnswerLost,
    Malformed,
    NoSuchRoute,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    ServerFault,
    Unavailable,
)
from migrate.redaction import cut

#: Bytes of an answer that is none of success; MLflow's own are a few hundred.
LONGEST_ERROR = 1 << 20
#: Answered with 500 or 503, but the same on every try.
PERMANENT_CODES = frozenset({"FEATURE_DISABLED", "NOT_IMPLEMENTED"})
#: Answered with 500 whenever it is asked (seen on 3.17.2): a version of a logged model that is
#: not there, and a row of a run that lacks something.
PERMANENT_TEXT = re.compile(r"Unable to fetch model from model URI|\A\w+ cannot be None\Z")
#: Said by a server that lets no file through itself (``mlflow.server.artifact_transfer``, 3.18).
PRESIGNED_ONLY = re.compile(r"artifacts to be (up|down)loaded directly (to|from) storage")

#: Another request was in the way (Databricks and MLflow answer with 409): later it may not be.
CONCURRENCY_CODES = frozenset({"ABORTED", "RESOURCE_CONFLICT", "COULD_NOT_ACQUIRE_LOCK"})

#: Answered by a server whose disk, or that of its database, is full: SQLite's error is a 503.
FULL = frozenset({500, 503})

#: The code that goes with 404 where it is about the route (Databricks, and read in MLflow).
NO_ROUTE = "ENDPOINT_NOT_FOUND"


class PresignedOnly(NotPermitted):
    """The server lets no file through itself: it signs URLs for them."""


def refuse(response: requests.Response, side: str, base: str) -> NoReturn:
    """Raise the error that an answer of the ``side`` at ``base`` stands for.

    Only MLflow's own error code says that an object is not there: without one a 404 is of
    whoever knows no such route.
    """
    status = response.status_code
    path = response.request.path_url.partition("?")[0]
    where = f"{side} {base}{path}"
    retry_after = retry_after_of(response)
    try:
        code, message, full, passes = _told_by(response)
    except (HTTPError, OSError) as problem:
        # Half an answer does not tell who refuses, and why.
        raise Unavailable(
            f"{where} answered {status}, and the answer broke off: {type(problem).__name__}",
            retry_after=retry_after,
        ) from None
    text = f"{where} answered {status}: {message or code or response.reason}"
    if code in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS") or (status == 409 and not passes):
        raise AlreadyExists(text)
    if status == INSUFFICIENT or (status in FULL and full):
        raise storage_full(text, side)
    permanent = code in PERMANENT_CODES or PERMANENT_TEXT.search(message) is not None
    if passes or (status in TRANSIENT and not permanent):
        at_fault = status == 500 and not passes
        raise (ServerFault if at_fault else Unavailable)(text, retry_after=retry_after)
    match status:
        case 401:
            raise NotAuthenticated(
                f"the {side} at {base} does not accept the credentials (401)",
                f"set MIGRATE_{side.upper()}_TRACKING_USERNAME and _PASSWORD (or _TOKEN), "
                "or write user:password@ into the URI",
            )
        case 403 if PRESIGNED_ONLY.search(message):
            raise PresignedOnly(
                text,
                f"start the {side} without MLFLOW_ARTIFACTS_PRESIGNED_ONLY while this runs: files "
                "go through it",
            )
        case 403:
            raise NotPermitted(text, f"use an account that may do this on the {side}")
        case 404 if code in ("", NO_ROUTE):
            raise NoSuchRoute(
                text,
                f"have the gateway before the {side} pass this route on; or is the server older "
                "than the route?",
            )
        case 404:
            raise NotFound(text)
    if 300 <= status < 400:
        raise redirected(where, base + path, response.headers.get("Location", ""))
    raise Refused(text, code=code)


class _Told(NamedTuple):
    """MLflow's error code and message, empty where an answer has none.

    Whether it says, in whatever form, that there is no room left, and that the server may do later
    what it does not do now.
    """

    code: str
    message: str
    full: bool
    passes: bool


def _told_by(response: requests.Response) -> _Told:
    content = response.raw.read(LONGEST_ERROR, decode_content=True)
    try:
        body = parse_json(content)
        code, message = _code_of(body), str(body.get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        return _Told("", "", says_full(content.decode("utf-8", "replace")), passes=False)
    passes = code in CONCURRENCY_CODES or is_race(message)
    passes = passes or (code == "BAD_REQUEST" and database_may_recover(message))
    return _Told(code, cut(message, 500), says_full(message), passes)


def _code_of(body: Mapping[str, Any]) -> str:
    """Return MLflow's error code; older parts of Databricks have the status there, a number."""
    code = body.get("error_code", "")
    return code if isinstance(code, str) else ""


def retry_after_of(response: requests.Response) -> float | None:
    """Return the seconds that an answer asks to wait before the next try, None for no such."""
    value = response.headers.get("Retry-After")
    if not value:
        return None
    try:
        return min(float(Retry(0).parse_retry_after(value)), 300.0)
    except Exception:  # urllib3 raises its own InvalidHeader for text that is no date
        return None


def reason_of(problem: BaseException) -> str:
    """Return the innermost reason of a requests/urllib3 error, without addresses of objects."""
    reason: Any = problem
    while True:
        inner = getattr(reason, "reason", None) or (
            reason.args[0] if reason.args and isinstance(reason.args[0], Exception) else None
        )
        if not isinstance(inner, Exception):
            break
        reason = inner
    # urllib3 puts the connection before it: "<... object at 0x...>: ", or "Name(host=..., ...): ".
    text = re.sub(r"^\w+\(host=[^)]*\): ", "", str(reason).rpartition(">: ")[2])
    return cut(text or type(reason).__name__, 300)


@contextmanager
def read_once() -> Iterator[None]:
    """Read the answer to a create: when it makes no sense, nobody knows what was created.

    Raises ``AnswerLost`` in place of ``Malformed``.
    """
    try:
        yield
    except Malformed as problem:
        raise AnswerLost(
            problem.message,
            "is there a proxy before the server that answers in its place?",
        ) from None
