"""Recognises what is answered in the server's place: a web page, or the way to another address.

Both are what a gateway does with whoever has to log in first. Where files are asked for, a web page
and the way to a login end the migration as wrong credentials do: every other file would fail alike.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

from migrate.endpoints.tracking.http.streams import body_of
from migrate.errors import EndpointError, Malformed, NotAuthenticated
from migrate.redaction import cut, shown_address

_PAGE = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|!--)", re.IGNORECASE)
#: In the host or path of an address.
_LOGIN = re.compile(r"log-?in|sign-?in|logon|auth|sso\b|saml|oidc", re.IGNORECASE)
HTML = "text/html"


class WebPage(Malformed):
    """A web page was answered in place of MLflow's JSON, or of a file."""


class Redirected(EndpointError):
    """The answer is that another address should be asked, which may be one to log in at."""

    def __init__(self, message: str, hint: str = "", *, to_login: bool = False) -> None:
        super().__init__(message, hint)
        self.to_login = to_login


def is_page(content: bytes) -> bool:
    """Say whether a body is a web page."""
    return _PAGE.match(content) is not None


def redirected(where: str, url: str, location: str) -> Redirected:
    """Return the error for an answer to ``url`` that leads to ``location``."""
    try:
        address = shown_address(urljoin(url, location)) if location else ""
    except ValueError:
        address = ""
    told = repr(cut(address, 300))[1:-1]
    return Redirected(
        f"{where} redirects to another address{': ' * bool(told)}{told}",
        "is it a login page? Then give credentials that the gateway takes; else give the final "
        "address of the MLflow server as the URI",
        to_login=_LOGIN.search(address) is not None,
    )


@contextmanager
def pages_are_logins(side: str) -> Iterator[None]:
    """Raise ``NotAuthenticated`` for what a gateway answered in place of files of the ``side``."""
    try:
        yield
    except (WebPage, Redirected) as problem:
        if isinstance(problem, Redirected) and not problem.to_login:
            raise
        raise NotAuthenticated(
            problem.message,
            f"log in at the gateway before the {side}: set MIGRATE_{side.upper()}_TRACKING_USERNAME"
            " and _PASSWORD (or _TOKEN), or have the gateway pass on what is asked for artifacts",
        ) from None


def file_in(response: Any, path: str, what: str) -> Any:
    """Return the body of an answer that should be the file ``path``. Raises ``WebPage``.

    MLflow says ``text/html`` of files whose name says so, and names every file that it sends.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if (
        kind == HTML
        and mimetypes.guess_type(path)[0] != HTML
        and "Content-Disposition" not in response.headers
    ):
        raise WebPage(f"{what}: a web page was answered in its place")
    return body_of(response, what)
