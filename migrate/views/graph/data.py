"""The graph of a plan as JSON: every object and every need, nothing folded."""

from __future__ import annotations

import json

from migrate.plans import Plan
from migrate.redaction import redacted_json
from migrate.views.json_values import ref_as_json, side_as_json


def plan_as_data(plan: Plan) -> str:
    """Return ``nodes`` and ``edges``, for programs that draw or count for themselves.

    A node's ``ref`` is its ``kind:id``. An edge points ``from`` what comes first ``to`` what waits
    for it; its ``type`` is ``needs`` (has to be done) or ``after`` (has to have ended).
    """
    value = {
        "migration_id": plan.migration_id,
        "created": plan.created,
        "source": side_as_json(plan.source),
        "target": side_as_json(plan.target),
        "nodes": [
            {
                "ref": str(task.ref),
                **ref_as_json(task.ref),
                "name": task.name,
                "action": str(task.action),
                "status": str(task.status),
                "reason": task.reason,
                "because": list(map(str, task.because)),
                "container": task.container,
            }
            for task in plan.tasks
        ],
        "edges": [
            {"from": str(ref), "to": str(task.ref), "type": kind}
            for task in plan.tasks
            for kind, refs in (("needs", task.needs), ("after", task.after))
            for ref in refs
        ],
    }
    return json.dumps(redacted_json(value), indent=1) + "\n"
