"""The words every part shares: kinds of objects, the refs that name them, what a plan does."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple


class Heading(StrEnum):
    """A word under which tasks are counted, listed and drawn."""

    @property
    def plural(self) -> str:
        """It as the heading of a column or line."""
        return f"{self}s"


class Kind(Heading):
    """What a task copies, each with what holds its objects: another kind, or the registry."""

    _within: str

    def __new__(cls, word: str, within: str = "") -> Kind:
        """Make a kind of its word, and the word of what holds its objects."""
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind._within = within
        return kind

    EXPERIMENT = "experiment"
    RUN = "run", "experiment"
    LOGGED_MODEL = "logged model", "experiment"
    REGISTERED_MODEL = "registered model", "registry"
    MODEL_VERSION = "model version", "registered model"
    PROMPT = "prompt", "registry"
    PROMPT_VERSION = "prompt version", "prompt"
    TRACE = "trace", "experiment"
    EVALUATION_DATASET = "evaluation dataset"
    SCORER = "scorer", "experiment"
    ISSUE = "issue", "experiment"
    LABEL_SCHEMA = "label schema", "experiment"
    REVIEW_QUEUE = "review queue", "experiment"
    WEBHOOK = "webhook"
    USER = "user"
    ROLE = "role"
    MCP_SERVER = "MCP server"
    SKILL = "skill"
    GATEWAY_ENDPOINT = "gateway endpoint"
    GATEWAY_MODEL = "gateway model definition"
    GATEWAY_SECRET = "gateway secret"  # noqa: S105 - the name of a kind
    GATEWAY_BUDGET = "gateway budget"
    GATEWAY_GUARDRAIL = "gateway guardrail"
    JOB = "job"
    WORKSPACE = "workspace"

    @cached_property
    def container(self) -> Kind | None:
        """The kind of what holds its objects; None where nothing does."""
        return None if self._within in ("", "registry") else Kind(self._within)

    @cached_property
    def versions(self) -> Kind | None:
        """The kind of the versions of its objects, where a registry holds them."""
        if self._within != "registry":
            return None
        return next(kind for kind in Kind if kind.container is self)

    @cached_property
    def is_version(self) -> bool:
        """True for the versions of what a registry holds."""
        return self.container is not None and self.container.in_registry

    @cached_property
    def in_registry(self) -> bool:
        """True for what a registry holds, and for the versions of that."""
        return self._within == "registry" or self.is_version


class Step(Heading):
    """What a task does with its object.

    A deletion is the last step with one that is deleted at the source, after all that is in it or
    made of it.
    """

    COPY = "copy"
    DELETION = "deletion"


_DELETION_OF = f"{Step.DELETION} of "


class Ref(NamedTuple):
    """Names one object of the source, its kind and the id it has there, and a step with it."""

    kind: Kind
    id: str
    step: Step = Step.COPY

    @property
    def deletes(self) -> bool:
        """True for the step that deletes the copy."""
        return self.step is _DELETION

    @property
    def deletion(self) -> Ref:
        """The step that deletes the copy."""
        return self._replace(step=Step.DELETION)

    @property
    def object(self) -> Ref:
        """The object itself, and the step that copies it."""
        return self._replace(step=Step.COPY) if self.deletes else self

    @property
    def heading(self) -> Heading:
        """Under which word it is counted, listed and drawn."""
        return self.step if self.deletes else self.kind

    @property
    def word(self) -> str:
        """Its kind and step, as they are stored."""
        return _WORDS[self.kind, self.step]

    @property
    def stored(self) -> str:
        """It as it is stored, for ``parse_ref``; for people, see ``str``."""
        return f"{self.word}:{self.id}"

    def __str__(self) -> str:
        return f"{self.heading}:{self.id}"


#: What refs are asked by the million.
_DELETION = Step.DELETION
_WORDS = {
    (kind, step): f"{_DELETION_OF}{kind}" if step is _DELETION else kind.value
    for kind in Kind
    for step in Step
}


#: The headings in the order of tables.
HEADINGS: tuple[Heading, ...] = (Kind.EXPERIMENT, Kind.RUN, Step.DELETION, *list(Kind)[2:])


#: The kinds of what a registry holds, those of its versions, and both.
MODEL_KINDS = tuple(kind for kind in Kind if kind.versions is not None)


VERSION_KINDS = frozenset(kind for kind in Kind if kind.is_version)


REGISTRY_KINDS = frozenset({*MODEL_KINDS, *VERSION_KINDS})


#: Those that are copied only where the user asks for them.
ON_REQUEST = frozenset({Kind.USER, Kind.ROLE})


def experiment_ref(experiment_id: str) -> Ref:
    """Return the ref of an experiment."""
    return Ref(Kind.EXPERIMENT, experiment_id)


def run_ref(run_id: str) -> Ref:
    """Return the ref of a run."""
    return Ref(Kind.RUN, run_id)


def logged_model_ref(model_id: str) -> Ref:
    """Return the ref of a logged model."""
    return Ref(Kind.LOGGED_MODEL, model_id)


def evaluation_dataset_ref(dataset_id: str) -> Ref:
    """Return the ref of an evaluation dataset."""
    return Ref(Kind.EVALUATION_DATASET, dataset_id)


def parse_ref(text: str) -> Ref:
    """Read back what ``ref.stored`` gave. Raises ``ValueError`` on anything else."""
    word, _, ident = text.partition(":")
    return ref_of_word(word, ident)


def ref_of_word(word: str, ident: str) -> Ref:
    """Return the ref whose ``word`` and id these are. Raises ``ValueError`` on any other word."""
    kind, step = _kind_and_step(word)
    return Ref(kind, ident, step)


@lru_cache(256)
def _kind_and_step(word: str) -> tuple[Kind, Step]:
    step = Step.DELETION if word.startswith(_DELETION_OF) else Step.COPY
    return Kind(word.removeprefix(_DELETION_OF)), step


class Action(StrEnum):
    """What the plan does with an object."""

    CREATE = "create"  #: it is not on the target
    ADOPT = "adopt"  #: it is there already: checked, completed where needed
    UPDATE = "update"  #: it is there, and the source has changed since
    REPAIR = "repair"  #: it is there, and was found to differ: compared in full and mended
    SKIP = "skip"  #: the user's selection leaves it out
    UNSUPPORTED = "unsupported"  #: the target, or this version of the tool, cannot take it


def version_ref(kind: Kind, name: str, version: int) -> Ref:
    """Return the ref of a version of a registered model or prompt."""
    return Ref(kind, f"{name}/{version}")
