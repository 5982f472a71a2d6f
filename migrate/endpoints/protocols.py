"""What the tasks, the planner and verify ask of an endpoint, in narrow protocols.

Every method raises only errors of ``migrate.errors``. All of them are called from several
threads at once. Text ids are those of the endpoint that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol

from migrate.endpoints.answers import (
    NOT_TOLD,
    Capabilities,
    Copy,
    Ended,
    Histories,
    PermissionsWritten,
    Unreadable,
)
from migrate.endpoints.stores import Store
from migrate.objects import (
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    LoggedModel,
    Loss,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelVersion,
    Permissions,
    Ref,
    RegisteredModel,
    Run,
    VersionRun,
)


class ReadsExperiments(Protocol):
    """Lists experiments."""

    def experiments(self) -> Iterator[Experiment]:
        """Yield every experiment, deleted ones too, in order of creation."""
        ...

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """Return these as they are now, deleted ones too; missing ones are left out."""
        ...

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """Count what lives in these experiments and is not copied (-1: there, not counted).

        With ``whole_server``, also what lives in none. What cannot be learned ``unknown`` tells.
        """
        ...


class ReadsRuns(Protocol):
    """Reads runs and their metric histories."""

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """Yield every run of these experiments, deleted ones too, in no promised order."""
        ...

    def unreadable(self) -> Sequence[Unreadable]:
        """Return what ``experiments`` and ``runs``, as last called, had to leave out."""
        ...

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        """Return that of ``unreadable`` which is about this object, None when there is none."""
        ...

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs of one experiment as they are now; missing ones are left out."""
        ...

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """Read the metric histories of several runs in bulk, keyed by run id.

        Holds about ``budget`` points at most, so it returns as many runs as fit, at least one;
        ask again for the others. Where a single run has more, its ``unread`` says so.
        """
        ...

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """Yield one metric's whole history in pages of bounded size."""
        ...


class ReadsLoggedModels(Protocol):
    """Reads logged models, and which of them runs name. Without such a kind: finds none."""

    def logged_models(self, experiment_ids: Sequence[str]) -> Iterator[LoggedModel]:
        """Yield the logged models of these experiments, those not deleted, with all metrics."""
        ...

    def read_logged_models(self, model_ids: Sequence[str]) -> list[LoggedModel]:
        """Return these, deleted ones too where the endpoint still shows them."""
        ...

    def model_links(self, run_ids: Sequence[str]) -> dict[str, ModelLinks]:
        """Return the logged models that these runs name; runs that are missing are left out."""
        ...

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return these runs, of whatever experiment; missing ones are left out."""
        ...


class ReadsRegistry(Protocol):
    """Reads registered models, prompts, and the versions of both."""

    def registered_models(self, names: Sequence[str] | None = None) -> Iterator[RegisteredModel]:
        """Yield all registered models and prompts, or those of these names, with their aliases.

        A name that is not there is left out. What ``names`` costs does not grow with the others.
        """
        ...

    def model_versions(self, models: Sequence[RegisteredModel]) -> Iterator[ModelVersion]:
        """Yield the versions of these, each model's together and in order of number."""
        ...

    def read_model_version(self, ref: Ref) -> ModelVersion | None:
        """Return one version as it is now, with its aliases; None when it is not there."""
        ...

    def version_artifacts(self, ref: Ref) -> ArtifactRoot | None:
        """Return where the files of a version of a registered model are, as the endpoint says.

        None where only the version's source tells. The location may be of any form of a source.
        """
        ...

    def version_run(self, version: ModelVersion) -> VersionRun:
        """Return what the run of a version says; empty when there is none, or it is gone."""
        ...


