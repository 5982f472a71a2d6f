"""A store in memory, of any kind: the rules that every store has, and no wire format."""

from __future__ import annotations

import builtins
import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Generic

from migrate.endpoints.stores import Bookkeeping, Found, Identity, R
from migrate.errors import AlreadyExists, AnswerLost, NotFound
from migrate.objects import Loss
from migrate.origins import ORIGIN
from migrate.tasks.carrier import RecordCarrier


class MemoryStore(Generic[R]):
    """Keeps the objects of one kind. ``writes`` names every call that changed something.

    ``loses`` answers to creates are lost, though what they asked for was done.
    """

    def __init__(self, carrier: RecordCarrier[R], identity: Identity, ident: str) -> None:
        self.identity = identity
        self.bookkeeping = {
            Identity.KEPT: Bookkeeping.SIDECAR,
            Identity.TAGGED: Bookkeeping.TAGS,
        }.get(identity, Bookkeeping.NONE)
        self.held: dict[str, Found[R]] = {}
        self.writes: builtins.list[str] = []
        self.loses = 0
        self._carrier = carrier
        self._ident = ident
        self._numbers = itertools.count(1)

    def put(self, record: R) -> None:
        """Keep an object as it is, as a source has it."""
        self.held[self._id_of(record)] = Found(record)

    def list(self, containers: Sequence[str]) -> Iterator[R]:
        """See ``Store.list``."""
        everywhere = self._carrier.kind.container is None
        for found in [*self.held.values()]:
            if everywhere or self._carrier.container(found.record) in containers:
                yield found.record

    def read(self, ids: Sequence[str]) -> builtins.list[R]:
        """See ``Store.read``."""
        return [self.held[ident].record for ident in ids if ident in self.held]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[R]]]:
        """See ``Store.find``."""
        copies: dict[str, builtins.list[Found[R]]] = {}
        for found in self.held.values():
            key = self._key(found.record)
            here = self._carrier.container(found.record) in ("", container)
            if key and here and (keys is None or key in keys):
                copies.setdefault(key, []).append(found)
        return copies

    def create(self, container: str, wanted: R) -> R:
        """See ``Store.create``."""
        if self.identity is not Identity.TAGGED and self.find(container, [self._key(wanted)]):
            raise AlreadyExists(f"{self._key(wanted)!r} is taken")
        made: dict[str, Any] = {}
        if self._carrier.kind.container is not None:
            made[f"{self._carrier.kind.container}_id"] = container
        if self.identity is not Identity.KEPT:
            made[self._ident] = f"copy-{next(self._numbers)}"
        copy = dataclasses.replace(wanted, **made)  # type: ignore[type-var]
        self.held[self._id_of(copy)] = Found(copy)
        self.writes.append("create")
        if self.loses:
            self.loses -= 1
            raise AnswerLost("the connection broke")
        return copy

    def finish(self, copy: R, wanted: R, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``Store.finish``."""
        ident = self._id_of(copy)
        if ident not in self.held:
            raise NotFound(f"{ident!r} is not here")
        stays = {self._ident: ident}
        if self._carrier.kind.container is not None:
            stays[f"{self._carrier.kind.container}_id"] = self._carrier.container(copy)
        record = dataclasses.replace(wanted, **stays)  # type: ignore[type-var]
        kept = mark if self.bookkeeping is not Bookkeeping.NONE else ""
        self.held[ident] = Found(record, kept, tuple(losses))
        self.writes.append("finish")
        return ()

    def delete(self, copy: R) -> None:
        """See ``Store.delete``."""
        self.held.pop(self._id_of(copy), None)

    def _id_of(self, record: R) -> str:
        ident: str = getattr(record, self._ident)
        return ident

    def _key(self, record: R) -> str:
        if self.identity is Identity.TAGGED:
            tags: Mapping[str, str] = getattr(record, "tags")  # noqa: B009 - of whatever record
            return tags.get(ORIGIN, "")
        return self._carrier.key(record, self.identity)
