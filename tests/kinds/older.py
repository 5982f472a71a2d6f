"""The kinds whose stores have another form, in the shape that the suite expects.

Their stores say more than a ``Store`` does: a run is filled by a writer, an experiment has no mark,
a trace is created anew before it is finished again, a server numbers versions itself.
What is here only turns one call into the other.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from migrate.endpoints.answers import Copy
from migrate.endpoints.protocols import Target
from migrate.endpoints.stores import Bookkeeping, Found, Identity, traces_of
from migrate.errors import AlreadyExists
from migrate.kinds import Kind, Ref
from migrate.objects import Experiment, LoggedModel, Loss, ModelVersion, RegisteredModel, Run
from migrate.origins import ORIGIN, losses_to_tags, without_bookkeeping
from migrate.traces import Trace

#: MLflow makes it, and nobody deletes it.
DEFAULT = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the suite asks of a carrier: how an object is named, and what of it is copied."""

    kind: Kind
    ident: str
    name: str
    members: tuple[str, ...]

    def ref(self, record: Any) -> Ref:
        return Ref(self.kind, getattr(record, self.ident))

    def key(self, record: Any, identity: Identity) -> str:
        if identity is Identity.TAGGED:
            origin: str = record.tags[ORIGIN]
            return origin
        found: str = getattr(record, self.name if identity is Identity.NAMED else self.ident)
        return found

    def differences(self, wanted: Any, copy: Any) -> Iterator[tuple[str, object, object]]:
        for member in self.members:
            old, new = (_comparable(getattr(it, member)) for it in (wanted, copy))
            if old != new:
                yield member, old, new


class OfVersions(Meaning):
    """Of versions, which have numbers for keys."""

    def ref(self, record: Any) -> Ref:
        found: Ref = record.ref
        return found

    def key(self, record: Any, identity: Identity) -> str:
        return str(record.version)


def _comparable(value: Any) -> Any:
    """Leave out of tags what MLflow and this tool write by themselves."""
    if not isinstance(value, Mapping):
        return value
    tags = without_bookkeeping(value)
    return {key: text for key, text in tags.items() if not key.startswith("mlflow.")}


def surplus(copy: Mapping[str, str], wanted: Mapping[str, str]) -> builtins.list[str]:
    """Return the tags that a copy has too much."""
    return sorted(_comparable(copy).keys() - wanted.keys())


