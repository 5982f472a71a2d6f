"""What each MLflow server version can take, as declared capabilities.

Limits were read back from real servers of the versions named; between them the lower one is
assumed. A longer value is refused by older servers and cut off silently by newer ones.
"""

from __future__ import annotations

import re

from migrate.endpoints.answers import Capabilities
from migrate.objects import REGISTRY_KINDS, Kind

Version = tuple[int, int]

ALWAYS = frozenset(
    {
        Kind.EXPERIMENT,
        Kind.RUN,
        Kind.DELETION,
        Kind.REGISTERED_MODEL,
        Kind.MODEL_VERSION,
    }
)
#: Kinds that came later, and with which version.
SINCE: tuple[tuple[Version, frozenset[Kind]], ...] = (
    ((2, 21), frozenset({Kind.PROMPT, Kind.PROMPT_VERSION})),
    ((3, 0), frozenset({Kind.LOGGED_MODEL})),
)


def parse_version(text: str) -> Version:
    """Return major and minor of ``3.17.2``; (1, 30) for a server too old to tell."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (1, 30)


def capabilities_of(
    version_text: str,
    registry_text: str | None = None,
    *,
    description: str,
    identity: str,
    notes: tuple[str, ...] = (),
) -> Capabilities:
    """Return what a server of this version can do. ``version_text`` is empty when unknown.

    ``registry_text`` is the version of the server that keeps registered models, when that is
    another one.
    """
    version = parse_version(version_text)
    registry = parse_version(version_text if registry_text is None else registry_text)
    readable = ALWAYS.union(
        *(
            {kind for kind in kinds if (registry if kind in REGISTRY_KINDS else version) >= since}
            for since, kinds in SINCE
        )
    )
    # Creating runs by name and searching them by run id came with 2.0 and 2.3.
    writable = readable | {Kind.LOGGED_MODEL} if version >= (2, 3) else frozenset()
    return Capabilities(
        description=description,
        version=version_text or "1.x",
        registry_version=(version_text if registry_text is None else registry_text) or "1.x",
        identity=identity,
        readable=readable,
        writable=writable,
        dataset_inputs=version >= (2, 4),
        dataset_schema_length=1_048_575 if version >= (2, 15) else 65_535,
        param_length=6000 if version >= (2, 9) else 500,
        run_tag_length=8000 if version >= (2, 22) else 5000,
        experiment_tag_length=20000 if version >= (3, 17) else 5000,
        metric_key_length=250,
        colon_in_keys=version >= (2, 22),
        flattens_models=Kind.LOGGED_MODEL not in readable,
        model_tag_length=100_000 if registry >= (3, 1) else 5000,
        notes=notes,
    )
