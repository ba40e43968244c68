"""What only Keras 2 writes: functions of TensorFlow between layers, and layers for cuDNN.

A functional model of Keras 2 has a layer ``TFOpLambda`` for every function of TensorFlow that was
called on its tensors, with the name of the function and its arguments by the names that TensorFlow
has for them. Each is read as the operation of `keras.ops` that does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NamedTuple

from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer, flattened
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Operand

__all__: list[str] = []

rule = TABLE.rule


class Same(NamedTuple):
    """The operation that does what a function of TensorFlow does.

    Attributes
    ----------
    operation : str
        Of `keras.ops`.
    arguments : dict of str to str
        Names of its arguments, by those of the arguments of the function.
    """

    operation: str
    arguments: Mapping[str, str] = {}


def _pairs(**names: str) -> dict[str, Same]:
    return {name.replace("__", "."): Same(one, {"y": "x2"}) for name, one in names.items()}


AXIS = {"axis": "axis"}
KEEPING = {"axis": "axis", "keepdims": "keepdims"}
CUMULATED = {"axis": "axis", "exclusive": "exclusive", "reverse": "reverse"}

FUNCTIONS: dict[str, Same] = {
    **_pairs(
        math__add="Add",
        math__divide="Divide",
        math__divide_no_nan="Divide",
        math__equal="Equal",
        math__floordiv="FloorDivide",
        math__greater="Greater",
        math__greater_equal="GreaterEqual",
        math__less="Less",
        math__less_equal="LessEqual",
        math__logical_and="LogicalAnd",
        math__logical_or="LogicalOr",
        math__maximum="Maximum",
        math__minimum="Minimum",
        math__multiply="Multiply",
        math__pow="Power",
        math__subtract="Subtract",
        math__truediv="Divide",
    ),
    **{
        f"__operators__.{name}": Same(one, {"y": "x2"})
        for name, one in {
            "add": "Add",
            "mul": "Multiply",
            "ne": "NotEqual",
            "pow": "Power",
            "sub": "Subtract",
            "truediv": "Divide",
        }.items()
    },
    **{
        f"{place}.{name}": Same(one)
        for place in ("math", "nn")
        for name, one in {
            "abs": "Absolute",
            "ceil": "Ceil",
            "cos": "Cos",
            "elu": "Elu",
            "erf": "Erf",
            "exp": "Exp",
            "floor": "Floor",
            "log": "Log",
            "log1p": "Log1p",
            "logical_not": "LogicalNot",
            "negative": "Negative",
            "reciprocal": "Reciprocal",
            "relu": "Relu",
            "relu6": "Relu6",
            "round": "Round",
            "rsqrt": "Rsqrt",
            "selu": "Selu",
            "sigmoid": "Sigmoid",
            "sign": "Sign",
            "silu": "Silu",
            "sin": "Sin",
            "softplus": "Softplus",
            "softsign": "Softsign",
            "sqrt": "Sqrt",
            "square": "Square",
            "swish": "Silu",
            "tanh": "Tanh",
        }.items()
    },
    "nn.gelu": Same("Gelu", {"approximate": "approximate"}),
    "nn.leaky_relu": Same("LeakyRelu", {"alpha": "negative_slope"}),
    **{
        f"math.reduce_{name}": Same(one, KEEPING)
        for name, one in {
            "all": "All",
            "any": "Any",
            "logsumexp": "Logsumexp",
            "max": "Max",
            "mean": "Mean",
            "min": "Min",
            "prod": "Prod",
            "std": "Std",
            "sum": "Sum",
            "variance": "Var",
        }.items()
    },
    **{
        f"{place}.l2_normalize": Same("Normalize", {"axis": "axis", "dim": "axis"})
        for place in ("math", "nn", "linalg")
    },
    "cast": Same("Cast"),
    "clip_by_value": Same("Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "concat": Same("Concatenate", AXIS),
    "expand_dims": Same("ExpandDims", AXIS),
    "gather": Same("Take", {"indices": "indices", "axis": "axis"}),
    "identity": Same("Copy"),
    "linalg.matmul": Same("Matmul", {"b": "x2"}),
    "math.argmax": Same("Argmax", AXIS),
    "math.argmin": Same("Argmin", AXIS),
    "math.cumprod": Same("Cumprod", CUMULATED),
    "math.cumsum": Same("Cumsum", CUMULATED),
    "math.softmax": Same("Softmax", AXIS),
    "nn.bias_add": Same("Add", {"bias": "x2"}),
    "nn.log_softmax": Same("LogSoftmax", AXIS),
    "nn.softmax": Same("Softmax", AXIS),
    "pad": Same("Pad", {"paddings": "pad_width", "mode": "mode"}),
    "repeat": Same("Repeat", {"repeats": "repeats", "axis": "axis"}),
    "reshape": Same("Reshape", {"shape": "newshape"}),
    "reverse": Same("Flip", AXIS),
    "squeeze": Same("Squeeze", AXIS),
    "stack": Same("Stack", AXIS),
    "stop_gradient": Same("StopGradient"),
    "tile": Same("Tile", {"multiples": "repeats"}),
    "transpose": Same("Transpose", {"perm": "axes"}),
    "unstack": Same("Unstack", AXIS),
    "where": Same("Where", {"x": "x1", "y": "x2"}),
}
"""Functions by the names that Keras 2 writes."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "concat": {"axis": 0},
    "gather": {"axis": 0},
    "linalg.l2_normalize": {"axis": None},
    "math.argmax": {"axis": 0},
    "math.argmin": {"axis": 0},
    "math.cumprod": {"axis": 0},
    "math.cumsum": {"axis": 0},
    "math.l2_normalize": {"axis": None},
    "math.softmax": {"axis": -1},
    "nn.l2_normalize": {"axis": None},
    "nn.leaky_relu": {"negative_slope": 0.2},
    "nn.log_softmax": {"axis": -1},
    "nn.softmax": {"axis": -1},
    "stack": {"axis": 0},
    "unstack": {"axis": 0},
}
"""Arguments that TensorFlow has by default, where the operation of Keras has others or none.

All axes are reduced, repeated and reversed by default by both.
"""

