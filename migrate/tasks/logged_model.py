"""Copies logged models: the model, its files, its metrics, and what runs say of it.

A run's inputs and outputs name logged models, and a logged model names its runs; so runs go first,
and the links are written with the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.endpoints.stores import Bookkeeping
from migrate.errors import EndpointError
from migrate.folding import twins, why_left_out
from migrate.kinds import Kind, logged_model_ref
from migrate.objects import (
    DELETED,
    MODEL_VERSIONS_TAG,
    Artifact,
    ArtifactRoot,
    LoggedModel,
    ModelLinks,
    ModelMetric,
    ModelOutput,
)
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    SOURCE,
    STAND_IN,
    keep_earlier,
    known_losses,
    loss_tags,
    losses_from_tags,
    real_name,
)
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.storable import clean_text, lost_points, storable, storable_points
from migrate.tasks.attempts import Attempt
from migrate.tasks.batches import Batch, Job
from migrate.tasks.files import Sent, can_deliver_now, copy_files, root_for
from migrate.tasks.model_files import ModelFiles, Rewrites, read_model_files
from migrate.tasks.model_marks import Links, facts_of, model_mark, quick_model_mark, true_metrics
from migrate.tasks.outcomes import why_missing
from migrate.tasks.read_back import seen_of_logged_model
from migrate.tasks.references import NO_NAME
from migrate.tasks.repairs import lasting_losses, makes_anew, surplus_tags

#: What a target without logged models cannot take.
FLATTENED = Loss(
    "all but the files",
    "the target has no logged models: its files become artifacts of its run",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WantedModel:
    """A logged model as its copy should be; ``links`` are by the ids of the copies of runs."""

    model: LoggedModel
    links: Links
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()


def links_to(model_id: str, links: Links) -> dict[str, ModelLinks]:
    """Return what each run says of one model, of all that runs say."""
    found = {}
    for run_id, named in links.items():
        inputs = tuple(item for item in named.inputs if item == model_id)
        outputs = tuple(item for item in named.outputs if item.model_id == model_id)
        if inputs or outputs:
            found[run_id] = ModelLinks(inputs, outputs)
    return found


def wanted_model(
    model: LoggedModel,
    links: Links,
    references: Mapping[str, str],
    target: Capabilities,
    migration_id: str,
) -> WantedModel:
    """Return what the copy of ``model`` should be.

    ``links`` is what runs of the source say of it, ``references`` maps their ids to their copies.
    """
    name = real_name(model.name, model.tags)
    if target.archive:
        named = dataclasses.replace(model, name=name)
        return WantedModel(model=named, links=links, losses=known_losses(model))
    lacking = known_losses(model)
    model, unstorable = storable(model)
    model, folded = _without_twins(model, target)
    tags = keep_earlier(model.tags)
    tags.pop(MODEL_VERSIONS_TAG, None)
    warnings = []
    # Where runs keep their ids, so does what names one: it may arrive later.
    kept_run = model.source_run_id if target.keeps_id(Kind.RUN) else ""
    source_run = references.get(model.source_run_id, kept_run)
    if model.source_run_id and model.source_run_id not in references:
        tags[SOURCE + "source_run_id"] = model.source_run_id
        warnings.append(
            f"its source run {model.source_run_id} is not among the runs copied: "
            "kept as a source tag"
        )
    tags |= {ORIGIN: model.model_id, MIGRATION: migration_id}
    if not name:
        name = tags[STAND_IN] = model.model_id
        warnings.append(NO_NAME)
    unsettable = {
        "creation_time": model.creation_time,
        "last_update_time": model.last_update_time,
        "status_message": model.status_message,
        "artifact_uri": model.artifact_uri,
    }
    tags |= {SOURCE + name: str(value) for name, value in unsettable.items() if value}
    kept: Sequence[ModelMetric]
    kept = [metric for metric in model.metrics if metric.run_id in references]
    losses = [*lacking, *unstorable, *folded]
    if left := len(model.metrics) - len(kept):
        what = f"{left} metric point{'s' if left > 1 else ''}"
        losses.append(Loss(what, "logged in runs that are not among those copied"))
    kept, left_out = storable_points(kept)
    losses += lost_points(left_out)
    if target.flattens_models:
        losses = [*lacking, FLATTENED]
    metrics = tuple(metric._replace(run_id=references[metric.run_id]) for metric in kept)
    copy = dataclasses.replace(
        model, name=clean_text(name), tags=tags, source_run_id=source_run, metrics=metrics
    )
    return WantedModel(
        model=copy,
        links={references[run_id]: named for run_id, named in links.items()},
        losses=tuple(losses),
        warnings=tuple(warnings),
    )


def _without_twins(model: LoggedModel, target: Capabilities) -> tuple[LoggedModel, list[Loss]]:
    """Leave out the params, tags and metrics that the target takes for another one of its own."""
    taken = {
        "param": twins(model.params, target.folding),
        "tag": twins(model.tags, target.folding),
        "metric": twins({metric.key for metric in model.metrics}, target.folding),
    }
    fitted = dataclasses.replace(
        model,
        params={k: v for k, v in model.params.items() if k not in taken["param"]},
        tags={k: v for k, v in model.tags.items() if k not in taken["tag"]},
        metrics=tuple(point for point in model.metrics if point.key not in taken["metric"]),
    )
    losses = [
        Loss(f"{word} {key[:60]}", why_left_out(first))
        for word, keys in taken.items()
        for key, first in keys.items()
    ]
    return fitted, losses


def copy_logged_models(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Copy the logged models of one experiment; yield an outcome per job."""
    for job in batch.jobs:
        yield _Attempt(batch, job, source, target).outcome()


