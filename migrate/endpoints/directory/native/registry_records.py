"""Registered models, prompts and their versions as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from migrate.endpoints.shapes import (
    Object,
    integer,
    objects,
    pairs,
    required_text,
    stored_id,
    text,
    version_number,
)
from migrate.errors import Malformed
from migrate.kinds import Kind
from migrate.objects import (
    IS_PROMPT_TAG,
    NO_STAGE,
    PROMPT_TEXT_TAG,
    ModelVersion,
    RegisteredModel,
    kind_by_tags,
    readable_time,
)

# How MLflow keeps a prompt in the registry: mlflow/prompt/constants.py of MLflow 3.
PROMPT_TYPE_TAG = "_mlflow_prompt_type"
RESPONSE_FORMAT_TAG = "_mlflow_prompt_response_format"
MODEL_CONFIG_TAG = "_mlflow_prompt_model_config"
_RESERVED_TAGS = frozenset(
    {IS_PROMPT_TAG, PROMPT_TEXT_TAG, PROMPT_TYPE_TAG, RESPONSE_FORMAT_TAG, MODEL_CONFIG_TAG}
)
TEXT, CHAT = "text", "chat"


def model_to_json(model: RegisteredModel, aliases: Mapping[str, int]) -> dict[str, Any]:
    """Return what describes a registered model or prompt, without its versions."""
    return {
        "name": model.name,
        "creation_timestamp": model.creation_time,
        "last_updated_timestamp": model.last_update_time,
        "description": model.description,
        "_creation_timestamp": readable_time(model.creation_time),
        "_last_updated_timestamp": readable_time(model.last_update_time),
        "tags": [{"key": key, "value": text} for key, text in sorted(model.tags.items())],
        "aliases": [
            {"alias": alias, "version": str(number)} for alias, number in sorted(aliases.items())
        ],
    }


def model_from_json(value: Object, kind: Kind | None = None) -> RegisteredModel:
    """Read a registered model; by its tag it may be a prompt, where ``kind`` does not say so.

    Raises ``Malformed``.
    """
    tags = pairs(value, "tags")
    name = stored_id(value, "name")
    if not name:
        raise Malformed("its name is empty, which no registry takes")
    return RegisteredModel(
        name=name,
        kind=kind or kind_by_tags(tags),
        description=text(value, "description"),
        tags=tags,
        aliases=dict(map(alias_from_json, objects(value, "aliases"))),
        creation_time=integer(value, "creation_timestamp"),
        last_update_time=integer(value, "last_updated_timestamp"),
    )


def alias_from_json(entry: Object) -> tuple[str, int]:
    """Read an alias and the number of the version it points to. Raises ``Malformed``."""
    return required_text(entry, "alias"), version_number(entry)


def version_to_json(version: ModelVersion, aliases: Iterable[str] = ()) -> dict[str, Any]:
    """Return what describes a version, of a registered model or of a prompt."""
    return {
        "name": version.name,
        "version": str(version.version),
        "creation_timestamp": version.creation_time,
        "last_updated_timestamp": version.last_update_time,
        "description": version.description,
        "user_id": version.user_id,
        "current_stage": version.stage,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "model_id": version.model_id or None,
        "status": version.status,
        "status_message": version.status_message,
        "tags": dict(sorted(version.tags.items())),
        "aliases": sorted(aliases),
        "_creation_timestamp": readable_time(version.creation_time),
        "_last_updated_timestamp": readable_time(version.last_update_time),
    }


def version_from_json(value: Object, model: RegisteredModel) -> ModelVersion:
    """Read a version of ``model``; its aliases are those of the model that point to it.

    Raises ``Malformed``.
    """
    number = version_number(value)
    return ModelVersion(
        name=model.name,
        version=number,
        kind=model.version_kind,
        source=text(value, "source"),
        run_id=text(value, "run_id"),
        run_link=text(value, "run_link"),
        model_id=text(value, "model_id"),
        description=text(value, "description"),
        tags=pairs(value, "tags"),
        aliases=tuple(sorted(alias for alias, at in model.aliases.items() if at == number)),
        stage=text(value, "current_stage") or NO_STAGE,
        status=text(value, "status") or "READY",
        status_message=text(value, "status_message"),
        user_id=text(value, "user_id"),
        creation_time=integer(value, "creation_timestamp"),
        last_update_time=integer(value, "last_updated_timestamp"),
    )


def prompt_to_json(version: ModelVersion) -> dict[str, Any]:
    """Return the ``mlflow`` member of prompt.json.

    ``prompt`` is what other tools import, ``model_version`` the version as the registry has it.
    """
    return {
        "prompt": {
            "name": version.name,
            "version": version.version,
            "template": _template_of(version.tags),
            "tags": {key: text for key, text in version.tags.items() if key not in _RESERVED_TAGS},
            "creation_timestamp": version.creation_time,
            "last_updated_timestamp": version.last_update_time,
            "user_id": version.user_id,
            "commit_message": version.description,
            "uri": f"prompts:/{version.name}/{version.version}",
            "_creation_timestamp": readable_time(version.creation_time),
            "_last_updated_timestamp": readable_time(version.last_update_time),
        },
        "model_version": version_to_json(version),
    }


def _template_of(tags: Mapping[str, str]) -> object:
    text = tags.get(PROMPT_TEXT_TAG, "")
    if tags.get(PROMPT_TYPE_TAG) == CHAT:
        try:
            return json.loads(text)
        except ValueError:  # a tag that a client set by hand
            return text
    return text


def changed_tags(
    there: Mapping[str, str], known: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags that are there, without those known and not wanted, and with those wanted."""
    return {**{key: there[key] for key in there.keys() - (known.keys() - wanted.keys())}, **wanted}
