"""Evaluation datasets (MLflow 3.4) and the records in them, which are read page by page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class DatasetRecord(NamedTuple):
    """One record; its ``inputs`` tell it from the others of a dataset.

    ``source`` is MLflow's object with the type and the data of where it is from. What is None was
    never given.
    """

    inputs: Mapping[str, Any]
    outputs: Any = None
    expectations: Mapping[str, Any] | None = None
    tags: Mapping[str, Any] = {}
    source: Mapping[str, Any] | None = None
    dataset_record_id: str = ""
    created_time: int | None = None
    last_update_time: int | None = None
    created_by: str = ""
    last_updated_by: str = ""

    @property
    def key(self) -> str:
        """What tells it from the other records of its dataset."""
        return _digest(self.inputs)

    @property
    def content(self) -> str:
        """A digest of all else that is copied of it."""
        return _digest([self.outputs, self.expectations, self.tags, self.source])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationDataset:
    """An evaluation dataset without its records. It may belong to several experiments or none.

    ``schema`` and ``profile`` are JSON that MLflow makes of the records; ``digest`` is another
    whenever records are added.
    """

    dataset_id: str
    name: str
    experiment_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    schema: str = ""
    profile: str = ""
    created_by: str = ""
    last_updated_by: str = ""
    created_time: int | None = None
    last_update_time: int | None = None
