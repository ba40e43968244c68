"""Rules for operations of `keras.ops` in functional models."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer, flattened
from unrolled.importers.keras.rules import activation_function
from unrolled.importers.keras.windows import pooled, resized, spatial_axes
from unrolled.importers.tracing.functions import NAMED, ElementFunction
from unrolled.importers.tracing.normalisers import NORM_ROLES
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value, checked_axes, checked_axis

__all__: list[str] = []

rule = TABLE.rule


def _names(text: str) -> list[str]:
    return [f"ops.{name}" for name in text.split()]


FUNCTIONS = _names(
    """
    Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh BitwiseInvert BitwiseNot Ceil Celu
    Conjugate Cos Cosh Deg2rad Elu Erf Erfc Erfinv Exp Exp2 Expm1 Floor Gelu HardShrink
    HardSigmoid HardSilu HardTanh Heaviside I0 Imag Isfinite Isinf Isnan Isneginf Isposinf
    Isreal LeakyRelu Log Log10 Log1p Log2 LogSigmoid LogicalNot NanToNum Rad2deg Real Relu Relu6
    Round Selu Sigmoid Sign Signbit Silu Sin Sinc Sinh SoftShrink Softplus Softsign SparsePlus
    SparseSigmoid Squareplus Tan Tanh TanhShrink Threshold Trunc
    """
)
"""Operations that are functions of single elements."""

NUMPY: dict[str, ElementFunction] = {
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Erf": NAMED["erf(1)"],
    "Exp": np.exp,
    "Expm1": np.expm1,
    "Isfinite": np.isfinite,
    "Isinf": np.isinf,
    "Isnan": np.isnan,
    "Isneginf": np.isneginf,
    "Isposinf": np.isposinf,
    "LogicalNot": np.logical_not,
    "Round": np.round,
    "Floor": np.floor,
    "Log": np.log,
    "Log1p": np.log1p,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Tan": np.tan,
}
"""Those of them that NumPy has under another name than that of an activation."""

POWERS = _names(
    """
    Absolute Cast Cbrt Clip Copy Fabs Sqrt Square SaturateCast StopGradient
    """
)
"""Functions of single elements that turn a reciprocal into a reciprocal."""

PAIRS = _names(
    """
    Arctan2 BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift BitwiseXor Equal FloorDivide
    Fmax Fmin Fmod Gcd Greater GreaterEqual Hypot Lcm Ldexp LeftShift Less LessEqual Logaddexp
    Logaddexp2 LogicalXor Maximum Minimum Mod Nextafter NotEqual RightShift
    """
)
"""Functions of elements at the same index of two tensors."""

COMPARISONS: dict[str, Any] = {
    "ops.Equal": np.equal,
    "ops.Greater": np.greater,
    "ops.GreaterEqual": np.greater_equal,
    "ops.Less": np.less,
    "ops.LessEqual": np.less_equal,
    "ops.NotEqual": np.not_equal,
}
"""What comparisons compute."""

REDUCTIONS = _names(
    """
    All Amax Amin Any CountNonzero Logsumexp Max Mean Median Min Nanmax Nanmean Nanmedian Nanmin
    Nanprod Nanstd Nansum Nanvar Norm Prod Ptp Std Sum Var
    """
)


def _operand(layer: Layer, given: Any) -> Operand:
    """An argument that is a tensor, a number, or nested lists of numbers."""
    if isinstance(given, (Value, Constant)):
        return given
    array = np.asarray(given)
    if array.dtype == object:
        raise InvalidModelError(f"{layer}: an argument is no tensor: {given!r}")
    return Constant.of(array)


def _pair(layer: Layer) -> tuple[Operand, Operand]:
    return _operand(layer, layer.argument(0, "x1")), _operand(layer, layer.argument(1, "x2"))


def _axes(layer: Layer, x: Operand, key: str = "axis") -> list[int]:
    """The axes that are configured, all if there are none."""
    given = layer.argument(1, key)
    if given is None:
        return list(range(x.rank))
    axes = given if isinstance(given, (list, tuple)) else [given]
    return checked_axes(str(layer), axes, x.rank)


@rule(*FUNCTIONS)
def _function(tracer: Tracer, layer: Layer) -> Operand:
    name = layer.operator.removeprefix("ops.")
    plain = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    function = NUMPY.get(name) or activation_function(plain, layer.config)
    x = layer.x
    return tracer.pointwise(x, None if isinstance(x, Constant) else function, name=name)


@rule(*POWERS)
def _power_like(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    function = None if isinstance(x, Constant) else _power_function(layer)
    return tracer.pointwise(x, function, power=True, name=layer.operator)


def _power_function(layer: Layer) -> ElementFunction | None:
    name = layer.operator.removeprefix("ops.")
    if name == "Clip":
        low, high = layer.argument(1, "x_min"), layer.argument(2, "x_max")
        if all(isinstance(bound, (int, float)) for bound in (low, high)):
            return lambda x: np.clip(x, low, high)
        return None
    functions: dict[str, ElementFunction] = {
        "Absolute": np.abs,
        "Fabs": np.abs,
        "Cast": NAMED["identity"],
        "Cbrt": np.cbrt,
        "Copy": NAMED["identity"],
        "SaturateCast": NAMED["identity"],
        "Sqrt": np.sqrt,
        "Square": np.square,
        "StopGradient": NAMED["identity"],
    }
    return functions.get(name)


@rule("ops.Rsqrt", "ops.Reciprocal")
def _reciprocal(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    root = np.sqrt if layer.operator == "ops.Rsqrt" else NAMED["identity"]
    function = None if isinstance(x, Constant) else root
    return tracer.reciprocal(tracer.pointwise(x, function, power=True))


@rule("ops.Negative")
def _negative(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.negative(layer.x)


@rule("ops.Add")
def _add(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.add(*_pair(layer))


@rule("ops.Subtract")
def _subtract(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.subtract(*_pair(layer))


@rule("ops.Multiply")
def _multiply(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.multiply(*_pair(layer))


@rule("ops.Divide", "ops.TrueDivide", "ops.DivideNoNan")
def _divide(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.divide(*_pair(layer))


@rule("ops.Power")
def _power(tracer: Tracer, layer: Layer) -> Operand:
    base, exponent = _pair(layer)
    if isinstance(exponent, Constant) and isinstance(base, Value):
        array = exponent.array
        if array is not None and array.size == 1:
            number = float(array.reshape(-1)[0])
            power = tracer.pointwise(base, lambda x: np.power(x, abs(number)), power=True)
            return tracer.reciprocal(power) if number < 0 else power
    return _combine(tracer, layer, base, exponent)


@rule("ops.LogicalAnd", "ops.LogicalOr")
def _decided(tracer: Tracer, layer: Layer) -> Operand:
    decide = tracer.both if layer.operator == "ops.LogicalAnd" else tracer.either
    return decide(*_pair(layer))


@rule(*PAIRS)
def _function_of_two(tracer: Tracer, layer: Layer) -> Operand:
    return _combine(tracer, layer, *_pair(layer))


def _combine(tracer: Tracer, layer: Layer, a: Operand, b: Operand) -> Operand:
    """A function of two tensors, of one if the other is constant."""
    if isinstance(a, Constant) == isinstance(b, Constant):
        return tracer.combine(a, b)
    x, other = (a, b) if isinstance(a, Value) else (b, a)
    shape = np.broadcast_shapes(x.shape, other.shape)
    compare = COMPARISONS.get(layer.operator)
    if compare is not None:
        return tracer.function(a, b, compute=compare)
    number = other.only_number() if isinstance(other, Constant) else None
    extreme = {"ops.Maximum": np.maximum, "ops.Minimum": np.minimum}.get(layer.operator)
    clip = None if number is None or extreme is None else partial(extreme, number)
    return tracer.expand(tracer.pointwise(x, clip, power=True), shape)


@rule("ops.Where")
def _where(tracer: Tracer, layer: Layer) -> Operand:
    """Choose elements; a choice between functions of one tensor is a function of that tensor."""
    given = [layer.argument(0, "condition"), layer.argument(1, "x1"), layer.argument(2, "x2")]
    if any(one is None for one in given):
        raise layer.refused("how many elements a condition chooses is known only at run time")
    return tracer.where(*[_operand(layer, one) for one in given])


@rule(*REDUCTIONS)
def _reduction(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    if layer.operator == "ops.Norm":
        order, keepdims = layer.config.get("ord"), bool(layer.config.get("keepdims"))
        return tracer.norm(x, _axes(layer, x), order, keepdims=keepdims)
    reduction = {"ops.Max": "max", "ops.Amax": "max", "ops.Mean": "mean", "ops.Sum": "sum"}
    return tracer.reduce(
        x,
        _axes(layer, x),
        keepdims=bool(layer.config.get("keepdims")),
        reduction=reduction.get(layer.operator, ""),
    )


@rule("ops.Argmax", "ops.Argmin")
def _argument(tracer: Tracer, layer: Layer) -> Operand:
    return _reduction(tracer, layer)


@rule("ops.Moments")
def _moments(tracer: Tracer, layer: Layer) -> list[Operand]:
    x = layer.x
    axes, keepdims = _axes(layer, x, "axes"), bool(layer.config.get("keepdims"))
    return [tracer.reduce(x, axes, keepdims=keepdims) for _ in range(2)]


@rule("ops.Softmax", "ops.LogSoftmax", "ops.Normalize", "ops.Sparsemax")
def _softmax(tracer: Tracer, layer: Layer) -> Operand:
    kinds = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Normalize": "norm"}
    kind = kinds.get(layer.operator.removeprefix("ops."), "sparsemax")
    if kind == "norm" and layer.config.get("order", 2) != 2:
        axes = _axes(layer, layer.x)
        return tracer.divide(
            layer.x, tracer.norm(layer.x, axes, layer.config["order"], keepdims=True)
        )
    return tracer.normalise(layer.x, _axes(layer, layer.x), kind)


@rule("ops.LayerNorm", "ops.RMSNorm")
def _layer_norm(tracer: Tracer, layer: Layer) -> Operand:
    x = _operand(layer, layer.argument(0, "x"))
    axis = layer.config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    axes = sorted(checked_axes(str(layer), axes, x.rank))
    weights = list(flattened([*layer.args[1:], layer.kwargs]))
    y = tracer.normalise(x, axes, "rms_norm" if "RMS" in layer.operator else "layer_norm")
    roles = NORM_ROLES[: len(weights)]
    return tracer.affine(y, axes, *weights, roles=roles) if weights else y


@rule("ops.Glu")
def _gated(tracer: Tracer, layer: Layer) -> Operand:
    x, axis = layer.x, layer.config.get("axis", -1)
    half = x.shape[axis] // 2
    linear, gate = tracer.split(x, axis, [half, half])
    return tracer.multiply(linear, tracer.pointwise(gate, NAMED["sigmoid"], name="sigmoid"))


@rule("ops.OneHot")
def _one_hot(tracer: Tracer, layer: Layer) -> Operand:
    x, classes = layer.x, layer.integer("num_classes")
    axis = checked_axis(str(layer), layer.config.get("axis", -1), x.rank + 1)
    y = tracer.unsqueeze(x, (axis,))
    return tracer.expand(y, (*y.shape[:axis], classes, *y.shape[axis + 1 :]))


@rule("ops.Matmul")
def _matmul(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.matmul(*_pair(layer))


@rule("ops.Einsum")
def _einsum(tracer: Tracer, layer: Layer) -> Operand:
    operands = [_operand(layer, one) for one in layer.args]
    return tracer.einsum(str(layer.config["subscripts"]), *operands)


@rule("ops.Dot", "ops.Inner", "ops.Outer", "ops.Tensordot")
def _dot(tracer: Tracer, layer: Layer) -> Operand:
    a, b = _pair(layer)
    first: list[int] = []
    second: list[int] = []
    if layer.operator == "ops.Tensordot":
        axes = layer.config.get("axes", 2)
        if isinstance(axes, int):
            first, second = list(range(a.rank - axes, a.rank)), list(range(axes))
        else:
            first, second = [[x] if isinstance(x, int) else list(x) for x in axes]
    elif layer.operator == "ops.Outer":
        a, b = tracer.reshape(a, (a.size,)), tracer.reshape(b, (b.size,))
    elif a.rank and b.rank:
        first, second = [-1], [-1 if layer.operator == "ops.Inner" or b.rank == 1 else -2]
    labels, others = list(range(a.rank)), list(range(a.rank, a.rank + b.rank))
    for i, j in zip(first, second, strict=True):
        others[j] = labels[i]
    summed = {labels[i] for i in first}
    result = [label for label in [*labels, *others] if label not in summed]
    return tracer.contract([labels, others], result, [a, b])


@rule("ops.DotProductAttention")
def _attention(tracer: Tracer, layer: Layer) -> Operand:
    query, key, value = [
        _operand(layer, layer.argument(*at)) for at in enumerate(("query", "key", "value"))
    ]
    groups, heads = key.shape[2], query.shape[2]
    shape = query.shape
    q = tracer.reshape(query, (*shape[:2], groups, heads // groups, shape[3]))
    scores = tracer.einsum("bqvrh,bkvh->bvrqk", q, key)
    bias = layer.argument(3, "bias")
    if isinstance(bias, Value):
        wide = tracer.expand(bias, (shape[0], heads, *scores.shape[3:]))
        scores = tracer.add(scores, tracer.reshape(wide, scores.shape))
    causal = 0 if layer.argument(6, "is_causal") else None
    mask = _mask_of_heads(tracer, layer, (groups, heads // groups))
    scores = tracer.masked_scores(scores, mask, causal=causal)
    scores = tracer.normalise(scores, (-1,), "softmax")
    y = tracer.einsum("bvrqk,bkvh->bqvrh", scores, value)
    return tracer.reshape(y, (*shape[:3], value.shape[3]))


def _mask_of_heads(tracer: Tracer, layer: Layer, groups: tuple[int, int]) -> Operand | None:
    """The mask of attention, True where a query sees a key, with the axis of heads in groups."""
    given = layer.argument(4, "mask")
    if given is None:
        return None
    mask = _operand(layer, given)
    if mask.rank != 4:
        raise InvalidModelError(f"{layer}: a mask of shape {mask.shape} has no axis of heads")
    if isinstance(mask, Constant):
        mask = tracer.work_out(mask.shape, lambda array: array.astype(bool), mask)
    elif mask.fill is not None:
        mask = replace(mask, fill=bool(mask.fill))
    apart = groups if mask.shape[1] > 1 else (1, 1)
    return tracer.reshape(mask, (mask.shape[0], *apart, *mask.shape[2:]))


@rule("ops.Cumsum", "ops.Cumprod")
def _cumulated(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    axis = layer.argument(1, "axis")
    if axis is None:
        x, axis = tracer.reshape(x, (x.size,)), 0
    # Functions of TensorFlow may leave out an element itself, or begin at the end.
    flags = {key: bool(layer.config.get(key)) for key in ("exclusive", "reverse")}
    return tracer.cumulate(x, axis, **flags)


@rule("ops.MaxPool", "ops.AveragePool")
def _pool(tracer: Tracer, layer: Layer) -> Operand:
    _, positions = spatial_axes(layer, layer.x)
    sizes = layer.integers("pool_size", len(positions))
    strides = sizes
    if layer.config.get("strides") is not None:
        strides = layer.integers("strides", len(positions))
    return pooled(layer, layer.x, sizes, strides, str(layer.config.get("padding", "valid")))


@rule("ops.Resize")
def _resize(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if layer.config.get(key):
            raise layer.refused(f"{key} cannot be read")
    first = x.rank - 2 if layer.channels_first else x.rank - 3
    lengths = zip((first, first + 1), layer.integers("size", 2), strict=True)
    method = str(layer.config.get("interpolation", "bilinear"))
    return resized(layer, x, dict(lengths), method, layer.config.get("antialias"))
