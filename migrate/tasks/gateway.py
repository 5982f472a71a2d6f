"""Copies what belongs to the gateway. Nothing on it says whose copy it is: it is found by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from migrate.endpoints.stores import Identity, R
from migrate.kinds import Kind, Ref, experiment_ref
from migrate.outcomes import Loss
from migrate.records.gateway import (
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
)
from migrate.tasks.added import joined
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.wanted import Need, Place, Wanted

SECRET = Loss("value", "no server tells it: set it on the copy, which has a placeholder")
ENDPOINT = "ENDPOINT"
SEALED = (
    "a value that comes from a database is encrypted: a server on the target opens it with the "
    "passphrase of the source's (MLFLOW_CRYPTO_KEK_PASSPHRASE), or it has to be set there"
)
#: What each endpoint may give out itself, beside ids.
_GIVEN_OUT = ("created_at", "created_by", "last_updated_at", "last_updated_by")


class _OfGateway(RecordCarrier[R]):
    """A kind of the gateway; ``ident`` is the member with its id."""

    ident: ClassVar[str]

    def ref(self, record: R) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, getattr(record, self.ident))

    def name(self, record: R) -> str:
        """See ``RecordCarrier.name``."""
        name: str = getattr(record, "name")  # noqa: B009 - each of these has one
        return name

    def key(self, record: R, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return self.name(record) if identity is Identity.NAMED else self.ref(record).id

    def wanted(self, record: R, place: Place) -> Wanted[R]:
        """See ``RecordCarrier.wanted``: what it names are the copies, where ids are given out."""
        if place.target.archive:
            return Wanted(record)
        lost = tuple(
            Loss(need.why, f"{need.ref} is not copied")
            for need in self.needs(record)
            if need.ref not in place.copies
        )
        return Wanted(self.rewritten(record, place.copies), lost)

    def rewritten(self, record: R, copies: Mapping[Ref, str]) -> R:
        """Return a record that names the copies of what its original names."""
        return record

    def differences(self, wanted: R, copy: R) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        for what, old, new in super().differences(wanted, copy):
            if what not in (self.ident, *_GIVEN_OUT):
                yield what, old, new


class GatewaySecrets(_OfGateway[GatewaySecret]):
    """Secrets, whose values the user has to set but where both ends are databases."""

    kind = Kind.GATEWAY_SECRET
    guarded = True
    ident = "secret_id"
    colours = ("#f0ead6", "#7a5c00")

    def wanted(self, record: GatewaySecret, place: Place) -> Wanted[GatewaySecret]:
        """See ``RecordCarrier.wanted``: values that are encrypted go where they can be kept so."""
        if record.sealed and place.target.keeps_sealed:
            return Wanted(record, (), (SEALED,))
        return Wanted(dataclasses.replace(record, sealed=None), (SECRET,))

    def differences(
        self, wanted: GatewaySecret, copy: GatewaySecret
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``. Its values are for the user to set."""
        return (it for it in super().differences(wanted, copy) if it[0] != "keys")


class GatewayModels(_OfGateway[GatewayModel]):
    """Model definitions."""

    kind = Kind.GATEWAY_MODEL
    guarded = True
    ident = "model_definition_id"
    colours = ("#e6eaf0", "#37527a")

    def needs(self, record: GatewayModel) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        if record.secret_id:
            yield Need(Ref(Kind.GATEWAY_SECRET, record.secret_id), "the secret of")

    def rewritten(self, record: GatewayModel, copies: Mapping[Ref, str]) -> GatewayModel:
        """See ``_OfGateway.rewritten``."""
        secret = copies.get(Ref(Kind.GATEWAY_SECRET, record.secret_id), "")
        return dataclasses.replace(record, secret_id=secret)


