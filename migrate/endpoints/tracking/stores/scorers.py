"""Scorers of a tracking server (MLflow 3.4). Of deleted experiments it shows none."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from migrate.endpoints.shapes import (
    Object,
    ident,
    integer,
    json_text,
    number,
    objects,
    told_id,
    version_number,
)
from migrate.endpoints.stores import Found
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import NEWER_API
from migrate.endpoints.tracking.parts import SCORERS as PART
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.errors import AlreadyExists, EndpointError, NoSuchRoute, NotFound, Refused, ServerFault
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.scorers import OnlineConfig, Scorer, ScorerVersion, numbered, scorer_id

SCORERS = f"{NEWER_API}/scorers"
FORM = Form(
    Kind.SCORER,
    lambda entry: Told(told_id(entry, "scorer_name"), told_id(entry, "experiment_id")),
)


class ScorerStore(RecordStore[Scorer]):
    """Scorers of experiments, each with all its versions.

    MLflow numbers versions itself, one more than the highest there is. A number that is missing is
    taken by the version that comes next, and freed when that is there.
    """

    kind = Kind.SCORER
    part = PART

    def list(self, containers: Sequence[str]) -> Iterator[Scorer]:
        """See ``Store.list``."""
        for experiment_id, name in self._names(containers):
            yield from self._shown(experiment_id, name)

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Scorer]]]:
        """See ``Store.find``."""
        names = [name for _, name in self._names([container]) if keys is None or name in keys]
        return {name: [Found(it) for it in self._shown(container, name)] for name in names}

    def _names(self, containers: Sequence[str]) -> builtins.list[tuple[str, str]]:
        """Return experiment and name of each scorer in these experiments."""
        try:
            found = self._listed({})
        except Refused:  # older servers list those of one experiment only
            found = [pair for it in containers for pair in self._listed_in(it)]
        wanted = frozenset(containers)
        return sorted({pair for pair in found if pair[0] in wanted})

    def _listed(self, asked: Mapping[str, Any]) -> builtins.list[tuple[str, str]]:
        pages = self._http.get_pages(f"{SCORERS}/list", asked)
        found = self._entries.all(pages, "scorers", FORM, _name_from)
        return builtins.list(found)

    def _listed_in(self, experiment_id: str) -> builtins.list[tuple[str, str]]:
        try:
            return self._listed({"experiment_id": experiment_id})
        except (Refused, NotFound, ServerFault) as problem:
            gaps = self._entries.gaps
            which = f"whether experiment {experiment_id} of the {gaps.side} has scorers"
            gaps.doubt(f"{which} is not known: {problem.message}")
            return []

    def _shown(self, experiment_id: str, name: str) -> Sequence[Scorer]:
        """Return a scorer with its versions, in a list that is empty where there is none."""
        return self.read([scorer_id(experiment_id, name)])

    def _read(self, ident: str) -> Scorer:
        experiment_id, _, name = ident.partition("/")
        asked = {"experiment_id": experiment_id, "name": name}
        entries = objects(self._http.get(f"{SCORERS}/versions", asked), "scorers") if name else ()
        if not entries:
            raise NotFound(f"there is no scorer {name!r}")
        mlflow_id = told_id(entries[0], "scorer_id")
        return Scorer(
            scorer_id=ident,
            experiment_id=experiment_id,
            name=name,
            versions=tuple(sorted(map(_version_from, entries))),
            online=self._online(mlflow_id),
            mlflow_id=mlflow_id,
        )

    def _online(self, mlflow_id: str) -> OnlineConfig | None:
        """Return how a scorer is run on traces that come in, which older servers do not."""
        if not mlflow_id:
            return None
        try:
            answer = self._http.get(f"{SCORERS}/online-configs", {"scorer_ids": [mlflow_id]})
        except (NoSuchRoute, NotFound):
            return None
        for config in objects(answer, "configs"):
            rule = config.get("filter_string")
            return OnlineConfig(number(config, "sample_rate"), rule if rule else None)
        return None

    def create(self, container: str, wanted: Scorer) -> Scorer:
        """See ``Store.create``: with its first version, which MLflow adds to one that is there."""
        if self._shown(container, wanted.name):
            raise AlreadyExists(f"scorer {wanted.name!r} is on the target already")
        first = self._register(container, wanted.name, wanted.versions[0])
        ident = scorer_id(container, wanted.name)
        made = replace(wanted, scorer_id=ident, experiment_id=container, online=None)
        return replace(made, versions=(first,))

    def _register(self, experiment_id: str, name: str, version: ScorerVersion) -> ScorerVersion:
        """Add a version; return it with the number that it got."""
        body = {
            "experiment_id": experiment_id,
            "name": name,
            "serialized_scorer": version.serialized_scorer,
        }
        answer = self._http.post(f"{SCORERS}/register", body, idempotent=False)
        with read_once():
            return version._replace(version=version_number(answer))

    def finish(
        self, copy: Scorer, wanted: Scorer, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. A version that is in the way is no reason to keep the others."""
        shown = self._shown(copy.experiment_id, copy.name)
        if not shown:
            raise NotFound(f"scorer {copy.name!r} is not on the target any more")
        [copy] = shown
        existing = {it.version: it for it in copy.versions}
        places = numbered(wanted.versions)
        if any(
            it.version <= max(existing, default=0)
            and (it.version not in existing or existing[it.version].content != it.content)
            for it in wanted.versions
        ):
            self.delete(copy)
            existing, copy = {}, replace(copy, online=None)
        for place in range(max(existing, default=0) + 1, len(places) + 1):
            made = self._register(copy.experiment_id, wanted.name, places[place])
            if made.version != place:
                raise EndpointError(
                    f"version {place} of scorer {wanted.name!r} became version {made.version}",
                    "does somebody else register versions of it on the target?",
                )
            existing[place] = made
        for place in sorted(existing.keys() - {it.version for it in wanted.versions}):
            self._delete(copy, {"version": place})
        return () if copy.online == wanted.online else self._set_online(copy, wanted.online)

    def _set_online(self, copy: Scorer, online: OnlineConfig | None) -> Sequence[Loss]:
        body: dict[str, Any] = {"experiment_id": copy.experiment_id, "name": copy.name}
        wanted = online or OnlineConfig(0.0)
        body |= {key: value for key, value in wanted._asdict().items() if value is not None}
        try:
            self._http.change("PUT", f"{SCORERS}/online-config", body)
        except (Refused, NoSuchRoute) as problem:
            return (Loss("online config", f"refused by the target: {problem}"),)
        if online is None:
            return (Loss("online config", "MLflow takes off none: it is set to no traces"),)
        return ()

    def delete(self, copy: Scorer) -> None:
        """See ``Store.delete``."""
        self._delete(copy, {})

    def _delete(self, copy: Scorer, version: Mapping[str, int]) -> None:
        body = {"experiment_id": copy.experiment_id, "name": copy.name, **version}
        with suppress(NotFound):
            self._http.change("DELETE", f"{SCORERS}/delete", body)


def _name_from(body: Object) -> tuple[str, str]:
    return ident(body, "experiment_id"), ident(body, "scorer_name")


def _version_from(body: Object) -> ScorerVersion:
    return ScorerVersion(
        version_number(body, "scorer_version"),
        json_text(body, "serialized_scorer"),
        integer(body, "creation_time"),
    )
