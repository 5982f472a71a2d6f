"""Connections kept alive without the traps of an MLflow server.

* ``mlflow server`` with more than one worker answers on a socket without TCP_NODELAY, header
  and body apart; the kernel's delayed acknowledgement then holds back each answer for 40 ms.
  TCP_QUICKACK, set before sending and again before reading, avoids it (Linux only; the option
  does not stick). Measured on 3.17.2: 52 ms against 11 ms a small POST.
* uvicorn closes idle connections after 5.0 s; a create sent at that moment is lost without a
  trace, so connections idle for 4 s are not used again.
* A connection stays with the worker process of the server that took it, which serves one request
  at a time: all may be with one, and the others rest. So each is renewed now and then, and is taken
  by whoever has time. Measured on 3.17.2 with two workers: two connections with one of them
  write runs in 9.0 s, with both in 4.9 s.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

IDLE_SECONDS = 4.0
#: A connection is used for so many seconds, and so many times as long as a new one may take: as
#: it took to open, or to answer, behind what opens others in the server's place.
LIFE_SECONDS = 1.0
LIFE_OPENINGS = 40
#: Bytes read from a file and sent at a time.
UPLOAD_CHUNK = 1 << 18
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


#: The connection on which each thread last sent something.
_used_by: dict[int, PromptConnection] = {}


def used_by(thread: int) -> PromptConnection | None:
    """Return the connection on which a thread last sent something."""
    return _used_by.get(thread)


class PromptConnection(HTTPConnection):
    """Acknowledges at once; counts as dropped after ``IDLE_SECONDS`` of rest, and when renewed."""

    _used = 0.0
    _opened = 0.0
    _opening = 0.0
    _quickest = math.inf
    #: An answer that ends with its connection takes ``sock`` away from here.
    _in_use: socket.socket | None = None

    def _acknowledge_at_once(self) -> None:
        self._used = time.monotonic()
        _used_by[threading.get_ident()] = self
        if QUICKACK is not None and self.sock is not None:
            try:
                self.sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
            except OSError:
                # A socket that just broke: the request on it reports that better.
                return

    def cut(self) -> None:
        """Break the connection under whoever waits on it, from any thread."""
        if self._in_use is not None:
            with contextlib.suppress(OSError):
                self._in_use.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        started = time.monotonic()
        super().connect()
        self._opened = time.monotonic()
        self._opening, self._quickest = self._opened - started, math.inf

    @property
    def is_connected(self) -> bool:
        now = time.monotonic()
        rested = now - self._used > IDLE_SECONDS
        return not rested and now - self._opened <= self._lasts and super().is_connected

    @property
    def _lasts(self) -> float:
        answering = 0.0 if math.isinf(self._quickest) else self._quickest
        return max(LIFE_SECONDS, LIFE_OPENINGS * max(self._opening, answering))

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self._in_use = self.sock
        self._acknowledge_at_once()
        super().send(data)

    def getresponse(self) -> Any:
        sent = self._used
        self._acknowledge_at_once()
        answer = super().getresponse()
        self._quickest = min(self._quickest, time.monotonic() - sent)
        return answer


class _PromptHTTPSConnection(PromptConnection, HTTPSConnection):
    """The same over TLS."""


class _PromptPool(HTTPConnectionPool):
    ConnectionCls = PromptConnection


class _PromptHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PromptHTTPSConnection


class PromptAdapter(HTTPAdapter):
    """Mounts these connections on a ``requests.Session``; never retries by itself."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Build the pool manager with pools of prompt connections."""
        super().init_poolmanager(*args, blocksize=UPLOAD_CHUNK, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _PromptPool, "https": _PromptHTTPSPool}
