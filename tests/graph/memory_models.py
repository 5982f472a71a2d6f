"""The model registry and the logged models of an endpoint in memory, with the rules of a server.

Kept are those that the plan and the tasks depend on: a registry gives the numbers of versions
itself and never gives one again; its names are taken once; an alias points to one version; no
search finds a deleted logged model, its id does.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from migrate.endpoints.answers import Copy
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.kinds import Ref
from migrate.objects import (
    ACTIVE,
    DELETED,
    NO_RUN,
    NO_STAGE,
    ArtifactRoot,
    LoggedModel,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    RegisteredModel,
    VersionRun,
)
from migrate.origins import MARK, ORIGIN, losses_from_tags
from migrate.outcomes import Loss

if TYPE_CHECKING:
    from tests.graph.memory import MemoryServer


class MemoryLoggedModels:
    """The logged models of a ``MemoryServer``."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def list(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        wanted = set(experiment_ids)
        held = self._server.logged_held.values()
        models = [model for model in held if model.experiment_id in wanted]
        yield from [model for model in models if model.lifecycle_stage == ACTIVE]

    def read(self, ids: Sequence[str]) -> Sequence[LoggedModel]:
        held = self._server.logged_held
        return [held[ident] for ident in ids if ident in held]

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        model_id = f"m-copy-{next(self._server.numbers)}"
        made = dataclasses.replace(
            model,
            model_id=model_id,
            experiment_id=experiment_id,
            status="PENDING",
            lifecycle_stage=ACTIVE,
            artifact_uri=f"memory:/{experiment_id}/models/{model_id}",
            metrics=(),
        )
        self._server.logged_held[model_id] = made
        self._server.writes.append("create_logged_model")
        return made

    def find(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> Mapping[str, builtins.list[Copy]]:
        found: dict[str, builtins.list[Copy]] = {}
        for model in self._server.logged_held.values():
            origin = model.tags.get(ORIGIN)
            if model.experiment_id != experiment_id or origin is None:
                continue
            if origins is None or origin in origins:
                copy = Copy(
                    origin=origin,
                    target_id=model.model_id,
                    mark=model.tags.get(MARK, ""),
                    lifecycle_stage=model.lifecycle_stage,
                    losses=losses_from_tags(model.tags),
                )
                found.setdefault(origin, []).append(copy)
        for copies in found.values():
            copies.sort(key=lambda copy: (not copy.mark, copy.target_id))
        return found

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        held = self._server.logged_held[model_id]
        new = [metric for metric in metrics if repr(metric) not in set(map(repr, held.metrics))]
        _require_active(self._server, *(metric.run_id for metric in new))
        if new:
            self._change(held, "log_model_metrics", metrics=(*held.metrics, *new))
        return ()

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        held = self._server.logged_held[copy.model_id]
        tags = {**_tags(held.tags, copy.tags, model.tags), MARK: mark}
        self._change(held, "finish_logged_model", status=model.status, tags=tags)
        return ()

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        held = self._server.logged_held[model_id]
        self._change(held, "delete_logged_model", lifecycle_stage=DELETED)

    def _change(self, held: LoggedModel, word: str, **changes: object) -> None:
        changed = dataclasses.replace(held, **changes)  # type: ignore[arg-type]
        self._server.logged_held[held.model_id] = changed
        self._server.writes.append(word)


class MemoryModelLinks:
    """Which logged models the runs of a ``MemoryServer`` name."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def read(self, run_ids: Sequence[str]) -> Mapping[str, ModelLinks]:
        links = self._server.links_held
        there = (run_id for run_id in run_ids if run_id in self._server.runs_held)
        return {run_id: links.get(run_id, ModelLinks()) for run_id in there}

    def write(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        _require_active(self._server, run_id)
        held = self._server.links_held.get(run_id, ModelLinks())
        if {it.model_id for it in held.outputs} & {it.model_id for it in links.outputs}:
            raise Refused(f"run {run_id} names this model already")
        inputs = tuple(dict.fromkeys((*held.inputs, *links.inputs)))
        self._server.links_held[run_id] = ModelLinks(inputs, (*held.outputs, *links.outputs))
        self._server.writes.append("link_model")
        return ()


class MemoryRegisteredModels:
    """The registered models and prompts of a ``MemoryServer``."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        held = self._server.registered_held
        chosen = held if names is None else dict.fromkeys(names)
        yield from [held[name] for name in chosen if name in held]

    def create(self, model: RegisteredModel) -> None:
        if model.name in self._server.registered_held:
            raise AlreadyExists(f"registered model {model.name!r} exists")
        self._server.registered_held[model.name] = dataclasses.replace(model, aliases={})
        self._server.highest[model.name] = 0
        self._server.writes.append("create_registered_model")

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> Sequence[Loss]:
        held = self._server.registered_held.get(copy.name)
        if held is None:
            raise NotFound(f"no registered model {copy.name!r}")
        tags = _tags(held.tags, copy.tags, model.tags)
        changed = dataclasses.replace(held, description=model.description, tags=tags)
        self._server.registered_held[copy.name] = changed
        self._server.writes.append("update_registered_model")
        return ()

    def delete(self, name: str) -> None:
        self._server.registered_held.pop(name, None)
        for key in [key for key in self._server.versions_held if key[0] == name]:
            del self._server.versions_held[key]
        self._server.writes.append("delete_registered_model")


class MemoryModelVersions:
    """The versions of a ``MemoryServer``."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        for model in models:
            yield from [
                self._with_aliases(version)
                for (name, _), version in sorted(self._server.versions_held.items())
                if name == model.name
            ]

    def read(self, ref: Ref) -> ModelVersion | None:
        name, _, number = ref.id.rpartition("/")
        version = self._server.versions_held.get((name, int(number)))
        return None if version is None else self._with_aliases(version)

    def files(self, ref: Ref) -> ArtifactRoot | None:
        version = self.read(ref)
        if version is None:
            raise NotFound(f"no {ref}")
        return ArtifactRoot(ref, version.source)

    def run_of(self, version: ModelVersion) -> VersionRun:
        run = self._server.runs_held.get(version.run_id)
        if run is None:
            return NO_RUN
        experiment = self._server.experiments_held[run.experiment_id]
        return VersionRun(run.artifact_uri, experiment.name)

    def create(self, version: ModelVersion) -> int:
        if version.name not in self._server.registered_held:
            raise NotFound(f"no registered model {version.name!r}")
        number = self._server.highest[version.name] = self._server.highest[version.name] + 1
        self._server.versions_held[version.name, number] = dataclasses.replace(
            version,
            version=number,
            kind=self._server.registered_held[version.name].version_kind,
            stage=NO_STAGE,
            aliases=(),
        )
        self._server.writes.append("create_model_version")
        return number

    def update(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        key = (copy.name, copy.version)
        held = self._server.versions_held.get(key)
        if held is None:
            raise NotFound(f"no {copy.ref}")
        model = self._server.registered_held[copy.name]
        aliases = {**model.aliases, **dict.fromkeys(version.aliases, copy.version)}
        self._server.registered_held[copy.name] = dataclasses.replace(model, aliases=aliases)
        self._server.versions_held[key] = dataclasses.replace(
            held,
            description=version.description,
            stage=version.stage,
            tags=_tags(held.tags, copy.tags, version.tags),
        )
        self._server.writes.append("update_model_version")
        return ()

    def delete(self, version: ModelVersion) -> None:
        self._server.versions_held.pop((version.name, version.version), None)
        self._server.writes.append("delete_model_version")

    def _with_aliases(self, version: ModelVersion) -> ModelVersion:
        aliases = self._server.registered_held[version.name].aliases
        mine = tuple(sorted(alias for alias, held in aliases.items() if held == version.version))
        return dataclasses.replace(version, aliases=mine)


def _tags(
    held: Mapping[str, str], copy: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags of a copy without those that it has too much."""
    surplus = copy.keys() - wanted.keys()
    return {**{key: text for key, text in held.items() if key not in surplus}, **wanted}


def _require_active(server: MemoryServer, *run_ids: str) -> None:
    for run_id in run_ids:
        if server.runs_held[run_id].lifecycle_stage == DELETED:
            raise Refused(f"run {run_id} must be active")