class Older:
    """What the adapters have in common: by what copies are found, as the endpoint says."""

    kind: Kind

    def __init__(self, endpoint: Target) -> None:
        can = endpoint.capabilities()
        self.identity = can.found_by[self.kind]
        self.bookkeeping = can.bookkeeping
        self._endpoint = endpoint

    def with_losses(self, tags: Mapping[str, str], losses: Sequence[Loss]) -> Mapping[str, str]:
        """Return the tags of a copy, which are told its losses where it has no other place."""
        told = losses_to_tags(losses) if self.bookkeeping is Bookkeeping.TAGS else {}
        return {**tags, **told}

    def keep(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """Keep losses beside a copy, as a migration does after it."""
        if self.bookkeeping is Bookkeeping.SIDECAR:
            self._endpoint.keep_losses(copy, losses)


class Experiments(Older):
    """Experiments; a deleted one stays in the trash, with its name."""

    kind = Kind.EXPERIMENT

    def __init__(self, endpoint: Target) -> None:
        super().__init__(endpoint)
        self.bookkeeping = Bookkeeping.NONE
        self._store = endpoint.experiments

    def list(self, containers: Sequence[str]) -> Iterator[Experiment]:
        return (it for it in self._store.list() if it.experiment_id != DEFAULT)

    def read(self, ids: Sequence[str]) -> Sequence[Experiment]:
        return self._store.read(ids)

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Experiment]]]:
        by_name = self.identity is Identity.NAMED
        found = {it.name if by_name else it.experiment_id: it for it in self.list(())}
        return {key: [Found(it)] for key, it in found.items() if keys is None or key in keys}

    def create(self, container: str, wanted: Experiment) -> Experiment:
        [made] = self._store.read([self._store.create(wanted)])
        return made

    def finish(
        self, copy: Experiment, wanted: Experiment, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        refused = self._store.set_tags(copy.experiment_id, wanted.tags)
        self._store.remove_tags(copy.experiment_id, surplus(copy.tags, wanted.tags))
        return refused

    def delete(self, copy: Experiment) -> None:
        self._store.delete(copy.experiment_id)


def _found(
    copies: Mapping[str, Sequence[Copy]], read: Callable[[Sequence[str]], Sequence[Any]], ident: str
) -> Mapping[str, Sequence[Found[Any]]]:
    """Return copies with their records."""
    ids = [copy.target_id for alike in copies.values() for copy in alike]
    records = {getattr(record, ident): record for record in read(ids)}
    return {
        key: [
            Found(records[it.target_id], it.mark, it.losses or records[it.target_id].losses)
            for it in alike
        ]
        for key, alike in copies.items()
    }


class Runs(Older):
    """Runs, each filled by a writer."""

    kind = Kind.RUN

    def __init__(self, endpoint: Target) -> None:
        super().__init__(endpoint)
        self._store = endpoint.runs

    def list(self, containers: Sequence[str]) -> Iterator[Run]:
        return self._store.list(containers)

    def read(self, ids: Sequence[str]) -> Sequence[Run]:
        return self._store.read(ids)

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Run]]]:
        copies = self._store.find(container, keys)
        return _found(copies, lambda ids: self._store.read_in(container, ids), "run_id")

    def create(self, container: str, wanted: Run) -> Run:
        writer = self._store.create(container, wanted)
        writer.abandon()
        made = self._store.read_in(container, [writer.run_id])
        # In a database nothing of it is there before all is.
        return made[0] if made else replace(wanted, run_id=writer.run_id, experiment_id=container)

    def finish(
        self, copy: Run, wanted: Run, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        tags = self.with_losses(wanted.tags, losses)
        told = replace(wanted, tags=tags)
        if self._store.read_in(copy.experiment_id, [copy.run_id]):
            writer = self._store.adopt(copy.experiment_id, copy, told)
        else:
            writer = self._store.create(copy.experiment_id, told)
        writer.write_tags(tags)
        writer.remove_tags(surplus(copy.tags, tags))
        writer.write_params(wanted.params)
        refused = writer.finish(wanted, mark, losses)
        self.keep(copy.ref, losses)
        return refused

    def delete(self, copy: Run) -> None:
        raise NotImplementedError


class LoggedModels(Older):
    """Logged models; a deleted one can still be read by its id."""

    kind = Kind.LOGGED_MODEL

    def __init__(self, endpoint: Target) -> None:
        super().__init__(endpoint)
        self._store = endpoint.logged_models

    def list(self, containers: Sequence[str]) -> Iterator[LoggedModel]:
        return self._store.list(containers)

    def read(self, ids: Sequence[str]) -> Sequence[LoggedModel]:
        return self._store.read(ids)

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[LoggedModel]]]:
        return _found(self._store.find(container, keys), self._store.read, "model_id")

    def create(self, container: str, wanted: LoggedModel) -> LoggedModel:
        return self._store.create(container, wanted)

    def finish(
        self, copy: LoggedModel, wanted: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        told = replace(wanted, tags=self.with_losses(wanted.tags, losses))
        refused = self._store.finish(copy, told, mark, losses)
        self.keep(copy.ref, losses)
        return refused

    def delete(self, copy: LoggedModel) -> None:
        raise NotImplementedError


class Traces:
    """Traces: what brings one up to date is to create it anew."""

    def __init__(self, endpoint: Target) -> None:
        store = traces_of(endpoint)
        assert store is not None
        self._store = store
        self.identity = store.identity
        self.bookkeeping = store.bookkeeping
        self.list, self.read, self.find = store.list, store.read, store.find
        self.create, self.delete = store.create, store.delete

    def finish(
        self, copy: Trace, wanted: Trace, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        self._store.create(copy.experiment_id, wanted)
        return self._store.finish(copy, wanted, mark, losses)


class RegisteredModels(Older):
    """Registered models and prompts."""

    kind = Kind.REGISTERED_MODEL

    def __init__(self, endpoint: Target) -> None:
        super().__init__(endpoint)
        self.identity = Identity.NAMED  # where its id is kept, that is its name
        self.bookkeeping = Bookkeeping.NONE
        self._store = endpoint.registered_models

    def list(self, containers: Sequence[str]) -> Iterator[RegisteredModel]:
        return self._store.list()

    def read(self, ids: Sequence[str]) -> Sequence[RegisteredModel]:
        return [*self._store.list(ids)]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[RegisteredModel]]]:
        names = None if keys is None else sorted(keys)
        return {model.name: [Found(model)] for model in self._store.list(names)}

    def create(self, container: str, wanted: RegisteredModel) -> RegisteredModel:
        self._store.create(wanted)
        [made] = self._store.list([wanted.name])
        return made

    def finish(
        self, copy: RegisteredModel, wanted: RegisteredModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        return self._store.update(copy, wanted)

    def delete(self, copy: RegisteredModel) -> None:
        self._store.delete(copy.name)


class ModelVersions(Older):
    """Versions of registered models, each under the number that it is to have."""

    kind = Kind.MODEL_VERSION

    def __init__(self, endpoint: Target) -> None:
        super().__init__(endpoint)
        self.bookkeeping = Bookkeeping.NONE
        self._store = endpoint.model_versions

    def list(self, containers: Sequence[str]) -> Iterator[ModelVersion]:
        return self._store.list([*self._endpoint.registered_models.list(containers)])

    def read(self, ids: Sequence[str]) -> Sequence[ModelVersion]:
        refs = [Ref(self.kind, it) for it in ids if re.fullmatch(r".+/\d+", it)]
        return [version for version in map(self._store.read, refs) if version is not None]

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[ModelVersion]]]:
        found = {str(it.version): it for it in self.list([container])}
        return {key: [Found(it)] for key, it in found.items() if keys is None or key in keys}

    def create(self, container: str, wanted: ModelVersion) -> ModelVersion:
        """Create one; those that a server gives a lower number fill the gap before it."""
        wanted = replace(wanted, name=container)
        while (number := self._store.create(wanted)) != wanted.version:
            self._store.delete(replace(wanted, version=number))
            if number > wanted.version:
                raise AlreadyExists(f"number {wanted.version} is used up")
        made = self._store.read(wanted.ref)
        assert made is not None
        return made

    def finish(
        self, copy: ModelVersion, wanted: ModelVersion, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        return self._store.update(copy, replace(wanted, name=copy.name, version=copy.version))

    def delete(self, copy: ModelVersion) -> None:
        self._store.delete(copy)
