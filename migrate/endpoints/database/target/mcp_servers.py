"""The MCP servers of a database that is written to, each with its versions and addresses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import column

from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.mcp_servers import DELETED, MCPServerStore, age
from migrate.endpoints.database.target.below import Below, tag_rows
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.importing import IMPORTING
from migrate.errors import Refused
from migrate.objects import Loss
from migrate.records.mcp_servers import MCPServer, MCPServerVersion

_TAGS, _ALIASES, _ADDRESSES = "mcp_server_tags", "mcp_server_aliases", "mcp_access_endpoints"
_VERSIONS, _VERSION_TAGS = "mcp_server_versions", "mcp_server_version_tags"
_MADE = ("created_at", "last_updated_at")
_ONCE = (*_MADE, "created_by", "last_updated_by")
_ADDRESS = ("url", "transport_type", "server_version", "server_alias")


class WrittenMCPServerStore(WrittenRecordStore[MCPServer], MCPServerStore):
    """MCP servers. A version that was deleted here keeps its number, as on a server."""

    times = _MADE
    below = (
        Below(_TAGS, "name", ("key",)),
        Below(
            _VERSIONS,
            "name",
            ("version",),
            times=_MADE,
            listed=(column("status") != DELETED,),
        ),
        Below(_VERSION_TAGS, "name", ("version", "key")),
        Below(_ALIASES, "name", ("alias",)),
        Below(
            _ADDRESSES, "server_name", _ADDRESS, ident="id", prefix="ae-", times=_MADE, once=_ONCE
        ),
    )

    def _fitting(
        self, container: str, wanted: MCPServer, there: MCPServer | None
    ) -> tuple[MCPServer, Sequence[Loss]]:
        mine = (is_("name", wanted.name), is_("status", DELETED), *self._written.here(_VERSIONS))
        gone = {row["version"] for row in self._written.rows(_VERSIONS, ("version",), *mine)}
        why = "it was deleted on the target, where its number is had by no other"
        lost = [it for it in wanted.versions if it.version in gone]
        kept = tuple(it for it in wanted.versions if it.version not in gone)
        losses = tuple(Loss(f"version {it.version}", why) for it in lost)
        return dataclasses.replace(wanted, versions=kept), losses

    def _require_free(self, transaction: Transaction, row: Row) -> None:
        """A name is an id here, and of each workspace: the table itself refuses another."""

    def _given(self, transaction: Transaction, record: MCPServer) -> Row:
        # What its newest version says for it, it need not say itself.
        newest = max(map(_version_row, record.versions), key=age, default=None)
        said = newest["server_json"].get("description") if newest else None
        return {"description": None if record.description == said else record.description}

    def _rows_below(
        self, transaction: Transaction, record: MCPServer, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        return {
            _TAGS: tag_rows(record.tags),
            _ALIASES: [{"alias": key, "version": it} for key, it in record.aliases.items()],
            _VERSIONS: [*map(_version_row, record.versions)],
            _VERSION_TAGS: [
                {"version": it.version, **pair}
                for it in record.versions
                for pair in tag_rows(it.tags)
            ],
            _ADDRESSES: [
                {
                    "url": it.url,
                    "transport_type": it.transport_type,
                    "server_version": it.server_version or None,
                    "server_alias": it.server_alias or None,
                    **dict.fromkeys(_MADE, record.creation_timestamp),
                    "created_by": record.created_by or None,
                    "last_updated_by": record.created_by or None,
                }
                for it in record.access_endpoints
            ],
        }


def _version_row(version: MCPServerVersion) -> Row:
    """Return the row of a version, which MLflow orders by columns of its own making."""
    with IMPORTING:
        from mlflow.exceptions import MlflowException
        from mlflow.utils.semver_utils import encode_prerelease_sort_key, parse_semver

    try:
        parsed = parse_semver(version.version)
    except MlflowException as problem:
        raise Refused(f"version {version.version[:60]!r}: {problem.message}") from None
    return {
        "version": version.version,
        "version_major": parsed.major,
        "version_minor": parsed.minor,
        "version_patch": parsed.patch,
        "version_prerelease_sort_key": encode_prerelease_sort_key(parsed),
        "server_json": version.server_json,
        "status": version.status,
        "source": version.source,
        "tools": list(version.tools) or None,
        "connect_options": version.connect_options or None,
        "created_at": version.creation_timestamp,
        "last_updated_at": version.last_updated_timestamp,
        "created_by": version.created_by or None,
        "last_updated_by": version.last_updated_by or None,
    }
