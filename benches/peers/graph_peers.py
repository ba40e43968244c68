"""The peers: counting paths with what Python users have at hand.

No library counts the paths of a large directed acyclic graph by itself, so each peer is the sweep
that a skilled user would write with it. Libraries are imported when a peer is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from peers.graph_numba import (
    NumbaColumns,
    NumbaLanes,
    NumbaLazy,
    NumbaLimbs,
    NumbaLogSumExp,
    NumbaPlain,
    NumbaScaled,
)
from peers.graph_sides import Floats, Side
from workloads.graph_families import Edges, Ids

__all__ = ["PEERS"]

Ints: TypeAlias = npt.NDArray[np.int64]


# Python integers, node after node


class PythonIntegers(Side):
    kind = "exact"

    def exact(self, counts: Any, node: int) -> int:
        return int(counts[node])


class NetworkX(PythonIntegers):
    name = "networkx"
    package = "networkx"
    most_edges: ClassVar = {"": 10**7, "random local": 10**6, "random long": 10**6}

    def build(self, edges: Edges) -> None:
        self.graph = import_module("networkx").DiGraph()
        self.graph.add_nodes_from(range(edges.num_nodes))
        self.graph.add_edges_from(zip(edges.sources.tolist(), edges.targets.tolist(), strict=True))

    def order(self) -> None:
        self.nodes = list(import_module("networkx").topological_sort(self.graph))

    def count(self) -> dict[int, int]:
        successors = dict(self.graph.adjacency())
        counts: dict[int, int] = {}
        known = counts.__getitem__
        for node in reversed(self.nodes):
            counts[node] = sum(map(known, successors[node])) or 1
        return counts


class Rustworkx(PythonIntegers):
    name = "rustworkx"
    package = "rustworkx"

    def build(self, edges: Edges) -> None:
        self.graph = import_module("rustworkx").PyDiGraph()
        self.graph.add_nodes_from([None] * edges.num_nodes)
        self.graph.extend_from_edge_list(
            list(zip(edges.sources.tolist(), edges.targets.tolist(), strict=True))
        )

    def order(self) -> None:
        self.nodes = list(import_module("rustworkx").topological_sort(self.graph))

    def count(self) -> list[int]:
        counts = [0] * len(self.nodes)
        known, successors = counts.__getitem__, self.graph.successor_indices
        for node in reversed(self.nodes):
            counts[node] = sum(map(known, successors(node))) or 1
        return counts


class Igraph(PythonIntegers):
    name = "igraph"
    package = "igraph"

    def build(self, edges: Edges) -> None:
        pairs = np.column_stack([edges.sources, edges.targets]).astype(np.int64)
        graph = import_module("igraph").Graph(n=edges.num_nodes, edges=pairs, directed=True)
        self.graph, self.successors = graph, graph.get_adjlist(mode="out")

    def order(self) -> None:
        self.nodes = self.graph.topological_sorting()

    def count(self) -> list[int]:
        counts = [0] * len(self.nodes)
        known = counts.__getitem__
        for node in reversed(self.nodes):
            counts[node] = sum(map(known, self.successors[node])) or 1
        return counts


# CSR and levels with NumPy


def by_source(sources: Ids, targets: Ids) -> tuple[Ids, Ids]:
    """Sorted edges: NumPy sorts packed pairs several times faster than one pass scatters them."""
    keys = sources.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= targets.astype(np.uint64)
    keys.sort()
    return (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)


def csr(edges: Edges) -> tuple[Ints, Ids]:
    """Row bounds and successors, with NumPy."""
    sources, targets = edges.sources, edges.targets
    if len(sources) and (sources[1:] < sources[:-1]).any():
        sources, targets = by_source(sources, targets)
    degrees = np.bincount(sources, minlength=edges.num_nodes)
    return np.concatenate([[0], np.cumsum(degrees)]), targets


@dataclass(frozen=True)
class Level:
    """Nodes of equal depth that have successors; these in one array, and where each row starts."""

    nodes: Ints
    successors: Ids
    starts: Ints


def levels(indptr: Ints, indices: Ids) -> list[Level]:
    """Kahn's algorithm, a level at a time, with NumPy."""
    degrees = np.diff(indptr)
    waiting = np.bincount(indices, minlength=len(degrees))
    front, done, found = np.flatnonzero(waiting == 0), 0, []
    while len(front):
        done += len(front)
        nodes = front[degrees[front] > 0]
        lengths = degrees[nodes]
        starts = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(indptr[nodes] - starts, lengths)
        successors = indices[places]
        if len(nodes):
            found.append(Level(nodes, successors, starts))
        np.subtract.at(waiting, successors, 1)
        front = np.sort(successors[waiting[successors] == 0])
        front = front[np.append(True, front[1:] != front[:-1])] if len(front) else front
    assert done == len(degrees), "a cycle"
    return found


