"""What belongs to the gateway of a tracking server (MLflow 3.8)."""

from __future__ import annotations

import builtins
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from migrate.endpoints.shapes import (
    Object,
    flag,
    ident,
    integer,
    member,
    number,
    objects,
    pairs,
    required,
    required_text,
    text,
    told_id,
    version_number,
)
from migrate.endpoints.stores import Found, R
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import (
    GATEWAY,
    GATEWAY_BUDGETS,
    GATEWAY_ENDPOINTS,
    GATEWAY_GUARDRAILS,
    GATEWAY_MODELS,
    GATEWAY_SECRETS,
    NEWER_API,
)
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.errors import NotFound, Refused
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.gateway import (
    PLACEHOLDER,
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
    GuardedEndpoint,
    ModelConfig,
)


class _GatewayStore(RecordStore[R]):
    """A kind of the gateway, all of which have the same routes.

    ``noun`` is what its routes begin with, ``word`` and ``listed`` are what one of it and a list
    are called in answers, ``ident`` the member with its id.
    """

    noun: ClassVar[str]
    word: ClassVar[str]
    listed: ClassVar[str]
    ident: ClassVar[str]

    @abstractmethod
    def _from(self, body: Object) -> R:
        """Read one. Raises ``Malformed``."""

    @abstractmethod
    def _body(self, record: R) -> dict[str, Any]:
        """Return what a create and an update say of one, nothing of what is not there."""

    def _route(self, name: str) -> str:
        return f"{GATEWAY}/{self.noun}/{name}"

    def _id_of(self, record: R) -> str:
        found: str = getattr(record, self.ident)
        return found

    def list(self, containers: Sequence[str]) -> Iterator[R]:
        """See ``Store.list``."""
        form = Form(self.kind, lambda entry: Told(told_id(entry, self.ident)))
        pages = self._http.get_pages(self._route("list"), {})
        found = self._entries.all(pages, self.listed, form, self._from)
        yield from sorted(found, key=self._age)

    def _age(self, record: R) -> tuple[int, str]:
        created: int | None = getattr(record, "created_at")  # noqa: B009 - each of these has it
        return created or 0, self._id_of(record)

    def _read(self, ident: str) -> R:
        answer = self._http.get(self._route("get"), {self.ident: ident})
        return self._from(required(answer, self.word))

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[R]]]:
        """See ``Store.find``."""
        found: dict[str, builtins.list[Found[R]]] = {}
        for record in self.list(()):
            key: str = getattr(record, "name")  # noqa: B009 - each of these has one
            if keys is None or key in keys:
                found.setdefault(key, []).append(Found(record))
        return found

    def create(self, container: str, wanted: R) -> R:
        """See ``Store.create``."""
        answer = self._http.post(self._route("create"), self._body(wanted), idempotent=False)
        with read_once():
            return self._from(required(answer, self.word))

    def finish(self, copy: R, wanted: R, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``Store.finish``."""
        shown = self.read([self._id_of(copy)])
        if not shown:
            raise NotFound(f"{self.kind} {self._id_of(copy)} is not on the target any more")
        return self._update(shown[0], wanted)

    def _update(self, copy: R, wanted: R) -> Sequence[Loss]:
        old, new = self._body(copy), self._body(wanted)
        kept = [name for name in old if name not in new]
        if changed := {name: value for name, value in new.items() if value != old.get(name)}:
            body = {self.ident: self._id_of(copy), **changed}
            self._http.post(self._route("update"), body, idempotent=True)
        return tuple(Loss(name, "MLflow takes it off nothing that is there") for name in kept)

    def delete(self, copy: R) -> None:
        """See ``Store.delete``."""
        with suppress(NotFound):
            self._http.change("DELETE", self._route("delete"), {self.ident: self._id_of(copy)})


class GatewaySecretStore(_GatewayStore[GatewaySecret]):
    """Secrets: a copy has a placeholder for each value, which is never written again."""

    kind = Kind.GATEWAY_SECRET
    part = GATEWAY_SECRETS
    noun, word, listed, ident = "secrets", "secret", "secrets", "secret_id"

    def _from(self, body: Object) -> GatewaySecret:
        return GatewaySecret(
            secret_id=ident(body, "secret_id"),
            name=required_text(body, "secret_name"),
            provider=text(body, "provider"),
            auth_config=pairs(body, "auth_config"),
            keys=tuple(sorted(pairs(body, "masked_values"))),
            **_said_of(body),
        )

    def _body(self, record: GatewaySecret) -> dict[str, Any]:
        values = dict.fromkeys(record.keys or ("api_key",), PLACEHOLDER)
        body: dict[str, Any] = {"secret_name": record.name, "secret_value": values}
        return body | ({"provider": record.provider} if record.provider else {})

    def _update(self, copy: GatewaySecret, wanted: GatewaySecret) -> Sequence[Loss]:
        fixed = [it for it in ("provider",) if getattr(copy, it) != getattr(wanted, it)]
        losses = [Loss(it, "MLflow changes it on no secret that is there") for it in fixed]
        if copy.auth_config != wanted.auth_config:
            body = {"secret_id": copy.secret_id, "auth_config": dict(wanted.auth_config)}
            try:
                self._http.post(self._route("update"), body, idempotent=True)
            except Refused as problem:
                losses.append(Loss("auth_config", f"refused by the target: {problem}"))
        return losses


class GatewayModelStore(_GatewayStore[GatewayModel]):
    """Model definitions."""

    kind = Kind.GATEWAY_MODEL
    part = GATEWAY_MODELS
    noun, word, listed = "model-definitions", "model_definition", "model_definitions"
    ident = "model_definition_id"

    def _from(self, body: Object) -> GatewayModel:
        return GatewayModel(
            model_definition_id=ident(body, "model_definition_id"),
            name=required_text(body, "name"),
            provider=text(body, "provider"),
            model_name=text(body, "model_name"),
            secret_id=text(body, "secret_id"),
            **_said_of(body),
        )

    def _body(self, record: GatewayModel) -> dict[str, Any]:
        names = ("name", "provider", "model_name", "secret_id")
        return {name: getattr(record, name) for name in names}


class GatewayEndpointStore(_GatewayStore[GatewayEndpoint]):
    """Endpoints, with their models and tags."""

    kind = Kind.GATEWAY_ENDPOINT
    part = GATEWAY_ENDPOINTS
    noun, word, listed, ident = "endpoints", "endpoint", "endpoints", "endpoint_id"

    def _from(self, body: Object) -> GatewayEndpoint:
        return GatewayEndpoint(
            endpoint_id=ident(body, "endpoint_id"),
            name=required_text(body, "name"),
            model_configs=tuple(sorted(map(_config_from, objects(body, "model_mappings")))),
            routing_strategy=text(body, "routing_strategy"),
            fallback_config=dict(member(body, "fallback_config")),
            experiment_id=text(body, "experiment_id"),
            usage_tracking=flag(body, "usage_tracking"),
            tags=pairs(body, "tags"),
            **_said_of(body),
        )

    def _body(self, record: GatewayEndpoint) -> dict[str, Any]:
        body: dict[str, Any] = {"name": record.name, "usage_tracking": record.usage_tracking}
        body["model_configs"] = [_given(it._asdict()) for it in record.model_configs]
        names = ("routing_strategy", "fallback_config", "experiment_id")
        return body | {name: value for name in names if (value := getattr(record, name))}

    def _update(self, copy: GatewayEndpoint, wanted: GatewayEndpoint) -> Sequence[Loss]:
        # Where the original's is not copied, MLflow has given the copy one of its own.
        own = wanted.experiment_id or copy.experiment_id
        refused = super()._update(copy, replace(wanted, experiment_id=own))
        for key, value in sorted(wanted.tags.items()):
            if copy.tags.get(key) != value:
                tag = {"endpoint_id": copy.endpoint_id, "key": key, "value": value}
                self._http.post(self._route("set-tag"), tag, idempotent=True)
        for key in sorted(copy.tags.keys() - wanted.tags.keys()):
            tag = {"endpoint_id": copy.endpoint_id, "key": key}
            with suppress(NotFound):
                self._http.change("DELETE", self._route("delete-tag"), tag)
        return refused


class GatewayBudgetStore(_GatewayStore[GatewayBudget]):
    """Budget policies."""

    kind = Kind.GATEWAY_BUDGET
    part = GATEWAY_BUDGETS
    noun, word, listed = "budgets", "budget_policy", "budget_policies"
    ident = "budget_policy_id"

    def _from(self, body: Object) -> GatewayBudget:
        return GatewayBudget(
            budget_policy_id=ident(body, "budget_policy_id"),
            budget_unit=text(body, "budget_unit"),
            budget_amount=number(body, "budget_amount"),
            duration=dict(member(body, "duration")),
            target_scope=text(body, "target_scope"),
            budget_action=text(body, "budget_action"),
            target_value=text(body, "target_value"),
            **_said_of(body),
        )

    def _body(self, record: GatewayBudget) -> dict[str, Any]:
        names = ("budget_unit", "budget_amount", "duration", "target_scope", "budget_action")
        body = {name: getattr(record, name) for name in names}
        return body | ({"target_value": record.target_value} if record.target_value else {})


class GatewayGuardrailStore(_GatewayStore[GatewayGuardrail]):
    """Guardrails; MLflow changes none that is there, but for the endpoints that it guards."""

    kind = Kind.GATEWAY_GUARDRAIL
    part = GATEWAY_GUARDRAILS
    noun, word, listed, ident = "guardrails", "guardrail", "guardrails", "guardrail_id"

    def list(self, containers: Sequence[str]) -> Iterator[GatewayGuardrail]:
        """See ``Store.list``."""
        return self._with_endpoints(super().list(containers))

    def read(self, ids: Sequence[str]) -> builtins.list[GatewayGuardrail]:
        """See ``Store.read``."""
        return builtins.list(self._with_endpoints(super().read(ids)))

    def _with_endpoints(self, found: Iterable[GatewayGuardrail]) -> Iterator[GatewayGuardrail]:
        guardrails = builtins.list(found)
        guarded: dict[str, builtins.list[GuardedEndpoint]] = {}
        for page in self._http.get_pages(f"{GATEWAY}/endpoints/list", {}) if guardrails else ():
            for endpoint in objects(page, "endpoints"):
                place = ident(endpoint, "endpoint_id")
                answer = self._http.get(self._route("list-for-endpoint"), {"endpoint_id": place})
                for config in objects(answer, "configs"):
                    at = GuardedEndpoint(place, integer(config, "execution_order"))
                    guarded.setdefault(ident(config, "guardrail_id"), []).append(at)
        for it in guardrails:
            yield replace(it, endpoints=tuple(sorted(guarded.get(it.guardrail_id, ()))))

    def _from(self, body: Object) -> GatewayGuardrail:
        scorer = required(body, "scorer")
        experiment = str(scorer.get("experiment_id", ""))
        return GatewayGuardrail(
            guardrail_id=ident(body, "guardrail_id"),
            name=required_text(body, "name"),
            scorer=f"{experiment}/{required_text(scorer, 'scorer_name')}",
            scorer_version=version_number(scorer, "scorer_version"),
            stage=text(body, "stage"),
            action=text(body, "action"),
            action_endpoint_id=text(body, "action_endpoint_id"),
            **_said_of(body),
        )

    def _body(self, record: GatewayGuardrail) -> dict[str, Any]:
        experiment_id, _, name = record.scorer.partition("/")
        asked = {"experiment_id": experiment_id, "name": name}
        answer = self._http.get(f"{NEWER_API}/scorers/versions", asked)
        scorer = next(iter(objects(answer, "scorers")), {})
        names = ("name", "scorer_version", "stage", "action", "action_endpoint_id")
        body = {name: value for name in names if (value := getattr(record, name))}
        return {**body, "scorer_id": ident(scorer, "scorer_id")}

    def _update(self, copy: GatewayGuardrail, wanted: GatewayGuardrail) -> Sequence[Loss]:
        fixed = ("name", "scorer", "scorer_version", "stage", "action", "action_endpoint_id")
        kept = [it for it in fixed if getattr(copy, it) != getattr(wanted, it)]
        there = {it.endpoint_id: it for it in copy.endpoints}
        for endpoint in wanted.endpoints:
            one = {"guardrail_id": copy.guardrail_id, **_given(endpoint._asdict())}
            if endpoint.endpoint_id not in there:
                self._http.post(self._route("add-to-endpoint"), one, idempotent=False)
            elif there[endpoint.endpoint_id] != endpoint:
                self._http.change("PATCH", self._route("update-config"), one)
        for place in sorted(there.keys() - {it.endpoint_id for it in wanted.endpoints}):
            one = {"guardrail_id": copy.guardrail_id, "endpoint_id": place}
            with suppress(NotFound):
                self._http.change("DELETE", self._route("remove-from-endpoint"), one)
        return tuple(Loss(it, "MLflow changes it on no guardrail that is there") for it in kept)


def _said_of(body: Object) -> dict[str, Any]:
    """Read when one was made and changed, and by whom."""
    times = {name: integer(body, name) for name in ("created_at", "last_updated_at")}
    return times | {name: text(body, name) for name in ("created_by", "last_updated_by")}


def _config_from(body: Object) -> ModelConfig:
    return ModelConfig(
        model_definition_id=ident(body, "model_definition_id"),
        linkage_type=text(body, "linkage_type"),
        weight=number(body, "weight"),
        fallback_order=integer(body, "fallback_order"),
    )


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
