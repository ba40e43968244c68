"""Which stored integers of an ONNX graph are quantised weights, by what is done with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unrolled.importers.onnx.reader import is_float
from unrolled.importers.onnx.table import QUANTISED_INPUTS

__all__ = ["quantised_weights"]

MOVING = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that leave the elements of their first input as they are."""


def quantised_weights(graph: Any) -> dict[str, bool]:
    """The names of stored integers that are weights, and whether their scale comes as a product.

    A weight is what a quantised operator reads in the place of one, and what is cast to floating
    point and multiplied by a stored scale, a zero point perhaps subtracted before.
    """
    nodes = list(_all_nodes(graph))
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    floats = {tensor.name for tensor in graph.initializer if is_float(tensor.data_type)}
    found = {}
    for tensor in graph.initializer:
        if not is_float(tensor.data_type):
            kinds = set(_kinds(tensor.name, readers, floats))
            if kinds:
                found[tensor.name] = kinds == {"written out"}
    return found


def _kinds(name: str, readers: Mapping[str, list[Any]], floats: set[str]) -> Iterator[str]:
    """How stored integers are dequantised, wherever they are moved to first."""
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop()
        for node in readers.get(one, []):
            if any(one == node.input[at] for at in _places(node)):
                yield "operator"
            elif node.op_type == "Cast" and _is_scaled(node.output, readers, floats):
                yield "written out"
            elif node.op_type in MOVING and node.input[0] == one:
                moved = set(node.output) - seen
                seen |= moved
                waiting += moved


def _places(node: Any) -> list[int]:
    """The inputs at which an operator reads stored integers as a weight."""
    return [at for at in QUANTISED_INPUTS.get(node.op_type, ()) if at < len(node.input)]


def _is_scaled(names: Any, readers: Mapping[str, list[Any]], floats: set[str]) -> bool:
    """Whether integers that were cast are multiplied by a stored tensor and nothing else."""
    following = [node for name in names for node in readers.get(name, [])]
    if following and all(node.op_type == "Sub" and len(node.output) == 1 for node in following):
        following = [one for node in following for one in readers.get(node.output[0], [])]
    scaled = [node.op_type == "Mul" and not floats.isdisjoint(node.input) for node in following]
    return bool(scaled) and all(scaled)


def _all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of all graphs in it."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs
