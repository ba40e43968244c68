"""Rules for JAX primitives that run other jaxprs: loops and branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unrolled.importers.jax.equation import MISSING, Missing, Thing
from unrolled.importers.jax.lazy import made
from unrolled.importers.jax.table import TABLE, refused
from unrolled.importers.tracing.recurrent import LONGEST_SEQUENCE
from unrolled.importers.tracing.values import Constant, Operand, Shape

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.tracer import Tracer

rule = TABLE.rule


@rule("scan")
def scan(tracer: Tracer, node: Equation) -> Sequence[Thing]:
    params = node.params
    length, carried = params["length"], params["num_carry"]
    _check_steps(length)
    jaxpr = params["jaxpr"]
    fixed = node.things[: params["num_consts"]]
    carry = node.things[len(fixed) : len(fixed) + carried]
    slices = node.things[len(fixed) + carried :]
    used, needed = node.of_steps(jaxpr, len(fixed), carried)
    in_use = needed[len(fixed) + carried :]
    rows: list[list[Thing]] = [[] for _ in node.shapes[carried:]]
    for step in range(length)[:: -1 if params["reverse"] else 1]:
        tracer.name = f"{node.name}/{step}"
        now = [
            _row(tracer, node, thing, step) if is_used else MISSING
            for thing, is_used in zip(slices, in_use, strict=True)
        ]
        results = node.inline(jaxpr, [*fixed, *carry, *now], used)
        carry = results[:carried]
        for row, result in zip(rows, results[carried:], strict=True):
            row.append(result)
    tracer.name = node.name
    shapes = node.shapes[carried:]
    stacked = [
        _stack(tracer, node, row[:: -1 if params["reverse"] else 1], shape)
        for row, shape in zip(rows, shapes, strict=True)
    ]
    return [*carry, *stacked]


def _row(tracer: Tracer, node: Equation, thing: Thing, step: int) -> Thing:
    """One step's part of what is scanned over."""
    if isinstance(thing, Missing):
        return thing
    x = made(tracer, thing)
    if isinstance(x, Constant):
        return Constant(x.shape[1:]) if x.array is None else Constant.of(x.array[step])
    return tracer.reshape(tracer.slice(x, 0, step, 1), x.shape[1:])


def _stack(tracer: Tracer, node: Equation, row: list[Thing], shape: Shape) -> Thing:
    """The results of all steps along a new first axis."""
    items = [thing for thing in row if not isinstance(thing, Missing)]
    if len(items) < len(row):
        return MISSING
    if not row:
        return Constant.of(np.zeros(shape))
    operands: list[Operand] = [made(tracer, thing) for thing in items]
    known = [x.array for x in operands if isinstance(x, Constant) and x.array is not None]
    if len(known) == len(operands):
        return Constant.of(np.stack(known))
    return tracer.concat([tracer.reshape(x, (1, *x.shape)) for x in operands], 0)


@rule("while")
def loop(tracer: Tracer, node: Equation) -> Sequence[Thing]:
    params = node.params
    of_test, of_body = params["cond_nconsts"], params["body_nconsts"]
    test, body = node.things[:of_test], node.things[of_test : of_test + of_body]
    carry = node.things[of_test + of_body :]
    used = [True] * len(carry)
    steps = 0
    while True:
        (goes_on,) = node.inline(params["cond_jaxpr"], [*test, *carry], [True])
        if isinstance(goes_on, Missing):
            return [MISSING] * len(node.shapes)
        if not isinstance(goes_on, Constant) or goes_on.array is None:
            raise refused("the number of steps is known only at run time")
        if not goes_on.array:
            return carry
        tracer.name = f"{node.name}/{steps}"
        carry = node.inline(params["body_jaxpr"], [*body, *carry], used)
        steps += 1
        _check_steps(steps)


@rule("cond")
def branch(_: Tracer, node: Equation) -> Sequence[Thing]:
    which, *things = node.things
    if not isinstance(which, Constant) or which.array is None:
        raise refused("the branch is chosen only at run time")
    branches = node.params["branches"]
    chosen = min(max(int(which.array), 0), len(branches) - 1)
    return node.inline(branches[chosen], things, node.used)


def _check_steps(steps: int) -> None:
    if steps > LONGEST_SEQUENCE:
        raise refused(f"more than {LONGEST_SEQUENCE:,} steps are too many to unroll")
