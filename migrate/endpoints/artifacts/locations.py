"""Which places of files are used, and by what way: one short list for both sides.

A server says where the files of its objects are, and what a server says is not to be trusted. So
a location is used only by one of these ways; docs/security.md says why.

=========================================  ==================================================
location                                   way
=========================================  ==================================================
``mlflow-artifacts:/x``, also with the     through the artifact proxy of the server that named
server's own host and port                 it
``s3 gs wasbs abfss r2 b2``, at a host     by MLflow's repository, with the keys of the cloud
of its cloud
``dbfs:`` of a workspace on Databricks     by that workspace, with its own login
a path, ``file:``, ``hdfs:``, ``sftp:``    where the user named its root for that side, and
and others that MLflow knows               never outside it
anything else: ``runs:``, ``models:``,     read through the routes of the server that named it,
other hosts, places without such a root    as it delivers them; never written
=========================================  ==================================================
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from migrate.errors import NotPermitted, UsageError
from migrate.redaction import cut

_AZURE = r"core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)"
#: Schemes of cloud storages, and what may stand where a URI has its host: a bucket, or one at a
#: host of that cloud. MLflow calls, with the keys, whatever host stands there.
CLOUDS = {
    "s3": re.compile(r"[A-Za-z0-9][\w.-]*"),
    "gs": re.compile(r"[A-Za-z0-9][\w.-]*"),
    "wasbs": re.compile(rf"[\w$-]+@[a-z0-9]+\.blob\.{_AZURE}"),
    "abfss": re.compile(
        rf"[\w$-]+@(?:[a-z0-9-]+\.(?:z\d\d\.)?(?:privatelink\.)?(?:dfs|blob)\.{_AZURE}"
        r"|onelake\.(?:dfs|blob)\.fabric\.microsoft\.com)"
    ),
    "r2": re.compile(r"[\w.-]+@[0-9a-f]+\.(?:eu\.|fedramp\.)?r2\.cloudflarestorage\.com"),
    "b2": re.compile(r"[\w.-]+@s3\.[a-z0-9-]+\.backblazeb2\.com"),
}
#: Ends of the hosts that URLs are signed for: storages of clouds, and of Databricks.
STORAGES = re.compile(
    r"(?:^|.*\.)(?:amazonaws\.com(?:\.cn)?|storage\.googleapis\.com|r2\.cloudflarestorage\.com"
    rf"|(?:blob|dfs)\.{_AZURE}|databricks\.com|azuredatabricks\.net)"
)
#: Schemes that lead to another server or object, whatever root is named.
NEVER = frozenset({"mlflow-artifacts", "http", "https", "runs", "models"})
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class Way(StrEnum):
    """How the files at a location are reached."""

    PROXY = "the server's artifact proxy"
    REPOSITORY = "MLflow's repository"
    DISK = "this machine's disk"
    SERVER = "the server's routes, to read only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A way to files. ``path`` is that below the proxy; ``folder``, below ``root``, on this disk.

    ``reason`` says why nothing but the server's own routes will do.
    """

    way: Way
    path: str = ""
    folder: Path = Path()
    root: Path = Path()
    reason: str = ""


class Roots(NamedTuple):
    """What the user named for one side: folders on this disk, and beginnings of other URIs.

    ``storages`` are URIs of storages that are no cloud's, for which its server may sign URLs.
    """

    folders: Sequence[Path] = ()
    uris: Sequence[str] = ()
    storages: Sequence[str] = ()


NO_ROOTS = Roots()


def roots_of(named: Sequence[str]) -> Roots:
    """Sort what the user named: paths and ``file:`` URIs, links resolved, and other URIs."""
    folders, uris, storages = [], [], []
    for place in named:
        folder = disk_path(place)
        if folder is not None:
            folders.append(folder.resolve())
        elif is_web(place):
            storages.append(place)
        else:
            uris.append(place)
    return Roots(folders, uris, storages)


def locate(uri: str, base_url: str, roots: Roots) -> Location:
    """Return the way to the files at ``uri``, named by the server at ``base_url``."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return Location(way=Way.SERVER, reason="it is no URI")
    below_proxy = _below_proxy(parts, base_url)
    if below_proxy is not None:
        return Location(way=Way.PROXY, path=below_proxy.strip("/"))
    folder = disk_path(uri)
    if folder is not None:
        return _on_disk(folder, roots.folders)
    reason = _why_not(parts, roots.uris)
    return Location(way=Way.SERVER if reason else Way.REPOSITORY, reason=reason)


def _why_not(parts: SplitResult, roots: Sequence[str]) -> str:
    """Return why MLflow's repositories are not to be used, empty where they are."""
    if parts.scheme in CLOUDS:
        fits = CLOUDS[parts.scheme].fullmatch(parts.netloc)
        return "" if fits else f"{parts.scheme}: goes to hosts of its cloud only"
    if parts.scheme in NEVER:
        return "it leads to another server or object"
    named = any(_is_below(parts, root) for root in roots)
    return "" if named else "nobody named its root"


