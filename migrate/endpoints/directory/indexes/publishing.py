"""The indexes of a whole export, written when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrate.endpoints.directory.indexes.experiments import (
    ExperimentEntry,
    experiments_info,
    write_experiments_file,
    write_experiments_for_models,
)
from migrate.endpoints.directory.indexes.models import (
    ModelContents,
    Published,
    RegistryIndexes,
    RunMembers,
)
from migrate.endpoints.directory.indexes.requested import Requested
from migrate.endpoints.directory.indexes.updates import DURATION, write_timed_index
from migrate.endpoints.directory.layout import EXPERIMENTS_FILE, MANIFEST_FILE
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.disk import clear_created, writing
from migrate.endpoints.unreadable import UnreadableObjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Writes the indexes of an export that took so many ``seconds``; see ``Target.publish``."""

    opened: Opened
    unreadable: UnreadableObjects
    requested: Requested
    seconds: float

    def write(
        self,
        entries: Sequence[ExperimentEntry],
        models: Iterable[ModelContents],
        run_members: RunMembers,
    ) -> None:
        """Write them; manifest.json, which sums up the others, comes last.

        Raises ``StorageFull`` or ``DirectoryError``.
        """
        opened, base = self.opened, self.opened.base
        models_above = {"models_above": True} if opened.models_above else {}
        info = experiments_info(entries, self.requested.of_experiments(base), self.seconds)
        ours = {"identity": opened.identity, **models_above}
        write_experiments_file(base, ours, entries, info)
        clear_created(base / EXPERIMENTS_FILE)
        if opened.models_above:
            # import-models of other tools reads models.json also where it lists none.
            with writing(opened.registry.models):
                opened.registry.models.mkdir(exist_ok=True)
        published = RegistryIndexes(
            places=opened.registry,
            unreadable=self.unreadable,
            requested=self.requested,
            seconds=self.seconds,
        ).write(models, run_members)
        if published.has_models and not opened.models_above:
            write_experiments_for_models(base, entries, info)
        if published.has_models or opened.models_above:
            self._write_manifest(info, published)

    def _write_manifest(self, experiments: Mapping[str, Any], published: Published) -> None:
        info = {
            **self.requested.of_all(),
            "models": dict(published.models),
            "experiments": dict(experiments),
            "status": {
                DURATION: self.seconds,
                "models": _numbers(published.models),
                "experiments": dict(experiments["status"]),
                "prompts": dict(published.prompts),
                "evaluation_datasets": {},
            },
        }
        manifest = self.opened.registry.base / MANIFEST_FILE
        write_timed_index(manifest, {"info": info, "mlflow": {}})


def _numbers(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key.startswith("num_")}
