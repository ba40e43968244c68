"""Paths of a graph counted without the package: Python integers, NetworkX, enumeration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import networkx as nx
import numpy as np
import numpy.typing as npt

from strategies.random_graphs import Case
from unrolled import Spectrum


class Expected:
    """Everything about a case that follows from the definitions, with Python integers."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.successors: list[list[tuple[int, int]]] = [[] for _ in range(case.num_nodes)]
        self.predecessors: list[list[tuple[int, int]]] = [[] for _ in range(case.num_nodes)]
        for source, target, multiplicity in case.edges:
            self.successors[source].append((target, multiplicity))
            self.predecessors[target].append((source, multiplicity))

    @cached_property
    def outputs(self) -> list[int]:
        if self.case.outputs is not None:
            return sorted(set(self.case.outputs))
        return [node for node, edges in enumerate(self.successors) if not edges]

    @cached_property
    def sources(self) -> list[int]:
        return [node for node, edges in enumerate(self.predecessors) if not edges]

    @cached_property
    def inputs(self) -> list[int]:
        if self.case.inputs is not None:
            return sorted(set(self.case.inputs))
        owned = {node for group in self.groups for node in group}
        return [node for node in self.sources if node not in owned]

    @cached_property
    def groups(self) -> list[list[int]]:
        """The nodes of every parameter; a tied one has several."""
        if self.case.labels is None:
            return [[node] for node in self.sources]
        found: dict[int, list[int]] = {}
        for node, label in enumerate(self.case.labels):
            if label >= 0:
                found.setdefault(label, []).append(node)
        return list(found.values())

    @cached_property
    def order(self) -> list[int]:
        """Every node after its predecessors."""
        waiting = [len(edges) for edges in self.predecessors]
        ready = [node for node, number in enumerate(waiting) if not number]
        for node in ready:  # Grows while it is walked through.
            for target, _ in self.successors[node]:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        assert len(ready) == self.case.num_nodes, "the graph has a cycle"
        return ready

    @cached_property
    def downstream(self) -> list[int]:
        """C: paths from every node to an output."""
        counts = [0] * self.case.num_nodes
        for node in self.outputs:
            counts[node] = 1
        for node in reversed(self.order):
            counts[node] += sum(number * counts[to] for to, number in self.successors[node])
        return counts

    @cached_property
    def upstream(self) -> list[int]:
        """D: paths to every node from an input, or from a source if there is no input."""
        counts = [0] * self.case.num_nodes
        for node in self.inputs or self.sources:
            counts[node] = 1
        for node in self.order:
            counts[node] += sum(number * counts[of] for of, number in self.predecessors[node])
        return counts

    @cached_property
    def through(self) -> list[int]:
        """Paths from an input to an output that visit the node."""
        return [c * d for c, d in zip(self.downstream, self.upstream, strict=True)]

    def parameters(self, counts: Sequence[int]) -> list[int]:
        """The count of every parameter, zeros included."""
        return [sum(counts[node] for node in group) for group in self.groups]

    def reached(self, counts: Sequence[int]) -> list[int]:
        return [count for count in self.parameters(counts) if count]

    @cached_property
    def num_weight_nodes(self) -> int:
        """Nodes of parameters with a path to an output."""
        return sum(self.downstream[node] > 0 for group in self.groups for node in group)

    @cached_property
    def spectrum(self) -> Spectrum:
        return Spectrum.from_counts(self.parameters(self.downstream))


def by_networkx(case: Case) -> list[int]:
    """C by a dynamic programme over a NetworkX multigraph."""
    expected = Expected(case)
    graph = to_multigraph(case)
    counts: dict[int, int] = {}
    for node in reversed(list(nx.topological_sort(graph))):
        counts[node] = int(node in expected.outputs) + sum(
            data["multiplicity"] * counts[target] for _, target, data in graph.out_edges(node, True)
        )
    return [counts[node] for node in range(case.num_nodes)]


def to_multigraph(case: Case) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(case.num_nodes))
    for source, target, multiplicity in case.edges:
        graph.add_edge(source, target, multiplicity=multiplicity)
    return graph


def paths(case: Case, node: int) -> Iterator[tuple[int, ...]]:
    """Every path from a node to an output as the numbers of its edges; tiny graphs only."""
    expected = Expected(case)
    single = [(a, b) for a, b, multiplicity in case.edges for _ in range(multiplicity)]
    ends = set(expected.outputs)

    def walk(at: int, before: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if at in ends:
            yield before
        for edge, (source, target) in enumerate(single):
            if source == at:
                yield from walk(target, (*before, edge))

    return walk(node, ())


def log2_of(numbers: Iterable[int]) -> npt.NDArray[np.float64]:
    """Logarithms of integers of any size; minus infinity for zero."""
    return np.array([math.log2(number) if number else -math.inf for number in numbers])


def assert_log2(found: npt.ArrayLike, numbers: Iterable[int], tolerance: float = 1e-13) -> None:
    """Logarithms to the base 2 agree with integers; of 0 and 1 they are exact."""
    assert_close(found, log2_of(numbers), tolerance)


def assert_close(
    found: npt.ArrayLike, expected: npt.NDArray[np.float64], tolerance: float = 1e-13
) -> None:
    """Equal to a relative tolerance, infinities and zeros exactly."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    error = np.abs(found[finite] - expected[finite])
    worst = error > tolerance * np.abs(expected[finite])
    assert not worst.any(), (
        f"{worst.sum()} of {expected.size} wrong, the first at {np.flatnonzero(finite)[worst][0]}: "
        f"{found[finite][worst][0]!r} instead of {expected[finite][worst][0]!r}"
    )