def disk_path(uri: str) -> Path | None:
    """Return what a path or ``file:`` URI means on a disk, None for any other location.

    As MLflow reads them, so that what is written is where the server looks for it.
    """
    scheme = urlsplit(uri.partition("//")[0]).scheme
    # A single letter is a Windows drive.
    if not scheme or len(scheme) == 1:
        return Path(uri)
    if scheme != "file":
        return None
    return Path(url2pathname(urlsplit(uri).path))


class UnknownStorage(NotPermitted):
    """A URL leads to a host that is no cloud's storage, and that nobody named."""


def is_web(place: str) -> bool:
    """Say whether a place that the user named is a storage that a server may sign URLs for."""
    return place.lower().startswith(("http://", "https://"))


def is_storage(url: str, base_url: str, named: Sequence[str] = ()) -> bool:
    """Say whether a URL that a server signed leads to a cloud's storage, or to itself.

    So does one below a storage that the user ``named`` for this side.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    # Libraries do not agree on which host these lead to.
    if "@" in parts.netloc or re.search(r"[\s\\\x00-\x1f]", url):
        return False
    if (parts.scheme, parts.netloc) == urlsplit(base_url)[:2]:
        return True
    decoded = parts._replace(netloc=parts.netloc.lower(), path=unquote(parts.path))
    if any(_is_below(decoded, root) for root in named):
        return True
    return parts.scheme == "https" and bool(STORAGES.fullmatch(host))


def require_storage(
    url: str, base_url: str, what: str, named: Sequence[str] = (), signer: str = "workspace"
) -> None:
    """Raise ``UnknownStorage`` where ``is_storage`` says no; ``what`` is the file it is signed for.

    The URL itself is a key, and in no message.
    """
    if not is_storage(url, base_url, named):
        try:
            parts = urlsplit(url)
            host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        except ValueError:
            host = "no host"
        host = cut(host, 200)
        raise UnknownStorage(
            f"the {signer} sends to {host} for {what}, which is no cloud's storage",
            ""
            if signer == "workspace"
            else f"if it is a storage of yours, name it: --{signer}-artifacts {host}",
        )


def check_root(place: str, option: str) -> str:
    """Return a root as it is kept: a path absolute, a URI as it is. Raises ``UsageError``."""
    place = absolute_root(place)
    folder = disk_path(place)
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"{option}: there is no folder {folder}", "name one that is there")
        return place
    if is_web(place):
        return _check_storage(place, option)
    scheme = urlsplit(place.partition("//")[0]).scheme
    if scheme in NEVER or scheme in CLOUDS or scheme == "dbfs":
        raise UsageError(
            f"{option}: files at {scheme}: need no root, or are never used by this tool itself",
            "name a folder of this machine, or a URI such as hdfs://namenode/mlflow",
        )
    return place


def _check_storage(place: str, option: str) -> str:
    try:
        parts = urlsplit(place)
        known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{option}: a storage that URLs are signed for has a host, and neither a login nor a "
            "query",
            "name it as http://minio:9000, or as http://minio:9000/bucket",
        )
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def check_new_root(place: str, option: str) -> str:
    """Return a root below which all files are to be written; a folder need not be there yet.

    Raises ``UsageError``.
    """
    place = absolute_root(place)
    scheme = urlsplit(place.partition("//")[0]).scheme
    folder = disk_path(place)
    if folder is None and (scheme in NEVER or scheme == "dbfs"):
        raise UsageError(
            f"{option}: files cannot be written at {scheme}:",
            "name a folder of this machine, or a place such as s3://bucket/path",
        )
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{option}: {folder} is no folder", "name a folder, which may be new")
    return place


def absolute_root(place: str) -> str:
    """Return a root as it is kept: a path absolute, a URI as it is."""
    folder = disk_path(place)
    return place if folder is None else str(folder.expanduser().absolute())


def _on_disk(folder: Path, roots: Sequence[Path]) -> Location:
    if not folder.is_absolute():
        return Location(way=Way.SERVER, reason="it is no absolute path")
    try:
        resolved = folder.resolve()
    except (OSError, RuntimeError, ValueError) as problem:
        return Location(way=Way.SERVER, reason=f"it leads nowhere: {type(problem).__name__}")
    for root in roots:
        if resolved.is_relative_to(root):
            return Location(way=Way.DISK, folder=resolved, root=root)
    return Location(way=Way.SERVER, reason="it is on a disk, and nobody named its root")


def _below_proxy(parts: SplitResult, base_url: str) -> str | None:
    """Return what is below the proxy of the server at ``base_url``, None for another place."""
    base = urlsplit(base_url)
    if parts.scheme == "mlflow-artifacts":
        return parts.path if parts.netloc in ("", base.netloc) else None
    if parts.scheme in ("http", "https") and (parts.scheme, parts.netloc) == base[:2]:
        prefix = f"{base.path}{PROXY}/"
        below = parts.path.removeprefix(prefix)
        return unquote(below) if parts.path.startswith(prefix) else None
    return None


def _is_below(parts: SplitResult, root: str) -> bool:
    named = urlsplit(root)
    if (parts.scheme, parts.netloc) != (named.scheme, named.netloc):
        return False
    if os.pardir in parts.path.split("/"):
        return False
    path = posixpath.normpath(parts.path)
    above = posixpath.normpath(named.path or "/")
    return path == above or path.startswith(above.rstrip("/") + "/")
