"""Registered models of Unity Catalog: names, tags, versions with their files, and privileges.

The wire is that of ``mlflow/store/_unity_catalog/registry/rest_store.py`` (MLflow 3.17) and of
Databricks' grants API; the rules for tags are those of "Apply tags to Unity Catalog securable
objects". A version is READY when it is finalized, for which it needs its file ``MLmodel``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.databricks.accounts import Accounts
from tests.databricks.answers import Answer, Asked, Refusal, as_json

REGISTRY = "/api/2.0/mlflow/unity-catalog"
GRANTS = "/api/2.1/unity-catalog"
PRIVILEGES = ("EXECUTE", "APPLY_TAG", "MANAGE", "ALL_PRIVILEGES")
RESERVED = ".,-=/:"
MOST_TAGS = 50

Route = tuple[str, Callable[..., Answer]]


@dataclass
class Version:
    """A version of a model, and its files by path."""

    body: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Model:
    """A registered model; ``highest`` is the last number that was given away."""

    body: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    highest: int = 0


class Catalog:
    """The catalogs of a workspace. ``grants`` are by full name; a schema's hold for its models."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._clock = 1_700_000_000_000
        self.schemas: set[str] = {"main.ml"}
        self.models: dict[str, Model] = {}
        self.grants: dict[str, dict[str, set[str]]] = {}
        #: Models whose privileges are shown to nobody.
        self.hidden: set[str] = set()
        #: Whether files of versions go through the Files API rather than signed URLs.
        self.files_api = False
        #: Where signed URLs lead, when not here.
        self.sends_to = ""
        self.changes = 0
        self._signed: dict[str, tuple[str, str, str]] = {}
        self._host = ""

    def routes(self, host: str) -> tuple[Route, ...]:
        """Which part answers what; ``host`` begins the URLs that are given out."""
        self._host = host
        models, versions = f"{REGISTRY}/registered-models", f"{REGISTRY}/model-versions"
        return (
            (f"GET {GRANTS}/permissions/function/([^/]+)", self._direct),
            (f"GET {GRANTS}/effective-permissions/function/([^/]+)", self._effective),
            (f"PATCH {GRANTS}/permissions/function/([^/]+)", self._grant),
            (f"GET {models}:is-databricks-sdk-models-artifact-repository-enabled", self._says_way),
            (f"POST {models}/create", self._create),
            (f"GET {models}/get", self._get),
            (f"GET {models}/search", self._search),
            (f"PATCH {models}/update", self._update),
            (f"DELETE {models}/delete", self._delete),
            (f"POST {models}/set-tag", self._tag),
            (f"POST {models}/alias", self._alias),
            (f"POST {versions}/create", self._create_version),
            (f"GET {versions}/get", self._get_version),
            (f"GET {versions}/search", self._search_versions),
            (f"PATCH {versions}/update", self._update_version),
            (f"DELETE {versions}/delete", self._delete_version),
            (f"POST {versions}/set-tag", self._tag_version),
            (f"POST {versions}/finalize", self._finalize),
            (f"POST {versions}/generate-temporary-credentials", self._credentials),
            (f"GET {versions}/get-download-uri", self._download_uri),
            ("POST /api/2.0/fs/create-upload-url", self._upload_url),
            ("POST /api/2.0/fs/create-download-url", self._download_url),
            ("GET /api/2.0/fs/directories/Models/(.+)", self._list),
            ("PUT /api/2.0/fs/files/Models/(.+)", self._put_file),
            ("GET /api/2.0/fs/files/Models/(.+)", self._get_file),
        )

    # -- registered models ------------------------------------------------------------------

    def model(self, name: str) -> Model:
        """One model. Refuses names that are not there."""
        if name not in self.models:
            text = f"Routine or Model '{name}' does not exist."
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)
        return self.models[name]

    def _version(self, body: Mapping[str, Any]) -> Version:
        model = self.model(body["name"])
        if str(body["version"]) not in model.versions:
            text = f"Model version {body['version']} of {body['name']} does not exist."
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)
        return model.versions[str(body["version"])]

    def _now(self) -> int:
        self._clock += 1
        return self._clock

    def _create(self, asked: Asked) -> Answer:
        body = asked.json()
        parts = body["name"].split(".")
        if len(parts) != 3 or not all(re.fullmatch(r"[^\s./]+", part) for part in parts):
            text = f"'{body['name']}' is not a valid name: specify all three levels."
            raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
        if ".".join(parts[:2]) not in self.schemas:
            text = f"Schema '{'.'.join(parts[:2])}' does not exist."
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)
        if body["name"] in self.models:
            text = f"Function or Model '{body['name']}' already exists"
            raise Refusal(409, "RESOURCE_ALREADY_EXISTS", text)
        now = self._now()
        made = {
            "name": body["name"],
            "description": body.get("description", ""),
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "user_id": asked.user,
        }
        model = Model(made)
        _set_tags(model.tags, body.get("tags", ()))
        self.models[body["name"]] = model
        return as_json({"registered_model": _model_body(model)})

    def _get(self, asked: Asked) -> Answer:
        return as_json({"registered_model": _model_body(self.model(asked.params["name"]))})

    def _search(self, asked: Asked) -> Answer:
        # A search tells neither tags nor aliases.
        return as_json({"registered_models": [model.body for model in self.models.values()]})

    def _update(self, asked: Asked) -> Answer:
        body = asked.json()
        model = self.model(body["name"])
        model.body["description"] = body.get("description", "")
        return as_json({"registered_model": _model_body(model)})

    def _delete(self, asked: Asked) -> Answer:
        del self.models[self.model(asked.json()["name"]).body["name"]]
        return as_json({})

    def _tag(self, asked: Asked) -> Answer:
        _set_tags(self.model(asked.json()["name"]).tags, [asked.json()])
        return as_json({})

    def _alias(self, asked: Asked) -> Answer:
        body = asked.json()
        self._version(body)
        self.model(body["name"]).aliases[body["alias"]] = str(body["version"])
        return as_json({})

    # -- versions ---------------------------------------------------------------------------

    def _create_version(self, asked: Asked) -> Answer:
        body = asked.json()
        model = self.model(body["name"])
        tags: dict[str, str] = {}
        _set_tags(tags, body.get("tags", ()))
        model.highest += 1
        number, now = str(model.highest), self._now()
        kept = {
            key: body[key]
            for key in ("source", "run_id", "description", "model_id")
            if body.get(key)
        }
        made = {
            "name": body["name"],
            "version": number,
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "user_id": asked.user,
            "status": "PENDING_REGISTRATION",
            "storage_location": f"s3://managed/{secrets.token_hex(4)}/versions/{number}",
            **kept,
        }
        model.versions[number] = Version(made, tags)
        return as_json({"model_version": self._version_body(model, number)})

    def _version_body(self, model: Model, number: str) -> dict[str, Any]:
        version = model.versions[number]
        aliases = [{"alias": it, "version": to} for it, to in model.aliases.items() if to == number]
        return {**version.body, "tags": _pairs(version.tags), "aliases": aliases}

    def _get_version(self, asked: Asked) -> Answer:
        self._version(asked.params)
        model = self.model(asked.params["name"])
        return as_json({"model_version": self._version_body(model, asked.params["version"])})

    def _search_versions(self, asked: Asked) -> Answer:
        found = re.fullmatch(r"name\s*=\s*'([^']+)'", asked.params.get("filter", ""))
        if not found:
            text = "Currently a single condition on name or run_id is supported"
            raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
        versions = self.model(found[1]).versions.values()
        return as_json({"model_versions": [version.body for version in versions]})

    def _update_version(self, asked: Asked) -> Answer:
        body = asked.json()
        self._version(body).body["description"] = body.get("description", "")
        return as_json({})

    def _delete_version(self, asked: Asked) -> Answer:
        body = asked.json()
        self._version(body)
        model = self.model(body["name"])
        del model.versions[str(body["version"])]
        model.aliases = {it: to for it, to in model.aliases.items() if to in model.versions}
        return as_json({})

    def _tag_version(self, asked: Asked) -> Answer:
        _set_tags(self._version(asked.json()).tags, [asked.json()])
        return as_json({})

    def _finalize(self, asked: Asked) -> Answer:
        body = asked.json()
        version = self._version(body)
        if "MLmodel" not in version.files:
            text = "The files of the model version were not uploaded: no MLmodel"
            raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
        version.body["status"] = "READY"
        model = self.model(body["name"])
        return as_json({"model_version": self._version_body(model, str(body["version"]))})

    # -- files of versions ------------------------------------------------------------------

    def _says_way(self, asked: Asked) -> Answer:
        answer = {"is_databricks_sdk_models_artifact_repository_enabled": self.files_api}
        return as_json(answer)

    def _put_file(self, asked: Asked, place: str) -> Answer:
        name, number, path = _split(place)
        self._version({"name": name, "version": number}).files[path] = asked.body
        return as_json({})

    def _get_file(self, asked: Asked, place: str) -> Answer:
        name, number, path = _split(place)
        files = self._version({"name": name, "version": number}).files
        if path not in files:
            raise Refusal(404, "NOT_FOUND", "no such file")
        return Answer(files[path], "application/octet-stream")

    def _credentials(self, asked: Asked) -> Answer:
        self._version(asked.json())
        return as_json({"credentials": {"storage_mode": "DEFAULT_STORAGE"}})

    def _download_uri(self, asked: Asked) -> Answer:
        return as_json({"artifact_uri": self._version(asked.params).body["storage_location"]})

    def _upload_url(self, asked: Asked) -> Answer:
        return self._url(asked, "PUT")

    def _download_url(self, asked: Asked) -> Answer:
        return self._url(asked, "GET")

    def _url(self, asked: Asked, method: str) -> Answer:
        name, number, path = _split(asked.json()["path"].removeprefix("/Models/"))
        self._version({"name": name, "version": number})
        key = secrets.token_hex(8)
        self._signed[key] = (method, f"{name}/{number}", path)
        return as_json({"url": f"{self.sends_to or self._host}/catalog-files/{key}", "headers": []})

    def signed_file(self, method: str, key: str, body: bytes) -> Answer:
        """Takes or gives one file by its signed URL."""
        signed = self._signed.get(key)
        if signed is None or signed[0] != method:
            raise Refusal(403, "AccessDenied", "Request is not signed for this")
        name, _, number = signed[1].rpartition("/")
        files = self._version({"name": name, "version": number}).files
        if method == "PUT":
            files[signed[2]] = body
            return as_json({})
        if signed[2] not in files:
            raise Refusal(404, "NOT_FOUND", "no such file")
        return Answer(files[signed[2]], "application/octet-stream")

    def _list(self, asked: Asked, place: str) -> Answer:
        name, number, folder = _split(place)
        files = self._version({"name": name, "version": number}).files
        below = f"{folder}/" if folder else ""
        root = f"/Models/{name.replace('.', '/')}/{number}/{below}"
        entries: dict[str, dict[str, Any]] = {}
        for path, content in files.items():
            if path.startswith(below):
                first, _, rest = path.removeprefix(below).partition("/")
                size = {} if rest else {"file_size": len(content)}
                entries[first] = {"path": root + first, "is_directory": bool(rest), **size}
        if not entries:
            raise Refusal(404, "NOT_FOUND", "no such directory")
        return as_json({"contents": list(entries.values())})

    # -- privileges -------------------------------------------------------------------------

    def _checked(self, asked: Asked, name: str) -> None:
        self.model(name)
        if asked.user not in self._accounts.admins or name in self.hidden:
            text = f"User {asked.user} does not have MANAGE on Routine or Model '{name}'."
            raise Refusal(403, "PERMISSION_DENIED", text)

    def _direct(self, asked: Asked, name: str) -> Answer:
        self._checked(asked, name)
        held = self.grants.get(name, {})
        return as_json(
            {
                "privilege_assignments": [
                    {"principal": who, "privileges": sorted(what)} for who, what in held.items()
                ]
            }
        )

    def _effective(self, asked: Asked, name: str) -> Answer:
        self._checked(asked, name)
        catalog, schema, _ = name.split(".")
        found: dict[str, list[dict[str, str]]] = {}
        for full, kind in ((name, ""), (f"{catalog}.{schema}", "SCHEMA"), (catalog, "CATALOG")):
            for who, what in self.grants.get(full, {}).items():
                above = {"inherited_from_type": kind, "inherited_from_name": full} if kind else {}
                found.setdefault(who, []).extend(
                    {"privilege": privilege, **above} for privilege in sorted(what)
                )
        return as_json(
            {
                "privilege_assignments": [
                    {"principal": who, "privileges": what} for who, what in found.items()
                ]
            }
        )

    def _grant(self, asked: Asked, name: str) -> Answer:
        self._checked(asked, name)
        known = {*self._accounts.users, *self._accounts.groups, *self._accounts.service_principals}
        for change in asked.json()["changes"]:
            if change["principal"] not in known:
                text = f"Could not find principal with name {change['principal']}"
                raise Refusal(404, "PRINCIPAL_DOES_NOT_EXIST", text)
            for privilege in change.get("add", ()):
                if privilege not in PRIVILEGES:
                    text = f"Privilege {privilege} is not applicable to this entity"
                    raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
        for change in asked.json()["changes"]:
            held = self.grants.setdefault(name, {}).setdefault(change["principal"], set())
            held.update(change.get("add", ()))
            self.changes += 1
        return self._direct(asked, name)


def _split(place: str) -> tuple[str, str, str]:
    """Name, number and the rest of ``catalog/schema/model/number/rest``."""
    catalog, schema, model, number, *rest = place.split("/")
    return f"{catalog}.{schema}.{model}", number, "/".join(rest)


def _model_body(model: Model) -> dict[str, Any]:
    aliases = [{"alias": it, "version": number} for it, number in model.aliases.items()]
    return {**model.body, "tags": _pairs(model.tags), "aliases": aliases}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _set_tags(there: dict[str, str], tags: Any) -> None:
    for tag in tags:
        if any(character in tag["key"] for character in RESERVED):
            text = (
                f"Tag name {tag['key']} contains one or more of the reserved characters: "
                "List(., ,, -, =, /, :)"
            )
            raise Refusal(400, "INVALID_PARAMETER_VALUE", text)
        if len(tag["key"]) > 255 or len(tag.get("value", "")) > 1000:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Tag {tag['key'][:50]} is too long")
    wanted = {**there, **{tag["key"]: tag.get("value", "") for tag in tags}}
    if len(wanted) > MOST_TAGS:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", f"more than {MOST_TAGS} tags")
    there.update(wanted)
