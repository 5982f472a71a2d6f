"""Answers of real servers: recorded once and given again without sockets, or changed on the way."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import requests
import urllib3
from requests.adapters import BaseAdapter

from migrate.endpoints.tracking.http import session as http
from migrate.endpoints.tracking.http.connections import PromptAdapter
from tests.faults import clock

#: Method, path with its query, body.
Key = tuple[str, str, bytes]
_ID = re.compile(r"[0-9a-f]{32}|(?<=/)\d+(?=/)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, where it is a JSON object; else None."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) and self.status == 200 else None


@dataclass(slots=True)
class Recording:
    """Answers by request; the same request may have had several, one after the other."""

    answers: dict[Key, list[Answer]] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> Recording:
        """The same with other ids, which are as long: a seed then means the same every time."""

        def text(value: str) -> str:
            for old, new in names.items():
                value = value.replace(old, new)
            return value

        def body(value: bytes) -> bytes:
            return text(value.decode("latin-1")).encode("latin-1")

        return Recording(
            {
                (method, text(url), body(sent)): [
                    replace(answer, body=body(answer.body)) for answer in answers
                ]
                for (method, url, sent), answers in self.answers.items()
            }
        )

    def places(self) -> list[tuple[Key, int]]:
        """The answers that are JSON objects."""
        return [
            (key, place)
            for key, answers in sorted(self.answers.items())
            for place, answer in enumerate(answers)
            if answer.json is not None
        ]

    def turns(self) -> dict[str, list[Turn]]:
        """The answers that are JSON objects, by their route."""
        found: dict[str, list[Turn]] = {}
        for key, _ in self.places():
            turns = found.setdefault(_route(key), [])
            turns.append(Turn(_route(key), len(turns)))
        return found

    def json_at(self, place: tuple[Key, int]) -> Any:
        key, number = place
        return self.answers[key][number].json

    def changed(self, place: tuple[Key, int], body: bytes) -> Recording:
        """The same with another body in one answer."""
        key, number = place
        answers = list(self.answers[key])
        headers = {
            k: v for k, v in answers[number].headers.items() if k.lower() != "content-length"
        }
        answers[number] = Answer(200, headers, body)
        return Recording({**self.answers, key: answers})


def _key(request: requests.PreparedRequest) -> Key:
    body = request.body if isinstance(request.body, bytes) else b""
    return request.method or "", request.path_url, body


class _Recorder(PromptAdapter):
    def __init__(self, connections: int, recording: Recording) -> None:
        super().__init__(connections)
        self._recording = recording

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        response = super().send(request, *args, **options)
        body = response.content
        headers = {
            name: value
            for name, value in response.headers.items()
            if name.lower() not in ("content-encoding", "transfer-encoding")
        }
        answer = Answer(response.status_code, headers, body)
        self._recording.answers.setdefault(_key(request), []).append(answer)
        return _response(self, request, answer)


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer among those of a migration: the ``number``-th of a route, counted from 0.

    With ``onwards`` it is that answer and all of its route that follow.
    """

    route: str
    number: int
    onwards: bool = False


class _Changer(PromptAdapter):
    def __init__(self, connections: int, turn: Turn, change: Callable[[Any], bytes]) -> None:
        super().__init__(connections)
        self._turn = turn
        self._change = change
        self._seen = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        response = super().send(request, *args, **options)
        if _route(_key(request)) != self._turn.route:
            return response
        number, self._seen = self._seen, self._seen + 1
        if number < self._turn.number or (number > self._turn.number and not self._turn.onwards):
            return response
        answer = Answer(response.status_code, {}, response.content)
        if answer.json is not None:
            answer = Answer(200, {}, self._change(answer.json))
        return _response(self, request, answer)


def _route(key: Key) -> str:
    """The method and the path of a request, without ids: each copy has one of its own."""
    method, url, _ = key
    return f"{method} {_ID.sub('ID', url.partition('?')[0])}"


class _Player(BaseAdapter):
    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._left = {key: list(answers) for key, answers in recording.answers.items()}

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        answers = self._left.get(_key(request))
        if not answers:
            body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not recorded"}'
            return _response(self, request, Answer(404, {}, body))
        return _response(self, request, answers[0] if len(answers) == 1 else answers.pop(0))

    def close(self) -> None:
        """There is nothing to close."""


def _response(adapter: Any, request: requests.PreparedRequest, answer: Answer) -> Any:
    raw = urllib3.HTTPResponse(
        body=io.BytesIO(answer.body),
        headers=answer.headers,
        status=answer.status,
        preload_content=False,
    )
    return requests.adapters.HTTPAdapter.build_response(adapter, request, raw)


@contextmanager
def recording() -> Iterator[Recording]:
    """Record whatever is asked of servers meanwhile."""
    made = Recording()
    with mock.patch.object(http, "PromptAdapter", lambda workers: _Recorder(workers, made)):
        yield made


@contextmanager
def playing(made: Recording) -> Iterator[None]:
    """Have servers answer as recorded. Nobody waits for a better answer."""
    player = _Player(made)
    with (
        mock.patch.object(http, "PromptAdapter", return_value=player),
        mock.patch.object(http, "time", clock()),
    ):
        yield


@contextmanager
def changing(turn: Turn, change: Callable[[Any], bytes]) -> Iterator[None]:
    """Have one answer of real servers arrive as what ``change`` makes of its JSON object."""
    with (
        mock.patch.object(http, "PromptAdapter", lambda workers: _Changer(workers, turn, change)),
        mock.patch.object(http, "time", clock()),
    ):
        yield
