"""What was requested of an export, in the words that mlflow-export-import has for it. Pure.

Its files tell people with which options they were written; no importer reads that. Ours tell the
options of the last export into the directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.objects import STAGES, readable_time

_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The options of an export: those of its plan, and the directory it goes to."""

    directory: Path
    options: Mapping[str, object]

    def of_experiments(self, base: Path) -> dict[str, Any]:
        """Return ``info.options`` of experiments.json, which is in ``base``."""
        return {
            "experiments": self._chosen("experiments", instead="models"),
            "output_dir": str(base),
            "export_permissions": self._flag("permissions"),
            "run_start_time": self._time("run_start_time"),
            "runs_until": self._time("runs_until"),
            "export_deleted_runs": self._flag("include_deleted"),
            "notebook_formats": self._texts("notebook_formats"),
            "use_threads": self._flag("use_threads"),
        }

    def of_models(self, folder: Path) -> dict[str, Any]:
        """Return what ``info`` of models.json, which is in ``folder``, says of the options."""
        return {
            "stages": self._stages(),
            "export_latest_versions": self._flag("export_latest_versions"),
            "notebook_formats": self._texts("notebook_formats"),
            "use_threads": self._flag("use_threads"),
            "output_dir": str(folder),
        }

    def of_versions(self) -> dict[str, Any]:
        """Return what ``info`` of a model.json says of the options."""
        return {
            "num_target_stages": len(self._texts("stages")),
            "num_target_versions": 0,
            "export_latest_versions": self._flag("export_latest_versions"),
            "export_permissions": self._flag("permissions"),
        }

    def of_all(self) -> dict[str, Any]:
        """Return what ``info`` of manifest.json says of the options.

        export-models tells them there, export-all in ``options``; ours does both.
        """
        options = {
            **self.of_models(self.directory),
            "export_all_runs": self._all_runs(),
            "export_permissions": self._flag("permissions"),
            "export_deleted_runs": self._flag("include_deleted"),
            "export_version_model": self._flag("export_version_model"),
            "run_start_time": self._time("run_start_time"),
            "runs_until": self._time("runs_until"),
        }
        return {
            "model_names": self._chosen("models", instead="experiments"),
            **options,
            "options": options,
        }

    def _chosen(self, name: str, *, instead: str) -> list[str] | str:
        """Return the names that were chosen; all, where the choice was not of the others."""
        return self._texts(name) or ([] if self._texts(instead) else _ALL)

    def _all_runs(self) -> bool:
        """Without a choice of models, every run is exported."""
        return self._flag("export_all_runs") or not self._texts("models")

    def _stages(self) -> str:
        return ",".join(self._texts("stages") or STAGES)

    def _texts(self, name: str) -> list[str]:
        value = self.options.get(name)
        return [str(item) for item in value] if isinstance(value, list | tuple) else []

    def _flag(self, name: str) -> bool:
        return bool(self.options.get(name))

    def _time(self, name: str) -> str | None:
        value = self.options.get(name)
        return readable_time(value) if isinstance(value, int) else None
