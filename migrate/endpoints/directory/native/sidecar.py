"""migrate.json, which lies beside run.json and logged_model.json: what only this tool knows.

It makes a copy recognisable (mark), damage visible (sizes) and long histories readable as a
stream (where in run.json each metric key begins). Any other reader can do without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.layout import FORMAT_VERSION, SIDECAR_FILE
from migrate.endpoints.directory.native.envelope import require_known_format
from migrate.endpoints.directory.native.losses import losses_from_json, losses_to_json
from migrate.endpoints.disk import DAMAGED, load_object, write_object
from migrate.endpoints.run_members import point_from
from migrate.endpoints.shapes import (
    Object,
    key_of,
    required,
    required_count,
    required_objects,
    required_text,
    text,
)
from migrate.errors import DirectoryError, Malformed
from migrate.objects import Loss, Metric


class StoredFile(NamedTuple):
    """An artifact: its path at the source, its size in bytes, its path below artifacts/.

    ``digest`` is the SHA-256 it was written with, empty where nobody took one.
    """

    path: str
    size: int
    stored_as: str
    digest: str = ""


class StoredHistory(NamedTuple):
    """One metric key in run.json: where its first point begins, how many lines there are."""

    key: str
    offset: int
    points: int
    latest: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The content of migrate.json; ``record_bytes`` is the size of the JSON file it is about."""

    mark: str
    record_bytes: int
    artifacts: tuple[StoredFile, ...] = ()
    histories: tuple[StoredHistory, ...] = ()
    losses: tuple[Loss, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written."""
        losses = {"losses": losses_to_json(self.losses)} if self.losses else {}
        return {
            "format_version": FORMAT_VERSION,
            "mark": self.mark,
            "record_bytes": self.record_bytes,
            "artifacts": [_file_to_json(file) for file in self.artifacts],
            "metrics": [_history_to_json(history) for history in self.histories],
            **losses,
        }


def read_sidecar(base: Path, place: Path) -> Sidecar | None:
    """Read a directory's sidecar; None when other tools wrote it. Raises ``DirectoryError``."""
    path = place / SIDECAR_FILE
    if not path.exists() and not path.is_symlink():
        return None
    value = load_object(base, path)
    require_known_format(path, value.get("format_version"))
    try:
        return Sidecar(
            mark=text(value, "mark"),
            record_bytes=required_count(value, "record_bytes"),
            artifacts=tuple(map(_file_from_json, required_objects(value, "artifacts"))),
            histories=tuple(map(_history_from_json, required_objects(value, "metrics"))),
            losses=losses_from_json(value, "losses"),
        )
    except Malformed as error:
        raise DirectoryError(f"{path} is damaged: {error}", DAMAGED) from error


def note_losses(base: Path, place: Path, losses: Sequence[Loss]) -> None:
    """Write what is lost of a run or logged model into its sidecar; nothing where it says so.

    Raises ``StorageFull`` or ``DirectoryError``.
    """
    there = read_sidecar(base, place)
    if there is not None and there.losses != tuple(losses):
        write_object(place / SIDECAR_FILE, replace(there, losses=tuple(losses)).to_json())


def whole_sidecar(base: Path, place: Path) -> Sidecar | None:
    """Read a directory's sidecar for whoever writes it anew; None also when it is damaged.

    Raises ``DirectoryError`` where it is of a newer format, or a link.
    """
    try:
        return read_sidecar(base, place)
    except DirectoryError as problem:
        if problem.hint != DAMAGED:
            raise
        return None


def _file_to_json(file: StoredFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": file.path, "size": file.size}
    if file.stored_as != file.path:
        entry["stored_as"] = file.stored_as
    if file.digest:
        entry["sha256"] = file.digest
    return entry


def _file_from_json(entry: Object) -> StoredFile:
    path = required_text(entry, "path")
    stored_as = text(entry, "stored_as", default=path)
    if any(part in ("", ".", "..") for part in stored_as.split("/")) or "\0" in stored_as:
        raise Malformed(f"{stored_as[:100]!r} is no path below the artifacts")
    size = required_count(entry, "size")
    return StoredFile(path, size, stored_as, text(entry, "sha256"))


def _history_to_json(history: StoredHistory) -> dict[str, Any]:
    latest = history.latest
    point = {"value": latest.value, "timestamp": latest.timestamp, "step": latest.step}
    return {
        "key": history.key,
        "offset": history.offset,
        "points": history.points,
        "latest": point,
    }


def _history_from_json(entry: Object) -> StoredHistory:
    key = key_of(entry, "metrics")
    latest = point_from(key, required(entry, "latest"))
    offset, points = required_count(entry, "offset"), required_count(entry, "points")
    return StoredHistory(key, offset, points, latest)
