"""A workspace that a server is still to get, as the target of a plan: nothing is in it yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.stores import Bookkeeping, Identity, Store
from migrate.endpoints.tracking.server import TrackingServer
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.kinds import Kind


class UnmadeWorkspace:
    """What planning asks of a target. ``server`` is its server, of which it is to be a part."""

    def __init__(self, server: TrackingServer, base_url: str, name: str) -> None:
        self._server = server
        self._base_url = base_url
        self._name = name
        self.experiments = self.runs = self.logged_models = _Nothing()
        self.registered_models = self.model_versions = _Nothing()

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``. It is told from others as it will be when it is made."""
        can = self._server.capabilities()
        will_be = f"workspace {self._name} is not there: migrate run makes it"
        return dataclasses.replace(
            can,
            identity=f"{self._base_url}##{self._name}",
            description=f"{can.description}, workspace {self._name}",
            notes=(*can.notes, f"target: {will_be}"),
        )

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``. What all workspaces share is there already."""
        store = self._server.store(kind)
        if store is None or (isinstance(store, RecordStore) and store.shared):
            return store
        return cast(Store[Any], _NothingOf(store))

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``."""
        return self._server.unknown()

    def withdraw(self) -> None:
        """Planning makes nothing."""

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self._server.close()


class _Nothing:
    """What lists nothing."""

    def list(self, *_: Any) -> Iterator[Any]:
        return iter(())

    def read(self, *_: Any) -> Sequence[Any]:
        return ()

    def find(self, *_: Any) -> Mapping[str, Sequence[Any]]:
        return {}


class _NothingOf(_Nothing):
    """A store of a kind as it is before there is anything in it."""

    def __init__(self, store: Store[Any]) -> None:
        self._store = store

    @property
    def identity(self) -> Identity:
        return self._store.identity

    @property
    def bookkeeping(self) -> Bookkeeping:
        return self._store.bookkeeping
