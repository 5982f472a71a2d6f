"""Evaluation datasets of a tracking server (MLflow 3.4), and their records."""

from __future__ import annotations

import builtins
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from migrate.endpoints.dataset_records import record_from, record_to
from migrate.endpoints.shapes import (
    Object,
    as_object,
    ident,
    integer,
    pairs,
    parse_json,
    required,
    text,
    texts,
    told_id,
)
from migrate.endpoints.stores import Bookkeeping, Found, Identity
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import EVALUATION_DATASETS, NEWER_API
from migrate.endpoints.tracking.refusals import deliver, refusals
from migrate.endpoints.tracking.request_sizes import BATCH_BYTES
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.endpoints.tracking.tag_removal import remove_tags, tags_that_stay
from migrate.errors import Malformed, NotFound
from migrate.kinds import Kind
from migrate.origins import MARK, ORIGIN, losses_from_tags, losses_to_tags
from migrate.outcomes import Loss
from migrate.records.evaluation_datasets import DatasetRecord, EvaluationDataset

DATASETS = f"{NEWER_API}/datasets"
PER_PAGE = 1000
#: MLflow looks each record of a request up for itself.
RECORDS_PER_REQUEST = 200
FORM = Form(Kind.EVALUATION_DATASET, lambda entry: Told(told_id(entry, "dataset_id")))


class EvaluationDatasetStore(RecordStore[EvaluationDataset]):
    """Evaluation datasets; ``HoldsContents`` too.

    Which experiments one belongs to is asked for each. Copies are looked for among all: MLflow
    finds none by a tag with a dot in its name.
    """

    kind = Kind.EVALUATION_DATASET
    part = EVALUATION_DATASETS
    identity = Identity.TAGGED
    bookkeeping = Bookkeeping.TAGS

    def list(self, containers: Sequence[str]) -> Iterator[EvaluationDataset]:
        """See ``Store.list``."""
        for dataset in self._all():
            yield self._with_experiments(dataset)

    def _read(self, ident: str) -> EvaluationDataset:
        dataset = dataset_from(required(self._http.get(_path(ident)), "dataset"))
        return self._with_experiments(dataset)

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[EvaluationDataset]]]:
        """See ``Store.find``."""
        found: dict[str, builtins.list[Found[EvaluationDataset]]] = {}
        for dataset in self._all():
            origin = dataset.tags.get(ORIGIN)
            if origin and (keys is None or origin in keys):
                mark, losses = dataset.tags.get(MARK, ""), losses_from_tags(dataset.tags)
                copy = Found(self._with_experiments(dataset), mark, losses)
                found.setdefault(origin, []).append(copy)
        for same in found.values():
            same.sort(key=lambda copy: (not copy.mark, copy.record.dataset_id))
        return found

    def _all(self) -> builtins.list[EvaluationDataset]:
        pages = self._http.pages(EVALUATION_DATASETS.path, {"max_results": PER_PAGE})
        found = self._entries.all(pages, "datasets", FORM, dataset_from)
        return sorted(found, key=lambda it: (it.created_time or 0, it.dataset_id))

    def _with_experiments(self, dataset: EvaluationDataset) -> EvaluationDataset:
        answer = self._http.get(f"{_path(dataset.dataset_id)}/experiment-ids")
        return replace(dataset, experiment_ids=tuple(texts(answer, "experiment_ids")))

    def create(self, container: str, wanted: EvaluationDataset) -> EvaluationDataset:
        """See ``Store.create``."""
        body = {
            "name": wanted.name,
            "experiment_ids": builtins.list(wanted.experiment_ids),
            "tags": json.dumps(dict(wanted.tags)),
        }
        answer = self._http.post(f"{DATASETS}/create", body, idempotent=False)
        with read_once():
            made = dataset_from(required(answer, "dataset"))
        return replace(made, experiment_ids=wanted.experiment_ids)

    def finish(
        self,
        copy: EvaluationDataset,
        wanted: EvaluationDataset,
        mark: str,
        losses: Sequence[Loss] = (),
    ) -> Sequence[Loss]:
        """See ``Store.finish``. Records are another matter, see ``add``.

        It is taken from no experiment: an earlier plan may have selected others.
        """
        path = _path(copy.dataset_id)
        if joins := sorted(set(wanted.experiment_ids) - set(copy.experiment_ids)):
            body = {"dataset_id": copy.dataset_id, "experiment_ids": joins}
            self._http.post(f"{path}/add-experiments", body, idempotent=True)
        stay = tags_that_stay(copy.tags.keys() - wanted.tags.keys())
        tags = {**wanted.tags, **losses_to_tags([*losses, *stay])}
        remove_tags(self._http, path, copy.tags.keys() - tags.keys() - {MARK})
        self._tag(copy, {k: value for k, value in tags.items() if copy.tags.get(k) != value})
        self._tag(copy, {MARK: mark})
        return stay

    def _tag(self, copy: EvaluationDataset, tags: Mapping[str, str]) -> None:
        if tags:
            body = {"dataset_id": copy.dataset_id, "tags": json.dumps(dict(tags))}
            self._http.change("PATCH", f"{_path(copy.dataset_id)}/tags", body)

    def delete(self, copy: EvaluationDataset) -> None:
        """See ``Store.delete``."""
        with suppress(NotFound):
            self._http.change("DELETE", _path(copy.dataset_id), {})

    def contents(self, holder: EvaluationDataset) -> Iterator[Sequence[DatasetRecord]]:
        """See ``HoldsContents.contents``."""
        path = f"{_path(holder.dataset_id)}/records"

        def ask(token: str) -> Any:
            asked = {"max_results": RECORDS_PER_REQUEST}
            return self._http.get(path, {**asked, "page_token": token} if token else asked)

        for page in self._http.paged(path, ask):
            yield _records_of(page, path)

    def add(self, holder: EvaluationDataset, contents: Sequence[DatasetRecord]) -> Sequence[Loss]:
        """See ``HoldsContents.add``."""
        path = f"{_path(holder.dataset_id)}/records"

        def send(some: Sequence[DatasetRecord], fault_tries: int) -> None:
            body = {
                "dataset_id": holder.dataset_id,
                "records": json.dumps([record_to(it) for it in some]),
            }
            self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

        return refusals(
            refused
            for some in _in_requests(contents)
            for refused in deliver(send, some, lambda it: f"record {it.key[:12]}")
        )

    def remove(self, holder: EvaluationDataset, ids: Sequence[str]) -> None:
        """See ``HoldsContents.remove``."""
        path = f"{_path(holder.dataset_id)}/records"
        for start in range(0, len(ids), RECORDS_PER_REQUEST):
            some = builtins.list(ids[start : start + RECORDS_PER_REQUEST])
            body = {"dataset_id": holder.dataset_id, "dataset_record_ids": some}
            self._http.change("DELETE", path, body)


