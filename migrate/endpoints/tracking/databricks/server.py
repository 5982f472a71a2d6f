"""Databricks workspaces: MLflow's REST API, and beside it permissions, notebooks and folders."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

from migrate.endpoints.answers import Capabilities, PermissionsWritten
from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.databricks.artifacts import workspace_files
from migrate.endpoints.tracking.databricks.permissions import (
    CatalogPermissions,
    WorkspacePermissions,
)
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.server import EXPERIMENTS_PER_PAGE, TrackingServer
from migrate.endpoints.tracking.uncopied import UncopiedObjects
from migrate.endpoints.tracking.versions import ALWAYS
from migrate.endpoints.tracking.wire import EXPERIMENT, experiment_from
from migrate.endpoints.tracking.writer import BATCH_BYTES
from migrate.errors import EndpointError, NotFound, Refused
from migrate.objects import Experiment, Kind, LoggedModel, Permissions, Ref, Run
from migrate.origins import ORIGIN, PREFIX

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
#: Limits of the API's reference (databricks-sdk 0.162 has it as docstrings).
MODELS_PER_PAGE = 50
TAGS_AT_CREATION = 20


class DatabricksServer(TrackingServer):
    """A workspace as source and target, with its own registry of models."""

    _graphql = False
    _models_per_page = MODELS_PER_PAGE

    def __init__(
        self,
        http: HttpSession,
        *,
        side: str,
        address: str,
        tracking_uri: str,
        workspace_id: str,
        roots: Roots = NO_ROOTS,
    ) -> None:
        super().__init__(http, side=side, address=address, tracking_uri=tracking_uri)
        self._workspace_id = workspace_id
        self._stores = ArtifactStores(
            http,
            side=side,
            tracking_uri=tracking_uri,
            roots=roots,
            own=[workspace_files(http, tracking_uri)],
        )
        self._granting: WorkspacePermissions | CatalogPermissions = WorkspacePermissions(http)
        self._filters_ids = True

    def _connect(self) -> Capabilities:
        body = {"max_results": 1}
        try:
            self._http.post(f"{API}/experiments/search", body, idempotent=True, tries=CONNECT_TRIES)
        except (NotFound, Refused) as problem:
            raise EndpointError(
                f"the {self._side} at {self._address} does not answer as a Databricks workspace: "
                f"{problem}",
                "is the host that of a workspace, as in https://...cloud.databricks.com?",
            ) from None
        return databricks_capabilities(
            self._address,
            identity=f"{self._address}#{self._workspace_id}",
            notes=TARGET_NOTES if self._side == "target" else SOURCE_NOTES,
        )

    # -- reading ----------------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``; a workspace does not order them by creation."""
        body = {"max_results": EXPERIMENTS_PER_PAGE, "view_type": "ALL"}
        pages = self._http.pages(f"{API}/experiments/search", body)
        found = list(self._entries.all(pages, "experiments", EXPERIMENT, experiment_from))
        found.sort(key=lambda one: (one.creation_time or 0, one.experiment_id))
        return iter(found)

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        self.capabilities()
        counting = UncopiedObjects(self._http, self._release, side=self._side)
        registry = whole_server and self._registry_http is self._http
        counts = counting.in_workspace(experiment_ids, registry=registry)
        self._unknown |= dict.fromkeys(counting.unknown)
        return {kind: number for kind, number in counts.items() if number}

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``; one by one where the filter on ids is not to be had."""
        if self._filters_ids:
            try:
                return self._runs_among([experiment_id], run_ids)
            except Refused:
                self._filters_ids = False
        return self.find_runs(run_ids)

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsLoggedModels.find_runs``."""
        return [run for run in map(self._read_run, run_ids) if run is not None]

    def _search_models(
        self, experiment_ids: Sequence[str], condition: str = "", *, for_copies: bool = False
    ) -> Iterator[LoggedModel]:
        """Search logged models; among all of them where a filter on tags is refused.

        The API's reference does not say which conditions its search takes.
        """
        try:
            yield from super()._search_models(experiment_ids, condition, for_copies=for_copies)
        except Refused:
            if not condition:
                raise
            for model in super()._search_models(experiment_ids):
                origin = model.tags.get(ORIGIN)
                if origin and ("LIKE" in condition or f"'{origin}'" in condition):
                    yield model

    # -- permissions and notebooks ----------------------------------------------------------

    def permissions(self, ref: Ref) -> Permissions:
        """See ``ReadsPermissions.permissions``."""
        if ref.kind is Kind.EXPERIMENT:
            return WorkspacePermissions(self._http).read(ref)
        return self._granting.read(ref)

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """See ``WritesPermissions.write_permissions``."""
        if ref.kind is Kind.EXPERIMENT:
            return WorkspacePermissions(self._http).write(ref, permissions)
        return self._granting.write(ref, permissions)

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``ReadsNotebooks.notebook``.

        ``revision_timestamp`` is not in the published API; mlflow-export-import sends it.
        """
        params = {"path": path, "format": export_format, "direct_download": "false"}
        if revision:
            params["revision_timestamp"] = revision
        with self._http.stream("/api/2.0/workspace/export", params) as response:
            content: bytes = response.content
            kind = response.headers.get("Content-Type", "")
        return notebook_in(content, path) if "json" in kind else content

    # -- writing ----------------------------------------------------------------------------

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``; makes the folder where it is missing.

        Tags that do not go into the one call are set after it. It has our own, by which whoever
        tries again finds the copy and completes it.
        """
        tags = sorted(experiment.tags.items(), key=lambda tag: not tag[0].startswith(PREFIX))
        first = dataclasses.replace(experiment, tags=dict(tags[:TAGS_AT_CREATION]))
        try:
            created = super().create_experiment(first)
        except NotFound:
            folder = experiment.name.rpartition("/")[0]
            if not folder:
                raise
            self._http.post("/api/2.0/workspace/mkdirs", {"path": folder}, idempotent=True)
            created = super().create_experiment(first)
        self.set_experiment_tags(created, dict(tags[TAGS_AT_CREATION:]))
        return created


def databricks_capabilities(
    address: str, *, identity: str, notes: tuple[str, ...] = ()
) -> Capabilities:
    """Return what a workspace takes. Limits are those of its API's reference, where it has any."""
    kinds = ALWAYS | {Kind.LOGGED_MODEL}
    return Capabilities(
        description=f"Databricks at {address}",
        version="Databricks",
        identity=identity,
        readable=kinds,
        writable=kinds,
        param_length=6000,
        run_tag_length=5000,
        experiment_tag_length=5000,
        metric_key_length=250,
        colon_in_keys=False,
        model_tag_length=5000,
        request_bytes=BATCH_BYTES,
        permissions=True,
        notebooks=True,
        sets_user=True,
        reserved_tags=RESERVED_TAGS,
        absolute_names=True,
        notes=notes,
    )


def notebook_in(answer: bytes, path: str) -> bytes:
    """Return the notebook in a JSON answer. A notebook itself may be JSON, sent directly.

    Raises ``EndpointError`` where it is in neither.
    """
    try:
        body = json.loads(answer)
        content = body.get("content") if isinstance(body, dict) else None
        return answer if content is None else base64.b64decode(content, validate=True)
    except (ValueError, RecursionError, TypeError, binascii.Error):
        raise EndpointError(f"notebook {path!r} came in a form that makes no sense") from None
