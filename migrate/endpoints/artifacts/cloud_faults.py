"""Whether what a storage library raised may pass by itself.

boto3, the libraries of Google and Azure, and MLflow share no base class, and most of what they
raise is no ``OSError``. Each keeps the status of the answer in a place of its own, and MLflow's
``download_artifacts`` keeps of an error its text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from migrate.endpoints.failures import TRANSIENT

#: Classes, by name, that stand for a connection: of botocore, urllib3, Azure, Google and MLflow.
_CONNECTION = frozenset(
    (
        "ConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ResponseStreamingError",
        "ServiceRequestError",
        "ServiceResponseError",
        "TransportError",
        "RetryError",
        "ProtocolError",
        "TimeoutError",
    )
)
_WORDS = re.compile(
    r"\b(SlowDown|ServiceUnavailable|InternalError|RequestTimeout|Throttl\w+|ServerBusy"
    r"|OperationTimedOut|TEMPORARILY_UNAVAILABLE|REQUEST_LIMIT_EXCEEDED)\b"
    r"|\b(EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|IncompleteRead"
    r"|ResponseStreaming|Protocol)Error\b"
    r"|Connection (reset|aborted|broken|refused)|timed out|Could not connect to the endpoint"
    r"|\b(429|50[0234]) (Server|Client) Error\b"
)


def may_pass(problem: BaseException) -> bool:
    """Say whether the same call may do later; False where nothing speaks for it."""
    return any(_speaks_for_it(it) for it in _chain(problem))


def _speaks_for_it(problem: BaseException) -> bool:
    status = _status(problem)
    if status is not None:
        return status in TRANSIENT
    names = {kind.__name__ for kind in type(problem).__mro__}
    return bool(names & _CONNECTION) or _WORDS.search(str(problem)) is not None


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield an error and those it was raised from."""
    seen: set[int] = set()
    found: BaseException | None = problem
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _status(problem: BaseException) -> int | None:
    """Return the status of the answer that an error tells of, if it tells of one."""
    answer = getattr(problem, "response", None)
    if isinstance(answer, dict):  # botocore's ClientError
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:  # requests' HTTPError; Azure's HttpResponseError; Google's GoogleAPICallError
        status = (
            getattr(answer, "status_code", None)
            or getattr(problem, "status_code", None)
            or getattr(problem, "code", None)
        )
    return int(status) if isinstance(status, int) else None
