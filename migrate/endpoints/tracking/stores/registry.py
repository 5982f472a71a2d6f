"""What registered models and their versions have in common: one registry, and how it is changed.

MLflow keeps prompts among the registered models, told apart by a tag, and leaves them out of every
search that does not ask for them (since 2.21).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from migrate.endpoints.shapes import Object
from migrate.endpoints.tracking.abilities import Abilities
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.refusals import deliver_singly
from migrate.errors import EndpointError, NotFound
from migrate.kinds import Kind
from migrate.objects import IS_PROMPT_TAG, ModelVersion, RegisteredModel
from migrate.origins import bookkeeping
from migrate.outcomes import Loss

PROMPTS_SINCE = (2, 21)
PROMPTS = f"tags.`{IS_PROMPT_TAG}` = 'true'"

Entry = TypeVar("Entry", RegisteredModel, ModelVersion)


class Change(NamedTuple):
    """One request of an update: its name for people, and the fields that say what changes."""

    name: str
    method: str
    path: str
    fields: Mapping[str, object]


class Registry:
    """The calls to one registry; ``models`` and ``versions`` are where it takes those for each."""

    def __init__(
        self,
        http: HttpSession,
        entries: Entries,
        abilities: Abilities,
        *,
        models: str = f"{API}/registered-models",
        versions: str = f"{API}/model-versions",
    ) -> None:
        self.http = http
        self.entries = entries
        self.abilities = abilities
        self.models = models
        self.versions = versions

    def conditions(self) -> Sequence[str]:
        """Return the filters by which a search shows everything: models, then prompts."""
        has_prompts = Kind.PROMPT in self.abilities.capabilities().readable
        return ("", PROMPTS) if has_prompts else ("",)

    def search(self, path: str, condition: str, size: int) -> Iterator[Object]:
        """Yield the pages of a search below ``path``."""
        params: dict[str, Any] = {"max_results": size}
        if condition:
            params["filter"] = condition
        return self.http.get_pages(f"{path}/search", params)

    def change(
        self, api: str, named: Mapping[str, str], changes: Sequence[Change]
    ) -> tuple[Loss, ...]:
        """Make changes of the object ``named``, below ``api``; return those that are refused."""

        def send(change: Change, fault_tries: int) -> None:
            body = {**named, **change.fields}
            self.http.change(change.method, change.path, body, fault_tries=fault_tries)

        def ask() -> None:
            self.http.get(f"{api}/get", named)

        return deliver_singly(send, ask, changes, lambda change: change.name)

    def remove(self, path: str, body: Mapping[str, str]) -> None:
        """Delete what ``body`` names; no error when it is gone."""
        with suppress(NotFound):
            self.http.change("DELETE", path, body)

    def claim(
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
        made = look()
        if made is not None and not is_ours(made.tags, sent.tags):
            change(made, dataclasses.replace(made, tags={**made.tags, **sent.tags}))
            made = look()
        if made is not None and is_ours(made.tags, sent.tags):
            return
        remove()
        raise EndpointError(
            f"{self.http.base_url} made {sent.ref.kind} {sent.ref.id!r} without the tags "
            "it was sent, and keeps none: it was deleted",
            "is a gateway before the server that lets only a part of requests pass?",
        )


def changes(
    api: str, copy: RegisteredModel | ModelVersion, wanted: RegisteredModel | ModelVersion
) -> Iterator[Change]:
    """Yield what has to be sent for the description and the tags that differ."""
    if copy.description != wanted.description:
        described = {"description": wanted.description}
        yield Change("description", "PATCH", f"{api}/update", described)
    for key, value in wanted.tags.items():
        if copy.tags.get(key) != value:
            yield Change(f"tag {key}", "POST", f"{api}/set-tag", {"key": key, "value": value})


def is_ours(tags: Mapping[str, str], sent: Mapping[str, str]) -> bool:
    """Say whether tags have all by which what was sent is found again."""
    return bookkeeping(sent).items() <= tags.items()
