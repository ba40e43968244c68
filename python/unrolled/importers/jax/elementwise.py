"""Rules for JAX primitives that work element by element, and for reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from unrolled.importers.jax.lazy import Item, elementwise
from unrolled.importers.jax.table import TABLE, refused
from unrolled.importers.tracing.functions import NAMED, ElementFunction
from unrolled.importers.tracing.values import Array, Constant, Operand, Value

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.tracer import Tracer

rule = TABLE.rule

FUNCTIONS = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "bessel_i0e", "bessel_i1e", "clz"),
    *("conj", "cos", "cosh", "digamma", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1"),
    *("imag", "is_finite", "lgamma", "log", "log1p", "logistic", "not", "population_count"),
    *("real", "sign", "sin", "sinh", "tan", "tanh"),
)
"""Primitives that are functions of one tensor."""

POWERS = (
    *("abs", "cbrt", "ceil", "floor", "round", "sqrt", "square"),
    *("convert_element_type", "copy", "copy_p", "reduce_precision", "stop_gradient", "name"),
    *("sharding_constraint", "layout_constraint", "mesh_cast", "reshard", "pvary"),
)
"""Functions of one tensor that turn a reciprocal into a reciprocal, or that only change a type."""

GATES = (
    *("atan2", "complex", "eq", "eq_to", "ge", "gt", "igamma", "igammac", "le", "le_to"),
    *(
        "lt",
        "lt_to",
        "mulhi",
        "ne",
        "nextafter",
        "polygamma",
        "regularized_incomplete_beta",
        "rem",
    ),
    *("shift_left", "shift_right_arithmetic", "shift_right_logical", "xor", "zeta"),
)
"""Functions of several tensors. Applied to functions of one tensor they are one function of it."""


KNOWN: dict[str, ElementFunction] = {
    "abs": np.abs,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "cbrt": np.cbrt,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": NAMED["erf(1)"],
    "exp": np.exp,
    "exp2": np.exp2,
    "erfc": lambda x: 1.0 - NAMED["erf(1)"](x),
    "expm1": np.expm1,
    "floor": np.floor,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": NAMED["sigmoid"],
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
    **dict.fromkeys(
        [
            *("convert_element_type", "copy", "copy_p", "reduce_precision", "stop_gradient"),
            *("name", "sharding_constraint", "layout_constraint", "mesh_cast", "reshard"),
            "pvary",
        ],
        NAMED["identity"],
    ),
    "is_finite": np.isfinite,
    "not": np.invert,
    "round": np.round,
}
"""What primitives compute from single elements, as far as it is known."""


COMPARISONS: dict[str, Callable[..., Array]] = {
    "atan2": np.arctan2,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "ne": np.not_equal,
}
"""What some of the functions of several tensors compute."""


EXTREMES: dict[str, Callable[..., Array]] = {"max": np.maximum, "min": np.minimum}


def gate(
    tracer: Tracer, *operands: Operand, compute: Callable[..., Array] | None = None
) -> Operand:
    """Any function of its operands, one function if all are functions of one tensor."""
    return tracer.function(*operands, compute=compute)


def applied(tracer: Tracer, node: Equation, function: Callable[..., Operand]) -> Item:
    """A function of the operands of an equation before broadcasting."""
    return elementwise(tracer, node.items, node.shapes[0], function)


@rule(*FUNCTIONS, *GATES)
def function(tracer: Tracer, node: Equation) -> Item:
    known = KNOWN.get(node.operator)
    if known is not None:
        return applied(tracer, node, lambda x: _pointwise(tracer, x, known, node.operator))
    compute = COMPARISONS.get(node.operator)
    return applied(tracer, node, lambda *given: gate(tracer, *given, compute=compute))


def _pointwise(
    tracer: Tracer,
    x: Operand,
    function: ElementFunction | None,
    name: str,
    *,
    power: bool = False,
) -> Operand:
    if isinstance(x, Constant):
        return tracer.pointwise(x)
    return tracer.pointwise(x, function, power=power, name=name)


@rule(*POWERS)
def kept(tracer: Tracer, node: Equation) -> Item:
    signless = node.operator in ("abs", "square")

    def power(x: Operand) -> Operand:
        is_power = isinstance(x, Value) and not (signless and x.sign == "-")
        return _pointwise(tracer, x, KNOWN.get(node.operator), node.operator, power=is_power)

    return applied(tracer, node, power)


@rule("optimization_barrier", "device_put")
def identity(_: Tracer, node: Equation) -> list[Item]:
    return node.items


@rule("bitcast_convert_type")
def same_bits(tracer: Tracer, node: Equation) -> Item:
    if node.items[0].shape != node.shapes[0]:
        raise refused("to a type of another width")
    return function(tracer, node)


@rule("and", "or")
def decided(tracer: Tracer, node: Equation) -> Item:
    return applied(tracer, node, tracer.both if node.operator == "and" else tracer.either)


@rule("neg")
def negative(tracer: Tracer, node: Equation) -> Item:
    return applied(tracer, node, tracer.negative)


@rule("rsqrt")
def reciprocal_root(tracer: Tracer, node: Equation) -> Item:
    def root(x: Operand) -> Operand:
        return tracer.reciprocal(_pointwise(tracer, x, np.sqrt, "sqrt", power=True))

    return applied(tracer, node, root)


@rule("integer_pow")
def integer_power(tracer: Tracer, node: Equation) -> Item:
    exponent = int(node.params["y"])

    def power(x: Operand) -> Operand:
        def raised(array: Array) -> Array:
            return np.asarray(array ** abs(exponent))

        y = _pointwise(tracer, x, raised, node.operator, power=isinstance(x, Value))
        return tracer.reciprocal(y) if exponent < 0 else y

    return applied(tracer, node, power)


@rule("pow")
def power(tracer: Tracer, node: Equation) -> Item:
    def raised(base: Operand, exponent: Operand) -> Operand:
        known = exponent.array if isinstance(exponent, Constant) else None
        if isinstance(base, Constant) or known is None:
            return gate(tracer, base, exponent)
        if np.all(known < 0):
            return tracer.reciprocal(base)
        number = exponent.only_number() if isinstance(exponent, Constant) else None
        function = None if number is None else partial(_raised, number)
        return tracer.pointwise(base, function, power=bool(np.all(known > 0)))

    return applied(tracer, node, raised)


def _raised(exponent: float, base: Array) -> Array:
    return np.asarray(np.power(base, exponent))


@rule("add", "add_any")
def add(tracer: Tracer, node: Equation) -> Item:
    return applied(tracer, node, tracer.add)


@rule("sub")
def subtract(tracer: Tracer, node: Equation) -> Item:
    return applied(
        tracer, node, lambda *given: tracer.subtract(*tracer.dequantised(given, "zero point"))
    )


@rule("mul")
def multiply(tracer: Tracer, node: Equation) -> Item:
    return applied(
        tracer, node, lambda *given: tracer.multiply(*tracer.dequantised(given, "scale"))
    )


@rule("div")
def divide(tracer: Tracer, node: Equation) -> Item:
    return applied(tracer, node, lambda *given: tracer.divide(*tracer.dequantised(given, "scale")))


@rule("max", "min", "clamp")
def extreme(tracer: Tracer, node: Equation) -> Item:
    def larger(*operands: Operand) -> Operand:
        values = [x for x in operands if isinstance(x, Value)]
        if len(values) > 1:
            return tracer.combine(*operands, compute=EXTREMES.get(node.operator))
        clip = _clipping(node.operator, operands)
        return tracer.pointwise(values[0], clip, power=True, name=node.operator)

    return applied(tracer, node, larger)


def _clipping(operator: str, operands: Sequence[Operand]) -> ElementFunction | None:
    """The function of an extreme of one tensor and of single numbers."""
    found = [x.only_number() for x in operands if isinstance(x, Constant)]
    bounds = [number for number in found if number is not None]
    if not bounds or len(bounds) < len(found):
        return None
    if operator == "clamp":
        low, high = bounds[0], bounds[-1]
        return lambda x: np.clip(x, low, high)
    bound = bounds[0]
    return (
        (lambda x: np.maximum(x, bound)) if operator == "max" else (lambda x: np.minimum(x, bound))
    )


@rule("select_n")
def select(tracer: Tracer, node: Equation) -> Item:
    which, *cases = node.items
    if not isinstance(which, Constant) or which.array is None:

        def chosen(which: Operand, *cases: Operand) -> Operand:
            if len(cases) == 2:
                return tracer.where(which, cases[1], cases[0])
            return gate(tracer, which, *cases)

        return applied(tracer, node, chosen)
    # Along axes that were broadcast, one element stands for all.
    own = [slice(1) if stride == 0 else slice(None) for stride in which.array.strides]
    numbers = which.array[tuple(own)]
    first = int(numbers.min())
    if first == int(numbers.max()):
        return applied(tracer, node, lambda *given: given[1 + first])
    if len(cases) == 2 and any(isinstance(case, Constant) for case in cases):
        return applied(tracer, node, lambda which, *given: tracer.where(which, given[1], given[0]))
    others = [case for case in cases if isinstance(case, Constant)]
    if len(others) == len(cases) - 1 and not all(_is_zero(case) for case in others):
        return applied(tracer, node, lambda *given: gate(tracer, *given))
    return tracer.choose(which.array, node.operands[1:])


def _is_zero(constant: Constant) -> bool:
    array = constant.array
    return array is not None and not array.flat[0] and not np.any(array)


@rule(
    *("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod"),
    *("reduce_sum", "reduce_xor"),
)
def reduce(tracer: Tracer, node: Equation) -> Operand:
    reduction = {"reduce_max": "max", "reduce_sum": "sum"}.get(node.operator, "")
    axes = node.params["axes"]
    return tracer.reduce(node.operands[0], axes, keepdims=False, reduction=reduction)


@rule("reduce")
def reduce_by_function(tracer: Tracer, node: Equation) -> Operand:
    if len(node.shapes) > 1 or not isinstance(node.things[1], Constant):
        raise refused("of several tensors at once, or from an initial value that is computed")
    return tracer.reduce(node.operands[0], node.params["dimensions"], keepdims=False)
