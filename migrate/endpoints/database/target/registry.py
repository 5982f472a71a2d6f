"""The registered models, prompts and versions of a database that is written to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from migrate.endpoints.database.reading import among, is_
from migrate.endpoints.database.stores.experiments import ExperimentStore
from migrate.endpoints.database.stores.registry import ModelVersionStore, RegisteredModelStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.database.target.written import WrittenDatabase
from migrate.endpoints.run_members import model_named_by
from migrate.endpoints.stores import Identity
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import AlreadyExists, NotFound, Refused
from migrate.objects import DELETED_STAGE, MODEL_VERSIONS_TAG, Loss, ModelVersion, RegisteredModel
from migrate.origins import ORIGIN

_TAG = ("workspace", "key", "name")
_VERSION_TAG = (*_TAG, "version")
_ALIAS = ("workspace", "name", "alias")
#: The tables of a registered model, each before what it refers to.
_TABLES = (
    "model_version_tags",
    "model_versions",
    "registered_model_aliases",
    "registered_model_tags",
    "registered_models",
)


class WrittenModelStore(RegisteredModelStore):
    """Implements ``WritesRegisteredModels``."""

    identity = Identity.NAMED

    def __init__(self, database: WrittenDatabase, unreadable: UnreadableObjects) -> None:
        super().__init__(database, unreadable)
        self._written = database

    def create(self, model: RegisteredModel) -> None:
        """See ``WritesRegisteredModels.create``."""
        length = self._written.length("registered_models", "name")
        if length is not None and len(model.name) > length:
            raise Refused(f"its name has {len(model.name)} characters, the database holds {length}")
        name = {"name": model.name, "workspace": self._written.workspace}
        with self._written.transaction() as transaction:
            times = {
                "creation_time": model.creation_time,
                "last_updated_time": model.last_update_time,
            }
            row = {**name, **times, "description": model.description}
            transaction.insert("registered_models", row)
            transaction.put("registered_model_tags", _TAG, _pairs(name, model.tags))

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> Sequence[Loss]:
        """See ``WritesRegisteredModels.update``."""
        name = {"name": copy.name, "workspace": self._written.workspace}
        mine = [is_(key, value) for key, value in name.items()]
        with self._written.transaction() as transaction:
            if model.description != copy.description:
                described = {"description": model.description}
                transaction.update("registered_models", described, *mine)
            surplus = copy.tags.keys() - model.tags.keys()
            transaction.delete("registered_model_tags", *mine, among("key", surplus))
            transaction.put("registered_model_tags", _TAG, _pairs(name, model.tags))
        return ()

    def delete(self, name: str) -> None:
        """See ``WritesRegisteredModels.delete``."""
        with self._written.transaction() as transaction:
            for table in _TABLES:
                transaction.delete(table, is_("name", name), *self._written.here(table))


class WrittenVersionStore(ModelVersionStore):
    """Implements ``WritesModelVersions``; a version keeps its number."""

    identity = Identity.TAGGED

    def __init__(
        self,
        database: WrittenDatabase,
        unreadable: UnreadableObjects,
        models: WrittenModelStore,
        experiments: ExperimentStore,
    ) -> None:
        super().__init__(database, unreadable, models, experiments)
        self._written = database

    def create(self, version: ModelVersion) -> int:
        """See ``WritesModelVersions.create``; the number is that of ``version``, or the next (0).

        A copy of the same original that is there already is the one that is meant. Raises
        ``AlreadyExists`` where another version has the number.
        """
        name = {"name": version.name, "workspace": self._written.workspace}
        mine = [is_(key, value) for key, value in name.items()]
        with self._written.transaction() as transaction:
            if not transaction.rows("registered_models", ("name",), *mine):
                raise NotFound(f"{version.name!r} is not in {self._written.shown}")
            there = transaction.rows("model_versions", ("version", "current_stage"), *mine)
            taken = {row["version"]: row["current_stage"] for row in there}
            for same in self._copies(transaction, version):
                if version.version in (0, same) and taken[same] != DELETED_STAGE:
                    return same
            number = version.version or max(taken, default=0) + 1
            if number in taken:
                raise AlreadyExists(
                    f"number {number} of {version.name!r} is that of another version, or of one "
                    f"that was deleted, in {self._written.shown}: it stays as it is",
                    "make the registered model anew with every number: migrate run ... "
                    "--delete-model",
                )
            place = self._place(transaction, version.source)
            transaction.insert("model_versions", {**name, **_row(version, number, place)})
            tags = _pairs({**name, "version": number}, version.tags)
            transaction.put("model_version_tags", _VERSION_TAG, tags)
            if version.model_id:
                self._tell_model(transaction, version.model_id, version.name, number)
        return number

    def update(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """See ``WritesModelVersions.update``."""
        name = {"name": copy.name, "workspace": self._written.workspace}
        of_model = [is_(key, value) for key, value in name.items()]
        mine = [*of_model, is_("version", copy.version)]
        with self._written.transaction() as transaction:
            values = {
                "description": version.description,
                "current_stage": version.stage,
                "status": version.status,
            }
            transaction.update("model_versions", values, *mine)
            surplus = copy.tags.keys() - version.tags.keys()
            transaction.delete("model_version_tags", *mine, among("key", surplus))
            tags = _pairs({**name, "version": copy.version}, version.tags)
            transaction.put("model_version_tags", _VERSION_TAG, tags)
            gone = set(copy.aliases) - set(version.aliases)
            transaction.delete("registered_model_aliases", *mine, among("alias", gone))
            aliases = (
                {**name, "alias": alias, "version": copy.version} for alias in version.aliases
            )
            transaction.put("registered_model_aliases", _ALIAS, aliases)
        return ()

    def delete(self, version: ModelVersion) -> None:
        """See ``WritesModelVersions.delete``: as if it had never been."""
        mine = (is_("name", version.name), is_("version", version.version))
        with self._written.transaction() as transaction:
            for table in ("model_version_tags", "registered_model_aliases", "model_versions"):
                transaction.delete(table, *mine, *self._written.here(table))

    def _copies(self, transaction: Transaction, version: ModelVersion) -> Sequence[int]:
        """Return the numbers of the versions that have the origin of this one."""
        if ORIGIN not in version.tags:
            return ()
        where = {"name": version.name, "key": ORIGIN, "value": version.tags[ORIGIN]}
        conditions = [is_(name, value) for name, value in where.items()]
        here = self._written.here("model_version_tags")
        found = transaction.rows("model_version_tags", ("version",), *conditions, *here)
        return sorted(row["version"] for row in found)

    def _place(self, transaction: Transaction, source: str) -> str:
        """Return where the files are that a source names, which MLflow keeps beside it."""
        if model_id := model_named_by(source):
            where = is_("model_id", model_id)
            for row in transaction.rows("logged_models", ("artifact_location",), where):
                return str(row["artifact_location"])
        name, _, number = source.removeprefix("models:/").lstrip("/").rpartition("/")
        if source.startswith("models:/") and number.isdigit():
            where_version = (is_("name", name), is_("version", int(number)))
            here = self._written.here("model_versions")
            columns = ("storage_location", "source")
            for row in transaction.rows("model_versions", columns, *where_version, *here):
                return str(row["storage_location"] or row["source"])
        return source

    def _tell_model(self, transaction: Transaction, model_id: str, name: str, number: int) -> None:
        """Tell a logged model that a version was made of it, as MLflow does, where it is there.

        Versions that are copied come in any order; they are named in that in which they were made.
        """
        mine = is_("model_id", model_id)
        for model in transaction.rows("logged_models", ("experiment_id",), mine):
            tag = {"model_id": model_id, **model, "tag_key": MODEL_VERSIONS_TAG}
            key = is_("tag_key", MODEL_VERSIONS_TAG)
            known = transaction.rows("logged_model_tags", ("tag_value",), mine, key)
            versions = json.loads(known[0]["tag_value"]) if known else []
            versions.append({"name": name, "version": number})
            row = {**tag, "tag_value": json.dumps(self._as_made(transaction, versions))}
            transaction.put("logged_model_tags", ("model_id", "tag_key"), [row])

    def _as_made(
        self, transaction: Transaction, versions: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """Return versions in the order of the times at which they were made, where these differ."""
        names = {str(it.get("name")) for it in versions}
        columns = ("name", "version", "creation_time")
        here = self._written.here("model_versions")
        rows = transaction.rows("model_versions", columns, among("name", names), *here)
        made = {(row["name"], str(row["version"])): row["creation_time"] or 0 for row in rows}
        return sorted(
            versions, key=lambda it: made.get((it.get("name"), str(it.get("version"))), 0)
        )


def _row(version: ModelVersion, number: int, place: str) -> dict[str, Any]:
    return {
        "version": number,
        "creation_time": version.creation_time,
        "last_updated_time": version.last_update_time,
        "description": version.description,
        "user_id": version.user_id or None,
        "current_stage": version.stage,
        "source": version.source,
        "storage_location": place,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "status": version.status,
        "status_message": version.status_message or None,
    }


def _pairs(named: Mapping[str, Any], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{**named, "key": key, "value": text} for key, text in texts.items()]
