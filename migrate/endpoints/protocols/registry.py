"""Reads and writes registered models, prompts and the versions of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from migrate.kinds import Ref
from migrate.objects import ArtifactRoot, Loss, ModelVersion, RegisteredModel, VersionRun


class ReadsRegisteredModels(Protocol):
    """Reads registered models and prompts."""

    def list(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """Yield all registered models and prompts, or those of these names, with their aliases.

        A name that is not there is left out. What ``names`` costs does not grow with the others.
        """
        ...


class WritesRegisteredModels(ReadsRegisteredModels, Protocol):
    """Makes and changes registered models and prompts."""

    def create(self, model: RegisteredModel) -> None:
        """Create one with name, description and tags.

        Sent once. Raises ``AlreadyExists`` when the name is taken and ``AnswerLost``.
        """
        ...

    def update(self, copy: RegisteredModel, model: RegisteredModel) -> Sequence[Loss]:
        """Write the description and tags of ``model`` in which ``copy`` differs.

        Tags that ``copy`` has and ``model`` has not are taken off. Return what was refused.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete it with all its versions; no error when it is gone."""
        ...


class ReadsModelVersions(Protocol):
    """Reads the versions of registered models and prompts."""

    def list(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """Yield the versions of these, each model's together and in order of number."""
        ...

    def read(self, ref: Ref) -> ModelVersion | None:
        """Return one version as it is now, with its aliases; None when it is not there."""
        ...

    def files(self, ref: Ref) -> ArtifactRoot | None:
        """Return where the files of a version of a registered model are, as the endpoint says.

        None where only the version's source tells. The location may be of any form of a source.
        """
        ...

    def run_of(self, version: ModelVersion) -> VersionRun:
        """Return what the run of a version says; empty when there is none, or it is gone."""
        ...


class WritesModelVersions(ReadsModelVersions, Protocol):
    """Makes and changes versions."""

    def create(self, version: ModelVersion) -> int:
        """Create one with source, run, description and tags; return the number it got.

        A server gives the next free number, whatever ``version.version`` is, and a database where
        that is 0. Sent once. Raises
        ``AnswerLost``, and ``Refused`` where the target's rules forbid this source.
        """
        ...

    def update(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """Write description, stage, tags and aliases in which ``copy`` differs.

        Tags and aliases that ``copy`` has and ``version`` has not are taken off. Return what was
        refused.
        """
        ...

    def delete(self, version: ModelVersion) -> None:
        """Delete one; no error when it is gone. A server never gives its number again."""
        ...
