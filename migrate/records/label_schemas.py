"""Label schemas: what people are asked of traces (MLflow 3.14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSchema:
    """A question of an experiment; ``type`` is MLflow's word.

    ``input`` is MLflow's object that says how it is answered. The one that ``is_default`` MLflow
    makes itself, where schemas are listed for the first time, and lets nobody change.
    """

    schema_id: str
    experiment_id: str
    name: str
    type: str = "FEEDBACK"
    input: Mapping[str, Any] = field(default_factory=dict)
    instruction: str | None = None
    enable_comment: bool = False
    is_default: bool = False
    created_by: str = ""
    created_at: int | None = None
    last_updated_at: int | None = None
