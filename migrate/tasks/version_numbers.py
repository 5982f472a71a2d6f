"""Gets a version its number on a server, and clears away what a killed try has left.

A server gives the number itself: one more than the highest it ever gave for that model, deleted
versions included. So versions are made in order, gaps are filled with placeholders, and these are
deleted once the version behind the gap is there: until then they show which number comes next.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from weakref import WeakKeyDictionary

from migrate.endpoints.protocols import Target
from migrate.errors import EndpointError, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import IS_PROMPT_TAG, NO_STAGE, PROMPT_TEXT_TAG, ModelVersion
from migrate.origins import ORIGIN, PLACEHOLDER, bookkeeping
from migrate.tasks.batches import Batch, Job
from migrate.tasks.refused import create_tagged

#: The run need not exist: so every server takes this source.
PLACEHOLDER_RUN = "0" * 32
PLACEHOLDER_SOURCE = f"runs:/{PLACEHOLDER_RUN}/placeholder"
PROMPT_SOURCE = "dummy-source"

USED_UP_HINT = (
    "make the registered model anew with every number: migrate run ... --delete-model "
    "(it replaces the target's)"
)

#: Models of one target whose versions are remembered; more than are worked at together.
MODELS_REMEMBERED = 32

Versions = dict[int, ModelVersion]  #: by their numbers, in order


def is_placeholder(version: ModelVersion) -> bool:
    """Say whether a version of the target only takes a number."""
    return PLACEHOLDER in version.tags


class _Remembered:
    """What versions the models of one target have, as the tasks of this process know it.

    Each version is a task of its own: where every one listed all of them, that would be the square
    of their number. Versions of one model are made one after the other, never side by side.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_model: OrderedDict[Ref, Versions] = OrderedDict()

    def get(self, model: Ref) -> Versions | None:
        with self._lock:
            return self._by_model.get(model)

    def keep(self, model: Ref, versions: Versions) -> None:
        with self._lock:
            self._by_model[model] = versions
            self._by_model.move_to_end(model)
            while len(self._by_model) > MODELS_REMEMBERED:
                self._by_model.popitem(last=False)

    def forget(self, model: Ref) -> None:
        with self._lock:
            self._by_model.pop(model, None)


_remembered: WeakKeyDictionary[Target, _Remembered] = WeakKeyDictionary()
_opening = threading.Lock()


class NumberedVersions:
    """The versions of one registered model on a server, for one try at the copy of one version."""

    def __init__(self, batch: Batch, job: Job, target: Target) -> None:
        self._migration_id = batch.policy.migration_id
        self._job = job
        self._target = target
        self._name = batch.target_container or batch.container
        self._model = Ref(job.ref.kind, self._name)
        with _opening:
            self._remembered = _remembered.setdefault(target, _Remembered())
        if job.attempt > 1:
            self._remembered.forget(self._model)
        #: Numbers on the target that this version got by mistake, and that are to go.
        self._strays: list[int] = []

    @property
    def may_hold_leftovers(self) -> bool:
        """Whether an earlier try may have left something."""
        return self._job.attempt > 1 or not self._job.first_free

    def existing(self, origin: str) -> ModelVersion | None:
        """Look for the copy among all versions, and note what a killed try has left."""
        copy = self._copy_among(self._versions(), origin)
        if copy is None:
            return None
        # The aliases that copy and strays both have point to the one that was made last.
        self._remove_strays()
        now = self._target.model_versions.read(copy.ref)
        if now is None:
            self._remembered.forget(self._model)
            return self._copy_among(self._versions(), origin)
        return now

    def _copy_among(self, versions: Versions, origin: str) -> ModelVersion | None:
        copy = None
        self._strays = []
        for version in versions.values():
            if version.tags.get(ORIGIN) != origin:
                continue
            if copy is None and self._fits(version.version):
                copy = version
            else:
                # It shows what is taken until the right one is there.
                self._strays.append(version.version)
        return copy

    def make(self, wanted: ModelVersion) -> ModelVersion:
        """Create the copy under its number.

        Raises ``Refused`` when a later number is taken, ``EndpointError`` when only trying shows
        that the number is used up.
        """
        number = self._job.number
        try:
            if number > self._job.first_free or self.may_hold_leftovers:
                self._fill_gap(number)
            got, made = create_tagged(self._create, wanted, self._target.capabilities())
            while got < number:
                # A version before this one could not be made; its number is passed over.
                self._strays.append(got)
                got = self._create(made)
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
        highest = max(self._versions(), default=0)
        if number and highest >= number:
            raise Refused(*self._used_up(number))
        following = max(highest, self._job.first_free - 1) + 1
        while following < number:
            got = self._create(self._placeholder())
            if got >= number:
                self._delete(got)
                # What comes after it waits: every try uses up a number that cannot be seen.
                raise EndpointError(*self._used_up(number))
            following = got + 1

    def remove_placeholders(self, number: int) -> bool:
        """Delete the placeholders below a copy that is there; say whether there were any."""
        if not self._job.number or self._job.number <= self._job.first_free:
            return False
        found = [
            version.version
            for version in self._versions().values()
            if is_placeholder(version) and version.version < number
        ]
        for taken in found:
            self._delete(taken)
        return bool(found)

    def _versions(self) -> Versions:
        versions = self._remembered.get(self._model)
        if versions is None:
            # By way of the registered model, which is what tells the aliases.
            models = list(self._target.registered_models.list([self._name]))
            found = self._target.model_versions.list(models)
            versions = {version.version: _in_short(version) for version in found}
            self._remembered.keep(self._model, versions)
        return versions

    def _create(self, version: ModelVersion) -> int:
        try:
            number = self._target.model_versions.create(version)
        except BaseException:
            # It is not known what came of it.
            self._remembered.forget(self._model)
            raise
        known = self._remembered.get(self._model)
        if known is not None:
            known[number] = _in_short(dataclasses.replace(version, version=number))
        return number

    def _delete(self, number: int) -> None:
        version = ModelVersion(name=self._name, version=number, kind=self._job.ref.kind)
        self._target.model_versions.delete(version)
        known = self._remembered.get(self._model)
        if known is not None:
            known.pop(number, None)

    def _remove_strays(self) -> None:
        while self._strays:
            self._delete(self._strays.pop())

    def _fits(self, number: int) -> bool:
        """Say whether a copy may have this number (0: any is as good)."""
        return not self._job.number or number == self._job.number

    def _placeholder(self) -> ModelVersion:
        tags = {PLACEHOLDER: self._migration_id}
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

    def _used_up(self, number: int) -> tuple[str, str]:
        return (
            f"number {number} of {self._name!r} is used up on the target: a later one, or a "
            "version that was deleted there, has it",
            USED_UP_HINT,
        )


def _in_short(version: ModelVersion) -> ModelVersion:
    """Return of a version what tells whose copy it is."""
    return ModelVersion(
        name=version.name,
        version=version.version,
        kind=version.kind,
        tags=bookkeeping(version.tags),
    )
