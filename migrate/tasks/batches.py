"""What is handed to a worker: plain values that survive pickling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrate.endpoints.addresses import Address
from migrate.kinds import Action, Kind, Ref, Step
from migrate.outcomes import Loss, Part
from migrate.values import value

#: After this many attempts, a file the source answers with 5xx counts as undeliverable.
PATIENT_ATTEMPTS = 3
#: Numbers of versions that are passed over in one registered model without asking.
MOST_PLACEHOLDERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The user's choices that tasks follow. ``locations`` maps prefixes of artifact locations.

    In gaps of the numbers of a registered model's versions, ``most_placeholders`` are made.
    ``replaces`` is set where registered models that the target has already are made anew: it
    tells those made by this plan from those there before. ``source_tags`` and ``source_user``
    put what MLflow lets nobody set into tags of the copies, under names other tools gave them.
    With ``repair``, a copy that cannot be read is made anew where the target rewrites its own.
    ``permissions`` are carried along; to a directory also ``version_models``, the files of every
    version once more, and the notebooks of runs in ``notebook_formats``.
    """

    migration_id: str
    locations: tuple[tuple[str, str], ...] = ()
    if_trashed: str = "fail"
    most_placeholders: int = MOST_PLACEHOLDERS
    replaces: str = ""
    source_tags: bool = False
    source_user: bool = False
    permissions: bool = False
    repair: bool = False
    version_models: bool = False
    notebook_formats: tuple[str, ...] = ()

    @property
    def in_mark(self) -> tuple[str, ...]:
        """What of the choices decides what the copy of a run holds; part of its mark.

        So a copy made without them is completed when they are chosen later.
        """
        chosen = (("source tags", self.source_tags), ("source user", self.source_user))
        notebooks = tuple(f"notebooks {word}" for word in self.notebook_formats)
        return tuple(word for word, is_chosen in chosen if is_chosen) + notebooks


@value
class Job:
    """One task of a batch.

    ``target_id`` is the copy, once known, and ``mark`` its fingerprint when it is complete.
    ``attempt`` counts from 1; from the second on an unknown copy is looked for.
    ``copies`` has the ids of the copies of what the object needs. A version is to get ``number`` on
    the target (0: any), where ``first_free`` is the first number not taken before it (0: not
    known), and so is an experiment where it may keep its own (0: that). ``losses`` are those that
    the plan knows.
    """

    ref: Ref
    name: str
    action: Action
    target_id: str = ""
    mark: str = ""
    attempt: int = 1
    copies: Mapping[Ref, str] = field(default_factory=dict)
    number: int = 0
    first_free: int = 0
    losses: tuple[Loss, ...] = ()

    @property
    def references(self) -> Mapping[str, str]:
        """Ids of the copies of runs that the object needs, by their own."""
        return self._copies_of(Kind.RUN)

    @property
    def datasets(self) -> Mapping[str, str]:
        """Ids of the copies of evaluation datasets that the object names, by their own."""
        return self._copies_of(Kind.EVALUATION_DATASET)

    def _copies_of(self, kind: Kind) -> Mapping[str, str]:
        return {ref.id: copy for ref, copy in self.copies.items() if ref.kind is kind}

    @property
    def repairs(self) -> bool:
        """True when the copy was found to differ: its mark says nothing."""
        return self.action is Action.REPAIR


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tasks of one kind, step and container: source and target id of the experiment, or the names
    of the registered model, that holds them.

    ``looks``: the target may hold copies that the plan does not know of. There are so many
    ``workers`` besides that may send files of one object; with a ``part``, nothing else is done.
    """

    kind: Kind
    jobs: tuple[Job, ...]
    source: Address
    target: Address
    policy: Policy
    container: str = ""
    target_container: str = ""
    looks: bool = False
    step: Step = Step.COPY
    workers: int = 1
    part: Part | None = None
