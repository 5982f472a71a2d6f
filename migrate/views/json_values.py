"""The parts of plans and reports as JSON values, with keys that stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss
from migrate.plans import Side


def ref_as_json(ref: Ref) -> dict[str, Any]:
    """``kind`` and ``id``; meant to be merged into an object's other keys."""
    return {"kind": str(ref.heading), "id": ref.id}


def side_as_json(side: Side) -> dict[str, Any]:
    """``uri`` (redacted), ``identity`` and ``description``."""
    return {"uri": side.uri, "identity": side.identity, "description": side.description}


def loss_as_json(loss: Loss) -> dict[str, Any]:
    """``what`` is lost and the ``reason``."""
    return {"what": loss.what, "reason": loss.reason}


def unsupported_as_json(unsupported: Mapping[Kind, int]) -> dict[str, int | None]:
    """Objects per kind that is not copied; null where they were not counted."""
    return {str(kind): None if count < 0 else count for kind, count in unsupported.items()}