class PurePython(PythonIntegers):
    """Lists in CSR form, with nothing but the interpreter."""

    name = "python"
    package = "numpy"

    def build(self, edges: Edges) -> None:
        indptr, indices = csr(edges)
        self.topological = bool((edges.targets > edges.sources).all())
        self.indptr, self.indices = indptr.tolist(), indices.tolist()

    def order(self) -> None:
        if self.topological:
            self.nodes: Sequence[int] = range(len(self.indptr) - 1)
            return
        waiting = [0] * (len(self.indptr) - 1)
        for target in self.indices:
            waiting[target] += 1
        self.nodes = nodes = [node for node, number in enumerate(waiting) if not number]
        for node in nodes:
            for target in self.indices[self.indptr[node] : self.indptr[node + 1]]:
                waiting[target] -= 1
                if not waiting[target]:
                    nodes.append(target)

    def count(self) -> list[int]:
        counts = [0] * len(self.nodes)
        known, indptr, indices = counts.__getitem__, self.indptr, self.indices
        for node in reversed(self.nodes):
            counts[node] = sum(map(known, indices[indptr[node] : indptr[node + 1]])) or 1
        return counts


class NumpyObjects(PythonIntegers):
    """Object arrays of Python integers, a level at a time."""

    name = "numpy objects"
    package = "numpy"

    def build(self, edges: Edges) -> None:
        self.indptr, self.indices = csr(edges)

    def order(self) -> None:
        self.levels = levels(self.indptr, self.indices)

    def count(self) -> npt.NDArray[np.object_]:
        counts = np.full(len(self.indptr) - 1, 1, dtype=object)
        for level in reversed(self.levels):
            counts[level.nodes] = np.add.reduceat(counts[level.successors], level.starts)
        return counts


class GraphBlas(Side):
    """SuiteSparse, with a matrix and a product for each level."""

    name = "graphblas"
    kind = "float"
    package = "graphblas"

    def build(self, edges: Edges) -> None:
        self.library = import_module("graphblas")
        self.library.ss.config["nthreads"] = 1
        self.indptr, self.indices = csr(edges)

    def order(self) -> None:
        self.levels = []
        size = len(self.indptr) - 1
        for level in levels(self.indptr, self.indices):
            matrix = self.library.Matrix.from_csr(
                np.append(level.starts, len(level.successors)).astype(np.uint64),
                level.successors.astype(np.uint64),
                1.0,
                nrows=len(level.nodes),
                ncols=size,
            )
            first, last = int(level.nodes[0]), int(level.nodes[-1])
            together = last - first + 1 == len(level.nodes)
            self.levels.append((slice(first, last + 1) if together else level.nodes, matrix))

    def count(self) -> Any:
        counts = self.library.Vector.from_dense(np.ones(len(self.indptr) - 1))
        product = self.library.semiring.plus_second
        for nodes, matrix in reversed(self.levels):
            counts[nodes] << matrix.mxv(counts, product).new()
        return counts

    def log2(self, counts: Any) -> Floats:
        found: Floats = np.log2(counts.to_dense())
        return found


class Scipy(Side):
    """(1 - A) x = outputs, solved as the triangular system that it is."""

    name = "scipy"
    kind = "float"
    package = "scipy"

    def build(self, edges: Edges) -> None:
        self.indptr, self.indices = csr(edges)
        self.topological = bool((edges.targets > edges.sources).all())

    def order(self) -> None:
        size = len(self.indptr) - 1
        self.rank, ones = np.arange(size), np.ones(len(self.indices))
        sparse = import_module("scipy.sparse")
        if self.topological:
            steps = sparse.csr_array((ones, self.indices, self.indptr), shape=(size, size))
        else:
            inner = levels(self.indptr, self.indices)
            depth = np.full(size, len(inner))
            for number, level in enumerate(inner):
                depth[level.nodes] = number
            self.rank[np.argsort(depth, kind="stable")] = np.arange(size)
            sources = np.repeat(self.rank, np.diff(self.indptr))
            pairs = sources, self.rank[self.indices]
            steps = sparse.csr_array((ones, pairs), shape=(size, size))
        self.outputs = (np.diff(steps.indptr) == 0).astype(np.float64)
        self.system = (sparse.eye_array(size, format="csr") - steps).tocsr()

    def count(self) -> Floats:
        solve = import_module("scipy.sparse.linalg").spsolve_triangular
        found: Floats = solve(
            self.system, self.outputs, lower=False, overwrite_A=True, unit_diagonal=True
        )
        return found

    def log2(self, counts: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.log2(counts[self.rank])
        return found


PEERS: list[type[Side]] = [
    NumbaLanes,
    NumbaColumns,
    NumbaLimbs,
    NumpyObjects,
    PurePython,
    Igraph,
    Rustworkx,
    NetworkX,
    NumbaLazy,
    NumbaScaled,
    NumbaLogSumExp,
    NumbaPlain,
    Scipy,
    GraphBlas,
]
