"""losses.json: what did not arrive of what is in a directory of an export.

Of runs and logged models the sidecar says it; of what has none, such a file beside it. The one at
the top of the experiments tells of whole objects, and of what is not known at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.endpoints.answers import Ended, Unreadable
from migrate.endpoints.directory.layout import LOSSES_FILE
from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.disk import load_object, write_object, writing
from migrate.endpoints.shapes import (
    Object,
    integer,
    member,
    objects,
    required,
    required_text,
    texts,
    word,
)
from migrate.errors import DirectoryError, Malformed
from migrate.kinds import Kind, Ref, Step, parse_ref
from migrate.objects import Loss
from migrate.outcomes import loss_from_stored, loss_to_stored

_LOSSES = "losses"
_FAILED = "failed"
_EXPORTS = "exports"
#: What makes one export ask for less than all.
_CHOICES = ("experiments", "models", "stages")


def losses_to_json(losses: Iterable[Loss]) -> list[dict[str, str]]:
    """Return losses as every file of an export has them."""
    members = ("what", "reason", "code")
    return [dict(zip(members, loss_to_stored(loss), strict=False)) for loss in losses]


def losses_from_json(body: Object, name: str) -> tuple[Loss, ...]:
    """Read the losses in a member, none where there is none. Raises ``Malformed``."""
    return tuple(map(_loss_from, objects(body, name)))


def _loss_from(entry: Object) -> Loss:
    stored = [required_text(entry, "what"), required_text(entry, "reason")]
    if "code" in entry:
        stored.append(required_text(entry, "code"))
    try:
        return loss_from_stored(stored)
    except ValueError as error:
        raise Malformed(str(error)) from None


def read_losses(base: Path, folder: Path) -> dict[Ref, tuple[Loss, ...]]:
    """Return what is lost of the objects that a directory tells of, by their refs.

    Raises ``DirectoryError`` where the file is damaged.
    """
    value = _read(base, folder / LOSSES_FILE)
    try:
        losses = member(value, _LOSSES)
        return {_ref_from(ref): losses_from_json(losses, ref) for ref in losses}
    except Malformed as error:
        raise _damaged(folder, error) from error


def losses_of(base: Path, folder: Path, ref: Ref) -> tuple[Loss, ...]:
    """Return what is lost of one object; where that cannot be read, that is a loss as well."""
    try:
        return read_losses(base, folder).get(ref, ())
    except DirectoryError as problem:
        return (Loss(LOSSES_FILE, f"what was lost before is not known: {problem}"),)


def keep_losses(base: Path, folder: Path, ref: Ref, losses: Iterable[Loss]) -> None:
    """Write down what is lost of one object, in place of what was; nothing where that is said.

    Raises ``StorageFull`` or ``DirectoryError``.
    """
    try:
        there = read_losses(base, folder)
    except DirectoryError:
        there = {}
    wanted = {**there, ref: tuple(losses)}
    if wanted[ref] != there.get(ref, ()):
        kept = {str(key): losses_to_json(value) for key, value in sorted(wanted.items()) if value}
        _write(folder / LOSSES_FILE, {_LOSSES: kept} if kept else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What an export lacks as a whole.

    ``failed`` are objects that are not in it, ``exports`` by what was asked for what is not known
    of the source, and how many objects of other kinds stayed there.
    """

    failed: tuple[Unreadable, ...] = ()
    exports: tuple[Mapping[str, Any], ...] = ()

    @property
    def unknown(self) -> Iterator[str]:
        """What could not be learned when it was exported."""
        return (str(text) for export in self.exports for text in export["unknown"])

    @property
    def unsupported(self) -> dict[Kind, int]:
        """How many objects of kinds that are not copied were at the source (-1: not counted)."""
        counts: dict[Kind, int] = {}
        for export in self.exports:
            for kind, count in export["unsupported"].items():
                counts[Kind(kind)] = max(counts.get(Kind(kind), count), count)
        return counts

    def within(self, kind: Kind, container: str) -> list[Unreadable]:
        """Return the objects of a kind that are missing in a container."""
        return [it for it in self.failed if (it.ref.kind, it.container) == (kind, container)]


NOTHING_LACKS = Shortfall()


