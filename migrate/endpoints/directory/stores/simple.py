"""Kinds of which each object is one record: a JSON file each, below a folder of the kind."""

from __future__ import annotations

import builtins
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from threading import RLock
from typing import Any, Generic, NamedTuple, TypeVar

from migrate.endpoints.directory.export import Export
from migrate.endpoints.directory.layout import directory_name, registry_names
from migrate.endpoints.directory.native.envelope import (
    mlflow_member,
    require_known_format,
    said_by_us,
    system_block,
)
from migrate.endpoints.directory.native.losses import losses_from_json, losses_to_json
from migrate.endpoints.directory.unreadable import held_twice
from migrate.endpoints.disk import (
    DAMAGED,
    files_in,
    load_object,
    refuse_links,
    subdirectories,
    sync,
    write_object,
    writing,
)
from migrate.endpoints.record_json import record_from_json, record_to_json
from migrate.endpoints.shapes import required, text
from migrate.endpoints.stores import Bookkeeping, Found, Identity
from migrate.errors import AlreadyExists, DirectoryError, Malformed, NotFound
from migrate.kinds import Kind, Ref
from migrate.objects import Loss
from migrate.records.gateway import (
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
)
from migrate.records.issues import Issue
from migrate.records.label_schemas import LabelSchema
from migrate.records.mcp_servers import MCPServer
from migrate.records.review_queues import ReviewQueue
from migrate.records.scorers import Scorer
from migrate.records.users import Role, User
from migrate.records.webhooks import Webhook

R = TypeVar("R")

_LOSSES = "losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple(Generic[R]):
    """A kind whose objects are dataclasses of JSON: where in one its id is, the id of what holds
    it, and when it was made; the latter two empty where there is no such member.
    """

    kind: Kind
    record: type[R]
    ident: str
    container: str = ""
    created: str = ""


#: The kinds that are kept so, and no more is to be said of.
SIMPLE: tuple[Simple[Any], ...] = (
    Simple(kind=Kind.WEBHOOK, record=Webhook, ident="webhook_id", created="creation_timestamp"),
    Simple(kind=Kind.SCORER, record=Scorer, ident="scorer_id", container="experiment_id"),
    Simple(
        kind=Kind.ISSUE,
        record=Issue,
        ident="issue_id",
        container="experiment_id",
        created="created_timestamp",
    ),
    Simple(
        kind=Kind.LABEL_SCHEMA,
        record=LabelSchema,
        ident="schema_id",
        container="experiment_id",
        created="created_at",
    ),
    Simple(
        kind=Kind.REVIEW_QUEUE,
        record=ReviewQueue,
        ident="queue_id",
        container="experiment_id",
        created="creation_time_ms",
    ),
    *(
        Simple(kind=kind, record=record, ident=ident, created="created_at")
        for kind, record, ident in (
            (Kind.GATEWAY_SECRET, GatewaySecret, "secret_id"),
            (Kind.GATEWAY_MODEL, GatewayModel, "model_definition_id"),
            (Kind.GATEWAY_ENDPOINT, GatewayEndpoint, "endpoint_id"),
            (Kind.GATEWAY_BUDGET, GatewayBudget, "budget_policy_id"),
            (Kind.GATEWAY_GUARDRAIL, GatewayGuardrail, "guardrail_id"),
        )
    ),
    Simple(kind=Kind.MCP_SERVER, record=MCPServer, ident="name", created="creation_timestamp"),
    Simple(kind=Kind.USER, record=User, ident="username"),
    Simple(kind=Kind.ROLE, record=Role, ident="name"),
)


class _Stored(NamedTuple, Generic[R]):
    """A file, and what is in it or what is wrong with it."""

    path: Path
    content: Found[R] | DirectoryError

    @property
    def is_damaged(self) -> bool:
        return isinstance(self.content, DirectoryError) and self.content.hint == DAMAGED

    def copy(self) -> Found[R]:
        if isinstance(self.content, DirectoryError):
            raise self.content
        return self.content


class SimpleStore(Generic[R]):
    """The objects of one kind in an export; implements ``Store``. Copies keep their ids.

    A damaged file is reported and costs itself;
    creating its object writes it anew. Methods raise ``DirectoryError`` beside what ``Store``
    says, and those that write ``StorageFull``.
    """

    identity = Identity.KEPT
    bookkeeping = Bookkeeping.SIDECAR

    def __init__(self, simple: Simple[R], export: Export) -> None:
        self.kind = simple.kind
        self._simple = simple
        self._export = export
        self._word = simple.kind.replace(" ", "_")
        self._end = f".{self._word}.json"
        self._has_losses = _LOSSES in {it.name for it in fields(simple.record)}  # type: ignore[arg-type]
        self._lock = RLock()
        self._recent: tuple[Path, ...] = ()

    def list(self, containers: Sequence[str]) -> Iterator[R]:
        """See ``Store.list``."""
        for container in containers if self._simple.container else ("",):
            yield from sorted((found.record for found in self._whole_in(container)), key=self._age)

    def read(self, ids: Sequence[str]) -> builtins.list[R]:
        """See ``Store.read``."""
        return [it.copy().record for it in map(self._anywhere, ids) if it is not None]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[R]]]:
        """See ``Store.find``."""
        if keys is None:
            found = self._whole_in(container)
        else:
            folder = self._folder(container)
            found = self._readable((self._stored_in(folder, key) for key in keys), container)
        return {self._id_of(copy.record): [copy] for copy in found}

    def create(self, container: str, wanted: R) -> R:
        """See ``Store.create``."""
        self._export.require_writable()
        ident, folder = self._id_of(wanted), self._folder(container)
        with self._lock:
            refuse_links(self._export.top, folder)
            stored = self._stored_in(folder, ident)
            if stored is not None and not stored.is_damaged:
                stored.copy()
                raise AlreadyExists(f"{self.kind} {ident} is in {stored.path} already")
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            copy = self._with(wanted, {self._simple.container: container})
            self._write(stored.path if stored else self._free_place(folder, ident), Found(copy))
        return copy

    def finish(self, copy: R, wanted: R, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """See ``Store.finish``. Refuses nothing. Raises ``NotFound``."""
        members = {self._simple.ident: self._id_of(copy)}
        members[self._simple.container] = self._container_of(copy)
        with self._lock:
            stored = self._present(self._id_of(copy))
            existing = stored.copy()
            kept = Found(self._with(wanted, members), mark, tuple(losses))
            self._write(stored.path, kept, existing)
        return ()

    def keep_losses(self, ref: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``. Raises ``NotFound``."""
        with self._lock:
            stored = self._present(ref.id)
            existing = stored.copy()
            self._write(stored.path, existing._replace(losses=tuple(losses)), existing)

    def delete(self, copy: R) -> None:
        """See ``Store.delete``."""
        self._export.require_writable()
        with self._lock:
            folder = self._folder(self._container_of(copy))
            stored = self._stored_in(folder, self._id_of(copy))
            if stored is not None:
                with writing(stored.path):
                    stored.path.unlink(missing_ok=True)
                    sync(folder)

    def _whole_in(self, container: str) -> Iterator[Found[R]]:
        """Yield what can be read in a container, and report what cannot."""
        self._export.unreadable.forget(self.kind, container)
        files = files_in(self._folder(container), self._end)
        return self._readable(map(self._stored, files), container)

    def _readable(self, stored: Iterable[_Stored[R] | None], container: str) -> Iterator[Found[R]]:
        first: dict[str, Path] = {}
        for it in stored:
            if it is None:
                continue
            try:
                found = it.copy()
                ident = self._id_of(found.record)
                if first.setdefault(ident, it.path) != it.path:
                    raise held_twice(f"{self.kind} {ident}", it.path, first[ident])
            except DirectoryError as problem:
                ref = Ref(self.kind, it.path.name.removesuffix(self._end))
                self._export.unreadable.report(ref, container, it.path, problem)
                continue
            yield found

    def _stored_in(self, folder: Path, ident: str) -> _Stored[R] | None:
        """Return the file of an object, damaged or not; None where there is none."""
        for path in filter(os.path.lexists, self._places(folder, ident)):
            stored = self._stored(path)
            if isinstance(stored.content, DirectoryError):
                return stored
            if self._id_of(stored.content.record) == ident:
                return stored
        return None

    def _stored(self, path: Path) -> _Stored[R]:
        try:
            return _Stored(path, self._read(path))
        except DirectoryError as problem:
            return _Stored(path, problem)

    def _read(self, path: Path) -> Found[R]:
        """Read a file; what is in it has to belong there."""
        document = load_object(self._export.top, path)
        ours = said_by_us(document)
        require_known_format(path, ours.get("format_version"))
        try:
            value = required(mlflow_member(path, document), self._word)
            record = record_from_json(self._simple.record, value)
            losses = losses_from_json(ours, _LOSSES)
            if self._has_losses:
                record = replace(record, **{_LOSSES: losses})  # type: ignore[type-var]
            found = Found(record, text(ours, "mark"), losses)
        except Malformed as problem:
            what = f"{path} describes no {self.kind}: {problem}"
            raise DirectoryError(what, DAMAGED) from problem
        folder = self._folder(self._container_of(record))
        if path not in self._places(folder, self._id_of(record)):
            what = f"{path} is about {self.kind} {self._id_of(record)!r}, which has another place"
            raise DirectoryError(what, DAMAGED)
        return found

    def _write(self, path: Path, wanted: Found[R], existing: Found[R] | None = None) -> None:
        """Write a file in place of the one that is there, unless that says so already."""
        ours, value = self._content(wanted)
        if existing is None or (ours, value) != self._content(existing):
            document = {"system": system_block(ours), "mlflow": {self._word: value}}
            write_object(path, document)

    def _content(self, found: Found[R]) -> tuple[dict[str, object], dict[str, Any]]:
        """Return what only this tool says of an object, and its members."""
        value = record_to_json(found.record)
        if self._has_losses:
            del value[_LOSSES]
        losses = {_LOSSES: losses_to_json(found.losses)} if found.losses else {}
        return {"mark": found.mark, **losses}, value

    def _present(self, ident: str) -> _Stored[R]:
        self._export.require_writable()
        stored = self._anywhere(ident)
        if stored is None:
            raise NotFound(f"{self.kind} {ident} is not in {self._export.path}")
        return stored

    def _anywhere(self, ident: str) -> _Stored[R] | None:
        """Return the file of an object, looked for first where the last one was found."""
        for folder in chain(self._recent, self._folders()):
            stored = self._stored_in(folder, ident)
            if stored is not None:
                self._recent = (folder,)
                return stored
        return None

    def _folders(self) -> Iterator[Path]:
        """Yield the directories that may hold objects."""
        top = self._folder("")
        return subdirectories(top) if self._simple.container else iter([top])

    def _folder(self, container: str) -> Path:
        folder = self._export.top / self.kind.plural.replace(" ", "_")
        return folder / directory_name(container) if container else folder

    def _free_place(self, folder: Path, ident: str) -> Path:
        """Return where a new object goes; names that differ by case may meet at the first."""
        for path in self._places(folder, ident):
            if not os.path.lexists(path):
                return path
        raise DirectoryError(f"{path} is taken", "remove what should not be there")

    def _places(self, folder: Path, ident: str) -> builtins.list[Path]:
        return [folder / f"{name}{self._end}" for name in registry_names(ident)]

    def _id_of(self, record: R) -> str:
        ident: str = getattr(record, self._simple.ident)
        return ident

    def _container_of(self, record: R) -> str:
        return getattr(record, self._simple.container) if self._simple.container else ""

    def _age(self, record: R) -> tuple[int, str]:
        created = getattr(record, self._simple.created) if self._simple.created else None
        return created or 0, self._id_of(record)

    def _with(self, record: R, members: Mapping[str, str]) -> R:
        changed: R = replace(record, **{it: members[it] for it in members if it})  # type: ignore[type-var]
        return changed
