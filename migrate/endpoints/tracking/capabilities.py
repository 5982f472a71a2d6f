"""What each MLflow server version can take, as declared capabilities.

Limits were read back from real servers of the versions named; between them the lower one is
assumed, and of a server that does not tell its version those of the oldest that it may be. A longer
value is refused by older servers and cut off silently by newer ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.parts import UNKNOWN_RELEASE
from migrate.endpoints.tracking.request_sizes import BATCH_BYTES
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.records import RECORDS
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.versions import NO_KINDS, Release
from migrate.kinds import Kind

#: The stores whose kinds a server has by its version alone; of records each is asked for.
BY_VERSION = (ExperimentStore, RunStore, LoggedModelStore, RegisteredModelStore, ModelVersionStore)
#: By what copies of each kind are found on a server.
FOUND_BY: Mapping[Kind, Identity] = {
    **{kind: store.identity for store in BY_VERSION for kind in store.since},
    **{store.kind: store.identity for store in RECORDS},
}


def kinds_of(release: Release, registry: Release) -> frozenset[Kind]:
    """Return what a server of this release surely has; ``registry`` keeps registered models."""
    return frozenset(
        kind
        for store in BY_VERSION
        for kind, since in store.since.items()
        if (registry if kind.in_registry else release).reaches(since)
    )


ALWAYS = kinds_of(UNKNOWN_RELEASE, UNKNOWN_RELEASE)


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
    has = kinds_of(release, registry)
    readable = has - without.keys()
    flattens = LoggedModelStore.kind not in has
    # Creating runs by name and searching them by run id came with 2.0 and 2.3.
    taken = readable | {LoggedModelStore.kind} if flattens else readable
    return Capabilities(
        description=description,
        version=str(release),
        identity=identity,
        readable=readable,
        writable=taken if release.reaches((2, 3)) else frozenset(),
        without=without,
        found_by=FOUND_BY,
        dataset_inputs=release.reaches((2, 4)),
        dataset_schema_length=1_048_575 if release.reaches((2, 15)) else 65_535,
        param_length=6000 if release.reaches((2, 9)) else 500,
        run_tag_length=8000 if release.reaches((2, 22)) else 5000,
        experiment_tag_length=20000 if release.reaches((3, 17)) else 5000,
        metric_key_length=250,
        colon_in_keys=release.reaches((2, 22)),
        flattens_models=flattens,
        model_tag_length=100_000 if registry.reaches((3, 1)) else 5000,
        version_tag_length=100_000 if registry.reaches((3, 1)) else 5000,
        span_kinds=release.reaches((3, 18)),
        issue_metadata=release.reaches((3, 18)),
        request_bytes=BATCH_BYTES,
        notes=notes,
    )
