"""Copies MCP servers, each with all its versions, aliases and addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from migrate.kinds import Kind, Ref
from migrate.records.mcp_servers import MCPServer
from migrate.tasks.added import joined, joined_versions
from migrate.tasks.carrier import RecordCarrier, differing
from migrate.tasks.wanted import Place, Wanted


class MCPServers(RecordCarrier[MCPServer]):
    """MCP servers. Nothing on one says whose copy it is: it is found by its name."""

    kind = Kind.MCP_SERVER
    guarded = True
    colours = ("#e0f2ec", "#00695c")

    def ref(self, record: MCPServer) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.name)

    def wanted(self, record: MCPServer, place: Place) -> Wanted[MCPServer]:
        """See ``RecordCarrier.wanted``."""
        return Wanted(record)

    def with_added(self, wanted: MCPServer, copy: MCPServer) -> Wanted[MCPServer]:
        """See ``RecordCarrier.with_added``: tags, aliases, versions, addresses, texts."""
        versions, losses = joined_versions(
            {it.version: it for it in wanted.versions},
            {it.version: it for it in copy.versions},
            lambda it: (it.server_json, it.source),
        )
        more = Counter(copy.access_endpoints) - Counter(wanted.access_endpoints)
        added = replace(
            wanted,
            display_name=wanted.display_name or copy.display_name,
            description=wanted.description or copy.description,
            icons=wanted.icons or copy.icons,
            tags=joined(wanted.tags, copy.tags),
            aliases=joined(wanted.aliases, copy.aliases),
            versions=tuple(versions[number] for number in sorted(versions)),
            access_endpoints=(*wanted.access_endpoints, *more.elements()),
        )
        return Wanted(added, losses)

    def differences(
        self, wanted: MCPServer, copy: MCPServer
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        yield from differing(_members(wanted), _members(copy))


def _members(server: MCPServer) -> Mapping[str, Any]:
    """Return all that is copied of a server, by what it is called in losses and differences."""
    found: dict[str, Any] = {
        "display_name": server.display_name,
        "description": server.description,
        "icons": server.icons,
    }
    found |= {f"tag {key}": value for key, value in server.tags.items()}
    found |= {f"alias {alias}": version for alias, version in server.aliases.items()}
    found |= {f"version {it.version}": it.content for it in server.versions}
    for address in sorted(server.access_endpoints):
        found.setdefault(f"access endpoint {address.url}", []).append(address)
    return found
