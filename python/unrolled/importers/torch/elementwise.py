"""Rules of PyTorch operators that work element by element, and reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.importers.torch.node import Node, aten
from unrolled.importers.tracing.functions import NAMED
from unrolled.importers.tracing.values import OPPOSITE, Array, Constant, Operand, Value

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["axes_of"]

NAMES: dict[str, Callable[[Any], Any]] = {
    **{
        name: NAMED[name]
        for name in ("relu", "relu6", "silu", "sigmoid", "tanh", "mish", "selu", "log_sigmoid")
    },
    "hardswish": NAMED["hard_swish"],
    "hardsigmoid": NAMED["hard_sigmoid"],
    "logsigmoid": NAMED["log_sigmoid"],
    "erf": NAMED["erf(1)"],
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "sign": np.sign,
    "logical_not": np.logical_not,
    "bitwise_not": np.invert,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "isposinf": np.isposinf,
    "isneginf": np.isneginf,
    "round": np.round,
}
"""Functions of one tensor without arguments, by their names in PyTorch."""

COMPUTED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(["eq", "__eq__"], np.equal),
    **dict.fromkeys(["ne", "not_equal"], np.not_equal),
    **dict.fromkeys(["lt", "less"], np.less),
    **dict.fromkeys(["le", "less_equal"], np.less_equal),
    **dict.fromkeys(["gt", "greater"], np.greater),
    **dict.fromkeys(["ge", "greater_equal"], np.greater_equal),
    "logaddexp": np.logaddexp,
    "hypot": np.hypot,
}
"""What some functions of several tensors compute."""

CONJUNCTIONS = ("logical_and", "bitwise_and", "__and__")
DISJUNCTIONS = ("logical_or", "bitwise_or", "__or__")
"""Which a constant may decide."""

REDUCTIONS = {
    **{"mean": "mean", "nanmean": "mean", "sum": "sum", "nansum": "sum", "amax": "max"},
}
"""What reductions do to a signal, as far as it is followed."""


@aten(
    *("clone", "contiguous", "detach", "alias", "lift", "lift_fresh", "lift_fresh_copy", "copy"),
    *("to", "_to_copy", "type_as", "positive", "dropout", "feature_dropout", "native_dropout"),
    *("alpha_dropout", "feature_alpha_dropout", "resolve_conj", "resolve_neg", "real", "conj"),
    *("_conj", "_conj_physical", "data", "float", "half", "double", "rename", "set_"),
    *("cpu", "cuda", "_autocast_to_full_precision", "_autocast_to_reduced_precision"),
)
def _same(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    if node.operator.rstrip("_") == "aten.copy":
        return tracer.expand(node.operand("src"), node.shape)
    x = node.operands()[0]
    if isinstance(x, Value) and x.fill is not None and node.get("dtype") is not None:
        is_flag = str(node["dtype"]) == "torch.bool"
        x = replace(x, fill=bool(x.fill) if is_flag else float(x.fill))
    return x if len(node.shapes) == 1 else [x, Constant(node.shapes[1])]


@aten(
    *NAMES,
    *("elu", "celu", "leaky_relu", "softplus", "softshrink", "gelu", "hardtanh", "hardshrink"),
    *("rrelu", "threshold", "erfc", "erfinv", "log2", "log10", "sinc"),
    *("fix", "frac", "sgn", "signbit", "logit", "digamma", "lgamma", "i0"),
    *("special_i0e", "special_erfcx", "special_ndtr", "special_log_ndtr", "deg2rad", "rad2deg"),
    *("nan_to_num", "angle", "bucketize", "polygamma", "fake_quantize_per_tensor_affine"),
)
def _pointwise(tracer: Tracer, node: Node) -> Operand:
    name = node.operator.removeprefix("aten.").rstrip("_")
    x = _first_value(node)
    if isinstance(x, Constant):
        return tracer.pointwise(x)
    return tracer.pointwise(x, _function_named(name, node), name=name)


def _function_named(name: str, node: Node) -> Callable[[Any], Any] | None:
    """What an operator computes from single elements, as far as it is known."""
    if name in NAMES:
        return NAMES[name]

    def number(argument: str) -> float:
        return float(node[argument])

    functions: dict[str, Callable[[Any], Any]] = {
        "gelu": NAMED["gelu_tanh" if node.get("approximate") == "tanh" else "gelu"],
        "elu": lambda a: (
            number("scale")
            * np.where(
                a > 0, a, number("alpha") * np.expm1(number("input_scale") * np.minimum(a, 0))
            )
        ),
        "celu": lambda a: np.where(
            a > 0, a, number("alpha") * np.expm1(np.minimum(a, 0) / number("alpha"))
        ),
        "leaky_relu": lambda a: np.where(a > 0, a, number("negative_slope") * a),
        "softplus": lambda a: np.logaddexp(0, number("beta") * a) / number("beta"),
        "softshrink": lambda a: np.sign(a) * np.maximum(np.abs(a) - number("lambd"), 0),
        "hardshrink": lambda a: np.where(np.abs(a) > number("lambd"), a, 0),
        "hardtanh": lambda a: np.clip(a, number("min_val"), number("max_val")),
    }
    return functions.get(name)


@aten("_log_sigmoid_forward", "log_sigmoid_forward", "rrelu_with_noise_functional")
def _pointwise_and_buffer(tracer: Tracer, node: Node) -> list[Operand]:
    y = tracer.pointwise(_first_value(node))
    return [y, *[Constant(shape) for shape in node.shapes[1:]]]


@aten("sqrt")
def _sqrt(tracer: Tracer, node: Node) -> Operand:
    return _power(tracer, node.operand("self"), np.sqrt)


@aten("square")
def _square(tracer: Tracer, node: Node) -> Operand:
    return _power(tracer, node.operand("self"), np.square)


@aten("abs", "absolute")
def _abs(tracer: Tracer, node: Node) -> Operand:
    return _power(tracer, node.operand("self"), np.abs)


@aten("rsqrt")
def _rsqrt(tracer: Tracer, node: Node) -> Operand:
    return tracer.reciprocal(_power(tracer, node.operand("self"), np.sqrt))


@aten("reciprocal")
def _reciprocal(tracer: Tracer, node: Node) -> Operand:
    return tracer.reciprocal(node.operand("self"))


@aten("neg", "negative")
def _negative(tracer: Tracer, node: Node) -> Operand:
    return tracer.negative(node.operand("self"))


@aten("pow", "float_power", "special_xlogy")
def _pow(tracer: Tracer, node: Node) -> Operand:
    base, exponent = node.operand("self"), node.operand("exponent")
    number = _number(exponent)
    if isinstance(base, Constant) or number is None:
        return tracer.function(base, exponent)
    y = _power(tracer, base, lambda a: np.power(a, abs(number)))
    return tracer.reciprocal(y) if number < 0 else y


@aten("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(tracer: Tracer, node: Node) -> Operand:
    bounds = [node[name] for name in ("min", "max") if node.get(name) is not None]
    moving = [bound for bound in bounds if isinstance(bound, Value)]
    x = node.operand("self")
    if moving:
        return tracer.function(x, *moving)
    low, high = node.get("min"), node.get("max")
    is_known = all(bound is None or isinstance(bound, (int, float)) for bound in (low, high))
    clip = (lambda a: np.clip(a, low, high)) if is_known else None
    return tracer.expand(_power(tracer, x, clip), node.shape)


@aten("add", "sub", "subtract", "rsub", "__add__", "__sub__")
def _add(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operand("self"), node.operand("other")
    alpha = node.get("alpha", 1)
    if alpha == 0:
        zero = (a, b) if "rsub" not in node.operator else (b, a)
        return tracer.expand(zero[0], node.shape)
    if "rsub" in node.operator:
        return tracer.subtract(b, _scale(tracer, a, alpha))
    minus = "sub" in node.operator
    if (alpha < 0) != minus:
        a, b = tracer.dequantised([a, b], "zero point")
        return tracer.subtract(a, _scale(tracer, b, abs(alpha)))
    return tracer.add(a, _scale(tracer, b, abs(alpha)))


@aten("mul", "multiply", "__mul__")
def _multiply(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operand("self"), node.operand("other")
    for x, factor in ((a, b), (b, a)):
        if isinstance(x, Value) and isinstance(factor, Constant):
            return tracer.expand(_times(tracer, x, factor), node.shape)
    return tracer.multiply(*tracer.dequantised([a, b], "scale"))


@aten("div", "divide", "true_divide", "floor_divide")
def _divide(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operand("self"), node.operand("other")
    if node.get("rounding_mode") is not None or "floor" in node.operator:
        return tracer.function(a, b)
    if isinstance(a, Value) and isinstance(b, Constant):
        factor = tracer.reciprocal(b)
        return tracer.expand(
            _times(tracer, a, factor if isinstance(factor, Constant) else b), node.shape
        )
    return tracer.divide(*tracer.dequantised([a, b], "scale"))


@aten("addcmul", "addcdiv")
def _add_product(tracer: Tracer, node: Node) -> Operand:
    x, a, b = node.operand("self"), node.operand("tensor1"), node.operand("tensor2")
    product = tracer.multiply(a, b) if "mul" in node.operator else tracer.divide(a, b)
    return tracer.subtract(x, product) if node["value"] < 0 else tracer.add(x, product)


@aten(
    *("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater"),
    *("greater_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or"),
    *("bitwise_xor", "__and__", "__or__", "__xor__", "fmod", "remainder", "atan2", "arctan2"),
    *("hypot", "copysign", "xlogy", "logaddexp", "logaddexp2", "lerp", "nextafter", "isclose"),
    *("heaviside", "ldexp", "gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift"),
)
def _function_of_all(tracer: Tracer, node: Node) -> Operand:
    name = node.operator.partition(".")[2]
    if name in CONJUNCTIONS or name in DISJUNCTIONS:
        decide = tracer.both if name in CONJUNCTIONS else tracer.either
        return decide(node.operand("self"), node.operand("other"))
    compute = COMPUTED.get(name)
    if compute is not None:
        return tracer.function(node.operand("self"), node.operand("other"), compute=compute)
    return tracer.function(*node.operands())


@aten("maximum", "minimum", "fmax", "fmin")
def _extremum(tracer: Tracer, node: Node) -> Operand:
    operands = node.operands()
    values = [x for x in operands if isinstance(x, Value)]
    if len(values) == 1:
        others = [x for x in operands if isinstance(x, Constant)]
        bound = _number(others[0]) if len(others) == 1 else None
        extreme = np.maximum if "max" in node.operator else np.minimum
        clip = None if bound is None else (lambda a: extreme(a, bound))
        return tracer.expand(_power(tracer, values[0], clip), node.shape)
    extreme = np.maximum if "max" in node.operator else np.minimum
    return tracer.combine(*operands, compute=extreme if len(operands) == 2 else None)


@aten("where")
def _where(tracer: Tracer, node: Node) -> Operand:
    cases = [_operand(node[name]) for name in ("condition", "self", "other")]
    return tracer.expand(tracer.where(*cases), node.shape)


@aten("masked_fill")
def _masked_fill(tracer: Tracer, node: Node) -> Operand:
    cases = [_operand(node[name]) for name in ("mask", "value", "self")]
    return tracer.expand(tracer.where(*cases), node.shape)


@aten("tril", "triu")
def _triangle(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    triangle = np.tril if "tril" in node.operator else np.triu
    ones = triangle(np.ones(x.shape[-2:], dtype=bool), node["diagonal"])
    return _keep_elements(tracer, x, ones)


@aten("fill", "zero", "bernoulli", "normal", "uniform", "exponential", "random")
@aten("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like")
@aten("randint_like", "new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided")
def _filled(tracer: Tracer, node: Node) -> Operand:
    value = node.get("value")
    if isinstance(value, Value):
        return tracer.expand(value, node.shape)
    known = {"zeros": 0, "zero": 0, "ones": 1, "fill": value, "full": node.get("fill_value")}
    kind = node.operator.removeprefix("aten.").removeprefix("new_").removesuffix("_like")
    number = known.get(kind.rstrip("_"))
    if not isinstance(number, (int, float)):
        return Constant(node.shape)
    return Constant(node.shape, np.broadcast_to(np.asarray(number), node.shape))


@aten("prelu", "_prelu_kernel")
def _prelu(tracer: Tracer, node: Node) -> Operand:
    x, weight = node.operand("self"), node.operand("weight")
    is_weight = isinstance(weight, Value) and weight.node.is_weight
    if not is_weight and (weight.size == 1 or x.rank < 2):
        return tracer.combine(x, tracer.reshape(weight, (weight.size,)))
    # What PyTorch begins with, as far as the slopes are parameters.
    operation = Operation("function", "prelu(0.25)") if is_weight else Operation("other", "prelu")
    axis = min(1, x.rank - 1)
    weight = tracer.reshape(weight, (weight.size,))
    return tracer.affine(x, (axis,), weight, operation=operation, roles=("scale",))


@aten("glu")
def _glu(tracer: Tracer, node: Node) -> Operand:
    x, axis = node.operand("self"), node["dim"]
    half = x.shape[axis] // 2
    a, b = tracer.split(x, axis % x.rank, [half, half])
    return tracer.multiply(a, tracer.pointwise(b, NAMED["sigmoid"], name="sigmoid"))


@aten(
    *("mean", "sum", "prod", "amax", "amin", "var", "std", "logsumexp", "norm", "all", "any"),
    *("nanmean", "nansum", "nanmedian", "linalg_vector_norm", "linalg_norm", "frobenius_norm"),
    *("nuclear_norm", "argmax", "argmin", "count_nonzero", "max", "min", "median", "mode"),
    *("var_mean", "std_mean", "aminmax", "kthvalue"),
)
def _reduce(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("self")
    if isinstance(other := node.get("other"), (Value, Constant)):  # The maximum of two tensors.
        return tracer.combine(x, other)
    default = -1 if node.operator in ("aten.mode", "aten.kthvalue") else None
    axes = axes_of(x, node.get("dim", default))
    operator = node.operator.removeprefix("aten.")
    keepdims = bool(node.get("keepdim", False))
    if operator in ("norm", "linalg_vector_norm", "linalg_norm", "frobenius_norm"):
        return tracer.norm(x, axes, _order_of_norm(operator, node), keepdims=keepdims)
    reduction = REDUCTIONS.get(operator, "")
    y = tracer.reduce(x, axes, keepdims=keepdims, reduction=reduction)
    if "arg" in node.operator:
        return tracer.pointwise(y)
    return y if len(node.shapes) == 1 else [y] * len(node.shapes)


def _order_of_norm(operator: str, node: Node) -> Any:
    """The order of a norm; None for the root of a sum of squares over any number of axes."""
    order = node.get("p" if operator == "norm" else "ord")
    is_of_vectors = operator in ("norm", "linalg_vector_norm")
    return None if is_of_vectors and order == 2 else order


@aten("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def _cumulate(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("self")
    y = tracer.cumulate(x, node["dim"]) if x.rank else x
    return y if len(node.shapes) == 1 else [y, tracer.pointwise(y)]


@aten("topk", "sort", "argsort", "msort")
def _sort(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("self")
    if not x.rank:
        return x if len(node.shapes) == 1 else [x, tracer.pointwise(x)]
    axis = node.get("dim", 0 if "msort" in node.operator else -1)
    largest = node.operator.startswith("aten.topk") and bool(node.get("largest", True))
    y = tracer.reorder(x, axis, node.shape[axis], largest=largest)
    if "arg" in node.operator:
        return tracer.pointwise(y)
    return y if len(node.shapes) == 1 else [y, tracer.pointwise(y)]


def axes_of(x: Operand, dim: Any) -> list[int]:
    """The axes that an argument `dim` stands for: all of them where it is None or empty."""
    if dim is None or dim == [] or dim == ():
        return list(range(x.rank))
    axes = list(dim) if isinstance(dim, Sequence) else [dim]
    return [axis % x.rank for axis in axes] if x.rank else []


def _first_value(node: Node) -> Operand:
    return next(iter(node.operands()))


def _power(tracer: Tracer, x: Operand, function: Callable[[Any], Any] | None = None) -> Operand:
    """A function that turns a reciprocal into a reciprocal; the sign of its argument is lost."""
    if isinstance(x, Constant):
        return tracer.pointwise(x)
    return tracer.pointwise(x, function, power=x.sign != "-")


def _times(tracer: Tracer, x: Value, factor: Constant) -> Operand:
    """A tensor times a constant, whose sign may matter to what follows."""
    number = _number(factor)
    y = tracer.multiply(x, factor)
    if not isinstance(y, Value):
        return y
    return replace(y, sign=OPPOSITE[y.sign]) if (number or 0) < 0 else y


def _scale(tracer: Tracer, x: Operand, factor: float) -> Operand:
    return x if factor == 1 else tracer.multiply(x, Constant.of(factor))


def _number(x: Operand) -> float | None:
    """The value of a constant whose elements are all alike."""
    if not isinstance(x, Constant) or x.array is None or not x.array.size:
        return None
    first = x.array.reshape(-1)[0]
    return float(first) if bool((x.array == first).all()) else None


def _operand(given: Any) -> Operand:
    """A tensor, or a number as a constant."""
    return given if isinstance(given, (Value, Constant)) else Constant.of(given)


def _keep_elements(tracer: Tracer, x: Operand, keep: Array) -> Operand:
    """A tensor of which only some elements are read, the others being constant."""
    if isinstance(x, Constant) or not keep.any():
        return Constant(x.shape)
    if keep.all():
        return x
    keep = keep.reshape((1,) * (x.rank - keep.ndim) + keep.shape)
    axes = [axis for axis in range(x.rank) if (keep != keep.take([0], axis)).any()]
    first, last = axes[0], axes[-1] + 1
    others = tuple(axis for axis in range(x.rank) if not first <= axis < last)
    plane = np.broadcast_to(keep.any(axis=others), x.shape[first:last]).reshape(-1)
    merged = tracer.reshape(x, (*x.shape[:first], plane.size, *x.shape[last:]))
    assert isinstance(merged, Value)
    indices = np.where(plane, np.arange(plane.size), -1)
    y = tracer.read(merged, {first: (plane.size, Relation.select(first, first, indices))})
    return tracer.reshape(y, x.shape)
