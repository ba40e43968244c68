"""Brute force: graphs of single elements, built by textbook loops instead of links.

A tensor is an array of node numbers. Layers that only move elements are the NumPy functions of
that name; all others create one node for every output element and list what it is computed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]
Pads = Sequence[tuple[int, int]]
NOTHING = -1
"""Stands where a window hangs over the edge; it is no node."""


def pads_of(
    padding: str | int | Sequence[tuple[int, int]],
    lengths: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, int]]:
    """Positions before and after every axis, by the published rule of each convention."""
    if isinstance(padding, int):
        return [(padding, padding)] * len(lengths)
    if not isinstance(padding, str):
        return list(padding)
    pads = []
    for n, k, s, d in zip(lengths, size, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if padding == "same":  # as TensorFlow's documentation puts it
            total = max(reach - (s if n % s == 0 else n % s), 0)
            pads.append((total // 2, total - total // 2))
        else:
            pads.append((reach // 2,) * 2 if padding == "symmetric" else (0, 0))
    return pads


class ElementGraph:
    """Nodes are numbers; every node comes after those it is computed from."""

    def __init__(self, semantics: str) -> None:
        self.semantics = semantics
        self.sources: list[list[int]] = []
        self.parameters: dict[str, Nodes] = {}
        self.outputs: list[int] = []
        self.places: list[int] = []
        self.layers = 0

    def node(self, sources: Iterable[Any] = ()) -> int:
        self.sources.append([int(source) for source in sources if source != NOTHING])
        self.places.append(self.layers)
        return len(self.sources) - 1

    def fresh(self, shape: Sequence[int]) -> Nodes:
        """Nodes that are computed from nothing."""
        nodes = np.empty(tuple(shape), dtype=np.int64)
        for at in np.ndindex(*shape):
            nodes[at] = self.node()
        return nodes

    def parameter(self, name: str, shape: Sequence[int]) -> Nodes:
        self.parameters[name] = self.fresh(shape)
        return self.parameters[name]

    def output(self, x: Nodes) -> None:
        self.outputs.extend(int(node) for node in x.flat)

    def contexts(self) -> list[int]:
        """Paths from every node to an output."""
        counts = [0] * len(self.sources)
        for node in self.outputs:
            counts[node] += 1
        for node in reversed(range(len(counts))):
            for source in self.sources[node]:
                counts[source] += counts[node]
        return counts

    def count(self) -> dict[str, npt.NDArray[np.object_]]:
        """Contexts of every element of every parameter."""
        table = np.array([*self.contexts(), None], dtype=object)[:-1]
        return {name: table[nodes] for name, nodes in self.parameters.items()}

    def count_weight_nodes(self) -> dict[str, int]:
        """For every parameter, its elements that have a context, once for every layer of use."""
        counts = self.contexts()
        uses = {
            (source, self.places[node])
            for node, sources in enumerate(self.sources)
            if counts[node]
            for source in sources
        }
        users = np.bincount([source for source, _ in uses], minlength=len(counts))
        return {name: int(users[nodes].sum()) for name, nodes in self.parameters.items()}

    # Layers. Each takes and returns arrays of nodes.

    def conv(
        self,
        x: Nodes,
        kernel: Nodes,
        bias: Nodes | None,
        stride: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        pads: Pads,
    ) -> Nodes:
        self.layers += 1
        padded = np.pad(x, [(0, 0), *pads], constant_values=NOTHING)
        outputs, per_group, *size = kernel.shape
        y = []
        for o in range(outputs):
            first = o // (outputs // groups) * per_group
            for corner in _corners(padded.shape[1:], size, stride, dilation):
                sources = [] if bias is None else [bias[o]]
                for i in range(per_group):
                    for tap in np.ndindex(*size):
                        at = [c + t * d for c, t, d in zip(corner, tap, dilation, strict=True)]
                        element = padded[(first + i, *at)]
                        if element != NOTHING:
                            sources += [element, kernel[(o, i, *tap)]]
                y.append(self.node(sources))
        return np.array(y).reshape(outputs, *_stops(padded.shape[1:], size, stride, dilation))

    def conv_transpose(
        self,
        x: Nodes,
        kernel: Nodes,
        bias: Nodes | None,
        stride: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        before: Sequence[int],
        lengths: Sequence[int],
    ) -> Nodes:
        """Every input element is scattered over the output."""
        self.layers += 1
        inputs, per_group, *size = kernel.shape
        shape = (per_group * groups, *lengths)
        sources: dict[tuple[int, ...], list[Any]] = {
            at: [] if bias is None else [bias[at[0]]] for at in np.ndindex(*shape)
        }
        for i, *position in np.ndindex(*x.shape):
            group = i // (inputs // groups)
            for j, *tap in np.ndindex(per_group, *size):
                to = [
                    p * s + t * d - b
                    for p, s, t, d, b in zip(position, stride, tap, dilation, before, strict=True)
                ]
                target = (group * per_group + j, *to)
                if target in sources:
                    sources[target] += [x[(i, *position)], kernel[(i, j, *tap)]]
        return np.array([self.node(found) for found in sources.values()]).reshape(shape)

    def pool(
        self,
        x: Nodes,
        size: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        pads: Pads,
    ) -> Nodes:
        self.layers += 1
        padded = np.pad(x, [(0, 0), *pads], constant_values=NOTHING)
        y = []
        for channel in padded:
            for corner in _corners(channel.shape, size, stride, dilation):
                taps = [
                    tuple(c + t * d for c, t, d in zip(corner, tap, dilation, strict=True))
                    for tap in np.ndindex(*size)
                ]
                y.append(self.node(channel[tap] for tap in taps))
        return np.array(y).reshape(len(x), *_stops(padded.shape[1:], size, stride, dilation))

    def global_pool(self, x: Nodes) -> Nodes:
        self.layers += 1
        return np.array([self.node(channel.flat) for channel in x])

    def dense(self, x: Nodes, kernel: Nodes, bias: Nodes | None) -> Nodes:
        self.layers += 1
        y = np.empty((*x.shape[:-1], kernel.shape[1]), dtype=np.int64)
        for at in np.ndindex(*y.shape):
            row, unit = x[at[:-1]], at[-1]
            sources = [*row, *kernel[:, unit]]
            y[at] = self.node(sources if bias is None else [*sources, bias[unit]])
        return y

    def matmul(self, a: Nodes, b: Nodes) -> Nodes:
        self.layers += 1
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a = np.broadcast_to(a, (*batch, *a.shape[-2:]))
        b = np.broadcast_to(b, (*batch, *b.shape[-2:]))
        y = np.empty((*batch, a.shape[-2], b.shape[-1]), dtype=np.int64)
        for *at, row, column in np.ndindex(*y.shape):
            y[(*at, row, column)] = self.node([*a[(*at, row)], *b[tuple(at)][:, column]])
        return y

    def embedding(self, indices: Nodes, table: Nodes) -> Nodes:
        self.layers += 1
        y = np.empty((*indices.shape, table.shape[1]), dtype=np.int64)
        for at in np.ndindex(*indices.shape):
            one_hot = [self.node([indices[at]]) for _ in table]
            for column in range(table.shape[1]):
                y[(*at, column)] = self.node([*one_hot, *table[:, column]])
        return y

    def elementwise(self, *xs: Nodes) -> Nodes:
        """Any function of one or several tensors, after broadcasting."""
        self.layers += 1
        operands = np.broadcast_arrays(*xs)
        y = np.empty(operands[0].shape, dtype=np.int64)
        for at in np.ndindex(*y.shape):
            y[at] = self.node(operand[at] for operand in operands)
        return y

    def normalise(self, x: Nodes, groups: Nodes, weights: Sequence[Nodes]) -> Nodes:
        """`groups` numbers the group of each element; `weights` broadcast against `x`."""
        self.layers += 1
        y = np.empty(x.shape, dtype=np.int64)
        aligned = [np.broadcast_to(weight, x.shape) for weight in weights]
        for at in np.ndindex(*x.shape):
            group = x[groups == groups[at]] if self.semantics == "dependency" else [x[at]]
            y[at] = self.node([*group, *[weight[at] for weight in aligned]])
        return y

    def softmax(self, x: Nodes, axis: int) -> Nodes:
        lines = np.moveaxis(x, axis, -1)
        groups = np.arange(lines[..., 0].size).reshape(*lines.shape[:-1], 1)
        groups = np.moveaxis(np.broadcast_to(groups, lines.shape), -1, axis)
        return self.normalise(x, groups, [])

    def attention(self, query: Nodes, key: Nodes, value: Nodes) -> Nodes:
        scores = self.matmul(query, key.swapaxes(-1, -2))
        return self.matmul(self.softmax(scores, -1), value)

    def masked_attention(self, query: Nodes, key: Nodes, value: Nodes, seen: Any) -> Nodes:
        """Attention in which a query reads the scores and values of the keys that it sees."""
        scores = self.matmul(query, key.swapaxes(-1, -2))
        seen = np.broadcast_to(seen, scores.shape)
        value = np.broadcast_to(value, (*scores.shape[:-2], *value.shape[-2:]))
        y = np.empty((*scores.shape[:-1], value.shape[-1]), dtype=np.int64)
        for at in np.ndindex(*scores.shape[:-1]):
            keys = np.flatnonzero(seen[at])
            group = scores[at][keys]
            is_dependent = self.semantics == "dependency"
            weights = [self.node(group if is_dependent else [score]) for score in group]
            for column in range(value.shape[-1]):
                y[(*at, column)] = self.node([*weights, *value[at[:-1]][keys, column]])
        return y


def _stops(
    lengths: Sequence[int], size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """How many windows fit along every axis."""
    stops = []
    for n, k, s, d in zip(lengths, size, stride, dilation, strict=True):
        stops.append(sum(1 for start in range(0, n, s) if start + (k - 1) * d < n))
    return stops


def _corners(
    lengths: Sequence[int], size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterable[tuple[int, ...]]:
    """The first position of every window that fits."""
    stops = _stops(lengths, size, stride, dilation)
    return product(*[range(0, count * s, s) for count, s in zip(stops, stride, strict=True)])
