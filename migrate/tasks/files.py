"""Copies the files of one object: several at once, streamed, sizes checked after."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from threading import Event
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.protocols.artifacts import ReadsArtifacts
from migrate.errors import (
    ChangedContent,
    EndpointError,
    NotAuthenticated,
    Refused,
    StorageFull,
    Unavailable,
)
from migrate.kinds import Ref
from migrate.objects import Artifact, ArtifactRoot
from migrate.outcomes import Loss, LossCode, Part, loss_of
from migrate.shares import SharingThreads
from migrate.tasks.batches import PATIENT_ATTEMPTS
from migrate.tasks.outcomes import as_known
from migrate.tasks.parts import InParts, parts_of
from migrate.tasks.repairs import digest_of_bytes, digest_of_file

#: Up to this size a file is sent from memory, so that sending can be repeated by itself.
SMALL = 1 << 20
TRIES = 3
#: Threads for files of all runs together; requests under way are bounded by the endpoints.
FILES_AT_ONCE = 8

_pool = SharingThreads(FILES_AT_ONCE, thread_name_prefix="files")


class Sent(NamedTuple):
    """What was sent: counts of files and bytes, and what could not be."""

    files: int
    bytes: int
    losses: tuple[Loss, ...]


NOTHING_SENT = Sent(0, 0, ())


def root_for(source: Source, target: Target, root: ArtifactRoot) -> ArtifactRoot:
    """Return where files are that a copy may be made to point at.

    Others find those of a source that was moved by where it is now.
    """
    if not target.capabilities().keeps_files:
        return root
    return root._replace(uri=source.artifacts.location(root))


def copy_files(
    source: ReadsArtifacts,
    source_root: ArtifactRoot,
    files: Sequence[Artifact],
    target: Target,
    target_root: ArtifactRoot,
    *,
    fresh: bool,
    attempt: int,
    rewritten: Mapping[str, bytes] = MappingProxyType({}),
    whole: bool = False,
    contents: bool = False,
    of: Ref | None = None,
) -> Sent:
    """Bring ``files`` to the target; those there with the same size are not sent again.

    Those ``rewritten`` are sent as they are there, also over one of the same size, unless the
    copy has been ``whole`` before. With ``contents``, those there are read on both ends, and sent
    again where they differ.

    A file the source cannot deliver, or whose name the target refuses, is a loss by name.
    ``fresh`` says that the target holds none yet. To a target that keeps no files of its own,
    those stay which are where the copy says. Raises ``Unavailable`` when a copy has
    another size than its original, ``InParts`` at the first attempt where files of the object
    ``of`` go by several workers, and whatever error stops the endpoint as a whole.
    """
    if target.capabilities().keeps_files and source_root.uri == target_root.uri:
        return NOTHING_SENT
    there = {} if fresh or not files else dict(target.artifacts.list(target_root))

    def is_to_be_sent(file: Artifact) -> bool:
        sent = _as_sent(file, rewritten)
        if there.get(file.path) != sent.size:
            return True
        if not contents:
            return file.path in rewritten and not whole
        content = rewritten.get(file.path)
        try:
            wanted = (
                digest_of_file(source, source_root, file)
                if content is None
                else digest_of_bytes(content)
            )
            return wanted != digest_of_file(target.artifacts, target_root, sent)
        except NotAuthenticated:
            raise
        except (EndpointError, Unavailable):
            return True  # copying it tells what is wrong with it

    # Only contents take requests.
    wanted = (_pool.map if contents else map)(is_to_be_sent, files)
    todo = [file for file, is_sent in zip(files, wanted, strict=True) if is_sent]
    if not todo:
        return NOTHING_SENT
    if of is not None and attempt == 1 and not contents:
        as_they_are = [file for file in todo if file.path not in rewritten]
        if parts := parts_of(of, source_root, target_root, as_they_are):
            raise InParts(parts)

    pointless = Event()

    def copy(file: Artifact) -> Loss | None:
        if pointless.is_set():
            return None  # the one that failed raises for all
        try:
            content = rewritten.get(file.path)
            if content is None:
                return _copy_file(source, source_root, file, target, target_root, attempt)
            return _put(target, target_root, _as_sent(file, rewritten), io.BytesIO(content))
        except BaseException:
            pointless.set()
            raise

    futures = [_pool.submit(copy, file) for file in todo]
    try:
        losses = [future.result() for future in futures]
    except BaseException:
        # The object is not whole whatever becomes of the rest, and a full disk stays full.
        for future in futures:
            future.cancel()
        wait(futures)
        raise
    lost = tuple(loss for loss in losses if loss is not None)
    arrived = [file for file, loss in zip(todo, losses, strict=True) if loss is None]
    sent = [_as_sent(file, rewritten) for file in arrived]
    _check_sizes(sent, dict(target.artifacts.list(target_root)) if sent else {})
    return Sent(len(sent), sum(file.size for file in sent), lost)


def copy_part(part: Part, source: Source, target: Target) -> Sent:
    """Send the files of a part; those that cannot be sent are left to who looks at them all.

    Raises whatever stops the endpoint as a whole.
    """

    def copy(file: Artifact) -> Loss | None:
        roots = part.source_root, part.target_root
        return _copy_file(source.artifacts, roots[0], file, target, roots[1], attempt=1)

    losses = list(_pool.map(copy, part.files))
    sent = [file for file, loss in zip(part.files, losses, strict=True) if loss is None]
    return Sent(len(sent), sum(file.size for file in sent), ())


def can_deliver_now(
    source: Source, root: ArtifactRoot, files: Sequence[Artifact], losses: Sequence[Loss]
) -> bool:
    """Say whether the source delivers a file that it did not deliver when the copy was made."""
    lost = {loss.what for loss in losses if loss.code is LossCode.NOT_DELIVERED}
    for file in files:
        if f"artifact {file.path}" in lost:
            try:
                with source.artifacts.open(root, file) as stream:
                    while stream.read(SMALL):
                        pass
                    return True
            except Exception:
                continue
    return False


def _check_sizes(sent: Sequence[Artifact], there: dict[str, int]) -> None:
    for file in sent:
        if there.get(file.path) != file.size:
            held = f"{there[file.path]} bytes" if file.path in there else "nothing"
            raise Unavailable(
                f"artifact {file.path!r} was sent with {file.size} bytes; the target lists {held}",
                "if this stays so, the target's artifact store is not the one its server reads",
            )


def _copy_file(
    source: ReadsArtifacts,
    source_root: ArtifactRoot,
    file: Artifact,
    target: Target,
    target_root: ArtifactRoot,
    attempt: int,
) -> Loss | None:
    """Copy one file; return the loss when its original or its name is the problem."""
    for left in range(TRIES - 1, -1, -1):
        opened = False
        try:
            with source.open(source_root, file) as stream:
                opened = True
                return _put(target, target_root, file, _repeatable(stream, file))
        except (NotAuthenticated, StorageFull):
            raise
        except Unavailable as problem:
            if left and opened:
                continue  # it broke off on the way; opening it was tried again already
            if opened or attempt < PATIENT_ATTEMPTS:
                raise
            return loss_of(LossCode.NOT_DELIVERED, f"artifact {file.path}", problem)
        except EndpointError as problem:
            if opened and not isinstance(problem, ChangedContent):
                raise
            return loss_of(LossCode.NOT_DELIVERED, f"artifact {file.path}", problem)
        except Exception as problem:
            why = as_known(problem, f"artifact {file.path!r}")
            if opened:
                return Loss(f"artifact {file.path}", f"not copied: {why}")
            return loss_of(LossCode.NOT_DELIVERED, f"artifact {file.path}", why)
    raise AssertionError("the last try returns or raises")


def _put(target: Target, root: ArtifactRoot, file: Artifact, stream: BinaryIO) -> Loss | None:
    """Write one file; return the loss when the target does not take its name."""
    try:
        target.artifacts.put(root, file, stream)
    except Refused as problem:
        return Loss(f"artifact {file.path}", f"refused by the target: {problem}")
    return None


def _as_sent(file: Artifact, rewritten: Mapping[str, bytes]) -> Artifact:
    content = rewritten.get(file.path)
    return file if content is None else Artifact(file.path, len(content))


def _repeatable(stream: BinaryIO, file: Artifact) -> BinaryIO:
    """Return a small file from memory, so that a broken upload can start over.

    Raises ``Unavailable`` when it is not as long as it was listed: sending cannot help then.
    """
    if file.size > SMALL:
        return stream
    held = io.BytesIO()
    while held.tell() <= file.size and (data := stream.read(file.size + 1 - held.tell())):
        held.write(data)
    if held.tell() != file.size:
        raise Unavailable(f"artifact {file.path!r} changed while it was copied")
    held.seek(0)
    return held
