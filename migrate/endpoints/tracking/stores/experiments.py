"""Experiments of a tracking server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from migrate.endpoints.shapes import ident, required, told_id
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.entries import Entries, Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import ALWAYS_THERE, API
from migrate.endpoints.tracking.refusals import deliver_singly
from migrate.endpoints.tracking.searches.experiments import ExperimentSearch
from migrate.endpoints.tracking.versions import Version
from migrate.endpoints.tracking.wire import experiment_from, tags_to
from migrate.errors import NoSuchRoute, NotFound, Refused, ServerFault
from migrate.kinds import Kind
from migrate.objects import ACTIVE, DELETED, Experiment, Loss

EXPERIMENTS_PER_PAGE = 1000
FORM = Form(Kind.EXPERIMENT, lambda entry: Told(told_id(entry, "experiment_id")))
#: Experiments of a listing that cost a server about as much as one that is asked for by its id.
READ_AT_THE_COST_OF_ONE = 20


class ExperimentStore:
    """Lists, makes and changes experiments; safe for use by several threads."""

    since: ClassVar[Mapping[Kind, Version]] = {FORM.kind: ALWAYS_THERE}
    identity = Identity.NAMED

    def __init__(self, http: HttpSession, entries: Entries) -> None:
        self._http = http
        self._entries = entries
        self._search = ExperimentSearch(http, entries.gaps)
        #: How many experiments the last whole listing had.
        self._seen = 0

    def list(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.list``."""
        pages = self._search.pages(EXPERIMENTS_PER_PAGE)
        number = 0
        for experiment in self._entries.all(pages, "experiments", FORM, experiment_from):
            number += 1
            yield experiment
        self._seen = number

    def ids(self) -> Sequence[str]:
        """Return the ids of all experiments."""
        return [experiment.experiment_id for experiment in self.list()]

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        """See ``ReadsExperiments.read``; whichever way takes the server less work."""
        if self._seen <= len(ids) * READ_AT_THE_COST_OF_ONE:
            wanted = set(ids)
            return [item for item in self.list() if item.experiment_id in wanted]
        found = map(self._read_one, ids)
        return [experiment for experiment in found if experiment is not None]

    def _read_one(self, experiment_id: str) -> Experiment | None:
        try:
            answer = self._http.get(f"{API}/experiments/get", {"experiment_id": experiment_id})
        except NotFound:
            return None
        except (Refused, NoSuchRoute, ServerFault) as problem:
            self._search.leave_out(experiment_id, problem)
            return None
        return self._entries.one(answer, "experiment", FORM, experiment_from)

    def create(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create``."""
        body: dict[str, Any] = {"name": experiment.name, "tags": tags_to(experiment.tags)}
        if experiment.artifact_location:
            body["artifact_location"] = experiment.artifact_location
        answer = self._http.post(f"{API}/experiments/create", body, idempotent=False)
        with read_once():
            return ident(answer, "experiment_id")

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> tuple[Loss, ...]:
        """See ``WritesExperiments.set_tags``."""
        named = {"experiment_id": experiment_id}

        def send(tag: tuple[str, str], fault_tries: int) -> None:
            body = {**named, "key": tag[0], "value": tag[1]}
            path = f"{API}/experiments/set-experiment-tag"
            self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

        def ask() -> None:
            self._http.get(f"{API}/experiments/get", named)

        return deliver_singly(send, ask, [*tags.items()], lambda tag: f"tag {tag[0]}")

    def remove_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_tags``."""
        for key in keys:
            body = {"experiment_id": experiment_id, "key": key}
            with suppress(NotFound):
                self._http.post(f"{API}/experiments/delete-experiment-tag", body, idempotent=True)

    def delete(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete``."""
        self._move("delete", experiment_id, DELETED)

    def restore(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore``."""
        self._move("restore", experiment_id, ACTIVE)

    def rename(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename``."""
        self._post("update", experiment_id, new_name=name)

    def _move(self, verb: str, experiment_id: str, stage: str) -> None:
        """Delete or restore; one that is at ``stage`` already, after a lost answer, stays there."""
        try:
            self._post(verb, experiment_id)
        except NotFound:  # the answer to a second time, too
            found = self._http.get(f"{API}/experiments/get", {"experiment_id": experiment_id})
            if experiment_from(required(found, "experiment")).lifecycle_stage != stage:
                raise

    def _post(self, verb: str, experiment_id: str, **fields: str) -> None:
        body = {"experiment_id": experiment_id, **fields}
        self._http.post(f"{API}/experiments/{verb}", body, idempotent=True)
