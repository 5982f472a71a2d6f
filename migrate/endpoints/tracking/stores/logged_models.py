"""Logged models of a tracking server (MLflow 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from migrate.endpoints.shapes import Object, objects, pairs, required
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.entries import Entries, Form
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.session import TRIES, HttpSession
from migrate.endpoints.tracking.models_wire import (
    in_batches,
    logged_model_from,
    model_metric_to,
    status_to,
)
from migrate.endpoints.tracking.parts import API, LOGGED_MODELS
from migrate.endpoints.tracking.refusals import FAULT_TRIES, deliver, refusals
from migrate.endpoints.tracking.request_sizes import (
    in_requests,
    params_to_begin_with,
    tags_to_begin_with,
)
from migrate.endpoints.tracking.searches.copies import Copies, by_origin, conditions_for, few_of
from migrate.endpoints.tracking.searches.search import Route, Search, chunks
from migrate.endpoints.tracking.stores.experiments import ExperimentStore
from migrate.endpoints.tracking.tag_removal import remove_tags, tags_that_stay
from migrate.endpoints.tracking.versions import Version
from migrate.endpoints.tracking.wire import copy_from, tags_to, told_in_info
from migrate.errors import (
    EndpointError,
    Malformed,
    MigrateError,
    NoSuchRoute,
    NotFound,
    Refused,
    ServerFault,
)
from migrate.kinds import Kind
from migrate.objects import DELETED, MODEL_VERSIONS_TAG, LoggedModel, ModelMetric
from migrate.origins import (
    DELETED_MODEL,
    LOSSES,
    MARK,
    ORIGIN,
    bookkeeping,
    losses_to_tags,
)
from migrate.outcomes import Loss

MODELS = f"{API}/logged-models"
FORM = Form(Kind.LOGGED_MODEL, lambda entry: told_in_info(entry, "model_id"))
SEARCH = Route(
    FORM.kind,
    "/api/2.0/mlflow/logged-models/search",
    "attributes.model_id",
    34,
    100,
    {},
    "repair its row in that server's database (the status of a logged model is a number from 0 to "
    "3), or delete the row",
)
POINTS_PER_BATCH = 1000


class LoggedModelStore:
    """Finds, reads and makes logged models; safe for use by several threads.

    ``per_page`` is how many a search is to give at a time.
    """

    kind: ClassVar[Kind] = FORM.kind
    since: ClassVar[Mapping[Kind, Version]] = {FORM.kind: LOGGED_MODELS.since}
    identity = Identity.TAGGED

    def __init__(
        self,
        http: HttpSession,
        entries: Entries,
        experiments: ExperimentStore,
        *,
        per_page: int | None = None,
    ) -> None:
        self._http = http
        self._entries = entries
        self._experiments = experiments
        route = SEARCH if per_page is None else SEARCH._replace(per_page=per_page)
        self._search = Search(http, entries.gaps, route)
        self._any: bool | None = None

    def list(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """See ``ReadsContained.list``."""
        yield from self._found(experiment_ids)

    def _found(
        self, experiment_ids: Sequence[str], condition: str = "", *, for_copies: bool = False
    ) -> Iterator[LoggedModel]:
        pages = self._pages(experiment_ids, condition, for_copies=for_copies)
        yield from self._entries.all(pages, "models", FORM, logged_model_from)

    def _pages(
        self, experiment_ids: Sequence[str], condition: str = "", *, for_copies: bool = False
    ) -> Iterator[Object]:
        order = [{"field_name": "creation_timestamp", "ascending": True}]
        for chunk in chunks(experiment_ids):
            yield from self._search.pages(chunk, condition, for_copies=for_copies, order_by=order)

    def read(self, model_ids: Sequence[str]) -> Sequence[LoggedModel]:
        """See ``ReadsContained.read``; deleted ones are shown since 3.7."""
        found = map(self._read_one, model_ids)
        return [model for model in found if model is not None]

    def _read_one(self, model_id: str) -> LoggedModel | None:
        try:
            answer = self._http.get(f"{MODELS}/{model_id}")
            return self._entries.one(answer, "model", FORM, logged_model_from)
        except NotFound:
            pass
        except (Refused, NoSuchRoute, ServerFault) as problem:
            self._search.leave_out(model_id, "", "logged-models", problem)
            return None
        deleted = partial(logged_model_from, lifecycle_stage=DELETED)
        try:
            answer = self._http.get(f"{MODELS}/{model_id}", {"allow_deleted": "true"})
            return self._entries.one(answer, "model", FORM, deleted)
        except NotFound:
            return None

    def holds_any(self) -> bool:
        """Say whether any experiment has a logged model, be it malformed or broken; asked once."""
        if self._any is None:
            pages = self._pages(self._experiments.ids())
            try:
                found = any(objects(page, "models") for page in pages)
            except Malformed:  # of what is no list, nothing is known: runs are asked
                found = True
            self._any = found or self._search.has_left_out
        return self._any

    def create(self, experiment_id: str, model: LoggedModel, *, anew: bool = False) -> LoggedModel:
        """See ``WritesLoggedModels.create``."""
        tags = tags_to_begin_with(model.tags)
        fields = {
            "experiment_id": experiment_id,
            "name": model.name,
            "model_type": model.model_type,
            "source_run_id": model.source_run_id,
            "params": tags_to(params_to_begin_with(model.params, tags)),
            "tags": tags_to(tags),
        }
        body = {key: value for key, value in fields.items() if value}
        self._any = True
        try:
            answer = self._http.post(MODELS, body, idempotent=False)
        except Refused:
            ours = bookkeeping(model.tags)
            if ours == model.tags and not model.params:
                raise
            # One tag or param may be at fault. The others follow, and what is refused has a name.
            body = {**body, "tags": tags_to(ours), "params": []}
            answer = self._http.post(MODELS, body, idempotent=False)
        with read_once():
            made = logged_model_from(required(answer, "model"))
        if made.tags.get(ORIGIN) == model.tags.get(ORIGIN):
            return made
        return self._claimed(made, model)

    def _claimed(self, made: LoggedModel, model: LoggedModel) -> LoggedModel:
        """Give a logged model the tags that its create was to give it, and return it as it is then.

        Raises ``EndpointError`` where the target does not keep them, having deleted it: nobody
        could tell whose copy it is.
        """
        self._tag(made.model_id, model.tags)
        copy = self._read_one(made.model_id)
        if copy is not None and copy.tags.get(ORIGIN) == model.tags[ORIGIN]:
            return copy
        named = {"model_id": made.model_id}
        self._http.change("DELETE", f"{MODELS}/{made.model_id}", named)
        raise EndpointError(
            f"the {self._http.side} at {self._http.base_url} made logged model {made.model_id} for "
            f"{model.model_id} without the tags it was sent, and keeps none: it was deleted",
            "is a gateway before the server that lets only a part of requests pass?",
        )

    def _tag(self, model_id: str, tags: Mapping[str, str], fault_tries: int = TRIES) -> None:
        body = {"model_id": model_id, "tags": tags_to(tags)}
        self._http.change("PATCH", f"{MODELS}/{model_id}/tags", body, fault_tries=fault_tries)

    def find(self, experiment_id: str, origins: Collection[str] | None = None) -> Copies:
        """See ``WritesContained.find``."""
        few = few_of(origins)
        models = [
            model
            for condition in conditions_for(few)
            for model in self._found([experiment_id], condition, for_copies=True)
        ]
        copies = [
            copy_from(
                model.ref,
                model.tags,
                model.lifecycle_stage,
                self._http.base_url,
            )
            for model in (*models, *self._deleted_copies(experiment_id, models))
        ]
        return by_origin([*copies, *self._search.copies_left_out(experiment_id, few)])

    def log_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> tuple[Loss, ...]:
        """See ``WritesLoggedModels.log_metrics``: points of a run, with the model's id.

        Points that are there already stay as they are.
        """
        refused: list[tuple[str, MigrateError]] = []
        for batch in in_batches(metrics, POINTS_PER_BATCH):
            run_id = batch[0].run_id

            def send(points: Sequence[ModelMetric], fault_tries: int, run_id: str = run_id) -> None:
                items = [model_metric_to(point, model_id) for point in points]
                body = {"run_id": run_id, "metrics": items}
                path = f"{API}/runs/log-batch"
                self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

            refused += deliver(send, batch, lambda point: f"metric {point.key}")
        return refusals(refused)

    def finish(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> tuple[Loss, ...]:
        """See ``WritesLoggedModels.finish``."""
        path = f"{MODELS}/{copy.model_id}"
        if copy.status != model.status:
            body = {"model_id": copy.model_id, "status": status_to(model.status)}
            shown = logged_model_from(required(self._http.change("PATCH", path, body), "model"))
            if shown.status != model.status:
                raise EndpointError(
                    f"logged model {copy.model_id} of the target was given the status "
                    f"{model.status} and has {shown.status}"
                )
        refused = self._send_params(copy, model)
        surplus = copy.tags.keys() - model.tags.keys() - {MARK, MODEL_VERSIONS_TAG}
        remove_tags(self._http, path, surplus)
        known = {loss.what for loss in losses}
        refused += tuple(loss for loss in tags_that_stay(surplus) if loss.what not in known)
        return refused + self._send_tags(copy, model, mark, [*losses, *refused])

    def _send_params(self, copy: LoggedModel, model: LoggedModel) -> tuple[Loss, ...]:
        """Write the params that a create could not; return what is refused."""

        def send(params: Sequence[tuple[str, str]], fault_tries: int) -> None:
            body = {"model_id": copy.model_id, "params": tags_to(dict(params))}
            path = f"{MODELS}/{copy.model_id}/params"
            self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

        missing = {k: value for k, value in model.params.items() if k not in copy.params}
        return refusals(
            refused
            for some in in_requests(missing)
            for refused in deliver(send, some, lambda param: f"param {param[0]}")
        )

    def _send_tags(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss]
    ) -> tuple[Loss, ...]:
        """Write the tags that differ, and the mark; return which of them are refused.

        All in one call where nothing is refused; else the copy is first told what it lacks.
        """

        def send(tags: Sequence[tuple[str, str]], fault_tries: int) -> None:
            self._tag(copy.model_id, dict(tags), fault_tries)

        wanted = {**model.tags, MARK: mark, **losses_to_tags(losses)}
        differing = {
            key: value
            for key, value in wanted.items()
            if copy.tags.get(key) != value and key != MODEL_VERSIONS_TAG
        }
        if not differing:
            return ()
        if len(list(in_requests(differing))) == 1:
            try:
                self._tag(copy.model_id, differing, FAULT_TRIES)
                return ()
            except (Refused, ServerFault):
                pass
        found = [
            refused
            for some in in_requests({k: v for k, v in differing.items() if k != MARK})
            for refused in deliver(send, some, lambda tag: f"tag {tag[0]}")
        ]
        refused = refusals(item for item in found if not item[0].startswith(f"tag {LOSSES}"))
        if refused:
            with suppress(Refused):
                self._tag(copy.model_id, losses_to_tags([*losses, *refused]))
        self._tag(copy.model_id, {MARK: mark})
        return refused

    def delete(self, experiment_id: str, model_id: str, origin: str) -> None:
        """See ``WritesLoggedModels.delete``: the experiment remembers where it is."""
        body = {"experiment_id": experiment_id, "key": DELETED_MODEL + origin, "value": model_id}
        self._http.post(f"{API}/experiments/set-experiment-tag", body, idempotent=True)
        try:
            self._http.change("DELETE", f"{MODELS}/{model_id}", {"model_id": model_id})
        except NotFound:
            if self._read_one(model_id) is None:
                raise

    def _deleted_copies(
        self, experiment_id: str, found: Sequence[LoggedModel]
    ) -> Sequence[LoggedModel]:
        """Return the deleted copies that an experiment remembers, but those that were ``found``.

        One is remembered before it is deleted, which a kill may prevent.
        """
        shown = {model.model_id for model in found}
        params = {"experiment_id": experiment_id}
        answer = self._http.get(f"{API}/experiments/get", params)
        tags = pairs(required(answer, "experiment"), "tags")
        ids = {value for key, value in tags.items() if key.startswith(DELETED_MODEL)}
        models = self.read(sorted(ids - shown))
        return [model for model in models if ORIGIN in model.tags]
