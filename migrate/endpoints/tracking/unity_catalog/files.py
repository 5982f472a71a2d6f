"""The files of versions in Unity Catalog, which keeps its own: read, and filled from a source."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from migrate.endpoints.artifacts.repositories import translated
from migrate.endpoints.artifacts.stores import CHUNK, ArtifactStore, RepositoryStore
from migrate.endpoints.tracking.artifact_routes import ServerRoutes
from migrate.endpoints.tracking.artifacts import ArtifactStores, OwnWay
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.stores.runs import RunStore
from migrate.endpoints.tracking.unity_catalog.storage import Storage
from migrate.errors import EndpointError, Refused
from migrate.kinds import Ref, logged_model_ref, run_ref
from migrate.objects import Artifact, ArtifactRoot, ModelVersion

_LOGGED_MODEL = re.compile(r"models:/+(m-[^/@]+)(?!/\d+/?\Z)(?:/(.*))?\Z", re.S)
_VERSION = re.compile(r"models:/+([^/]+/\d+)/?\Z", re.S)
_RUN = re.compile(r"runs:/+([^/]+)/?(.*)", re.S)


def catalog_files(storage: Storage) -> OwnWay:
    """Return the way to the files of versions, which Unity Catalog keeps itself."""

    def way(root: ArtifactRoot, _: ServerRoutes) -> ArtifactStore | None:
        if root.owner.kind.is_version:
            return VersionStore(root, storage)
        return None

    return way


class VersionStore(RepositoryStore):
    """The files of one version, to be read; the storage they are in wants a key for each."""

    #: Not None: the repository of signed URLs fails on that.
    _top = ""

    def __init__(self, root: ArtifactRoot, storage: Storage) -> None:
        super().__init__(root.uri)
        self._version = root.owner.id
        self._storage = storage

    def _repository(self) -> Any:
        name, _, number = self._version.rpartition("/")
        with translated(self._uri):
            return self._storage.repository(name, number, to_write=False)


class Originals(NamedTuple):
    """What versions are made of: the files of runs and logged models of a workspace."""

    files: ArtifactStores
    runs: RunStore
    logged_models: LoggedModelStore


class VersionUpload:
    """What a version is to be made of: files of a run, a logged model or another version.

    Raises ``Refused`` where its source is none of these on the target, or has no files: Unity
    Catalog has no versions without.
    """

    def __init__(self, originals: Originals, version: ModelVersion, storage: Storage) -> None:
        self._name = version.name
        self._storage = storage
        root, self._folder = _place_of(originals, version)
        self._original = originals.files.store(root)
        self._files = _below(self._original.list_files(), self._folder)
        if not self._files:
            raise Refused(
                f"no files are at its source {version.source}; Unity Catalog wants them",
                "are the artifacts of its run on the target?",
            )

    def send(self, number: int) -> None:
        """Write the files into the storage of version ``number``."""
        with tempfile.TemporaryDirectory(prefix="mlflow-migrate-") as folder:
            for file in self._files:
                self._fetch(file, Path(folder))
            place = f"models:/{self._name}/{number}"
            with translated(place):
                repository = self._storage.repository(self._name, str(number), to_write=True)
                repository.log_artifacts(folder, "")

    def _fetch(self, file: Artifact, folder: Path) -> None:
        below = file.path.removeprefix(self._folder).lstrip("/")
        path = folder / below
        if ".." in path.parts:
            raise EndpointError(f"the file {file.path!r} has no place in a version")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._original.open(file) as stream, path.open("wb") as copy:
            shutil.copyfileobj(stream, copy, CHUNK)


def _place_of(originals: Originals, version: ModelVersion) -> tuple[ArtifactRoot, str]:
    """Return whose files a version is made of, and below which folder of theirs."""
    source = version.source
    if found := _LOGGED_MODEL.match(source):
        return _logged_model(originals, found[1], version), found[2] or ""
    if found := _VERSION.match(source):
        return ArtifactRoot(Ref(version.ref.kind, found[1]), source), ""
    if found := _RUN.match(source):
        return _run(originals, found[1], version), found[2].strip("/")
    owners = []
    if version.model_id:
        owners.append(_logged_model(originals, version.model_id, version))
    if version.run_id:
        owners.append(_run(originals, version.run_id, version))
    for root in owners:
        if f"{source}/".startswith(root.uri.rstrip("/") + "/"):
            return root, source.removeprefix(root.uri.rstrip("/")).strip("/")
    raise Refused(
        f"its source {source} is below no run or logged model of the target, and Unity Catalog "
        "wants its files",
        "copy the run that it was made in along with it",
    )


def _logged_model(originals: Originals, model_id: str, version: ModelVersion) -> ArtifactRoot:
    for model in originals.logged_models.read([model_id]):
        return ArtifactRoot(logged_model_ref(model_id), model.artifact_uri)
    raise Refused(f"its source {version.source} is not on the target")


def _run(originals: Originals, run_id: str, version: ModelVersion) -> ArtifactRoot:
    for run in originals.runs.read([run_id]):
        return ArtifactRoot(run_ref(run_id), run.artifact_uri)
    raise Refused(f"its source {version.source} is of run {run_id}, which is not on the target")


def _below(files: Sequence[Artifact], folder: str) -> list[Artifact]:
    return [file for file in files if not folder or file.path.startswith(f"{folder}/")]
