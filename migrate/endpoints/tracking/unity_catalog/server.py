"""Registered models in Databricks' Unity Catalog: the registry URI ``databricks-uc``.

The calls are those of MLflow's own store for it (``mlflow/store/_unity_catalog/registry`` of
3.17.2). A search there tells neither tags nor aliases, so each object is read by itself. A version
has files of its own: they are sent after it is created, and make it READY when it is finalized.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.shapes import ident, objects, required, version_number
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.databricks.artifacts import workspace_files
from migrate.endpoints.tracking.databricks.permissions import CatalogPermissions
from migrate.endpoints.tracking.databricks.server import DatabricksServer
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession, read_once
from migrate.endpoints.tracking.models_wire import (
    equals_filter,
    model_version_from,
    model_version_to,
    registered_model_from,
)
from migrate.endpoints.tracking.unity_catalog.files import VersionUpload, catalog_files
from migrate.endpoints.tracking.unity_catalog.storage import MODELS, VERSIONS, Storage
from migrate.endpoints.tracking.wire import tags_to
from migrate.errors import EndpointError, NotCompleted, NotFound, Refused
from migrate.objects import ModelVersion, Ref, RegisteredModel
from migrate.origins import PLACEHOLDER
from migrate.outcomes import Loss

#: What keys of tags may not have: "Apply tags to Unity Catalog securable objects" (Databricks).
REFUSED_IN_TAGS = ".,-=/:"
LONGEST_TAG = 1000
LEVELS = 3
READY = "READY"
#: Prefixes of keys that are written here in another spelling, with two underscores for each dot.
SPELLED = {"mlflow-migrate.": "mlflow_migrate__", "mlflow_exim.": "mlflow_exim__"}


class UnityCatalogServer(DatabricksServer):
    """A workspace for runs and experiments, and Unity Catalog for registered models.

    ``registry`` calls the workspace through which the catalog is reached, often the same.
    """

    _models_api = MODELS
    _versions_api = VERSIONS

    def __init__(self, http: HttpSession, registry: HttpSession, *, uri: str, **workspace: Any):
        super().__init__(http, **workspace)
        self._registry_http = registry
        self._granting = CatalogPermissions(registry)
        self._storage = Storage(registry, uri)
        self._stores = ArtifactStores(
            http,
            side=self._side,
            tracking_uri=workspace["tracking_uri"],
            roots=workspace["roots"],
            own=[catalog_files(self._storage), workspace_files(http, workspace["tracking_uri"])],
        )

    def _connect(self) -> Capabilities:
        can = super()._connect()
        try:
            self._registry_http.get(f"{MODELS}/search", {"max_results": 1}, tries=CONNECT_TRIES)
        except (NotFound, Refused) as problem:
            raise EndpointError(
                f"the {self._side} at {self._registry_http.base_url} shows no Unity Catalog: "
                f"{problem}",
                "is the workspace attached to a metastore? Else use the registry URI databricks",
            ) from None
        return dataclasses.replace(
            can,
            description=f"{can.description}, registered models in Unity Catalog",
            identity=f"{can.identity}#{self._registry_http.base_url}#uc",
            model_tag_length=LONGEST_TAG,
            stages=False,
            name_levels=LEVELS,
            refused_in_model_tags=REFUSED_IN_TAGS,
        )

    # -- ReadsRegistry ----------------------------------------------------------------------

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        if names is None:
            pages = self._registry_http.get_pages(f"{MODELS}/search", {})
            names = [
                ident(item, "name") for it in pages for item in objects(it, "registered_models")
            ]
        for name in names:
            if name.count(".") != LEVELS - 1:
                continue
            try:
                answer = self._registry_http.get(f"{MODELS}/get", {"name": name})
            except NotFound:
                continue
            model = registered_model_from(required(answer, "registered_model"))
            yield dataclasses.replace(model, tags=read_tags(model.tags))

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        for model in models:
            params = {"filter": equals_filter("name", model.name)}
            pages = self._registry_http.get_pages(f"{VERSIONS}/search", params)
            found = [version_number(item) for it in pages for item in objects(it, "model_versions")]
            for number in sorted(found):
                version = self._read_version(model.name, str(number))
                if version is not None:
                    yield version

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``."""
        name, _, number = ref.id.rpartition("/")
        return self._read_version(name, number)

    def _read_version(self, name: str, number: str) -> ModelVersion | None:
        try:
            answer = self._registry_http.get(f"{VERSIONS}/get", {"name": name, "version": number})
        except NotFound:
            return None
        item = required(answer, "model_version")
        aliases = {ident(alias, "alias"): int(number) for alias in objects(item, "aliases")}
        version = model_version_from(item, RegisteredModel(name=name, aliases=aliases))
        return dataclasses.replace(version, tags=read_tags(version.tags))

    # -- WritesRegistry ---------------------------------------------------------------------

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model``."""
        super().create_registered_model(_spelled_model(model))

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> tuple[Loss, ...]:
        """See ``WritesRegistry.update_registered_model``."""
        refused = super().update_registered_model(_spelled_model(copy), _spelled_model(model))
        return _in_our_words(refused)

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version``.

        Where its files do not all arrive, the version stays PENDING_REGISTRATION and says by its
        origin whose copy it is; ``update_model_version`` completes it.
        """
        holds_place = PLACEHOLDER in version.tags
        upload = None if holds_place else self._upload_of(version)
        if holds_place:
            version = dataclasses.replace(version, run_id="")
        body = model_version_to(dataclasses.replace(version, run_link=""))
        body["tags"] = tags_to(written_tags(version.tags))
        if self._workspace_id and version.run_id:
            body["run_tracking_server_id"] = self._workspace_id
        answer = self._registry_http.post(f"{VERSIONS}/create", body, idempotent=False)
        with read_once():
            number = version_number(required(answer, "model_version"))
        if upload is not None:
            try:
                self._complete(version.name, number, upload)
            except Refused as problem:
                raise NotCompleted(problem.message, problem.hint) from None
        return number

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> tuple[Loss, ...]:
        """See ``WritesRegistry.update_model_version``."""
        if copy.status != READY:
            self._complete(copy.name, copy.version, self._upload_of(copy))
        # A catalog has no stages: the base class is to find nothing to move.
        wanted = dataclasses.replace(version, stage=copy.stage)
        refused = super().update_model_version(_spelled_version(copy), _spelled_version(wanted))
        return _in_our_words(refused)

    def _upload_of(self, version: ModelVersion) -> VersionUpload:
        return VersionUpload(self, version, self._storage)

    def _complete(self, name: str, number: int, upload: VersionUpload) -> None:
        """Send the files of a version and make it ready; both may be repeated."""
        named = {"name": name, "version": str(number)}
        upload.send(number)
        self._registry_http.post(f"{VERSIONS}/finalize", named, idempotent=True)


def _spelled_model(model: RegisteredModel) -> RegisteredModel:
    return dataclasses.replace(model, tags=written_tags(model.tags))


def _spelled_version(version: ModelVersion) -> ModelVersion:
    return dataclasses.replace(version, tags=written_tags(version.tags))


def _in_our_words(refused: Iterable[Loss]) -> tuple[Loss, ...]:
    """Return losses with the keys of our own as they are spelled elsewhere."""
    return tuple(
        loss._replace(what=f"tag {_unspelled(loss.what.removeprefix('tag '))}")
        if loss.what.startswith("tag ")
        else loss
        for loss in refused
    )


def written_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags with the keys of our own spelled as Unity Catalog takes them."""
    return {_spelled(key): value for key, value in tags.items()}


def read_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Read back what ``written_tags`` wrote."""
    return {_unspelled(key): value for key, value in tags.items()}


def _spelled(key: str) -> str:
    for prefix, spelled in SPELLED.items():
        if key.startswith(prefix):
            return spelled + key.removeprefix(prefix).replace(".", "__")
    return key


def _unspelled(key: str) -> str:
    for prefix, spelled in SPELLED.items():
        if key.startswith(spelled):
            return prefix + key.removeprefix(spelled).replace("__", ".")
    return key
