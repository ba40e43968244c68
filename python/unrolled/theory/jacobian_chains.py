"""The best order to multiply the Jacobians of the parts of a network.

A network is taken apart into pieces one after the other, wherever all paths lead through one
tensor, and each piece into branches side by side, and so on. Over pieces in a row the order of
multiplication is a matrix chain; over branches Jacobians add up, which costs no multiplication.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bracket", "Edge", "Factor", "NotSeriesParallelError", "best_bracket", "factors_between"]

MOST_EXACT = 256
"""Factors of a chain up to which costs are compared as integers of any size."""

MOST_NAMED = 5
"""Tensors that an error names."""


@dataclass(frozen=True)
class Edge:
    """A link between two tensors.

    Attributes
    ----------
    source, target : hashable
        The tensors.
    edges : int
        Entries of its Jacobian that are not zero: multiplications for one vector.
    """

    source: Hashable
    target: Hashable
    edges: int


@dataclass(frozen=True)
class Factor:
    """One matrix of a chain.

    Attributes
    ----------
    before, after : int
        Numbers of elements of the tensors at its ends.
    edges : int
        Multiplications for its product with one vector, from either side.
    accumulation : int
        Multiplications to have it as a matrix.
    """

    before: int
    after: int
    edges: int
    accumulation: int = 0


@dataclass(frozen=True)
class Bracket:
    """The best order of a chain: its cost, and the brackets around J1, J2, ... as text."""

    cost: int
    text: str


class NotSeriesParallelError(Exception):
    """A piece of a network that is neither one after the other nor side by side."""


def best_bracket(factors: Sequence[Factor]) -> Bracket:
    """The order in which a chain of matrices is multiplied with the fewest multiplications.

    A product of two matrices that have been made costs the product of three dimensions. A factor
    that has not been made is applied to each column or row of the other: its edges times their
    number. Costs are exact; of more than 256 factors they are compared as floats, so that orders
    whose costs agree to 15 digits may be confused.
    """
    number = len(factors)
    exact = number <= MOST_EXACT
    kind: type = object if exact else float
    dims = [factors[0].before, *[factor.after for factor in factors]]
    size: npt.NDArray[Any] = np.array(dims, dtype=kind)
    edges: npt.NDArray[Any] = np.array([factor.edges for factor in factors], dtype=kind)
    cost: npt.NDArray[Any] = np.zeros((number + 1, number + 1), dtype=kind)
    split = np.zeros((number + 1, number + 1), dtype=np.int64)
    for at, factor in enumerate(factors):
        cost[at, at + 1] = factor.accumulation
    for span in range(2, number + 1):
        first = np.arange(number + 1 - span)
        last = first + span
        # The first and the last factor may be applied without having been made.
        best = cost[first + 1, last] + edges[first] * size[last]
        where = first + 1
        candidates = [(cost[first, last - 1] + edges[last - 1] * size[first], last - 1)]
        for step in range(1, span):
            middle = first + step
            product = size[first] * size[middle] * size[last]
            candidates.append((cost[first, middle] + cost[middle, last] + product, middle))
        for value, middle in candidates:
            better = value < best
            best = np.where(better, value, best)
            where = np.where(better, middle, where)
        cost[first, last] = best
        split[first, last] = where
    return Bracket(_price(factors, split), _text(split, number))


def _price(factors: Sequence[Factor], split: npt.NDArray[np.int64]) -> int:
    """The cost of the chosen order, in integers."""
    size = [factors[0].before, *[factor.after for factor in factors]]
    total = 0
    waiting = [(0, len(factors))]
    while waiting:
        first, last = waiting.pop()
        if last - first == 1:
            total += factors[first].accumulation
            continue
        middle = int(split[first, last])
        # What each way to multiply costs, with the parts that have to be made before.
        left, right = (first, middle), (middle, last)
        ways = [(size[first] * size[middle] * size[last], [left, right])]
        if middle == first + 1:
            ways.append((factors[first].edges * size[last], [right]))
        if middle == last - 1:
            ways.append((factors[middle].edges * size[first], [left]))
        saved = [
            price + sum(factors[a].accumulation for a, b in parts if b - a == 1)
            for price, parts in ways
        ]
        price, parts = ways[saved.index(min(saved))]
        total += price
        waiting += parts
    return total


def _text(split: npt.NDArray[np.int64], number: int) -> str:
    """Brackets as in ``((J3 J2) J1)``: the last factor stands first, as matrices do."""
    parts: list[str] = []
    waiting: list[tuple[int, int] | str] = [(0, number)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            parts.append(part)
            continue
        first, last = part
        if last - first == 1:
            parts.append(f"J{last}")
            continue
        middle = int(split[first, last])
        waiting += [")", (first, middle), " ", (middle, last), "("]
    return "".join(parts)


def factors_between(
    first: Hashable,
    last: Hashable,
    edges: Sequence[Edge],
    sizes: dict[Hashable, int],
    rank: dict[Hashable, int],
) -> list[Factor]:
    """The pieces one after the other that lead from one tensor to another.

    Parameters
    ----------
    first, last : hashable
        All edges lie on paths from the first to the last.
    edges : sequence of Edge
    sizes, rank : dict
        By tensor: the number of its elements, and its place in a topological order.

    Raises
    ------
    NotSeriesParallelError
        A piece that is neither one after the other nor side by side.
    """
    cuts = _cuts(first, last, edges, rank)
    factors = []
    for before, after in pairwise(cuts):
        inside = [
            edge
            for edge in edges
            if rank[before] <= rank[edge.source] and rank[edge.target] <= rank[after]
        ]
        factors.append(_piece(before, after, inside, sizes, rank))
    return factors


def _cuts(
    first: Hashable, last: Hashable, edges: Sequence[Edge], rank: dict[Hashable, int]
) -> list[Hashable]:
    """The tensors that all paths lead through, in order: those that no edge jumps over."""
    tensors = sorted({first, last, *[edge.source for edge in edges]}, key=rank.__getitem__)
    farthest: dict[Hashable, int] = {}
    for edge in edges:
        farthest[edge.source] = max(farthest.get(edge.source, 0), rank[edge.target])
    cuts, reach = [], rank[first]
    for tensor in tensors:
        if reach <= rank[tensor]:
            cuts.append(tensor)
        reach = max(reach, farthest.get(tensor, 0))
    return cuts


def _piece(
    first: Hashable,
    last: Hashable,
    edges: Sequence[Edge],
    sizes: dict[Hashable, int],
    rank: dict[Hashable, int],
) -> Factor:
    """A piece that no single tensor divides, as one matrix."""
    number = sum(edge.edges for edge in edges)
    if len(edges) == 1:
        return Factor(sizes[first], sizes[last], number)
    branches = _branches(first, last, edges)
    if len(branches) == 1:
        inner = {str(edge.source) for edge in edges if edge.source != first}
        names = ", ".join(sorted(inner)[:MOST_NAMED])
        raise NotSeriesParallelError(
            f"between '{first}' and '{last}' branches are linked with each other (at {names})"
        )
    cost = sum(
        best_bracket(factors_between(first, last, branch, sizes, rank)).cost for branch in branches
    )
    return Factor(sizes[first], sizes[last], number, cost)


def _branches(first: Hashable, last: Hashable, edges: Sequence[Edge]) -> list[list[Edge]]:
    """Edges that are connected without the two ends belong to one branch."""
    parent: dict[Hashable, Hashable] = {}

    def root(tensor: Hashable) -> Hashable:
        parent.setdefault(tensor, tensor)
        while parent[tensor] != tensor:
            parent[tensor] = parent[parent[tensor]]
            tensor = parent[tensor]
        return tensor

    for edge in edges:
        if edge.source != first and edge.target != last:
            parent[root(edge.source)] = root(edge.target)
    branches: dict[Hashable, list[Edge]] = {}
    for position, edge in enumerate(edges):
        if edge.source == first and edge.target == last:
            key: Hashable = (position,)
        else:
            key = root(edge.target if edge.source == first else edge.source)
        branches.setdefault(key, []).append(edge)
    return list(branches.values())
