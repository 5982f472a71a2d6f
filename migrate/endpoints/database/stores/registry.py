"""The registered models and prompts of a database, and their versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from migrate.endpoints.database.reading import Condition, Database, Row, is_
from migrate.endpoints.database.stores.entries import grouped, readable, spelled_as, texts_by
from migrate.endpoints.database.stores.experiments import ExperimentStore
from migrate.endpoints.registry_members import model_version_of, registered_model_of
from migrate.endpoints.shapes import text, version_number
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.kinds import Ref, version_ref
from migrate.objects import (
    DELETED_STAGE,
    NO_RUN,
    ArtifactRoot,
    ModelVersion,
    RegisteredModel,
    VersionRun,
    kind_by_tags,
)

_TIMES = ("creation_time", "last_updated_time")
_MODEL = ("name", "description", *_TIMES)
_VERSION = (
    "name",
    "version",
    *_TIMES,
    "description",
    "user_id",
    "current_stage",
    "source",
    "storage_location",
    "run_id",
    "run_link",
    "status",
    "status_message",
)


class RegisteredModelStore:
    """Implements ``ReadsRegisteredModels``."""

    def __init__(self, database: Database, unreadable: UnreadableObjects) -> None:
        self._database = database
        self._unreadable = unreadable

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """See ``ReadsRegisteredModels.list``."""
        here = self._database.here("registered_models")
        if names is None:
            rows = self._database.rows("registered_models", _MODEL, *here, order=("name",))
        else:
            rows = [*self._database.rows_of("registered_models", _MODEL, "name", names, *here)]
        found = [row["name"] for row in rows]
        tags = texts_by(self._of("registered_model_tags", ("name", "key", "value"), found), "name")
        aliases = grouped(
            self._of("registered_model_aliases", ("name", "alias", "version"), found), "name"
        )

        def model(row: Row) -> RegisteredModel:
            numbers = {it["alias"]: version_number(it) for it in aliases[row["name"]]}
            return registered_model_of(row, tags[row["name"]], numbers, times=_TIMES)

        return readable(
            rows,
            model,
            lambda row: (Ref(kind_by_tags(tags[row["name"]]), str(row["name"])), ""),
            "registered_models",
            self._unreadable,
        )

    def _of(self, table: str, columns: Sequence[str], names: Sequence[str]) -> Iterator[Row]:
        here = self._database.here(table)
        rows = self._database.rows_of(table, columns, "name", names, *here)
        return spelled_as(rows, "name", names)


class ModelVersionStore:
    """Implements ``ReadsModelVersions``. Deleted versions are gaps."""

    def __init__(
        self,
        database: Database,
        unreadable: UnreadableObjects,
        models: RegisteredModelStore,
        experiments: ExperimentStore,
    ) -> None:
        self._database = database
        self._unreadable = unreadable
        self._models = models
        self._experiments = experiments

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """See ``ReadsModelVersions.list``."""
        return self._of({model.name: model for model in models})

    def read(self, ref: Ref) -> ModelVersion | None:
        """See ``ReadsModelVersions.read``."""
        name, _, number = ref.id.rpartition("/")
        models = {it.name: it for it in self._models.list([name]) if it.version_kind is ref.kind}
        if not models or not number.isdigit():
            return None
        return next(self._of(models, is_("version", int(number))), None)

    def files(self, ref: Ref) -> ArtifactRoot | None:
        """See ``ReadsModelVersions.files``."""
        name, _, number = ref.id.rpartition("/")
        here = self._database.here("model_versions")
        where = (is_("name", name), is_("version", int(number)), *here)
        for row in self._database.rows("model_versions", ("storage_location", "source"), *where):
            location = text(row, "storage_location") or text(row, "source")
            return ArtifactRoot(ref, location) if location else None
        return None

    def run_of(self, version: ModelVersion) -> VersionRun:
        """See ``ReadsModelVersions.run_of``."""
        columns = ("artifact_uri", "experiment_id")
        for run in self._database.rows("runs", columns, is_("run_uuid", version.run_id)):
            name = self._experiments.name_of(str(run["experiment_id"]))
            return VersionRun(text(run, "artifact_uri"), name)
        return NO_RUN

    def _of(
        self, models: Mapping[str, RegisteredModel], *where: Condition
    ) -> Iterator[ModelVersion]:
        """Yield the versions of these models, each model's together and in order."""
        place = {name: number for number, name in enumerate(models)}
        here = (*self._database.here("model_versions"), *where)
        found = self._database.rows_of("model_versions", _VERSION, "name", [*models], *here)
        rows = spelled_as(found, "name", models)
        kept = [row for row in rows if row["current_stage"] != DELETED_STAGE]
        kept.sort(key=lambda row: (place[row["name"]], row["version"]))
        tags = self._tags([*dict.fromkeys(row["name"] for row in kept)], *where)

        def version(row: Row) -> ModelVersion:
            held = tags[row["name"]].get(version_number(row), {})
            return model_version_of(row, models[row["name"]], held, times=_TIMES)

        def named(row: Row) -> tuple[Ref, str]:
            name = str(row["name"])
            return version_ref(models[name].version_kind, name, row["version"]), name

        return readable(kept, version, named, "model_versions", self._unreadable)

    def _tags(
        self, names: Sequence[str], *where: Condition
    ) -> Mapping[str, Mapping[int, Mapping[str, str]]]:
        """Return the tags of these versions of some models, by name and number."""
        columns = ("name", "version", "key", "value")
        here = (*self._database.here("model_version_tags"), *where)
        rows = self._database.rows_of("model_version_tags", columns, "name", names, *here)
        by_name = grouped(spelled_as(rows, "name", names), "name")
        return {name: texts_by(by_name[name], "version") for name in names}
