"""What was found where an export directory was opened. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPlaces:
    """Where registered models and prompts are; where ``lone``, ``models`` is the one model."""

    base: Path
    models: Path
    prompts: Path
    lone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An export directory as it was found.

    ``base`` holds the experiments; where ``lone``, it is the one experiment itself, and where
    ``registry_only`` it holds none.
    ``identity`` is empty where other tools wrote it; where ours has ``models_above``, its
    experiments lie one level below the registered models. ``listed`` are names by id as the index
    has them, those in ``listed_deleted`` of deleted experiments. ``unknown`` is what damage to it
    leaves open. ``made`` are the directories and
    the file that opening made, the deepest first.
    """

    base: Path
    registry: RegistryPlaces
    lone: bool = False
    registry_only: bool = False
    identity: str = ""
    models_above: bool = False
    version: str
    listed: Mapping[str, str] = field(default_factory=dict)
    listed_deleted: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    made: tuple[Path, ...] = ()
