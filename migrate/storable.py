"""What every MLflow server can store: 64-bit integers, Unicode text, and its own words. Pure.

MLflow's servers answer 200 to a request that their parser refuses, and act on the half of it that
was read before the fault: a run is made without its tags. So what no server can store is taken out
before anything is sent, and told by name.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from migrate.objects import (
    MODEL_STATUSES,
    RUN_STATUSES,
    STAGES,
    LoggedModel,
    Metric,
    ModelMetric,
    ModelVersion,
    Run,
)
from migrate.outcomes import Loss

INT64 = range(-(2**63), 2**63)
#: Of metrics; what is earlier is refused with all that is sent with it.
POINT_TIMES = range(2**63)
#: Members that go to a server as numbers, and what stands there where nothing can.
_TIMES = {"start_time": 0, "end_time": None}
#: Members with one of a few words, and the word that the server begins with.
_WORDS: Mapping[tuple[type, str], tuple[Sequence[str], str]] = {
    (Run, "status"): (RUN_STATUSES, "RUNNING"),
    (LoggedModel, "status"): (MODEL_STATUSES, "PENDING"),
    (ModelVersion, "stage"): (STAGES, "None"),
}
_SINGULAR = {"tags": "tag", "params": "param", "aliases": "alias", "inputs": "dataset input"}

HALF_CHARACTER = "holds half a character (a lone surrogate), which no server stores"
NO_NUMBER = "is beyond 64 bits, which no server stores"

#: Numbers of so many digits within JSON, also within a text of it. Two patterns, since what
#: begins with a given character is found ten times as fast.
_LONG_NUMBERS = (re.compile(r" -?[0-9]{19}"), re.compile(r"\[-?[0-9]{19}"))

Record = TypeVar("Record")
Point = TypeVar("Point", Metric, ModelMetric)


class Unstorable(ValueError):
    """There is something that no server stores at ``place`` of JSON, like ``tags[3].value``."""

    def __init__(self, place: str | None) -> None:
        self.place = (place or "").lstrip(".")
        super().__init__(self.place)


def storable(record: Record) -> tuple[Record, tuple[Loss, ...]]:
    """Return a record of ``migrate.objects`` as a server can store it, and what that costs.

    Half characters become U+FFFD, what has no key that can be stored is left out. Points of
    metrics are not looked at: ``storable_points`` does, as they stream by.
    """
    if _is_storable(record):
        return record, ()
    losses: list[Loss] = []
    changes: dict[str, Any] = {}
    for member in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, member.name)
        kept = _storable_member(type(record), member.name, value, losses)
        if kept is not value:
            changes[member.name] = kept
    if not changes:
        return record, ()
    return dataclasses.replace(record, **changes), tuple(losses)  # type: ignore[type-var]


class _Members(NamedTuple):
    """The members of a record: those with one of a few words, times, what holds items, and others.

    The last, of which each record has several, are got at once.
    """

    words: Sequence[tuple[str, Sequence[str]]]
    times: Sequence[str]
    items: Sequence[str]
    others: Callable[[object], Sequence[Any]]


_members_of: dict[type, _Members] = {}


def _members(record: type[Any]) -> _Members:
    if record in _members_of:
        return _members_of[record]
    names = [member.name for member in dataclasses.fields(record)]
    words = [(name, _WORDS[record, name][0]) for name in names if (record, name) in _WORDS]
    times = [name for name in names if name in _TIMES]
    items = [name for name in names if name in _SINGULAR]
    known = {*times, *items}
    others = attrgetter(*(name for name in names if name not in known))
    _members_of[record] = _Members(words, times, items, others)
    return _members_of[record]


def _is_storable(record: Any) -> bool:
    """Say at one look that a record can be stored as it is; where not, each member is looked at."""
    members = _members(type(record))
    for name, words in members.words:
        value = getattr(record, name)
        if value not in words and isinstance(value, str):
            return False
    for name in members.times:
        value = getattr(record, name)
        if value is not None and value not in INT64:
            return False
    texts = [value for value in members.others(record) if isinstance(value, str)]
    for name in members.items:
        if value := getattr(record, name):
            if not (type(value) is dict or isinstance(value, Mapping)) or "" in value:
                return False
            texts += value
            texts += value.values()
    try:
        return is_text("".join(texts))
    except TypeError:  # not all values are texts
        return is_text("".join(it for it in texts if isinstance(it, str)))


def _storable_member(record: type, name: str, value: Any, losses: list[Loss]) -> Any:
    what = name.replace("_", " ")
    if isinstance(value, str):
        words, first = _WORDS.get((record, name), ((value,), value))
        if value not in words:
            losses.append(Loss(what, f"{clean_text(value)!r} is no {what} that MLflow knows"))
            return first
        return _clean(value, what, losses)
    if name in _TIMES and value is not None and value not in INT64:
        losses.append(Loss(what, f"{value} {NO_NUMBER}"))
        return _TIMES[name]
    if name in _SINGULAR and isinstance(value, Mapping):
        return _clean_items(value, _SINGULAR[name], losses)
    if name in _SINGULAR and isinstance(value, tuple):
        return _clean_sequence(value, _SINGULAR[name], losses)
    return value


def _clean(text: str, what: str, losses: list[Loss]) -> str:
    if is_text(text):
        return text
    losses.append(Loss(what, f"{HALF_CHARACTER}: replaced"))
    return clean_text(text)


def _clean_items(items: Mapping[str, Any], word: str, losses: list[Loss]) -> Mapping[str, Any]:
    """Return a mapping of texts with keys and values that can be stored; itself if it has them."""
    kept = {}
    for key, value in items.items():
        what = f"{word} {clean_text(key)[:60]}"
        if not key:
            losses.append(Loss(what, "its key is empty, which no server stores"))
        elif not is_text(key):
            losses.append(Loss(what, f"its key {HALF_CHARACTER}"))
        else:
            kept[key] = _clean(value, what, losses) if isinstance(value, str) else value
    return items if kept == items else kept


def _clean_sequence(items: tuple[Any, ...], word: str, losses: list[Loss]) -> tuple[Any, ...]:
    """Return a tuple of texts or of JSON values, cleaned; itself if nothing had to be."""
    kept = tuple(_clean_json(item) for item in items)
    for old, new in zip(items, kept, strict=True):
        if old != new:
            named = new if isinstance(new, str) else new.get("dataset", {}).get("name", "")
            losses.append(Loss(f"{word} {named}", f"{HALF_CHARACTER}: replaced"))
    return items if kept == items else kept


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(key): _clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_json(item) for item in value]
    return value


def storable_points(points: Sequence[Point]) -> tuple[Sequence[Point], Counter[str]]:
    """Return the points whose time and step a server can store, and by key how many others."""
    times, steps = [point.timestamp for point in points], [point.step for point in points]
    if _all_in(POINT_TIMES, times) and _all_in(INT64, steps):
        return points, Counter()
    kept = [point for point in points if point.timestamp in POINT_TIMES and point.step in INT64]
    return kept, Counter(point.key for point in points) - Counter(point.key for point in kept)


def _all_in(bounds: range, numbers: Sequence[int]) -> bool:
    return not numbers or (min(numbers) in bounds and max(numbers) in bounds)


def lost_points(left_out: Mapping[str, int]) -> tuple[Loss, ...]:
    """Return the losses of points that ``storable_points`` left out."""
    return tuple(
        Loss(
            f"metric {clean_text(key)[:60]}",
            f"{count} of its points: its time is before 1970, or a number {NO_NUMBER}",
        )
        for key, count in sorted(left_out.items())
    )


def is_text(text: str) -> bool:
    """Say whether a text is Unicode, without halves of characters."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_removable(key: str) -> bool:
    """Say whether a tag can be taken off where MLflow's call for that has its key in the path.

    What is between slashes there is one key, and whoever sends the request resolves dots.
    """
    return "/" not in key and key not in ("", ".", "..")


