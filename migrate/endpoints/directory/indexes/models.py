"""The lists of a registry, by which other tools import: models.json, prompts_summary.json, and the
versions in every model.json."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.directory.indexes.requested import Requested
from migrate.endpoints.directory.indexes.updates import DURATION, write_index, write_timed_index
from migrate.endpoints.directory.layout import MODEL_FILE, MODELS_FILE, PROMPTS_FILE
from migrate.endpoints.directory.native.kept_permissions import with_permissions
from migrate.endpoints.directory.native.registry_records import model_to_json, version_to_json
from migrate.endpoints.directory.places import RegistryPlaces
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import MODEL_KINDS, VERSION_KINDS, Kind
from migrate.objects import ModelVersion, RegisteredModel

#: Given a version, its run's members ``_experiment_name`` and ``_run_artifact_uri``.
RunMembers = Callable[[ModelVersion], Mapping[str, str]]
#: What clients of MLflow 3 show of a version and no server returns.
_SHOWN_BY_MLFLOW_3 = {"params": None, "metrics": None, "deployment_job_state": "None"}


class ModelContents(NamedTuple):
    """A registered model or prompt of an export. A model has a ``folder``, and may have kept
    ``permissions``; the versions of those numbers ``with_files`` have files in it.
    """

    model: RegisteredModel
    versions: Sequence[ModelVersion]
    folder: Path | None = None
    permissions: object = None
    with_files: Collection[int] = ()


class Published(NamedTuple):
    """What the indexes of a registry say: of registered models and of prompts, in numbers."""

    has_models: bool
    models: Mapping[str, Any]
    prompts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIndexes:
    """Writes the lists of a registry, whose export took so many ``seconds``.

    ``unreadable`` has, once the contents were read, what of them could not be.
    """

    places: RegistryPlaces
    unreadable: UnreadableObjects
    requested: Requested
    seconds: float

    def write(self, contents: Iterable[ModelContents], run_members: RunMembers) -> Published:
        """Write them. Raises ``StorageFull`` or ``DirectoryError``."""
        places = self.places
        whole: list[str] = []
        elsewhere: list[dict[str, str]] = []
        prompt_versions = 0
        for found in contents:
            name, folder = found.model.name, found.folder
            if folder is None:
                prompt_versions += len(found.versions)
                continue
            self._list_versions(found, folder, run_members)
            if folder.name == name:
                whole.append(name)
            else:
                elsewhere.append({"name": name, "directory": folder.name})
        failed = self._failed(MODEL_KINDS, places.models)
        models = _models_to_json(whole, elsewhere, failed)
        models["info"] |= self.requested.of_models(places.models) | {DURATION: self.seconds}
        if os.path.lexists(places.models):
            write_timed_index(places.models / MODELS_FILE, models)
        failed_versions = self._failed(VERSION_KINDS, places.prompts)
        counts = _counts_of_prompts(prompt_versions, len(failed_versions))
        if os.path.lexists(places.prompts):
            write_index(places.prompts / PROMPTS_FILE, {"mlflow": counts})
        return Published(bool(whole or elsewhere), models["info"], counts)

    def _list_versions(self, found: ModelContents, folder: Path, run_members: RunMembers) -> None:
        """Write the versions into model.json, which is where other tools look for them."""
        model, failed = found.model, self._failed(VERSION_KINDS, folder)
        listed = [
            {
                **version_to_json(version, version.aliases),
                **_SHOWN_BY_MLFLOW_3,
                **run_members(version),
                **(_download_member(version) if version.version in found.with_files else {}),
            }
            for version in found.versions
        ]
        info = {
            "num_src_versions": len(listed) + len(failed),
            "num_dst_versions": len(listed),
            "failed_versions": [{"version": number.rpartition("/")[2]} for number in failed],
            **self.requested.of_versions(),
        }
        value = {**model_to_json(model, model.aliases), "versions": listed}
        value = with_permissions(value, found.permissions)
        write_index(folder / MODEL_FILE, {"info": info, "mlflow": {"registered_model": value}})

    def _failed(self, kinds: Collection[Kind], below: Path) -> list[str]:
        return sorted(
            entry.ref.id
            for entry in self.unreadable.all()
            if entry.ref.kind in kinds
            and os.path.lexists(entry.where)
            and Path(entry.where).is_relative_to(below)
        )


def _download_member(version: ModelVersion) -> dict[str, str]:
    """Return what other tools write where the files of a version are in the export as well."""
    return {"_download_uri": f"models:/{version.name}/{version.version}"}


def _models_to_json(
    whole: Sequence[str], elsewhere: Sequence[Mapping[str, str]], failed: Sequence[str]
) -> dict[str, Any]:
    names = sorted([*whole, *(entry["name"] for entry in elsewhere)])
    return {
        "info": {
            "model_names": names,
            "num_total_models": len(names) + len(failed),
            "num_ok_models": len(names),
            "num_failed_models": len(failed),
            "failed_models": list(failed),
        },
        "mlflow": {"models": sorted(whole), "renamed_models": list(elsewhere)},
    }


def _counts_of_prompts(ok: int, failed: int) -> dict[str, int]:
    return {"total_prompts": ok + failed, "successful_exports": ok, "failed_exports": failed}
