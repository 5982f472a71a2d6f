"""MCP servers of the registry, in versions (MLflow 3.15)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class MCPServerVersion(NamedTuple):
    """A version, which is a text; ``status`` is draft, active or deprecated.

    ``server_json``, ``tools`` and ``connect_options`` are JSON in the form of MCP's registry.
    """

    version: str
    server_json: Mapping[str, Any]
    status: str = "draft"
    source: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tags: Mapping[str, str] = {}
    connect_options: Mapping[str, Any] = {}
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    created_by: str = ""
    last_updated_by: str = ""

    @property
    def content(self) -> MCPServerVersion:
        """It without what a server says of it by itself: when and by whom it was made."""
        times: dict[str, Any] = dict.fromkeys(("creation_timestamp", "last_updated_timestamp"))
        return self._replace(**times, created_by="", last_updated_by="")


class AccessEndpoint(NamedTuple):
    """An address of a server that runs: of a version, or of the one that an alias points to."""

    url: str
    transport_type: str
    server_version: str = ""
    server_alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MCPServer:
    """An MCP server with all its versions and addresses; ``aliases`` name versions."""

    name: str
    display_name: str | None = None
    description: str | None = None
    icons: tuple[Mapping[str, Any], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[MCPServerVersion, ...] = ()
    access_endpoints: tuple[AccessEndpoint, ...] = ()
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    created_by: str = ""
    last_updated_by: str = ""
