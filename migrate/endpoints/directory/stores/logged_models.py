"""Finds the logged models of an export and reads their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from migrate.endpoints.directory.foreign.records import tidied_logged_model
from migrate.endpoints.directory.layout import LOGGED_MODEL_FILE, logged_model_directory
from migrate.endpoints.directory.native.envelope import load_mlflow
from migrate.endpoints.directory.native.model_records import logged_model_from_json, logged_model_id
from migrate.endpoints.directory.native.replacing import complete_place
from migrate.endpoints.directory.native.sidecar import ReadSidecar, Sidecar, read_sidecar
from migrate.endpoints.directory.stores.scanning import logged_model_directories
from migrate.endpoints.directory.unreadable import require_own
from migrate.endpoints.disk import DAMAGED
from migrate.errors import DirectoryError, Malformed
from migrate.objects import LoggedModel

_PATHS_KEPT = 10_000


class LoggedModelStore:
    """Reads logged models below ``base``; ``renamed``: directories may not have their ids.

    ``sidecar`` reads that of a logged model.
    """

    def __init__(self, base: Path, *, renamed: bool, sidecar: ReadSidecar = read_sidecar) -> None:
        self._base = base
        self._sidecar = sidecar
        self._may_be_renamed = renamed
        self._paths: dict[str, Path] = {}

    def read(self, place: Path, experiment_id: str) -> tuple[LoggedModel, Sidecar | None]:
        """Read a logged model with its metrics. Raises ``DirectoryError``."""
        sidecar = self._sidecar(self._base, place)
        path = place / LOGGED_MODEL_FILE
        value = load_mlflow(self._base, path)
        try:
            value, lost = (value, sidecar.losses) if sidecar else tidied_logged_model(value)
            model = logged_model_from_json(value, directory=place.name, experiment_id=experiment_id)
            if not self._may_be_renamed:
                require_own(path, model.model_id)
        except Malformed as error:
            message = f"{path} describes no logged model: {error}"
            raise DirectoryError(message, DAMAGED) from error
        self._remember(model.model_id, place)
        return replace(model, losses=lost), sidecar

    def find(self, model_id: str, experiments: Callable[[], Iterable[Path]]) -> Path | None:
        """Return the directory of a complete one; None when it is in none of ``experiments``."""
        known = self._paths.get(model_id)
        if known is not None and known.exists():
            return known
        self._paths.pop(model_id, None)
        places = (logged_model_directory(path, model_id) for path in experiments())
        found = next(filter(None, map(complete_place, places)), None)
        if found is None and self._may_be_renamed:
            found = next(self._renamed(model_id, experiments()), None)
        if found is not None:
            self._remember(model_id, found)
        return found

    def _remember(self, model_id: str, place: Path) -> None:
        if len(self._paths) >= _PATHS_KEPT:
            self._paths.clear()
        self._paths.setdefault(model_id, place)

    def _renamed(self, model_id: str, experiments: Iterable[Path]) -> Iterator[Path]:
        for experiment in experiments:
            for name, path in logged_model_directories(experiment):
                try:
                    value = load_mlflow(self._base, path / LOGGED_MODEL_FILE)
                    found = logged_model_id(value, name)
                except (DirectoryError, Malformed):
                    continue  # listing them reports it
                if found == model_id:
                    yield path
