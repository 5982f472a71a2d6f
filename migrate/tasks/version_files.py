"""Copies the files of a version of a registered model once more, beside the version.

What ``--export-version-model`` asks for: an export then holds of every version what MLflow's
``download_artifacts("models:/name/version")`` gives. A version has no files of its own on a
tracking server. It names those of a run, of a logged model or of another version, or a place that
is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import BinaryIO

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.protocols.artifacts import ReadsArtifacts
from migrate.errors import EndpointError, NotAuthenticated, NotFound, Unavailable
from migrate.kinds import Kind, Ref
from migrate.objects import Artifact, ArtifactRoot, ModelVersion
from migrate.outcomes import Loss, LossCode, loss_of
from migrate.tasks.batches import PATIENT_ATTEMPTS
from migrate.tasks.files import Sent, copy_files
from migrate.tasks.version_sources import named_places

MODEL_FILE = "MLmodel"
#: Which version the files are of; MLflow's client adds it to what it downloads, beside a MLmodel
#: (``mlflow.store.artifact.models_artifact_repo`` of 3.17.2).
META_FILE = "registered_model_meta"
#: Versions may be made of versions.
LONGEST_CHAIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFiles:
    """The files of a version, below ``root``, and who reads them there.

    Those ``added`` are not at the source.
    """

    files: Sequence[Artifact]
    root: ArtifactRoot
    reader: ReadsArtifacts
    added: Mapping[str, bytes] = field(default_factory=dict)


def root_of(version: ModelVersion) -> ArtifactRoot:
    """Return where the files of a version are in an export."""
    return ArtifactRoot(version.ref, f"models:/{version.ref.id}")


def copy_version_files(
    source: Source, version: ModelVersion, target: Target, attempt: int, *, contents: bool = False
) -> Sent:
    """Bring the files of a version to the target; those there with the same size stay.

    With ``contents`` only where they are equal.

    What the source cannot deliver is a loss. Raises what ``copy_files`` raises.
    """
    try:
        found = files_of_version(source, version)
    except NotAuthenticated:
        raise
    except (EndpointError, Unavailable) as problem:
        if isinstance(problem, Unavailable) and attempt < PATIENT_ATTEMPTS:
            raise
        return Sent(0, 0, (not_listed(problem),))
    return copy_files(
        found.reader,
        found.root,
        found.files,
        target,
        root_of(version),
        fresh=False,
        attempt=attempt,
        rewritten=found.added,
        whole=True,
        contents=contents,
    )


def not_listed(problem: Exception) -> Loss:
    """Return the loss of all files of a version."""
    return loss_of(LossCode.NOT_LISTED, "files of the version", problem)


def files_of_version(source: Source, version: ModelVersion) -> VersionFiles:
    """Find the files of a version. Raises ``NotFound`` where there are none."""
    looked = version.source
    for root, folder in _places(source, version):
        held = {_below(folder, file.path): file for file in source.artifacts.list(root)}
        held.pop("", None)
        if held:
            return _version_files(version, root, held, source)
        looked = f"{root.uri}/{folder}" if folder else root.uri
    raise NotFound(f"no files are at {looked}")


def _version_files(
    version: ModelVersion, root: ArtifactRoot, held: Mapping[str, Artifact], source: Source
) -> VersionFiles:
    added = {}
    if MODEL_FILE in held:
        meta = {"model_name": version.name, "model_version": str(version.version)}
        import yaml  # for versions with their files alone

        added[META_FILE] = yaml.safe_dump(meta, allow_unicode=True).encode()
    sizes = {path: file.size for path, file in held.items()}
    sizes |= {path: len(content) for path, content in added.items()}
    return VersionFiles(
        files=[Artifact(path, size) for path, size in sorted(sizes.items())],
        root=root,
        reader=_Renamed(source.artifacts, held),
        added=added,
    )


def _places(source: Source, version: ModelVersion) -> Iterator[tuple[ArtifactRoot, str]]:
    """Yield among whose files those of a version may be, and in which folder there."""
    root_of_owner = cache(partial(artifact_uri, source))
    for _ in range(LONGEST_CHAIN):
        told = source.model_versions.files(version.ref)
        uri = told.uri if told is not None else version.source
        named = named_places(uri, version, root_of_owner)
        another = None
        for owner, folder in named:
            if owner.kind is Kind.MODEL_VERSION:
                another = another or source.model_versions.read(owner)
                continue
            if root := root_of_owner(owner):
                yield ArtifactRoot(owner, root), folder
            if owner.kind is Kind.RUN and uri.startswith("runs:"):
                yield from _models_of_run(source, owner.id, folder)
        if another is None:
            break
        version = another
    if told is not None and not named:
        yield told, ""


def _models_of_run(source: Source, run_id: str, folder: str) -> Iterator[tuple[ArtifactRoot, str]]:
    """Yield the logged models of a run that MLflow 3 takes for a folder of the run's."""
    name, _, below = folder.partition("/")
    for run in source.runs.read([run_id]):
        for model in source.logged_models.list([run.experiment_id]):
            if (model.source_run_id, model.name) == (run_id, name):
                yield (
                    ArtifactRoot(model.ref, model.artifact_uri),
                    below,
                )


def artifact_uri(end: Source, owner: Ref) -> str:
    """Return where a run or logged model says its files are; empty when it is not there."""
    found = (
        end.runs.read([owner.id]) if owner.kind is Kind.RUN else end.logged_models.read([owner.id])
    )
    return found[0].artifact_uri if found else ""


def _below(folder: str, path: str) -> str:
    """Return a path as it is seen from a folder, or of a file alone; empty when not in there."""
    if not folder:
        return path
    if path == folder:
        return path.rpartition("/")[2]
    return path.removeprefix(folder + "/") if path.startswith(folder + "/") else ""


class _Renamed:
    """Reads files of an object under other names, by which ``held`` has them."""

    def __init__(self, source: ReadsArtifacts, held: Mapping[str, Artifact]) -> None:
        self._source = source
        self._held = held

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        """See ``ReadsArtifacts.list``."""
        return [Artifact(path, file.size) for path, file in sorted(self._held.items())]

    def open(self, root: ArtifactRoot, artifact: Artifact) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open``."""
        return self._source.open(root, self._held[artifact.path])

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``."""
        told = self._source.digests(root)
        return {path: told[it.path] for path, it in self._held.items() if it.path in told}

    def location(self, root: ArtifactRoot) -> str:
        """See ``ReadsArtifacts.location``."""
        return self._source.location(root)
