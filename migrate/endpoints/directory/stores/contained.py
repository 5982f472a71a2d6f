"""What experiments contain: objects of a kind, each with a directory in its experiment's."""

from __future__ import annotations

import builtins
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import local
from typing import BinaryIO, ClassVar, Generic, Protocol, TypeVar

from migrate.endpoints.answers import Copy
from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.foreign.scanning import members_in
from migrate.endpoints.directory.layout import (
    ARTIFACTS,
    SIDECAR_FILE,
    directory_name,
    partial_directory,
)
from migrate.endpoints.directory.native.artifacts import (
    IncomingFiles,
    open_stored,
    stored_files,
    whole_files,
)
from migrate.endpoints.directory.native.replacing import (
    complete_place,
    discard_partial,
    half_made_in,
    restore_replaced,
    take_up,
)
from migrate.endpoints.directory.native.sidecar import (
    Sidecar,
    StoredFile,
    note_losses,
    read_sidecar,
    whole_sidecar,
)
from migrate.endpoints.directory.stores.experiments import ExperimentStore
from migrate.endpoints.directory.stores.listing import Listing, Member
from migrate.errors import AlreadyExists, DirectoryError, Malformed, NotFound
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.objects import Artifact, LoggedModel, Loss, Run
from migrate.traces import Trace

_PATHS_KEPT = 10_000


class Writer(Protocol):
    """Puts one object together."""

    @property
    def files(self) -> IncomingFiles:
        """What takes in its files."""
        ...

    def listing(self) -> list[StoredFile]:
        """Return the files it has so far."""
        ...


T = TypeVar("T", Run, LoggedModel, Trace)


