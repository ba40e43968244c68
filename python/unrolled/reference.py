"""Counting contexts the slow way, to learn from and to test against.

A network is expanded into an explicit graph, a dictionary with one node for every element of every
tensor, and contexts are counted in it with Python integers:

    C(v) = [v is an output] + sum of multiplicity(v, u) * C(u) over the edges v -> u

This module shares nothing with the counting core: the relations of a link are read as what they
are, sets of index pairs. Time and memory grow with the number of edges, so keep networks small.

Source: A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
training", Mach. Learn.: Sci. Technol. 2023, doi 10.1088/2632-2153/acc713.
"""

from __future__ import annotations

import graphlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled._support.hints import described
from unrolled.errors import CycleError, InvalidArgumentError, NothingToCountError
from unrolled.network.network import Network

__all__ = ["Graph", "Index", "Node", "contexts", "count", "expand", "multiplicity"]

Index: TypeAlias = tuple[int, ...]
Node: TypeAlias = tuple[str, Index]
"""A tensor's name and the index of one of its elements."""
Graph: TypeAlias = dict[Node, dict[Node, int]]
"""The successors of every node, with the number of parallel edges to each."""

AnyNode = TypeVar("AnyNode", bound=Hashable)


def count(network: Network) -> dict[str, npt.NDArray[np.object_]]:
    """Contexts of every element of every parameter.

    Parameters
    ----------
    network : Network
        A small one.

    Returns
    -------
    dict of str to array
        For every parameter an array of Python integers, of the parameter's shape.

    Raises
    ------
    InvalidArgumentError
        Something else than a network.
    CycleError
        The links form a cycle.
    NothingToCountError
        The network has no parameter.

    Examples
    --------
    A kernel of two taps slides over three positions, then one unit reads both results. A tap has
    a context for each position it is used at:

    >>> from unrolled import Network, reference
    >>> net = Network()
    >>> x = net.conv(net.input((1, 3)), 1, 2, padding="valid", use_bias=False, name="conv")
    >>> net.output(net.dense(net.flatten(x), 1, name="dense"))
    >>> counts = reference.count(net)
    >>> counts["conv/kernel"].tolist(), counts["dense/kernel"].tolist()
    ([[[2, 2]]], [[1], [1]])
    """
    if not isinstance(network, Network):
        raise InvalidArgumentError(f"expected a Network, got {described(network)}")
    if not network.parameters:
        raise NothingToCountError(f"network '{network.name}' has no parameter to count")
    outputs = [
        (tensor.name, index) for tensor in network.outputs for index in _indices(tensor.shape)
    ]
    counts = contexts(expand(network), outputs)
    result = {}
    for tensor in network.parameters:
        result[tensor.name] = np.empty(tensor.shape, dtype=object)
        for index in _indices(tensor.shape):
            result[tensor.name][index] = counts[tensor.name, index]
    return result


def contexts(
    graph: Mapping[AnyNode, Mapping[AnyNode, int]], outputs: Iterable[AnyNode]
) -> dict[AnyNode, int]:
    """Count the paths from every node to an output, an output itself being one.

    Parameters
    ----------
    graph : mapping
        For every node its successors, each with the number of parallel edges to it.
    outputs : iterable of nodes
        They may have successors too.

    Returns
    -------
    dict of node to int

    Raises
    ------
    CycleError
        The message shows a cycle.

    Examples
    --------
    Two ways lead from a to d, one of them over a double edge:

    >>> from unrolled import reference
    >>> graph = {"a": {"b": 1, "c": 2}, "b": {"d": 1}, "c": {"d": 1}, "d": {}}
    >>> reference.contexts(graph, ["d"])
    {'d': 1, 'b': 1, 'c': 1, 'a': 3}
    """
    ends = set(outputs)
    counts: dict[AnyNode, int] = {}
    # graphlib yields what a node depends on before the node: here its successors.
    try:
        for node in graphlib.TopologicalSorter(graph).static_order():
            counts[node] = int(node in ends)
            for successor, edges in graph.get(node, {}).items():
                counts[node] += edges * counts[successor]
    except graphlib.CycleError as error:
        cycle = " -> ".join(str(node) for node in reversed(error.args[1]))
        raise CycleError(f"the graph has a cycle: {cycle}; it must be acyclic") from None
    return counts


