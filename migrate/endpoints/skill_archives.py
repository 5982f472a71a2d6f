"""The files of a version of a skill as one archive: a tar, packed with gzip.

What such an archive holds has a digest that MLflow keeps with the version; what it is sent it holds
against that (``mlflow.genai.skill_content.digest`` of 3.18.0).
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from migrate.endpoints.artifacts.stores import ArtifactStore
from migrate.errors import EndpointError, Refused
from migrate.objects import Artifact

_BLOCK = 1 << 20


@contextmanager
def archive_of(files: ArtifactStore, where: str) -> Iterator[BinaryIO]:
    """Pack all files of a store, on disk, and give the archive, at its start.

    Times and owners are left out, as MLflow leaves them out. Raises ``EndpointError`` for no files,
    and for one that is not as long as it was listed; ``where`` names the store.
    """
    listed = sorted(files.list_files())
    if not listed:
        raise EndpointError(f"there are no files at {where}")
    with TemporaryFile() as file:
        with (
            gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
            tarfile.open(
                fileobj=cast(BinaryIO, packed), mode="w", format=tarfile.PAX_FORMAT
            ) as archive,
        ):
            for artifact in listed:
                _pack(archive, files, artifact, where)
        file.seek(0)
        yield cast(BinaryIO, file)


def _pack(archive: tarfile.TarFile, files: ArtifactStore, artifact: Artifact, where: str) -> None:
    entry = tarfile.TarInfo(artifact.path)
    entry.size = artifact.size
    entry.mode = 0o644
    with files.open(artifact) as stream:
        changed = EndpointError(
            f"{artifact.path!r} at {where} is not as long as it is listed",
            "was it changed meanwhile? Try again",
        )
        try:
            archive.addfile(entry, stream)
        except OSError as problem:
            if str(problem) != "unexpected end of data":
                raise
            raise changed from None
        if stream.read(1):
            raise changed


def tree_digest(archive: BinaryIO, where: str) -> str:
    """Return the SHA-256 of the paths and contents of all files in an archive, as MLflow counts it.

    Files are taken in the order of their paths. Raises ``EndpointError`` for what is no archive;
    ``where`` names it.
    """
    digest = hashlib.sha256()
    archive.seek(0)
    with _opened(archive, where) as opened:
        found = {unicodedata.normalize("NFC", it.name).encode(): it for it in opened if it.isreg()}
        for path, entry in sorted(found.items()):
            digest.update(struct.pack(">Q", len(path)) + path)
            digest.update(struct.pack(">Q", entry.size))
            content = opened.extractfile(entry)
            assert content is not None
            while block := content.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def require_safe(archive: BinaryIO, where: str) -> None:
    """Raise ``Refused`` for an archive that is not to be unpacked, with what is wrong in it.

    That is what is no file or folder, a name that may lead out of the folder it is unpacked to, and
    two files of one name. Raises ``EndpointError`` for what is no archive.
    """
    names: set[str] = set()
    archive.seek(0)
    with _opened(archive, where) as opened:
        for entry in opened:
            name = unicodedata.normalize("NFC", entry.name)
            if entry.isdir():  # which is made for its files alone
                continue
            if not entry.isreg():
                reason = "is no file, but a link or a device"
            elif _leads_out(entry.name):
                reason = "may lead out of its folder"
            elif name in names:
                reason = "is there twice"
            else:
                names.add(name)
                continue
            raise Refused(f"{entry.name[:60]!r} of {where} {reason}: nothing of it is written")


def unpacked(archive: BinaryIO, where: str) -> Iterator[tuple[Artifact, BinaryIO]]:
    """Yield the files of an archive that is safe, each to be read before the next is asked for."""
    archive.seek(0)
    with _opened(archive, where) as opened:
        for entry in opened:
            content = opened.extractfile(entry) if entry.isreg() else None
            if content is not None:
                yield Artifact(entry.name, entry.size), cast(BinaryIO, content)


def _leads_out(name: str) -> bool:
    """Say whether a name is more than names of folders and a file, on any system."""
    parts = name.split("/")
    return not {"", ".", ".."}.isdisjoint(parts) or any(it in name for it in "\\\0:")


@contextmanager
def _opened(archive: BinaryIO, where: str) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as opened:
            yield opened
    except (tarfile.TarError, EOFError, OSError, OverflowError, ValueError, zlib.error) as problem:
        raise EndpointError(f"{where} is no archive: {problem}") from None
