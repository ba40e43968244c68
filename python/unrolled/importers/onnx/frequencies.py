"""Which stored tensors of an ONNX graph are frequencies of positions.

Rotary and sinusoidal embeddings multiply positions, which are integers, with frequencies, and take
sines and cosines of the products. Frameworks keep the frequencies in buffers that are no part of
the state dict; an exporter stores them like weights. A stored tensor is no weight if that is all
that is made of it. Angles that are learnt are weights: nothing multiplies them by positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unrolled.importers.onnx.reader import is_float

__all__ = ["frequencies_of_positions"]

MOVING = {
    *("Cast", "CastLike", "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape"),
    *("Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
"""Operators whose result is made of their first input, or of all inputs that are joined."""

PRODUCTS = {"Div", "Einsum", "MatMul", "Mul"}
WAVES = {"Cos", "Sin"}


def frequencies_of_positions(graph: Any, stored: Iterable[str]) -> set[str]:
    """The stored tensors that are only multiplied with positions, for sines and cosines.

    Parameters
    ----------
    graph : onnx.GraphProto
    stored : iterable of str
        Names of stored floating-point tensors.
    """
    if not any(node.op_type in WAVES for node in graph.node):
        return set()
    readers: dict[str, list[Any]] = {}
    wanted = {value.name for value in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
        for attribute in node.attribute:
            # What a subgraph does with names from outside is not followed.
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                wanted.update(*[one.input for one in inner.node])
    positions = _made_of_integers(graph)
    return {name for name in stored if _turns_into_waves(name, readers, wanted, positions)}


def _turns_into_waves(
    name: str, readers: dict[str, list[Any]], wanted: set[str], positions: set[str]
) -> bool:
    """Whether all paths from a stored tensor lead through a product with positions to a wave."""
    found = False
    seen = set()
    waiting = [(name, False)]
    while waiting:
        current, is_phase = state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        if current in wanted or current not in readers:
            return False
        for node in readers[current]:
            if node.op_type in WAVES and is_phase:
                found = True
            elif node.op_type in MOVING:
                waiting += [(output, is_phase) for output in node.output]
            elif node.op_type in PRODUCTS and not is_phase:
                others = [one for one in node.input if one != current]
                if not others or not positions.issuperset(others):
                    return False
                waiting += [(output, True) for output in node.output]
            else:
                return False
    return found


def _made_of_integers(graph: Any) -> set[str]:
    """Names of what depends on integers: inputs, stored ones, ranges and shapes.

    Floating-point constants may scale them, but are no positions themselves.
    """
    positions = {one.name for one in graph.input if not is_float(one.type.tensor_type.elem_type)}
    known = {""}
    for tensor in graph.initializer:
        if is_float(tensor.data_type):
            positions.discard(tensor.name)
        else:
            positions.add(tensor.name)
    for node in graph.node:
        if node.op_type in ("Range", "Shape", "Size") or _is_integer_constant(node):
            positions.update(node.output)
            continue
        # The other inputs of what moves a tensor only say how, unless they are parts of the result.
        values = node.input if node.op_type not in MOVING - {"Concat"} else node.input[:1]
        if not (positions | known).issuperset(values):
            continue
        (positions if positions.intersection(values) else known).update(node.output)
    return positions


def _is_integer_constant(node: Any) -> bool:
    if node.op_type != "Constant":
        return False
    return any(
        one.name in ("value_int", "value_ints")
        or (one.name == "value" and not is_float(one.t.data_type))
        for one in node.attribute
    )
