"""Copies skills, each with all its versions, their files, and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from migrate.endpoints.stores import HoldsContents
from migrate.kinds import Kind, Ref
from migrate.outcomes import Loss
from migrate.records.skills import Skill, SkillFiles
from migrate.tasks.added import joined, joined_versions, taken
from migrate.tasks.carrier import RecordCarrier, differing
from migrate.tasks.fingerprint import digest_of
from migrate.tasks.wanted import Place, Wanted

Holder = HoldsContents[Skill, SkillFiles]


class Skills(RecordCarrier[Skill]):
    """Skills. Nothing on one says whose copy it is: it is found by its name."""

    kind = Kind.SKILL
    #: Files of versions may be large.
    together = 5
    guarded = True
    colours = ("#efe6f7", "#5e3a87")

    def ref(self, record: Skill) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(self.kind, record.identity)

    def wanted(self, record: Skill, place: Place) -> Wanted[Skill]:
        """See ``RecordCarrier.wanted``."""
        return Wanted(record)

    def digest(self, record: Skill) -> str:
        """See ``RecordCarrier.digest``."""
        return digest_of(sorted(_members(record).items()))

    def differences(self, wanted: Skill, copy: Skill) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        yield from differing(_members(wanted), _members(copy))

    def with_added(self, wanted: Skill, copy: Skill) -> Wanted[Skill]:
        """See ``RecordCarrier.with_added``: tags, aliases, versions, texts."""
        there = {it.version: it for it in copy.versions if not it.is_passed_over}
        versions, losses = joined_versions(
            {it.version: it for it in wanted.versions}, there, lambda it: it.made_of
        )
        added = replace(
            wanted,
            description=wanted.description or copy.description,
            icons=wanted.icons or copy.icons,
            tags=joined(wanted.tags, copy.tags),
            aliases=joined(wanted.aliases, copy.aliases),
            versions=tuple(versions[number] for number in sorted(versions)),
        )
        return Wanted(added, losses)

    def fill(
        self, original: Skill, copy: Skill, source: Holder, target: Holder, *, exact: bool
    ) -> Sequence[Loss]:
        """See ``RecordCarrier.fill``. A version is made once, in the order of the numbers."""
        existing = {it.version: it.made_of for it in copy.versions}
        losses: list[Loss] = []
        missing: list[SkillFiles] = []
        for page in source.contents(original):
            for it in page:
                number = it.version.version
                if number not in existing:
                    missing.append(it)
                elif existing[number] != it.version.made_of:
                    losses.append(taken(number))
        return [*losses, *target.add(copy, missing)]


def _members(skill: Skill) -> Mapping[str, Any]:
    """Return all that is copied of a skill, by what it is called in losses and differences."""
    found: dict[str, Any] = {"description": skill.description, "icons": skill.icons}
    found |= {f"tag {key}": value for key, value in skill.tags.items()}
    found |= {f"alias {alias}": version for alias, version in skill.aliases.items()}
    return found | {f"version {it.version}": it.content for it in skill.versions}
