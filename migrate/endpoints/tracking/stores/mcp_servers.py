"""MCP servers of a tracking server's registry of these (MLflow 3.15)."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from migrate.endpoints.shapes import (
    Object,
    ident,
    member,
    objects,
    pairs,
    required_text,
    text,
    told_id,
)
from migrate.endpoints.stores import Found
from migrate.endpoints.tracking.entries import Entries, Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import MCP_SERVERS as PART
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.endpoints.tracking.stores.staged_versions import (
    ACTIVE,
    DRAFT,
    StagedVersions,
    said_by_itself,
)
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.in_turn import in_turn
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.mcp_servers import AccessEndpoint, MCPServer, MCPServerVersion

SERVERS = PART.path
PER_PAGE = 100
#: Servers whose versions are asked for at a time.
AT_ONCE = 4
FORM = Form(Kind.MCP_SERVER, lambda entry: Told(told_id(entry, "name")))


class MCPServerStore(RecordStore[MCPServer]):
    """MCP servers, each with its versions, aliases and addresses.

    A version that is deleted keeps its number, and what it is made of is never changed.
    """

    kind = Kind.MCP_SERVER
    part = PART

    def __init__(self, http: HttpSession, entries: Entries) -> None:
        super().__init__(http, entries)
        self._versions = StagedVersions(http)

    def list(self, containers: Sequence[str]) -> Iterator[MCPServer]:
        """See ``Store.list``."""
        yield from in_turn(AT_ONCE, (partial(self._whole, it) for it in self._all()))

    def _all(self) -> builtins.list[MCPServer]:
        """Return all servers without their versions."""
        pages = self._http.get_pages(SERVERS, {"max_results": PER_PAGE})
        found = self._entries.all(pages, "mcp_servers", FORM, server_from)
        return sorted(found, key=lambda it: (it.creation_timestamp or 0, it.name))

    def _whole(self, server: MCPServer) -> MCPServer:
        """Return a server with its versions."""
        pages = self._http.get_pages(f"{_path(server.name)}/versions", {"max_results": PER_PAGE})
        form = Form(self.kind, lambda _: Told(server.name))
        found = self._entries.all(pages, "mcp_server_versions", form, _version_from)
        return replace(server, versions=tuple(sorted(found, key=lambda it: it.version)))

    def read(self, ids: Sequence[str]) -> builtins.list[MCPServer]:
        """See ``Store.read``."""
        found = []
        for name in ids:
            with suppress(NotFound, Refused):  # the latter is said of a name that none can have
                found.append(self._whole(server_from(self._http.get(_path(name)))))
        return found

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[MCPServer]]]:
        """See ``Store.find``."""
        found = self.list(()) if keys is None else self.read(sorted(keys))
        return {it.name: [Found(it)] for it in found}

    def create(self, container: str, wanted: MCPServer) -> MCPServer:
        """See ``Store.create``: without its versions."""
        body = {"name": wanted.name, "icons": builtins.list(wanted.icons) or None}
        body["description"] = wanted.description
        filled = {key: value for key, value in body.items() if value is not None}
        answer = self._http.post(SERVERS, filled, idempotent=False)
        with read_once():
            return server_from(answer)

    def finish(
        self, copy: MCPServer, wanted: MCPServer, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. What refers to versions comes after them."""
        path = _path(wanted.name)
        copy = self._whole(server_from(self._http.get(path)))
        said = {"display_name", "description", "icons"}
        changed = {it for it in said if getattr(copy, it) != getattr(wanted, it)}
        if changed:
            self._http.change("PATCH", path, {it: getattr(wanted, it) or None for it in changed})
        self._versions.tag(path, copy.tags, wanted.tags)
        existing = {it.version: it for it in copy.versions}
        refused: builtins.list[Loss] = []
        for version in wanted.versions:
            refused += self._put_version(path, existing.get(version.version), version)
        refused += self._versions.set_aliases(path, copy.aliases, wanted.aliases)
        refused += self._put_addresses(path, wanted)
        self._versions.remove_aliases(path, copy.aliases, wanted.aliases)
        for number in sorted(existing.keys() - {it.version for it in wanted.versions}):
            self._delete_version(path, existing[number])
        return refused

    def _put_version(
        self, path: str, existing: MCPServerVersion | None, wanted: MCPServerVersion
    ) -> Sequence[Loss]:
        """Bring a version to what is wanted."""
        name = f"version {wanted.version}"
        place = f"{path}/versions/{quote(wanted.version, safe='')}"
        if existing is None:
            status = DRAFT if wanted.status == DRAFT else ACTIVE
            body: dict[str, Any] = {"server_json": wanted.server_json, "status": status}
            more = {it: getattr(wanted, it) for it in ("source", "connect_options", "tools")}
            body |= {key: value for key, value in more.items() if value}
            try:
                self._http.post(f"{path}/versions", body, idempotent=False)
            except (AlreadyExists, Refused) as problem:
                return (Loss(name, f"refused by the target: {problem}"),)
            existing = wanted._replace(status=status, tags={})
        elif (existing.server_json, existing.source) != (wanted.server_json, wanted.source):
            return (Loss(name, "MLflow changes what a version is made of on none that is there"),)
        changed = {
            it: getattr(wanted, it)
            for it in ("tools", "connect_options")
            if getattr(existing, it) != getattr(wanted, it)
        }
        if changed:
            self._http.change("PATCH", place, changed)
        self._versions.move(place, existing.status, wanted.status)
        self._versions.tag(place, existing.tags, wanted.tags)
        return ()

    def _put_addresses(self, path: str, wanted: MCPServer) -> Sequence[Loss]:
        """Make what addresses are missing, and take off the others, as they are now."""
        missing = builtins.list(wanted.access_endpoints)
        for entry in objects(self._http.get(path), "access_endpoints"):
            if (address := _address_from(entry)) in missing:
                missing.remove(address)
            else:
                place = f"{path}/endpoints/{quote(ident(entry, 'id'), safe='')}"
                with suppress(NotFound):
                    self._http.change("DELETE", place, {})
        refused: builtins.list[Loss] = []
        for address in missing:
            body = {key: value for key, value in address._asdict().items() if value}
            name = f"access endpoint {address.url}"
            refused += self._versions.attempt(name, f"{path}/endpoints", body)
        return refused

    def _delete_version(self, path: str, version: MCPServerVersion) -> None:
        place = f"{path}/versions/{quote(version.version, safe='')}"
        self._versions.delete(place, version.status)

    def delete(self, copy: MCPServer) -> None:
        """See ``Store.delete``: no version of one that goes is active."""
        path = _path(copy.name)
        for server in self.read([copy.name]):
            for version in server.versions:
                if version.status == ACTIVE:
                    place = f"{path}/versions/{quote(version.version, safe='')}"
                    self._versions.move(place, ACTIVE, DRAFT)
            with suppress(NotFound):
                self._http.change("DELETE", path, {})


