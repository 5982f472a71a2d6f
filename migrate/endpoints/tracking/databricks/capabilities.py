"""What a Databricks workspace is asked when it connects, and what it takes."""

from __future__ import annotations

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.tracking.capabilities import ALWAYS, FOUND_BY
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.request_sizes import BATCH_BYTES
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.errors import EndpointError, NoSuchRoute, NotFound, Refused

#: Tags that Databricks writes itself; it refuses them ("Cannot update tag 'mlflow.rootRunId'") or
#: what they say (a source that is another workspace's). Learned from issues #75 and #187 of
#: mlflow-export-import and #12 of its older home; Databricks publishes no list. The last four it
#: writes on every experiment; they say what the experiment is there.
RESERVED_TAGS = frozenset(
    {
        "mlflow.user",
        "mlflow.rootRunId",
        "mlflow.log-model.history",
        "mlflow.experiment.sourceType",
        "mlflow.experiment.sourceId",
        "mlflow.experiment.sourceName",
        "mlflow.experimentType",
        "mlflow.ownerEmail",
        "mlflow.ownerId",
    }
)
SOURCE_NOTES = (
    "source: evaluation datasets, scorers, issues, label schemas and review queues (labeling "
    "sessions) are neither copied nor counted: Databricks publishes no list of them",
)
TARGET_NOTES = (
    "Databricks says itself whose a run is, and takes no value for "
    f"{', '.join(sorted(RESERVED_TAGS))}: these are kept as mlflow-migrate.source.* tags",
)
#: A limit of the API's reference (databricks-sdk 0.162 has it as docstrings).
MODELS_PER_PAGE = 50


def ask_workspace(http: HttpSession, workspace_id: str) -> Capabilities:
    """Connect to a workspace. Raises ``EndpointError`` where there is none."""
    body = {"max_results": 1}
    try:
        http.post(f"{API}/experiments/search", body, idempotent=True, tries=CONNECT_TRIES)
    except (NoSuchRoute, NotFound, Refused) as problem:
        raise EndpointError(
            f"the {http.side} at {http.base_url} does not answer as a Databricks workspace: "
            f"{problem}",
            "is the host that of a workspace, as in https://...cloud.databricks.com?",
        ) from None
    return databricks_capabilities(
        http.base_url,
        identity=f"{http.base_url}#{workspace_id}",
        notes=TARGET_NOTES if http.side == "target" else SOURCE_NOTES,
    )


def databricks_capabilities(
    address: str, *, identity: str, notes: tuple[str, ...] = ()
) -> Capabilities:
    """Return what a workspace takes. Limits are those of its API's reference, where it has any."""
    kinds = ALWAYS | {LoggedModelStore.kind}
    return Capabilities(
        description=f"Databricks at {address}",
        version="Databricks",
        identity=identity,
        readable=kinds,
        writable=kinds,
        found_by=FOUND_BY,
        param_length=6000,
        run_tag_length=5000,
        experiment_tag_length=5000,
        metric_key_length=250,
        colon_in_keys=False,
        model_tag_length=5000,
        version_tag_length=5000,
        request_bytes=BATCH_BYTES,
        permissions=True,
        notebooks=True,
        sets_user=True,
        reserved_tags=RESERVED_TAGS,
        absolute_names=True,
        notes=notes,
    )
