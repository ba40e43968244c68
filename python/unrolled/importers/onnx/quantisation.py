"""Which stored integers of an ONNX graph are quantised weights, by what is done with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from unrolled.importers.onnx.messages import type_name
from unrolled.importers.onnx.reader import is_float
from unrolled.importers.onnx.table import QUANTISED_INPUTS
from unrolled.importers.tracing.values import size_of

__all__ = ["MOVING", "all_nodes", "is_weight_type", "packed_shapes", "quantised_weights"]

MOVING = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that leave the elements of their first input as they are."""


SMALL = ("INT8", "UINT8", "INT4", "UINT4", "INT2", "UINT2")


def quantised_weights(graph: Any) -> dict[str, bool]:
    """The names of stored integers that are weights, and whether their scale comes as a product.

    A weight is what a quantised operator reads in the place of one. So are small integers that are
    cast to floating point, a zero point perhaps subtracted, and multiplied by a stored scale, which
    has fewer elements: a mask, say, has as many as what it is multiplied by.
    """
    integers = [tensor for tensor in graph.initializer if not is_float(tensor.data_type)]
    if not integers:
        return {}
    readers: dict[str, list[Any]] = {}
    for node in all_nodes(graph.node):
        for name in node.input:
            readers.setdefault(name, []).append(node)
    floats = {
        tensor.name: size_of(list(tensor.dims))
        for tensor in graph.initializer
        if is_float(tensor.data_type)
    }
    found = {}
    for tensor in integers:
        most = size_of(list(tensor.dims)) if _is_small(tensor.data_type) else 0
        kinds = set(_kinds(tensor.name, readers, floats, most))
        if kinds:
            found[tensor.name] = kinds == {"written out"}
    return found


def packed_shapes(graph: Any) -> dict[str, tuple[int, int]]:
    """The shapes of weights of which several numbers are stored in one byte, by their names."""
    found: dict[str, tuple[int, int]] = {}
    if not any(_is_small(tensor.data_type) for tensor in graph.initializer):
        return found
    for node in all_nodes(graph.node):
        if node.op_type == "MatMulNBits" and len(node.input) > 1:
            sizes = {one.name: int(one.i) for one in node.attribute if one.name in ("K", "N")}
            if min(sizes.get("K", 0), sizes.get("N", 0)) > 0:
                found[node.input[1]] = sizes["K"], sizes["N"]
    return found


def _kinds(
    name: str, readers: Mapping[str, list[Any]], floats: Mapping[str, int], most: int
) -> Iterator[str]:
    """How stored integers are dequantised, wherever they are moved to first.

    A scale is one of `floats`, stored tensors with their sizes, and has less than `most` elements.
    """
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop()
        for node in readers.get(one, []):
            if any(one == node.input[at] for at in _places(node)):
                yield "operator"
            elif node.op_type == "Cast" and _is_scaled(node.output, readers, floats, most):
                yield "written out"
            elif node.op_type in MOVING and node.input[0] == one:
                moved = set(node.output) - seen
                seen |= moved
                waiting += moved


def is_weight_type(data_type: int) -> bool:
    """Whether a TensorProto of this type may be a weight: floating point, or quantised."""
    return is_float(data_type) or _is_small(data_type)


@cache
def _is_small(data_type: int) -> bool:
    """Whether a TensorProto of this type holds integers of 8 bits or less."""
    return type_name(data_type) in SMALL


def _places(node: Any) -> list[int]:
    """The inputs at which an operator reads stored integers as a weight."""
    return [at for at in QUANTISED_INPUTS.get(node.op_type, ()) if at < len(node.input)]


def _is_scaled(
    names: Any, readers: Mapping[str, list[Any]], floats: Mapping[str, int], most: int
) -> bool:
    """Whether integers that were cast are multiplied by a stored tensor and nothing else."""
    following = [node for name in names for node in readers.get(name, [])]
    if following and all(node.op_type == "Sub" and len(node.output) == 1 for node in following):
        following = [one for node in following for one in readers.get(node.output[0], [])]
    scaled = [
        node.op_type == "Mul" and any(floats.get(name, most) < most for name in node.input)
        for node in following
    ]
    return bool(scaled) and all(scaled)


def all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes of a graph and those of all graphs in it."""
    waiting = [nodes]
    while waiting:
        for node in waiting.pop():
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g.node)
                waiting += [graph.node for graph in attribute.graphs]
