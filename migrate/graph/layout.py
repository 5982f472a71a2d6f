"""Where the boxes of a drawing stand: in columns, what is needed to the left of what needs it.

Columns are topological generations. A line that crosses columns bends once in each, so that it
finds its way between boxes. Boxes and bends move to where their neighbours are, and the order with
the fewest crossings is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, combinations, pairwise
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import networkx as nx


BEND = 0.3  #: the room a bend takes, in rows; a box takes one
SWEEPS = 12

Edge = tuple[int, int]


class Place(NamedTuple):
    """A column, counted from the left, and the row of a middle, counted from the top."""

    column: int
    row: float


class Layout(NamedTuple):
    """The places of all boxes, the bends of those lines that have some, and the rows taken.

    Boxes without lines stand below all others, from row ``apart`` on (None: there are none).
    """

    boxes: Mapping[int, Place]
    bends: Mapping[Edge, tuple[Place, ...]]
    columns: int
    rows: float
    apart: float | None


def lay_out(boxes: int, edges: Iterable[Edge], weak: Iterable[Edge] = ()) -> Layout:
    """Place the boxes 0 to ``boxes`` - 1; an edge is (needed, by whom). Circles are allowed.

    The ``weak`` edges do not decide about columns: what only waits for its turn, as a model's
    versions do, stands in one.
    """
    edges, weak = sorted(edges), sorted(weak)
    linked = {box for edge in (*edges, *weak) for box in edge}
    alone = [box for box in range(boxes) if box not in linked]
    import networkx as nx  # loaded where a picture is drawn

    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(linked))
    graph.add_edges_from(edges)
    columns = _columns(graph)
    sheet = _Sheet(columns, list(dict.fromkeys((*edges, *weak))))
    sheet.arrange()
    places = {box: Place(columns[box], sheet.rows[box]) for box in sorted(linked)}
    bends = {
        edge: tuple(Place(columns[edge[0]] + 1 + n, sheet.rows[bend]) for n, bend in enumerate(way))
        for edge, way in sheet.ways.items()
        if way
    }
    width, height = len(sheet.columns), max((row + 0.5 for row in sheet.rows.values()), default=0.0)
    if not alone:
        return Layout(places, bends, width, height, None)
    width = max(width, 4)
    apart = height + 1 if height else 0.0
    for number, box in enumerate(alone):
        places[box] = Place(number % width, apart + 0.5 + number // width)
    height = apart + 1 + (len(alone) - 1) // width
    return Layout(places, bends, width, height, apart)


def without_implied(edges: Sequence[Edge]) -> set[Edge]:
    """Return the edges that do not follow from others: A to C does, where there are A-B and B-C."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_edges_from(sorted(edges))
    circles = nx.condensation(graph)
    member = circles.graph["mapping"]
    reduced = nx.transitive_reduction(circles)
    return {
        (a, b) for a, b in edges if member[a] == member[b] or reduced.has_edge(member[a], member[b])
    }


def _columns(graph: nx.DiGraph) -> dict[int, int]:
    """Return a column for each box; boxes that need each other in a circle share one."""
    import networkx as nx

    circles = nx.condensation(graph)
    column = {
        circle: number
        for number, generation in enumerate(nx.topological_generations(circles))
        for circle in generation
    }
    # What needs nothing stands beside what needs it, and not far away at the left edge.
    for circle in circles:
        if circles.in_degree(circle) == 0 and circles.out_degree(circle):
            column[circle] = min(column[by] for by in circles.successors(circle)) - 1
    return {box: column[circle] for box, circle in circles.graph["mapping"].items()}


class _Sheet:
    """Boxes and bends with their rows; bends have the numbers after those of the boxes."""

    def __init__(self, columns: Mapping[int, int], edges: Sequence[Edge]) -> None:
        self.columns: list[list[int]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
        self.ways: dict[Edge, tuple[int, ...]] = {}
        self.left: dict[int, list[int]] = {}
        self.right: dict[int, list[int]] = {}
        for box in sorted(columns):
            self.columns[columns[box]].append(box)
        free = self.first_bend = max(columns, default=-1) + 1
        for start, end in edges:
            between = range(columns[start] + 1, columns[end])
            way = tuple(range(free, free + len(between)))
            free += len(way)
            for bend, column in zip(way, between, strict=True):
                self.columns[column].append(bend)
            self.ways[start, end] = way
            for a, b in pairwise((start, *way, end)):
                if columns[start] < columns[end]:
                    self.right.setdefault(a, []).append(b)
                    self.left.setdefault(b, []).append(a)
        self.rows: dict[int, float] = {}
        for items in self.columns:
            self._spread(items, [0.0] * len(items))

    def arrange(self) -> None:
        """Bring neighbours together, and keep the best of several tries."""
        best = (self._crossings(), [list(column) for column in self.columns])
        for sweep in range(SWEEPS):
            rightward = sweep % 2 == 0
            for column in self.columns if rightward else reversed(self.columns):
                wanted = self._wanted(column, self.left if rightward else self.right)
                column.sort(key=wanted.__getitem__)
                self._spread(column, [wanted[item] for item in column])
            best = min(best, (self._crossings(), [list(column) for column in self.columns]))
        self.columns = best[1]
        both = {
            item: [*self.left.get(item, ()), *self.right.get(item, ())]
            for column in self.columns
            for item in column
        }
        for _ in range(SWEEPS):
            for column in self.columns:
                wanted = self._wanted(column, both)
                self._spread(column, [wanted[item] for item in column])
        top = min((row - 0.5 for row in self.rows.values()), default=0.0)
        self.rows = {item: row - top for item, row in self.rows.items()}

    def _wanted(
        self, column: Sequence[int], neighbours: Mapping[int, Sequence[int]]
    ) -> dict[int, float]:
        return {
            item: fmean(self.rows[other] for other in neighbours.get(item) or (item,))
            for item in column
        }

    def _spread(self, column: Sequence[int], wanted: Sequence[float]) -> None:
        """Put the items of a column, in their order, as near to these rows as their sizes allow."""
        sizes = [1.0 if item < self.first_bend else BEND for item in column]
        steps = ((above + below) / 2 for above, below in pairwise(sizes))
        offsets = list(accumulate(steps, initial=0.0))[: len(column)]
        fitted = _rising([row - offset for row, offset in zip(wanted, offsets, strict=True)])
        for item, row, offset in zip(column, fitted, offsets, strict=True):
            self.rows[item] = row + offset

    def _crossings(self) -> int:
        order = {item: n for column in self.columns for n, item in enumerate(column)}
        crossed = 0
        for column in self.columns:
            lines = [(order[a], order[b]) for a in column for b in self.right.get(a, ())]
            crossed += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(lines, 2))
        return crossed


def _rising(values: Sequence[float]) -> list[float]:
    """Return the numbers nearest to these of which none is less than the one before."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            above, number = blocks.pop()
            mean = (above * number + mean * count) / (number + count)
            count += number
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]
