"""Copies MLflow tracking servers: one verb, copy(source endpoint -> target endpoint).

Planned as a graph, carried out by a scheduler, remembered in a state database.
Start reading at ``migrate.cli``; ``docs/architecture.md`` follows one migration through the parts.
"""

from __future__ import annotations

__version__ = "0.1.0"
