"""Copies scorers, each with all its versions under their numbers."""

from __future__ import annotations

from collections.abc import Iterator

from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref
from migrate.records.scorers import Scorer, numbered
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
