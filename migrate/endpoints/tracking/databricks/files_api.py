"""Databricks' Files API: files of versions and of volumes, streamed through the workspace."""

from __future__ import annotations

import os
import posixpath
import shutil
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from migrate.endpoints.shapes import count, flag, objects, required_text
from migrate.endpoints.tracking.http.session import HttpSession

FILES = "/api/2.0/fs"


class Listed(NamedTuple):
    """A file or folder as MLflow's repositories list them."""

    path: str
    is_dir: bool
    file_size: int | None


class FilesApi:
    """Files below a path such as ``/Models/...`` or ``/Volumes/...``, as MLflow's repositories."""

    def __init__(self, http: HttpSession, root: str) -> None:
        self._http = http
        self._root = root.rstrip("/")

    def list_artifacts(self, folder: str | None) -> list[Listed]:
        """Return what is in a folder."""
        place = posixpath.join(self._root, folder) if folder else self._root
        pages = self._http.get_pages(f"{FILES}/directories{quote(place)}", {})
        return [
            Listed(
                posixpath.relpath(required_text(item, "path"), self._root),
                flag(item, "is_directory"),
                count(item, "file_size"),
            )
            for page in pages
            for item in objects(page, "contents")
        ]

    def download_artifacts(self, path: str, dst_path: str) -> str:
        """Read one file into a folder; return where it is."""
        local = Path(dst_path) / posixpath.basename(path)
        with self._http.stream(self._url(path)) as response, local.open("wb") as file:
            response.raw.decode_content = True
            shutil.copyfileobj(response.raw, file)
        return str(local)

    def log_artifacts(self, local_dir: str, artifact_path: str) -> None:
        """Write all files of a folder, over those there."""
        for place, _, names in os.walk(local_dir):
            for name in names:
                local = Path(place) / name
                below = local.relative_to(local_dir).parent.as_posix()
                self.log_artifact(
                    str(local), posixpath.normpath(posixpath.join(artifact_path, below))
                )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Write one file into a folder, over one there."""
        local = Path(local_file)
        path = posixpath.join(artifact_path or "", local.name)
        with local.open("rb") as stream:
            size = local.stat().st_size
            url = f"{self._url(path)}?overwrite=true"
            self._http.put(url, stream, size, f"artifact {path!r}")

    def _url(self, path: str) -> str:
        return f"{FILES}/files{quote(posixpath.join(self._root, path))}"
