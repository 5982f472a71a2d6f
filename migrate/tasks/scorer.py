"""Copies scorers, each with all its versions under their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref
from migrate.records.scorers import Scorer, numbered
from migrate.tasks.added import taken
from migrate.tasks.carrier import RecordCarrier, differing
from migrate.tasks.wanted import Place, Wanted


class Scorers(RecordCarrier[Scorer]):
    """Scorers of experiments. Nothing on one says whose copy it is: it is found by its name."""

    kind = Kind.SCORER
    guarded = True
    # Of one that asks a model of the gateway, MLflow wants to see the endpoint.
    after = Kind.GATEWAY_ENDPOINT
    colours = ("#dde3f5", "#3949ab")

    def ref(self, record: Scorer) -> Ref:
        """See ``RecordCarrier.ref``."""
        return Ref(Kind.SCORER, record.scorer_id)

    def name(self, record: Scorer) -> str:
        """See ``RecordCarrier.name``."""
        return record.name

    def container(self, record: Scorer) -> str:
        """See ``RecordCarrier.container``."""
        return record.experiment_id

    def key(self, record: Scorer, identity: Identity) -> str:
        """See ``RecordCarrier.key``."""
        return record.scorer_id if identity is Identity.KEPT else record.name

    def wanted(self, record: Scorer, place: Place) -> Wanted[Scorer]:
        """See ``RecordCarrier.wanted``."""
        return Wanted(record)

    def with_added(self, wanted: Scorer, copy: Scorer) -> Wanted[Scorer]:
        """See ``RecordCarrier.with_added``: how it is run, and versions.

        Those that only take a number until others are there are none that were added.
        """
        places = numbered(wanted.versions)
        there = {it.version: it for it in copy.versions}
        highest = max(there, default=0)
        found, losses = {}, []
        for it in wanted.versions:
            number, same = it.version, there.get(it.version)
            if number > highest or (same is not None and same.content == it.content):
                found[number] = it
            else:
                losses.append(taken(number, "--repair makes the scorer anew"))
        for number, it in there.items():
            takes_it = number in places and places[number].content == it.content
            if number not in found and not takes_it:
                found[number] = it
        versions = tuple(found[number] for number in sorted(found))
        added = replace(wanted, versions=versions, online=wanted.online or copy.online)
        return Wanted(added, tuple(losses))

    def differences(self, wanted: Scorer, copy: Scorer) -> Iterator[tuple[str, object, object]]:
        """See ``RecordCarrier.differences``."""
        old = {it.version: it.content for it in wanted.versions}
        new = {it.version: it.content for it in copy.versions}
        for number, was, now in differing(old, new):
            yield f"version {number}", was, now
        if wanted.online != copy.online:
            yield "online config", wanted.online, copy.online

    def is_part(self, copy: Scorer, wanted: Scorer) -> bool:
        """See ``RecordCarrier.is_part``: versions come one by one, and some only take a number."""
        places = numbered(wanted.versions)
        return copy.online in (None, wanted.online) and all(
            it.version in places and places[it.version].content == it.content
            for it in copy.versions
        )
