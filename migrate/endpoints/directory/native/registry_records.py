"""Registered models, prompts and their versions as JSON, ours and that of other tools."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.shapes import (
    Object,
    integer,
    items,
    member,
    objects,
    pairs,
    present,
    required,
    required_text,
    stored_id,
    text,
    texts,
    version_number,
)
from migrate.errors import Malformed
from migrate.objects import (
    IS_PROMPT_TAG,
    NO_STAGE,
    PROMPT_TEXT_TAG,
    Kind,
    ModelVersion,
    RegisteredModel,
    readable_time,
)

# How MLflow keeps a prompt in the registry: mlflow/prompt/constants.py of MLflow 3.
_PROMPT_TYPE_TAG = "_mlflow_prompt_type"
_RESPONSE_FORMAT_TAG = "_mlflow_prompt_response_format"
_MODEL_CONFIG_TAG = "_mlflow_prompt_model_config"
_RESERVED_TAGS = frozenset(
    {IS_PROMPT_TAG, PROMPT_TEXT_TAG, _PROMPT_TYPE_TAG, _RESPONSE_FORMAT_TAG, _MODEL_CONFIG_TAG}
)
_TEXT, _CHAT = "text", "chat"
_PROMPT_SOURCE = "dummy-source"  # a version of a prompt has none, and a server takes no other

_LOGGED_MODEL_SOURCE = re.compile(r"models:/(m-[^/@]+)\Z")


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
    members = Members()
    tags = members.pairs(value, "tags", "tag")
    aliases = aliases_from_json(value, members)
    name = stored_id(value, "name")
    if not name:
        raise Malformed("its name is empty, which no registry takes")
    return RegisteredModel(
        name=name,
        kind=kind or kind_by_tags(tags),
        description=text(value, "description"),
        tags=tags,
        aliases=aliases,
        creation_time=integer(value, "creation_timestamp"),
        last_update_time=integer(value, "last_updated_timestamp"),
        losses=members.losses,
    )


def kind_by_tags(tags: Mapping[str, str]) -> Kind:
    """Say whether these are the tags of a prompt or of a registered model."""
    is_prompt = tags.get(IS_PROMPT_TAG, "").lower() == "true"
    return Kind.PROMPT if is_prompt else Kind.REGISTERED_MODEL


def aliases_from_json(value: Object, members: Members) -> dict[str, int]:
    """Read the aliases of a registered model, be they told with it or with its versions.

    Raises ``Malformed`` for what is no list of them.
    """
    aliases = {
        alias: version_number(version)
        for version in versions_in(value)
        if isinstance(version, dict) and version.get("aliases")  # reading others tells of them
        for alias in texts(version, "aliases")
    }
    told = value.get("aliases")
    if isinstance(told, dict):
        entries: Sequence[Object] = [{"alias": key, "version": told[key]} for key in told]
    else:
        entries = objects(value, "aliases")

    def called(entry: Object) -> str:
        return named("alias", entry.get("alias"))

    return aliases | dict(members.each(entries, _alias_from, called))


def _alias_from(entry: Object) -> tuple[str, int]:
    return required_text(entry, "alias"), version_number(entry)


def versions_in(value: Object) -> Sequence[Any]:
    """Return the versions that a model.json lists; until 1.1 they were the latest ones.

    Each may be anything: reading it tells. Raises ``Malformed``.
    """
    listed = value.get("versions")
    return items(value, "versions" if listed is not None else "latest_versions")


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
    members = Members()
    number = version_number(value)
    tags = members.pairs(value, "tags", "tag")
    source = text(value, "_source") or text(value, "source")  # the first is the original
    of_logged_model = _LOGGED_MODEL_SOURCE.match(source)
    return ModelVersion(
        name=model.name,
        version=number,
        kind=model.version_kind,
        source=source,
        run_id=text(value, "run_id"),
        run_link=text(value, "run_link"),
        model_id=text(value, "model_id") or (of_logged_model[1] if of_logged_model else ""),
        description=text(value, "description"),
        tags=tags,
        aliases=tuple(sorted(alias for alias, at in model.aliases.items() if at == number)),
        stage=text(value, "current_stage") or NO_STAGE,
        status=text(value, "status") or "READY",
        status_message=text(value, "status_message"),
        user_id=text(value, "user_id"),
        creation_time=integer(value, "creation_timestamp"),
        last_update_time=integer(value, "last_updated_timestamp"),
        losses=members.losses,
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


def registry_version_in(value: Object) -> Object:
    """Return the version in the ``mlflow`` member of a prompt.json as the registry has it.

    Raises ``Malformed`` where there is none.
    """
    if value.get("model_version") is not None:
        return member(value, "model_version")
    prompt = required(value, "prompt")
    return {
        **{key: prompt.get(key) for key in _SAME_IN_PROMPT},
        "name": stored_id(prompt, "name"),
        "version": version_number(prompt),
        "description": text(prompt, "commit_message") or text(prompt, "description"),
        "source": _PROMPT_SOURCE,
        "tags": _tags_of_prompt(prompt),
    }


_SAME_IN_PROMPT = ("creation_timestamp", "last_updated_timestamp", "user_id", "aliases")


def _tags_of_prompt(prompt: Object) -> dict[str, str]:
    """Return the tags that MLflow gives to the version that keeps this prompt."""
    template = present(prompt, "template")
    chat = isinstance(template, list)
    tags = {
        **pairs(prompt, "tags"),
        IS_PROMPT_TAG: "true",
        _PROMPT_TYPE_TAG: _CHAT if chat else _TEXT,
        PROMPT_TEXT_TAG: json.dumps(template) if chat else text(prompt, "template"),
    }
    for tag, name in (
        (_RESPONSE_FORMAT_TAG, "response_format"),
        (_MODEL_CONFIG_TAG, "model_config"),
    ):
        if prompt.get(name):
            tags[tag] = json.dumps(prompt[name])
    return tags


def _template_of(tags: Mapping[str, str]) -> object:
    text = tags.get(PROMPT_TEXT_TAG, "")
    if tags.get(_PROMPT_TYPE_TAG) == _CHAT:
        try:
            return json.loads(text)
        except ValueError:  # a tag that a client set by hand
            return text
    return text
