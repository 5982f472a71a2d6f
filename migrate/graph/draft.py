"""A plan in the making: what is known of each object, and what comes before what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.graph.ahead import Ahead
from migrate.graph.edges import Edge, Edges, circles
from migrate.graph.renames import NO_RENAMES, Renames
from migrate.graph.selection import Selection
from migrate.kinds import Action, Kind, Ref, Step
from migrate.objects import Experiment, ModelLinks, ModelVersion, RegisteredModel
from migrate.outcomes import LeftOut, LeftOutCode, Loss, TaskStatus
from migrate.plans import Because, Damage
from migrate.tasks.batches import Policy
from migrate.tasks.existing_experiments import ExistingExperiments
from migrate.tasks.trace import Slice
from migrate.tasks.wanted import Need

_LEFT_OUT = frozenset({Action.SKIP, Action.UNSUPPORTED})
_DELETION = Step.DELETION


@lru_cache(1024)
def _alone(kind: Kind, ident: str) -> tuple[Ref]:
    """Return what holds many objects, as all that they wait for: one value for all of them."""
    return (Ref(kind, ident),)


@dataclass(slots=True, kw_only=True)
class Node:
    """What is known so far of one object; becomes a ``PlannedTask``."""

    ref: Ref
    name: str
    container: str = ""
    action: Action = Action.CREATE
    reason: str = ""
    #: Set while nothing takes it along.
    left_out: LeftOut | None = None
    target_id: str = ""
    mark: str = ""
    status: TaskStatus = TaskStatus.PENDING
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Digest of all that is copied of it, where that is at hand; else facts, see the carrier.
    content: str = ""
    facts: Any = None
    #: True for a run that may still change at the source.
    unsettled: bool = False
    deleted: bool = False
    #: True for what the source has and cannot give: nothing is known of it but where it is.
    unreadable: bool = False
    #: True when the copy that is on the target has been deleted there, as it should be.
    copy_deleted: bool = False
    #: Why it is in the plan.
    because: tuple[Because, ...] = ()
    #: The number that an experiment or version is to get on the target, and the first one free
    #: before it.
    number: int = 0
    first_free: int = 0
    #: How many objects it stands for.
    count: int = 1
    #: Whether it comes after what holds it: the only edge that most objects have.
    after_container: bool = False

    @property
    def home(self) -> Ref | None:
        """What holds the object; None where nothing does."""
        kind = self.ref.kind.container
        return Ref(kind, self.container) if kind else None

    @property
    def selected(self) -> bool:
        """True while nothing has left this object out."""
        return self.action not in _LEFT_OUT

    @property
    def may_be_taken_along(self) -> bool:
        """True for what no choice names: something that is selected may need it."""
        return self.left_out is not None and self.left_out.code is LeftOutCode.NOT_SELECTED

    def select(self, because: Because) -> None:
        """Take along what was left out, because something else needs it."""
        self.action, self.reason, self.status = Action.CREATE, "", TaskStatus.PENDING
        self.left_out = None
        self.because = (because,)

    def judge(self, mark: str, wanted: str) -> bool:
        """Choose what to do with an object that has a copy, and say whether it is unchanged."""
        self.action = Action.ADOPT
        if not mark:
            self.reason = "half-made by an earlier attempt: completed"
        elif mark != wanted:
            self.action, self.reason = Action.UPDATE, "changed at the source since it was copied"
        return mark == wanted

    def fail_to_adopt(self, why: str) -> None:
        """Plan a copy that is there and cannot be read: its task fails by name, and makes none."""
        self.action, self.reason = Action.ADOPT, f"its copy cannot be read: {why}"

    def refuse(self, reason: str) -> None:
        """Leave this object out because the target cannot take it."""
        self.action, self.reason, self.status = Action.UNSUPPORTED, reason, TaskStatus.SKIPPED

    def skip(self, left_out: LeftOut) -> None:
        """Leave this object out."""
        self.action, self.reason, self.status = Action.SKIP, left_out.text, TaskStatus.SKIPPED
        self.left_out = left_out


@dataclass(slots=True, kw_only=True)
class Draft:
    """What the steps of the planner work on, in their order.

    ``quick`` trusts runs whose search result is unchanged. What was asked ``ahead`` the steps take.
    """

    source: Source
    target: Target
    selection: Selection
    policy: Policy
    renames: Renames = NO_RENAMES
    quick: bool
    workers: int
    ahead: Ahead
    source_can: Capabilities
    target_can: Capabilities
    #: All but those from what holds an object to the object.
    edges: Edges = field(default_factory=Edges)
    nodes: dict[Ref, Node] = field(default_factory=dict)
    kinds: set[Kind] = field(default_factory=set)
    #: Their refs by kind and container.
    contents: dict[tuple[Kind, str], list[Ref]] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    existing: ExistingExperiments = field(default_factory=ExistingExperiments)
    #: How many objects of another origin the target's experiments hold, by the source's ids.
    foreign: dict[str, dict[Kind, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    collisions: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unsupported: dict[Kind, int] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)
    #: Copies that are to be repaired, by their originals.
    damaged: Mapping[Ref, Damage] = field(default_factory=dict)
    #: Ids of the copies that this migration has made before, by their originals.
    made: Mapping[Ref, str] = field(default_factory=dict)
    #: The logged models that selected runs name, by run id; runs without any are not there.
    links: dict[str, ModelLinks] = field(default_factory=dict)
    #: The experiments whose objects of a kind were searched, and what no search has shown.
    searched: dict[Kind, set[str]] = field(default_factory=dict)
    by_id: set[Ref] = field(default_factory=set)
    #: What records name, and by what their copies are found, by their refs.
    needs: dict[Ref, tuple[Need, ...]] = field(default_factory=dict)
    keys: dict[Ref, str] = field(default_factory=dict)
    #: What each task of traces covers.
    slices: dict[Ref, Slice] = field(default_factory=dict)
    registered: dict[Ref, RegisteredModel] = field(default_factory=dict)
    versions: dict[Ref, ModelVersion] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Add an object."""
        if not node.ref.deletes and node.ref not in self.nodes:
            self.contents.setdefault((node.ref.kind, node.container), []).append(node.ref)
        self.nodes[node.ref] = node
        self.kinds.add(node.ref.kind)

    def need_container(self, node: Node) -> None:
        """Say that what holds an object must be done before it."""
        node.after_container = True

    def need(self, needed: Ref, by: Ref) -> None:
        """Say that ``needed`` must be done before ``by``."""
        node = self.nodes[by]
        if node.home == needed:
            node.after_container = True
        else:
            self.edges.need(needed, by)

    def follow(self, earlier: Ref, later: Ref) -> None:
        """Say that ``earlier`` must have ended before ``later``, unless it is needed anyway."""
        node = self.nodes[later]
        if not (node.after_container and node.home == earlier):
            self.edges.follow(earlier, later)

    def held(self, kind: Kind, container: str) -> list[Node]:
        """Return all objects of a kind in a container, those left out too."""
        return [self.nodes[ref] for ref in self.contents.get((kind, container), ())]

    def waits(self, node: Node) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
        """Return what must be done before an object, and what must have ended: in order.

        Nothing for what is left out.
        """
        if node.action in _LEFT_OUT:
            return (), ()
        kind = node.ref.kind.container if node.after_container else None
        before = self.edges.before(node.ref)
        if not before:
            return _alone(kind, node.container) if kind else (), ()
        container = Ref(kind, node.container) if kind else None
        needs = [ref for ref, soft in before.items() if not soft]
        after = [ref for ref, soft in before.items() if soft and ref != container]
        if container:
            needs.append(container)
        return tuple(sorted(needs)), tuple(sorted(after))

    def circle(self) -> list[Edge]:
        """Return the edges of a circle in which objects wait for each other, none without one."""
        edges = list(self.edges.all())
        # Only what waits itself, and is waited for, can be on the way of a circle.
        for node in (self.nodes[ref] for ref in {earlier for earlier, _ in edges}):
            home = node.home if node.after_container else None
            if home and self.edges.before(home):
                edges.append((home, node.ref))
        return next(circles(edges), [])

    def need_earlier_copy(self, needed: Ref, by: Ref, *, soft: bool = False) -> None:
        """Draw the edge from what is left out, but was copied before, to what names it."""
        if not self.selects(needed) and self.will_have_copy(needed):
            (self.follow if soft else self.need)(needed, by)

    def selects(self, ref: Ref) -> bool:
        """Say whether an object is in the plan and not left out."""
        return ref in self.nodes and self.nodes[ref].selected

    def will_have_copy(self, ref: Ref) -> bool:
        """Say whether an object is copied, or has been before."""
        return self.selects(ref) or bool(ref in self.nodes and self.nodes[ref].target_id)

    def of_kind(self, kind: Kind) -> list[Node]:
        """Return the objects of a kind that are selected and were read."""
        if kind not in self.kinds:
            return []
        return [
            node
            for node in self.nodes.values()
            if node.ref.kind is kind
            and node.action not in _LEFT_OUT
            and not node.unreadable
            and node.ref.step is not _DELETION
        ]

    def containers(self) -> list[Node]:
        """Return the experiments that are selected: they hold what was tracked."""
        return self.of_kind(Kind.EXPERIMENT)

    def container_ids(self) -> tuple[str, ...]:
        """Return their ids."""
        return tuple(node.ref.id for node in self.containers())

    def versions_of(self, model: Ref) -> list[ModelVersion]:
        """Return the versions that were read of a registered model or prompt, skipped ones too."""
        if model.kind.versions is None:
            return []
        held = self.contents.get((model.kind.versions, model.id), ())
        return [self.versions[ref] for ref in held if ref in self.versions]

    def held_by(self, container: Ref) -> list[Node]:
        """Return the selected objects in one that holds others."""
        inside = (kind for kind in Kind if kind.container is container.kind)
        held = (self.held(kind, container.id) for kind in inside)
        return [node for nodes in held for node in nodes if node.selected]
