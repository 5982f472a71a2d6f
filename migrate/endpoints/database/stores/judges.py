"""Which endpoint of the gateway a serialized scorer asks: by its id in a database, else by name.

The members are those of MLflow's own (``mlflow/genai/scorers/scorer_utils.py``). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_GATEWAY = "gateway"
#: Members that hold a scorer's model; the first that is there counts.
_HOLDERS = ("instructions_judge_pydantic_data", "builtin_scorer_pydantic_data")
_REMEMBERS, _BASE, _THIRD_PARTY = (
    "memory_augmented_judge_data",
    "base_judge",
    "third_party_scorer_data",
)


def endpoint_of(serialized: str) -> str | None:
    """Return the endpoint that a scorer asks; None where it asks none. Takes JSON."""
    model = _model_of(json.loads(serialized))
    provider, _, path = model.partition(":/") if isinstance(model, str) else ("", "", "")
    return path.lstrip("/") or None if provider == _GATEWAY else None


def with_endpoint(serialized: str, called: Callable[[str], str | None]) -> str:
    """Return a scorer whose endpoint is ``called`` otherwise; None: it has no model any more."""
    endpoint = endpoint_of(serialized)
    if endpoint is None:
        return serialized
    name = called(endpoint)
    model = None if name is None else f"{_GATEWAY}:/{name}"
    return json.dumps(_with_model(json.loads(serialized), model))


def _model_of(scorer: Any) -> Any:
    if not isinstance(scorer, Mapping):
        return None
    for holder in _HOLDERS:
        if scorer.get(holder):
            return _member(scorer, holder).get("model")
    if scorer.get(_REMEMBERS):
        return _model_of(_member(scorer, _REMEMBERS).get(_BASE))
    return _member(scorer, _THIRD_PARTY).get("model")


def _with_model(scorer: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    for holder in _HOLDERS:
        if scorer.get(holder):
            return {**scorer, holder: {**scorer[holder], "model": model}}
    if scorer.get(_REMEMBERS):
        base = _with_model(scorer[_REMEMBERS][_BASE], model)
        return {**scorer, _REMEMBERS: {**scorer[_REMEMBERS], _BASE: base}}
    return {**scorer, _THIRD_PARTY: {**scorer[_THIRD_PARTY], "model": model}}


def _member(scorer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = scorer.get(name)
    return value if isinstance(value, Mapping) else {}
