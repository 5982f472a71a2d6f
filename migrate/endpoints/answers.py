"""What endpoints say of themselves, and of what was found and done there: plain records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from migrate.endpoints.stores import Bookkeeping, Identity
from migrate.folding import NO_FOLDING, Folding
from migrate.kinds import Kind, Ref
from migrate.objects import Metric
from migrate.outcomes import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an endpoint can take and hold; asked at plan time, never discovered by failing.

    ``identity`` tells this server or directory from another at the same address.
    ``found_by`` says by what copies of the kinds are found, and so whether they keep their
    originals' ids; ``bookkeeping`` where origin, mark and losses of a copy are. An ``archive``
    keeps each object as its source has it, under its name, with what no server could store; it
    makes a copy anew in its place, and nothing has to be read back.
    ``permissions``: it can tell and keep who may do what; ``without_permissions`` says why not,
    where more can be said than that it has none.
    ``notebooks``: it gives out the notebooks of runs; ``keeps_notebooks``: it keeps them beside a
    run's files. ``sets_user``: it says itself whose a run is. ``reserved_tags`` of experiments and
    runs are its own to write. ``absolute_names``: experiments are called by the path of a
    workspace. ``name_levels`` is how many names with dots between a registered model has (0: any),
    ``refused_in_model_tags`` are the characters that keys of its tags may not have.
    ``flattens_models``: logged models become files of the run that made them. ``folding``
    is what its database leaves out of account in names, as far as that could be asked;
    ``registry_folding`` that of the server which keeps registered models. Lengths are in
    characters, None where there is no limit. ``holds_nul``: texts may have the character 0.
    ``experiment_ids`` are those that a copy may have in common with its original, where it is free.
    ``keeps_files``: copies have no files of their own, and point at those of their originals.
    ``keeps_sealed``: encrypted values of secrets are kept as they are.
    ``lists_links``: runs say in every listing which logged models they name.
    ``span_kinds``: spans keep what OpenTelemetry calls their kind. ``issue_metadata``: issues keep
    metadata, when they were last seen, and by whom they were changed.
    ``without`` says why kinds are neither readable nor writable that one would expect.
    ``notes`` are facts about this endpoint that the user should read in the plan.
    """

    description: str
    version: str
    identity: str
    readable: frozenset[Kind]
    writable: frozenset[Kind]
    found_by: Mapping[Kind, Identity]
    without: Mapping[Kind, str] = field(default_factory=dict)
    bookkeeping: Bookkeeping = Bookkeeping.TAGS
    archive: bool = False
    dataset_inputs: bool = True
    dataset_schema_length: int | None = None
    run_name_length: int | None = None
    param_length: int | None = None
    run_tag_length: int | None = None
    experiment_tag_length: int | None = None
    metric_key_length: int | None = None
    colon_in_keys: bool = True
    model_tag_length: int | None = None
    version_tag_length: int | None = None
    description_length: int | None = None
    holds_nul: bool = True
    request_bytes: int | None = None
    stages: bool = True
    permissions: bool = False
    notebooks: bool = False
    keeps_notebooks: bool = False
    sets_user: bool = False
    reserved_tags: frozenset[str] = frozenset()
    absolute_names: bool = False
    name_levels: int = 0
    refused_in_model_tags: str = ""
    without_permissions: str = ""
    flattens_models: bool = False
    experiment_ids: range = range(0)
    keeps_files: bool = False
    keeps_sealed: bool = False
    lists_links: bool = False
    span_kinds: bool = True
    issue_metadata: bool = True
    folding: Folding = NO_FOLDING
    registry_folding: Folding = NO_FOLDING
    notes: tuple[str, ...] = ()

    def keeps_id(self, kind: Kind) -> bool:
        """Say whether copies of a kind have their originals' ids: references stay as they are."""
        return self.found_by.get(kind) is Identity.KEPT

    def counts(self, kind: Kind) -> bool:
        """Say whether the endpoint gives copies of a kind their numbers, one after the other."""
        return self.found_by.get(kind) is Identity.NUMBERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy found on the target by its origin; ``mark`` is empty when it is half-made.

    ``losses`` are what the copy itself says did not arrive. ``unreadable`` says why it is there
    and cannot be read; nothing else is known of such a one.
    """

    origin: str
    target_id: str
    mark: str
    lifecycle_stage: str
    losses: tuple[Loss, ...] = ()
    unreadable: str = ""

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Which of several copies is the one to keep up to date: the first in this order."""
        return bool(self.unreadable), not self.mark, self.target_id


class PermissionsWritten(NamedTuple):
    """What came of granting permissions: how many were ``granted``, and what could not be."""

    granted: int = 0
    losses: tuple[Loss, ...] = ()


@dataclass(slots=True, kw_only=True)
class Histories:
    """The metric histories of one run as far as they were read in bulk.

    ``points`` holds every point of the keys read, key by key; ``unread`` names the keys whose
    history is too long to hold and is to be streamed with ``metric_history``.
    """

    points: list[Metric] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An object that is at the source, or should be, and cannot be read.

    ``container`` is the id of its experiment, empty for an experiment. ``where`` is the place
    at fault, such as a file's path.
    """

    ref: Ref
    container: str
    where: str
    reason: str
    hint: str = ""

    @property
    def message(self) -> str:
        """What is wrong, and where."""
        return self.reason if self.where in self.reason else f"{self.where}: {self.reason}"


def _none(ref: Ref) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a migration ended, for what its target says of itself.

    ``options`` are those of the plan. ``failed`` are the objects that did not arrive, ``unknown``
    and ``unsupported`` as in the plan. ``selects`` says whether the plan had an experiment,
    registered model or prompt to copy, ``skips`` whether an object was left out of it.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    failed: tuple[Unreadable, ...] = ()
    unknown: tuple[str, ...] = ()
    unsupported: Mapping[Kind, int] = field(default_factory=dict)
    selects: Callable[[Ref], bool] = _none
    skips: Callable[[Ref], bool] = _none


#: What ``Target.publish`` is told when there was no plan.
NOT_TOLD = Ended()
