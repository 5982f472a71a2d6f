"""The vocabulary every part shares: kinds, refs, actions, and MLflow's objects as plain records.

Records hold what MLflow's REST API returns, with MLflow's names; times are epoch milliseconds,
sizes are bytes. They know nothing of servers, files or plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What a task copies. ``DELETION`` is the last step of a deleted experiment, after its runs."""

    EXPERIMENT = "experiment"
    RUN = "run"
    DELETION = "deletion"
    LOGGED_MODEL = "logged model"
    TRACE = "trace"
    REGISTERED_MODEL = "registered model"
    PROMPT = "prompt"

    @property
    def plural(self) -> str:
        """The kind as a column or line heading."""
        return f"{self}s"


class Ref(NamedTuple):
    """Names one object of the source: its kind and the id it has there."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


def parse_ref(text: str) -> Ref:
    """Read back what ``str(ref)`` wrote. Raises ``ValueError`` on anything else."""
    kind, _, ident = text.partition(":")
    return Ref(Kind(kind), ident)


class Action(StrEnum):
    """What the plan does with an object."""

    CREATE = "create"  #: it is not on the target
    ADOPT = "adopt"  #: it is there already: checked, completed where needed
    UPDATE = "update"  #: it is there, and the source has changed since
    SKIP = "skip"  #: the user's selection leaves it out
    UNSUPPORTED = "unsupported"  #: the target, or this version of the tool, cannot take it


ACTIVE = "active"
DELETED = "deleted"
FINAL_RUN_STATUSES = frozenset({"FINISHED", "FAILED", "KILLED"})

NOTE_TAG = "mlflow.note.content"
PARENT_RUN_TAG = "mlflow.parentRunId"
ROOT_RUN_TAG = "mlflow.rootRunId"
RUN_NAME_TAG = "mlflow.runName"
MODEL_HISTORY_TAG = "mlflow.log-model.history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment; ``creation_time`` and ``last_update_time`` are None on old servers."""

    experiment_id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle_stage: str = ACTIVE
    artifact_location: str = ""
    creation_time: int | None = None
    last_update_time: int | None = None


class Metric(NamedTuple):
    """One point of a metric's history; ``value`` may be NaN, ``step`` may be negative."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run without its metric histories: ``latest_metrics`` holds one point per metric key.

    ``inputs`` are MLflow's dataset inputs as JSON: ``{"dataset": {...}, "tags": [{key, value}]}``.
    ``model_ids`` are the logged models that its inputs and outputs name, where the server tells.
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
    model_ids: tuple[str, ...] = ()


class Artifact(NamedTuple):
    """A file below an artifact root: ``path`` with ``/`` between its parts, ``size`` in bytes."""

    path: str
    size: int


class ArtifactRoot(NamedTuple):
    """Where one object's files live: the object (its ref at that endpoint) and MLflow's URI."""

    owner: Ref
    uri: str
