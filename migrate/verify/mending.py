"""Says what of the differences found can be mended, object by object, for the planner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrate.kinds import Ref
from migrate.outcomes import Difference, Loss, LossCode, loss_of
from migrate.plans import Damage


def damage_by_object(differences: Iterable[Difference]) -> Mapping[Ref, Damage]:
    """Return the damage of each copy, by the object whose task has to mend it."""
    mendable: dict[Ref, list[str]] = {}
    lasting: dict[Ref, list[Loss]] = {}
    for found in differences:
        if not found.of_copy:
            continue
        if found.lasting:
            loss = loss_of(LossCode.LASTING, found.what, found.detail)
            lasting.setdefault(found.ref, []).append(loss)
        else:
            mendable.setdefault(found.written_with or found.ref, []).append(found.what)
    return {
        ref: Damage(
            mendable=tuple(mendable.get(ref, ())),
            lasting=tuple(dict.fromkeys(lasting.get(ref, ()))),
        )
        for ref in {**mendable, **lasting}
    }
