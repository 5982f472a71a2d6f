"""What a database has as a source and as a target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.database.auth import why_without
from migrate.endpoints.database.reading import Database
from migrate.endpoints.database.stores.counted import count_uncopied
from migrate.endpoints.stores import Store
from migrate.errors import NotFound
from migrate.kinds import ON_REQUEST, Kind


class DatabaseEnd:
    """Half of ``Source``, for both. ``auth`` is the database of users, ``of_auth`` its stores."""

    artifacts: UnservedArtifacts

    def __init__(self, database: Database, auth: Database | None, of_auth: Iterable[Any]) -> None:
        self._database = database
        self._auth = auth
        self._of_auth = {it.kind: it for it in of_auth}

    def _store_of_auth(self, kind: Kind) -> Store[Any] | None:
        """Return a store of users or roles, where their database is given and has them."""
        store = self._of_auth.get(kind)
        has = store is not None and self._auth is not None and self._auth.has(store.table)
        return cast("Store[Any]", store) if has else None

    def _kinds_of_auth(self) -> frozenset[Kind]:
        return frozenset(filter(self._store_of_auth, self._of_auth))

    def _without(self, side: str) -> Mapping[Kind, str]:
        """Say why users or roles are not there."""
        lacking = sorted(ON_REQUEST - self._kinds_of_auth())
        return why_without(lacking, side, is_named=self._auth is not None)

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``Source.unsupported``."""
        return count_uncopied(self._database) if whole_server else {}

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``Source.notebook``."""
        raise NotFound(f"{self._database.shown} has no notebooks")

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self.artifacts.close()
        self._database.close()
        if self._auth is not None:
            self._auth.close()
