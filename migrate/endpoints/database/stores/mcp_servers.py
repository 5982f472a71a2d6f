"""The MCP servers of a database (MLflow 3.15), each with its versions and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import Row
from migrate.endpoints.database.stores.entries import grouped, pairs
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import Object, as_object, integer, text
from migrate.kinds import Kind
from migrate.records.mcp_servers import AccessEndpoint, MCPServer

_VERSION = ("version", "status", "source", "server_json", "tools", "connect_options")
_JSON = ("server_json", "tools", "connect_options")
#: What the columns are called that say when one was made and changed.
_MADE = {"creation_timestamp": "created_at", "last_updated_timestamp": "last_updated_at"}
_BY = ("created_by", "last_updated_by")
#: What says which version is newer, of those in the same state.
_ORDER = (
    "version_major",
    "version_minor",
    "version_patch",
    "version_prerelease_sort_key",
    "created_at",
)
_ACTIVE, DELETED = "active", "deleted"


class MCPServerStore(RecordStore[MCPServer]):
    """MCP servers; rows of deleted versions stay in their table."""

    kind = Kind.MCP_SERVER
    record = MCPServer
    table = "mcp_servers"
    key = "name"
    made = "created_at"
    columns = _MADE
    json = ("icons",)

    def _more(self, rows: Sequence[Row]) -> More:
        tags = self._below(rows, "mcp_server_tags", ("key", "value"))
        aliases = self._below(rows, "mcp_server_aliases", ("alias", "version"))
        addresses = self._below(
            rows, "mcp_access_endpoints", AccessEndpoint._fields, key="server_name"
        )
        versions = self._below(
            rows, "mcp_server_versions", (*_VERSION, *_ORDER, *_BY, "last_updated_at")
        )
        of_versions = self._below(rows, "mcp_server_version_tags", ("version", "key", "value"))

        def more(row: Row) -> Object:
            name = row[self.key]
            kept = [it for it in versions[name] if it["status"] != DELETED]
            said = grouped(of_versions[name], "version")
            found: dict[str, Any] = {
                "tags": pairs(tags[name]),
                "aliases": pairs(aliases[name], "alias", "version"),
                "versions": sorted(
                    (_version(it, pairs(said[it["version"]])) for it in kept),
                    key=lambda it: str(it["version"]),
                ),
                "access_endpoints": sorted(map(_given, addresses[name]), key=_place),
            }
            # Where it says nothing itself, its newest version speaks for it.
            if row["description"] is None and kept:
                newest = as_object(json_of(max(kept, key=age), "server_json"), "server_json")
                found["description"] = newest.get("description")
            return found

        return more


def _version(row: Row, tags: Mapping[str, str]) -> dict[str, Any]:
    told = {name: row[name] for name in (*_VERSION, *_BY)}
    told |= {name: json_of(row, name) for name in _JSON}
    told |= {name: row[column] for name, column in _MADE.items()}
    return {**_given(told), "tags": tags}


def age(row: Row) -> tuple[Any, ...]:
    """Return what orders the versions of a server: the newest is the one that speaks for it."""
    *numbers, key, made = _ORDER
    told = (*(integer(row, it) or 0 for it in numbers), text(row, key), integer(row, made) or 0)
    return (row["status"] == _ACTIVE, *told, text(row, "version"))


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _place(address: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(address.get(name, "")) for name in AccessEndpoint._fields)
