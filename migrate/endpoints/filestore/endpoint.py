"""A file store as a source: its stores, put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, cast

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.disk import reading
from migrate.endpoints.file_stores import MODELS
from migrate.endpoints.filestore.files import StoreFiles
from migrate.endpoints.filestore.places import Places
from migrate.endpoints.filestore.stores.experiments import ExperimentStore
from migrate.endpoints.filestore.stores.logged_models import LoggedModelStore
from migrate.endpoints.filestore.stores.registry import ModelVersionStore, RegisteredModelStore
from migrate.endpoints.filestore.stores.runs import ModelLinkStore, RunStore
from migrate.endpoints.filestore.stores.traces import TraceStore
from migrate.endpoints.permissions import NoPermissions
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import NotFound
from migrate.kinds import REGISTRY_KINDS, Kind

_DEFAULT = "0"
_NONE = "a file store knows no users"


class FileStoreSource:
    """Implements ``Source``: the folder that a server or client has as its file store.

    Nothing is ever written to it. Files below it are read, and those below ``roots``.
    """

    def __init__(self, root: Path, *, side: str, roots: Roots = NO_ROOTS) -> None:
        self._root = root
        self._roots = roots
        files = StoreFiles(root)
        self._places = places = Places(root)
        self.unreadable = UnreadableObjects()
        self.experiments = ExperimentStore(files, places, self.unreadable)
        self.runs = RunStore(files, places, self.unreadable)
        self.model_links = ModelLinkStore(self.runs)
        self.logged_models = LoggedModelStore(files, places, self.unreadable)
        self.registered_models = RegisteredModelStore(files, self.unreadable)
        self.model_versions = ModelVersionStore(
            files, self.unreadable, self.registered_models, self.runs, self.experiments
        )
        self._traces = TraceStore(files, places, self.unreadable)
        self.artifacts = UnservedArtifacts(roots, side, own=places.roots)
        self.permissions = NoPermissions()

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``. Raises ``DirectoryError`` when it cannot be listed."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        default = self.experiments.read([_DEFAULT])
        made = default[0].creation_time if default else None
        return Capabilities(
            description=f"file store {self._root}",
            version="file store",
            identity=f"{self._root}#{made or ''}",
            readable=frozenset(
                {
                    self.experiments.kind,
                    self.runs.kind,
                    self.logged_models.kind,
                    self._traces.kind,
                    *REGISTRY_KINDS,
                }
            ),
            writable=frozenset(),
            found_by=ALL_KEPT,
            bookkeeping=Bookkeeping.TAGS,
            without_permissions=_NONE,
            lists_links=True,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        with reading(self._root):
            foreign = self._places.foreign()
        if not foreign:
            return ()
        shown = ", ".join(repr(name) for name in foreign[:5])
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        return (f"{self._root} has what is none of MLflow's, and is left alone: {shown}{more}",)

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``. One that reads only: nothing of it is written."""
        return cast("Store[Any]", self._traces) if kind is self._traces.kind else None

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``: what there is, a store tells; where its files are, not always.

        A store that was moved has its files with it, or they were never in it.
        """
        experiments = [*self.experiments.list()]
        if self._roots.folders:
            locations = [it.artifact_location for it in experiments]
            return self.artifacts.doubts(locations, str(self._root))
        elsewhere: defaultdict[str, list[str]] = defaultdict(list)
        for experiment in experiments:
            if self.artifacts.is_elsewhere(location := experiment.artifact_location):
                place = PurePosixPath(location.replace("\\", "/")).parent
                elsewhere[str(place)].append(experiment.experiment_id)
        return [
            f"whether runs have files is not known: they were at {place}, and no experiment of "
            f"there has one in {self._root}. Name the folder that has them with "
            "--source-artifacts; where there are none, the file store itself"
            for place, ids in elsewhere.items()
            if self._has_objects_but_no_files(ids)
        ]

    def _has_objects_but_no_files(self, experiment_ids: Sequence[str]) -> bool:
        folders = list(self._places.objects(experiment_ids, "", MODELS))
        with reading(self._root):
            return bool(folders) and not any(
                place.is_dir() and any(place.iterdir())
                for place in (folder / "artifacts" for folder in folders)
            )

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``Source.unsupported``: there are no other kinds in a file store."""
        return {}

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``Source.notebook``."""
        raise NotFound(f"{self._root} has no notebooks")

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self.artifacts.close()
