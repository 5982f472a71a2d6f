"""Step that gives experiments their ids, where they may keep those of their originals."""

from __future__ import annotations

from collections.abc import Iterable

from migrate.graph.draft import Draft


def number_experiments(draft: Draft) -> None:
    """Plan the id of each experiment that is to be created: its own, where that is free.

    Another one comes after all that are there or wanted, so that it takes none of these away.
    """
    allowed = draft.target_can.experiment_ids
    if not allowed:
        return
    taken = set(_numbers(draft.existing.by_id, allowed))
    wanted = set(_numbers(draft.experiments, allowed))
    following = max(taken | wanted, default=0) + 1
    for node in draft.containers():
        if not node.selected or node.target_id:
            continue
        own = next(iter(_numbers([node.ref.id], allowed)), None)
        if own is not None and own not in taken:
            node.number = own
            continue
        node.number, following = following, following + 1
        why = "is taken on the target" if own in taken else "is none that the target can hold"
        told = f"experiment {node.name!r} gets id {node.number}: {node.ref.id} {why}"
        draft.collisions.append(told)


def _numbers(ids: Iterable[str], allowed: range) -> list[int]:
    known = (int(ident) for ident in ids if ident.isascii() and ident.isdigit())
    return [number for number in known if number in allowed]
