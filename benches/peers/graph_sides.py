"""What a side of a comparison has to do, and our side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

import unrolled
from workloads.graph_families import Edges

__all__ = ["OURS", "Floats", "Side", "UnrolledExact", "UnrolledLog"]

Floats: TypeAlias = npt.NDArray[np.float64]


class Side(ABC):
    """A way to count the paths from each node of a graph to a node without successor."""

    name: ClassVar[str]
    kind: ClassVar[Literal["exact", "log", "float"]]
    """What it answers: integers, logarithms, or floats that overflow above 2^1024."""
    package: ClassVar[str]
    most_edges: ClassVar[dict[str, int]] = {}
    """Larger graphs would take it over a minute (or more memory than there is), by family."""

    @abstractmethod
    def build(self, edges: Edges) -> None:
        """From edge arrays to the graph this side sweeps."""

    @abstractmethod
    def order(self) -> None:
        """Put the nodes into topological order, or see that they are."""

    @abstractmethod
    def count(self) -> Any:
        """Counts of all nodes, in whatever form this side has them."""

    def prepare(self, edges: Edges) -> None:
        self.build(edges)
        self.order()

    def whole_job(self, edges: Edges) -> Any:
        self.prepare(edges)
        return self.count()

    def exact(self, counts: Any, node: int) -> int:
        """The count of a node, of an exact side."""
        raise NotImplementedError(self.name)

    def log2(self, counts: Any) -> Floats:
        """Binary logarithms of all counts, of any other side."""
        raise NotImplementedError(self.name)

    def takes(self, edges: Edges) -> bool:
        limits = self.most_edges
        return len(edges) <= 1.1 * limits.get(edges.name, limits.get("", len(edges)))


class Unrolled(Side):
    """Ours, on `threads` threads."""

    name = "unrolled"
    package = "unrolled"

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def build(self, edges: Edges) -> None:
        self.graph = unrolled.Graph.from_edges(
            edges.sources, edges.targets, num_nodes=edges.num_nodes, threads=self.threads
        )

    def order(self) -> None:
        """Nothing: our side finds its order while it builds or counts."""

    def count(self) -> Any:
        return unrolled.count(self.graph, exact=self.kind == "exact", threads=self.threads)

    def log2(self, counts: Any) -> Floats:
        found: Floats = counts.log2()
        return found


class UnrolledExact(Unrolled):
    kind = "exact"

    def exact(self, counts: Any, node: int) -> int:
        return int(counts.exact(node))


class UnrolledLog(Unrolled):
    kind = "log"


OURS: list[type[Unrolled]] = [UnrolledExact, UnrolledLog]
