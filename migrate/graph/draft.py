"""A plan in the making: a networkx graph of refs, and what is known of each object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.protocols import Source, Target
from migrate.graph.renames import NO_RENAMES, Renames
from migrate.graph.selection import Selection
from migrate.kinds import Action, Kind, Ref
from migrate.objects import Experiment, ModelLinks, ModelVersion, RegisteredModel
from migrate.outcomes import LeftOut, LeftOutCode, Loss, TaskStatus
from migrate.plans import Because, Damage
from migrate.tasks.batches import Policy
from migrate.tasks.existing_experiments import ExistingExperiments
from migrate.tasks.trace import Slice
from migrate.tasks.wanted import Need


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

    @property
    def selected(self) -> bool:
        """True while nothing has left this object out."""
        return self.action not in (Action.SKIP, Action.UNSUPPORTED)

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

    Edges of ``graph`` point from what is needed to what needs it. ``quick`` trusts runs whose
    search result is unchanged.
    """

    source: Source
    target: Target
    selection: Selection
    policy: Policy
    renames: Renames = NO_RENAMES
    quick: bool
    workers: int
    source_can: Capabilities
    target_can: Capabilities
    graph: nx.DiGraph = field(default_factory=nx.DiGraph)
    nodes: dict[Ref, Node] = field(default_factory=dict)
    #: The same by kind and container.
    contents: dict[tuple[Kind, str], dict[Ref, Node]] = field(default_factory=dict)
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
        self.nodes[node.ref] = node
        if not node.ref.deletes:
            self.contents.setdefault((node.ref.kind, node.container), {})[node.ref] = node
        self.graph.add_node(node.ref)

    def need(self, needed: Ref, by: Ref) -> None:
        """Say that ``needed`` must be done before ``by``."""
        self.graph.add_edge(needed, by, soft=False)

    def follow(self, earlier: Ref, later: Ref) -> None:
        """Say that ``earlier`` must have ended before ``later``, unless it is needed anyway."""
        if not self.graph.has_edge(earlier, later):
            self.graph.add_edge(earlier, later, soft=True)

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
        found = (node for node in self.nodes.values() if node.ref.kind is kind)
        return [it for it in found if it.selected and not it.unreadable and not it.ref.deletes]

    def containers(self) -> list[Node]:
        """Return the experiments that are selected: they hold what was tracked."""
        return self.of_kind(Kind.EXPERIMENT)

    def versions_of(self, model: Ref) -> list[ModelVersion]:
        """Return the versions that were read of a registered model or prompt, skipped ones too."""
        if model.kind.versions is None:
            return []
        held = self.contents.get((model.kind.versions, model.id), {})
        return [self.versions[ref] for ref in held if ref in self.versions]

    def held_by(self, container: Ref) -> list[Node]:
        """Return the selected objects in one that holds others."""
        inside = (kind for kind in Kind if kind.container is container.kind)
        held = (self.contents.get((kind, container.id), {}) for kind in inside)
        return [node for nodes in held for node in nodes.values() if node.selected]
