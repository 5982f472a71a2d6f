"""A plan in the making: a networkx graph of refs, and what is known of each object."""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx

from migrate.endpoints.protocols import Capabilities, Source, Target
from migrate.graph.selection import Selection
from migrate.objects import Action, Experiment, Kind, Ref
from migrate.outcomes import Loss, TaskStatus
from migrate.tasks.batches import Policy


@dataclass(slots=True, kw_only=True)
class Node:
    """What is known so far of one object; becomes a ``PlannedTask``."""

    ref: Ref
    name: str
    container: str = ""
    action: Action = Action.CREATE
    reason: str = ""
    target_id: str = ""
    mark: str = ""
    status: TaskStatus = TaskStatus.PENDING
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Digest of what the source shows of a run now.
    content: str = ""
    #: True for a run that may still change at the source.
    unsettled: bool = False
    deleted: bool = False
    #: Source ids of the runs that its reference tags name, by tag.
    mentions: dict[str, str] = field(default_factory=dict)

    @property
    def selected(self) -> bool:
        """True while nothing has left this object out."""
        return self.action not in (Action.SKIP, Action.UNSUPPORTED)

    def skip(self, reason: str) -> None:
        """Leave this object out."""
        self.action, self.reason, self.status = Action.SKIP, reason, TaskStatus.SKIPPED


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
    quick: bool
    workers: int
    source_can: Capabilities
    target_can: Capabilities
    graph: nx.DiGraph = field(default_factory=nx.DiGraph)
    nodes: dict[Ref, Node] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    there: list[Experiment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    collisions: list[str] = field(default_factory=list)
    unsupported: dict[Kind, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Add an object."""
        self.nodes[node.ref] = node
        self.graph.add_node(node.ref)

    def need(self, needed: Ref, by: Ref) -> None:
        """Say that ``needed`` must be done before ``by``."""
        self.graph.add_edge(needed, by)

    def of_kind(self, kind: Kind) -> list[Node]:
        """Return the objects of a kind that are selected."""
        return [node for node in self.nodes.values() if node.ref.kind is kind and node.selected]

    def runs_in(self, experiment_id: str) -> list[Node]:
        """Return the selected runs of an experiment."""
        return [node for node in self.of_kind(Kind.RUN) if node.container == experiment_id]
