"""Which stored tensors of an ONNX graph are only ever part of a mask.

Exporters store the ones of a triangle, and numbers that masks are made of, like weights. A stored
tensor is no weight if all that is made of it is a condition that is known beforehand and chooses
between tensors, or is multiplied with a number so low that it puts scores out, or is chosen beside
such a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from unrolled.importers.onnx.reader import is_float
from unrolled.importers.tracing.masking import LOW

__all__ = ["parts_of_masks"]

COMPARISONS = {
    *("And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not"),
    *("Or", "Xor"),
}
"""Operators whose result is a condition, which is part of a mask if all that it does is choose."""

CARRYING = {
    *("Add", "Cast", "Concat", "Expand", "Flatten", "Identity", "Max", "Min", "Mul", "Neg"),
    *("Reshape", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Trilu", "Unsqueeze"),
}
"""Operators whose result is part of a mask if all that is made of it is."""

MASKED = {"Attention": 3}
"""Inputs of operators that are masks."""

BOOL = 9
"""The type of conditions."""

MOST_ROUNDS = 8
"""In which tensors are found to be something else."""


def parts_of_masks(graph: Any, stored: Iterable[str], numbers: Mapping[str, float]) -> set[str]:
    """The stored tensors that are only ever part of a mask.

    Parameters
    ----------
    graph : onnx.GraphProto
    stored : iterable of str
        Names of stored floating-point tensors.
    numbers : dict of str to float
        The value of those that hold a single number.
    """
    candidates = set(stored)
    others = {value.name for value in graph.output}
    for node in graph.node:
        for attribute in node.attribute:
            # What a subgraph does with names from outside is not followed.
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                others.update(*[one.input for one in inner.node])
    for node in reversed(graph.node):
        if node.op_type in COMPARISONS and others.intersection(node.output):
            others.update(node.input)  # A condition of conditions that is wanted for itself.
    for _ in range(MOST_ROUNDS):
        if not candidates:
            return candidates
        kept = _only_in_masks(graph, candidates, others, numbers)
        if kept == candidates:
            return kept
        candidates = kept
    return set()


def _only_in_masks(
    graph: Any, candidates: set[str], others: set[str], numbers: Mapping[str, float]
) -> set[str]:
    """The candidates that are only part of masks if the other ones are constants, too."""
    fixed = _known_beforehand(graph, candidates)
    uses: dict[str, bool] = {}
    flags: set[str] = set()
    for node in graph.node:
        if node.op_type in COMPARISONS or _casts_to_conditions(node):
            flags.update(node.output)
    for node in reversed(graph.node):
        is_fixed = all(name in fixed for name in node.input)
        is_condition = node.op_type in COMPARISONS or _casts_to_conditions(node)
        of_result = [uses.get(name, False) and name not in others for name in node.output if name]
        is_carried = bool(of_result) and all(of_result)
        for position, name in enumerate(node.input):
            given = [numbers.get(other, 0.0) for other in node.input if other != name]
            is_low = min(given, default=0.0) <= LOW
            if is_condition:
                is_part = is_fixed and is_carried
            elif node.op_type == "Mul" and is_low:
                is_part = True
            elif node.op_type == "Where":
                is_part = name in fixed if not position else _is_zero(numbers, name) and is_low
            elif node.op_type in MASKED:
                is_part = position == MASKED[node.op_type] and name in fixed & flags
            else:
                is_part = node.op_type in CARRYING and is_carried
            uses[name] = uses.get(name, True) and is_part
    return {name for name in candidates if uses.get(name, False) and name not in others}


def _known_beforehand(graph: Any, candidates: set[str]) -> set[str]:
    """Names that depend on candidates and on constants alone."""
    inputs = {value.name for value in graph.input}
    known = {"", *candidates}
    for tensor in graph.initializer:
        if not is_float(tensor.data_type) and tensor.name not in inputs:
            known.add(tensor.name)
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or all(name in known for name in node.input):
            known.update(node.output)
    return known


def _is_zero(numbers: Mapping[str, float], name: str) -> bool:
    return numbers.get(name, 1.0) == 0.0


def _casts_to_conditions(node: Any) -> bool:
    return node.op_type == "Cast" and any(
        attribute.name == "to" and attribute.i == BOOL for attribute in node.attribute
    )
