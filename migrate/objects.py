"""MLflow's objects as plain records.

Records hold what MLflow's REST API returns, with MLflow's names; times are epoch milliseconds,
sizes are bytes. They know nothing of servers, files or plans.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from migrate.kinds import Kind, Ref, experiment_ref, logged_model_ref, run_ref, version_ref
from migrate.values import value

ACTIVE = "active"
DELETED = "deleted"
LIFECYCLE_STAGES = (ACTIVE, DELETED)
FINAL_RUN_STATUSES = frozenset({"FINISHED", "FAILED", "KILLED"})
RUN_STATUSES = ("RUNNING", "SCHEDULED", *sorted(FINAL_RUN_STATUSES))
MODEL_STATUSES = ("PENDING", "READY", "UPLOAD_FAILED")

#: In which Databricks gives out notebooks.
NOTEBOOK_FORMATS = ("SOURCE", "HTML", "JUPYTER", "DBC")

NO_STAGE = "None"
#: Of deleted versions, which stores keep, so that no number is given again. Servers hide them.
DELETED_STAGE = "Deleted_Internal"
STAGES = ("Staging", "Production", "Archived", NO_STAGE)

PARENT_RUN_TAG = "mlflow.parentRunId"
ROOT_RUN_TAG = "mlflow.rootRunId"
RUN_NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"
MODEL_HISTORY_TAG = "mlflow.log-model.history"
#: Written on logged models by the server, whenever a version is made of one.
MODEL_VERSIONS_TAG = "mlflow.modelVersions"
IS_PROMPT_TAG = "mlflow.prompt.is_prompt"
#: Without it MLflow takes a version of a prompt for one of a model.
PROMPT_TEXT_TAG = "mlflow.prompt.text"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def readable_time(milliseconds: int | None) -> str | None:
    """Return a time for people, in UTC; None where there is none a calendar knows."""
    if milliseconds is None:
        return None
    try:
        return f"{_EPOCH + timedelta(milliseconds=milliseconds):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return None


class LossCode(StrEnum):
    """Which loss it is, where something follows from that."""

    OTHER = ""
    NOT_DELIVERED = "not delivered"  #: the source did not give a file
    NOT_LISTED = "not listed"  #: the source did not say which files there are
    NOT_WHOLE = "not whole"  #: the source did not give all points of a metric
    LASTING = "lasting"  #: changed on the target, where no client can undo it


class Loss(NamedTuple):
    """Something of an object that does not arrive as it was: ``what``, and the ``reason``."""

    what: str
    reason: str
    code: LossCode = LossCode.OTHER

    @property
    def may_heal(self) -> bool:
        """Whether another attempt may bring what was lost: the source was asked, and refused."""
        return self.code in (LossCode.NOT_DELIVERED, LossCode.NOT_LISTED, LossCode.NOT_WHOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment; ``creation_time`` and ``last_update_time`` are None on old servers.

    Here and below, ``losses`` are what an endpoint itself says is missing of an object.
    """

    experiment_id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle_stage: str = ACTIVE
    artifact_location: str = ""
    creation_time: int | None = None
    last_update_time: int | None = None
    losses: tuple[Loss, ...] = ()

    @property
    def ref(self) -> Ref:
        """What names it."""
        return experiment_ref(self.experiment_id)


class Metric(NamedTuple):
    """One point of a metric's history; ``value`` may be NaN, ``step`` may be negative."""

    key: str
    value: float
    timestamp: int
    step: int


#: What MLflow's SQL stores keep in place of infinity.
LARGEST = 1.7976931348623157e308


def as_stored(point: Metric) -> Metric:
    """Return a point as MLflow's SQL stores keep it: infinity as the largest float."""
    if not math.isinf(point.value):
        return point
    return point._replace(value=math.copysign(LARGEST, point.value))


def identity_of(point: Metric) -> tuple[object, ...]:
    """Return what two answers of a server have in common that tell of the same point."""
    key, value, timestamp, step = as_stored(point)
    return key, "NaN" if math.isnan(value) else value, timestamp, step


def holds_point(points: Iterable[Metric], wanted: Metric) -> bool:
    """Say whether a point is among others."""
    identity = identity_of(wanted)
    return any(point.step == wanted.step and identity_of(point) == identity for point in points)


class ModelOutput(NamedTuple):
    """A logged model that a run made, and the step at which it did."""

    model_id: str
    step: int = 0


