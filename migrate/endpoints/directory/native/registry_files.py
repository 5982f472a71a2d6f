"""Files of a registry: a model's record, and directories that go in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrate.endpoints.directory.native.envelope import system_block
from migrate.endpoints.directory.native.kept_permissions import PERMISSIONS, with_permissions
from migrate.endpoints.disk import sync, write_object, writing


def write_model(path: Path, value: Mapping[str, Any], existing: Mapping[str, Any]) -> None:
    """Write a model's record in place of the one that is there, whose permissions stay."""
    value = with_permissions({**value, "versions": []}, existing.get(PERMISSIONS))
    content = {"registered_model": value}
    write_object(path, {"system": system_block(), "info": {}, "mlflow": content})


def remove_directory(path: Path) -> None:
    """Remove a directory in one step, as far as a reader can tell."""
    gone = path.with_name(f".{path.name}.replaced")
    with writing(path):
        if path.exists():
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(path, gone)
            sync(path.parent)
        shutil.rmtree(gone, ignore_errors=True)
