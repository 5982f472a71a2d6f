"""Turns what the user wrote as SOURCE or TARGET into an endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from migrate.endpoints.artifacts.locations import roots_of
from migrate.endpoints.database.opening import is_database
from migrate.endpoints.file_stores import file_store_around
from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.tracking.http.access import Access, access_for
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.opening import open_server
from migrate.endpoints.tracking.unmade import UnmadeWorkspace
from migrate.endpoints.tracking.workspaces import Workspaces
from migrate.errors import UsageError
from migrate.redaction import is_bare_login, shown_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One side of a migration as plain values, enough to open it in any process.

    ``uri`` may hold credentials; ``shown`` never does. ``workers`` bounds the requests under way at
    a time, ``per_second`` those started in a second (None: no bound). A ``read_only`` target is
    only compared with. ``registry_uri`` is where registered models are, when that is not ``uri``.
    ``users`` are names of users whose permissions are asked for, on servers that cannot list their
    users. With ``roles_too`` roles are copied; ``passwords`` is the file that keeps those of users
    made on a target. A new export directory that ``holds_models`` has its experiments one level
    down, beside the registered models. ``artifacts`` are roots of files that the server may send us
    to: folders of this machine, and URIs (see ``artifacts.locations``). ``workspace`` is that of a
    server with workspaces; empty for what the environment says, or the default one. One that is
    ``unmade`` the target is still to get; a plan finds nothing in it. A target that ``keeps_files``
    is a database whose copies point at the files of the source; ``artifacts`` are the source's.
    ``auth_uri`` is the database of the basic-auth app of a server whose database this is.
    """

    uri: str
    side: str
    workers: int = 8
    per_second: float | None = None
    read_only: bool = False
    registry_uri: str = ""
    users: tuple[str, ...] = ()
    holds_models: bool = False
    artifacts: tuple[str, ...] = ()
    workspace: str = ""
    roles_too: bool = False
    passwords: str = ""
    unmade: bool = False
    keeps_files: bool = False
    auth_uri: str = ""

    def __repr__(self) -> str:
        return f"Address({self.shown!r}, side={self.side!r})"

    @property
    def is_directory(self) -> bool:
        """True when this is a path, not a tracking URI."""
        scheme = _scheme(self.uri)
        if is_bare_login(self.uri):
            return False
        return self.uri != "databricks" and (scheme in ("", "file", "dbfs") or len(scheme) == 1)

    @property
    def is_database(self) -> bool:
        """True when this is the database of a server."""
        return is_database(_scheme(self.uri))

    @property
    def is_server(self) -> bool:
        """True when this is reached by a network and by MLflow's API: asking it makes nothing."""
        return not self.is_directory and not self.is_database

    @property
    def is_file_store(self) -> bool:
        """True when this is a directory that a server or client has as its file store."""
        return self.is_directory and file_store_around(self.path) == self.path

    @property
    def shown(self) -> str:
        """The address fit for logs, reports and the state database."""
        if self.is_directory:
            return str(self.path)
        return shown_address(self.uri)

    @property
    def access(self) -> Access:
        """How the tracking server of this address is reached. Raises ``UsageError``."""
        return self._access(self.uri)

    @property
    def registry_access(self) -> Access:
        """How the server that keeps its registered models is reached. Raises ``UsageError``."""
        return self._access(self.registry_uri)

    def _access(self, uri: str) -> Access:
        access = access_for(uri, self.side)
        return replace(access, workspace=self.workspace) if self.workspace else access

    @property
    def path(self) -> Path:
        """The directory, absolute; what Databricks calls ``dbfs:/x`` is mounted at ``/dbfs/x``."""
        if _scheme(self.uri) == "dbfs":
            return (Path("/dbfs") / self.uri.partition(":")[2].lstrip("/")).resolve()
        is_uri = _scheme(self.uri) == "file"
        path = unquote(self.uri.removeprefix("file:")) if is_uri else self.uri
        return Path(path.removeprefix("//")).expanduser().resolve()

    @property
    def own_path(self) -> Path | None:
        """The directory or file of this machine that it is; None for what is reached by a network.

        A database in memory is none either.
        """
        if self.is_directory:
            return self.path
        file = self.uri.partition(":///")[2].partition("?")[0]
        if self.is_database and _scheme(self.uri).startswith("sqlite") and file:
            return Path(file).resolve()
        return None

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of this machine that files of it are in, as far as the user named them."""
        return roots_of(self.artifacts).folders

    def variables(self) -> Mapping[str, str]:
        """Return environment variables that let another process reach it as this one does."""
        if self.is_directory or self.is_database:
            return {}
        if _scheme(self.uri) not in ("http", "https"):
            return {k: v for k, v in os.environ.items() if k.startswith("DATABRICKS_")}
        access, before = self.access, f"MIGRATE_{self.side.upper()}_"
        found = {
            "TRACKING_USERNAME": access.username,
            "TRACKING_PASSWORD": access.password,
            "TRACKING_TOKEN": access.token,
            "TRACKING_INSECURE_TLS": "true" if access.verify is False else None,
            "TRACKING_SERVER_CERT_PATH": access.verify if isinstance(access.verify, str) else None,
            "TRACKING_CLIENT_CERT_PATH": access.client_certificate,
            "TRACKING_AUTH": access.auth_plugin,
            "TRACKING_AWS_SIGV4": "true" if access.aws_sigv4 else None,
            "WORKSPACE": access.workspace,
        }
        return {before + name: value for name, value in found.items() if value}


def _scheme(uri: str) -> str:
    """Return the scheme, also where the rest of the URI makes no sense."""
    return urlsplit(uri.partition("//")[0]).scheme


def open_source(address: Address) -> Source:
    """Open a server, an export directory, a file store or a database; connects when first asked.

    Raises ``UsageError`` for a URI of a kind that is not known.
    """
    if address.is_database:
        return _open_database(address)
    _check_auth(address)
    _check_workspace(address)
    if address.is_file_store:
        return _open_file_store(address)
    return _open_either(address)


def open_target(address: Address) -> Target:
    """Open a server, an export directory or a database; connects when first asked.

    Raises ``UsageError`` for a URI of a kind that is not known, or that is only a source.
    """
    if address.is_database:
        return _open_written_database(address)
    _check_auth(address)
    _check_workspace(address)
    return _open_either(address)


def _check_auth(address: Address) -> None:
    """Raise ``UsageError`` where users are to be in a database beside what is none."""
    if address.auth_uri:
        raise UsageError(
            f"--{address.side}-auth-database goes with a database: {address.shown} is none",
            "leave it out: a server knows its users, and gets new ones with new passwords",
        )


def _check_workspace(address: Address) -> None:
    """Raise ``UsageError`` where a workspace is asked for of what can have none."""
    scheme = _scheme(address.uri)
    if address.workspace and (address.is_directory or scheme not in ("http", "https")):
        raise UsageError(
            f"{address.shown} has no workspaces of MLflow, and {address.workspace!r} was asked for",
            f"leave out --{address.side}-workspace",
        )


def _open_either(address: Address) -> Target:
    """Open what can be a source as well as a target."""
    scheme = _scheme(address.uri)
    if address.is_directory:
        from migrate.endpoints.directory import ExportDirectory  # loaded where it is an end

        return ExportDirectory(
            address.path,
            writable=address.side == "target" and not address.read_only,
            is_target=address.side == "target",
            holds_models=address.holds_models,
        )
    workers, per_second = address.workers, address.per_second
    if scheme in ("http", "https"):
        access = replace(address.access, workspace=None) if address.unmade else address.access
        http = HttpSession(access, side=address.side, workers=workers, per_second=per_second)
        registry = None
        shown = shown_address(address.registry_uri)
        if address.registry_uri and shown != address.shown:
            _check_registry(address)
            models = address.registry_access
            registry = HttpSession(
                models, side=address.side, workers=workers, per_second=per_second
            )
        server = open_server(
            http,
            tracking_uri=address.uri,
            workspace=access.workspace or "",
            users=address.users,
            registry=registry,
            roots=roots_of(address.artifacts),
            roles_too=address.roles_too,
            passwords=address.passwords,
        )
        if address.unmade:
            return cast(Target, UnmadeWorkspace(server, http.base_url, address.workspace))
        return server
    if scheme == "databricks" or address.uri == "databricks":
        from migrate.endpoints.tracking.databricks.opening import open_databricks

        return open_databricks(
            address.uri,
            side=address.side,
            workers=workers,
            per_second=per_second,
            registry_uri=address.registry_uri,
            roots=roots_of(address.artifacts),
        )
    raise UsageError(
        f"{address.shown} is not a tracking URI this tool knows",
        "use http(s)://host:port, databricks, databricks://profile or a directory; a source may be "
        "a database too: sqlite:///FILE",
    )


def _open_database(address: Address) -> Source:
    from migrate.endpoints.database.endpoint import DatabaseSource

    if address.registry_uri:
        raise UsageError(
            f"--source-registry-uri does not go with a database: {address.shown}",
            "copy from the database of the registry by itself",
        )
    return DatabaseSource(
        address.uri,
        side=address.side,
        workspace=address.workspace,
        roots=roots_of(address.artifacts),
        auth=address.auth_uri,
        users=address.users,
        roles_too=address.roles_too,
    )


def _open_written_database(address: Address) -> Target:
    from migrate.endpoints.database.target.endpoint import DatabaseTarget
    from migrate.endpoints.database.target.files import KeptFiles, PlacedFiles

    if address.registry_uri:
        raise UsageError(
            f"--target-registry-uri does not go with a database: {address.shown}",
            "copy to the database of the registry by itself",
        )
    if address.keeps_files:
        files: KeptFiles | PlacedFiles = KeptFiles(roots_of(address.artifacts))
    elif len(address.artifacts) == 1:
        files = PlacedFiles(address.artifacts[0])
    else:
        raise UsageError(
            f"where the files of {address.shown} go is to be said, by one place",
            "name it with --target-artifacts: a folder, or a place such as s3://bucket/path; or "
            "leave them where they are: --artifacts keep",
        )
    return DatabaseTarget(
        address.uri,
        files=files,
        workspace=address.workspace,
        reads_only=address.read_only,
        auth=address.auth_uri,
        users=address.users,
        roles_too=address.roles_too,
    )


def _open_file_store(address: Address) -> Source:
    if address.registry_uri:
        raise UsageError(
            f"--source-registry-uri does not go with a file store: {address.shown}",
            "copy from the registry by itself",
        )
    from migrate.endpoints.filestore import FileStoreSource

    roots = roots_of(address.artifacts)
    return FileStoreSource(address.path, side=address.side, roots=roots)


def open_workspaces(address: Address) -> Workspaces | None:
    """Open what lists the workspaces of a server; None for what can have none."""
    if address.is_directory or _scheme(address.uri) not in ("http", "https"):
        return None
    access = replace(address.access, workspace=None)
    return Workspaces(HttpSession(access, side=address.side, workers=1))


def _check_registry(address: Address) -> None:
    """Raise ``UsageError`` when the registry of a tracking server is no server like it."""
    if _scheme(address.registry_uri) not in ("http", "https"):
        raise UsageError(
            f"{shown_address(address.registry_uri)!r} is no registry for {address.shown}",
            "use http(s)://host:port; databricks-uc goes with the tracking URI databricks",
        )
