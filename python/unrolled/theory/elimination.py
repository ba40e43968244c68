"""Jacobians of explicit graphs by elimination of their vertices.

To eliminate a vertex is to join each of its predecessors with each of its successors, at one
multiplication a pair. When only inputs and outputs are left, the edges are the entries of the
Jacobian. Forward and reverse mode are two of the orders; the best one is hard to find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.graph.graph import Graph

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["MOST_EXHAUSTIVE", "Elimination", "Order"]

MOST_EXHAUSTIVE = 14
"""Intermediate vertices up to which the best of all orders is found."""

MOST_VERTICES = 20_000
"""Intermediate vertices that are eliminated one by one; what fills in may be much more."""


class Order(NamedTuple):
    """Vertices in the order of their elimination, and what that costs in multiplications."""

    vertices: tuple[int, ...]
    cost: int


class Elimination:
    """The vertices of a graph between its inputs and outputs.

    Parameters
    ----------
    graph : Graph
        Derivatives are by its inputs; without any, by all nodes without a predecessor. Parallel
        edges are one partial derivative. An output that is used further stands for a copy of
        itself, which it leads to.

    Raises
    ------
    NothingToCountError
        No path leads from an input to an output.
    InvalidArgumentError
        Too many vertices.
    """

    def __init__(self, graph: Graph) -> None:
        import networkx as nx

        self._graph = graph
        edges: nx.DiGraph[Any] = nx.DiGraph()
        edges.add_nodes_from(range(graph.num_nodes))
        indptr = graph.indptr.astype(np.int64)
        sources = np.repeat(np.arange(graph.num_nodes), indptr[1:] - indptr[:-1])
        edges.add_edges_from(zip(sources.tolist(), graph.indices.tolist(), strict=True))
        inputs = graph.inputs.tolist()
        inputs = inputs or [node for node, degree in edges.in_degree() if not degree]
        edges.remove_edges_from(list(edges.in_edges(inputs)))
        ends = []
        for output in graph.outputs.tolist():
            is_end = not edges.out_degree(output) and output not in set(inputs)
            ends.append(output if is_end else -1 - output)
            if not is_end:
                edges.add_edge(output, -1 - output)
        edges.add_edges_from(("inputs", node) for node in inputs)
        edges.add_edges_from((node, "outputs") for node in ends)
        live = nx.descendants(edges, "inputs") & nx.ancestors(edges, "outputs")
        if not live:
            raise NothingToCountError(
                f"graph '{graph.name}': no path leads from an input to an output, so there is no "
                "derivative"
            )
        kept = {*inputs, *ends}
        live_edges = edges.subgraph(live)
        self._edges: nx.DiGraph[Any] = nx.DiGraph(live_edges)
        self.num_inputs = sum(node in live for node in inputs)
        self.num_outputs = len(ends)
        self.vertices = [node for node in nx.topological_sort(live_edges) if node not in kept]
        if len(self.vertices) > MOST_VERTICES:
            raise InvalidArgumentError(
                f"graph '{graph.name}' has {len(self.vertices):,} vertices between inputs and "
                f"outputs, more than the {MOST_VERTICES:,} that are eliminated one by one; give "
                "the Network instead, which is taken tensor by tensor"
            )

    @property
    def num_edges(self) -> int:
        """Partial derivatives along edges."""
        return int(self._edges.number_of_edges())

    def forward(self) -> Order:
        """From the inputs to the outputs."""
        return self._priced(self.vertices)

    def reverse(self) -> Order:
        """From the outputs to the inputs."""
        return self._priced(self.vertices[::-1])

    def markowitz(self) -> Order:
        """Always the vertex that costs least at the time, the first one of several."""
        before, after = self._neighbours()
        left = list(self.vertices)
        order, total = [], 0
        while left:
            cheapest = min(left, key=lambda vertex: len(before[vertex]) * len(after[vertex]))
            total += _eliminate(cheapest, before, after)
            left.remove(cheapest)
            order.append(cheapest)
        return Order(tuple(order), total)

    def best(self) -> Order:
        """The cheapest of all orders.

        What is left after some vertices have been eliminated does not depend on their order, so it
        is enough to look at all sets of vertices.

        Raises
        ------
        InvalidArgumentError
            More than 14 vertices.
        """
        number = len(self.vertices)
        if number > MOST_EXHAUSTIVE:
            raise InvalidArgumentError(
                f"the best of all orders is found for up to {MOST_EXHAUSTIVE} intermediate "
                f"vertices, graph '{self._graph.name}' has {number}; use order='markowitz', or "
                "give an order"
            )
        best: list[Order | None] = [None] * (1 << number)
        best[0] = Order((), 0)
        before, after = self._neighbours()
        for mask in range(1 << number):
            known = best[mask]
            assert known is not None
            gone = {self.vertices[at] for at in range(number) if mask >> at & 1}
            for at, vertex in enumerate(self.vertices):
                if mask >> at & 1:
                    continue
                price = len(_beyond(vertex, gone, before)) * len(_beyond(vertex, gone, after))
                other = best[mask | 1 << at]
                if other is None or known.cost + price < other.cost:
                    best[mask | 1 << at] = Order((*known.vertices, vertex), known.cost + price)
        found = best[-1]
        assert found is not None
        return found

    def given(self, order: Iterable[Any]) -> Order:
        """An order by name of node, or by id of a graph without names.

        Raises
        ------
        InvalidArgumentError
            Not each intermediate vertex exactly once.
        UnknownNameError
            No such node.
        """
        vertices = [self._graph.index(node) for node in order]
        if sorted(vertices) != sorted(self.vertices):
            names = self._graph.names
            wanted = [one if names is None else names[one] for one in self.vertices]
            raise InvalidArgumentError(
                f"an order has every vertex between inputs and outputs once, here {wanted}; got "
                f"{described(list(order) if isinstance(order, Sequence) else vertices)}"
            )
        return self._priced(vertices)

    def _neighbours(self) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
        return (
            {node: set(self._edges.predecessors(node)) for node in self._edges},
            {node: set(self._edges.successors(node)) for node in self._edges},
        )

    def _priced(self, vertices: Sequence[int]) -> Order:
        before, after = self._neighbours()
        return Order(tuple(vertices), sum(_eliminate(vertex, before, after) for vertex in vertices))


def _eliminate(vertex: int, before: dict[int, set[int]], after: dict[int, set[int]]) -> int:
    """Join the neighbours of a vertex; the number of multiplications."""
    sources, targets = before.pop(vertex), after.pop(vertex)
    for source in sources:
        after[source].remove(vertex)
        after[source] |= targets
    for target in targets:
        before[target].remove(vertex)
        before[target] |= sources
    return len(sources) * len(targets)


def _beyond(vertex: int, gone: set[int], neighbours: dict[int, set[int]]) -> set[int]:
    """The neighbours of a vertex when some vertices have been eliminated."""
    found: set[int] = set()
    waiting, seen = [vertex], {vertex}
    while waiting:
        for other in neighbours[waiting.pop()] - seen:
            seen.add(other)
            if other in gone:
                waiting.append(other)
            else:
                found.add(other)
    return found
