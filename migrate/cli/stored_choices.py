"""Reads the choices that a stored plan was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.cli.choices import KEEP, Choices
from migrate.graph.renames import Renames
from migrate.graph.selection import selection_from_options, texts_in
from migrate.plans import Plan
from migrate.tasks.batches import MOST_PLACEHOLDERS
from migrate.tasks.experiment import TRASH_CHOICES
from state.database import damaged


def choices_of(plan: Plan) -> Choices:
    """Read the choices a stored plan was made with.

    Raises ``StateError`` for options that no command stores.
    """
    options = dict(plan.options)
    try:
        choices = _choices_in(options)
    except (TypeError, ValueError, OverflowError) as problem:
        raise damaged(f"options of a plan that cannot be read ({str(problem)[:100]})") from None
    for name, value in choices.as_options().items():
        if name in options and options[name] != value:
            raise damaged(f"{str(options[name])[:100]!r} as the option {name} of a plan")
    return choices


def _choices_in(options: Mapping[str, Any]) -> Choices:
    """Read what ``as_options`` gave; of the rest, some is a ``TypeError`` or ``ValueError``."""
    return Choices(
        selection=selection_from_options(options),
        if_trashed=_trash_choice(options.get("if_trashed")),
        most_placeholders=_number(options.get("most_placeholders"), MOST_PLACEHOLDERS),
        replaces=str(options.get("delete_model") or ""),
        locations=_pairs(options.get("artifact_location_map")),
        quick=bool(options.get("quick")),
        repair=bool(options.get("repair")),
        renames=Renames(
            _pairs(options.get("experiment_renames")), _pairs(options.get("model_renames"))
        ),
        source_tags=bool(options.get("import_source_tags")),
        source_user=bool(options.get("use_src_user_id")),
        permissions=bool(options.get("permissions")),
        users=texts_in(options.get("permission_users")),
        passwords=str(options.get("users") or ""),
        version_models=bool(options.get("export_version_model")),
        notebook_formats=texts_in(options.get("notebook_formats")),
        source_registry=str(options.get("source_registry") or ""),
        target_registry=str(options.get("target_registry") or ""),
        source_auth=str(options.get("source_auth_database") or ""),
        target_auth=str(options.get("target_auth_database") or ""),
        source_artifacts=texts_in(options.get("source_artifacts")),
        target_artifacts=texts_in(options.get("target_artifacts")),
        keeps_files=options.get("artifacts") == KEEP,
        source_workspace=str(options.get("source_workspace") or ""),
        target_workspace=str(options.get("target_workspace") or ""),
    )


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(old), str(new)) for old, new in value or ())


def _number(value: Any, default: int) -> int:
    return default if value is None else int(value)


def _trash_choice(value: Any) -> str:
    if value and value not in TRASH_CHOICES:
        raise ValueError(f"nothing is done if trashed that is called {value!r}")
    return str(value or "fail")
