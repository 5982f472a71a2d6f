"""MCP servers: how a server is filled with them, and what it shows of them."""

from __future__ import annotations

import uuid
from typing import Any

from tests.seed_records import Api, Json, Seeded

FULL, BARE = "io.github.ada/tools", "com.example/empty"


def make_version(api: Api, name: str, version: str, **said: Any) -> None:
    told = {"name": name, "version": version, "description": f"The tools of {version} ☃"}
    body = {"server_json": {**told, "_meta": {"deep": [1, None, {"a": "b"}]}}, **said}
    api("POST", f"mcp-servers/{name}/versions", body)


def seed_servers(api: Api) -> None:
    icon = {"src": "https://93.184.216.34/icon.png", "mimeType": "image/png"}
    api("POST", "mcp-servers", {"name": FULL, "description": "Tools. ☃", "icons": [icon]})
    api("PATCH", f"mcp-servers/{FULL}", {"display_name": "Ada's tools"})
    tool = {
        "name": "add",
        "description": "Adds.",
        "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}}},
    }
    make_version(api, FULL, "1.0.0", status="active", source="https://example.com/1", tools=[tool])
    make_version(api, FULL, "1.1.0-rc.1+build.5")
    hidden = {"remote-0": {"hidden": True}}
    make_version(api, FULL, "2.0.0", status="active", connect_options=hidden)
    make_version(api, FULL, "3.0.0")
    api("PATCH", f"mcp-servers/{FULL}/versions/1.0.0", {"status": "deprecated"})
    api("DELETE", f"mcp-servers/{FULL}/versions/3.0.0")
    for place in (f"mcp-servers/{FULL}", f"mcp-servers/{FULL}/versions/1.0.0"):
        for key in ("team", "a/b c"):
            api("POST", f"{place}/tags", {"key": key, "value": "Ünïcödé"})
    api("POST", f"mcp-servers/{FULL}/aliases", {"alias": "stable", "version": "1.0.0"})
    url = "https://93.184.216.34/mcp"
    for where in ({"server_version": "1.0.0"}, {"server_alias": "stable", "transport_type": "sse"}):
        api("POST", f"mcp-servers/{FULL}/endpoints", {"url": url, **where})
    api("POST", "mcp-servers", {"name": BARE})


def change_server(api: Api) -> None:
    """A version more, one less, others of its states, and a tag."""
    versions = api("GET", f"mcp-servers/{FULL}/versions")["mcp_server_versions"]
    status = {it["version"]: it["status"] for it in versions}
    draft = next(key for key, state in status.items() if state == "draft" and key != "2.0.0")
    api("DELETE", f"mcp-servers/{FULL}/versions/{draft}")
    make_version(api, FULL, f"4.0.{uuid.uuid4().int % 1_000_000}")
    moved = "draft" if status["2.0.0"] == "active" else "active"
    api("PATCH", f"mcp-servers/{FULL}/versions/2.0.0", {"status": moved})
    if moved == "draft":
        make_version(api, FULL, f"5.0.{uuid.uuid4().int % 1_000_000}")
    api("POST", f"mcp-servers/{FULL}/tags", {"key": "team", "value": uuid.uuid4().hex})
    api("PATCH", f"mcp-servers/{FULL}", {"description": None})


def own_server(api: Api) -> None:
    api("POST", "mcp-servers", {"name": BARE, "description": "another"})


def servers_shown(api: Api) -> list[Json]:
    given_out = ("creation_timestamp", "last_updated_timestamp", "workspace")
    by = ("created_by", "last_updated_by")
    shown = []
    for server in api("GET", "mcp-servers")["mcp_servers"]:
        versions = api("GET", f"mcp-servers/{server['name']}/versions")["mcp_server_versions"]
        for address in server["access_endpoints"]:
            for name in ("id", "resolved_version", *given_out, *by):
                address.pop(name, None)
        server["access_endpoints"].sort(key=str)
        versions.sort(key=str)
        server["versions"] = versions
        for record in (server, *versions):
            for name in (*given_out, *by):
                record.pop(name, None)
        shown.append(server)
    return shown


MCP_SERVERS = Seeded(
    kind="MCP server",
    count=2,
    seed=seed_servers,
    change=change_server,
    own=own_server,
    shown=servers_shown,
    create="/mcp-servers$",
)
