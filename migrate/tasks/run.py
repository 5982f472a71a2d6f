"""Copies runs: read in bulk, created with their origin, filled, and marked complete last."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy as duplicate
from itertools import chain
from threading import Event
from typing import NamedTuple

from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.protocols.runs import RunWriter
from migrate.endpoints.stores import Bookkeeping
from migrate.errors import EndpointError, NotAuthenticated, Unavailable
from migrate.kinds import Kind
from migrate.objects import NO_LINKS, Artifact, ArtifactRoot, Metric, ModelLinks, Run
from migrate.origins import MARK, known_losses, loss_tags, losses_from_tags, losses_to_tags
from migrate.outcomes import Loss, LossCode, Outcome, TaskStatus, loss_of
from migrate.storable import lost_points, storable_points
from migrate.tasks.attempts import Attempt
from migrate.tasks.batches import PATIENT_ATTEMPTS, Batch, Job
from migrate.tasks.existing_runs import Existing, existing_copies, read_runs
from migrate.tasks.files import Sent, can_deliver_now, copy_files, root_for
from migrate.tasks.fingerprint import Fingerprint
from migrate.tasks.histories import History, with_histories
from migrate.tasks.model_files import ModelFiles, Rewrites, read_model_files
from migrate.tasks.notebooks import Notebooks, copy_notebooks
from migrate.tasks.outcomes import failed, why_missing
from migrate.tasks.read_back import lacks_something, lost_tags, seen_of_run
from migrate.tasks.references import Wanted, keep_points, wanted_copy, with_own_id
from migrate.tasks.repairs import lasting_losses, makes_anew, surplus_tags
from migrate.tasks.side_by_side import NotBegun, side_by_side


def copy_runs(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Copy the runs of one experiment; yield an outcome per job, in any order."""
    jobs = {job.ref.id: job for job in batch.jobs}
    runs, damaged = read_runs(source.runs, batch.container, list(jobs))
    for run_id, problem in damaged.items():
        yield failed(jobs.pop(run_id), problem)
    for run_id in jobs.keys() - {run.run_id for run in runs}:
        job = jobs.pop(run_id)
        yield failed(job, why_missing(source, job))
    runs = _with_links(runs, source, target)
    copies, damaged = existing_copies(batch, target)
    for run_id in damaged.keys() & jobs.keys():
        yield failed(jobs.pop(run_id), damaged[run_id])
    runs = [run for run in runs if run.run_id in jobs]
    looks_back = not target.capabilities().archive
    written: list[_Written] = []
    pointless = Event()

    def attempt(read: tuple[Run, History | EndpointError]) -> tuple[Outcome, Run]:
        run, history = read
        job = jobs[run.run_id]
        if isinstance(history, EndpointError):
            return failed(job, history), run
        history.patient = job.attempt >= PATIENT_ATTEMPTS
        if pointless.is_set():
            raise NotBegun("not begun: what stopped another run stops all")
        one = _Attempt(batch, job, run, copies.get(run.run_id), history, source, target)
        outcome = one.outcome()
        if outcome.stops:
            pointless.set()
        return outcome, one.sent

    stops: Exception | None = None
    try:
        reads = with_histories(source.runs, runs, in_turn=looks_back)
        for (run, _), (outcome, sent) in side_by_side(reads, attempt):
            if outcome.wrote and looks_back:
                written.append(_Written(jobs[run.run_id], outcome, sent))
            else:
                yield outcome
    except Exception as problem:  # its outcomes are told first
        stops = problem
    # What was written before an end stopped to answer is looked at all the same.
    yield from _looked_at(batch, target, written)
    if stops is not None:
        raise stops


class _Written(NamedTuple):
    """A run that was written: what came of it, and the run as it was sent, with all its tags."""

    job: Job
    outcome: Outcome
    sent: Run


def _looked_at(batch: Batch, target: Target, written: Sequence[_Written]) -> Iterator[Outcome]:
    """Look at what the target shows of the runs written, all at once; yield what came of each."""
    if not written:
        return
    ids = [outcome.target_id for _, outcome, _ in written]
    runs, damaged = read_runs(target.runs, batch.target_container, ids)
    there = {run.run_id: run for run in runs}
    for item in written:
        copy_id = item.outcome.target_id
        try:
            if copy_id in damaged:
                raise damaged[copy_id]
            yield _confirmed(batch, target, item, there.get(copy_id))
        except Exception as problem:
            yield failed(item.job, problem, copy_id, item.outcome.seconds)


