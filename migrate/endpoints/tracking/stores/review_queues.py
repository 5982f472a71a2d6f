"""Review queues of a tracking server (MLflow 3.14). Of deleted experiments it shows none."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from migrate.endpoints.shapes import Object, ident, integer, required, text, texts, told_id
from migrate.endpoints.stores import Found
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import NEWER_API
from migrate.endpoints.tracking.parts import REVIEW_QUEUES as PART
from migrate.endpoints.tracking.refusals import deliver, refusals
from migrate.endpoints.tracking.searches.traced import tell_of_hidden
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.errors import NotFound, Refused
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.review_queues import PENDING, ReviewItem, ReviewQueue
from migrate.shares import SharingThreads

QUEUES = f"{NEWER_API}/review-queues"
PER_PAGE = 1000
ITEMS_PER_REQUEST = 200
EXPERIMENTS_AT_ONCE = 8
FORM = Form(
    Kind.REVIEW_QUEUE,
    lambda entry: Told(told_id(entry, "queue_id"), told_id(entry, "experiment_id")),
)


class ReviewQueueStore(RecordStore[ReviewQueue]):
    """Review queues, each with all its items."""

    kind = Kind.REVIEW_QUEUE
    part = PART

    def list(self, containers: Sequence[str]) -> Iterator[ReviewQueue]:
        """See ``Store.list``."""
        with SharingThreads(EXPERIMENTS_AT_ONCE) as pool:
            found = builtins.list(pool.map(self._in, containers))
        hidden = [it for it, queues in zip(containers, found, strict=True) if queues is None]
        tell_of_hidden(self._http, self._entries.gaps, hidden)
        for queues in found:
            yield from map(self._with_items, queues or ())

    def _in(self, experiment_id: str) -> builtins.list[ReviewQueue] | None:
        """Return the queues of an experiment without their items; None for one in the trash."""
        asked = {"experiment_id": experiment_id, "max_results": PER_PAGE}
        pages = self._http.get_pages(PART.path, asked)
        try:
            found = builtins.list(self._entries.all(pages, "review_queues", FORM, queue_from))
        except NotFound:
            return None
        return sorted(found, key=lambda it: (it.creation_time_ms or 0, it.queue_id))

    def _with_items(self, queue: ReviewQueue) -> ReviewQueue:
        asked = {"queue_id": queue.queue_id, "max_results": PER_PAGE}
        pages = self._http.get_pages(f"{QUEUES}/items/list", asked)
        form = Form(self.kind, lambda _: Told(queue.queue_id, queue.experiment_id))
        items = self._entries.all(pages, "items", form, _item_from)
        return replace(queue, items=tuple(sorted(items)))

    def _read(self, ident: str) -> ReviewQueue:
        answer = self._http.get(f"{QUEUES}/get", {"queue_id": ident})
        return self._with_items(queue_from(required(answer, "review_queue")))

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[ReviewQueue]]]:
        """See ``Store.find``."""
        wanted = (it for it in self._in(container) or () if keys is None or it.key in keys)
        return {it.key: [Found(self._with_items(it))] for it in wanted}

    def create(self, container: str, wanted: ReviewQueue) -> ReviewQueue:
        """See ``Store.create``: without its items."""
        body: dict[str, Any] = {"experiment_id": container, "name": wanted.name}
        body |= {"queue_type": wanted.queue_type, "users": builtins.list(wanted.users)}
        body |= {"schema_ids": builtins.list(wanted.schema_ids)}
        answer = self._http.post(f"{QUEUES}/create", body, idempotent=False)
        with read_once():
            return queue_from(required(answer, "review_queue"))

    def finish(
        self, copy: ReviewQueue, wanted: ReviewQueue, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. Questions are changed in a queue without items."""
        shown = self.read([copy.queue_id])
        if not shown:
            raise NotFound(f"review queue {copy.name!r} is not on the target any more")
        [copy] = shown
        refused = []
        if copy.queue_type != wanted.queue_type:
            refused.append(Loss("queue_type", "MLflow changes it on no queue that is there"))
        if set(copy.schema_ids) != set(wanted.schema_ids):
            self._remove(copy, [it.item_id for it in copy.items])
            copy = replace(copy, items=())
        refused += self._update(copy, wanted)
        existing = {it.item_id: it for it in copy.items}
        self._remove(copy, sorted(existing.keys() - {it.item_id for it in wanted.items}))
        missing = [it for it in wanted.items if it.item_id not in existing]
        lost = self._add(copy, missing)
        names = {it.what for it in lost}
        arrived = [it for it in wanted.items if _name(it) not in names]
        fresh = ReviewItem("")
        for item in arrived:
            found = existing.get(item.item_id, fresh)
            if (found.status, found.completed_by) != (item.status, item.completed_by):
                refused += self._set_status(copy, item)
        return (*refused, *lost)

    def _update(self, copy: ReviewQueue, wanted: ReviewQueue) -> Sequence[Loss]:
        """Change what a queue is; MLflow changes nothing of one that is a user's own."""
        changed: dict[str, Any] = {}
        if copy.name != wanted.name:
            changed["name"] = wanted.name
        if set(copy.users) != set(wanted.users):
            changed |= {"update_users": True, "users": builtins.list(wanted.users)}
        if set(copy.schema_ids) != set(wanted.schema_ids):
            changed |= {"update_schema_ids": True, "schema_ids": builtins.list(wanted.schema_ids)}
        if wanted.created_by and copy.created_by != wanted.created_by:
            changed["new_owner"] = wanted.created_by
        if not changed:
            return ()
        try:
            body = {"queue_id": copy.queue_id, **changed}
            self._http.post(f"{QUEUES}/update", body, idempotent=True)
        except Refused as problem:
            names = {"new_owner": "created_by", "update_users": "users"}
            names |= {"update_schema_ids": "schema_ids"}
            what = {names.get(name, name) for name in changed}
            return tuple(Loss(it, f"refused by the target: {problem}") for it in sorted(what))
        return ()

    def _add(self, copy: ReviewQueue, items: Sequence[ReviewItem]) -> Sequence[Loss]:
        def send(some: Sequence[ReviewItem], fault_tries: int) -> None:
            ids = [it.item_id for it in some]
            body = {"queue_id": copy.queue_id, "item_type": "TRACE", "item_ids": ids}
            try:
                self._http.post(
                    f"{QUEUES}/items/add", body, idempotent=True, fault_tries=fault_tries
                )
            except NotFound as problem:  # MLflow's word for traces that are not there
                raise Refused(problem.message) from None

        return refusals(
            refused
            for start in range(0, len(items), ITEMS_PER_REQUEST)
            for refused in deliver(send, items[start : start + ITEMS_PER_REQUEST], _name)
        )

    def _remove(self, copy: ReviewQueue, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), ITEMS_PER_REQUEST):
            some = builtins.list(ids[start : start + ITEMS_PER_REQUEST])
            body = {"queue_id": copy.queue_id, "item_ids": some}
            self._http.post(f"{QUEUES}/items/remove", body, idempotent=True)

    def _set_status(self, copy: ReviewQueue, item: ReviewItem) -> Sequence[Loss]:
        """Set what has become of an item; a server with accounts says itself by whom."""
        body = {"queue_id": copy.queue_id, "item_id": item.item_id, "status": item.status}
        if item.completed_by:
            body["completed_by"] = item.completed_by
        try:
            answer = self._http.post(f"{QUEUES}/items/set-status", body, idempotent=True)
        except Refused as problem:
            return (Loss(_name(item), f"refused by the target: {problem}"),)
        told = text(required(answer, "item"), "completed_by")
        if told == item.completed_by or item.status == PENDING:
            return ()
        by = item.completed_by or "nobody"
        return (Loss(_name(item), f"the target puts {told!r} in place of {by!r}, who did it"),)

    def delete(self, copy: ReviewQueue) -> None:
        """See ``Store.delete``."""
        self._http.post(f"{QUEUES}/delete", {"queue_id": copy.queue_id}, idempotent=True)


def queue_from(body: Object) -> ReviewQueue:
    """Read a queue of a list or a GET, without its items. Raises ``Malformed``."""
    return ReviewQueue(
        queue_id=ident(body, "queue_id"),
        experiment_id=ident(body, "experiment_id"),
        name=text(body, "name"),
        queue_type=text(body, "queue_type"),
        users=tuple(sorted(texts(body, "users"))),
        schema_ids=tuple(sorted(texts(body, "schema_ids"))),
        created_by=text(body, "created_by"),
        creation_time_ms=integer(body, "creation_time_ms"),
        last_update_time_ms=integer(body, "last_update_time_ms"),
    )


def _item_from(body: Object) -> ReviewItem:
    return ReviewItem(
        item_id=ident(body, "item_id"),
        item_type=text(body, "item_type"),
        status=text(body, "status"),
        completed_by=text(body, "completed_by"),
        completed_time_ms=integer(body, "completed_time_ms"),
        creation_time_ms=integer(body, "creation_time_ms"),
        last_update_time_ms=integer(body, "last_update_time_ms"),
    )


def _name(item: ReviewItem) -> str:
    return f"item {item.item_id}"
