"""Random layers that work element by element or only move elements."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from hypothesis import strategies as st

from oracles.element_graph import Nodes
from strategies.twin import LARGEST, Draw, Twin, as_argument, divisors, layer, per_axis
from unrolled.network import Tensor


@layer()
def activation(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    y = twin.network.activation(x, "relu", name=twin.name())
    twin.add(y, twin.graph.elementwise(nodes))


@layer()
def elementwise(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    """A sum, product and so on of tensors that broadcast, skips and gates among them."""
    fitting = [other for other in twin.values if broadcasts(other[0].shape, x.shape)]
    operands = [(x, nodes), draw(st.sampled_from([*fitting, (x, nodes)]))]
    if draw(st.booleans()):
        operands.reverse()
    network = twin.network
    pairwise = st.sampled_from([network.subtract, network.divide])
    several = st.sampled_from([network.add, network.multiply, network.maximum, network.minimum])
    layer = draw(st.one_of(several, several, pairwise))
    if layer not in (network.subtract, network.divide) and draw(st.booleans()):
        operands.append((x, nodes))
    y = layer(*[tensor for tensor, _ in operands], name=twin.name())
    twin.add(y, twin.graph.elementwise(*[found for _, found in operands]))


def broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether NumPy's rules broadcast two shapes; a vector with an image has rules of its own."""
    try:
        size = prod(np.broadcast_shapes(tuple(a), tuple(b)))
    except ValueError:
        return False
    return size <= LARGEST and not (min(len(a), len(b)) == 1 and max(len(a), len(b)) >= 3)


@layer(3, 4)
def channel_gate(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    """A vector of one entry for each channel multiplies an image."""
    if x.shape[0] == x.shape[-1]:
        return
    gates = [v for v in twin.values if v[0].shape == x.shape[:1]]
    if not gates:
        gates = [(twin.network.global_pool(x), twin.graph.global_pool(nodes))]
    gate, gate_nodes = draw(st.sampled_from(gates))
    y = twin.network.multiply(x, gate, name=twin.name())
    column = gate_nodes.reshape(-1, *[1] * (len(x.shape) - 1))
    twin.add(y, twin.graph.elementwise(nodes, column))


@layer()
def parameter_sum(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    add_parameter(twin, x, nodes)


def add_parameter(twin: Twin, x: Tensor, nodes: Nodes) -> None:
    """Add a parameter of the shape of `x` to it, like a position embedding."""
    name = f"table{len(twin.values)}"
    table = twin.network.parameter(f"{name}/table", x.shape)
    y = twin.network.add(x, table, name=name)
    twin.add(y, twin.graph.elementwise(nodes, twin.graph.parameter(f"{name}/table", x.shape)))


@layer()
def concat(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axis = draw(st.integers(0, len(x.shape) - 1))
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    fitting = [
        other
        for other in twin.values
        if len(other[0].shape) == len(x.shape)
        and other[0].shape[:axis] + other[0].shape[axis + 1 :] == rest
    ]
    parts = [*draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2)), (x, nodes)]
    if sum(tensor.size for tensor, _ in parts) > LARGEST:
        return
    y = twin.network.concat([tensor for tensor, _ in parts], axis, name=twin.name())
    twin.add(y, np.concatenate([found for _, found in parts], axis))


@layer()
def slice_(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axis = draw(st.integers(0, len(x.shape) - 1))
    part = draw(st.slices(x.shape[axis]))
    if not range(x.shape[axis])[part]:
        return
    y = twin.network.slice(x, axis, part.start, part.stop, part.step, name=twin.name())
    read: Nodes = np.moveaxis(nodes, axis, 0)[part]
    twin.add(y, np.moveaxis(read, 0, axis))


@layer()
def split(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    if x.shape[-1] < 2:
        return
    cut = draw(st.integers(1, x.shape[-1] - 1))
    parts = twin.network.split(x, (cut, x.shape[-1] - cut), -1, name=twin.name())
    for tensor, found in zip(parts, np.split(nodes, [cut], -1), strict=True):
        twin.add(tensor, found)


@layer()
def select(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axis = draw(st.integers(0, len(x.shape) - 1))
    length = x.shape[axis]
    indices = draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=4))
    y = twin.network.select(x, axis, indices, name=twin.name())
    twin.add(y, np.take(nodes, np.array(indices), axis))


@layer()
def pad(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    """Padding as a layer: the new elements are nodes, computed from nothing."""
    sides = [draw(st.tuples(st.integers(0, 1), st.integers(-1, 1))) for _ in x.shape]
    shape = [n + sum(side) for n, side in zip(x.shape, sides, strict=True)]
    if min(shape) < 1 or prod(shape) > LARGEST:
        return
    y = twin.network.pad(x, sides, name=twin.name())
    found = twin.graph.fresh(shape)
    inside = tuple(
        slice(b, min(b + n, m)) for n, m, (b, _) in zip(x.shape, shape, sides, strict=True)
    )
    found[inside] = nodes[tuple(slice(i.stop - i.start) for i in inside)]
    twin.add(y, found)


@layer(2, 3, 4)
def upsample(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    factors = per_axis(draw, len(x.shape) - 1, 1, 2)
    if x.size * prod(factors) > LARGEST:
        return
    y = twin.network.upsample(x, as_argument(draw, factors), name=twin.name())
    for axis, factor in enumerate(factors, 1):
        nodes = np.repeat(nodes, factor, axis)
    twin.add(y, nodes)


@layer()
def reshape(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    shape = []
    rest = x.size
    for _ in range(draw(st.integers(0, 3))):
        shape.append(draw(st.sampled_from(divisors(rest))))
        rest //= shape[-1]
    shape.insert(draw(st.integers(0, len(shape))), -1)
    y = twin.network.reshape(x, shape, name=twin.name())
    twin.add(y, nodes.reshape(shape))


@layer()
def flatten(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    twin.add(twin.network.flatten(x, name=twin.name()), nodes.ravel())


@layer()
def transpose(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axes = draw(st.none() | st.permutations(range(len(x.shape))))
    y = twin.network.transpose(x, axes, name=twin.name())
    twin.add(y, nodes.transpose(axes))
