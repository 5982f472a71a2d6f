"""Sends requests by the pool of connections itself.

A ``requests.Session`` merges headers, looks for proxies, cookies and TLS settings, and copies all
of that, for each request anew: with small ones that is half of a client's work. For one server it
stays the same. Where it does not, with a login that signs each request, behind a proxy, and once a
server has set a cookie, the session does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import requests
from requests.cookies import extract_cookies_to_jar
from requests.utils import check_header_validity, select_proxy
from urllib3 import Timeout

from migrate.endpoints.tracking.http.connections import PromptAdapter

_PATHS_KEPT = 256
#: Requests without a body that say nothing of its length.
_BODILESS = ("GET", "HEAD")


class _Ready(NamedTuple):
    """What is the same for all requests: the pool of connections, headers, how often to try."""

    pool: Any
    headers: Mapping[str, str]
    retries: Any


class Direct:
    """Requests to one server, as a session would send them."""

    def __init__(self, session: requests.Session, base: str) -> None:
        self._session = session
        self._base = base
        self._ready: _Ready | None = None
        self._target_of = lru_cache(_PATHS_KEPT)(self._prepared)

    @property
    def is_possible(self) -> bool:
        """Whether a request needs nothing that only the session knows."""
        session = self._session
        proxy = session.proxies and select_proxy(self._base, session.proxies)
        special = proxy or session.cookies or callable(session.auth)
        # An adapter of another kind may have more to do with a request than to send it.
        return not special and type(session.get_adapter(self._base)) is PromptAdapter

    def _prepare(self) -> _Ready:
        session = self._session
        first = session.prepare_request(requests.Request("GET", self._base))
        assert first.url is not None
        adapter = session.get_adapter(first.url)
        assert isinstance(adapter, PromptAdapter)
        tls = (session.verify, session.cert)
        pool = adapter.get_connection_with_tls_context(first, session.verify, cert=session.cert)
        adapter.cert_verify(pool, first.url, *tls)  # type: ignore[no-untyped-call]
        return _Ready(pool, dict(first.headers), adapter.max_retries)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float],
    ) -> requests.Response:
        """Send a request, and return the answer with its body still to be read.

        Raises the errors of urllib3, ``OSError`` for TLS settings that name no file, and
        ``ValueError`` as requests does.
        """
        ready = self._ready = self._ready or self._prepare()
        url, target = self._target_of(path)
        if params is not None:
            if (query := _query(params)) and "?" not in target:
                url, target = f"{url}?{query}", f"{target}?{query}"
            else:
                url, target = self._prepared(path, params)
        for header in (headers or {}).items():
            check_header_validity(header)
        sent = {**ready.headers, **(headers or {})}
        if data or method not in _BODILESS:
            sent["Content-Length"] = str(len(data)) if data else "0"
        raw = ready.pool.urlopen(
            method,
            target,
            body=data or None,
            headers=sent,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=ready.retries,
            # Not in this order: the first of a ``Timeout`` is for all together.
            timeout=Timeout(connect=timeout[0], read=timeout[1]),
        )
        if "Set-Cookie" in raw.headers:
            request = self._session.prepare_request(requests.Request(method, url))
            extract_cookies_to_jar(  # type: ignore[no-untyped-call]
                self._session.cookies, request, raw
            )
        return _Answer(raw, method, url)

    def _prepared(self, path: str, params: Any = None) -> tuple[str, str]:
        """Return the address of a request, and what of it goes to the server."""
        request = requests.PreparedRequest()
        request.prepare_url(self._base + path, params)
        assert request.url is not None
        return request.url, request.path_url


def _query(params: Any) -> str:
    """Return plain texts and numbers as a query, written as requests does; empty for others."""
    pairs = list(params.items() if isinstance(params, Mapping) else params)
    if any(type(value) not in (str, int) for _, value in pairs):
        return ""
    return urlencode(pairs)


class _Answer(requests.Response):
    """An answer of a pool, without the parts of one of requests that nobody here looks at."""

    def __init__(self, raw: Any, method: str, url: str) -> None:
        self._content: Any = False
        self._content_consumed = False
        self._next = None
        self.history = []
        self.encoding = None
        self.raw = raw
        self.status_code = raw.status
        self.reason = raw.reason
        self.headers = raw.headers
        self.url = url
        self.request = requests.PreparedRequest()
        self.request.method, self.request.url = method, url
