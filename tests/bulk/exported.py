"""Reads what an export directory holds, by code that shares nothing with ``migrate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Exported:
    """An export directory; what is listed nowhere but lies in it counts as well."""

    path: Path

    @property
    def runs(self) -> dict[str, set[str]]:
        """Name of every experiment -> names of its runs."""
        return {
            record["experiment"]["name"]: {
                run["info"]["run_name"] for _, run in _records(place, "runs/*/run.json")
            }
            for place, record in _records(self.path, "**/experiment.json")
        }

    @property
    def run_names(self) -> set[str]:
        """Names of all runs."""
        return {name for names in self.runs.values() for name in names}

    def run(self, name: str) -> dict[str, Any]:
        """What is written of the run of this name."""
        (found,) = (
            run
            for _, run in _records(self.path, "**/runs/*/run.json")
            if run["info"]["run_name"] == name
        )
        return found

    @property
    def deleted(self) -> set[str]:
        """Names of the experiments and runs that are marked as deleted."""
        found = [run["info"] for _, run in _records(self.path, "**/runs/*/run.json")]
        found += [row["experiment"] for _, row in _records(self.path, "**/experiment.json")]
        return {
            info.get("run_name", info.get("name", ""))
            for info in found
            if info["lifecycle_stage"] == "deleted"
        }

    @property
    def versions(self) -> dict[str, list[int]]:
        """Name of every registered model -> numbers of its versions."""
        found: dict[str, list[int]] = {}
        for place, record in _records(self.path, "models/*/model.json"):
            rows = [row["model_version"] for _, row in _records(place, "versions/*.json")]
            found[record["registered_model"]["name"]] = sorted(int(row["version"]) for row in rows)
        return found

    @property
    def prompts(self) -> dict[str, list[int]]:
        """Name of every prompt -> numbers of its versions."""
        found: dict[str, list[int]] = {}
        for _, row in _records(self.path, "prompts/*/prompt.json"):
            found.setdefault(row["prompt"]["name"], []).append(row["prompt"]["version"])
        return {name: sorted(numbers) for name, numbers in found.items()}

    @property
    def logged_models(self) -> set[str]:
        """Names of all logged models."""
        found = _records(self.path, "**/logged_models/*/logged_model.json")
        return {record["name"] for _, record in found}


def _records(path: Path, pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The directory and the ``mlflow`` member of every file that fits; nothing half-made."""
    for file in sorted(path.glob(pattern)):
        if not any(part.startswith(".") for part in file.relative_to(path).parts):
            yield file.parent, json.loads(file.read_text(encoding="utf-8"))["mlflow"]