def _confirmed(batch: Batch, target: Target, item: _Written, there: Run | None) -> Outcome:
    """Return the outcome of a run as the target shows it, with what the target made of it.

    Raises ``Unavailable`` where it does not show all: the mark, which says that it is complete,
    is taken back then.
    """
    job, outcome, sent = item
    seen = seen_of_run(sent, outcome.mark, there, target.capabilities())
    seen.leave_out(outcome.losses)
    if there is not None and (seen.changed or (seen.missing and there.tags.get(MARK))):
        untagged = dataclasses.replace(sent, tags={})
        writer = target.runs.adopt(batch.target_container, there, untagged)
        losses = (*losses_from_tags(there.tags), *seen.changed)
        writer.write_tags(losses_to_tags(losses))
        writer.finish(sent, "" if seen.missing else outcome.mark)
    seen.require(f"run {(sent.name or outcome.target_id)!r}", job.attempt)
    return dataclasses.replace(outcome, losses=outcome.losses + tuple(seen.changed))


def _with_links(runs: Sequence[Run], source: Source, target: Target) -> list[Run]:
    """Return runs with the logged models they name, as far as it is for them to say so.

    Where a copy keeps its id, that is part of the run; elsewhere it comes with the model.
    """
    links: Mapping[str, ModelLinks] = {}
    if target.capabilities().keeps_id(Kind.LOGGED_MODEL):
        links = links_of(source, runs)
    return [dataclasses.replace(run, links=links.get(run.run_id, NO_LINKS)) for run in runs]


def links_of(source: Source, runs: Sequence[Run]) -> Mapping[str, ModelLinks]:
    """Return which logged models these runs name, asking only where they do not say so."""
    if source.capabilities().lists_links:
        return {run.run_id: run.links for run in runs}
    return source.model_links.read([run.run_id for run in runs])


