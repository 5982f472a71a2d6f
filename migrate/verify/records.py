"""Compares the kinds whose objects are records that stores list: the same for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrate.endpoints.stores import Bookkeeping, Found, Store
from migrate.errors import MigrateError
from migrate.graph.records import find_all, is_meant
from migrate.kinds import Ref, experiment_ref
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.carriers import record_carriers
from migrate.tasks.permissions import lost_grants
from migrate.tasks.wanted import Place
from migrate.verify.copies import Copies
from migrate.verify.permissions import compare_permissions
from migrate.verify.result import Comparison, Ends


def compare_records(
    ends: Ends, copies: Copies, experiment_ids: Sequence[str]
) -> Iterator[Comparison]:
    """Compare what is in these experiments, and of a whole server what is in none."""
    chosen = {experiment_ref(ident) for ident in experiment_ids}
    for carrier in record_carriers():
        if ends.selection.leaves_out_kind(carrier.kind):
            continue
        whole = ends.selection.takes_all_of(carrier.kind)
        if not (whole or carrier.kind.container or carrier.belongs_to):
            continue
        store = ends.source.store(carrier.kind)
        if store is None:
            continue
        by_container: dict[str, list[Any]] = {}
        try:
            for record in store.list(experiment_ids):
                meant = is_meant(carrier, record, ends.selection, chosen.__contains__)
                if meant and not carrier.left_out(record):
                    by_container.setdefault(carrier.container(record), []).append(record)
        except MigrateError as problem:
            result = Comparison()
            whether = f"source: whether it has {carrier.kind.plural} is not known"
            result.unknown.append(f"{whether}: {problem.message}")
            yield result
            continue
        for container, records in by_container.items():
            yield _Compared(ends, copies, carrier, container).result(store, records)


class _Compared:
    """The objects of one kind in one container."""

    def __init__(
        self, ends: Ends, copies: Copies, carrier: RecordCarrier[Any], container: str
    ) -> None:
        self._ends = ends
        self._copies = copies
        self._carrier = carrier
        self._container = container
        self._store = ends.target.store(carrier.kind)

    def result(self, originals: Store[Any], records: Sequence[Any]) -> Comparison:
        result = Comparison()
        carrier = self._carrier
        if self._store is None:
            takes_none = f"{self._ends.target.capabilities().description} takes no {carrier.kind}"
            result.unknown.append(f"not compared: {takes_none}")
            return result
        keys = [carrier.key(record, self._store.identity) for record in records]
        there = {key: list(same) for key, same in self._found(keys).items()}
        for record, key in zip(records, keys, strict=True):
            copy = self._compare(record, there.get(key, []), self._store, result)
            if copy is not None:
                found = carrier.compare_contents(record, copy, originals, self._store)
                for what, old, new in found:
                    result.check(carrier.ref(record), what, old, new)
        return result

    def _found(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found[Any]]]:
        """Return the copies in the copy of the container, by key."""
        place: str | None = ""
        if (kind := self._carrier.kind.container) is not None:
            ref = Ref(kind, self._container)
            place = self._copies.ids([ref]).get(ref)
        if place is None or self._store is None:
            return {}
        return find_all(self._store, place, keys)

    def _compare(
        self, record: Any, found: list[Found[Any]], store: Store[Any], result: Comparison
    ) -> Any:
        """Compare an object with its copy, which is returned where it can be read.

        ``found`` holds those there are of its key. Where these do not say whose copies they are,
        the one taken for it is taken out.
        """
        carrier, ends = self._carrier, self._ends
        ref = carrier.ref(record)
        place = Place(
            store=store,
            target=ends.target.capabilities(),
            policy=ends.policy,
            copies=self._copies.ids(need.ref for need in carrier.needs(record)),
        )
        wanted = carrier.wanted(record, place)
        held: Sequence[Found[Any]] = found
        if found and store.bookkeeping is Bookkeeping.NONE:
            equal = (it for it in found if not any(carrier.differences(wanted.record, it.record)))
            held = [next(equal, found[0])]
            found.remove(held[0])
        if not result.finds(ref, carrier.name(record), held):
            return None
        copy = held[0]
        result.declare(ref, (*wanted.losses, *copy.losses))
        if store.bookkeeping is not Bookkeeping.NONE:
            result.check_mark(ref, copy.mark)
        for what, old, new in carrier.differences(wanted.record, copy.record):
            result.check(ref, what, old, new)
        if carrier.guarded and ends.policy.permissions:
            self._compare_permissions(ref, carrier.ref(copy.record), store, result)
        return copy.record

    def _compare_permissions(
        self, ref: Ref, copy: Ref, store: Store[Any], result: Comparison
    ) -> None:
        ends = self._ends
        if ends.target.capabilities().archive:
            result.declare(ref, lost_grants(ends.source, ref))
        elif not ends.source.capabilities().archive:
            ours = store.bookkeeping is not Bookkeeping.NONE
            compare_permissions(ends, ref, copy, result, ours=ours)
