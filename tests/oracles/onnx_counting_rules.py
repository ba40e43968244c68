"""Operators in their linear counting form, for `onnx_counting`; see DESIGN.md, section 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases.onnx_models import names
from oracles.onnx_counting import REALS, RULES, Call, evaluate

Rule = Callable[[Call], Any]


def rule(*operators: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


def real(*operators: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        REALS.update(dict.fromkeys(operators, function))
        return function

    return register


def broadcast(*arrays: Any) -> Any:
    """Counts of elements at the same index, added up."""
    return sum(np.broadcast_arrays(*arrays), np.zeros(()))


def along(array: Any, axes: Any, rank: int) -> Any:
    """An array whose axes become the given axes of a tensor."""
    shape = [1] * rank
    for length, axis in zip(np.shape(array), axes, strict=True):
        shape[axis] = length
    return np.reshape(array, shape)


POINTWISE = names(
    """Abs Acos Acosh Asin Asinh Atan Atanh Bernoulli BitwiseNot Cast CastLike Ceil Celu
    Clip Cos Cosh DequantizeLinear Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish
    Identity IsInf IsNaN LeakyRelu Log Mish Neg Not QuantizeLinear Reciprocal Relu Round
    Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh
    ThresholdedRelu"""
)

SEVERAL = names(
    """Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual
    Less LessOrEqual Max Mean Min Mod Mul Or PRelu Sub Sum Xor"""
)

# The operands whose elements are moved; the others say where to.
MOVED: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(
        names(
            """CenterCropPad Col2Im Compress CumSum DepthToSpace Expand Flatten GatherND Reshape
    ReverseSequence Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze"""
        ),
        (0,),
    ),
    **dict.fromkeys(["ScatterElements", "ScatterND"], (0, 2)),
    "Concat": None,
}


@rule(*POINTWISE)
def pointwise(call: Call) -> Any:
    return [call.count(0), *[None for _ in call.node.output[1:]]]


@rule(*SEVERAL)
def several(call: Call) -> Any:
    counts = call.counts()
    if call.attribute("broadcast", 0) and call.attribute("axis") is not None:
        axis, b = call.attribute("axis"), counts[1]
        counts[1] = np.reshape(b, (*b.shape, *[1] * (counts[0].ndim - axis - b.ndim)))
    return broadcast(*counts)


@rule("Where")
def where(call: Call) -> Any:
    condition = call.pairs[0]
    if condition.count is not None:
        return broadcast(*call.counts())
    masked = [
        pair
        for pair in call.pairs[1:]
        if pair.count is None and np.any(pair.real) and not np.all(pair.real <= -1e4)
    ]
    # Another constant than zero, and than what puts scores out, changes no edge.
    return broadcast(*call.counts()) if masked else np.where(condition.real, *call.counts()[1:])


@rule("Pow")
def power(call: Call) -> Any:
    return broadcast(*call.counts())


@rule(*MOVED)
def moved(call: Call) -> Any:
    places = MOVED[call.node.op_type]
    arrays = [
        (call.count(at) if places is None or at in places else call.real(at))
        for at in range(len(call.pairs))
    ]
    if call.node.op_type == "Reshape" and len(arrays) == 1:
        return np.reshape(arrays[0], call.attribute("shape"))
    if call.attribute("reduction", "none") != "none":
        return call.run(arrays, reduction="add")
    return call.run(arrays)


@rule("CumProd")
def cumulative_product(call: Call) -> Any:
    count, axis = call.count(0), int(call.real(1))
    if call.attribute("reverse", 0):
        count = np.flip(count, axis)
    found = np.cumsum(count, axis)
    found = found - count if call.attribute("exclusive", 0) else found
    return np.flip(found, axis) if call.attribute("reverse", 0) else found


@rule("Gather")
def gather(call: Call) -> Any:
    if call.pairs[1].count is None:  # type: ignore[union-attr]
        return call.run([call.count(0), call.real(1)])
    axis, table = call.attribute("axis", 0), call.count(0)
    rows = np.take(np.sum(table, axis, keepdims=True), np.zeros(call.shape(1), np.int64), axis)
    at = list(range(axis, axis + len(call.shape(1))))
    return rows + table.shape[axis] * along(call.count(1), at, rows.ndim)


@rule("OneHot")
def one_hot(call: Call) -> Any:
    axis, x = call.attribute("axis", -1), call.count(0)
    wide = np.expand_dims(x, axis)
    return np.repeat(wide, int(np.ravel(call.real(1))[0]), axis)


@rule(
    *[
        f"Reduce{name}"
        for name in names("""L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare""")
    ]
)
def reduction(call: Call) -> Any:
    x = call.count(0)
    axes = call.integers(1, "axes")
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return x
        axes = range(x.ndim)
    axes = tuple(int(axis) for axis in axes)
    return np.sum(x, axes, keepdims=bool(call.attribute("keepdims", 1)))


@rule("ArgMax", "ArgMin")
def extreme_index(call: Call) -> Any:
    return np.sum(
        call.count(0), call.attribute("axis", 0), keepdims=bool(call.attribute("keepdims", 1))
    )


@real("Bernoulli")
def same(call: Call) -> Any:
    return call.real(0)


@real("Mean")
def mean(call: Call) -> Any:
    return broadcast(*[pair.real for pair in call.pairs if pair is not None])


@real("Add", "Sub", "Mul", "Div")
def arithmetic(call: Call) -> Any:
    if call.attribute("broadcast", 0):  # Before version 7; the result has the first shape.
        return call.real(0)
    return evaluate(call.node, call.opset, [pair and pair.real for pair in call.pairs])


@real("Reshape")
def reshape(call: Call) -> Any:
    if call.opset >= 5:
        return evaluate(call.node, call.opset, [call.real(0), call.real(1)])
    return np.reshape(call.real(0), call.attribute("shape"))


def gathered(call: Call, x: Any) -> Any:
    """Fills the indices up: the reference evaluator gathers by indices of full shape only."""
    at, axis = call.real(1), call.attribute("axis", 0)
    found = np.zeros(at.shape, x.dtype)
    for place in np.ndindex(at.shape):
        source = list(place)
        source[axis] = at[place]
        found[place] = x[tuple(source)]
    return found


@real("Scatter")
def scatter(call: Call) -> Any:
    return call.real(0)


@rule("Scatter")
def scattered(call: Call) -> Any:
    x, at, updates, axis = call.count(0).copy(), call.real(1), call.count(2), call.attribute("axis")
    for place in np.ndindex(at.shape):
        target = list(place)
        target[axis] = at[place]
        x[tuple(target)] = updates[place]
    return x


def padded(call: Call, x: Any) -> Any:
    """Crops by hand, since the reference evaluator has no negative pads."""
    pads = [int(n) for n in call.integers(1, "pads")]
    axes = range(x.ndim) if call.real(3) is None else [int(a) for a in call.real(3)]
    for number, axis in enumerate(axes):
        before, after = pads[number], pads[number + len(axes)]
        inside = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
        x = np.moveaxis(np.moveaxis(x, axis, 0)[inside], 0, axis)
        sides = [(0, 0)] * x.ndim
        sides[axis] = (max(before, 0), max(after, 0))
        x = np.pad(x, sides, mode=call.attribute("mode", "constant"))
    return x


for _name, _function in {"GatherElements": gathered, "Pad": padded}.items():
    REALS[_name] = lambda call, run=_function: run(call, call.real(0))
    RULES[_name] = lambda call, run=_function: run(call, call.count(0))
