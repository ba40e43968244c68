"""The peers that are written with numba, whose kernels are in graph_kernels.py.

That module is imported when a peer is made, for numba need not be installed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt

from peers.graph_sides import Floats, Side
from workloads.graph_families import Edges, Ids

__all__ = [
    "NumbaColumns",
    "NumbaLanes",
    "NumbaLazy",
    "NumbaLimbs",
    "NumbaLogSumExp",
    "NumbaPlain",
    "NumbaScaled",
]


class Numba(Side):
    """Takes sorted edges as they are, and needs no order where nodes are numbered in one."""

    package = "numba"

    def __init__(self) -> None:
        self.kernels = import_module("graph_kernels")

    def build(self, edges: Edges) -> None:
        unsigned = np.dtype(f"u{edges.sources.dtype.itemsize}")
        sources, targets = edges.sources.view(unsigned), edges.targets.view(unsigned)
        self.size = edges.num_nodes
        small = len(edges) < 2**32
        self.indptr = np.zeros(self.size + 1, dtype=np.uint32 if small else np.uint64)
        self.topological = bool(self.kernels.is_topological(sources, targets))
        if self.kernels.is_sorted(sources):
            self.kernels.ends_of_rows(sources, self.indptr)
            self.indices = targets
            return
        self.indices = np.empty(len(targets), dtype=np.uint32)
        pairs = np.empty(len(targets), dtype=np.uint64)
        shift = max(0, self.size.bit_length() - 9)
        self.kernels.sort_by_source(sources, targets, shift, pairs, self.indptr, self.indices)

    def order(self) -> None:
        self.nodes: Ids | None = None
        if not self.topological:
            self.nodes = np.empty(self.size, dtype=np.uint32)
            found = self.kernels.kahn(self.indptr, self.indices, self.nodes)
            assert found == self.size, "a cycle"

    def lazy(self) -> tuple[Floats, npt.NDArray[np.int32]]:
        values, scales = np.empty(self.size), np.empty(self.size, dtype=np.int32)
        self.kernels.sweep_lazy(self.indptr, self.indices, self.nodes, values, scales)
        return values, scales


class NumbaPlain(Numba):
    name = "numba f64"
    kind = "float"

    def count(self) -> Floats:
        counts = np.empty(self.size)
        self.kernels.sweep_plain(self.indptr, self.indices, self.nodes, counts)
        return counts

    def log2(self, counts: Floats) -> Floats:
        found: Floats = np.log2(counts)
        return found


class NumbaLogSumExp(Numba):
    name = "numba lse"
    kind = "log"

    def count(self) -> Floats:
        logs = np.empty(self.size)
        self.kernels.sweep_log_sum_exp(self.indptr, self.indices, self.nodes, logs)
        return logs

    def log2(self, counts: Floats) -> Floats:
        return counts / math.log(2)


class NumbaScaled(Numba):
    """Each node has a mantissa and an exponent, which are aligned edge by edge."""

    name = "numba scaled"
    kind = "log"

    def count(self) -> tuple[Floats, Ids]:
        mantissas, exponents = np.empty(self.size), np.empty(self.size, dtype=np.int32)
        self.kernels.sweep_scaled(self.indptr, self.indices, self.nodes, mantissas, exponents)
        return mantissas, exponents

    def log2(self, counts: tuple[Floats, Ids]) -> Floats:
        found: Floats = np.log2(counts[0]) + counts[1]
        return found


class NumbaLazy(Numba):
    """The same with exponents in steps of 512, which seldom need aligning."""

    name = "numba lazy"
    kind = "log"

    def count(self) -> tuple[Floats, Ids]:
        return self.lazy()

    def log2(self, counts: tuple[Floats, Ids]) -> Floats:
        found: Floats = np.log2(counts[0]) + self.kernels.STEP * counts[1].astype(np.float64)
        return found


@dataclass(frozen=True)
class Words:
    """Rows of large integers, each with the number of its words."""

    rows: npt.NDArray[np.uint64]
    widths: npt.NDArray[np.uint32]
    stride: int


class NumbaLimbs(Numba):
    """Rows of equal stride, as wide as the largest count; a float sweep first tells the widths."""

    name = "numba limbs"
    kind = "exact"
    kernel = "sweep_limbs"
    bits = 64

    def order(self) -> None:
        """Renumbers the nodes along their order, so that large rows that are added lie close."""
        super().order()
        self.rank: Ids | None = None
        if self.nodes is not None:
            self.rank, bounds = np.empty_like(self.nodes), np.zeros_like(self.indptr)
            successors = np.empty(len(self.indices), dtype=np.uint32)
            self.kernels.renumber(
                self.indptr, self.indices, self.nodes, self.rank, bounds, successors
            )
            self.indptr, self.indices, self.nodes = bounds, successors, None

    def count(self) -> Words:
        widths = np.empty(self.size, dtype=np.uint32)
        stride = self.kernels.widths_of_rows(*self.lazy(), self.bits, widths)
        rows = np.empty(self.size * stride, dtype=np.uint64)
        sweep = getattr(self.kernels, self.kernel)
        sweep(self.indptr, self.indices, self.nodes, widths, stride, rows)
        return Words(rows, widths, stride)

    def exact(self, counts: Words, node: int) -> int:
        place = node if self.rank is None else int(self.rank[node])
        first = place * counts.stride
        row = counts.rows[first : first + int(counts.widths[place])].tolist()
        return sum(word << (self.bits * place) for place, word in enumerate(row))


class NumbaColumns(NumbaLimbs):
    """Limb by limb over all successors, which keeps sum and carry in registers."""

    name = "numba columns"
    kernel = "sweep_limb_columns"


class NumbaLanes(NumbaLimbs):
    """Radix 2^48, carries once a node."""

    name = "numba lanes"
    kernel = "sweep_lanes"
    bits = 48