def server_from(body: Object) -> MCPServer:
    """Read a server of a list or a GET, without its versions. Raises ``Malformed``."""
    aliases = objects(body, "aliases")
    return MCPServer(
        name=ident(body, "name"),
        display_name=_optional(body, "display_name"),
        description=_optional(body, "description"),
        # Those of its newest version are shown among them.
        icons=tuple(
            {key: value for key, value in icon.items() if key != "source"}
            for icon in objects(body, "icons")
            if icon.get("source") != "version"
        ),
        tags=pairs(body, "tags"),
        aliases={required_text(it, "alias"): required_text(it, "version") for it in aliases},
        access_endpoints=tuple(sorted(map(_address_from, objects(body, "access_endpoints")))),
        **said_by_itself(body),
    )


def _version_from(body: Object) -> MCPServerVersion:
    return MCPServerVersion(
        version=required_text(body, "version"),
        server_json=member(body, "server_json"),
        status=text(body, "status", DRAFT),
        source=_optional(body, "source"),
        tools=tuple(
            {key: value for key, value in tool.items() if value is not None}
            for tool in objects(body, "tools")
        ),
        tags=pairs(body, "tags"),
        connect_options=member(body, "connect_options"),
        **said_by_itself(body),
    )


def _address_from(body: Object) -> AccessEndpoint:
    return AccessEndpoint(
        url=required_text(body, "url"),
        transport_type=text(body, "transport_type"),
        server_version=text(body, "server_version"),
        server_alias=text(body, "server_alias"),
    )


def _optional(body: Object, name: str) -> str | None:
    return None if body.get(name) is None else text(body, name)


def _path(name: str) -> str:
    return f"{SERVERS}/{quote(name)}"