class ContainedStore(ABC, Generic[T]):
    """The objects of one kind; several threads may use it.

    Half-made ones are seen by who writes only. What cannot be read is left out of every listing
    and reported. Methods raise ``DirectoryError``, those that write ``Refused`` and
    ``StorageFull`` too, and ``NotFound`` where they are given an id that is not there.
    """

    kind: ClassVar[Kind]
    #: Where in an experiment ours are, and the JSON file that says what one is.
    folder: ClassVar[str]
    record: ClassVar[str]

    def __init__(self, export: Export, experiments: ExperimentStore) -> None:
        self._export = export
        self._experiments = experiments
        self._read_sidecar = whole_sidecar if export.writable else read_sidecar
        member: Member[T] = Member(
            kind=self.kind,
            folder=self.folder,
            directories=self.members,
            load=self.load,
            id_of=self.id_of,
        )
        self._listing: Listing[T] = Listing(export, member)
        #: The last that were found, to be found again without looking.
        self._paths: dict[str, Path] = {}
        #: Those of other tools whose directories have other names; and where no more of them are.
        self._renamed: dict[str, Path] = {}
        self._looked_through: set[Path] = set()
        self._last = local()

    @abstractmethod
    def load(self, place: Path, experiment_id: str) -> tuple[T, Sidecar | None]:
        """Read the one in a directory, finished or not."""

    @abstractmethod
    def id_of(self, record: T) -> str:
        """Return the id of an object."""

    @abstractmethod
    def stage_of(self, record: T) -> str:
        """Return the lifecycle stage of an object."""

    @abstractmethod
    def _id_in(self, place: Path) -> str:
        """Return the id that is in a directory. Raises ``Malformed`` too."""

    @abstractmethod
    def _begun(self, partial: Path, experiment_id: str) -> T | None:
        """Return what a half-made one was begun with; None when not even that is there whole."""

    @abstractmethod
    def _writer(self, ident: str, *, wanted: bool = False) -> Writer | None:
        """Return what writes one that is being written; with ``wanted``, begin if that can be."""

    def list(self, experiment_ids: Sequence[str]) -> Iterator[T]:
        """Yield all of these experiments, and report what cannot be read."""
        for experiment_id in experiment_ids:
            directory = self._experiments.path(experiment_id)
            if directory is None:
                continue
            try:
                yield from self._listing.of(experiment_id, directory)
                self._looked_through.add(directory)
            except DirectoryError as problem:
                ref = experiment_ref(experiment_id)
                self._export.unreadable.report(ref, "", directory, problem)

    def read(self, idents: Sequence[str]) -> Sequence[T]:
        """Return these, in whatever experiment; unreadable ones are reported and left out."""
        found = []
        for ident in idents:
            path = self.path_of(ident)
            if path is None:
                continue
            try:
                found.append(self._whole(path, self._experiments.id_around(path)))
            except DirectoryError as problem:
                self._experiments.report(Ref(self.kind, ident), path, problem)
        return found

    def path_of(self, ident: str, experiment_id: str | None = None) -> Path | None:
        """Return the directory of one, in one experiment or in whatever; None without any."""
        experiment = None if experiment_id is None else self._experiments.path(experiment_id)
        if experiment is None and experiment_id is not None:
            return None
        known = self._paths.get(ident)
        if known is None or not known.exists():
            self._paths.pop(ident, None)
        elif experiment is None or known.is_relative_to(experiment):
            return known
        found = self._look_for(ident, [experiment] if experiment else None)
        if found is not None:
            self._remember(ident, found)
        return found

    def present(self, ident: str) -> Path:
        """Return the directory of one."""
        path = self.path_of(ident)
        if path is None:
            raise NotFound(f"{self.kind} {ident} is not in {self._export.path}")
        return path

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, builtins.list[Copy]]:
        """Return the copies in an experiment by their origins, which are their own ids."""
        directory = self._experiments.path(experiment_id)
        if directory is None:
            return {}
        copies = {}
        for path in self._half_made_in(directory, origins):
            begun = self._begun(path, experiment_id)
            if begun is not None:
                copies[self.id_of(begun)] = [self._copy_of(begun, "")]
        for path in self._complete_in(directory, origins):
            with suppress(DirectoryError):  # creating it names the damage
                found, sidecar = self.load(path, experiment_id)
                copies[self.id_of(found)] = [self._copy_of(found, self._mark(path, sidecar))]
        return copies

    def artifacts(self, ref: Ref) -> Sequence[Artifact]:
        """Return the files of one; of what is damaged, what it was written with.

        Of a target, only what is there and whole; of what is being written, what it has so far.
        """
        writer = self._writer(ref.id)
        if writer is not None:
            files = writer.listing()
        else:
            base, place = self._export.base, self.present(ref.id)
            if self._export.is_target:
                files = whole_files(base, place, whole_sidecar(base, place))
            else:
                files = stored_files(base, place, read_sidecar(base, place))
        return [Artifact(file.path, file.size) for file in files]

    def open_artifact(self, ref: Ref, artifact: Artifact) -> BinaryIO:
        """See ``ReadsArtifacts.open``."""
        place = self.present(ref.id)
        unrecorded = StoredFile(artifact.path, artifact.size, artifact.path)
        file = self._recorded_files(place).get(artifact.path, unrecorded)
        return open_stored(
            self._export.base,
            place / ARTIFACTS,
            file.stored_as,
            artifact.size,
            digest=file.digest if file.size == artifact.size else "",
        )

    def digests(self, ref: Ref) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``."""
        recorded = self._recorded_files(self.present(ref.id))
        return {path: file.digest for path, file in recorded.items() if file.digest}

    def put_artifact(self, ref: Ref, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put``; only of one that is being written."""
        writer = self._writer(ref.id, wanted=True)
        if writer is None:
            raise DirectoryError(f"{ref} is not being written in {self._export.path}")
        writer.files.put(artifact, stream, self._export.count_arrived)

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``."""
        self._export.require_writable()
        note_losses(self._export.base, self.present(ref.id), losses)

    def members(self, experiment: Path) -> Iterator[tuple[str, Path]]:
        """Yield the name and directory of all that is complete in an experiment's directory."""
        return members_in(experiment, self.folder, self.record)

    def _place(self, experiment: Path, ident: str) -> Path:
        """Return where one is written, given its experiment's directory."""
        return experiment / self.folder / directory_name(ident)

    def _at(self, experiment: Path, ident: str) -> Path | None:
        """Return the directory of one that has its id for a name."""
        found = complete_place(self._place(experiment, ident))
        older = experiment / directory_name(ident)
        return older if found is None and os.path.lexists(older / self.record) else found

    def _look_for(self, ident: str, experiments: Sequence[Path] | None) -> Path | None:
        """Look for one in these experiments, or in all."""
        for at in (self._at, *([self._renamed_at] if self._export.is_foreign else [])):
            places = self._experiments.directories() if experiments is None else experiments
            found = next(filter(None, (at(experiment, ident) for experiment in places)), None)
            if found is not None:
                return found
        return None

    def _renamed_at(self, experiment: Path, ident: str) -> Path | None:
        """Return the directory of one of other tools, whatever its name is."""
        if experiment not in self._looked_through:
            for _, path in self.members(experiment):
                with suppress(DirectoryError, Malformed):  # listing reports it
                    self._remember(self._id_in(path), path)
            self._looked_through.add(experiment)
        found = self._renamed.get(ident)
        return found if found is not None and found.is_relative_to(experiment) else None

    def _remember(self, ident: str, place: Path) -> None:
        """Note where one is: without a bound only what has another name than its id."""
        if self._export.is_foreign and place.name != ident:
            self._renamed.setdefault(ident, place)
            return
        if len(self._paths) >= _PATHS_KEPT:
            self._paths.clear()
        self._paths.setdefault(ident, place)

    def _whole(self, path: Path, experiment_id: str) -> T:
        """Read one; it is damage when it did not finish, but to who writes, who completes it."""
        found, sidecar = self.load(path, experiment_id)
        if not self._export.writable:
            directory = self._experiments.around(path)
            self._listing.require_whole(directory, path, self.id_of(found), sidecar)
        return found

    def _place_to_create(self, experiment_id: str, ident: str, *, anew: bool) -> Path:
        """Return where to create one; a half-made one there stays, but ``anew``.

        Raises ``AlreadyExists`` where it is complete, unless ``anew``.
        """
        self._export.require_writable()
        place = self._place(self._experiments.present(experiment_id), ident)
        restore_replaced(place)
        if anew:
            discard_partial(self._export.base, place)
        else:
            take_up(place, self.record)
        if place.exists() and not anew:
            self.load(place, experiment_id)
            raise AlreadyExists(f"{self.kind} {ident} is in {self._export.path} already")
        return place

    def _half_made_in(self, experiment: Path, origins: Collection[str] | None) -> Iterable[Path]:
        if origins is None:
            return (path for _, path in half_made_in(experiment / self.folder))
        return (partial_directory(self._place(experiment, origin)) for origin in origins)

    def _complete_in(self, experiment: Path, origins: Collection[str] | None) -> Iterable[Path]:
        if origins is None:
            return (path for _, path in self.members(experiment))
        return filter(None, (self._at(experiment, origin) for origin in origins))

    def _copy_of(self, copied: T, mark: str) -> Copy:
        ident = self.id_of(copied)
        stage = self.stage_of(copied)
        return Copy(origin=ident, target_id=ident, mark=mark, lifecycle_stage=stage)

    def _mark(self, place: Path, sidecar: Sidecar | None) -> str:
        """Return the mark of a copy; none when its files are not as they were written."""
        if sidecar is None or (place / self.record).lstat().st_size != sidecar.record_bytes:
            return ""
        try:
            whole = whole_files(self._export.base, place, sidecar)
        except DirectoryError:  # adopting it names the damage
            return ""
        return "" if set(sidecar.artifacts) - set(whole) else sidecar.mark

    def _recorded_files(self, place: Path) -> Mapping[str, StoredFile]:
        """Return by path the artifacts that one was written with.

        Without those of which nothing is recorded but the path and the size. Each thread keeps
        the last, which is asked for once a file.
        """
        path = place / SIDECAR_FILE
        try:
            status = path.lstat()
        except OSError:
            return {}
        signature = (path, status.st_size, status.st_mtime_ns)
        last: tuple[object, dict[str, StoredFile]] | None = getattr(self._last, "files", None)
        if last is None or last[0] != signature:
            sidecar = self._read_sidecar(self._export.base, place)
            files = sidecar.artifacts if sidecar else ()
            recorded = {it.path: it for it in files if it.digest or it.path != it.stored_as}
            last = self._last.files = (signature, recorded)
        return last[1]
