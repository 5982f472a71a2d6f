"""A TCP proxy that stands for a network: every byte arrives later, in order.

`python -m benchmarks.latency HOST PORT MS` listens on a free loopback port, prints it, and passes
on what comes, each chunk MS milliseconds after its arrival, until its standard input ends. Chunks
overlap on their way, so throughput is not reduced. It is a process of its own: it shares no
interpreter with what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
from collections import deque
from typing import Self, cast
from urllib.parse import urlsplit

from benchmarks.wire import acknowledge_at_once


class Direction(asyncio.Protocol):
    """One end of a connection: what arrives here leaves at `other` after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self.other: Direction
        self.transport: asyncio.Transport | None = None
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[bytes] = deque()
        self._not_before = 0.0
        self._lost = self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def await_handshake(self) -> None:
        """Hold the first bytes of a new connection back for the round trip that opens it."""
        self._not_before = self._loop.time() + 3 * self._delay

    def data_received(self, data: bytes) -> None:
        # The server's kernel waits for this before it sends the rest of a response.
        acknowledge_at_once(self._socket)
        self._send_later(data)

    def eof_received(self) -> bool:
        self._send_later(b"")
        return True  # the other direction may still have something under way

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._send_later(b"")

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def _send_later(self, data: bytes) -> None:
        due = max(self._loop.time() + self._delay, self._not_before)
        self._under_way.append(data)
        self._loop.call_at(due, self._send_oldest)

    def _send_oldest(self) -> None:
        """Send the chunk that came first: timers of the same instant may fire in any order."""
        data = self._under_way.popleft()
        out = self.other.transport
        if out is None or out.is_closing():
            return
        if data:
            out.write(data)
        elif self._lost or self.other._finished:
            out.close()
            self._close()
        else:
            out.write_eof()
            self._finished = True

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()


async def _serve(host: str, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    opening: set[asyncio.Task[None]] = set()

    async def open_upstream(downstream: Direction, upstream: Direction) -> None:
        try:
            await loop.create_connection(lambda: upstream, host, port)
        except OSError:
            if downstream.transport is not None:
                downstream.transport.abort()
            return
        if downstream.transport is not None:
            downstream.transport.resume_reading()

    class Accepted(Direction):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            cast(asyncio.Transport, transport).pause_reading()
            self.await_handshake()
            self.other = Direction(delay)
            self.other.other = self
            task = asyncio.create_task(open_upstream(self, self.other))
            opening.add(task)
            task.add_done_callback(opening.discard)

    server = await loop.create_server(lambda: Accepted(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    starter_gone = asyncio.Event()
    loop.add_reader(sys.stdin, starter_gone.set)
    await starter_gone.wait()


class LatencyProxy:
    """The proxy as a process: `uri` is the server at `server_uri`, `delay_ms` away each way."""

    def __init__(self, server_uri: str, delay_ms: float) -> None:
        address = urlsplit(server_uri)
        self._command = [sys.executable, "-m", "benchmarks.latency"]
        self._command += [str(address.hostname), str(address.port), str(delay_ms)]
        self.uri = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the proxy did not start: {' '.join(self._command)}")
        self.uri = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def main() -> None:
    """Listen until standard input ends, as it does when the starting process is gone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("delay_ms", type=float, metavar="MS", help="added each way")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.host, arguments.port, arguments.delay_ms / 1000))


if __name__ == "__main__":
    main()
