"""What a copy does not get because the target gives it to something of another origin.

Two sources may have one name in common, and a target may have had it before either. What belongs
to another is left alone, and told: else each of the two would take it from the other for ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping

from migrate.objects import ModelVersion, RegisteredModel
from migrate.origins import MIGRATION, ORIGIN, carried_tags
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy


def is_of_source(version: ModelVersion, origins: Collection[str], policy: Policy) -> bool:
    """Say whether a version of the target is a copy of one of the source's, gone ones included.

    ``origins`` are those of the versions that the source has.
    """
    if version.tags.get(ORIGIN) in origins:
        return True
    return bool(policy.migration_id) and version.tags.get(MIGRATION) == policy.migration_id


def taken_aliases(aliases: Mapping[str, int], is_ours: Callable[[int], bool]) -> dict[str, int]:
    """Return which of a registered model's aliases are held by versions that are not ours."""
    return {alias: number for alias, number in aliases.items() if not is_ours(number)}


def without_taken(
    version: ModelVersion, taken: Mapping[str, int]
) -> tuple[ModelVersion, tuple[Loss, ...]]:
    """Return a version without the aliases that are taken, and the losses that makes."""
    kept = tuple(alias for alias in version.aliases if alias not in taken)
    losses = tuple(
        Loss(
            f"alias {alias}",
            f"version {taken[alias]} of {version.name!r} on the target has it, which is no copy "
            "of this source's: it stays there",
        )
        for alias in version.aliases
        if alias in taken
    )
    return dataclasses.replace(version, aliases=kept), losses


def kept_of_model(
    copy: RegisteredModel, changed: RegisteredModel, model: RegisteredModel
) -> Iterator[Loss]:
    """Yield what a registered model that is not a copy of ``model`` keeps of its own.

    ``changed`` is what becomes of it.
    """
    reason = f"{copy.name!r} was on the target already, and keeps its own"
    if model.description and changed.description != model.description:
        yield Loss("description", reason)
    yield from kept_tags(model.tags, changed.tags, reason)


def kept_tags(wanted: Mapping[str, str], there: Mapping[str, str], reason: str) -> Iterator[Loss]:
    """Yield the tags that have another value than is wanted."""
    for key, value in sorted(carried_tags(wanted).items()):
        if there.get(key, value) != value:
            yield Loss(f"tag {key}", reason)
