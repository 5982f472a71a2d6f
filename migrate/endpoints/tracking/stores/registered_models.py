"""The calls of a tracking server that read and write registered models, prompts and versions.

MLflow keeps prompts among the registered models, told apart by a tag, and leaves them out of every
search that does not ask for them (since 2.21).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.shapes import (
    Object,
    pairs,
    required,
    required_text,
    text,
    texts,
    version_number,
)
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession, read_once
from migrate.endpoints.tracking.models_wire import (
    REGISTERED_MODEL,
    equals_filter,
    model_version_from,
    model_version_to,
    registered_model_from,
    version_form,
)
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.refusals import deliver_singly
from migrate.endpoints.tracking.wire import experiment_from, run_from, tags_to
from migrate.errors import (
    EndpointError,
    Malformed,
    NotAuthenticated,
    NotFound,
    Refused,
    ServerFault,
)
from migrate.folding import may_be_one
from migrate.objects import (
    IS_PROMPT_TAG,
    NO_RUN,
    ArtifactRoot,
    Kind,
    ModelVersion,
    Ref,
    RegisteredModel,
    VersionRun,
    version_ref,
)
from migrate.origins import bookkeeping
from migrate.outcomes import Loss

MODELS = f"{API}/registered-models"
VERSIONS = f"{API}/model-versions"
MODELS_PER_PAGE = 200
VERSIONS_PER_PAGE = 1000
#: From this many models on, all versions of a server are read in pages instead.
MODELS_BY_NAME = 20
PROMPTS = f"tags.`{IS_PROMPT_TAG}` = 'true'"

Entry = TypeVar("Entry", RegisteredModel, ModelVersion)


class RegistryCalls(ABC):
    """The part of a tracking server that knows its model registry."""

    #: The tracking server, which knows runs; and the one that keeps registered models, which is
    #: mostly the same.
    _http: HttpSession
    _registry_http: HttpSession
    _entries: Entries
    #: Where that server takes calls for registered models and for their versions.
    _models_api = MODELS
    _versions_api = VERSIONS

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``."""

    @abstractmethod
    def _has(self, kind: Kind) -> bool:
        """Say whether this server has a kind; where that is not known, ``unknown`` tells so."""

    def _conditions(self) -> tuple[str, ...]:
        """Return the filters by which a search shows everything: models, then prompts."""
        return ("", PROMPTS) if Kind.PROMPT in self.capabilities().readable else ("",)

    # -- ReadsRegistry ----------------------------------------------------------------------

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegistry.registered_models``."""
        if not self._has(Kind.REGISTERED_MODEL):
            return
        if names is None:
            yield from self._all_models()
            return
        refused: set[str] = set()
        for name in names:
            try:
                answer = self._registry_http.get(f"{self._models_api}/get", {"name": name})
            except NotFound:
                continue
            except Refused:
                refused.add(name)
                continue
            found = self._entries.one(
                answer, "registered_model", REGISTERED_MODEL, registered_model_from
            )
            # A database that compares without case answers with another one.
            if found is not None and found.name == name:
                yield found
        if refused:
            # What older versions took for a name is refused as a question, and listed all the same.
            yield from (model for model in self._all_models() if model.name in refused)

    def _all_models(self) -> Iterator[RegisteredModel]:
        for condition in self._conditions():
            pages = self._search(self._models_api, condition, MODELS_PER_PAGE)
            yield from self._entries.all(
                pages, "registered_models", REGISTERED_MODEL, registered_model_from
            )

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsRegistry.model_versions``."""
        filters = [equals_filter("name", model.name) for model in models]
        if len(models) > MODELS_BY_NAME or None in filters:
            found = self._all_versions({model.name: model for model in models})
        else:
            found = {
                model.name: self._versions_of(model, condition or "")
                for model, condition in zip(models, filters, strict=True)
            }
        for model in models:
            versions = found[model.name] + self._named_and_not_found(model, found[model.name])
            yield from sorted(versions, key=lambda version: version.version)

    def _named_and_not_found(
        self, model: RegisteredModel, found: Sequence[ModelVersion]
    ) -> list[ModelVersion]:
        """Return the versions that a model names itself and a search has left out.

        Those that cannot be read by their numbers either are told by ``unreadable``.
        """
        named = {*model.latest_versions, *model.aliases.values()}
        read = []
        for number in sorted(named - {version.version for version in found}):
            ref = version_ref(model.version_kind, model.name, number)
            version = self.read_model_version(ref)
            if version is None:
                problem = NotFound(
                    f"{model.name!r} names its version {number}, by an alias or as the newest of a "
                    "stage, and the server does not show it",
                    "is there a gateway before the server that lets only a part of answers pass?",
                )
                self._entries.unreadable.report(ref, "", f"{self._versions_api}/get", problem)
            else:
                read.append(version)
        return read

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsRegistry.read_model_version``."""
        name, _, number = ref.id.rpartition("/")
        try:
            answer = self._registry_http.get(
                f"{self._versions_api}/get", {"name": name, "version": number}
            )
        except NotFound:
            return None
        except Refused:
            models = list(self.registered_models([name]))
            found = self.model_versions(models) if models else iter(())
            return next((version for version in found if version.ref == ref), None)
        kind = Kind.PROMPT if ref.kind is Kind.PROMPT_VERSION else Kind.REGISTERED_MODEL

        def read(item: Object) -> ModelVersion:
            # Here, unlike in a search, the server tells the aliases by name.
            aliases = dict.fromkeys(texts(item, "aliases"), int(number))
            return model_version_from(item, RegisteredModel(name=name, kind=kind, aliases=aliases))

        version = self._entries.one(answer, "model_version", version_form(ref.kind), read)
        return version if version is not None and version.name == name else None

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsRegistry.version_artifacts``."""
        name, _, number = ref.id.rpartition("/")
        named = {"name": name, "version": number}
        answer = self._registry_http.get(f"{self._versions_api}/get-download-uri", named)
        return ArtifactRoot(ref, text(answer, "artifact_uri"))

    def version_run(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsRegistry.version_run``."""
        if not version.run_id:
            return NO_RUN
        try:
            answer = self._http.get(f"{API}/runs/get", {"run_id": version.run_id})
            run = run_from(required(answer, "run"))
            place = {"experiment_id": run.experiment_id}
            experiment = required(self._http.get(f"{API}/experiments/get", place), "experiment")
        except NotFound:
            return NO_RUN
        except (EndpointError, ServerFault) as problem:
            # What cannot be read of the run is named with the run: the version is whole without.
            if isinstance(problem, NotAuthenticated):
                raise
            run_ref = Ref(Kind.RUN, version.run_id)
            named = EndpointError(f"run {version.run_id}: {problem.message}", problem.hint)
            self._entries.unreadable.report(run_ref, "", f"{API}/runs/get", named)
            return NO_RUN
        return VersionRun(run.artifact_uri, experiment_from(experiment).name)

    def _all_versions(self, models: Mapping[str, RegisteredModel]) -> dict[str, list[ModelVersion]]:
        found: dict[str, list[ModelVersion]] = {name: [] for name in models}

        def read(item: Object) -> ModelVersion | None:
            model = models.get(required_text(item, "name"))
            return None if model is None else model_version_from(item, model)

        for condition in self._conditions():
            pages = self._search(self._versions_api, condition, VERSIONS_PER_PAGE)
            # A search among all tells of none whether it is a prompt's: its model does.
            form = version_form(Kind.PROMPT_VERSION if condition else Kind.MODEL_VERSION)
            for version in self._entries.all(pages, "model_versions", form, read):
                if version is not None:
                    found[version.name].append(version)
        return found

    def _versions_of(self, model: RegisteredModel, condition: str) -> list[ModelVersion]:
        if model.kind is Kind.PROMPT and len(self._conditions()) > 1:
            condition = f"{condition} AND {PROMPTS}"

        def read(item: Object) -> ModelVersion:
            version = model_version_from(item, model)
            if not may_be_one(version.name, model.name):
                raise Malformed(
                    f"name is {version.name[:60]!r}, where {model.name!r} was asked for"
                )
            return version

        pages = self._search(self._versions_api, condition, VERSIONS_PER_PAGE)
        form = version_form(model.version_kind)
        found = self._entries.all(pages, "model_versions", form, read)
        return [version for version in found if version.name == model.name]

    def _search(self, path: str, condition: str, size: int) -> Iterator[Mapping[str, Any]]:
        params: dict[str, Any] = {"max_results": size}
        if condition:
            params["filter"] = condition
        return self._registry_http.get_pages(f"{path}/search", params)

    # -- WritesRegistry ---------------------------------------------------------------------

    def create_registered_model(self, model: RegisteredModel) -> None:
        """See ``WritesRegistry.create_registered_model``."""
        body: dict[str, Any] = {"name": model.name, "tags": tags_to(model.tags)}
        if model.description:
            body["description"] = model.description
        answer = self._registry_http.post(f"{self._models_api}/create", body, idempotent=False)
        with read_once():
            made = required(answer, "registered_model")
        if not _is_ours(pairs(made, "tags"), model.tags):
            self._claim_entry(
                model,
                lambda: next(iter(self.registered_models([model.name])), None),
                self.update_registered_model,
                lambda: self.delete_registered_model(model.name),
            )

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> tuple[Loss, ...]:
        """See ``WritesRegistry.update_registered_model``."""
        changes = list(_changes(self._models_api, copy, model))
        refused = self._send_changes(self._models_api, {"name": copy.name}, changes)
        for key in sorted(copy.tags.keys() - model.tags.keys()):
            self._remove(f"{self._models_api}/delete-tag", {"name": copy.name, "key": key})
        return refused

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        self._remove(f"{self._models_api}/delete", {"name": name})

    def create_model_version(self, version: ModelVersion) -> int:
        """See ``WritesRegistry.create_model_version``."""
        body = model_version_to(version)
        answer = self._registry_http.post(f"{self._versions_api}/create", body, idempotent=False)
        with read_once():
            made = required(answer, "model_version")
            number = version_number(made)
        if not _is_ours(pairs(made, "tags"), version.tags):
            copy = dataclasses.replace(version, version=number)
            self._claim_entry(
                copy,
                lambda: self.read_model_version(copy.ref),
                self.update_model_version,
                lambda: self.delete_model_version(copy),
            )
        return number

    def _claim_entry(
        self,
        sent: Entry,
        look: Callable[[], Entry | None],
        change: Callable[[Entry, Entry], object],
        remove: Callable[[], None],
    ) -> None:
        """Give what was made the tags that its create was to give it, where it has them not.

        Raises ``EndpointError`` where the target does not keep them, having deleted it: nobody
        could tell whose copy it is.
        """
        there = look()
        if there is not None and not _is_ours(there.tags, sent.tags):
            change(there, dataclasses.replace(there, tags={**there.tags, **sent.tags}))
            there = look()
        if there is not None and _is_ours(there.tags, sent.tags):
            return
        remove()
        raise EndpointError(
            f"{self._registry_http.base_url} made {sent.ref.kind} {sent.ref.id!r} without the tags "
            "it was sent, and keeps none: it was deleted",
            "is a gateway before the server that lets only a part of requests pass?",
        )

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> tuple[Loss, ...]:
        """See ``WritesRegistry.update_model_version``."""
        named = {"name": copy.name, "version": str(copy.version)}
        changes = list(_changes(self._versions_api, copy, version))
        if copy.stage != version.stage:
            stage = {"stage": version.stage, "archive_existing_versions": False}
            path = f"{self._versions_api}/transition-stage"
            changes.append(_Change("stage", "POST", path, stage))
        changes += [
            _Change(f"alias {alias}", "POST", f"{self._models_api}/alias", {"alias": alias})
            for alias in version.aliases
            if alias not in copy.aliases
        ]
        refused = self._send_changes(self._versions_api, named, changes)
        for key in sorted(copy.tags.keys() - version.tags.keys()):
            self._remove(f"{self._versions_api}/delete-tag", {**named, "key": key})
        for alias in sorted(set(copy.aliases) - set(version.aliases)):
            self._remove(f"{self._models_api}/alias", {"name": copy.name, "alias": alias})
        return refused

    def delete_model_version(self, version: ModelVersion) -> None:
        """See ``WritesRegistry.delete_model_version``."""
        body = {"name": version.name, "version": str(version.version)}
        self._remove(f"{self._versions_api}/delete", body)

    def _send_changes(
        self, api: str, named: Mapping[str, str], changes: Sequence[_Change]
    ) -> tuple[Loss, ...]:
        """Make changes of the object ``named``, below ``api``; return those that are refused."""

        def send(change: _Change, fault_tries: int) -> None:
            body = {**named, **change.fields}
            self._registry_http.change(change.method, change.path, body, fault_tries=fault_tries)

        def ask() -> None:
            self._registry_http.get(f"{api}/get", named)

        return deliver_singly(send, ask, changes, lambda change: change.name)

    def _remove(self, path: str, body: Mapping[str, str]) -> None:
        """Delete what ``body`` names; no error when it is gone."""
        with suppress(NotFound):
            self._registry_http.change("DELETE", path, body)


class _Change(NamedTuple):
    """One request of an update: its name for people, and the fields that say what changes."""

    name: str
    method: str
    path: str
    fields: Mapping[str, object]


def _changes(
    api: str, copy: RegisteredModel | ModelVersion, wanted: RegisteredModel | ModelVersion
) -> Iterator[_Change]:
    """Yield what has to be sent for the description and the tags that differ."""
    if copy.description != wanted.description:
        described = {"description": wanted.description}
        yield _Change("description", "PATCH", f"{api}/update", described)
    for key, value in wanted.tags.items():
        if copy.tags.get(key) != value:
            yield _Change(f"tag {key}", "POST", f"{api}/set-tag", {"key": key, "value": value})


def _is_ours(there: Mapping[str, str], sent: Mapping[str, str]) -> bool:
    """Say whether tags have all by which what was sent is found again."""
    return bookkeeping(sent).items() <= there.items()
