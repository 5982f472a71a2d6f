"""What belongs to the gateway of a database that is written to."""

from __future__ import annotations

import dataclasses
import json
import logging
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from migrate.endpoints.database.reading import Row, is_
from migrate.endpoints.database.stores.entries import numbers
from migrate.endpoints.database.stores.gateway import (
    GatewayBudgetStore,
    GatewayEndpointStore,
    GatewayGuardrailStore,
    GatewayModelStore,
    GatewaySecretStore,
)
from migrate.endpoints.database.target.below import Below
from migrate.endpoints.database.target.record import WrittenRecordStore
from migrate.endpoints.database.target.transaction import Transaction
from migrate.endpoints.importing import IMPORTING
from migrate.endpoints.stores import Identity
from migrate.errors import Refused
from migrate.objects import Loss
from migrate.records.gateway import (
    PLACEHOLDER,
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
    ModelConfig,
)

_MADE = ("created_at", "last_updated_at")
_ONCE = ("created_at", "created_by")
_MODELS, _TAGS, _GUARDED = "endpoint_model_mappings", "endpoint_tags", "guardrail_configs"
_FALLBACK = "FALLBACK"


class WrittenSecretStore(WrittenRecordStore[GatewaySecret], GatewaySecretStore):
    """Secrets: values that come encrypted stay so, and others are a placeholder each.

    Neither is ever written again. A placeholder is encrypted as MLflow does, with the passphrase
    that this process is given for that (``MLFLOW_CRYPTO_KEK_PASSPHRASE``), or MLflow's own.
    """

    identity = Identity.NAMED
    named = ("secret_name", "name")
    times = _MADE
    own = ("keys",)

    def _made_with(self, record: GatewaySecret) -> Row:
        if record.sealed:
            return record.sealed._asdict()
        with IMPORTING:
            from mlflow.utils.crypto import _encrypt_secret, _mask_secret_value

        values = dict.fromkeys(record.keys or ("api_key",), PLACEHOLDER)
        key = self._passphrase
        made = _encrypt_secret(json.dumps(values), key, record.secret_id, record.name)
        return {
            "encrypted_value": made.encrypted_value,
            "wrapped_dek": made.wrapped_dek,
            "kek_version": made.kek_version,
            "masked_value": json.dumps(_mask_secret_value(values)),
        }

    @cached_property
    def _passphrase(self) -> Any:
        """What encrypts the keys of secrets, which takes a while to make."""
        with IMPORTING:
            from mlflow.utils import crypto

        logger = logging.getLogger(crypto.__name__)
        level = logger.level
        logger.setLevel(logging.ERROR)  # a placeholder needs no passphrase of its own
        try:
            return crypto.KEKManager()
        finally:
            logger.setLevel(level)


class WrittenGatewayModelStore(WrittenRecordStore[GatewayModel], GatewayModelStore):
    """Model definitions."""

    identity = Identity.NAMED
    named = ("name", "name")
    times = _MADE


class WrittenEndpointStore(WrittenRecordStore[GatewayEndpoint], GatewayEndpointStore):
    """Endpoints, with their models and tags."""

    identity = Identity.NAMED
    named = ("name", "name")
    times = _MADE
    below = (
        Below(
            _MODELS,
            "endpoint_id",
            ("model_definition_id", "linkage_type"),
            ident="mapping_id",
            prefix="m-",
            times=("created_at",),
            once=_ONCE,
        ),
        Below(_TAGS, "endpoint_id", ("key",)),
    )

    def _fitting(
        self, container: str, wanted: GatewayEndpoint, there: GatewayEndpoint | None
    ) -> tuple[GatewayEndpoint, Sequence[Loss]]:
        # Where the original's is not copied, a server may have given the copy one of its own.
        own = wanted.experiment_id or (there.experiment_id if there else "")
        return dataclasses.replace(wanted, experiment_id=own), ()

    def _given(self, transaction: Transaction, record: GatewayEndpoint) -> Row:
        after = [it for it in record.model_configs if it.linkage_type == _FALLBACK]
        ids = [it.model_definition_id for it in sorted(after, key=_place)]
        if not (record.fallback_config or ids):
            return {"fallback_config_json": None}
        said = {name: record.fallback_config.get(name) for name in ("strategy", "max_attempts")}
        return {"fallback_config_json": json.dumps({**said, "model_definition_ids": ids})}

    def _rows_below(
        self, transaction: Transaction, record: GatewayEndpoint, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        made = {"created_at": record.created_at, "created_by": record.created_by or None}
        models = [
            {**it._asdict(), "weight": _as_kept(it.weight), **made} for it in record.model_configs
        ]
        tags = [{"key": key, "value": value} for key, value in record.tags.items()]
        return {_MODELS: models, _TAGS: tags}


class WrittenBudgetStore(WrittenRecordStore[GatewayBudget], GatewayBudgetStore):
    """Budget policies."""

    times = _MADE

    def _given(self, transaction: Transaction, record: GatewayBudget) -> Row:
        lasts = record.duration
        return {"duration_unit": lasts.get("unit"), "duration_value": lasts.get("value")}


class WrittenGuardrailStore(WrittenRecordStore[GatewayGuardrail], GatewayGuardrailStore):
    """Guardrails, with the endpoints that they guard."""

    times = _MADE
    below = (Below(_GUARDED, "guardrail_id", ("endpoint_id",), times=("created_at",), once=_ONCE),)

    def _given(self, transaction: Transaction, record: GatewayGuardrail) -> Row:
        place, _, name = record.scorer.partition("/")
        for number in numbers([place]):
            mine = (is_("experiment_id", number), is_("scorer_name", name))
            for row in transaction.rows("scorers", ("scorer_id",), *mine):
                return {"scorer_id": row["scorer_id"]}
        raise Refused(f"its scorer {record.scorer!r} is not in {self._written.shown}")

    def _rows_below(
        self, transaction: Transaction, record: GatewayGuardrail, row: Row
    ) -> Mapping[str, Iterable[Row]]:
        made = {"created_at": record.created_at, "created_by": record.created_by or None}
        return {_GUARDED: [{**it._asdict(), **made} for it in record.endpoints]}


def _place(config: ModelConfig) -> tuple[int, str]:
    return config.fallback_order or 0, config.model_definition_id


def _as_kept(weight: float) -> float:
    """Return a weight as MLflow keeps it: what is left of it in the API's four bytes."""
    kept: float = struct.unpack("<f", struct.pack("<f", weight))[0]
    return kept