def read_shortfall(base: Path) -> Shortfall:
    """Read what an export lacks. Raises ``DirectoryError`` where the file is damaged."""
    value = _read(base, base / LOSSES_FILE)
    try:
        return Shortfall(
            failed=tuple(
                _failed_from_json(entry)
                for entry in objects(value, _FAILED)
                if not _is_step(required_text(entry, "object"))
            ),
            exports=tuple(map(_export_from_json, objects(value, _EXPORTS))),
        )
    except Malformed as error:
        raise _damaged(base, error) from error


def keep_shortfall(base: Path, ended: Ended) -> None:
    """Write down what an export lacks after another one into it; nothing where that is said.

    What an earlier one lacked stays as far as this one was not asked for it. Raises
    ``StorageFull`` or ``DirectoryError``.
    """
    there = _shortfall_or_none(base)
    now = {it.ref: it for it in ended.failed}
    earlier = {it.ref: it for it in there.failed if not _is_outdated(it, ended)}
    asked = {name: ended.options[name] for name in _CHOICES if ended.options.get(name)}
    exports = [it for it in there.exports if asked and it["asked"] != asked]
    if ended.unknown or ended.unsupported:
        unsupported = {str(kind): count for kind, count in ended.unsupported.items()}
        said = {"asked": asked, "unknown": list(ended.unknown), "unsupported": unsupported}
        exports.append(said)
    failed = [_failed_to_json(it) for _, it in sorted({**earlier, **now}.items())]
    content = {key: value for key, value in ((_FAILED, failed), (_EXPORTS, exports)) if value}
    if content != _content_or_none(base):
        _write(base / LOSSES_FILE, content)


def _shortfall_or_none(base: Path) -> Shortfall:
    try:
        return read_shortfall(base)
    except DirectoryError:  # readers were told, until now
        return NOTHING_LACKS


def _is_outdated(lacking: Unreadable, ended: Ended) -> bool:
    """Say whether an export was asked for what an earlier one lacked: it tells of it itself."""
    kind = lacking.ref.kind.container
    around = Ref(kind, lacking.container) if kind else lacking.ref
    is_asked = ended.selects(lacking.ref) or ended.selects(around)
    return is_asked and not ended.skips(lacking.ref)


def _failed_to_json(lacking: Unreadable) -> dict[str, str]:
    return {
        "object": str(lacking.ref),
        "in": lacking.container,
        "name": lacking.where,
        "reason": lacking.reason,
    }


def _failed_from_json(entry: Object) -> Unreadable:
    return Unreadable(
        ref=_ref_from(required_text(entry, "object")),
        container=required_text(entry, "in"),
        where=required_text(entry, "name"),
        reason=required_text(entry, "reason"),
        hint="export it again",
    )


def _is_step(text: str) -> bool:
    """Say whether what failed was to delete an object: older exports list that, too."""
    return text.startswith(f"{Step.DELETION}:")


def _export_from_json(entry: Object) -> Mapping[str, Any]:
    counts = required(entry, "unsupported")
    kinds = [str(kind) for kind in Kind]
    return {
        "asked": dict(required(entry, "asked")),
        "unknown": list(texts(entry, "unknown")),
        "unsupported": {
            word({"kind": kind}, "kind", kinds): integer(counts, kind) or 0 for kind in counts
        },
    }


def _ref_from(text: str) -> Ref:
    try:
        return parse_ref(text)
    except ValueError:
        raise Malformed(f"{text[:100]!r} names no object") from None


def _content_or_none(base: Path) -> dict[str, Any] | None:
    """Return what the file at the top says; None where it is damaged."""
    try:
        found = _read(base, base / LOSSES_FILE)
    except DirectoryError:
        return None
    return {key: value for key, value in found.items() if key != "system"}


def _read(base: Path, path: Path) -> Mapping[str, Any]:
    return load_object(base, path) if os.path.lexists(path) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    if content:
        write_object(path, {"system": system_block(), **content})
    else:
        with writing(path):
            path.unlink(missing_ok=True)


def _damaged(folder: Path, error: Exception) -> DirectoryError:
    return DirectoryError(
        f"{folder / LOSSES_FILE} is damaged: {error}", "restore it from a backup, or export again"
    )
