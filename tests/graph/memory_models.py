"""The model registry and the logged models of an endpoint in memory, with the rules of a server.

Kept are those that the plan and the tasks depend on: a registry gives the numbers of versions
itself and never gives one again; its names are taken once; an alias points to one version; no
search finds a deleted logged model, its id does.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from migrate.endpoints.answers import Copy
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.kinds import Ref
from migrate.objects import (
    ACTIVE,
    DELETED,
    NO_RUN,
    NO_STAGE,
    ArtifactRoot,
    Experiment,
    LoggedModel,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    RegisteredModel,
    Run,
    VersionRun,
)
from migrate.origins import MARK, ORIGIN, losses_from_tags
from migrate.outcomes import Loss


class MemoryModels:
    """The part of a ``MemoryServer`` that knows models and prompts."""

    experiments_held: dict[str, Experiment]
    runs_held: dict[str, Run]
    writes: list[str]
    _numbers: itertools.count[int]

    def __init__(self) -> None:
        self.logged_held: dict[str, LoggedModel] = {}
        self.links_held: dict[str, ModelLinks] = {}
        self.registered_held: dict[str, RegisteredModel] = {}
        self.versions_held: dict[tuple[str, int], ModelVersion] = {}
        #: The highest number ever given to a version, by name.
        self.highest: dict[str, int] = {}

    # -- logged models ----------------------------------------------------------------------

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        wanted = set(experiment_ids)
        held = [model for model in self.logged_held.values() if model.experiment_id in wanted]
        yield from [model for model in held if model.lifecycle_stage == ACTIVE]

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        return [self.logged_held[ident] for ident in model_ids if ident in self.logged_held]

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        return {
            run_id: self.links_held.get(run_id, ModelLinks())
            for run_id in run_ids
            if run_id in self.runs_held
        }

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        return [self.runs_held[run_id] for run_id in run_ids if run_id in self.runs_held]

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        model_id = f"m-copy-{next(self._numbers)}"
        made = dataclasses.replace(
            model,
            model_id=model_id,
            experiment_id=experiment_id,
            status="PENDING",
            lifecycle_stage=ACTIVE,
            artifact_uri=f"memory:/{experiment_id}/models/{model_id}",
            metrics=(),
        )
        self.logged_held[model_id] = made
        self.writes.append("create_logged_model")
        return made

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        found: dict[str, list[Copy]] = {}
        for model in self.logged_held.values():
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

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        held = self.logged_held[model_id]
        new = [metric for metric in metrics if repr(metric) not in set(map(repr, held.metrics))]
        self._active_run(*(metric.run_id for metric in new))
        if new:
            self._change_model(held, "log_model_metrics", metrics=(*held.metrics, *new))
        return ()

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        self._active_run(run_id)
        held = self.links_held.get(run_id, ModelLinks())
        if {it.model_id for it in held.outputs} & {it.model_id for it in links.outputs}:
            raise Refused(f"run {run_id} names this model already")
        inputs = tuple(dict.fromkeys((*held.inputs, *links.inputs)))
        self.links_held[run_id] = ModelLinks(inputs, (*held.outputs, *links.outputs))
        self.writes.append("link_model")
        return ()

    @contextmanager
    def open_run(self, run_id: str) -> Iterator[None]:
        for stage in (ACTIVE, DELETED):
            run = self.runs_held[run_id]
            self.runs_held[run_id] = dataclasses.replace(run, lifecycle_stage=stage)
            self.writes.append("open_run")
            if stage == ACTIVE:
                yield

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        held = self.logged_held[copy.model_id]
        tags = {**held.tags, **model.tags, MARK: mark}
        self._change_model(held, "finish_logged_model", status=model.status, tags=tags)
        return ()

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        held = self.logged_held[model_id]
        self._change_model(held, "delete_logged_model", lifecycle_stage=DELETED)

    def _change_model(self, held: LoggedModel, word: str, **changes: object) -> None:
        changed = dataclasses.replace(held, **changes)  # type: ignore[arg-type]
        self.logged_held[held.model_id] = changed
        self.writes.append(word)

    def _active_run(self, *run_ids: str) -> None:
        for run_id in run_ids:
            if self.runs_held[run_id].lifecycle_stage == DELETED:
                raise Refused(f"run {run_id} must be active")

    # -- registered models and prompts ------------------------------------------------------

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        chosen = self.registered_held if names is None else dict.fromkeys(names)
        yield from [self.registered_held[name] for name in chosen if name in self.registered_held]

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        for model in models:
            yield from [
                self._with_aliases(version)
                for (name, _), version in sorted(self.versions_held.items())
                if name == model.name
            ]

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        name, _, number = ref.id.rpartition("/")
        version = self.versions_held.get((name, int(number)))
        return None if version is None else self._with_aliases(version)

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        version = self.read_model_version(ref)
        if version is None:
            raise NotFound(f"no {ref}")
        return ArtifactRoot(ref, version.source)

    def version_run(self, version: ModelVersion) -> VersionRun:
        run = self.runs_held.get(version.run_id)
        if run is None:
            return NO_RUN
        return VersionRun(run.artifact_uri, self.experiments_held[run.experiment_id].name)

    def _with_aliases(self, version: ModelVersion) -> ModelVersion:
        aliases = self.registered_held[version.name].aliases
        mine = tuple(sorted(alias for alias, held in aliases.items() if held == version.version))
        return dataclasses.replace(version, aliases=mine)

    def create_registered_model(self, model: RegisteredModel) -> None:
        if model.name in self.registered_held:
            raise AlreadyExists(f"registered model {model.name!r} exists")
        self.registered_held[model.name] = dataclasses.replace(model, aliases={})
        self.highest[model.name] = 0
        self.writes.append("create_registered_model")

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> Sequence[Loss]:
        held = self.registered_held[copy.name]
        self.registered_held[copy.name] = dataclasses.replace(
            held, description=model.description, tags={**held.tags, **model.tags}
        )
        self.writes.append("update_registered_model")
        return ()

    def delete_registered_model(self, name: str) -> None:
        self.registered_held.pop(name, None)
        for key in [key for key in self.versions_held if key[0] == name]:
            del self.versions_held[key]
        self.writes.append("delete_registered_model")

    def create_model_version(self, version: ModelVersion) -> int:
        if version.name not in self.registered_held:
            raise NotFound(f"no registered model {version.name!r}")
        number = self.highest[version.name] = self.highest[version.name] + 1
        self.versions_held[version.name, number] = dataclasses.replace(
            version,
            version=number,
            kind=self.registered_held[version.name].version_kind,
            stage=NO_STAGE,
            aliases=(),
        )
        self.writes.append("create_model_version")
        return number

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        key = (copy.name, copy.version)
        held = self.versions_held[key]
        model = self.registered_held[copy.name]
        aliases = {**model.aliases, **dict.fromkeys(version.aliases, copy.version)}
        self.registered_held[copy.name] = dataclasses.replace(model, aliases=aliases)
        self.versions_held[key] = dataclasses.replace(
            held,
            description=version.description,
            stage=version.stage,
            tags={**held.tags, **version.tags},
        )
        self.writes.append("update_model_version")
        return ()

    def delete_model_version(self, version: ModelVersion) -> None:
        self.versions_held.pop((version.name, version.version), None)
        self.writes.append("delete_model_version")