def dataset_from(body: Object) -> EvaluationDataset:
    """Read a dataset of ``datasets/search`` or of a GET. Raises ``Malformed``."""
    return EvaluationDataset(
        dataset_id=ident(body, "dataset_id"),
        name=text(body, "name"),
        tags=pairs({"tags": _parsed(body, "tags") or {}}, "tags"),
        digest=text(body, "digest"),
        schema=text(body, "schema"),
        profile=text(body, "profile"),
        created_by=text(body, "created_by"),
        last_updated_by=text(body, "last_updated_by"),
        created_time=integer(body, "created_time"),
        last_update_time=integer(body, "last_update_time"),
    )


def _records_of(page: Object, where: str) -> Sequence[DatasetRecord]:
    found = _parsed(page, "records") or []
    if not isinstance(found, builtins.list):
        raise Malformed(f"{where}: records is no list")
    return [record_from(as_object(it, f"record {at}")) for at, it in enumerate(found)]


def _parsed(body: Object, name: str) -> Any:
    """Read a member that is JSON in a text."""
    try:
        return parse_json(text(body, name) or "null")
    except ValueError as problem:
        raise Malformed(f"{name} is no JSON: {problem}") from problem


def _in_requests(records: Sequence[DatasetRecord]) -> Iterator[Sequence[DatasetRecord]]:
    """Yield records in lists, each of which one request has room for."""
    some: builtins.list[DatasetRecord] = []
    size = 0
    for record in records:
        length = len(json.dumps(record_to(record)))
        if some and (len(some) == RECORDS_PER_REQUEST or size + length > BATCH_BYTES):
            yield some
            some, size = [], 0
        some.append(record)
        size += length
    if some:
        yield some


def _path(dataset_id: str) -> str:
    return f"{DATASETS}/{quote(dataset_id, safe='')}"
