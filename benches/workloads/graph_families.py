"""Families of directed acyclic graphs, as NumPy edge arrays.

Edges come sorted by source, node ids are in topological order, and no edge comes twice: what a
user who builds a graph layer by layer has in hand. `Edges.shuffled` takes all of this away but
the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FAMILIES", "Edges", "Ids", "family"]

Ids: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Edges:
    """Edge arrays of a graph; `total` is the number of its paths where a closed form is known."""

    name: str
    num_nodes: int
    sources: Ids
    targets: Ids
    total: int | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def shuffled(self, seed: int = 0) -> Edges:
        """Edges in random order, and node ids that tell nothing."""
        rng = np.random.default_rng(seed)
        label = rng.permutation(self.num_nodes).astype(self.sources.dtype)
        order = rng.permutation(len(self))
        return replace(self, sources=label[self.sources[order]], targets=label[self.targets[order]])

    def widened(self) -> Edges:
        """The same with 64-bit ids, which most NumPy functions return."""
        return replace(
            self, sources=self.sources.astype(np.int64), targets=self.targets.astype(np.int64)
        )


def mlp(num_edges: int, num_layers: int) -> Edges:
    """Layers of equal width, each dense to the next one."""
    width = max(2, round(math.sqrt(num_edges / (num_layers - 1))))
    first = np.arange(num_layers - 1, dtype=np.int32)[:, None, None] * width
    unit = np.arange(width, dtype=np.int32)
    shape = (num_layers - 1, width, width)
    sources = np.broadcast_to(first + unit[:, None], shape).ravel()
    targets = np.broadcast_to(first + width + unit, shape).ravel()
    return Edges("", num_layers * width, sources, targets, total=width**num_layers)


def wide_mlp(num_edges: int) -> Edges:
    """100 steps: 500 bits at 10^5 edges, 830 at 10^7."""
    return mlp(num_edges, 101)


def deep_mlp(num_edges: int) -> Edges:
    """1,000 steps: 3,300 bits at 10^5 edges, 6,600 at 10^7."""
    return mlp(num_edges, min(1001, max(3, num_edges // 16)))


def distinct(num_nodes: int, sources: Ids, targets: Ids) -> Edges:
    """Edges sorted and without repetition."""
    keys = sources.astype(np.int64) * num_nodes + targets
    keys.sort()
    keys = keys[np.append(True, keys[1:] != keys[:-1])]
    at = keys // num_nodes
    keys -= at * num_nodes
    return Edges("", num_nodes, at.astype(np.int32), keys.astype(np.int32))


def random_local(num_edges: int) -> Edges:
    """8 successors a node on average, all within 2% of the order: 600 bits at every size."""
    rng = np.random.default_rng(1)
    num_nodes = num_edges // 8
    window = max(2, num_nodes * 12 // 625)
    sources = rng.integers(0, num_nodes - 1, num_edges, dtype=np.int32)
    targets = sources + rng.integers(1, window + 1, num_edges, dtype=np.int32)
    inside = targets < num_nodes
    return distinct(num_nodes, sources[inside], targets[inside])


def random_long(num_edges: int) -> Edges:
    """8 edges a node on average, between any two nodes: counts of some 26 bits."""
    rng = np.random.default_rng(2)
    num_nodes = num_edges // 8
    one = rng.integers(0, num_nodes, num_edges, dtype=np.int32)
    other = rng.integers(0, num_nodes, num_edges, dtype=np.int32)
    apart = one != other
    one, other = one[apart], other[apart]
    return distinct(num_nodes, np.minimum(one, other), np.maximum(one, other))


def grid(num_edges: int) -> Edges:
    """81 square layers (112 x 112 at 10^7 edges): 3 x 3 neighbours, and a skip over one layer."""
    num_layers = 81
    side = max(2, round(math.sqrt(num_edges / (num_layers - 1) / 10)))
    size = side * side
    y, x = (axis.ravel()[:, None] for axis in np.mgrid[:side, :side])
    dy, dx = (axis.ravel() for axis in np.mgrid[-1:2, -1:2])
    near = (y + dy) * side + (x + dx) + size
    inside = (y + dy >= 0) & (y + dy < side) & (x + dx >= 0) & (x + dx < side)
    position = np.arange(size)[:, None]
    columns = np.hstack([near, position + 2 * size])
    for_all = np.ones((size, 1), dtype=bool)
    parts_at, parts_to = [], []
    for layers, kept in (
        (np.arange(num_layers - 2), np.hstack([inside, for_all])),
        (np.array([num_layers - 2]), np.hstack([inside, ~for_all])),
    ):
        base = (layers * size).astype(np.int32)[:, None]
        row = np.broadcast_to(position, kept.shape)[kept].astype(np.int32)
        parts_at.append((base + row).ravel())
        parts_to.append((base + columns[kept].astype(np.int32)).ravel())
    return Edges("", size * num_layers, np.concatenate(parts_at), np.concatenate(parts_to))


def chain(num_edges: int) -> Edges:
    """One node after the other, and a step skipped at every 1,024th, which doubles the count."""
    every = min(1024, max(4, num_edges // 8))
    num_nodes = num_edges - num_edges // every
    nodes = np.arange(num_nodes - 1, dtype=np.int32)
    skips = nodes[: num_nodes - 2 : every]
    at, to = np.concatenate([nodes, skips]), np.concatenate([nodes + 1, skips + 2])
    order = np.lexsort((to, at))
    return Edges("", num_nodes, at[order], to[order], total=2 ** len(skips))


FAMILIES: dict[str, Callable[[int], Edges]] = {
    "mlp": wide_mlp,
    "deep mlp": deep_mlp,
    "random local": random_local,
    "random long": random_long,
    "grid": grid,
}


@lru_cache(maxsize=2)
def family(name: str, num_edges: int, variant: str = "sorted") -> Edges:
    """A graph of about so many edges; `variant` is "sorted", "shuffled" or "int64"."""
    edges = replace((FAMILIES | {"chain": chain})[name](num_edges), name=name)
    if variant == "shuffled":
        return edges.shuffled()
    return edges.widened() if variant == "int64" else edges
