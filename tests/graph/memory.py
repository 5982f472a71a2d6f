"""An endpoint in memory: the planner's and the tasks' own seam, with the rules of a real server.

It keeps MLflow's rules that the plan depends on: names are taken by the trash too, what is in the
trash takes no writes, the trash holds an experiment with all its runs, params never change.
"""

from __future__ import annotations

import builtins
import dataclasses
import io
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from migrate.endpoints.answers import (
    NOT_TOLD,
    Capabilities,
    Copy,
    Ended,
    Histories,
    PermissionsWritten,
)
from migrate.endpoints.one_writer import OneWriter
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.endpoints.tracking.capabilities import FOUND_BY
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import (
    ACTIVE,
    DELETED,
    Artifact,
    ArtifactRoot,
    Experiment,
    LoggedModel,
    Loss,
    Metric,
    ModelLinks,
    ModelVersion,
    Permissions,
    RegisteredModel,
    Run,
)
from migrate.origins import MARK, ORIGIN, losses_from_tags
from migrate.tasks.carriers import CARRIERS
from tests.graph.memory_models import (
    MemoryLoggedModels,
    MemoryModelLinks,
    MemoryModelVersions,
    MemoryRegisteredModels,
)

#: All kinds that a server of MLflow 3 has and that are copied.
KINDS = frozenset(carrier.kind for carrier in CARRIERS)


#: The capabilities of an endpoint that keeps all as it is, like an export directory.
ARCHIVE: Mapping[str, Any] = {
    "found_by": ALL_KEPT,
    "bookkeeping": Bookkeeping.SIDECAR,
    "archive": True,
}