class GatewayEndpoints(_OfGateway[GatewayEndpoint]):
    """Endpoints; those that use them are bound to them by MLflow itself."""

    kind = Kind.GATEWAY_ENDPOINT
    guarded = True
    ident = "endpoint_id"
    colours = ("#dceeff", "#0b5394")

    def needs(self, record: GatewayEndpoint) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        for config in record.model_configs:
            yield Need(Ref(Kind.GATEWAY_MODEL, config.model_definition_id), "a model of")
        if record.experiment_id:
            yield Need(experiment_ref(record.experiment_id), "the experiment of", along=False)

    def rewritten(self, record: GatewayEndpoint, copies: Mapping[Ref, str]) -> GatewayEndpoint:
        """See ``_OfGateway.rewritten``."""
        return dataclasses.replace(
            record,
            experiment_id=copies.get(experiment_ref(record.experiment_id), ""),
            model_configs=tuple(
                sorted(
                    config._replace(model_definition_id=copy)
                    for config in record.model_configs
                    if (copy := copies.get(Ref(Kind.GATEWAY_MODEL, config.model_definition_id)))
                )
            ),
        )

    def with_added(self, wanted: GatewayEndpoint, copy: GatewayEndpoint) -> Wanted[GatewayEndpoint]:
        """See ``RecordCarrier.with_added``: tags."""
        return Wanted(dataclasses.replace(wanted, tags=joined(wanted.tags, copy.tags)))

    def differences(
        self, wanted: GatewayEndpoint, copy: GatewayEndpoint
    ) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``. MLflow gives each an experiment."""
        for what, old, new in super().differences(wanted, copy):
            if what != "experiment_id" or wanted.experiment_id:
                yield what, old, new


class GatewayBudgets(_OfGateway[GatewayBudget]):
    """Budget policies, which have no names: they are found by what they are for."""

    kind = Kind.GATEWAY_BUDGET
    ident = "budget_policy_id"
    colours = ("#e8f5e9", "#33691e")

    def needs(self, record: GatewayBudget) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        if record.target_scope == ENDPOINT:
            yield Need(Ref(Kind.GATEWAY_ENDPOINT, record.target_value), "the endpoint of")

    def rewritten(self, record: GatewayBudget, copies: Mapping[Ref, str]) -> GatewayBudget:
        """See ``_OfGateway.rewritten``."""
        if record.target_scope != ENDPOINT:
            return record
        endpoint = copies.get(Ref(Kind.GATEWAY_ENDPOINT, record.target_value), "")
        return dataclasses.replace(record, target_value=endpoint)


class GatewayGuardrails(_OfGateway[GatewayGuardrail]):
    """Guardrails, each with the endpoints that it guards."""

    kind = Kind.GATEWAY_GUARDRAIL
    ident = "guardrail_id"
    colours = ("#fde0dc", "#8c2f1b")

    def needs(self, record: GatewayGuardrail) -> Iterable[Need]:
        """See ``RecordCarrier.needs``."""
        yield Need(Ref(Kind.SCORER, record.scorer), "the scorer of")
        for ident in {record.action_endpoint_id, *(it.endpoint_id for it in record.endpoints)}:
            if ident:
                yield Need(Ref(Kind.GATEWAY_ENDPOINT, ident), "an endpoint of")

    def rewritten(self, record: GatewayGuardrail, copies: Mapping[Ref, str]) -> GatewayGuardrail:
        """See ``_OfGateway.rewritten``."""

        def copy_of(ident: str) -> str:
            return copies.get(Ref(Kind.GATEWAY_ENDPOINT, ident), "")

        endpoints = (it._replace(endpoint_id=copy_of(it.endpoint_id)) for it in record.endpoints)
        changed: dict[str, Any] = {"scorer": copies.get(Ref(Kind.SCORER, record.scorer), "")}
        changed["action_endpoint_id"] = copy_of(record.action_endpoint_id)
        changed["endpoints"] = tuple(sorted(it for it in endpoints if it.endpoint_id))
        return dataclasses.replace(record, **changed)

    def with_added(
        self, wanted: GatewayGuardrail, copy: GatewayGuardrail
    ) -> Wanted[GatewayGuardrail]:
        """See ``RecordCarrier.with_added``: endpoints that it guards."""
        mine, theirs = ({it.endpoint_id: it for it in one.endpoints} for one in (wanted, copy))
        endpoints = tuple(sorted(joined(mine, theirs).values()))
        return Wanted(dataclasses.replace(wanted, endpoints=endpoints))
