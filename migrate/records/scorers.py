"""Scorers: what judges traces, in versions (MLflow 3.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple


class ScorerVersion(NamedTuple):
    """A version; ``serialized_scorer`` is JSON in MLflow's form."""

    version: int
    serialized_scorer: str
    creation_time: int | None = None

    @property
    def content(self) -> Any:
        """What it says, however it is spaced."""
        return json.loads(self.serialized_scorer)


class OnlineConfig(NamedTuple):
    """How much of the traces that come in a scorer judges: a share, and which."""

    sample_rate: float
    filter_string: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A scorer of an experiment with all its versions, in order; numbers may be missing.

    ``scorer_id`` is made of experiment and name, by which MLflow finds one; ``mlflow_id`` is what
    its database calls it.
    """

    scorer_id: str
    experiment_id: str
    name: str
    versions: tuple[ScorerVersion, ...] = ()
    online: OnlineConfig | None = None
    mlflow_id: str = ""


def scorer_id(experiment_id: str, name: str) -> str:
    """Return the id of a scorer."""
    return f"{experiment_id}/{name}"


def numbered(wanted: tuple[ScorerVersion, ...]) -> dict[int, ScorerVersion]:
    """Return for each number up to the last the version that it is, or that comes next.

    The latter takes the number, for MLflow counts them, until the versions behind it are there.
    """
    last = max((it.version for it in wanted), default=0)
    return {
        number: next(it for it in wanted if it.version >= number) for number in range(1, last + 1)
    }
