"""Issues: what somebody, or a run that looked for it, found wrong in traces (MLflow 3.11)."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue of an experiment; ``status`` and ``severity`` are MLflow's words, the latter may
    be empty. ``source_run_id`` is the run that found it.
    """

    issue_id: str
    experiment_id: str
    name: str
    description: str = ""
    status: str = "pending"
    severity: str = ""
    root_causes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    source_run_id: str = ""
    created_by: str = ""
    created_timestamp: int | None = None
    last_updated_timestamp: int | None = None

    @property
    def key(self) -> str:
        """By what an issue is found again where its id is not known: a name is not unique."""
        return json.dumps([self.name, self.description])
