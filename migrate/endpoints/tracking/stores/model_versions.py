"""Versions of registered models and prompts of a tracking server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from migrate.endpoints.shapes import (
    Object,
    pairs,
    required,
    required_text,
    text,
    texts,
    version_number,
)
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.models_wire import (
    equals_filter,
    model_version_from,
    model_version_to,
    version_form,
)
from migrate.endpoints.tracking.parts import ALWAYS_THERE, API
from migrate.endpoints.tracking.stores.registered_models import RegisteredModelStore
from migrate.endpoints.tracking.stores.registry import (
    PROMPTS,
    PROMPTS_SINCE,
    Change,
    Registry,
    changes,
    is_ours,
)
from migrate.endpoints.tracking.versions import Version
from migrate.endpoints.tracking.wire import experiment_from, run_from
from migrate.errors import (
    EndpointError,
    Malformed,
    NoSuchRoute,
    NotAuthenticated,
    NotFound,
    Refused,
    ServerFault,
)
from migrate.folding import may_be_one
from migrate.kinds import Kind, Ref, run_ref, version_ref
from migrate.objects import NO_RUN, ArtifactRoot, ModelVersion, RegisteredModel, VersionRun
from migrate.outcomes import Loss

VERSIONS_PER_PAGE = 1000
#: From this many models on, all versions of a server are read in pages instead.
MODELS_BY_NAME = 20


class ModelVersionStore:
    """Finds, makes and changes versions; safe for use by several threads.

    ``tracking`` calls the server that knows the runs of versions.
    """

    since: ClassVar[Mapping[Kind, Version]] = {
        Kind.MODEL_VERSION: ALWAYS_THERE,
        Kind.PROMPT_VERSION: PROMPTS_SINCE,
    }
    identity = Identity.NUMBERED

    def __init__(
        self, registry: Registry, models: RegisteredModelStore, tracking: HttpSession
    ) -> None:
        self._registry = registry
        self._api = registry.versions
        self._http = registry.http
        self._entries = registry.entries
        self._models = models
        self._tracking = tracking

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsModelVersions.list``."""
        found = self._shown(models)
        for model in models:
            shown = found[model.name]
            versions = [*shown, *self._named_and_not_found(model, shown)]
            yield from sorted(versions, key=lambda version: version.version)

    def _shown(self, models: Sequence[RegisteredModel]) -> Mapping[str, Sequence[ModelVersion]]:
        """Return the versions that a search shows, by the names of their models."""
        filters = [equals_filter("name", model.name) for model in models]
        if len(models) > MODELS_BY_NAME or None in filters:
            return self._all({model.name: model for model in models})
        return {
            model.name: self._of(model, condition or "")
            for model, condition in zip(models, filters, strict=True)
        }

    def _named_and_not_found(
        self, model: RegisteredModel, found: Sequence[ModelVersion]
    ) -> Sequence[ModelVersion]:
        """Return the versions that a model names itself and a search has left out.

        Those that cannot be read by their numbers either are told by ``unreadable``.
        """
        named = {*model.latest_versions, *model.aliases.values()}
        read = []
        for number in sorted(named - {version.version for version in found}):
            ref = version_ref(model.version_kind, model.name, number)
            version = self.read(ref)
            if version is None:
                problem = NotFound(
                    f"{model.name!r} names its version {number}, by an alias or as the newest of a "
                    "stage, and the server does not show it",
                    "is there a gateway before the server that lets only a part of answers pass?",
                )
                self._entries.gaps.unreadable.report(ref, "", f"{self._api}/get", problem)
            else:
                read.append(version)
        return read

    def read(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsModelVersions.read``."""
        name, _, number = ref.id.rpartition("/")
        try:
            answer = self._http.get(f"{self._api}/get", {"name": name, "version": number})
        except NotFound:
            return None
        except (Refused, NoSuchRoute):
            shown = self._shown([*self._models.list([name])]).get(name, ())
            return next((version for version in shown if version.ref == ref), None)
        kind = Kind.PROMPT if ref.kind is Kind.PROMPT_VERSION else Kind.REGISTERED_MODEL

        def read(item: Object) -> ModelVersion:
            # Here, unlike in a search, the server tells the aliases by name.
            aliases = dict.fromkeys(texts(item, "aliases"), int(number))
            return model_version_from(item, RegisteredModel(name=name, kind=kind, aliases=aliases))

        version = self._entries.one(answer, "model_version", version_form(ref.kind), read)
        return version if version is not None and version.name == name else None

    def files(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsModelVersions.files``."""
        name, _, number = ref.id.rpartition("/")
        named = {"name": name, "version": number}
        answer = self._http.get(f"{self._api}/get-download-uri", named)
        return ArtifactRoot(ref, text(answer, "artifact_uri"))

    def run_of(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsModelVersions.run_of``."""
        if not version.run_id:
            return NO_RUN
        try:
            answer = self._tracking.get(f"{API}/runs/get", {"run_id": version.run_id})
            run = run_from(required(answer, "run"))
            place = {"experiment_id": run.experiment_id}
            experiment = required(self._tracking.get(f"{API}/experiments/get", place), "experiment")
        except NotFound:
            return NO_RUN
        except (EndpointError, ServerFault) as problem:
            # What cannot be read of the run is named with the run: the version is whole without.
            if isinstance(problem, NotAuthenticated):
                raise
            at_fault = run_ref(version.run_id)
            named = EndpointError(f"run {version.run_id}: {problem.message}", problem.hint)
            self._entries.gaps.unreadable.report(at_fault, "", f"{API}/runs/get", named)
            return NO_RUN
        return VersionRun(run.artifact_uri, experiment_from(experiment).name)

    def _all(self, models: Mapping[str, RegisteredModel]) -> Mapping[str, Sequence[ModelVersion]]:
        found: dict[str, list[ModelVersion]] = {name: [] for name in models}

        def read(item: Object) -> ModelVersion | None:
            model = models.get(required_text(item, "name"))
            return None if model is None else model_version_from(item, model)

        for condition in self._registry.conditions():
            pages = self._registry.search(self._api, condition, VERSIONS_PER_PAGE)
            # A search among all tells of none whether it is a prompt's: its model does.
            form = version_form(Kind.PROMPT_VERSION if condition else Kind.MODEL_VERSION)
            for version in self._entries.all(pages, "model_versions", form, read):
                if version is not None:
                    found[version.name].append(version)
        return found

    def _of(self, model: RegisteredModel, condition: str) -> Sequence[ModelVersion]:
        if model.kind is Kind.PROMPT and len(self._registry.conditions()) > 1:
            condition = f"{condition} AND {PROMPTS}"

        def read(item: Object) -> ModelVersion:
            version = model_version_from(item, model)
            if not may_be_one(version.name, model.name):
                raise Malformed(
                    f"name is {version.name[:60]!r}, where {model.name!r} was asked for"
                )
            return version

        pages = self._registry.search(self._api, condition, VERSIONS_PER_PAGE)
        form = version_form(model.version_kind)
        found = self._entries.all(pages, "model_versions", form, read)
        return [version for version in found if version.name == model.name]

    def create(self, version: ModelVersion) -> int:
        """See ``WritesModelVersions.create``."""
        body = model_version_to(version)
        answer = self._http.post(f"{self._api}/create", body, idempotent=False)
        with read_once():
            made = required(answer, "model_version")
            number = version_number(made)
        if not is_ours(pairs(made, "tags"), version.tags):
            copy = dataclasses.replace(version, version=number)
            self._registry.claim(
                copy,
                lambda: self.read(copy.ref),
                self.update,
                lambda: self.delete(copy),
            )
        return number

    def update(self, copy: ModelVersion, version: ModelVersion) -> tuple[Loss, ...]:
        """See ``WritesModelVersions.update``."""
        named = {"name": copy.name, "version": str(copy.version)}
        wanted = [*changes(self._api, copy, version)]
        if copy.stage != version.stage:
            stage = {"stage": version.stage, "archive_existing_versions": False}
            path = f"{self._api}/transition-stage"
            wanted.append(Change("stage", "POST", path, stage))
        wanted += [
            Change(f"alias {alias}", "POST", f"{self._registry.models}/alias", {"alias": alias})
            for alias in version.aliases
            if alias not in copy.aliases
        ]
        refused = self._registry.change(self._api, named, wanted)
        for key in sorted(copy.tags.keys() - version.tags.keys()):
            self._registry.remove(f"{self._api}/delete-tag", {**named, "key": key})
        for alias in sorted(set(copy.aliases) - set(version.aliases)):
            self._registry.remove(
                f"{self._registry.models}/alias", {"name": copy.name, "alias": alias}
            )
        return refused

    def delete(self, version: ModelVersion) -> None:
        """See ``WritesModelVersions.delete``."""
        body = {"name": version.name, "version": str(version.version)}
        self._registry.remove(f"{self._api}/delete", body)
