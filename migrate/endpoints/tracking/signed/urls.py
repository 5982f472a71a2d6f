"""Requests to storages through signed URLs, which are keys: no message, log or ``repr`` has one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ProxyError, SSLError
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import NewConnectionError

from migrate.endpoints.failures import TRANSIENT
from migrate.endpoints.tracking.http.session import TIMEOUT
from migrate.errors import EndpointError, NotFound, Unavailable

log = logging.getLogger(__name__)

TRIES = 4
#: Connections to one storage that are kept for the next request.
CONNECTIONS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signed:
    """A URL for one file, or a part of it; whoever has it needs no login."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    kind: str = ""


class NoConnection(Unavailable):
    """There is no way from here to the storage: not by any URL."""


class RunOut(Unavailable):
    """The storage does not take the signature (any more): a fresh URL is worth a try."""


def send(
    method: str, signed: Signed, what: str, *, headers: Mapping[str, str] | None = None, **body: Any
) -> requests.Response:
    """Send one request to a storage; return its answer of success, whose body is not read yet.

    No redirect is followed, no login and no cookie of ours is sent along. ``what`` is the name of
    the file in messages. Raises ``NoConnection``, ``RunOut``, ``Unavailable`` for what may pass,
    ``NotFound`` and ``EndpointError``.
    """
    try:
        response = _storages().request(
            method,
            signed.url,
            headers=CaseInsensitiveDict({**signed.headers} | {**(headers or {})}),
            # Else a login of ~/.netrc is added, which storages refuse beside a signature.
            auth=lambda request: request,
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
            **body,
        )
    except requests.ConnectionError as problem:
        raise _silent(NoConnection if _is_away(problem) else Unavailable, what, problem) from None
    except (requests.RequestException, ValueError, OSError) as problem:
        raise _silent(Unavailable, what, problem) from None
    if 200 <= response.status_code < 300:
        return response
    response.close()
    status = response.status_code
    if status == 404:
        raise NotFound(f"{what} is not in its storage")
    if status in (401, 403):
        raise RunOut(f"{what}: its storage answered {status}")
    if status in TRANSIENT:
        raise Unavailable(f"{what}: its storage answered {status}")
    raise EndpointError(f"{what}: its storage answered {status}")


def patiently(attempt: Callable[[], T], tries: int = TRIES) -> T:
    """Return what ``attempt`` returns, which is tried again after ``Unavailable``."""
    pause = 0.25
    for left in range(tries - 1, -1, -1):
        try:
            return attempt()
        except Unavailable as problem:
            if not left:
                raise
            log.debug("trying again (%d left): %s", left, problem)
            time.sleep(pause)
            pause *= 4
    raise AssertionError("tries is at least 1")


def _silent(kind: type[Unavailable], what: str, problem: Exception) -> Unavailable:
    return kind(f"{what}: no answer from its storage: {type(problem).__name__}")


def _is_away(problem: requests.ConnectionError) -> bool:
    """Say whether there was no connection: one that is lost later may have been a good one."""
    if isinstance(problem, requests.ConnectTimeout | SSLError | ProxyError):
        return True
    inner = problem.args[0] if problem.args else None
    return isinstance(getattr(inner, "reason", None), NewConnectionError)


@cache
def _storages() -> requests.Session:
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
    return session