class ReadsArtifacts(Protocol):
    """Lists and reads files."""

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """Return every file below ``root``, recursively."""
        ...

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading as a stream; nothing is held in memory.

        Reading it raises ``ChangedContent`` where the endpoint knows that it is damaged.
        """
        ...

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """Return the SHA-256 of files by path, as far as they are known without reading them."""
        ...


class ReadsPermissions(Protocol):
    """Reads who may do what with experiments, registered models and prompts."""

    def permissions(self, ref: Ref) -> Permissions:
        """Return the permissions on an object; without a dialect where the endpoint has none."""
        ...

    def look_up_users(self, names: Collection[str]) -> None:
        """Have ``permissions`` know of these users, where the endpoint cannot list its users."""
        ...

    def beside_permissions(self, ref: Ref) -> Sequence[str]:
        """Return in words what has to do with access to an object and is not in its permissions."""
        ...


class ReadsNotebooks(Protocol):
    """Reads the notebooks that runs were started from (Databricks)."""

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """Return a notebook as it was at a revision, in one of ``NOTEBOOK_FORMATS``.

        Raises ``NotFound`` where the notebook or such a thing is not there.
        """
        ...


class RunWriter(Protocol):
    """Fills one run of the target; every method may be repeated without harm.

    Params, tags and metrics may be buffered; ``finish`` writes what is left, status, end time
    and name, then the mark, and last deletes a deleted run. So a mark means a complete copy,
    but for the deletion.
    """

    @property
    def run_id(self) -> str:
        """Id of the copy."""
        ...

    @property
    def root(self) -> ArtifactRoot:
        """Where the copy's files go."""
        ...

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags beside those the run was created with; equal ones are left alone."""
        ...

    def remove_tags(self, keys: Sequence[str]) -> None:
        """Take tags off the copy; no error where one is gone."""
        ...

    def write_params(self, params: Mapping[str, str]) -> None:
        """Write params; those already there with the same value are left alone."""
        ...

    def write_metrics(self, points: Iterable[Metric]) -> None:
        """Write points of metric histories; all points of one key come in a row."""
        ...

    def write_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """Write dataset inputs."""
        ...

    def finish(self, run: Run, mark: str, losses: Sequence[Loss] = ()) -> Sequence[Loss]:
        """Complete the copy: status, end time, name and lifecycle as in ``run``.

        Return what the endpoint refused of all that was written. Where it keeps losses with the
        copy, it keeps these beside ``losses``, which are written already.
        """
        ...

    def abandon(self) -> None:
        """Drop what is held locally after an error; the copy stays as far as it got."""
        ...


class WritesExperiments(Protocol):
    """Makes and changes experiments."""

    def create_experiment(self, experiment: Experiment) -> str:
        """Create it with name, tags and artifact location (empty: the target's default).

        Sent once. Raises ``AlreadyExists`` when the name is taken (by a deleted one too) and
        ``AnswerLost`` when it is not known whether it was created.
        """
        ...

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> Sequence[Loss]:
        """Set tags; others stay. Return those that the endpoint refused."""
        ...

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """Take tags off it; no error where one is gone.

        Raises ``NoSuchRoute`` where the endpoint has no such call.
        """
        ...

    def delete_experiment(self, experiment_id: str) -> None:
        """Move it and all its runs to the trash."""
        ...

    def restore_experiment(self, experiment_id: str) -> None:
        """Take it and all its runs out of the trash."""
        ...

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """Give it another name."""
        ...


class WritesRuns(Protocol):
    """Makes and fills runs."""

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> RunWriter:
        """Create a run with name, user, start time and all tags of ``run`` in one call.

        ``anew``, where the endpoint ``rewrites``: in place of one that is there, of which nothing
        stays. Sent once. Raises ``AnswerLost`` when it is not known whether it was created.
        """
        ...

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> RunWriter:
        """Return a writer that completes ``copy``, an existing run, to match ``run``.

        Writes tags of ``run`` that the copy lacks or holds otherwise; restores it if deleted.
        """
        ...

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """Return the copies in an experiment by origin: all, or those of ``origins``.

        In order of creation: where an origin has several, the first is the one to adopt.
        """
        ...

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        """Take runs out of the trash."""
        ...


class WritesLoggedModels(Protocol):
    """Makes and fills logged models; every method but the create may be repeated."""

    def create_logged_model(
        self, experiment_id: str, model: LoggedModel, *, anew: bool = False
    ) -> LoggedModel:
        """Create one with name, type, source run, params and tags of ``model``; return the copy.

        It may lack params and tags that the endpoint refused: ``finish_logged_model`` writes them.
        ``anew`` as in ``WritesRuns.create_run``. Sent once. Raises ``AnswerLost`` when it is not
        known whether it was created.
        """
        ...

    def find_model_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """Return the copies in an experiment by origin: all, or those of ``origins``.

        Where an origin has several, the first is the one to adopt. Deleted ones are among them
        as far as the endpoint shows them.
        """
        ...

    def log_model_metrics(self, model_id: str, metrics: Sequence[ModelMetric]) -> Sequence[Loss]:
        """Write metrics of a logged model; ``run_id`` and ``model_id`` are those of copies.

        Return what the endpoint refused.
        """
        ...

    def link_model(self, run_id: str, links: ModelLinks) -> Sequence[Loss]:
        """Make a run name these logged models, beside those it names already.

        Return what the endpoint refused.
        """
        ...

    def open_run(self, run_id: str) -> AbstractContextManager[None]:
        """Take a deleted run out of the trash for the length of a block."""
        ...

    def finish_logged_model(
        self, copy: LoggedModel, model: LoggedModel, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """Complete a copy: tags, status and missing params as in ``model``, then the mark.

        Tags that ``copy`` has and ``model`` has not are taken off. Return what the endpoint
        refused. Where it keeps losses with the copy, it keeps these beside ``losses``, which are
        among the tags of ``model`` already.
        """
        ...

    def delete_logged_model(self, experiment_id: str, model_id: str, origin: str) -> None:
        """Delete the copy of a deleted logged model, so that it can still be found."""
        ...


class WritesRegistry(Protocol):
    """Makes and changes registered models, prompts and their versions."""

    def create_registered_model(self, model: RegisteredModel) -> None:
        """Create one with name, description and tags.

        Sent once. Raises ``AlreadyExists`` when the name is taken and ``AnswerLost``.
        """
        ...

    def update_registered_model(
        self, copy: RegisteredModel, model: RegisteredModel
    ) -> Sequence[Loss]:
        """Write the description and tags of ``model`` in which ``copy`` differs.

        Tags that ``copy`` has and ``model`` has not are taken off. Return what was refused.
        """
        ...

    def delete_registered_model(self, name: str) -> None:
        """Delete it with all its versions; no error when it is gone."""
        ...

    def create_model_version(self, version: ModelVersion) -> int:
        """Create one with source, run, description and tags; return the number it got.

        A server gives the next free number, whatever ``version.version`` is. Sent once. Raises
        ``AnswerLost``, and ``Refused`` where the target's rules forbid this source.
        """
        ...

    def update_model_version(self, copy: ModelVersion, version: ModelVersion) -> Sequence[Loss]:
        """Write description, stage, tags and aliases in which ``copy`` differs.

        Tags and aliases that ``copy`` has and ``version`` has not are taken off. Return what was
        refused.
        """
        ...

    def delete_model_version(self, version: ModelVersion) -> None:
        """Delete one; no error when it is gone. A server never gives its number again."""
        ...


class WritesPermissions(Protocol):
    """Grants permissions."""

    def write_permissions(self, ref: Ref, permissions: Permissions) -> PermissionsWritten:
        """Grant on an object what ``permissions`` say and is missing; nothing is taken away.

        May be repeated. What is inherited is not made direct. A directory keeps the document, in
        place of an earlier one. Principals that the endpoint does not know are losses.
        """
        ...


class WritesArtifacts(Protocol):
    """Writes files."""

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """Write one file from a stream. Raises ``Refused`` for a name the target cannot take."""
        ...


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