IGNORED = (
    *("name", "dtype", "output_type", "features", "conjugate", "validate_indices"),
    *("constant_values", "epsilon", "num"),
)
"""Arguments that change no edge."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "batch_dims": (0,),
    "data_format": ("NHWC", "NWC", "NDHWC", "N...C"),
}
"""Values of other arguments that change no edge."""


@rule("TFOpLambda")
def tensorflow_function(tracer: Tracer, layer: Layer) -> Any:
    name = str(layer.config.get("function", ""))
    given = {key: value for key, value in layer.kwargs.items() if value is not None}
    if name == "split":
        return _split(layer, given)
    if name in ("linalg.matmul", "matmul"):
        return _matmul(tracer, layer, given)
    same = FUNCTIONS.get(name)
    if same is None:
        raise layer.refused(f"the function tf.{name} of TensorFlow has no rule")
    config = dict(DEFAULTS.get(name, {}))
    others: dict[str, Any] = {}
    for key, value in given.items():
        known = same.arguments.get(key)
        is_neutral = key in IGNORED or value is False or value in NEUTRAL.get(key, ())
        if known is None and not is_neutral:
            raise layer.refused(f"the argument {key} of tf.{name}")
        if known is not None:
            is_tensor = known in ("x1", "x2", "indices") or any(True for _ in flattened(value))
            (others if is_tensor else config)[known] = value
    if same.operation == "Where":
        others["condition"] = layer.args[0]
        return _applied(layer, "Where", [], config, others)
    if same.operation == "Pad" and "mode" in config:
        config["mode"] = str(config["mode"]).lower()
    return _applied(layer, same.operation, layer.args, config, others)


def _applied(
    layer: Layer, operation: str, args: list[Any], config: Mapping[str, Any], kwargs: Any
) -> Any:
    entry = {"class_name": operation, "module": "keras.ops", "config": dict(config)}
    return layer.inner(entry, *args, name=layer.name, **kwargs)


def _split(layer: Layer, given: Mapping[str, Any]) -> Any:
    """Parts by their number, or by their lengths."""
    parts, axis = given.get("num_or_size_splits"), given.get("axis", 0)
    if isinstance(parts, (list, tuple)):
        length = layer.x.shape[axis]
        known = sum(n for n in parts if n != -1)
        parts = [length - known if n == -1 else n for n in parts]
        parts = list(accumulate(parts))[:-1]
    config = {"indices_or_sections": parts, "axis": axis}
    return _applied(layer, "Split", layer.args, config, {})


def _matmul(tracer: Tracer, layer: Layer, given: Mapping[str, Any]) -> Operand:
    factors = [layer.x, *flattened(given.get("b"))]
    if len(factors) != 2:
        raise InvalidModelError(f"{layer}: a product of {len(factors)} tensors")
    turned = [
        tracer.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))
        if x.rank > 1 and given.get(f"transpose_{letter}")
        else x
        for letter, x in zip("ab", factors, strict=True)
    ]
    return tracer.matmul(*turned)


@rule("SlicingOpLambda")
def slicing(_: Tracer, layer: Layer) -> Any:
    """Indices and slices, which may be given as dicts of their parts."""
    given = layer.argument(1, "slice_spec")
    parts = given if isinstance(given, (list, tuple)) else [given]
    return _applied(layer, "GetItem", [layer.x, [_index(part) for part in parts]], {}, {})


def _index(given: Any) -> Any:
    if isinstance(given, Mapping):
        if given.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(*[given.get(part) for part in ("start", "stop", "step")])
    return Ellipsis if given == "..." else given
