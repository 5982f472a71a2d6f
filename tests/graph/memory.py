"""An endpoint in memory: the planner's and the tasks' own seam, with the rules of a real server.

It keeps MLflow's rules that the plan depends on: names are taken by the trash too, what is in the
trash takes no writes, the trash holds an experiment with all its runs, params never change.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Copy, Ended, Histories, Unreadable
from migrate.endpoints.stores import ALL_KEPT, Bookkeeping, Store
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import ACTIVE, DELETED, Artifact, ArtifactRoot, Experiment, Loss, Metric, Run
from migrate.origins import MARK, ORIGIN
from migrate.tasks.carriers import CARRIERS
from tests.graph.memory_models import MemoryModels

#: All kinds that a server of MLflow 3 has and that are copied.
KINDS = frozenset(carrier.kind for carrier in CARRIERS)


#: The capabilities of an endpoint that keeps all as it is, like an export directory.
ARCHIVE: Mapping[str, Any] = {
    "found_by": ALL_KEPT,
    "bookkeeping": Bookkeeping.SIDECAR,
    "archive": True,
}


class MemoryServer(MemoryModels):
    """A ``Target``. ``writes`` names every call that changed something, in order."""

    def __init__(self, name: str = "memory", **capabilities: Any) -> None:
        super().__init__()
        fields: dict[str, Any] = {
            "description": f"MLflow at {name}",
            "version": "3.17.2",
            "identity": name,
            "readable": KINDS,
            "writable": KINDS,
            "param_length": 6000,
            "run_tag_length": 8000,
            "experiment_tag_length": 5000,
            "metric_key_length": 250,
        }
        self._capabilities = Capabilities(**fields | capabilities)
        self._numbers = itertools.count(1000)
        self.experiments_held: dict[str, Experiment] = {}
        self.runs_held: dict[str, Run] = {}
        self.points: dict[str, list[Metric]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        #: What is there and not copied, by experiment.
        self.traces: set[str] = set()
        self.writes: list[str] = []

    def capabilities(self) -> Capabilities:
        return self._capabilities

    def store(self, kind: Kind) -> Store[Any] | None:
        return None

    def unknown(self) -> Sequence[str]:
        return ()

    def transferred(self) -> int:
        return sum(len(data) for held in self.files.values() for data in held.values())

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        pass

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        pass

    def claim(self) -> None:
        pass

    def withdraw(self) -> None:
        pass

    def writers(self) -> Mapping[str, str]:
        return {}

    def say_writing(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        return False

    def stop_saying(self, migration_id: str) -> None:
        pass

    def before_creating(self, call: Callable[[], None] | None) -> None:
        pass

    def close(self) -> None:
        pass

    # -- reads ------------------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        yield from list(self.experiments_held.values())

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        return {Kind.TRACE: -1} if self.traces & set(experiment_ids) else {}

    def unreadable(self) -> Sequence[Unreadable]:
        return ()

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        return None

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        held = self.experiments_held
        return [held[ident] for ident in experiment_ids if ident in held]

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        wanted = set(experiment_ids)
        yield from [run for run in self.runs_held.values() if run.experiment_id in wanted]

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        found = [self.runs_held[run_id] for run_id in run_ids if run_id in self.runs_held]
        return [run for run in found if run.experiment_id == experiment_id]

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        read: dict[str, Histories] = {}
        held = 0
        for run in runs:
            points = self.points.get(run.run_id, [])
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
        points = [point for point in self.points[run_id] if point.key == key]
        for start in range(0, len(points), 2):
            yield points[start : start + 2]

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        held = self.files.get(root.owner.id, {})
        return [Artifact(path, len(data)) for path, data in sorted(held.items())]

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        return {}

    @contextmanager
    def open_artifact(self, root: ArtifactRoot, artifact: Artifact) -> Iterator[BinaryIO]:
        held = self.files.get(root.owner.id, {})
        if artifact.path not in held:
            raise NotFound(f"no file {artifact.path}")
        yield io.BytesIO(held[artifact.path])

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        found: dict[str, list[Copy]] = {}
        for run in self.runs([experiment_id]):
            origin = run.tags.get(ORIGIN)
            if origin is not None and (origins is None or origin in origins):
                mark = run.tags.get(MARK, "")
                copy = Copy(
                    origin=origin,
                    target_id=run.run_id,
                    mark=mark,
                    lifecycle_stage=run.lifecycle_stage,
                )
                found.setdefault(origin, []).append(copy)
        for copies in found.values():
            copies.sort(key=lambda copy: (not copy.mark, copy.target_id))
        return found

    # -- writes -----------------------------------------------------------------------------

    def create_experiment(self, experiment: Experiment) -> str:
        if any(held.name == experiment.name for held in self.experiments_held.values()):
            raise AlreadyExists(f"experiment {experiment.name!r} exists")
        ident = str(next(self._numbers))
        self.experiments_held[ident] = dataclasses.replace(
            experiment, experiment_id=ident, lifecycle_stage=ACTIVE
        )
        self.writes.append("create_experiment")
        return ident

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        held = self._active_experiment(experiment_id)
        self._change_experiment(held, "set_experiment_tags", tags={**held.tags, **tags})
        return ()

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        held = self._active_experiment(experiment_id)
        self._change_experiment(held, "rename_experiment", name=name)

    def delete_experiment(self, experiment_id: str) -> None:
        self._move(experiment_id, DELETED, "delete_experiment")

    def restore_experiment(self, experiment_id: str) -> None:
        self._move(experiment_id, ACTIVE, "restore_experiment")

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> MemoryWriter:
        self._active_experiment(experiment_id)
        run_id = f"copy-{next(self._numbers)}"
        self.runs_held[run_id] = Run(
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
        self.writes.append("create_run")
        return MemoryWriter(self, run_id)

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> MemoryWriter:
        if copy.lifecycle_stage == DELETED:
            self.restore_runs([copy.run_id])
        writer = MemoryWriter(self, copy.run_id)
        writer.write_tags({k: v for k, v in run.tags.items() if copy.tags.get(k) != v})
        return writer

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.change_run(run_id, "restore_runs", lifecycle_stage=ACTIVE)

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        self.files.setdefault(root.owner.id, {})[artifact.path] = stream.read()
        self.writes.append("put_artifact")

    def change_run(self, run_id: str, word: str, **changes: Any) -> None:
        self.runs_held[run_id] = dataclasses.replace(self.runs_held[run_id], **changes)
        self.writes.append(word)

    def _active_experiment(self, experiment_id: str) -> Experiment:
        held = self.experiments_held[experiment_id]
        if held.lifecycle_stage == DELETED:
            raise Refused(f"experiment {experiment_id} must be active")
        return held

    def _change_experiment(self, held: Experiment, word: str, **changes: Any) -> None:
        self.experiments_held[held.experiment_id] = dataclasses.replace(held, **changes)
        self.writes.append(word)

    def _move(self, experiment_id: str, stage: str, word: str) -> None:
        self._change_experiment(self.experiments_held[experiment_id], word, lifecycle_stage=stage)
        for run in self.runs([experiment_id]):
            self.runs_held[run.run_id] = dataclasses.replace(run, lifecycle_stage=stage)


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
            self._server.change_run(self._run_id, "write_tags", tags={**self._run.tags, **tags})

    def write_params(self, params: Mapping[str, str]) -> None:
        there = self._run.params
        if any(there.get(key, value) != value for key, value in params.items()):
            raise Refused("params never change")
        if params.items() - there.items():
            self._server.change_run(self._run_id, "write_params", params={**there, **params})

    def write_metrics(self, points: Iterable[Metric]) -> None:
        held = self._server.points.setdefault(self._run_id, [])
        new = [point for point in points if repr(point) not in set(map(repr, held))]
        if new:
            held += new
            latest = {p.key: p for p in sorted(held, key=lambda p: (p.step, p.timestamp))}
            metrics = tuple(latest.values())
            self._server.change_run(self._run_id, "write_metrics", latest_metrics=metrics)

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        self._server.change_run(self._run_id, "write_inputs", inputs=tuple(inputs))

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        self.write_tags({MARK: mark})
        self._server.change_run(
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
