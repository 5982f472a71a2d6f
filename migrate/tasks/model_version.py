"""Copies versions of registered models and prompts, each under its own number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.folding import twins, why_left_out
from migrate.kinds import Kind, Ref, run_ref, version_ref
from migrate.objects import NO_RUN, NO_STAGE, ModelVersion, VersionRun
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    SOURCE,
    keep_earlier,
    known_losses,
    losses_beside,
    losses_to_tags,
    outdated_losses,
)
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.storable import storable
from migrate.tasks.attempts import Attempt
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.collisions import is_of_source, taken_aliases, without_taken
from migrate.tasks.existing_versions import version_origin
from migrate.tasks.files import NOTHING_SENT, Sent
from migrate.tasks.outcomes import why_missing
from migrate.tasks.read_back import seen_of_version
from migrate.tasks.references import fit_registry_tags, with_fitting_description
from migrate.tasks.refused import create_tagged
from migrate.tasks.repairs import makes_anew, surplus_tags
from migrate.tasks.source_tags import version_tags
from migrate.tasks.version_files import artifact_uri, copy_version_files
from migrate.tasks.version_numbers import NumberedVersions
from migrate.tasks.version_sources import (
    Place,
    VersionSource,
    copied_prompt_tags,
    copied_source,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WantedVersion:
    """A version as its copy should be, without a number, and what that costs."""

    version: ModelVersion
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()


def wanted_version(
    version: ModelVersion,
    name: str,
    found: VersionSource,
    copies: Mapping[Ref, str],
    target: Capabilities,
    policy: Policy,
    run: VersionRun = NO_RUN,
    *,
    aliases: Iterable[str] = (),
) -> WantedVersion:
    """Return what the copy of ``version`` should be in the registered model ``name``.

    ``found`` is its source there, ``copies`` has the ids of what is on the target, and ``run`` is
    what the version's run says at the source. ``aliases`` are all those of its registered model.
    """
    if target.archive:
        return WantedVersion(version=version, losses=known_losses(version))
    origin = version_origin(version)
    lacking = known_losses(version)
    version, unstorable = storable(version)
    renamed, orphans = copied_prompt_tags(version_tags(version, policy, run), copies)
    limit = target.version_tag_length
    tags, losses = fit_registry_tags(keep_earlier(renamed), limit, target)
    version, lost = with_fitting_description(version, target)
    losses = unstorable + losses + lost
    taken = twins(aliases, target.registry_folding)
    losses += tuple(
        Loss(f"alias {alias}", why_left_out(taken[alias]))
        for alias in version.aliases
        if alias in taken
    )
    tags |= {ORIGIN: origin, MIGRATION: policy.migration_id}
    tags |= losses_to_tags(lacking)
    warnings = []
    if orphans:
        tags[SOURCE + "associatedRunIds"] = ",".join(orphans)
        warnings.append(f"was used by runs that are not copied: {', '.join(orphans[:3])}")
    unsettable = {
        "creation_time": version.creation_time,
        "last_update_time": version.last_update_time,
        "user_id": version.user_id,
        "source": version.source if version.source != found.source else "",
        "status": version.status if version.status != "READY" else "",
    }
    has_its_run = target.keeps_id(Kind.RUN) and run_ref(version.run_id) in copies
    if version.run_id and not has_its_run and found.run_id in ("", version.run_id):
        unsettable["run_id"] = version.run_id
        warnings.append(
            f"its run {version.run_id} is not among the runs copied: kept as a source tag"
        )
    tags |= {SOURCE + key: str(value) for key, value in unsettable.items() if value}
    stages = target.stages or version.stage == NO_STAGE
    if not stages:
        losses += (Loss(f"stage {version.stage}", "the target has no stages"),)
    copy = dataclasses.replace(
        version,
        name=name,
        source=found.source,
        # Where runs keep their ids, so does what names one: it may arrive later.
        run_id=found.run_id or (version.run_id if target.keeps_id(Kind.RUN) else ""),
        model_id=found.model_id,
        tags=tags,
        # One that is not ready is half-made; what it was at the source is in a tag.
        status="READY",
        stage=version.stage if stages else NO_STAGE,
        aliases=tuple(alias for alias in version.aliases if alias not in taken),
    )
    return WantedVersion(version=copy, losses=lacking + losses, warnings=tuple(warnings))


def changes_of_version(copy: ModelVersion, wanted: ModelVersion) -> ModelVersion:
    """Return what an existing copy should become; where and when it was made stays as it is."""
    stays = {MIGRATION, SOURCE + "last_update_time", SOURCE + "source", SOURCE + "run_id"}
    tags = {k: v for k, v in wanted.tags.items() if k not in stays or k not in copy.tags}
    return dataclasses.replace(
        copy,
        description=wanted.description,
        status=wanted.status,
        stage=wanted.stage,
        tags={**copy.tags, **outdated_losses(copy.tags), **tags},
        aliases=tuple(sorted({*copy.aliases, *wanted.aliases})),
    )


def needs_write(copy: ModelVersion, wanted: ModelVersion) -> bool:
    """Say whether a copy has to be brought up to date."""
    return changes_of_version(copy, wanted) != copy


def copy_versions(batch: Batch, source: Source, target: Target) -> Iterator[Outcome]:
    """Copy versions of one registered model or prompt, in their order."""
    for job in batch.jobs:
        yield _Attempt(batch, job, source, target).outcome()


class _Attempt(Attempt):
    """One try at one version; the id of a copy is ``name/number``."""

    def __init__(self, batch: Batch, job: Job, source: Source, target: Target) -> None:
        super().__init__(batch, job, source, target)
        self._name = batch.target_container or batch.container
        self._numbered = NumberedVersions(batch, job, target)
        self._counts = target.capabilities().counts(job.ref.kind)
        #: The version as it was sent to the target.
        self._sent: ModelVersion | None = None

    def _carry_out(self) -> Outcome:
        outcome = self._copy()
        return self._looked_at(outcome) if outcome.wrote else outcome

    def _copy(self) -> Outcome:
        version = self._source.model_versions.read(self._job.ref)
        if version is None:
            raise why_missing(self._source, self._job)
        there = copy = self._existing(version)
        wanted = self._wanted(version, copy)
        anew = makes_anew(self._job, self._batch.policy, self._target.capabilities())
        wrote = copy is None or anew
        if copy is None or anew:
            copy = self._make(wanted.version)
        if there is not None:
            copy = dataclasses.replace(copy, aliases=there.aliases)
        wanted = self._without_taken(wanted, copy, version)
        self.target_id = version_ref(self._job.ref.kind, self._name, copy.version).id
        self._sent = self._changes(copy, wanted.version)
        refused: tuple[Loss, ...] = ()
        if self._sent != copy:
            refused = self._update(copy, self._sent)
            wrote = True
        wrote |= self._remove_placeholders(copy)
        sent = self._copy_files(version)
        return Outcome(
            ref=self._job.ref,
            status=TaskStatus.DONE,
            target_id=self.target_id,
            wrote=wrote or sent.files > 0,
            bytes_sent=sent.bytes,
            files_sent=sent.files,
            losses=wanted.losses + refused + sent.losses,
            warnings=wanted.warnings + self._renumbered(version, copy),
        )

    def _looked_at(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a version that was written, with what the target made of it.

        Raises ``Unavailable`` where the target does not show all of it.
        """
        if self._sent is None or self._target.capabilities().archive:
            return outcome
        shown = self._target.model_versions.read(Ref(self._job.ref.kind, outcome.target_id))
        seen = seen_of_version(self._sent, shown)
        name = f"{self._job.ref.kind} {outcome.target_id!r}"
        changed = seen.settle(outcome.losses, name, self._job.attempt)
        return dataclasses.replace(outcome, losses=outcome.losses + changed)

    def _update(self, copy: ModelVersion, wanted: ModelVersion) -> tuple[Loss, ...]:
        """Bring a copy up to date; return, and tell it, what of that is refused."""
        refused = tuple(self._target.model_versions.update(copy, wanted))
        if refused:
            tags = {**wanted.tags, **losses_beside(wanted.tags, refused)}
            self._target.model_versions.update(wanted, dataclasses.replace(wanted, tags=tags))
        return refused

    def _without_taken(
        self, wanted: WantedVersion, copy: ModelVersion, version: ModelVersion
    ) -> WantedVersion:
        """Return what is wanted without aliases of versions that are copies of another source."""
        missing = set(wanted.version.aliases) - set(copy.aliases)
        if not missing or self._target.capabilities().keeps_id(version.kind):
            return wanted
        held = {
            alias: number
            for model in self._target.registered_models.list([self._name])
            for alias, number in model.aliases.items()
            if alias in missing and number != copy.version
        }
        if not held:
            return wanted
        models = list(self._source.registered_models.list([version.name]))
        origins = {version_origin(it) for it in self._source.model_versions.list(models)}

        def is_ours(number: int) -> bool:
            ref = version_ref(self._job.ref.kind, self._name, number)
            there = self._target.model_versions.read(ref)
            return there is None or is_of_source(there, origins, self._batch.policy)

        kept, losses = without_taken(wanted.version, taken_aliases(held, is_ours))
        return dataclasses.replace(wanted, version=kept, losses=wanted.losses + losses)

    def _changes(self, copy: ModelVersion, wanted: ModelVersion) -> ModelVersion:
        """Return what a copy should become; a repair leaves nothing that its original has not."""
        changed = changes_of_version(copy, wanted)
        if not self._job.repairs:
            return changed
        can, policy = self._target.capabilities(), self._batch.policy
        surplus = surplus_tags(wanted.kind, changed.tags, wanted.tags, can, policy)
        tags = {key: text for key, text in changed.tags.items() if key not in surplus}
        return dataclasses.replace(changed, tags=tags, aliases=wanted.aliases)

    def _copy_files(self, version: ModelVersion) -> Sent:
        if not (self._batch.policy.version_models and not version.is_of_prompt):
            return NOTHING_SENT
        return copy_version_files(
            self._source,
            version,
            self._target,
            self._job.attempt,
            contents=self._job.repairs,
        )

    def _renumbered(self, version: ModelVersion, copy: ModelVersion) -> tuple[str, ...]:
        if copy.version == version.version:
            return ()
        return (f"version {version.version} became version {copy.version}",)

    def _wanted(self, version: ModelVersion, copy: ModelVersion | None) -> WantedVersion:
        can, policy = self._target.capabilities(), self._batch.policy
        if can.archive or version.is_of_prompt:
            found = VersionSource(version.source)
        elif copy is not None:
            found = VersionSource(copy.source, copy.run_id, copy.model_id)
        else:
            found = copied_source(version, self._copies(), self._place)
        run = self._source.model_versions.run_of(version) if policy.source_tags else NO_RUN
        aliases: Iterable[str] = ()
        if any(can.registry_folding) and version.aliases:
            models = self._source.registered_models.list([version.name])
            aliases = [alias for model in models for alias in model.aliases]
        return wanted_version(
            version, self._name, found, self._copies(), can, policy, run, aliases=aliases
        )

    def _copies(self) -> dict[Ref, str]:
        runs = {run_ref(old): new for old, new in self._job.references.items()}
        return {**runs, **self._job.copies}

    def _place(self, owner: Ref) -> Place | None:
        """Return where a run's or a logged model's files are, on both ends."""
        original = artifact_uri(self._source, owner)
        copy = artifact_uri(self._target, Ref(owner.kind, self._copies()[owner]))
        return Place(original, copy) if original and copy else None

    def _existing(self, version: ModelVersion) -> ModelVersion | None:
        """Return the copy that is there already."""
        if self._counts and self._numbered.may_hold_leftovers:
            return self._numbered.existing(version_origin(version))
        if self._job.target_id:
            return self._target.model_versions.read(Ref(self._job.ref.kind, self._job.target_id))
        return None

    def _make(self, wanted: ModelVersion) -> ModelVersion:
        """Create the copy under its number; see ``NumberedVersions.make``."""
        if self._counts:
            return self._numbered.make(wanted)
        can = self._target.capabilities()
        if not can.keeps_id(wanted.kind):
            wanted = dataclasses.replace(wanted, version=self._job.number)
        number, made = create_tagged(self._target.model_versions.create, wanted, can)
        return dataclasses.replace(made, version=number, aliases=())

    def _remove_placeholders(self, copy: ModelVersion) -> bool:
        return self._counts and self._numbered.remove_placeholders(copy.version)
