"""Copies MCP servers, each with all its versions, aliases and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from migrate.kinds import Kind, Ref
from migrate.records.mcp_servers import MCPServer
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