def expand(network: Network) -> Graph:
    """The graph of a network, element by element.

    Parameters
    ----------
    network : Network
        A small one.

    Returns
    -------
    dict
        For every node ``(tensor name, index)`` its successors with the number of parallel edges.

    Examples
    --------
    >>> from unrolled import Network, reference
    >>> net = Network()
    >>> y = net.max_pool(net.input((1, 3), "x"), 2, stride=1, name="y")
    >>> for node, successors in reference.expand(net).items():
    ...     print(node, "->", list(successors))
    ('x', (0, 0)) -> [('y', (0, 0))]
    ('x', (0, 1)) -> [('y', (0, 0)), ('y', (0, 1))]
    ('x', (0, 2)) -> [('y', (0, 1))]
    ('y', (0, 0)) -> []
    ('y', (0, 1)) -> []
    """
    graph: Graph = {
        (tensor.name, index): {} for tensor in network.tensors for index in _indices(tensor.shape)
    }
    for source, target, relations in network.links:
        for i, o, edges in _edges(relations, source.shape, target.shape):
            successors = graph[source.name, i]
            successors[target.name, o] = successors.get((target.name, o), 0) + edges
    return graph


def multiplicity(relation: Relation, i: int, o: int, source_length: int, target_length: int) -> int:
    """How many edges lead from index `i` of the source axis to index `o` of the target axis.

    This is the definition of every axis relation. For a reshape, `i` and `o` are positions in
    row-major order and the lengths are products; the length of an axis that is missing is 1.

    Raises
    ------
    InvalidArgumentError
        A relation of a kind that has no definition here.

    Examples
    --------
    >>> from unrolled import Relation, reference
    >>> window = Relation.window(0, 0, size=3, stride=2, padding=1)
    >>> [[reference.multiplicity(window, i, o, 5, 3) for i in range(5)] for o in range(3)]
    [[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]]
    """
    a: dict[str, Any] = relation.arguments

    def position(stop: int, tap: int) -> int:
        """Where a tap of the window is when the window is at one of its stops."""
        return int(stop * a["stride"] - a["padding"] + tap * a["dilation"])

    match relation.kind:
        case "sum" | "each" | "all":
            return 1
        case "same" | "reshape":
            return int(i == o)
        case "window":
            return int(any(position(o, tap) == i for tap in range(a["size"])))
        case "transposed_window":
            return int(any(position(i, tap) == o for tap in range(a["size"])))
        case "taps":
            return int(0 <= position(o, i) < a["extent"])
        case "transposed_taps":
            return int(any(position(stop, i) == o for stop in range(a["extent"])))
        case "blocks":
            groups = a["groups"]
            return int(i // (source_length // groups) == o // (target_length // groups))
        case "slice":
            return int(i == a["start"] + a["step"] * o)
        case "select":
            return int(i == a["indices"][o])
        case "sparse":
            row = range(a["offsets"][o], a["offsets"][o + 1])
            return sum(int(a["multiplicities"][at]) for at in row if a["indices"][at] == i)
    raise InvalidArgumentError(f"no definition of the relation '{relation.kind}'")


def _edges(
    relations: Sequence[Relation], source: Index, target: Index
) -> Iterator[tuple[Index, Index, int]]:
    """Index pairs and multiplicities of a link: one choice from each of its relations."""
    for choice in product(*[_axis_edges(relation, source, target) for relation in relations]):
        i, o = [0] * len(source), [0] * len(target)
        for relation, (inner, outer, _) in zip(relations, choice, strict=True):
            for axis, at in zip(relation.source_axes, inner, strict=True):
                i[axis] = at
            for axis, at in zip(relation.target_axes, outer, strict=True):
                o[axis] = at
        yield tuple(i), tuple(o), prod(edges for _, _, edges in choice)


def _axis_edges(relation: Relation, source: Index, target: Index) -> list[tuple[Index, Index, int]]:
    """The same for one relation, with indices along its own axes only."""
    inner = list(_indices([source[axis] for axis in relation.source_axes]))
    outer = list(_indices([target[axis] for axis in relation.target_axes]))
    return [
        (i, o, edges)
        for at_i, i in enumerate(inner)
        for at_o, o in enumerate(outer)
        if (edges := multiplicity(relation, at_i, at_o, len(inner), len(outer)))
    ]


def _indices(shape: Sequence[int]) -> Iterator[Index]:
    """All indices of a tensor in row-major order."""
    return product(*[range(length) for length in shape])
