"""What the tasks, the planner and verify ask of an endpoint: its stores, in narrow protocols.

Those of a kind are in its module, those of an endpoint as a whole here. Every method raises
only errors of ``migrate.errors``. All of them are called from several threads at once. Text ids are
those of the endpoint that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Ended, Unreadable
from migrate.endpoints.protocols.artifacts import ReadsArtifacts, WritesArtifacts
from migrate.endpoints.protocols.experiments import ReadsExperiments, WritesExperiments
from migrate.endpoints.protocols.logged_models import (
    ReadsLoggedModels,
    ReadsModelLinks,
    WritesLoggedModels,
    WritesModelLinks,
)
from migrate.endpoints.protocols.permissions import ReadsPermissions, WritesPermissions
from migrate.endpoints.protocols.registry import (
    ReadsModelVersions,
    ReadsRegisteredModels,
    WritesModelVersions,
    WritesRegisteredModels,
)
from migrate.endpoints.protocols.runs import ReadsRuns, WritesRuns
from migrate.endpoints.stores import Store
from migrate.kinds import Kind, Ref
from migrate.objects import Loss


class SaysWhoWrites(Protocol):
    """Keeps, while migrations create objects, what each says of itself for the others to see.

    Where only one process can write, that is nothing.
    """

    def read(self) -> Mapping[str, str]:
        """Return what is said, by the ids of the migrations."""
        ...

    def write(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """Keep a text of up to 5000 characters, in place of an earlier one.

        ``near`` are ids of experiments that are written to anyway. Return False where there is
        no place that this account may write to.
        """
        ...

    def remove(self, migration_id: str) -> bool:
        """Forget what a migration says. Return False where it seems to say nothing."""
        ...


class ListsUnreadable(Protocol):
    """What an endpoint has and cannot give."""

    def all(self) -> Sequence[Unreadable]:
        """Return what the listings of each kind, as last read, had to leave out."""
        ...

    def of(self, ref: Ref) -> Unreadable | None:
        """Return the first that is about an object, None when there is none."""
        ...


class Endpoint(Protocol):
    """What every endpoint has."""

    def capabilities(self) -> Capabilities:
        """Say what this endpoint is and can do. The first call connects."""
        ...

    def store(self, kind: Kind) -> Store[Any] | None:
        """Return the objects of a kind; None where there are none such here.

        Experiments, runs, logged models and what is in a registry have stores of their own form.
        """
        ...

    def unknown(self) -> Sequence[str]:
        """Say what could not be learned here so far, in sentences for the user, each once.

        A part that was refused or gave no usable answer: something may be lost by it, so each
        makes a migration, or a comparison, incomplete.
        """
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class Source(Endpoint, Protocol):
    """An endpoint that can be read in full. Not one of its methods writes."""

    @property
    def experiments(self) -> ReadsExperiments: ...
    @property
    def runs(self) -> ReadsRuns: ...
    @property
    def logged_models(self) -> ReadsLoggedModels: ...
    @property
    def model_links(self) -> ReadsModelLinks: ...
    @property
    def registered_models(self) -> ReadsRegisteredModels: ...
    @property
    def model_versions(self) -> ReadsModelVersions: ...
    @property
    def artifacts(self) -> ReadsArtifacts: ...
    @property
    def permissions(self) -> ReadsPermissions: ...
    @property
    def unreadable(self) -> ListsUnreadable: ...

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """Count what lives in these experiments and is not copied (-1: there, not counted).

        With ``whole_server``, also what lives in none. What cannot be learned ``unknown`` tells.
        """
        ...

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """Return a notebook as it was at a revision, in one of ``NOTEBOOK_FORMATS`` (Databricks).

        Raises ``NotFound`` where the notebook or such a thing is not there.
        """
        ...


class Target(Source, Protocol):
    """An endpoint that can be filled, and read back to adopt and to verify."""

    @property
    def experiments(self) -> WritesExperiments: ...
    @property
    def runs(self) -> WritesRuns: ...
    @property
    def logged_models(self) -> WritesLoggedModels: ...
    @property
    def model_links(self) -> WritesModelLinks: ...
    @property
    def registered_models(self) -> WritesRegisteredModels: ...
    @property
    def model_versions(self) -> WritesModelVersions: ...
    @property
    def artifacts(self) -> WritesArtifacts: ...
    @property
    def permissions(self) -> WritesPermissions: ...
    @property
    def writers(self) -> SaysWhoWrites: ...

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """Have ``call`` called before every create, in its thread: its errors are the create's.

        A no-op where only one process can write.
        """
        ...

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """Keep with a copy what of its original did not arrive, in place of what was said before.

        A no-op on servers, whose copies have tags for it.
        """
        ...

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """Bring indexes up to date after a migration's tasks ended; a no-op on servers."""
        ...

    def claim(self) -> None:
        """Keep other writers away until ``close``, where the endpoint can; may be repeated.

        Raises ``TargetInUse`` when another process writes there.
        """
        ...

    def withdraw(self) -> None:
        """Take back what opening the endpoint has made, where nothing was written to it since."""
        ...
