"""A migration of a whole server with its registry, and what a kill must not have done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from tests.comparison import ORIGIN
from tests.comparison_models import ModelServer, compare_models
from tests.crash.migrations import Migration

#: Writes that make something that can be made twice.
CREATE_VERSION = ("POST", "/model-versions/create$")
DELETE_VERSION = ("DELETE", "/model-versions/delete$")
CREATE_MODEL = ("POST", "/registered-models/create$")
CREATE_LOGGED = ("POST", "/logged-models$")


@dataclass(kw_only=True)
class RegistryMigration(Migration):
    """Copies a whole server, deleted things included."""

    @property
    def selection(self) -> list[str]:
        return ["--include-deleted"]

    def differences(self, declared: Collection[tuple[str, str]] = ()) -> list[str]:
        """As ``Migration.differences``, and of models; ``declared`` is for ``compare_models``."""
        return [
            *super().differences(),
            *compare_models(
                self.source.upstream.geturl(),
                self.target.upstream.geturl(),
                {origin: same[0]["run_id"] for origin, same in self.copies().items()},
                declared=declared,
            ),
            *self.made_twice(),
        ]

    def made_twice(self) -> list[str]:
        """The origins of versions, and of logged models deleted or not, that have two copies."""
        with ModelServer(self.target.upstream.geturl()) as server:
            versions = server.versions(prompts=False) + server.versions(prompts=True)
            experiments = [row["experiment_id"] for row in server.experiments().values()]
            models = [model["info"] for model in server.logged_models(experiments)]
        origins = Counter(
            tag["value"]
            for row in versions + models
            for tag in row.get("tags", [])
            if tag["key"] == ORIGIN
        )
        return [f"{origin} has {n} copies" for origin, n in origins.items() if n > 1]

    def numbers(self, name: str, *, prompts: bool = False) -> list[int]:
        """The numbers of a model's versions on the target."""
        with ModelServer(self.target.upstream.geturl()) as server:
            rows = server.versions(prompts=prompts)
        return sorted(int(row["version"]) for row in rows if row["name"] == name)