class _Attempt(Attempt):
    """One try at one logged model."""

    def __init__(self, batch: Batch, job: Job, source: Source, target: Target) -> None:
        super().__init__(batch, job, source, target)
        #: What the source itself lacks of it.
        self._known: tuple[Loss, ...] = ()
        self._anew = makes_anew(job, batch.policy, target.capabilities())

    def _carry_out(self) -> Outcome:
        model = next(iter(self._source.logged_models.read([self._job.ref.id])), None)
        if model is None:
            raise why_missing(self._source, self._job)
        self._known = known_losses(model)
        references = self._job.references
        run_ids = sorted(self._job.references)
        links = links_to(model.model_id, self._source.model_links.read(run_ids))
        stated = ArtifactRoot(self._job.ref, model.artifact_uri)
        root = root_for(self._source, self._target, stated)
        model = dataclasses.replace(model, artifact_uri=root.uri)
        files = self._source.artifacts.list(root)
        # Of what a search shows, as the plan has it.
        mark = model_mark(quick_model_mark(facts_of(model), links, references), files)
        model = dataclasses.replace(model, metrics=true_metrics(self._source, model.metrics))
        wanted = wanted_model(
            model,
            links,
            references,
            self._target.capabilities(),
            self._batch.policy.migration_id,
        )
        copy, there = self._existing()
        known = losses_from_tags(copy.tags) if copy else ()
        sent, warnings, wrote = Sent(0, 0, known), wanted.warnings, False
        whole = copy is not None and there == mark and not self._job.repairs
        if not whole or can_deliver_now(self._source, root, files, known):
            there_already = None if self._anew else copy
            sent, models = self._fill(there_already, wanted, root, files, mark, whole=bool(there))
            warnings, wrote = warnings + models.warnings, True
        return Outcome(
            ref=self._job.ref,
            status=TaskStatus.DONE,
            target_id=self.target_id,
            mark=mark,
            wrote=wrote,
            bytes_sent=sent.bytes,
            files_sent=sent.files,
            losses=wanted.losses + sent.losses,
            warnings=warnings,
        )

    def _existing(self) -> tuple[LoggedModel | None, str]:
        """Return the copy that is there already and its mark."""
        target_id, mark = self._job.target_id, self._job.mark
        if not target_id and self._job.attempt > 1:
            origin = self._job.ref.id
            found = self._target.logged_models.find(self._batch.target_container, [origin])
            for copy in found.get(origin, ())[:1]:
                target_id, mark = copy.target_id, copy.mark
        if not target_id:
            return None, ""
        self.target_id = target_id
        there = next(iter(self._target.logged_models.read([target_id])), None)
        if there is None:
            self._require_gone(target_id)
        return there, mark

    def _require_gone(self, target_id: str) -> None:
        """Raise ``EndpointError`` where a search shows the copy that cannot be read.

        One answer says that it is there, the other that it is not: made again it might be two.
        """
        origin = self._job.ref.id
        found = self._target.logged_models.find(self._batch.target_container, [origin])
        if target_id in {copy.target_id for copy in found.get(origin, ())}:
            raise EndpointError(
                f"the target shows the copy {target_id} in a search, and answers that it is not "
                "there when it is read",
                "is there a gateway before the target that answers in its place?",
            )

    def _fill(
        self,
        copy: LoggedModel | None,
        wanted: WantedModel,
        root: ArtifactRoot,
        files: Sequence[Artifact],
        mark: str,
        *,
        whole: bool,
    ) -> tuple[Sent, ModelFiles]:
        can = self._target.capabilities()
        fresh = copy is None
        if copy is None:
            container = self._batch.target_container
            copy = self._target.logged_models.create(container, wanted.model, anew=self._anew)
        self.target_id = copy.model_id
        copy_root = ArtifactRoot(logged_model_ref(copy.model_id), copy.artifact_uri)
        models = self._model_files(root, copy_root, files, wanted.model)
        sent = copy_files(
            self._source.artifacts,
            root,
            files,
            self._target,
            copy_root,
            fresh=fresh and self._job.attempt == 1,
            attempt=self._job.attempt,
            rewritten=models.contents,
            whole=whole,
            contents=self._job.repairs,
            of=self._job.ref,
        )
        with ExitStack() as opened:
            if not can.archive:
                self._open_deleted_runs(opened)
            known = frozenset(copy.metrics)
            metrics = [metric for metric in wanted.model.metrics if metric not in known]
            refused = tuple(self._target.logged_models.log_metrics(copy.model_id, metrics))
            refused += self._link(copy.model_id, wanted.links, fresh)
        lasting = () if fresh else lasting_losses(copy.tags, self._job.losses)
        sent = sent._replace(losses=sent.losses + refused + lasting)
        in_tags = can.bookkeeping is Bookkeeping.TAGS
        final = self._with_tags(copy, wanted.model, sent.losses) if in_tags else wanted.model
        # In an archive, what was not sent is tried again by whoever finds no mark.
        written = "" if sent.losses and can.archive else mark
        lacking = (*self._known, *sent.losses)
        refused = tuple(self._target.logged_models.finish(copy, final, written, lacking))
        sent = sent._replace(losses=sent.losses + refused)
        if can.archive or can.flattens_models:
            return sent, models
        there = next(iter(self._target.logged_models.read([copy.model_id])), None)
        seen = seen_of_logged_model(final, mark, there)
        lost = wanted.losses + sent.losses
        changed = seen.settle(lost, f"logged model {final.name!r}", self._job.attempt)
        return sent._replace(losses=sent.losses + changed), models

    def _with_tags(
        self, copy: LoggedModel, wanted: LoggedModel, losses: Sequence[Loss]
    ) -> LoggedModel:
        """Return what a copy on a server should be at last, with what it lost in its tags."""
        tags = {**copy.tags, **wanted.tags}
        if self._job.repairs:
            can, policy = self._target.capabilities(), self._batch.policy
            for key in surplus_tags(copy.ref.kind, copy.tags, wanted.tags, can, policy):
                del tags[key]
        tags |= loss_tags((*self._known, *losses), copy.tags)
        return dataclasses.replace(wanted, tags=tags)

    def _model_files(
        self,
        root: ArtifactRoot,
        copy_root: ArtifactRoot,
        files: Sequence[Artifact],
        model: LoggedModel,
    ) -> ModelFiles:
        can = self._target.capabilities()
        if can.archive:
            return ModelFiles()
        ids = {**self._job.references, self._job.ref.id: copy_root.owner.id}
        place = copy_root.uri
        if can.flattens_models:
            # Such servers name a model's place by its path below the run's artifacts.
            place = copy_root.owner.id.split("/", 2)[2]
        ids_are_kept = can.keeps_id(root.owner.kind)
        rewrites = Rewrites(ids=ids, roots=((root.uri, place),), ids_are_kept=ids_are_kept)
        return read_model_files(self._source, root, files, rewrites)

    def _open_deleted_runs(self, opened: ExitStack) -> None:
        """Take deleted runs out of the trash while something is written to them."""
        for run in self._source.runs.read(sorted(self._job.references)):
            if run.lifecycle_stage == DELETED:
                copy_id = self._job.references[run.run_id]
                opened.enter_context(self._target.runs.restored(copy_id))

    def _link(self, model_id: str, links: Links, fresh: bool) -> tuple[Loss, ...]:
        """Make the copies of runs name the copy, as far as they do not yet."""
        refused: tuple[Loss, ...] = ()
        there = {} if fresh else self._target.model_links.read(sorted(links))
        for run_id, named in links.items():
            known = there.get(run_id, ModelLinks())
            inputs = (model_id,) if named.inputs and model_id not in known.inputs else ()
            held = {output.model_id for output in known.outputs}
            outputs = tuple(
                ModelOutput(model_id, output.step)
                for output in named.outputs
                if model_id not in held
            )
            if inputs or outputs:
                refused += tuple(
                    self._target.model_links.write(run_id, ModelLinks(inputs, outputs))
                )
        return refused
