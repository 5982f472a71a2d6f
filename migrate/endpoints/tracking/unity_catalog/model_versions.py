"""Versions in Unity Catalog.

A version has files of its own: they are sent after it is created, and make it READY when it is
finalized.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from migrate.endpoints.shapes import ident, objects, required, version_number
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.models_wire import (
    equals_filter,
    model_version_from,
    model_version_to,
)
from migrate.endpoints.tracking.stores.model_versions import ModelVersionStore
from migrate.endpoints.tracking.stores.registry import Registry
from migrate.endpoints.tracking.unity_catalog.files import Originals, VersionUpload
from migrate.endpoints.tracking.unity_catalog.registered_models import CatalogModels
from migrate.endpoints.tracking.unity_catalog.storage import Storage
from migrate.endpoints.tracking.unity_catalog.tags import in_our_words, read_tags, written_tags
from migrate.endpoints.tracking.wire import tags_to
from migrate.errors import NotCompleted, NotFound, Refused
from migrate.kinds import Ref
from migrate.objects import ModelVersion, RegisteredModel
from migrate.origins import PLACEHOLDER
from migrate.outcomes import Loss

READY = "READY"


class CatalogVersions(ModelVersionStore):
    """Versions of a catalog; ``originals`` has what they are made of, in a workspace of this id."""

    def __init__(
        self,
        registry: Registry,
        models: CatalogModels,
        tracking: HttpSession,
        storage: Storage,
        originals: Originals,
        workspace_id: str,
    ) -> None:
        super().__init__(registry, models, tracking)
        self._storage = storage
        self._originals = originals
        self._workspace_id = workspace_id

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsModelVersions.list``."""
        for model in models:
            params = {"filter": equals_filter("name", model.name)}
            pages = self._http.get_pages(f"{self._api}/search", params)
            found = [version_number(item) for it in pages for item in objects(it, "model_versions")]
            for number in sorted(found):
                version = self._read_one(model.name, str(number))
                if version is not None:
                    yield version

    def read(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsModelVersions.read``."""
        name, _, number = ref.id.rpartition("/")
        return self._read_one(name, number)

    def _read_one(self, name: str, number: str) -> ModelVersion | None:
        try:
            answer = self._http.get(f"{self._api}/get", {"name": name, "version": number})
        except NotFound:
            return None
        item = required(answer, "model_version")
        aliases = {ident(alias, "alias"): int(number) for alias in objects(item, "aliases")}
        version = model_version_from(item, RegisteredModel(name=name, aliases=aliases))
        return dataclasses.replace(version, tags=read_tags(version.tags))

    def create(self, version: ModelVersion) -> int:
        """See ``WritesModelVersions.create``.

        Where its files do not all arrive, the version stays PENDING_REGISTRATION and says by its
        origin whose copy it is; ``update`` completes it.
        """
        holds_place = PLACEHOLDER in version.tags
        upload = None if holds_place else self._upload_of(version)
        if holds_place:
            version = dataclasses.replace(version, run_id="")
        body = model_version_to(dataclasses.replace(version, run_link=""))
        body["tags"] = tags_to(written_tags(version.tags))
        if self._workspace_id and version.run_id:
            body["run_tracking_server_id"] = self._workspace_id
        answer = self._http.post(f"{self._api}/create", body, idempotent=False)
        with read_once():
            number = version_number(required(answer, "model_version"))
        if upload is not None:
            try:
                self._complete(version.name, number, upload)
            except Refused as problem:
                raise NotCompleted(problem.message, problem.hint) from None
        return number

    def update(self, copy: ModelVersion, version: ModelVersion) -> tuple[Loss, ...]:
        """See ``WritesModelVersions.update``."""
        if copy.status != READY:
            self._complete(copy.name, copy.version, self._upload_of(copy))
        # A catalog has no stages: the base class is to find nothing to move.
        wanted = dataclasses.replace(version, stage=copy.stage)
        refused = super().update(_spelled(copy), _spelled(wanted))
        return in_our_words(refused)

    def _upload_of(self, version: ModelVersion) -> VersionUpload:
        return VersionUpload(self._originals, version, self._storage)

    def _complete(self, name: str, number: int, upload: VersionUpload) -> None:
        """Send the files of a version and make it ready; both may be repeated."""
        named = {"name": name, "version": str(number)}
        upload.send(number)
        self._http.post(f"{self._api}/finalize", named, idempotent=True)


def _spelled(version: ModelVersion) -> ModelVersion:
    return dataclasses.replace(version, tags=written_tags(version.tags))
