"""HTTP/1.1 with as little between the caller and the socket as MLflow's server allows.

The floor has to be a floor: a general client spends about as long on a small request as the server
does. This one knows what MLflow's server answers (a status line, headers, `Content-Length`) and no
more.
"""

from __future__ import annotations

import json
import socket
import threading
from io import BufferedReader
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


class WireError(RuntimeError):
    """An answer other than 200, or one that this client does not understand."""


class Wire(threading.local):
    """A server, reached over one kept-alive connection per thread that touches this object."""

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        if address.scheme != "http" or address.hostname is None or address.port is None:
            raise ValueError(f"{uri} is not of the form http://HOST:PORT")
        self._address = (address.hostname, address.port)
        self._host = f"{address.hostname}:{address.port}"
        self._socket: socket.socket | None = None
        self._answers: BufferedReader | None = None

    def get(self, path: str, query: dict[str, Any] | None = None) -> bytes:
        """Return the body at `path`; a list in `query` is sent as a repeated parameter."""
        if query:
            path = f"{path}?{urlencode(query, doseq=True)}"
        return self._exchange("GET", path, b"", "")

    def get_json(self, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the object at `path`."""
        document: dict[str, Any] = json.loads(self.get(path, query))
        return document

    def post(self, method: str, message: dict[str, Any]) -> dict[str, Any]:
        """Call `method` of MLflow's REST API, such as `runs/create`."""
        body = json.dumps(message).encode()
        answer: dict[str, Any] = json.loads(
            self._exchange("POST", API + method, body, "application/json")
        )
        return answer

    def put(self, path: str, body: bytes) -> None:
        """Store `body` at `path`."""
        self._exchange("PUT", path, body, "application/octet-stream")

    def _exchange(self, verb: str, path: str, body: bytes, content_type: str) -> bytes:
        connection, answers = self._connected()
        head = f"{verb} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
        if verb != "GET":
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode("ascii") + b"\r\n" + body)
        acknowledge_at_once(connection)
        status = answers.readline()
        length = None
        while (line := answers.readline()) not in {b"\r\n", b""}:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        if length is None:
            raise WireError(f"{verb} {path}: no answer with a length ({status!r})")
        acknowledge_at_once(connection)
        content = answers.read(length)
        if status[9:12] != b"200":
            raise WireError(f"{verb} {path}: {status.decode().strip()}: {content[:300]!r}")
        return content

    def _connected(self) -> tuple[socket.socket, BufferedReader]:
        if self._socket is None or self._answers is None:
            self._socket = socket.create_connection(self._address, timeout=120)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answers = self._socket.makefile("rb")
        return self._socket, self._answers


def acknowledge_at_once(connection: socket.socket) -> None:
    """Switch off delayed acknowledgement, which the kernel switches on again by itself.

    A server with several workers sends headers and body separately and waits for the
    acknowledgement of the first: 40 ms per request if the kernel delays it. Only Linux has the
    option.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def artifact_path(uri: str, path: str = "") -> str:
    """Return the proxy's path of the file `path` below an artifact URI `mlflow-artifacts:/...`."""
    root = urlsplit(uri).path.strip("/")
    return f"{ARTIFACTS}/{quote(f'{root}/{path}'.strip('/'))}"
