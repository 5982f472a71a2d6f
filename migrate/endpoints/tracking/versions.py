"""What each MLflow server version can take, as declared capabilities.

Limits were read back from real servers of the versions named; between them the lower one is
assumed, and of a server that does not tell its version those of the oldest that it may be. A longer
value is refused by older servers and cut off silently by newer ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.tracking.request_sizes import BATCH_BYTES
from migrate.kinds import REGISTRY_KINDS, Kind

Version = tuple[int, int]

ALWAYS = frozenset(
    {
        Kind.EXPERIMENT,
        Kind.RUN,
        Kind.REGISTERED_MODEL,
        Kind.MODEL_VERSION,
    }
)
#: Kinds that came later, and with which version.
SINCE: tuple[tuple[Version, frozenset[Kind]], ...] = (
    ((2, 21), frozenset({Kind.PROMPT, Kind.PROMPT_VERSION})),
    ((3, 0), frozenset({Kind.LOGGED_MODEL})),
)
NO_KINDS: Mapping[Kind, str] = MappingProxyType({})


class Release(NamedTuple):
    """What is known of a server's version: it is ``least`` or newer, and older than ``below``.

    ``text`` is what the server calls it, empty where that is concluded from what it answers.
    """

    least: Version
    below: Version | None = None
    text: str = ""

    def reaches(self, since: Version) -> bool:
        """Say whether it surely has what came with a version."""
        return self.least >= since

    def is_before(self, since: Version) -> bool:
        """Say whether it surely lacks what came with a version."""
        return self.below is not None and self.below <= since

    def __str__(self) -> str:
        if self.text:
            return self.text
        if self.below is not None:
            return "older than {}.{}".format(*self.below)
        return "{}.{} or newer".format(*self.least)


def release_of(text: str) -> Release | None:
    """Return what a server's own words say, such as ``3.17.2``; None where they are no version."""
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})([.\w+-]{0,30})", text)
    if not found:
        return None
    major, minor = int(found[1]), int(found[2])
    return Release((major, minor), (major, minor + 1), text)


def capabilities_of(
    release: Release,
    registry: Release | None = None,
    *,
    description: str,
    identity: str,
    notes: tuple[str, ...] = (),
    without: Mapping[Kind, str] = NO_KINDS,
) -> Capabilities:
    """Return what a server of this release can do.

    ``registry`` is that of the server which keeps registered models, when that is another one.
    ``without`` are kinds that it lacks, or may lack, in spite of its release.
    """
    registry = registry or release
    has = ALWAYS.union(
        *(
            {
                kind
                for kind in kinds
                if (registry if kind in REGISTRY_KINDS else release).reaches(it)
            }
            for it, kinds in SINCE
        )
    )
    readable = has - without.keys()
    flattens = Kind.LOGGED_MODEL not in has
    # Creating runs by name and searching them by run id came with 2.0 and 2.3.
    taken = readable | {Kind.LOGGED_MODEL} if flattens else readable
    return Capabilities(
        description=description,
        version=str(release),
        registry_version=str(registry),
        identity=identity,
        readable=readable,
        writable=taken if release.reaches((2, 3)) else frozenset(),
        without=without,
        dataset_inputs=release.reaches((2, 4)),
        dataset_schema_length=1_048_575 if release.reaches((2, 15)) else 65_535,
        param_length=6000 if release.reaches((2, 9)) else 500,
        run_tag_length=8000 if release.reaches((2, 22)) else 5000,
        experiment_tag_length=20000 if release.reaches((3, 17)) else 5000,
        metric_key_length=250,
        colon_in_keys=release.reaches((2, 22)),
        flattens_models=flattens,
        model_tag_length=100_000 if registry.reaches((3, 1)) else 5000,
        request_bytes=BATCH_BYTES,
        notes=notes,
    )
