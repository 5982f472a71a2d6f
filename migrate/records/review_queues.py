"""Review queues: which traces whom is asked about (MLflow 3.14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

PENDING = "PENDING"


class ReviewItem(NamedTuple):
    """A trace in a queue, and what has become of it, in MLflow's words."""

    item_id: str
    item_type: str = "TRACE"
    status: str = PENDING
    completed_by: str = ""
    completed_time_ms: int | None = None
    creation_time_ms: int | None = None
    last_update_time_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQueue:
    """A queue of an experiment with all its items, in order of their ids.

    One of ``queue_type`` USER is its user's own, and asks all questions of the experiment; one that
    is CUSTOM asks those of ``schema_ids``. ``created_by`` owns it.
    """

    queue_id: str
    experiment_id: str
    name: str
    queue_type: str = "CUSTOM"
    users: tuple[str, ...] = ()
    schema_ids: tuple[str, ...] = ()
    items: tuple[ReviewItem, ...] = ()
    created_by: str = ""
    creation_time_ms: int | None = None
    last_update_time_ms: int | None = None

    @property
    def key(self) -> str:
        """By what it is found again: MLflow's names of queues are the same in any case."""
        return self.name.lower()
