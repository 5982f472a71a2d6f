"""What the tasks, the planner and verify ask of an endpoint, in narrow protocols.

Those of a kind are in its module, those of an endpoint as a whole here. Every method raises
only errors of ``migrate.errors``. All of them are called from several threads at once. Text ids are
those of the endpoint that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from migrate.endpoints.answers import NOT_TOLD, Capabilities, Ended
from migrate.endpoints.protocols.artifacts import ReadsArtifacts, ReadsNotebooks, WritesArtifacts
from migrate.endpoints.protocols.experiments import ReadsExperiments, WritesExperiments
from migrate.endpoints.protocols.logged_models import ReadsLoggedModels, WritesLoggedModels
from migrate.endpoints.protocols.permissions import ReadsPermissions, WritesPermissions
from migrate.endpoints.protocols.registry import ReadsRegistry, WritesRegistry
from migrate.endpoints.protocols.runs import ReadsRuns, WritesRuns
from migrate.endpoints.stores import Store
from migrate.kinds import Kind, Ref
from migrate.objects import Loss


class SaysWhoWrites(Protocol):
    """Keeps, while migrations create objects, what each says of itself for the others to see.

    Where only one process can write, that is nothing.
    """

    def writers(self) -> Mapping[str, str]:
        """Return what is said, by the ids of the migrations."""
        ...

    def say_writing(self, migration_id: str, text: str, near: Sequence[str]) -> bool:
        """Keep a text of up to 5000 characters, in place of an earlier one.

        ``near`` are ids of experiments that are written to anyway. Return False where there is
        no place that this account may write to.
        """
        ...

    def stop_saying(self, migration_id: str) -> None:
        """Forget what a migration says; no error when that is nothing."""
        ...

    def before_creating(self, call: Callable[[], None] | None) -> None:
        """Have ``call`` called before every create, in its thread: its errors are the create's."""
        ...


class Endpoint(Protocol):
    """What every endpoint has."""

    def capabilities(self) -> Capabilities:
        """Say what this endpoint is and can do. The first call connects."""
        ...

    def store(self, kind: Kind) -> Store[Any] | None:
        """Return the objects of a kind; None where there are none such here.

        Experiments, runs, logged models and what is in a registry have methods of their own.
        """
        ...

    def unknown(self) -> Sequence[str]:
        """Say what could not be learned here so far, in sentences for the user, each once.

        A part that was refused or gave no usable answer: something may be lost by it, so each
        makes a migration, or a comparison, incomplete.
        """
        ...

    def transferred(self) -> int:
        """Return artifact bytes written through this endpoint so far, for progress."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class Source(
    Endpoint,
    ReadsExperiments,
    ReadsRuns,
    ReadsLoggedModels,
    ReadsRegistry,
    ReadsArtifacts,
    ReadsPermissions,
    ReadsNotebooks,
    Protocol,
):
    """An endpoint that can be read in full. Not one of its methods writes."""


class Target(
    Source,
    WritesExperiments,
    WritesRuns,
    WritesLoggedModels,
    WritesRegistry,
    WritesArtifacts,
    WritesPermissions,
    SaysWhoWrites,
    Protocol,
):
    """An endpoint that can be filled, and read back to adopt and to verify."""

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
