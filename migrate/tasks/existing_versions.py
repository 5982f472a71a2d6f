"""Finds the copies of registered models, prompts and their versions that are on the target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Target
from migrate.objects import ModelVersion, RegisteredModel
from migrate.origins import ORIGIN
from migrate.tasks.batches import Policy
from migrate.tasks.collisions import is_of_source, taken_aliases

#: Up to this many names are asked for one by one.
NAMES_ONE_BY_ONE = 20


def version_origin(version: ModelVersion) -> str:
    """Return what names a source version for ever: name, number and the ms of its creation."""
    return f"{version.name}/{version.version}@{version.creation_time or 0}"


class ExistingVersions:
    """The versions that a registered model or prompt of the target has, in order of number."""

    def __init__(
        self, model: RegisteredModel, versions: Iterable[ModelVersion], target: Capabilities
    ) -> None:
        self.all = tuple(versions)
        self.highest = max((version.version for version in self.all), default=0)
        self._model = model
        self._ids_are_kept = target.keeps_id(model.kind)
        self._by_key: dict[str, list[ModelVersion]] = {}
        for version in self.all:
            key = version.ref.id if self._ids_are_kept else version.tags.get(ORIGIN, "")
            self._by_key.setdefault(key, []).append(version)

    def copies_of(self, version: ModelVersion) -> Sequence[ModelVersion]:
        """Return all copies of a source version, in order of number."""
        key = version.ref.id if self._ids_are_kept else version_origin(version)
        return self._by_key.get(key, ())

    def taken_aliases(self, originals: Iterable[ModelVersion], policy: Policy) -> dict[str, int]:
        """Return the aliases that versions of another origin than ``originals`` have."""
        if self._ids_are_kept:
            return {}
        origins = set(map(version_origin, originals))
        ours = {it.version for it in self.all if is_of_source(it, origins, policy)}
        return taken_aliases(self._model.aliases, ours.__contains__)


def existing_models(target: Target, names: Collection[str]) -> dict[str, RegisteredModel]:
    """Return those of these names that are on the target, by name."""
    few = list(names) if len(names) <= NAMES_ONE_BY_ONE else None
    found = target.registered_models.list(few)
    return {model.name: model for model in found if model.name in names}


def existing_versions(
    target: Target, models: Sequence[RegisteredModel]
) -> dict[str, ExistingVersions]:
    """Return the versions of ``models`` of the target, by the names of these."""
    found: dict[str, list[ModelVersion]] = {}
    for version in target.model_versions.list(models) if models else ():
        found.setdefault(version.name, []).append(version)
    can = target.capabilities()
    return {it.name: ExistingVersions(it, found.get(it.name, ()), can) for it in models}
