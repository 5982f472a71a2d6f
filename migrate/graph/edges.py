"""What has to come before what. networkx sees only what can be part of a circle.

By the million, objects wait for nothing but what holds them, which a draft keeps with the object
itself. What is here are the edges beside those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from migrate.kinds import Ref

#: What an object waits for, and whether that only has to have ended.
Before = Mapping[Ref, bool]
NOTHING: Before = MappingProxyType({})
Edge = tuple[Ref, Ref]


class Edges:
    """Edges from what is needed to what needs it; a ``soft`` one asks only that it has ended."""

    def __init__(self) -> None:
        self._before: dict[Ref, dict[Ref, bool]] = {}

    def need(self, needed: Ref, by: Ref) -> None:
        """Draw an edge, or make a soft one hard."""
        self._before.setdefault(by, {})[needed] = False

    def follow(self, earlier: Ref, later: Ref) -> None:
        """Draw a soft edge where there is none."""
        self._before.setdefault(later, {}).setdefault(earlier, True)

    def has(self, earlier: Ref, later: Ref) -> bool:
        """Say whether there is an edge."""
        return earlier in self._before.get(later, NOTHING)

    def before(self, ref: Ref) -> Before:
        """Return what an object waits for, and of each whether the edge is soft."""
        return self._before.get(ref, NOTHING)

    def remove(self, earlier: Ref, later: Ref) -> None:
        """Take an edge away."""
        del self._before[later][earlier]

    def among(self, refs: Collection[Ref]) -> Iterator[Edge]:
        """Yield the edges between these objects."""
        for later in refs:
            for earlier in self._before.get(later, NOTHING):
                if earlier in refs:
                    yield earlier, later

    def after(self, refs: Collection[Ref]) -> dict[Ref, list[Ref]]:
        """Return what comes after each of these objects."""
        found: dict[Ref, list[Ref]] = {ref: [] for ref in refs}
        for earlier, later in self.all():
            if earlier in found:
                found[earlier].append(later)
        return found

    def all(self) -> Iterator[Edge]:
        """Yield all edges."""
        for later, before in self._before.items():
            for earlier in before:
                yield earlier, later


def circles(edges: Iterable[Edge]) -> Iterator[list[Edge]]:
    """Yield the edges of a circle, and of the next without the one that closed it: the last.

    What nothing waits for is the end of no way that goes on, and what waits for nothing the
    beginning of none that comes back.
    """
    edges = list(edges)
    waited_for = {earlier for earlier, _ in edges}
    # In their order, as it decides where a circle is said to close.
    inner = dict.fromkeys(later for _, later in edges if later in waited_for)
    if not inner:
        return
    # Loaded where it is needed: it takes a tenth of the start of the program.
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(inner)
    graph.add_edges_from(it for it in edges if it[0] in inner and it[1] in inner)
    while not nx.is_directed_acyclic_graph(graph):
        circle = [edge[:2] for edge in nx.find_cycle(graph)]
        yield circle
        graph.remove_edge(*circle[-1])
