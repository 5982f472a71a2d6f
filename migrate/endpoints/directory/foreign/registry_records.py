"""Registered models, prompts and their versions as any tool writes them, turned into ours.

What is malformed in one costs itself, by name, whoever wrote it. All functions may raise
``Malformed``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from migrate.endpoints.directory.foreign.members import Members, named
from migrate.endpoints.directory.foreign.records import Tidied
from migrate.endpoints.directory.native.registry_records import (
    CHAT,
    MODEL_CONFIG_TAG,
    PROMPT_TYPE_TAG,
    RESPONSE_FORMAT_TAG,
    TEXT,
    alias_from_json,
)
from migrate.endpoints.shapes import (
    Object,
    items,
    member,
    objects,
    pairs,
    present,
    required,
    stored_id,
    text,
    texts,
    version_number,
)
from migrate.objects import IS_PROMPT_TAG, PROMPT_TEXT_TAG

_PROMPT_SOURCE = "dummy-source"  # a version of a prompt has none, and a server takes no other
_LOGGED_MODEL_SOURCE = re.compile(r"models:/(m-[^/@]+)\Z")


def tidied_model(value: Object) -> Tidied:
    """Return what describes a registered model or prompt as ours."""
    members = Members()
    tags = members.pairs(value, "tags", "tag")
    aliases = aliases_in(value, members)
    listed = [{"alias": alias, "version": number} for alias, number in aliases.items()]
    return {**value, "tags": tags, "aliases": listed}, members.losses


def tidied_version(value: Object) -> Tidied:
    """Return what describes a version as ours."""
    members = Members()
    tags = members.pairs(value, "tags", "tag")
    source = text(value, "_source") or text(value, "source")  # the first is the original
    of_logged_model = _LOGGED_MODEL_SOURCE.match(source)
    model_id = text(value, "model_id") or (of_logged_model[1] if of_logged_model else "")
    return {**value, "tags": tags, "source": source, "model_id": model_id}, members.losses


def aliases_in(value: Object, members: Members) -> dict[str, int]:
    """Read the aliases of a registered model, be they written with it or with its versions.

    Raises ``Malformed`` for what is no list of them.
    """
    aliases = {
        alias: version_number(version)
        for version in versions_in(value)
        if isinstance(version, dict) and version.get("aliases")  # reading others tells of them
        for alias in texts(version, "aliases")
    }
    listed = value.get("aliases")
    if isinstance(listed, dict):
        entries: Sequence[Object] = [{"alias": key, "version": listed[key]} for key in listed]
    else:
        entries = objects(value, "aliases")

    def called(entry: Object) -> str:
        return named("alias", entry.get("alias"))

    return aliases | dict(members.each(entries, alias_from_json, called))


def versions_in(value: Object) -> Sequence[Any]:
    """Return the versions that a model.json lists; until 1.1 they were the latest ones.

    Each may be anything: reading it tells. Raises ``Malformed``.
    """
    listed = value.get("versions")
    return items(value, "versions" if listed is not None else "latest_versions")


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
        PROMPT_TYPE_TAG: CHAT if chat else TEXT,
        PROMPT_TEXT_TAG: json.dumps(template) if chat else text(prompt, "template"),
    }
    for tag, name in (
        (RESPONSE_FORMAT_TAG, "response_format"),
        (MODEL_CONFIG_TAG, "model_config"),
    ):
        if prompt.get(name):
            tags[tag] = json.dumps(prompt[name])
    return tags
