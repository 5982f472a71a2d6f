"""Answers of a server become records one by one: what is malformed costs itself, and is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from migrate.endpoints.shapes import Object, as_object, items, required
from migrate.endpoints.tracking.gaps import Gaps
from migrate.errors import Malformed
from migrate.kinds import Kind, Ref

T = TypeVar("T")


class Told(NamedTuple):
    """What an entry says of itself though it cannot be read: ids, empty where they are not told."""

    id: str
    container: str = ""


class Form(NamedTuple):
    """How entries of one kind are read; ``read`` raises ``Malformed``, ``told`` nothing."""

    kind: Kind
    told: Callable[[Any], Told]


class Entries:
    """Reads the entries of answers of one server; several threads may use it.

    What is malformed is a gap.
    """

    def __init__(self, side: str) -> None:
        self.gaps = Gaps(side)

    def all(
        self, pages: Iterable[Object], name: str, form: Form, read: Callable[[Object], T]
    ) -> Iterator[T]:
        """Yield what the list called ``name`` holds on each page. Raises ``Malformed``."""
        place = 0
        for page in pages:
            for entry in items(page, name):
                place += 1
                try:
                    found = read(as_object(entry, f"entry {place} of {name}"))
                except Malformed as problem:
                    self._leave_out(form, entry, f"entry {place} of {name}", page, problem)
                    continue
                yield found

    def one(self, answer: Object, name: str, form: Form, read: Callable[[Object], T]) -> T | None:
        """Return what the object called ``name`` is; None where it was left out.

        Raises ``Malformed``, also where the answer has no such object.
        """
        entry = required(answer, name)
        try:
            return read(entry)
        except Malformed as problem:
            self._leave_out(form, entry, name, answer, problem)
            return None

    def _leave_out(
        self, form: Form, entry: object, place: str, answer: Object, problem: Malformed
    ) -> None:
        told = form.told(entry)
        where = getattr(answer, "where", "an answer")
        reason = problem.within(f"{form.kind} {told.id}" if told.id else place)
        if not self.gaps.may_leave_out:
            raise reason.within(where)
        ref = Ref(form.kind, told.id or place)
        self.gaps.leave_out(ref, told.container, where, reason)
