"""ONNX control flow: branches chosen beforehand, loops of a known number of steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value

__all__: list[str] = []

rule = TABLE.rule

MOST_STEPS = 10_000


@rule("If")
def branch(tracer: Tracer, node: Node) -> list[Operand]:
    condition = node.optional(0)
    if not isinstance(condition, Constant) or condition.array is None:
        raise UnsupportedOperatorError("a condition known only at run time")
    chosen = bool(condition.array.reshape(-1)[0]) if condition.size else False
    return node.run_body(node.graph("then_branch" if chosen else "else_branch"), [])


@rule("Loop")
def loop(tracer: Tracer, node: Node) -> list[Operand]:
    body = node.graph("body")
    limit, condition = node.optional(0), node.optional(1)
    if isinstance(limit, Constant) and limit.array is not None and limit.size == 1:
        trips = int(limit.array.reshape(-1)[0])
    elif limit is None:
        trips = MOST_STEPS + 1  # The loop runs as long as its condition holds.
    else:
        raise UnsupportedOperatorError("a number of steps known only at run time")
    state: list[Any] = [node.anything(position) for position in range(2, len(node.inputs))]
    scanned: list[list[Operand]] = []
    step = 0
    while step < trips and _holds(condition):
        if step >= MOST_STEPS:
            raise InvalidModelError(f"node '{node.name}': more than {MOST_STEPS:,} steps")
        given = Constant.of(np.array(step, np.int64))
        found = node.run_body(body, [given, condition or Constant.of(np.array(True)), *state])
        if len(found) < len(state) + 1:
            raise InvalidModelError(
                f"node '{node.name}': its body computes {len(found)} outputs for a condition and "
                f"{len(state)} that go on"
            )
        condition = found[0]
        state, more = found[1 : len(state) + 1], found[len(state) + 1 :]
        scanned = scanned or [[] for _ in more]
        for parts, part in zip(scanned, more, strict=True):
            if not isinstance(part, (Value, Constant)):
                raise InvalidModelError(f"node '{node.name}': sequences cannot be stacked")
            parts.append(part)
        step += 1
    if step == 0 and len(node.outputs) > len(state):
        raise InvalidModelError(f"node '{node.name}': a loop of no steps has nothing to stack")
    return [*state, *[tracer.stack(parts) for parts in scanned]]


@rule("Scan")
def scan(tracer: Tracer, node: Node) -> list[Operand]:
    if node.opset < 9:
        raise UnsupportedOperatorError("version 8")
    body, number = node.graph("body"), node.attribute("num_scan_inputs", 0)
    operands = [node.input(position) for position in range(len(node.inputs))]
    if not 1 <= number <= len(operands):
        raise InvalidModelError(f"node '{node.name}': {number} inputs to scan of {len(operands)}")
    state, sequences = operands[: len(operands) - number], operands[len(operands) - number :]
    axes = _one_each(node, "scan_input_axes", number)
    axes = [checked_axes(node, [a], x.rank)[0] for a, x in zip(axes, sequences, strict=True)]
    backwards = _one_each(node, "scan_input_directions", number)
    lengths = {x.shape[axis] for x, axis in zip(sequences, axes, strict=True)}
    if len(lengths) != 1 or max(lengths) > MOST_STEPS:
        raise InvalidModelError(f"node '{node.name}': sequences of {sorted(lengths)} steps")
    length = lengths.pop()
    scanned: list[list[Operand]] = []
    for step in range(length):
        parts = []
        for x, axis, back in zip(sequences, axes, backwards, strict=True):
            part = tracer.slice(x, axis, length - 1 - step if back else step, 1)
            parts.append(tracer.squeeze(part, [axis]))
        found = node.run_body(body, [*state, *parts])
        if len(found) < len(state):
            raise InvalidModelError(
                f"node '{node.name}': its body computes {len(found)} of {len(state)} states"
            )
        state, more = found[: len(state)], found[len(state) :]
        scanned = scanned or [[] for _ in more]
        for sequence, value in zip(scanned, more, strict=True):
            sequence.append(value)
    out_axes = _one_each(node, "scan_output_axes", len(scanned))
    out_backwards = _one_each(node, "scan_output_directions", len(scanned))
    results = [
        tracer.stack(sequence[::-1] if back else sequence, axis)
        for sequence, axis, back in zip(scanned, out_axes, out_backwards, strict=True)
    ]
    return [*state, *results]


def _one_each(node: Node, name: str, number: int) -> list[int]:
    """An attribute with a number for each sequence, 0 if it is left out."""
    given: list[int] = node.attribute(name, [0] * number)
    if len(given) != number:
        raise InvalidModelError(
            f"node '{node.name}': {name} has {len(given)} numbers for {number} sequences"
        )
    return given


def _holds(condition: Operand | None) -> bool:
    if condition is None:
        return True
    if not isinstance(condition, Constant) or condition.array is None or condition.size != 1:
        raise UnsupportedOperatorError("a condition known only at run time")
    return bool(condition.array.reshape(-1)[0])
