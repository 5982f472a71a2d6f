"""What belongs to the gateway in a database (MLflow 3.8); the values of secrets are encrypted."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from migrate.endpoints.database.json_columns import json_of
from migrate.endpoints.database.reading import Condition, Row
from migrate.endpoints.database.stores.entries import pairs
from migrate.endpoints.database.stores.record import More, RecordStore
from migrate.endpoints.shapes import as_object, ident, number, text
from migrate.errors import Malformed
from migrate.kinds import Kind
from migrate.records.gateway import (
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
    GuardedEndpoint,
    ModelConfig,
    Sealed,
)
from migrate.records.scorers import scorer_id


class GatewaySecretStore(RecordStore[GatewaySecret]):
    """Secrets: what they are called, as what is masked of them says."""

    kind = Kind.GATEWAY_SECRET
    record = GatewaySecret
    table = "secrets"
    key = "secret_id"
    made = "created_at"
    columns = {"name": "secret_name"}  # noqa: RUF012
    json = ("auth_config",)
    others = ("masked_value",)

    def _more(self, rows: Sequence[Row]) -> More:
        return lambda row: {
            "keys": sorted(as_object(json_of(row, "masked_value"), "masked_value")),
        }

    def _where(self, *where: Condition) -> Iterator[GatewaySecret]:
        found = [*super()._where(*where)]
        ids = [it.secret_id for it in found]
        rows = self._database.rows_of(self.table, (self.key, *Sealed._fields), self.key, ids)
        sealed = {row[self.key]: _sealed(row) for row in rows}
        for secret in found:
            yield dataclasses.replace(secret, sealed=sealed.get(secret.secret_id))


def _sealed(row: Row) -> Sealed | None:
    """Return the values of a secret as they are; None where they are none that would open."""
    encrypted, wrapped, version = (row[it] for it in Sealed._fields[:3])
    if not (isinstance(version, int) and encrypted and wrapped):
        return None
    return Sealed(bytes(encrypted), bytes(wrapped), version, row["masked_value"])


class GatewayModelStore(RecordStore[GatewayModel]):
    """Model definitions."""

    kind = Kind.GATEWAY_MODEL
    record = GatewayModel
    table = "model_definitions"
    key = "model_definition_id"
    made = "created_at"


class GatewayEndpointStore(RecordStore[GatewayEndpoint]):
    """Endpoints, with their models and tags."""

    kind = Kind.GATEWAY_ENDPOINT
    record = GatewayEndpoint
    table = "endpoints"
    key = "endpoint_id"
    made = "created_at"
    flags = ("usage_tracking",)
    others = ("fallback_config_json",)

    def _more(self, rows: Sequence[Row]) -> More:
        models = self._below(rows, "endpoint_model_mappings", ModelConfig._fields)
        tags = self._below(rows, "endpoint_tags", ("key", "value"))
        return lambda row: {
            "model_configs": sorted(map(_model, models[row[self.key]]), key=_place),
            "tags": pairs(tags[row[self.key]]),
            "fallback_config": _fallback(row),
        }


def _model(row: Row) -> dict[str, Any]:
    told = {name: row[name] for name in ModelConfig._fields if row[name] is not None}
    return told | {"weight": _as_float32(number(row, "weight"))}


def _place(config: dict[str, Any]) -> str:
    return ident(config, "model_definition_id")


def _fallback(row: Row) -> dict[str, Any] | None:
    """Return what the API says of it: which models it is about, they say themselves."""
    told = json_of(row, "fallback_config_json")
    if told is None:
        return None
    config = as_object(told, "fallback_config_json")
    names = ("strategy", "max_attempts")
    return {name: config[name] for name in names if config.get(name) is not None}


def _as_float32(value: float) -> float:
    """Return a number as the API gives it, which has it in four bytes: the shortest that is it."""
    try:
        short = struct.pack("<f", value)
    except OverflowError:
        raise Malformed(f"weight is {value}, more than the API has room for") from None
    told = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((it for it in told if struct.pack("<f", it) == short), value)


class GatewayBudgetStore(RecordStore[GatewayBudget]):
    """Budget policies."""

    kind = Kind.GATEWAY_BUDGET
    record = GatewayBudget
    table = "budget_policies"
    key = "budget_policy_id"
    made = "created_at"
    others = ("duration_unit", "duration_value")

    def _more(self, rows: Sequence[Row]) -> More:
        return lambda row: {
            "duration": {"unit": text(row, "duration_unit"), "value": row["duration_value"]},
        }


class GatewayGuardrailStore(RecordStore[GatewayGuardrail]):
    """Guardrails, with the endpoints that they guard."""

    kind = Kind.GATEWAY_GUARDRAIL
    record = GatewayGuardrail
    table = "guardrails"
    key = "guardrail_id"
    made = "created_at"
    others = ("scorer_id",)

    def _more(self, rows: Sequence[Row]) -> More:
        guarded = self._below(rows, "guardrail_configs", GuardedEndpoint._fields)
        columns = ("scorer_id", "experiment_id", "scorer_name")
        ids = [row["scorer_id"] for row in rows]
        scorers = {
            it["scorer_id"]: it
            for it in self._database.rows_of("scorers", columns, "scorer_id", ids)
        }

        def more(row: Row) -> dict[str, Any]:
            scorer = scorers.get(row["scorer_id"])
            if scorer is None:
                raise Malformed("its scorer is not there")
            endpoints = [
                {name: it[name] for name in GuardedEndpoint._fields if it[name] is not None}
                for it in guarded[row[self.key]]
            ]
            return {
                "scorer": scorer_id(ident(scorer, "experiment_id"), text(scorer, "scorer_name")),
                "endpoints": sorted(endpoints, key=lambda it: str(it.get("endpoint_id"))),
            }

        return more
