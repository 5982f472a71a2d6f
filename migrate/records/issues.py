"""Issues: what somebody, or a run that looked for it, found wrong in traces (MLflow 3.11)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

#: The status of an issue of which nothing has become yet.
OPEN = "pending"
#: What MLflow has of an issue since 3.18.
SINCE_3_18 = ("last_seen_timestamp", "last_updated_by", "metadata")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue of an experiment; ``status`` and ``severity`` are MLflow's words, the latter may
    be empty. ``source_run_id`` is the run that found it, ``last_seen_timestamp`` when it was last
    seen in a trace, which is never unknown where MLflow 3.18 or newer tells of it.
    """

    issue_id: str
    experiment_id: str
    name: str
    description: str = ""
    status: str = OPEN
    severity: str = ""
    root_causes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    source_run_id: str = ""
    created_by: str = ""
    created_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    last_seen_timestamp: int | None = None
    last_updated_by: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """By what an issue is found again where its id is not known: a name is not unique."""
        return json.dumps([self.name, self.description])

    @property
    def is_of_3_18(self) -> bool:
        """Whether what tells of it has all of ``SINCE_3_18``; else nothing is known of that."""
        return self.last_seen_timestamp is not None

    @property
    def before_3_18(self) -> Issue:
        """It as something older would tell of it."""
        return replace(self, last_seen_timestamp=None, last_updated_by="", metadata={})

    @property
    def lost_before_3_18(self) -> Sequence[str]:
        """What it says that nothing older has room for, by the names of members.

        One that was seen once, when it was made, and changed by who made it, says no more than
        when that was, and who it was.
        """
        says_more = {
            "last_seen_timestamp": self.last_seen_timestamp not in (None, self.created_timestamp),
            "last_updated_by": self.last_updated_by not in ("", self.created_by),
            "metadata": bool(self.metadata),
        }
        return [name for name, more in says_more.items() if more]
