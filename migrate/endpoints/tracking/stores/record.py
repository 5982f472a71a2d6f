"""What the stores of kinds that are records have in common on a tracking server."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Protocol, TypeVar

from migrate.endpoints.stores import Bookkeeping, Found, Identity, Store
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import Part
from migrate.errors import NotFound
from migrate.kinds import Kind


class Keyed(Protocol):
    """A record that says itself by what its copy is found."""

    @property
    def key(self) -> str:
        """Its name, or what stands for it."""
        ...


R = TypeVar("R")
K = TypeVar("K", bound=Keyed)


class RecordStore(Store[R]):
    """The objects of one kind. ``part`` shows whether a server has it.

    ``of_registry`` is true of what belongs to the server that keeps registered models, ``shared``
    of what all workspaces of a server have in common.
    """

    kind: ClassVar[Kind]
    part: ClassVar[Part]
    of_registry: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    identity = Identity.NAMED
    bookkeeping = Bookkeeping.NONE

    def __init__(self, http: HttpSession, entries: Entries) -> None:
        self._http = http
        self._entries = entries

    def read(self, ids: Sequence[str]) -> Sequence[R]:
        """See ``Store.read``."""
        found = []
        for ident in ids:
            with suppress(NotFound):
                found.append(self._read(ident))
        return found

    def _read(self, ident: str) -> R:
        """Read one object. Raises ``NotFound``."""
        raise NotImplementedError


class KeyedStore(RecordStore[K]):
    """Of records that are told apart by their keys, found among all of a container."""

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[K]]]:
        """See ``Store.find``."""
        found: dict[str, builtins.list[Found[K]]] = {}
        for record in self.list([container]):
            key = record.key
            if keys is None or key in keys:
                found.setdefault(key, []).append(Found(record))
        return found
