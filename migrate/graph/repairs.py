"""Step that reopens what is copied already where a comparison found that the copy differs."""

from __future__ import annotations

from migrate.graph.draft import Draft
from migrate.kinds import Action
from migrate.outcomes import TaskStatus
from migrate.plans import Damage

#: Differences of one object that its reason names.
NAMED = 3


def plan_repairs(draft: Draft) -> None:
    """Plan that damaged copies are compared in full and mended; what nobody can mend is a loss."""
    for ref, damage in draft.damaged.items():
        node = draft.nodes.get(ref)
        if node is None or not node.selected or node.unreadable or not node.target_id:
            continue
        node.action, node.status = Action.REPAIR, TaskStatus.PENDING
        node.reason = _reason(damage)
        node.losses = tuple(dict.fromkeys((*node.losses, *damage.lasting)))


def _reason(damage: Damage) -> str:
    words = [*damage.mendable, *(loss.what for loss in damage.lasting)]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"the copy differs: {', '.join(words[:NAMED])}{more}"
