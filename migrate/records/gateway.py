"""What belongs to the gateway: secrets, models, endpoints, budgets and guardrails (MLflow 3.8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: What the values of a copied secret are until the user sets them.
PLACEHOLDER = "to-be-set-after-migration"


class Sealed(NamedTuple):
    """The values of a secret as a database has them: encrypted, by the key of that version.

    They open with the passphrase of the server that made them, for a secret of the same id and
    name. ``masked_value`` is what is shown of them.
    """

    encrypted_value: bytes
    wrapped_dek: bytes
    kek_version: int
    masked_value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySecret:
    """A secret without its values, which no server tells; ``keys`` are what they are called.

    ``sealed`` goes from a database into another: it is no part of what is compared, shown or put
    into files.
    """

    secret_id: str
    name: str
    provider: str = ""
    auth_config: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    sealed: Sealed | None = field(default=None, repr=False, compare=False)
    created_at: int | None = None
    created_by: str = ""
    last_updated_at: int | None = None
    last_updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayModel:
    """A model definition: a provider's model, and the secret that it is called with."""

    model_definition_id: str
    name: str
    provider: str = ""
    model_name: str = ""
    secret_id: str = ""
    created_at: int | None = None
    created_by: str = ""
    last_updated_at: int | None = None
    last_updated_by: str = ""


class ModelConfig(NamedTuple):
    """A model of an endpoint; ``linkage_type`` is PRIMARY or FALLBACK."""

    model_definition_id: str
    linkage_type: str = "PRIMARY"
    weight: float = 1.0
    fallback_order: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEndpoint:
    """An endpoint; ``experiment_id`` is where its calls are traced, if ``usage_tracking``."""

    endpoint_id: str
    name: str
    model_configs: tuple[ModelConfig, ...] = ()
    routing_strategy: str = ""
    fallback_config: Mapping[str, Any] = field(default_factory=dict)
    experiment_id: str = ""
    usage_tracking: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: int | None = None
    created_by: str = ""
    last_updated_at: int | None = None
    last_updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBudget:
    """A budget policy, in MLflow's words; ``target_value`` is an endpoint's id or a user."""

    budget_policy_id: str
    budget_unit: str = "USD"
    budget_amount: float = 0.0
    duration: Mapping[str, Any] = field(default_factory=dict)
    target_scope: str = "GLOBAL"
    budget_action: str = "ALERT"
    target_value: str = ""
    created_at: int | None = None
    created_by: str = ""
    last_updated_at: int | None = None
    last_updated_by: str = ""

    @property
    def name(self) -> str:
        """What people may call it; it has no name, and this is the same for its copy."""
        whose = self.target_value if self.target_scope == "USER" else ""
        duration = [self.duration.get("value"), self.duration.get("unit")]
        return json.dumps([self.target_scope, whose, self.budget_action, *duration])


class GuardedEndpoint(NamedTuple):
    """An endpoint that a guardrail stands before or behind, and its place among others."""

    endpoint_id: str
    execution_order: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayGuardrail:
    """A guardrail: a version of a scorer (``experiment/name``), and what is done with its word."""

    guardrail_id: str
    name: str
    scorer: str = ""
    scorer_version: int = 1
    stage: str = "BEFORE"
    action: str = "VALIDATION"
    action_endpoint_id: str = ""
    endpoints: tuple[GuardedEndpoint, ...] = ()
    created_at: int | None = None
    created_by: str = ""
    last_updated_at: int | None = None
    last_updated_by: str = ""
