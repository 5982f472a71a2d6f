"""The mark of a complete copy: a digest of what the source held when it was copied.

It has two halves, ``quick.full``. The quick one covers what a runs search shows; the full one
adds every metric point and the list of files with their sizes. Neither depends on order.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from migrate.kinds import Ref, run_ref
from migrate.objects import NO_LINKS, Artifact, Metric, ModelLinks, Run
from migrate.tasks.references import REFERENCE_TAGS, evaluation_dataset

FORMAT = "1"
_BITS = 0xFFFFFFFFFFFFFFFF
_POINT = struct.Struct("<QdQQ")


#: Made once: to make one takes as long as a short text takes it. What JSON gave holds no circle.
_in_order = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def digest_of(value: object) -> str:
    """Return 16 hex digits for any JSON value; keys in any order give the same."""
    text = _in_order(value)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def content_digest(run: Run) -> str:
    """Digest what a search shows of a run, and its links and losses if it has any."""
    return with_links(_shown(run), run.links)


def _shown(run: Run) -> str:
    """Digest a run without its links."""
    content = digest_of(
        [
            [run.name, run.user_id, run.status, run.start_time, run.end_time],
            run.lifecycle_stage,
            dict(run.params),
            dict(run.tags),
            sorted([repr(tuple(metric)) for metric in run.latest_metrics]),
            sorted([json.dumps(item, sort_keys=True) for item in run.inputs]),
        ]
    )
    if run.losses:
        content = digest_of([content, [[loss.what, loss.reason] for loss in run.losses]])
    return content


def with_links(content: str, links: ModelLinks) -> str:
    """Return the digest of a run that names logged models, where a copy keeps their ids."""
    if links == NO_LINKS:
        return content
    return digest_of([content, sorted(links.inputs), sorted(map(list, links.outputs))])


def quick_mark(content: str, orphans: Iterable[str], chosen: Sequence[str] = ()) -> str:
    """Return the quick half; ``orphans`` are reference tags whose run has no copy.

    They count, so that a run is updated when the run it names arrives later. ``chosen`` says what
    the copy holds beside what its original does (``Policy.in_mark``).
    """
    return FORMAT + digest_of([content, sorted(orphans), *([list(chosen)] if chosen else [])])


@lru_cache(4096)
def _key_number(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass"))


def point_digest(point: Metric) -> int:
    """Return 64 bits for one metric point, alike on every machine."""
    return point_digests([point])[0]


def point_digests(points: Iterable[Metric]) -> Sequence[int]:
    """Return 64 bits for each metric point, alike on every machine."""
    # SQLite keeps no sign of zero; adding zero takes it away.
    # The lowest 64 bits, which are all of them but for what no server could store.
    digests = [
        blake2b(
            _POINT.pack(_key_number(key), value + 0.0, timestamp & _BITS, step & _BITS),
            digest_size=8,
        ).digest()
        for key, value, timestamp, step in points
    ]
    return struct.unpack(f"<{len(digests)}Q", b"".join(digests))


_NONE: Mapping[str, str] = MappingProxyType({})


class RunFacts(NamedTuple):
    """What the planner keeps of a run: a digest of what a search shows, and what it names.

    ``mentions`` are source ids of runs by the reference tags that name them, ``links`` the logged
    models as far as a listing of runs has told, ``datasets`` the evaluation datasets of its inputs.
    """

    content: str
    mentions: Mapping[str, str]
    links: ModelLinks
    datasets: tuple[str, ...] = ()

    def orphans(self, has_copy: Callable[[Ref], bool]) -> list[str]:
        """Return the reference tags whose run has no copy."""
        return [tag for tag, run_id in self.mentions.items() if not has_copy(run_ref(run_id))]


def run_facts(run: Run) -> RunFacts:
    """Return what the planner keeps of a run."""
    mentions = {tag: run.tags[tag] for tag in REFERENCE_TAGS if tag in run.tags} or _NONE
    datasets = tuple(filter(None, map(evaluation_dataset, run.inputs))) if run.inputs else ()
    return RunFacts(_shown(run), mentions, run.links if any(run.links) else NO_LINKS, datasets)


class Fingerprint:
    """Collects the full mark of one run while its parts stream by."""

    def __init__(self, run: Run, orphans: Iterable[str], chosen: Sequence[str] = ()) -> None:
        self._quick = quick_mark(content_digest(run), orphans, chosen)
        self._points = 0
        self._lacking: frozenset[str] = frozenset()
        self._sum = 0
        self._files = ""

    def add_points(self, points: Iterable[Metric]) -> None:
        """Take in metric points; the sum of their digests does not depend on order."""
        digests = point_digests(points)
        self._sum += sum(digests)
        self._points += len(digests)

    def add_lacking(self, keys: Iterable[str]) -> None:
        """Take in the metrics whose history is not known to be whole, for the time that it is."""
        self._lacking |= frozenset(keys)

    def add_files(self, files: Iterable[Artifact]) -> None:
        """Take in the complete list of files."""
        self._files = digest_of(sorted(files))

    def mark(self) -> str:
        """Return the mark: ``quick.full``."""
        total = self._sum & _BITS
        lacking = [sorted(self._lacking)] if self._lacking else []
        return f"{self._quick}.{digest_of([self._points, total, self._files, *lacking])}"


def quick_half(mark: str) -> str:
    """Return the quick half of a mark, empty for an empty mark."""
    return mark.partition(".")[0]
