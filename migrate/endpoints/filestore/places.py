"""Where in a file store its objects are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from migrate.endpoints.disk import subdirectories
from migrate.endpoints.file_stores import META, MODELS, STORE_ID, TRASH
from migrate.endpoints.filestore.files import is_foreign, is_name

#: Folders in that of an experiment that are no runs.
RESERVED = frozenset({"tags", "datasets", "traces", MODELS})


class ExperimentFolder(NamedTuple):
    """The folder of an experiment; ``in_trash``: it is deleted, with all that is in it."""

    path: Path
    in_trash: bool

    @property
    def id(self) -> str:
        """The id of the experiment."""
        return self.path.name


class Places:
    """The folders of a store. What they hold is not looked at, only where each was seen last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, Path] = {}

    @property
    def roots(self) -> tuple[Path, Path]:
        """The folders that hold those of experiments: the store, and its trash."""
        return self._root, self._root / TRASH

    def experiments(self) -> Iterator[ExperimentFolder]:
        """Yield the folders of all experiments, those in the trash last."""
        for root in self.roots:
            for path in subdirectories(root):
                if _is_object(path) and path.name not in (TRASH, MODELS):
                    yield ExperimentFolder(path, root != self._root)

    def experiment(self, experiment_id: str) -> ExperimentFolder | None:
        """Return the folder of an experiment, None where there is none."""
        for root in self.roots if is_name(experiment_id) else ():
            if (path := root / experiment_id).is_dir():
                return ExperimentFolder(path, root != self._root)
        return None

    def within(self, experiment: ExperimentFolder, folder: str) -> Iterator[Path]:
        """Yield the folders of what is in a folder of an experiment; of its runs, without one."""
        for path in subdirectories(experiment.path / folder):
            is_run = path.name not in RESERVED and _is_object(path)
            if (folder or is_run) and not is_foreign(path.name):
                self._found[path.name] = experiment.path
                yield path

    def objects(self, experiment_ids: Sequence[str], *folders: str) -> Iterator[Path]:
        """Yield the folders of what is in these experiments, in the folders of ``within``."""
        for experiment in filter(None, map(self.experiment, experiment_ids)):
            for folder in folders:
                yield from self.within(experiment, folder)

    def find(self, ident: str, folder: str) -> tuple[ExperimentFolder, Path] | None:
        """Return where something is in whatever experiment, with ``folder`` as in ``within``."""
        if not is_name(ident) or (not folder and ident in RESERVED):
            return None
        known = self._found.get(ident)
        for around in (known, *(it.path for it in self.experiments())):
            if around is not None and os.path.lexists(around / folder / ident):
                self._found[ident] = around
                return ExperimentFolder(around, around.parent != self._root), (
                    around / folder / ident
                )
        return None

    def foreign(self) -> list[str]:
        """Return what is beside the experiments and is none of MLflow's."""
        known = {TRASH, MODELS, *(it.id for it in self.experiments())}
        names = sorted(it for it in os.listdir(self._root) if it not in known)
        return [name for name in names if not is_foreign(name)]


def _is_object(path: Path) -> bool:
    """Say whether a folder is an experiment or run, perhaps one that has lost its file."""
    return STORE_ID.match(path.name) is not None or os.path.lexists(path / META)
