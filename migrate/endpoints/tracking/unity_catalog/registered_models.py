"""Registered models in Unity Catalog.

The calls are those of MLflow's own store for it (``mlflow/store/_unity_catalog/registry`` of
3.17.2). A search there tells neither tags nor aliases, so each object is read by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from migrate.endpoints.shapes import ident, objects, required
from migrate.endpoints.tracking.models_wire import registered_model_from
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.unity_catalog.tags import in_our_words, read_tags, written_tags
from migrate.errors import NotFound
from migrate.objects import RegisteredModel
from migrate.outcomes import Loss

#: Names with dots between that the name of a model has: catalog, schema, model.
LEVELS = 3


class CatalogModels(RegisteredModelStore):
    """Registered models of a catalog."""

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegisteredModels.list``."""
        if names is None:
            pages = self._http.get_pages(f"{self._api}/search", {})
            names = [
                ident(item, "name") for it in pages for item in objects(it, "registered_models")
            ]
        for name in names:
            if name.count(".") != LEVELS - 1:
                continue
            try:
                answer = self._http.get(f"{self._api}/get", {"name": name})
            except NotFound:
                continue
            model = registered_model_from(required(answer, "registered_model"))
            yield dataclasses.replace(model, tags=read_tags(model.tags))

    def create(self, model: RegisteredModel) -> None:
        """See ``WritesRegisteredModels.create``."""
        super().create(_spelled(model))

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> tuple[Loss, ...]:
        """See ``WritesRegisteredModels.update``."""
        return in_our_words(super().update(_spelled(copy), _spelled(model)))


def _spelled(model: RegisteredModel) -> RegisteredModel:
    return dataclasses.replace(model, tags=written_tags(model.tags))