class _Attempt(Attempt):
    """One try at one run, which may have an ``existing`` copy."""

    def __init__(
        self,
        batch: Batch,
        job: Job,
        run: Run,
        existing: Existing | None,
        history: History,
        source: Source,
        target: Target,
    ) -> None:
        super().__init__(batch, job, source, target)
        self._existing = existing
        self._history = history
        self._root = root_for(source, target, ArtifactRoot(run.ref, run.artifact_uri))
        self._run = dataclasses.replace(run, artifact_uri=self._root.uri)
        self._anew = makes_anew(job, batch.policy, target.capabilities())
        self._unlisted: tuple[Loss, ...] = ()
        self._warnings: tuple[str, ...] = ()
        #: The run as it was sent to the target.
        self.sent = run

    def _carry_out(self) -> Outcome:
        existing, history = self._existing, self._history
        wanted = wanted_copy(
            self._run,
            self._job.references,
            self._target.capabilities(),
            self._batch.policy,
            self._job.datasets,
        )
        files = self._files()
        fingerprint = Fingerprint(self._run, wanted.orphans, self._batch.policy.in_mark)
        fingerprint.add_files(files)
        fingerprint.add_points(history.held)
        if (
            existing is not None
            and not self._job.repairs
            and self._is_complete(existing, wanted, history, fingerprint, files)
        ):
            sent = Sent(0, 0, losses_from_tags(existing.run.tags))
            tags = {**wanted.run.tags, **wanted.late_tags}
            self._warnings = lost_tags(tags, existing.run.tags, wanted.losses + sent.losses)
            mark, wrote = existing.mark, False
        else:
            copy = existing.run if existing and not self._anew else None
            whole = bool(existing and existing.mark)
            mark, sent = self._fill(copy, wanted, history, fingerprint, files, whole=whole)
            wrote = True
        return Outcome(
            ref=self._job.ref,
            status=TaskStatus.DONE,
            target_id=self.target_id,
            mark=mark,
            wrote=wrote,
            bytes_sent=sent.bytes,
            files_sent=sent.files,
            losses=wanted.losses + sent.losses,
            warnings=wanted.warnings + self._warnings,
        )

    def _files(self) -> Sequence[Artifact]:
        """List the run's files; where the source refuses, or by and by fails, that is a loss.

        It is one that ``may_heal``: resuming and the next run ask again.
        """
        try:
            return self._source.artifacts.list(self._root)
        except NotAuthenticated:
            raise
        except (EndpointError, Unavailable) as problem:
            if isinstance(problem, Unavailable) and self._job.attempt < PATIENT_ATTEMPTS:
                raise
            self._unlisted = (loss_of(LossCode.NOT_LISTED, "artifacts", problem),)
            return ()

    def _is_complete(
        self,
        existing: Existing,
        wanted: Wanted,
        history: History,
        fingerprint: Fingerprint,
        files: Sequence[Artifact],
    ) -> bool:
        self.target_id = existing.run.run_id
        mark = existing.mark
        if not mark or not _ends_alike(existing.run, wanted.run):
            return False
        known = wanted.losses + losses_from_tags(existing.run.tags)
        if lacks_something(wanted.run, existing.run, known):
            return False
        told = losses_from_tags(existing.run.tags)
        if not self._unlisted and any(loss.code is LossCode.NOT_LISTED for loss in told):
            return False
        if can_deliver_now(self._source, self._root, files, told):
            return False
        # A second reader: the first is still wanted whole by the one who fills.
        again = duplicate(fingerprint)
        for page in history.streamed():
            again.add_points(page)
        again.add_lacking(history.lacking)
        return again.mark() == mark

    def _fill(
        self,
        copy: Run | None,
        wanted: Wanted,
        history: History,
        fingerprint: Fingerprint,
        files: Sequence[Artifact],
        *,
        whole: bool,
    ) -> tuple[str, Sent]:
        writer = self._open(copy, wanted)
        try:
            self.target_id = writer.run_id
            models = self._model_files(files, writer.root)
            late = with_own_id(wanted.late_tags, self._run.run_id, writer.run_id)
            writer.write_tags(late)
            self.sent = dataclasses.replace(wanted.run, tags={**wanted.run.tags, **late})
            if copy is not None and self._job.repairs:
                writer.remove_tags(self._surplus_tags(copy, {**wanted.run.tags, **late}))
            lasting = lasting_losses(copy.tags if copy else {}, self._job.losses)
            stays = {loss.what for loss in lasting}
            params = wanted.run.params
            writer.write_params({k: v for k, v in params.items() if f"param {k}" not in stays})
            sent = copy_files(
                self._source.artifacts,
                self._root,
                files,
                self._target,
                writer.root,
                fresh=copy is None and self._job.attempt == 1,
                attempt=self._job.attempt,
                rewritten=models.contents,
                whole=whole,
                contents=self._job.repairs,
                of=self._job.ref,
            )
            self._warnings = models.warnings
            notebooks = self._notebooks(files, writer.root)
            self._warnings += notebooks.warnings
            sent = Sent(
                sent.files + notebooks.files,
                sent.bytes + notebooks.bytes,
                self._unlisted + sent.losses + notebooks.losses + lasting,
            )
            if wanted.run.inputs:
                writer.write_inputs(wanted.run.inputs)
            can = self._target.capabilities()
            left_out = self._write_metrics(writer, wanted, history, fingerprint)
            if whole and can.archive and history.losses:
                # An archive replaces histories: what is there whole is worth more than a part.
                first = history.losses[0]
                raise EndpointError(
                    f"{first.what}: {first.reason}", "the copy stays as it is: try again later"
                )
            sent = sent._replace(losses=sent.losses + history.losses + lost_points(left_out))
            lacking = (*known_losses(self._run), *sent.losses)
            if can.bookkeeping is Bookkeeping.TAGS:
                writer.write_tags(loss_tags(lacking, copy.tags if copy else ()))
            # In an archive, what was not sent is tried again by whoever finds no mark.
            mark = "" if sent.losses and can.archive else fingerprint.mark()
            refused = writer.finish(wanted.run, mark, lacking)
            sent = sent._replace(losses=sent.losses + tuple(refused))
        except BaseException:
            writer.abandon()
            raise
        return mark, sent

    def _surplus_tags(self, copy: Run, wanted: Mapping[str, str]) -> Sequence[str]:
        can = self._target.capabilities()
        return surplus_tags(copy.ref.kind, copy.tags, wanted, can, self._batch.policy)

    def _notebooks(self, files: Sequence[Artifact], root: ArtifactRoot) -> Notebooks:
        return copy_notebooks(
            self._run.tags,
            self._batch.policy.notebook_formats,
            self._source,
            self._target,
            root,
            own_files={file.path for file in files},
            attempt=self._job.attempt,
        )

    def _model_files(self, files: Sequence[Artifact], copy_root: ArtifactRoot) -> ModelFiles:
        """Return the run's model files with the ids of its copy."""
        can = self._target.capabilities()
        if can.archive:
            return ModelFiles()
        rewrites = Rewrites(
            ids={**self._job.references, self._run.run_id: copy_root.owner.id},
            roots=((self._root.uri, copy_root.uri),),
            ids_are_kept=can.keeps_id(self._run.ref.kind),
        )
        return read_model_files(self._source, self._root, files, rewrites)

    def _open(self, copy: Run | None, wanted: Wanted) -> RunWriter:
        if copy is None:
            container = self._batch.target_container
            return self._target.runs.create(container, wanted.run, anew=self._anew)
        return self._target.runs.adopt(self._batch.target_container, copy, wanted.run)

    def _write_metrics(
        self, writer: RunWriter, wanted: Wanted, history: History, fingerprint: Fingerprint
    ) -> Counter[str]:
        """Write all points; return by key how many of them no server can store."""
        left_out: Counter[str] = Counter()
        as_they_are = self._target.capabilities().archive
        for page in chain((history.held,), history.streamed()):
            points: Sequence[Metric] = keep_points(page, wanted.dropped_keys)
            if not as_they_are:
                points, others = storable_points(points)
                left_out.update(others)
            writer.write_metrics(points)
            if page is not history.held:
                fingerprint.add_points(page)
        fingerprint.add_lacking(history.lacking)
        return left_out


def _ends_alike(copy: Run, run: Run) -> bool:
    """Compare what is written last."""
    return (copy.status, copy.end_time, copy.lifecycle_stage, copy.name) == (
        run.status,
        run.end_time,
        run.lifecycle_stage,
        run.name,
    )
