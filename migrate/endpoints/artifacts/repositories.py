"""MLflow's artifact repositories, which reach clouds: with the keys of one side.

They, and the libraries of clouds, read keys and addresses from the environment of the process, at
every call, and share clients that others made (``_cached_get_s3_client`` of 3.17.2 knows them by
address, not by keys). So two sides cannot have keys of their own in one process: a side that has
some, ``MIGRATE_SOURCE_AWS_ACCESS_KEY_ID`` and the like, has its repositories work in processes of
its own, whose environment holds no others of that cloud.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from migrate.endpoints.artifacts.cloud_faults import may_pass
from migrate.endpoints.artifacts.locations import CLOUDS
from migrate.endpoints.failures import says_full
from migrate.endpoints.importing import IMPORTING
from migrate.errors import EndpointError, MigrateError, NotFound, StorageFull, Unavailable
from migrate.redaction import cut

#: Beginnings of the variables by which each cloud is reached.
_VARIABLES = {
    "AWS": ("AWS_", "MLFLOW_S3_", "MLFLOW_BOTO_", "MLFLOW_EXPERIMENTAL_S3_"),
    "Google": ("GOOGLE_", "CLOUDSDK_", "MLFLOW_GCS_"),
    "Azure": ("AZURE_",),
}
#: Of one side; each moves one file at a time, or lists one folder.
PROCESSES = 4


def cloud_of(variable: str) -> str:
    """Return the cloud that a variable of the environment is about, empty for any other."""
    clouds = (cloud for cloud, begins in _VARIABLES.items() if variable.startswith(begins))
    return next(clouds, "")


def environment_of(side: str, environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment in which a side's clouds are reached; None: in that of this process.

    A side that has one variable of a cloud for itself has none of those that both share, so that
    no half of one login is used with half of another. What is for servers is left out.
    """
    prefix = f"MIGRATE_{side.upper()}_"
    own = {
        name.removeprefix(prefix): value
        for name, value in environment.items()
        if name.startswith(prefix) and cloud_of(name.removeprefix(prefix))
    }
    if not own:
        return None
    taken = {cloud_of(name) for name in own}
    shared = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("MIGRATE_", "MLFLOW_TRACKING_")) and cloud_of(name) not in taken
    }
    return shared | own


class Entry(NamedTuple):
    """A file or folder, as MLflow's ``FileInfo``."""

    path: str
    is_dir: bool
    file_size: int | None


class Repositories:
    """Makes the repositories of one side; several threads may use it."""

    def __init__(self, side: str, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment_of(side, environment)
        self._starting = threading.Lock()
        self._processes: ProcessPoolExecutor | None = None

    def repository(self, uri: str, tracking_uri: str) -> Any:
        """Return MLflow's repository for ``uri``, or one that has it work in another process."""
        if self._environment is None or urlsplit(uri).scheme not in CLOUDS:
            return _mlflows(uri, tracking_uri)
        return _Elsewhere(self, uri, tracking_uri)

    def call(self, uri: str, tracking_uri: str, method: str, *args: Any) -> Any:
        """Call a method of a repository in a process of this side. Raises errors of ours."""
        processes = self._started()
        try:
            return processes.submit(_call, uri, tracking_uri, method, *args).result()
        except BrokenProcessPool:
            with self._starting:
                if self._processes is processes:
                    self._processes = None
            raise Unavailable(f"{place_of(uri)}: the process that reaches it was ended") from None

    def close(self) -> None:
        """End the processes."""
        with self._starting:
            processes, self._processes = self._processes, None
        if processes is not None:
            processes.shutdown()

    def _started(self) -> ProcessPoolExecutor:
        with self._starting:
            if self._processes is None:
                self._processes = ProcessPoolExecutor(
                    PROCESSES,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=partial(_begin, self._environment or {}),
                )
            return self._processes


class _Elsewhere:
    """The methods of a repository that are used here, each called in another process."""

    def __init__(self, repositories: Repositories, uri: str, tracking_uri: str) -> None:
        self._repositories = repositories
        self._of = (uri, tracking_uri)

    def list_artifacts(self, path: str | None = None) -> list[Entry]:
        found = self._repositories.call(*self._of, "list_artifacts", path)
        return [Entry(*entry) for entry in found]

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        return str(
            self._repositories.call(*self._of, "download_artifacts", artifact_path, dst_path)
        )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        self._repositories.call(*self._of, "log_artifact", local_file, artifact_path)


def _begin(environment: Mapping[str, str]) -> None:
    """Begin a process: with one side's environment, and without a word of its own.

    An interrupt is for the parent, which waits for the file under way; it ends with the parent.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _call(uri: str, tracking_uri: str, method: str, *args: Any) -> Any:
    with translated(uri):
        found = getattr(_mlflows(uri, tracking_uri), method)(*args)
        if method == "list_artifacts":
            return [(entry.path, entry.is_dir, entry.file_size) for entry in found]
        return found


def _mlflows(uri: str, tracking_uri: str) -> Any:
    with IMPORTING:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn whatever a storage library raises into an error of ours that names the place."""
    try:
        yield
    except MigrateError:
        raise
    except OSError as problem:
        if problem.errno in (28, 122):
            raise StorageFull(f"no space left on this disk while copying {place_of(uri)}") from None
        raise Unavailable(f"{place_of(uri)}: {problem}") from None
    except Exception as problem:  # boto3, gcs, azure and MLflow share no base class
        code = getattr(problem, "error_code", "")
        text = f"{place_of(uri)}: {type(problem).__name__}: {cut(str(problem), 300)}"
        if says_full(str(problem)):
            raise StorageFull(text, "make room there, then go on") from None
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            raise NotFound(text) from None
        if may_pass(problem):
            raise Unavailable(text) from None
        raise EndpointError(
            text, f"is the library for {urlsplit(uri).scheme}: installed, and are its keys set?"
        ) from None


def place_of(uri: str) -> str:
    """Return a location without login and query, fit for messages."""
    try:
        parts = urlsplit(uri)
        host = f"//{parts.hostname}" if parts.hostname else ""
    except ValueError:
        return repr(uri)
    return f"{parts.scheme}:{host}{parts.path}" if parts.scheme else parts.path