class MemoryServer:
    """A ``Target``. ``writes`` names every call that changed something, in order."""

    def __init__(self, name: str = "memory", **capabilities: Any) -> None:
        fields: dict[str, Any] = {
            "description": f"MLflow at {name}",
            "version": "3.17.2",
            "identity": name,
            "readable": KINDS,
            "writable": KINDS,
            "found_by": FOUND_BY,
            "param_length": 6000,
            "run_tag_length": 8000,
            "experiment_tag_length": 5000,
            "metric_key_length": 250,
        }
        self._capabilities = Capabilities(**fields | capabilities)
        self.numbers = itertools.count(1000)
        self.experiments_held: dict[str, Experiment] = {}
        self.runs_held: dict[str, Run] = {}
        self.points: dict[str, list[Metric]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.logged_held: dict[str, LoggedModel] = {}
        self.links_held: dict[str, ModelLinks] = {}
        self.registered_held: dict[str, RegisteredModel] = {}
        self.versions_held: dict[tuple[str, int], ModelVersion] = {}
        #: The highest number ever given to a version, by name.
        self.highest: dict[str, int] = {}
        #: What is there and not copied, by experiment.
        self.traces: set[str] = set()
        self.writes: list[str] = []
        self.experiments = MemoryExperiments(self)
        self.runs = MemoryRuns(self)
        self.logged_models = MemoryLoggedModels(self)
        self.model_links = MemoryModelLinks(self)
        self.registered_models = MemoryRegisteredModels(self)
        self.model_versions = MemoryModelVersions(self)
        self.artifacts = MemoryArtifacts(self)
        self.permissions = NoPermissions()
        self.unreadable = UnreadableObjects()
        self.writers = OneWriter()

    def capabilities(self) -> Capabilities:
        return self._capabilities

    def store(self, kind: Kind) -> Store[Any] | None:
        return None

    def unknown(self) -> Sequence[str]:
        return ()

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        return {Kind.TRACE: -1} if self.traces & set(experiment_ids) else {}

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        raise NotFound("no notebooks")

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        pass

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        pass

    def claim(self) -> None:
        pass

    def withdraw(self) -> None:
        pass

    def before_creating(self, call: Callable[[], None] | None) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryExperiments:
    """Its experiments."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def list(self) -> Iterator[Experiment]:
        yield from builtins.list(self._server.experiments_held.values())

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        held = self._server.experiments_held
        return [held[ident] for ident in ids if ident in held]

    def create(self, experiment: Experiment) -> str:
        held = self._server.experiments_held
        if any(there.name == experiment.name for there in held.values()):
            raise AlreadyExists(f"experiment {experiment.name!r} exists")
        ident = str(next(self._server.numbers))
        held[ident] = dataclasses.replace(experiment, experiment_id=ident, lifecycle_stage=ACTIVE)
        self._server.writes.append("create_experiment")
        return ident

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        held = self.active(experiment_id)
        self._change(held, "set_experiment_tags", tags={**held.tags, **tags})
        return ()

    def remove_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        held = self.active(experiment_id)
        left = {key: text for key, text in held.tags.items() if key not in keys}
        self._change(held, "remove_experiment_tags", tags=left)

    def rename(self, experiment_id: str, name: str) -> None:
        self._change(self.active(experiment_id), "rename_experiment", name=name)

    def delete(self, experiment_id: str) -> None:
        self._move(experiment_id, DELETED, "delete_experiment")

    def restore(self, experiment_id: str) -> None:
        self._move(experiment_id, ACTIVE, "restore_experiment")

    def active(self, experiment_id: str) -> Experiment:
        held = self._server.experiments_held[experiment_id]
        if held.lifecycle_stage == DELETED:
            raise Refused(f"experiment {experiment_id} must be active")
        return held

    def _change(self, held: Experiment, word: str, **changes: Any) -> None:
        changed = dataclasses.replace(held, **changes)
        self._server.experiments_held[held.experiment_id] = changed
        self._server.writes.append(word)

    def _move(self, experiment_id: str, stage: str, word: str) -> None:
        held = self._server.experiments_held[experiment_id]
        self._change(held, word, lifecycle_stage=stage)
        for run in self._server.runs.list([experiment_id]):
            moved = dataclasses.replace(run, lifecycle_stage=stage)
            self._server.runs_held[run.run_id] = moved


class MemoryRuns:
    """Its runs."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def list(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        wanted = set(experiment_ids)
        held = self._server.runs_held
        yield from [run for run in held.values() if run.experiment_id in wanted]

    def read(self, ids: Sequence[str]) -> Sequence[Run]:
        held = self._server.runs_held
        return [held[run_id] for run_id in ids if run_id in held]

    def read_in(self, experiment_id: str, run_ids: Sequence[str]) -> Sequence[Run]:
        return [run for run in self.read(run_ids) if run.experiment_id == experiment_id]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        read: dict[str, Histories] = {}
        held = 0
        for run in runs:
            points = self._server.points.get(run.run_id, [])
            held += len(points)
            if read and held > budget:
                break
            read[run.run_id] = Histories()
            for key in dict.fromkeys(point.key for point in points):
                of_key = [point for point in points if point.key == key]
                if len(read[run.run_id].points) + len(of_key) > budget:
                    read[run.run_id].unread.append(key)
                else:
                    read[run.run_id].points += of_key
        return read

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        points = [point for point in self._server.points[run_id] if point.key == key]
        for start in range(0, len(points), 2):
            yield points[start : start + 2]

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, builtins.list[Copy]]:
        found: dict[str, builtins.list[Copy]] = {}
        for run in self.list([experiment_id]):
            origin = run.tags.get(ORIGIN)
            if origin is not None and (origins is None or origin in origins):
                mark = run.tags.get(MARK, "")
                copy = Copy(
                    origin=origin,
                    target_id=run.run_id,
                    mark=mark,
                    lifecycle_stage=run.lifecycle_stage,
                    losses=losses_from_tags(run.tags),
                )
                found.setdefault(origin, []).append(copy)
        for copies in found.values():
            copies.sort(key=lambda copy: (not copy.mark, copy.target_id))
        return found

    def create(self, experiment_id: str, run: Run, *, anew: bool = False) -> MemoryWriter:
        self._server.experiments.active(experiment_id)
        run_id = f"copy-{next(self._server.numbers)}"
        self._server.runs_held[run_id] = Run(
            run_id=run_id,
            experiment_id=experiment_id,
            name=run.name or "given-by-server",
            user_id=run.user_id,
            status="RUNNING",
            start_time=run.start_time,
            end_time=None,
            artifact_uri=f"memory:/{run_id}",
            tags=dict(run.tags),
        )
        self._server.writes.append("create_run")
        return MemoryWriter(self._server, run_id)

    def adopt(self, experiment_id: str, copy: Run, run: Run) -> MemoryWriter:
        if copy.lifecycle_stage == DELETED:
            self.restore([copy.run_id])
        writer = MemoryWriter(self._server, copy.run_id)
        writer.write_tags({k: v for k, v in run.tags.items() if copy.tags.get(k) != v})
        return writer

    def restore(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.change(run_id, "restore_runs", lifecycle_stage=ACTIVE)

    @contextmanager
    def restored(self, run_id: str) -> Iterator[None]:
        for stage in (ACTIVE, DELETED):
            self.change(run_id, "open_run", lifecycle_stage=stage)
            if stage == ACTIVE:
                yield

    def change(self, run_id: str, word: str, **changes: Any) -> None:
        held = self._server.runs_held
        held[run_id] = dataclasses.replace(held[run_id], **changes)
        self._server.writes.append(word)


class MemoryArtifacts:
    """Its files."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    @property
    def transferred(self) -> int:
        files = self._server.files.values()
        return sum(len(data) for held in files for data in held.values())

    def list(self, root: ArtifactRoot) -> Sequence[Artifact]:
        held = self._server.files.get(root.owner.id, {})
        return [Artifact(path, len(data)) for path, data in sorted(held.items())]

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        return {}

    def location(self, root: ArtifactRoot) -> str:
        return root.uri

    @contextmanager
    def open(self, root: ArtifactRoot, artifact: Artifact) -> Iterator[BinaryIO]:
        held = self._server.files.get(root.owner.id, {})
        if artifact.path not in held:
            raise NotFound(f"no file {artifact.path}")
        yield io.BytesIO(held[artifact.path])

    def put(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        self._server.files.setdefault(root.owner.id, {})[artifact.path] = stream.read()
        self._server.writes.append("put_artifact")


class NoPermissions:
    """Its permissions: there are none."""

    def read(self, ref: Ref) -> Permissions:
        return Permissions()

    def look_up(self, users: Collection[str]) -> None:
        pass

    def beside(self, ref: Ref) -> Sequence[str]:
        return ()

    def write(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        return PermissionsWritten()


class MemoryWriter:
    """A ``RunWriter`` that buffers nothing."""

    def __init__(self, server: MemoryServer, run_id: str) -> None:
        self._server = server
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        return self._run_id

    @property
    def root(self) -> ArtifactRoot:
        return ArtifactRoot(Ref(Kind.RUN, self._run_id), f"memory:/{self._run_id}")

    @property
    def _run(self) -> Run:
        return self._server.runs_held[self._run_id]

    def write_tags(self, tags: Mapping[str, str]) -> None:
        if tags:
            self._server.runs.change(self._run_id, "write_tags", tags={**self._run.tags, **tags})

    def remove_tags(self, keys: Sequence[str]) -> None:
        left = {key: text for key, text in self._run.tags.items() if key not in keys}
        self._server.runs.change(self._run_id, "remove_tags", tags=left)

    def write_params(self, params: Mapping[str, str]) -> None:
        there = self._run.params
        if any(there.get(key, value) != value for key, value in params.items()):
            raise Refused("params never change")
        if params.items() - there.items():
            self._server.runs.change(self._run_id, "write_params", params={**there, **params})

    def write_metrics(self, points: Iterable[Metric]) -> None:
        held = self._server.points.setdefault(self._run_id, [])
        new = [point for point in points if repr(point) not in set(map(repr, held))]
        if new:
            held += new
            latest = {p.key: p for p in sorted(held, key=lambda p: (p.step, p.timestamp))}
            metrics = tuple(latest.values())
            self._server.runs.change(self._run_id, "write_metrics", latest_metrics=metrics)

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        self._server.runs.change(self._run_id, "write_inputs", inputs=tuple(inputs))

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        self.write_tags({MARK: mark})
        self._server.runs.change(
            self._run_id,
            "finish",
            status=run.status,
            end_time=run.end_time,
            name=run.name or self._run.name,
            lifecycle_stage=run.lifecycle_stage,
        )
        return ()

    def abandon(self) -> None:
        pass