def clean_text(text: str) -> str:
    """Return a text with two halves joined to their character, and lone ones as U+FFFD."""
    if is_text(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def storable_json(body: Mapping[str, Any]) -> bytes:
    """Return an object as JSON. Raises ``Unstorable`` where it has what no server can store.

    That are halves of characters, integers beyond 64 bits, and numbers that are none.
    """
    try:
        text = json.dumps(body, allow_nan=False)
    except ValueError:
        raise Unstorable(_first_unstorable(body)) from None
    # To look at each value takes twice as long as to write them all.
    suspect = "\\ud" in text or any(it.search(text) for it in _LONG_NUMBERS)
    if suspect and (place := _first_unstorable(body)) is not None:
        raise Unstorable(place)
    return text.encode()


def _first_unstorable(value: Any) -> str | None:
    """Return where in a JSON value the first thing is that no server can store; None: nowhere.

    The place is like ``.tags[3].value``, empty for the value itself.
    """
    if isinstance(value, str):
        return None if is_text(value) else ""
    if isinstance(value, int):
        return None if value in INT64 else ""
    if isinstance(value, float):
        return None if math.isfinite(value) else ""
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        members = ((f".{key}", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        members = ((f"[{place}]", item) for place, item in enumerate(value))
    for place, item in members:
        inside = _first_unstorable(item)
        if inside is not None or not is_text(place):
            return clean_text(place) + (inside or "")
    return None
