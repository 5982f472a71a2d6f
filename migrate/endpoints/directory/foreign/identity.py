"""Tells exports of other tools, which have no identity of their own, from one another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from migrate.objects import Experiment, RegisteredModel
from migrate.origins import experiment_origin


def foreign_identity(
    experiments: Iterable[Experiment], models: Callable[[], Iterable[RegisteredModel]], path: Path
) -> str:
    """Name an export by its oldest experiment, the first, which stays when the export grows.

    Without one, by its oldest registered model or prompt.
    """
    oldest = next(iter(experiments), None)
    text = experiment_origin(oldest) + oldest.name if oldest else _oldest(models(), path)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _oldest(models: Iterable[RegisteredModel], path: Path) -> str:
    named = [(it.creation_time or 0, str(it.ref)) for it in models]
    return "{}@{}".format(*min(named)) if named else str(path.resolve())


def order_of_creation(experiment: Experiment) -> tuple[int, int, str]:
    """Return by what experiments are in order of creation; ids of SQL stores are numbers."""
    ident = experiment.experiment_id
    number = int(ident) if ident.isascii() and ident.isdigit() and len(ident) < 20 else 0
    return experiment.creation_time or 0, number, ident
