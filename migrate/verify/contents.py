"""What is compared of what experiments hold: in groups, each object with its copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from migrate.endpoints.answers import Copy
from migrate.kinds import Ref
from migrate.objects import DELETED, Experiment, LoggedModel, Run
from migrate.tasks.carrier import ContainedCarrier
from migrate.tasks.model_marks import Links
from migrate.tasks.version_sources import named_by
from migrate.verify.copies import Copies
from migrate.verify.result import Comparison, Ends
from migrate.verify.selected import Selected, groups

C = TypeVar("C", Run, LoggedModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Generic[C]):
    """Some objects of one kind, of an experiment whose copy is the ``container``.

    ``links`` are what runs say of logged models, for each of both.
    """

    ends: Ends
    copies: Copies
    carrier: ContainedCarrier
    container: str
    records: Sequence[C]
    links: Mapping[Ref, Links]

    def matched(self, result: Comparison) -> Iterator[tuple[C, C, Copy]]:
        """Yield each with its copy, as it was read and as it was found; note which have none."""
        found = {record.ref: self.copies.found(record.ref) for record in self.records}
        ids = [held[0].target_id for held in found.values() if held and not held[0].unreadable]
        read = self.carrier.read_in(self.ends.target, self.container, ids)
        there = {copy.ref.id: copy for copy in read}
        # What others exported has no mark, and what is half-made of ours no listing.
        is_marked = not self.ends.target.capabilities().archive
        for record in self.records:
            held = found[record.ref]
            copy = there.get(held[0].target_id) if held else None
            was_read = copy is not None
            if result.finds(record.ref, record.name, held, was_read=was_read) and copy is not None:
                if is_marked:
                    result.check_mark(record.ref, held[0].mark)
                yield record, copy, held[0]


Pairs = Sequence[tuple[Experiment, Experiment]]


def groups_of(
    carrier: ContainedCarrier,
    ends: Ends,
    copies: Copies,
    selected: Selected,
    pairs: Pairs,
    links: Mapping[Ref, Links],
) -> Iterator[Group[C]]:
    """Yield the objects of a kind that are to be compared, of experiments and their copies.

    What no search shows is looked for where runs or versions name it.
    """

    def group(container: str, records: Sequence[C]) -> Group[C]:
        return Group(
            ends=ends,
            copies=copies,
            carrier=carrier,
            container=container,
            records=records,
            links=links,
        )

    seen: set[Ref] = set()
    for experiment, copy in pairs:
        for records in selected.contents(carrier, experiment):
            seen.update(record.ref for record in records)
            yield group(copy.experiment_id, records)
    wanted = carrier.hides_deleted and ends.selection.include_deleted and not selected.with_hidden
    if not wanted or carrier.kind not in ends.source.capabilities().readable:
        return
    named = {*links, *(ref for version in selected.versions for ref in named_by(version))}
    inside = {experiment.experiment_id: copy.experiment_id for experiment, copy in pairs}
    ids = sorted(ref.id for ref in named - seen if ref.kind is carrier.kind)
    for some in groups(ids):
        found: dict[str, list[C]] = {}
        for record in carrier.originals(ends.source).read(some):
            if record.lifecycle_stage == DELETED and record.experiment_id in inside:
                found.setdefault(inside[record.experiment_id], []).append(record)
        for container, records in found.items():
            yield group(container, records)
