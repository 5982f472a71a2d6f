"""Copies versions of registered models and prompts, each under its own number.

A server gives the number itself: one more than the highest it ever gave for that model, deleted
versions included. So versions are made in order, gaps are filled with placeholders, and these are
deleted once the version behind the gap is there: until then they show which number comes next.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.errors import EndpointError, Refused
from migrate.folding import twins, why_left_out
from migrate.objects import (
    IS_PROMPT_TAG,
    NO_RUN,
    NO_STAGE,
    PROMPT_TEXT_TAG,
    Kind,
    ModelVersion,
    Ref,
    VersionRun,
    version_ref,
)
from migrate.origins import (
    MIGRATION,
    ORIGIN,
    PLACEHOLDER,
    SOURCE,
    keep_earlier,
    known_losses,
    losses_beside,
    losses_to_tags,
    outdated_losses,
)
from migrate.outcomes import Loss, Outcome, TaskStatus
from migrate.storable import storable
from migrate.tasks.batches import Batch, Job, Policy
from migrate.tasks.collisions import is_of_source, taken_aliases, without_taken
from migrate.tasks.files import NOTHING_SENT, Sent
from migrate.tasks.outcomes import failed, why_missing
from migrate.tasks.read_back import seen_of_version
from migrate.tasks.references import fit_registry_tags
from migrate.tasks.refused import create_tagged
from migrate.tasks.repairs import makes_anew, surplus_tags
from migrate.tasks.source_tags import version_tags
from migrate.tasks.version_files import artifact_uri, copy_version_files
from migrate.tasks.version_sources import (
    Place,
    VersionSource,
    copied_prompt_tags,
    copied_source,
)

#: The run need not exist: so every server takes this source.
PLACEHOLDER_RUN = "0" * 32
PLACEHOLDER_SOURCE = f"runs:/{PLACEHOLDER_RUN}/placeholder"
PROMPT_SOURCE = "dummy-source"

USED_UP_HINT = (
    "make the registered model anew with every number: migrate run ... --delete-model "
    "(it replaces the target's)"
)


def version_origin(version: ModelVersion) -> str:
    """Return what names a source version for ever: name, number and the ms of its creation."""
    return f"{version.name}/{version.version}@{version.creation_time or 0}"


def is_placeholder(version: ModelVersion) -> bool:
    """Say whether a version of the target only takes a number."""
    return PLACEHOLDER in version.tags


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
    if target.keeps_ids:
        return WantedVersion(version=version, losses=known_losses(version))
    origin = version_origin(version)
    lacking = known_losses(version)
    version, unstorable = storable(version)
    renamed, orphans = copied_prompt_tags(version_tags(version, policy, run), copies)
    tags, losses = fit_registry_tags(keep_earlier(renamed), target)
    losses = unstorable + losses
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
    if version.run_id and found.run_id in ("", version.run_id):
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
        run_id=found.run_id,
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
    looks_back = not target.capabilities().keeps_ids
    written: list[_Written] = []
    for job in batch.jobs:
        attempt = _Attempt(batch, job, source, target)
        started = time.monotonic()
        try:
            outcome = dataclasses.replace(attempt.copy(), seconds=time.monotonic() - started)
        except Exception as problem:
            outcome = failed(job, problem, attempt.target_id, time.monotonic() - started)
        if outcome.wrote and looks_back and attempt.sent is not None:
            written.append(_Written(job, outcome, attempt.sent))
        else:
            yield outcome
    if written:
        yield from _looked_at(batch.target_container or batch.container, target, written)


class _Written(NamedTuple):
    """A version that was written: what came of it, and the version as it was sent."""

    job: Job
    outcome: Outcome
    sent: ModelVersion


def _looked_at(name: str, target: Target, written: Sequence[_Written]) -> Iterator[Outcome]:
    """Look at what the target shows of the versions of one model; yield what came of each."""
    shown: dict[str, ModelVersion] = {}
    problem: Exception | None = None
    try:
        there = target.model_versions(list(target.registered_models([name])))
        shown = {version.ref.id: version for version in there}
    except Exception as error:
        problem = error
    for job, outcome, sent in written:
        seen = seen_of_version(sent, shown.get(outcome.target_id))
        seen.leave_out(outcome.losses)
        try:
            if problem is not None:
                raise problem
            seen.require(f"{job.ref.kind} {outcome.target_id!r}", job.attempt)
        except Exception as error:
            yield failed(job, error, outcome.target_id, outcome.seconds)
            continue
        yield dataclasses.replace(outcome, losses=outcome.losses + tuple(seen.changed))


class _Attempt:
    """One try at one version; ``target_id`` is ``name/number`` as soon as there is a copy."""

    def __init__(self, batch: Batch, job: Job, source: Source, target: Target) -> None:
        self._batch = batch
        self._job = job
        self._source = source
        self._target = target
        self._name = batch.target_container or batch.container
        #: Numbers on the target that this version got by mistake, and that are to go.
        self._strays: list[int] = []
        #: The version as it was sent to the target.
        self.sent: ModelVersion | None = None
        self.target_id = job.target_id

    def copy(self) -> Outcome:
        """Bring the copy to what the source holds now; write nothing when it is there."""
        version = self._source.read_model_version(self._job.ref)
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
        self.sent = self._changes(copy, wanted.version)
        refused: tuple[Loss, ...] = ()
        if self.sent != copy:
            refused = self._update(copy, self.sent)
            wrote = True
        wrote |= self._remove_placeholders(copy.version)
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

    def _update(self, copy: ModelVersion, wanted: ModelVersion) -> tuple[Loss, ...]:
        """Bring a copy up to date; return, and tell it, what of that is refused."""
        refused = tuple(self._target.update_model_version(copy, wanted))
        if refused:
            tags = {**wanted.tags, **losses_beside(wanted.tags, refused)}
            self._target.update_model_version(wanted, dataclasses.replace(wanted, tags=tags))
        return refused

    def _without_taken(
        self, wanted: WantedVersion, copy: ModelVersion, version: ModelVersion
    ) -> WantedVersion:
        """Return what is wanted without aliases of versions that are copies of another source."""
        missing = set(wanted.version.aliases) - set(copy.aliases)
        if not missing or self._target.capabilities().keeps_ids:
            return wanted
        held = {
            alias: number
            for model in self._target.registered_models([self._name])
            for alias, number in model.aliases.items()
            if alias in missing and number != copy.version
        }
        if not held:
            return wanted
        models = list(self._source.registered_models([version.name]))
        origins = {version_origin(it) for it in self._source.model_versions(models)}

        def is_ours(number: int) -> bool:
            ref = version_ref(self._job.ref.kind, self._name, number)
            there = self._target.read_model_version(ref)
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
        if not (self._batch.policy.version_models and version.kind is Kind.MODEL_VERSION):
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
        if can.keeps_ids or version.kind is Kind.PROMPT_VERSION:
            found = VersionSource(version.source)
        elif copy is not None:
            found = VersionSource(copy.source, copy.run_id, copy.model_id)
        else:
            found = copied_source(version, self._copies(), self._place)
        run = self._source.version_run(version) if policy.source_tags else NO_RUN
        aliases: Iterable[str] = ()
        if any(can.registry_folding) and version.aliases:
            models = self._source.registered_models([version.name])
            aliases = [alias for model in models for alias in model.aliases]
        return wanted_version(
            version, self._name, found, self._copies(), can, policy, run, aliases=aliases
        )

    def _copies(self) -> dict[Ref, str]:
        runs = {Ref(Kind.RUN, old): new for old, new in self._job.references.items()}
        return {**runs, **self._job.copies}

    def _place(self, owner: Ref) -> Place | None:
        """Return where a run's or a logged model's files are, on both ends."""
        original = artifact_uri(self._source, owner)
        copy = artifact_uri(self._target, Ref(owner.kind, self._copies()[owner]))
        return Place(original, copy) if original and copy else None

    def _existing(self, version: ModelVersion) -> ModelVersion | None:
        """Return the copy that is there already."""
        if self._looks() and not self._target.capabilities().keeps_ids:
            return self._found(version_origin(version))
        if self._job.target_id:
            return self._target.read_model_version(Ref(self._job.ref.kind, self._job.target_id))
        return None

    def _found(self, origin: str) -> ModelVersion | None:
        """Look for the copy among all versions, and note what a killed try has left."""
        copy = None
        for there in self._there():
            if there.tags.get(ORIGIN) != origin:
                continue
            if copy is None and self._fits(there.version):
                copy = there
            else:
                # It shows what is taken until the right one is there.
                self._strays.append(there.version)
        if copy is None or not self._strays:
            return copy
        # The aliases that both have point to the one that was made last.
        self._remove_strays()
        return self._target.read_model_version(copy.ref)

    def _remove_strays(self) -> None:
        while self._strays:
            stray = ModelVersion(
                name=self._name, version=self._strays.pop(), kind=self._job.ref.kind
            )
            self._target.delete_model_version(stray)

    def _looks(self) -> bool:
        """Say whether an earlier try may have left something."""
        return self._job.attempt > 1 or not self._job.first_free

    def _there(self) -> list[ModelVersion]:
        # By way of the registered model, which is what tells the aliases.
        return list(self._target.model_versions(list(self._target.registered_models([self._name]))))

    def _fits(self, number: int) -> bool:
        """Say whether a copy may have this number (0: any is as good)."""
        return not self._job.number or number == self._job.number

    def _make(self, wanted: ModelVersion) -> ModelVersion:
        """Create the copy under its number.

        Raises ``Refused`` when a later number is taken, ``EndpointError`` when only trying shows
        that the number is used up.
        """
        if self._target.capabilities().keeps_ids:
            self._target.create_model_version(wanted)
            return dataclasses.replace(wanted, aliases=())
        number = self._job.number
        try:
            if number > self._job.first_free or self._looks():
                self._fill_gap(number)
            got, made = create_tagged(
                self._target.create_model_version, wanted, self._target.capabilities()
            )
            while got < number:
                # A version before this one could not be made; its number is passed over.
                self._strays.append(got)
                got = self._target.create_model_version(made)
            if not self._fits(got):
                self._strays.append(got)
                raise EndpointError(*self._used_up(number))
        finally:
            self._remove_strays()
        return dataclasses.replace(made, version=got, stage=NO_STAGE, aliases=())

    def _fill_gap(self, number: int) -> None:
        """Take every free number below ``number`` with a placeholder.

        Raises ``Refused`` before anything is made when a later number is taken already.
        """
        taken = [version.version for version in self._there()]
        if number and max(taken, default=0) >= number:
            raise Refused(*self._used_up(number))
        following = max([*taken, self._job.first_free - 1, 0]) + 1
        while following < number:
            got = self._target.create_model_version(self._placeholder())
            if got >= number:
                placeholder = dataclasses.replace(self._placeholder(), version=got)
                self._target.delete_model_version(placeholder)
                # What comes after it waits: every try uses up a number that cannot be seen.
                raise EndpointError(*self._used_up(number))
            following = got + 1

    def _placeholder(self) -> ModelVersion:
        tags = {PLACEHOLDER: self._batch.policy.migration_id}
        kind = self._job.ref.kind
        if kind is Kind.PROMPT_VERSION:
            tags |= {IS_PROMPT_TAG: "true", PROMPT_TEXT_TAG: "placeholder"}
            return ModelVersion(
                name=self._name, version=0, kind=kind, source=PROMPT_SOURCE, tags=tags
            )
        return ModelVersion(
            name=self._name,
            version=0,
            source=PLACEHOLDER_SOURCE,
            run_id=PLACEHOLDER_RUN,
            tags=tags,
        )

    def _remove_placeholders(self, number: int) -> bool:
        """Delete the placeholders below a copy that is there; say whether there were any."""
        gap = self._job.number and self._job.number > self._job.first_free
        if not gap or self._target.capabilities().keeps_ids:
            return False
        found = [
            version
            for version in self._there()
            if is_placeholder(version) and version.version < number
        ]
        for version in found:
            self._target.delete_model_version(version)
        return bool(found)

    def _used_up(self, number: int) -> tuple[str, str]:
        return (
            f"number {number} of {self._name!r} is used up on the target: a later one, or a "
            "version that was deleted there, has it",
            USED_UP_HINT,
        )
