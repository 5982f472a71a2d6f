"""Registered models and prompts of a tracking server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from migrate.endpoints.shapes import pairs, required, told_id
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.models_wire import registered_model_from
from migrate.endpoints.tracking.parts import ALWAYS_THERE
from migrate.endpoints.tracking.stores.registry import PROMPTS_SINCE, Registry, changes, is_ours
from migrate.endpoints.tracking.versions import Version
from migrate.endpoints.tracking.wire import tags_to
from migrate.errors import NoSuchRoute, NotFound, Refused
from migrate.kinds import Kind
from migrate.objects import RegisteredModel
from migrate.outcomes import Loss

MODELS_PER_PAGE = 200
FORM = Form(Kind.REGISTERED_MODEL, lambda entry: Told(told_id(entry, "name")))


class RegisteredModelStore:
    """Finds, makes and changes registered models; safe for use by several threads.

    ``forget`` is told the name of each that was deleted.
    """

    since: ClassVar[Mapping[Kind, Version]] = {
        Kind.REGISTERED_MODEL: ALWAYS_THERE,
        Kind.PROMPT: PROMPTS_SINCE,
    }
    identity = Identity.NAMED

    def __init__(self, registry: Registry, forget: Callable[[str], None] | None = None) -> None:
        self._registry = registry
        self._forget = forget
        self._api = registry.models
        self._http = registry.http
        self._entries = registry.entries

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegisteredModels.list``."""
        if not self._registry.abilities.has(Kind.REGISTERED_MODEL):
            return
        if names is None:
            yield from self._all()
            return
        refused: set[str] = set()
        for name in names:
            try:
                answer = self._http.get(f"{self._api}/get", {"name": name})
            except NotFound:
                continue
            except (Refused, NoSuchRoute):
                refused.add(name)
                continue
            found = self._entries.one(answer, "registered_model", FORM, registered_model_from)
            # A database that compares without case answers with another one.
            if found is not None and found.name == name:
                yield found
        if refused:
            # What older versions took for a name is refused as a question, and listed all the same;
            # and a gateway may keep the question to itself.
            yield from (model for model in self._all() if model.name in refused)

    def _all(self) -> Iterator[RegisteredModel]:
        for condition in self._registry.conditions():
            pages = self._registry.search(self._api, condition, MODELS_PER_PAGE)
            yield from self._entries.all(pages, "registered_models", FORM, registered_model_from)

    def create(self, model: RegisteredModel) -> None:
        """See ``WritesRegisteredModels.create``."""
        body: dict[str, Any] = {"name": model.name, "tags": tags_to(model.tags)}
        if model.description:
            body["description"] = model.description
        answer = self._http.post(f"{self._api}/create", body, idempotent=False)
        with read_once():
            made = required(answer, "registered_model")
        if not is_ours(pairs(made, "tags"), model.tags):
            self._registry.claim(
                model,
                lambda: next(iter(self.list([model.name])), None),
                self.update,
                lambda: self.delete(model.name),
            )

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> tuple[Loss, ...]:
        """See ``WritesRegisteredModels.update``."""
        api = self._api
        refused = self._registry.change(api, {"name": copy.name}, [*changes(api, copy, model)])
        for key in sorted(copy.tags.keys() - model.tags.keys()):
            self._registry.remove(f"{api}/delete-tag", {"name": copy.name, "key": key})
        return refused

    def delete(self, name: str) -> None:
        """See ``WritesRegisteredModels.delete``."""
        self._registry.remove(f"{self._api}/delete", {"name": name})
        if self._forget is not None:
            self._forget(name)
