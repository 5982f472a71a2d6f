"""Label schemas of a tracking server (MLflow 3.14), read so that nothing is written.

Where the schemas of an experiment are listed for the first time, MLflow makes its default question.
So they are listed only where that is there; elsewhere those are read that review queues name, and
where there may be others, that is said.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from migrate.endpoints.shapes import Object, flag, ident, integer, member, required, text, told_id
from migrate.endpoints.stores import Found
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import LABEL_SCHEMAS as PART
from migrate.endpoints.tracking.parts import NEWER_API, REVIEW_QUEUES
from migrate.endpoints.tracking.searches.traced import may_have_traces, tell_of_hidden
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.errors import NotFound, Refused
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.label_schemas import LabelSchema
from migrate.shares import SharingThreads

SCHEMAS = f"{NEWER_API}/label-schemas"
#: The name that MLflow gives to its default question, and refuses for others.
DEFAULT = "Feedback"
PER_PAGE = 1000
EXPERIMENTS_AT_ONCE = 8
FORM = Form(
    Kind.LABEL_SCHEMA,
    lambda entry: Told(told_id(entry, "schema_id"), told_id(entry, "experiment_id")),
)
#: What an update changes.
_CHANGED = ("name", "instruction", "enable_comment", "input")


class _Read(NamedTuple):
    """The schemas of an experiment; others may be there where it was not ``listed``."""

    schemas: Sequence[LabelSchema]
    listed: bool
    has_queues: bool = False
    deleted: bool = False


class LabelSchemaStore(RecordStore[LabelSchema]):
    """Label schemas."""

    kind = Kind.LABEL_SCHEMA
    part = PART

    def list(self, containers: Sequence[str]) -> Iterator[LabelSchema]:
        """See ``Store.list``."""
        with SharingThreads(EXPERIMENTS_AT_ONCE) as pool:
            found = dict(zip(containers, pool.map(self._in, containers), strict=True))
        hidden = [key for key, it in found.items() if it.deleted]
        tell_of_hidden(self._http, self._entries.gaps, hidden)
        others = {key: it for key, it in found.items() if not (it.listed or it.deleted)}
        self._tell_of_others(others)
        for read in found.values():
            yield from sorted(read.schemas, key=lambda it: (it.created_at or 0, it.schema_id))

    def _in(self, experiment_id: str) -> _Read:
        """Read the schemas of an experiment, as far as that writes nothing."""
        if self._named(experiment_id, DEFAULT) is not None:
            asked = {"experiment_id": experiment_id, "max_results": PER_PAGE}
            pages = self._http.get_pages(f"{SCHEMAS}/list", asked)
            found = self._entries.all(pages, "label_schemas", FORM, schema_from)
            return _Read(builtins.list(found), listed=True)
        asked = {"experiment_id": experiment_id, "max_results": PER_PAGE}
        ids: dict[str, None] = {}
        has_queues = False
        try:
            for page in self._http.get_pages(REVIEW_QUEUES.path, asked):
                for queue in page.get("review_queues") or ():
                    has_queues = True
                    ids |= dict.fromkeys(queue.get("schema_ids") or ())
        except NotFound:
            return _Read((), listed=False, deleted=True)
        return _Read(self.read(builtins.list(ids)), listed=False, has_queues=has_queues)

    def _tell_of_others(self, unlisted: Mapping[str, _Read]) -> None:
        """Say where there may be schemas that were not read: where something can be asked about."""
        if not self._entries.gaps.may_leave_out:
            return
        with_queues = {key for key, it in unlisted.items() if it.has_queues}
        if with_queues or may_have_traces(self._http, builtins.list(unlisted)):
            where = ", ".join(sorted(with_queues)) or "some with traces"
            self._entries.gaps.note(
                f"whether experiments of the source ({where}) have label schemas that no review "
                "queue names is not known: MLflow writes one when they are listed for the first "
                "time. List them once, as an experiment's page of questions does, or leave them "
                "out with --without label-schemas"
            )

    def _named(self, experiment_id: str, name: str) -> LabelSchema | None:
        try:
            asked = {"experiment_id": experiment_id, "name": name}
            answer = self._http.get(f"{SCHEMAS}/get-by-name", asked)
        except NotFound:
            return None
        return schema_from(required(answer, "label_schema"))

    def _read(self, ident: str) -> LabelSchema:
        answer = self._http.get(f"{SCHEMAS}/get", {"schema_id": ident})
        return schema_from(required(answer, "label_schema"))

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[LabelSchema]]]:
        """See ``Store.find``; without ``keys`` those that can be read without a write."""
        if keys is None:
            return {it.name: [Found(it)] for it in self._in(container).schemas}
        named = {key: self._named(container, key) for key in keys}
        return {key: [Found(it)] for key, it in named.items() if it is not None}

    def create(self, container: str, wanted: LabelSchema) -> LabelSchema:
        """See ``Store.create``. The default question MLflow makes where schemas are listed."""
        if wanted.is_default:
            asked = {"experiment_id": container, "max_results": 1}
            self._http.get(f"{SCHEMAS}/list", asked)
            made = self._named(container, DEFAULT)
            if made is None:
                raise Refused(f"MLflow made no question {DEFAULT!r} in experiment {container}")
            return made
        body = {"experiment_id": container, "type": wanted.type, **_fields(wanted)}
        answer = self._http.post(f"{SCHEMAS}/create", body, idempotent=False)
        with read_once():
            return schema_from(required(answer, "label_schema"))

    def finish(
        self, copy: LabelSchema, wanted: LabelSchema, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. A schema keeps its type, and the text that is taken off."""
        old, new = _fields(copy), _fields(wanted)
        changed = {name: value for name, value in new.items() if value != old.get(name)}
        if copy.is_default or not changed:
            self._http.get(f"{SCHEMAS}/get", {"schema_id": copy.schema_id})  # it may be gone
        else:
            body = {"schema_id": copy.schema_id, **changed}
            self._http.change("PATCH", f"{SCHEMAS}/update", body)
        kept = ["type"] if copy.type != wanted.type else []
        kept += [name for name in ("instruction",) if name in old and name not in new]
        return tuple(Loss(name, "MLflow takes it off no schema that is there") for name in kept)

    def delete(self, copy: LabelSchema) -> None:
        """See ``Store.delete``."""
        self._http.change("DELETE", f"{SCHEMAS}/delete", {"schema_id": copy.schema_id})


def schema_from(body: Object) -> LabelSchema:
    """Read a label schema of a list or a GET. Raises ``Malformed``."""
    return LabelSchema(
        schema_id=ident(body, "schema_id"),
        experiment_id=ident(body, "experiment_id"),
        name=text(body, "name"),
        type=text(body, "type"),
        input=member(body, "input"),
        instruction=None if body.get("instruction") is None else text(body, "instruction"),
        enable_comment=flag(body, "enable_comment"),
        is_default=flag(body, "is_default"),
        created_by=text(body, "created_by"),
        created_at=integer(body, "created_at"),
        last_updated_at=integer(body, "last_updated_at"),
    )


def _fields(schema: LabelSchema) -> dict[str, Any]:
    found = {name: getattr(schema, name) for name in _CHANGED}
    return {name: value for name, value in found.items() if value is not None}
