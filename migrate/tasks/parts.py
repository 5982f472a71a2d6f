"""Files of one object that several workers send, where one by itself would take long.

The object is begun, its files go out in parts, and then it is tried once more, as after any attempt
that was cut off: what is on the target by then is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from migrate.errors import Unavailable
from migrate.kinds import Ref
from migrate.objects import Artifact, ArtifactRoot
from migrate.outcomes import Part

#: Bytes of an object's files from which on they are sent by several workers.
LARGE = 64_000_000


class InParts(Unavailable):
    """An attempt ends here: the files are sent in ``parts``, then comes the next one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        files = [file for part in parts for file in part.files]
        size = sum(file.size for file in files)
        super().__init__(
            f"its {len(files):,} files of {size / 1e6:,.0f} MB are sent by {len(parts)} workers"
        )
        self.parts = tuple(parts)


_workers: ContextVar[int] = ContextVar("workers", default=1)


@contextmanager
def shared_by(workers: int) -> Iterator[None]:
    """Have files that are tried here go to so many workers, where it is worth it."""
    token = _workers.set(workers)
    try:
        yield
    finally:
        _workers.reset(token)


def parts_of(
    of: Ref, source_root: ArtifactRoot, target_root: ArtifactRoot, files: Sequence[Artifact]
) -> Sequence[Part]:
    """Divide files among the workers there are, by size; none where one worker sends them all."""
    number = min(_workers.get(), len(files))
    if number < 2 or sum(file.size for file in files) < LARGE:
        return ()
    held: list[list[Artifact]] = [[] for _ in range(number)]
    sizes = [0] * number
    for file in sorted(files, key=lambda it: it.size, reverse=True):
        least = sizes.index(min(sizes))
        held[least].append(file)
        sizes[least] += file.size
    return [
        Part(of=of, source_root=source_root, target_root=target_root, files=tuple(some))
        for some in held
        if some
    ]
