"""The records of evaluation datasets as JSON, on servers and in files. Pure."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.shapes import Object, integer, member, required, text
from migrate.records.evaluation_datasets import DatasetRecord


def record_from(body: Object) -> DatasetRecord:
    """Read a record. Raises ``Malformed``."""
    return DatasetRecord(
        inputs=required(body, "inputs"),
        outputs=body.get("outputs"),
        expectations=_optional(body, "expectations"),
        tags=member(body, "tags"),
        source=_optional(body, "source"),
        dataset_record_id=text(body, "dataset_record_id"),
        created_time=integer(body, "created_time"),
        last_update_time=integer(body, "last_update_time"),
        created_by=text(body, "created_by"),
        last_updated_by=text(body, "last_updated_by"),
    )


def _optional(body: Object, name: str) -> Object | None:
    return None if body.get(name) is None else member(body, name)


def record_to(record: DatasetRecord) -> dict[str, Any]:
    """Return a record as MLflow takes it: without ``outputs`` it would make up empty ones."""
    body: dict[str, Any] = {"inputs": record.inputs, "outputs": record.outputs}
    for name in ("expectations", "source"):
        if (value := getattr(record, name)) is not None:
            body[name] = value
    return {**body, "tags": record.tags}


def record_as_kept(record: DatasetRecord) -> dict[str, Any]:
    """Return a record with its id, times and users, as files keep it."""
    names = ("dataset_record_id", "created_time", "last_update_time", "created_by")
    said = {name: getattr(record, name) for name in (*names, "last_updated_by")}
    return {**{name: value for name, value in said.items() if value}, **record_to(record)}