class ModelLinks(NamedTuple):
    """The logged models that a run names as its inputs and its outputs, each once."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[ModelOutput, ...] = ()

    @property
    def model_ids(self) -> frozenset[str]:
        """Ids of all of them."""
        return frozenset((*self.inputs, *(output.model_id for output in self.outputs)))


NO_LINKS = ModelLinks()


@value
class Run:
    """A run without its metric histories: ``latest_metrics`` holds one point per metric key.

    ``inputs`` are MLflow's dataset inputs as JSON: ``{"dataset": {...}, "tags": [{key, value}]}``.
    ``links`` are the logged models that it names: a search shows outputs only, ``model_links``
    of an endpoint all of them. When it was deleted no server tells, only what one keeps.
    """

    run_id: str
    experiment_id: str
    name: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str = ACTIVE
    artifact_uri: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    latest_metrics: tuple[Metric, ...] = ()
    inputs: tuple[Mapping[str, Any], ...] = ()
    links: ModelLinks = NO_LINKS
    deleted_time: int | None = None
    losses: tuple[Loss, ...] = ()

    @property
    def ref(self) -> Ref:
        """What names it."""
        return run_ref(self.run_id)


def input_name(item: Mapping[str, Any]) -> str:
    """Return what a dataset input of a run is called in losses and differences."""
    dataset = item.get("dataset") or {}
    return f"dataset input {str(dataset.get('name'))[:60]!r} ({str(dataset.get('digest'))[:36]})"


def run_info(run: Run) -> dict[str, Any]:
    """Return what MLflow calls a run's info, under the names of its clients.

    Those with ``_`` in front are for people: mlflow-export-import writes them beside the others.
    """
    return {
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "user_id": run.user_id,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "lifecycle_stage": run.lifecycle_stage,
        "artifact_uri": run.artifact_uri,
        "run_name": run.name,
        "_start_time": readable_time(run.start_time),
        "_end_time": readable_time(run.end_time),
    }


class ModelMetric(NamedTuple):
    """One point of a logged model's metrics; the run it was logged in, and on which dataset."""

    key: str
    value: float
    timestamp: int
    step: int
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A logged model (MLflow 3) with the whole history of its metrics.

    ``status`` is MLflow's word without its prefix: PENDING, READY or UPLOAD_FAILED. A deleted one
    is found by its id only.
    """

    model_id: str
    experiment_id: str
    name: str
    model_type: str = ""
    status: str = "READY"
    status_message: str = ""
    source_run_id: str = ""
    lifecycle_stage: str = ACTIVE
    artifact_uri: str = ""
    creation_time: int | None = None
    last_update_time: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[ModelMetric, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def ref(self) -> Ref:
        """What names it."""
        return logged_model_ref(self.model_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A registered model or, with ``kind`` PROMPT, a prompt; ``aliases`` name version numbers.

    ``latest_versions`` are numbers that it names itself, one for each stage; not by every endpoint.
    """

    name: str
    kind: Kind = Kind.REGISTERED_MODEL
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None
    losses: tuple[Loss, ...] = ()
    latest_versions: tuple[int, ...] = field(default=(), compare=False)

    @property
    def ref(self) -> Ref:
        """What names it."""
        return Ref(self.kind, self.name)

    @property
    def version_kind(self) -> Kind:
        """The kind of its versions."""
        kind = self.kind.versions
        assert kind is not None, f"{self.kind} has no versions"
        return kind


def kind_by_tags(tags: Mapping[str, str]) -> Kind:
    """Say whether tags are those of a prompt: MLflow keeps them among registered models."""
    is_prompt = tags.get(IS_PROMPT_TAG, "").lower() == "true"
    return Kind.PROMPT if is_prompt else Kind.REGISTERED_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A version of a registered model or a prompt.

    ``model_id`` is the logged model it was made of, where the server says so or its ``source``
    does; ``stage`` is "None" where there is none; ``aliases`` are those that point here.
    """

    name: str
    version: int
    kind: Kind = Kind.MODEL_VERSION
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    stage: str = NO_STAGE
    status: str = "READY"
    status_message: str = ""
    user_id: str = ""
    creation_time: int | None = None
    last_update_time: int | None = None
    losses: tuple[Loss, ...] = ()

    @property
    def ref(self) -> Ref:
        """What names it: a registered model's name holds no slash."""
        return version_ref(self.kind, self.name, self.version)

    @property
    def is_of_prompt(self) -> bool:
        """True for a version of a prompt, which has text in place of files, and no stage."""
        return self.kind is Kind.PROMPT_VERSION

    @property
    def model(self) -> Ref:
        """What names the registered model or prompt that it is a version of."""
        kind = self.kind.container
        assert kind is not None, f"{self.kind} is no kind of a version"
        return Ref(kind, self.name)


class VersionRun(NamedTuple):
    """What the run of a version says of itself; empty where it is not known."""

    artifact_uri: str = ""
    experiment_name: str = ""


NO_RUN = VersionRun()


class Grant(NamedTuple):
    """A permission that somebody has on an object, in the words of the server it is from.

    ``kind`` is ``user``, ``group`` or ``service_principal``; Unity Catalog tells none. What is
    ``inherited`` belongs to something above the object.
    """

    principal: str
    permission: str
    kind: str = "user"
    inherited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Who may do what with an object; ``grants`` is what ``document`` says.

    ``dialect`` tells whose words these are; it is empty where nothing is known. ``document`` is
    JSON as the server gave it, which exports keep.
    """

    dialect: str = ""
    grants: tuple[Grant, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


class Artifact(NamedTuple):
    """A file below an artifact root: ``path`` with ``/`` between its parts, ``size`` in bytes."""

    path: str
    size: int


class ArtifactRoot(NamedTuple):
    """Where one object's files live: the object (its ref at that endpoint) and MLflow's URI.

    The object is a run, a logged model or a version of a registered model.
    """

    owner: Ref
    uri: str
