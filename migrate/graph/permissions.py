"""Steps for permissions: who has them is made first, and what is not carried along is told."""

from __future__ import annotations

from migrate.graph.draft import Draft
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.carriers import CARRIERS
from migrate.tasks.permissions import lost_grants


def tell_of_permissions(draft: Draft) -> None:
    """Where permissions are to be copied, warn of what cannot be, on the objects it is about.

    As warnings of tasks they are in the report of a run as well as in the plan.
    """
    if not draft.policy.permissions:
        return
    lacking = tuple(
        f"permissions are not copied: the {side} has none that can be {used}: "
        + (can.without_permissions or can.description)
        for side, can, used in (
            ("source", draft.source_can, "read"),
            ("target", draft.target_can, "written"),
        )
        if not can.permissions
    )
    for carrier in (carrier for carrier in CARRIERS if carrier.guarded):
        in_export = isinstance(carrier, RecordCarrier)
        for node in draft.of_kind(carrier.kind):
            if in_export and draft.source_can.archive:
                continue  # whoever exported was told
            node.warnings += lacking
            if draft.source_can.permissions:
                node.warnings += tuple(draft.source.permissions.beside(node.ref))
            if in_export and draft.target_can.archive:
                node.losses += lost_grants(draft.source, node.ref)


def order_receivers_first(draft: Draft) -> None:
    """Where permissions are copied, have users made before what these are on.

    All users end before the last of them, and that before the rest: an edge each, not a product.
    """
    receivers = [
        node.ref
        for kind in (carrier.kind for carrier in CARRIERS if carrier.granted_to)
        for node in draft.of_kind(kind)
    ]
    if not draft.policy.permissions or not receivers:
        return
    *others, last = receivers
    for earlier in others:
        draft.follow(earlier, last)
    for kind in (carrier.kind for carrier in CARRIERS if carrier.guarded):
        for node in draft.of_kind(kind):
            draft.follow(last, node.ref)
