"""What the parts of the workspace are asked, and how they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Refusal(Exception):
    """An answer other than 200, with Databricks' error code and message."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Asked:
    """One request: whose it is, and what it says; ``params`` are those of the query."""

    method: str
    path: str
    user: str
    params: Mapping[str, str]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The body of the request."""
        return dict(json.loads(self.body)) if self.body else {}


@dataclass(frozen=True)
class Answer:
    """An answer with any content."""

    content: bytes
    content_type: str = "application/json"
    status: int = 200


def as_json(value: object) -> Answer:
    """An answer of JSON."""
    return Answer(json.dumps(value).encode())
