"""ONNX operators on elements at the same index, reductions, and constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.onnx.messages import dtype_of
from unrolled.importers.onnx.reader import Node, Stored, is_float
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.base import OTHER
from unrolled.importers.tracing.functions import NAMED
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value, broadcast_shapes, size_of
from unrolled.importers.tracing.values import checked_axes as axes_within

__all__: list[str] = []

rule = TABLE.rule

# Functions of one tensor. Those with a NumPy function work constants out.
POINTWISE: dict[str, Callable[[Any], Any] | None] = {
    **dict.fromkeys(["BitwiseNot", "QuantizeLinear"]),
    "Abs": np.abs,
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Cosh": np.cosh,
    "Erf": NAMED["erf(1)"],
    "HardSwish": NAMED["hard_swish"],
    "Mish": NAMED["mish"],
    "Sinh": np.sinh,
    "Softplus": NAMED["softplus"],
    "Softsign": NAMED["softsign"],
    "Tan": np.tan,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "IsInf": np.isinf,
    "IsNaN": np.isnan,
    "Log": np.log,
    "Not": np.logical_not,
    "Relu": lambda a: np.maximum(a, 0),
    "Round": np.round,
    "Sigmoid": NAMED["sigmoid"],
    "Sign": np.sign,
    "Sin": np.sin,
    "Tanh": np.tanh,
}

# Functions of several tensors that are neither sums nor products.
COMBINED: dict[str, Callable[..., Any]] = {
    "And": np.logical_and,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}

VARIADIC = ("Max", "Mean", "Min", "Sum")
"""Functions of any number of tensors."""

BOOL = 9
"""The number of the data type of truth values."""

FIXED_EXPONENTS = (2.0, 0.5, -0.5, -1.0)
"""Exponents of squares and roots, as in variances and norms. They are stored like parameters, but
are constants."""

REDUCTIONS: dict[str, Callable[..., Any] | None] = {
    **dict.fromkeys(["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"]),
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}


KINDS = {"ReduceL2": "norm", "ReduceMax": "max", "ReduceMean": "mean", "ReduceSum": "sum"}
"""What reductions do to a signal, as far as it is followed."""

TERMS: dict[str, Callable[[Any], Any]] = {"ReduceL1": np.abs, "ReduceSumSquare": np.square}
"""What those add up that are sums of functions of elements."""


@rule(*POINTWISE)
def pointwise(tracer: Tracer, node: Node) -> Operand:
    return tracer.pointwise(node.input(0), POINTWISE[node.operator], name=node.operator)


@rule(
    *("Celu", "Elu", "Gelu", "HardSigmoid", "LeakyRelu", "Selu", "Shrink", "Swish"),
    "ThresholdedRelu",
)
def pointwise_with_attributes(tracer: Tracer, node: Node) -> Operand:
    def number(name: str, default: float) -> float:
        return float(node.attribute(name, default))

    alpha, beta = number("alpha", 1.0), number("beta", 0.5)
    functions: dict[str, Callable[[Any], Any]] = {
        "Celu": lambda a: np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0) / alpha)),
        "Elu": lambda a: np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0))),
        "Gelu": NAMED["gelu_tanh" if _is_tanh(node) else "gelu"],
        "HardSigmoid": lambda a: np.clip(number("alpha", 0.2) * a + beta, 0, 1),
        "LeakyRelu": lambda a: np.where(a > 0, a, number("alpha", 0.01) * a),
        "Selu": lambda a: (
            number("gamma", 1.0507009873554805)
            * np.where(a > 0, a, number("alpha", 1.6732632423543772) * np.expm1(np.minimum(a, 0)))
        ),
        "Shrink": lambda a: np.where(
            np.abs(a) > number("lambd", 0.5), a - np.sign(a) * number("bias", 0.0), 0
        ),
        "Swish": lambda a: a * NAMED["sigmoid"](alpha * a),
        "ThresholdedRelu": lambda a: np.where(a > alpha, a, 0),
    }
    return tracer.pointwise(node.input(0), functions[node.operator], name=node.operator)


def _is_tanh(node: Node) -> bool:
    return node.attribute("approximate", "none") in ("tanh", b"tanh")


@rule(*COMBINED)
def combined(tracer: Tracer, node: Node) -> Operand:
    operands = operands_of(tracer, node)
    function = COMBINED[node.operator]
    constant = folded(tracer, node, operands, function)
    if constant is not None:
        return constant
    if node.operator in ("And", "Or"):
        return (tracer.both if node.operator == "And" else tracer.either)(*operands)
    if len({x.node for x in operands if isinstance(x, Value)}) == 1:
        return tracer.function(*operands, compute=function)
    return tracer.combine(*operands, compute=function)


@rule("Where")
def where(tracer: Tracer, node: Node) -> Operand:
    condition, a, b = (node.input(position) for position in range(3))
    constant = folded(tracer, node, [condition, a, b], np.where)
    return tracer.where(condition, a, b) if constant is None else constant


@rule("Add", "Sum")
def add(tracer: Tracer, node: Node) -> Operand:
    operands = operands_of(tracer, node)
    function = np.add if len(operands) == 2 else None
    return folded(tracer, node, operands, function) or tracer.add(*operands)


@rule("Sub")
def subtract(tracer: Tracer, node: Node) -> Operand:
    operands = tracer.dequantised(operands_of(tracer, node), "zero point")
    return folded(tracer, node, operands, np.subtract) or tracer.subtract(*operands)


@rule("Mul")
def multiply(tracer: Tracer, node: Node) -> Operand:
    operands = tracer.dequantised(operands_of(tracer, node), "scale")
    return folded(tracer, node, operands, np.multiply) or tracer.multiply(*operands)


@rule("Div")
def divide(tracer: Tracer, node: Node) -> Operand:
    operands = tracer.dequantised(operands_of(tracer, node), "scale")
    return folded(tracer, node, operands, _quotient) or tracer.divide(*operands)


@rule("Mod")
def modulo(tracer: Tracer, node: Node) -> Operand:
    function = np.fmod if node.attribute("fmod", 0) else np.mod
    operands = operands_of(tracer, node)
    return folded(tracer, node, operands, function) or tracer.combine(*operands)


@rule("Max", "Min", "Mean", "BitShift")
def extreme(tracer: Tracer, node: Node) -> Operand:
    functions = {"Max": np.maximum, "Min": np.minimum}
    operands = operands_of(tracer, node)
    function = functions.get(node.operator) if len(operands) == 2 else None
    constant = folded(tracer, node, operands, function)
    if constant is not None:
        return constant
    values = [operand for operand in operands if isinstance(operand, Value)]
    if len(values) == 1 and node.operator in functions:  # Clipping.
        others = [operand for operand in operands if isinstance(operand, Constant)]
        bound = others[0].only_number() if len(others) == 1 else None
        clip = None if bound is None else partial(functions[node.operator], bound)
        return tracer.expand(
            tracer.pointwise(values[0], clip, power=True, name=node.operator),
            broadcast_shapes(tracer.name, [operand.shape for operand in operands]),
        )
    return tracer.combine(*operands, compute=function)


@rule("Clip")
def clip(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    bounds = [node.optional(1), node.optional(2)]
    if isinstance(x, Constant):
        low, high = node.constant(1), node.constant(2)
        limits: list[Any] = [None if bound is None else bound.array for bound in (low, high)]
        if limits == [None, None]:
            limits = [node.attribute("min"), node.attribute("max")]
        known = limits != [None, None] or not any(bounds)
        return tracer.pointwise(x, (lambda a: np.clip(a, *limits)) if known else None)
    # Stored bounds are constants; what is computed has an edge, as operands of an extreme have.
    moving = [
        bound
        for bound, position in zip(bounds, (1, 2), strict=True)
        if isinstance(bound, Value) and not isinstance(node.inputs[position], Stored)
    ]
    if moving:
        shape = broadcast_shapes(tracer.name, [x.shape, *[bound.shape for bound in moving]])
        if shape != x.shape:
            raise InvalidModelError(
                f"node '{node.name}' ({node.operator}): bounds of shapes "
                f"{[bound.shape for bound in moving]} are not single numbers"
            )
        return tracer.function(x, *moving)
    return tracer.pointwise(x, _clipping(node), power=True, name="Clip")


def _clipping(node: Node) -> Callable[[Any], Any] | None:
    """The function that a Clip applies, if its bounds are known and single numbers."""
    bounds = []
    for position, name in ((1, "min"), (2, "max")):
        bound = node.optional(position)
        if bound is None:
            given = node.attribute(name) if node.has(name) else None
            bounds.append(None if given is None else float(given))
        elif isinstance(bound, Constant) and (number := bound.only_number()) is not None:
            bounds.append(number)
        else:
            return None
    low, high = bounds
    if low is None and high is None:
        return lambda a: a
    return lambda a: np.clip(a, low, high)


@rule("Pow")
def power(tracer: Tracer, node: Node) -> Operand:
    base, exponent = operands_of(tracer, node)
    constant = folded(tracer, node, [base, exponent], np.power)
    if constant is not None:
        return constant
    stored = node.inputs[1]
    fixed = stored.constant if isinstance(stored, Stored) else exponent
    if isinstance(base, Constant) or not isinstance(fixed, Constant) or fixed.size != 1:
        return tracer.combine(base, exponent)
    number = None if fixed.array is None else float(fixed.array.reshape(-1)[0])
    if isinstance(stored, Stored) and isinstance(exponent, Value):
        if number not in FIXED_EXPONENTS:
            return tracer.combine(base, exponent)
        tracer.notes[exponent.node.name] = f"a fixed exponent, {number:g}"
    magnitude = None if number is None else abs(number)
    raised = None if magnitude is None else (lambda a: np.power(a, magnitude))
    y = tracer.pointwise(base, raised, power=True, name="Pow")
    if number is not None and number < 0:
        y = tracer.reciprocal(y)
    return tracer.expand(y, broadcast_shapes(tracer.name, [base.shape, fixed.shape]))


@rule("Sqrt")
def square_root(tracer: Tracer, node: Node) -> Operand:
    return tracer.pointwise(node.input(0), np.sqrt, power=True, name="Sqrt")


@rule("Reciprocal")
def reciprocal(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    if isinstance(x, Constant):
        return tracer.pointwise(x, lambda a: 1 / a)
    return tracer.reciprocal(x)


@rule("Neg")
def negative(tracer: Tracer, node: Node) -> Operand:
    return tracer.negative(node.input(0))


@rule("PRelu")
def prelu(tracer: Tracer, node: Node) -> Operand:
    return tracer.combine(node.input(0), node.input(1))


@rule("Cast", "CastLike")
def cast(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    if isinstance(x, Constant) and x.array is not None:
        target = node.attribute("to", 0)
        try:
            kind = dtype_of(target) if target else None
        except (KeyError, ValueError, TypeError):
            raise InvalidModelError(f"node '{node.name}': unknown data type {target}") from None
        if node.operator == "CastLike":
            like = node.input(1)
            kind = (
                like.array.dtype if isinstance(like, Constant) and like.array is not None else None
            )
        if kind is not None and kind.kind in "iubf":
            return tracer.pointwise(x, lambda a: a.astype(kind))
        return Constant(x.shape, x.array if kind is None else None)
    y = tracer.pointwise(x, lambda a: a, power=True, name="Cast")
    if isinstance(y, Value) and y.fill is not None and node.operator == "Cast":
        is_flag = node.attribute("to", 0) == BOOL
        y = replace(y, fill=bool(y.fill) if is_flag else float(y.fill))
    return y


@rule("Identity", "Dropout", "Bernoulli")
def identity(tracer: Tracer, node: Node) -> list[Any]:
    mask = Constant(node.input(0).shape)
    return [node.inputs[0], mask]


@rule(*REDUCTIONS)
def reduction(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    keepdims = node.attribute("keepdims", 1) == 1
    axes = node.integers(1)
    if axes is None:
        axes = node.attribute("axes", [])
    if not axes:
        if node.attribute("noop_with_empty_axes", 0):
            return tracer.pointwise(x, lambda a: a)
        axes = list(range(x.rank))
    axes = checked_axes(node, axes, x.rank)
    terms = TERMS.get(node.operator)
    if terms is None or isinstance(x, Constant):
        y = tracer.reduce(x, axes, keepdims=keepdims, reduction=KINDS.get(node.operator, ""))
    else:
        sizes = tracer.pointwise(x, terms, name=node.operator)
        return tracer.reduce(sizes, axes, keepdims=keepdims, reduction="sum")
    function = REDUCTIONS[node.operator]
    if isinstance(x, Constant) and function is not None:
        return tracer.work_out(
            y.shape, lambda a: function(a, axis=tuple(axes), keepdims=keepdims).astype(a.dtype), x
        )
    return y


@rule("ArgMax", "ArgMin")
def extreme_index(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    return tracer.pointwise(tracer.reduce(x, axes, keepdims=bool(node.attribute("keepdims", 1))))


@rule("TopK")
def largest(tracer: Tracer, node: Node) -> list[Operand]:
    """Values chosen at run time from all along an axis, and where they are."""
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", -1)], x.rank)
    number = node.number(1, node.attribute("k", 0))
    if not 1 <= number <= x.shape[axis]:
        raise InvalidModelError(f"node '{node.name}': {number} of {x.shape[axis]} are wanted")
    y = tracer.reorder(x, axis, number, largest=bool(node.attribute("largest", 1)))
    return [y, tracer.pointwise(y)]


@rule("Hardmax")
def hardmax(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", -1)], x.rank)
    if isinstance(x, Constant):
        return Constant(x.shape)
    return tracer.read(x, {axis: (x.shape[axis], Relation.all(axis, axis))}, OTHER)


@rule("CumSum", "CumProd")
def cumulative(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.number(1)], x.rank)
    exclusive, reverse = bool(node.attribute("exclusive", 0)), bool(node.attribute("reverse", 0))
    if isinstance(x, Value):
        return tracer.cumulate(x, axis, exclusive=exclusive, reverse=reverse)
    cumulate = np.cumsum if node.operator == "CumSum" else np.cumprod
    first = 0 if node.operator == "CumSum" else 1

    def worked_out(array: Any) -> Any:
        array = np.flip(array, axis) if reverse else array
        found = cumulate(array, axis).astype(array.dtype)
        if exclusive:
            sides = [(int(at == axis), 0) for at in range(x.rank)]
            found = np.pad(found, sides, constant_values=first).take(range(x.shape[axis]), axis)
        return np.flip(found, axis) if reverse else found

    return tracer.pointwise(x, worked_out)


@rule("Constant")
def constant(tracer: Tracer, node: Node) -> Operand:
    value = node.attribute("value")
    if isinstance(value, Constant):
        return value
    for kind in ("value_float", "value_floats", "value_int", "value_ints"):
        if node.has(kind):
            return Constant.of(np.array(node.attribute(kind)))
    if node.has("value_string") or node.has("value_strings"):
        return Constant.of(np.array(node.attribute("value_string", "")))
    raise InvalidModelError(f"node '{node.name}': a Constant without a value that can be read")


@rule("ConstantOfShape")
def constant_of_shape(tracer: Tracer, node: Node) -> Operand:
    shape = tuple(node.integers(0) or [])
    if any(length < 0 for length in shape):
        raise InvalidModelError(f"node '{node.name}': shape {shape} has a negative length")
    value = node.attribute("value")
    is_number = value is None or any(is_float(a.t.data_type) for a in node.proto.attribute)
    if is_number and isinstance(node.inputs[0], Stored) and size_of(shape) > 1:
        # If the shape is stored and not computed, the model fills in weights of its own.
        return tracer.parameter(node.outputs[0], shape)
    fill = np.float32(0) if value is None or value.array is None else value.array.reshape(-1)[0]
    return filled(tracer, shape, fill)


@rule("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "EyeLike")
def random(tracer: Tracer, node: Node) -> Operand:
    if node.operator.endswith("Like"):
        return Constant(node.input(0).shape)
    return Constant(tuple(node.attribute("shape", [])))


@rule("Shape")
def shape_of(tracer: Tracer, node: Node) -> Operand:
    shape = node.input(0).shape
    start, end = node.attribute("start", 0), node.attribute("end", len(shape))
    return Constant.of(np.array(shape[start:end], dtype=np.int64))


@rule("Size")
def size(tracer: Tracer, node: Node) -> Operand:
    return Constant.of(np.array(node.input(0).size, dtype=np.int64))


@rule("Range")
def number_range(tracer: Tracer, node: Node) -> Operand:
    bounds = [node.constant(position) for position in range(3)]
    if any(bound is None or bound.array is None or bound.size != 1 for bound in bounds):
        raise InvalidModelError(f"node '{node.name}': a Range whose bounds are not known")
    start, limit, step = (bound.array.reshape(-1)[0] for bound in bounds if bound is not None)  # type: ignore[union-attr]
    if step == 0 or not np.isfinite([start, limit, step]).all():
        raise InvalidModelError(f"node '{node.name}': a Range from {start} to {limit} by {step}")
    number = max(int(np.ceil((float(limit) - float(start)) / float(step))), 0)
    return tracer.work_out((number,), lambda: start + step * np.arange(number))


def filled(tracer: Tracer, shape: tuple[int, ...], fill: Any) -> Constant:
    """A constant of one number, with its elements unless they are too many."""
    return tracer.work_out(shape, lambda: np.broadcast_to(np.asarray(fill), shape))


def operands_of(tracer: Tracer, node: Node) -> list[Operand]:
    """The operands; of versions before 7 with the second moved to where `axis` puts it."""
    operands = [node.input(position) for position in range(len(node.inputs))]
    if not operands:
        raise InvalidModelError(f"node '{node.name}' ({node.operator}): it has no input")
    if len(operands) != 2 and node.operator not in VARIADIC:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): it takes 2 inputs, got {len(operands)}"
        )
    if node.has("broadcast") and node.has("axis") and len(operands) == 2:
        a, b = operands
        (axis,) = checked_axes(node, [node.attribute("axis", 0)], a.rank)
        after = a.rank - axis - b.rank
        operands[1] = tracer.reshape(b, (*b.shape, *[1] * max(after, 0)))
    return operands


def folded(
    tracer: Tracer, node: Node, operands: list[Operand], function: Callable[..., Any] | None
) -> Constant | None:
    """What constants come to; None if there are other operands."""
    constants = [operand for operand in operands if isinstance(operand, Constant)]
    if len(constants) != len(operands):
        return None
    shape = broadcast_shapes(tracer.name, [constant.shape for constant in constants])
    if function is None:
        return Constant(shape)
    try:
        return tracer.work_out(shape, function, *constants)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidModelError(f"node '{node.name}' ({node.operator}): {error}") from None


def _quotient(a: Any, b: Any) -> Any:
    """Divide as ONNX does, where the quotient of integers is rounded towards zero."""
    if np.asarray(a).dtype.kind in "iu" and np.asarray(b).dtype.kind in "iu":
        b = np.where(b == 0, 1, b)
        return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))
    return np.divide(a, b)


def checked_axes(node: Node, axes: Any, rank: int) -> list[int]:
    """Axes counted from the front."""
    return axes_within(f"node '{node.name}' ({node.operator})", axes, rank)
