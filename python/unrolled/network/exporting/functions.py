"""Pointwise functions of the network as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any, TypeAlias

from unrolled.network.exporting.graph import GraphWriter

__all__ = ["write_function"]

Writer: TypeAlias = Callable[[GraphWriter, str, str, list[float]], object]

OPERATORS = {
    "abs": "Abs",
    "atan": "Atan",
    "cos": "Cos",
    "exp": "Exp",
    "gelu": "Gelu",
    "hardswish": "HardSwish",
    "identity": "Identity",
    "mish": "Mish",
    "negative": "Neg",
    "relu": "Relu",
    "selu": "Selu",
    "sigmoid": "Sigmoid",
    "sin": "Sin",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
"""Functions without arguments that one operator computes."""

ATTRIBUTES: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "celu": ("Celu", (("alpha", 1.0),)),
    "elu": ("Elu", (("alpha", 1.0),)),
    "hardsigmoid": ("HardSigmoid", (("alpha", 1 / 6), ("beta", 0.5))),
    "leakyrelu": ("LeakyRelu", (("alpha", 0.01),)),
    "prelu": ("LeakyRelu", (("alpha", 0.25),)),
}
"""Functions whose arguments are attributes of one operator, with what stands for a missing one."""


def write_function(graph: GraphWriter, function: str, x: str, output: str) -> bool:
    """Write ``output = function(x)``.

    Parameters
    ----------
    graph : GraphWriter
    function : str
        A name as `Network.activation` takes it, with its arguments if it has any.
    x, output : str
        Names of values.

    Returns
    -------
    bool
        False, and nothing is written, if the function is unknown here.
    """
    base, _, rest = function.partition("(")
    name = base.strip().lower().translate(str.maketrans("", "", "_- "))
    try:
        arguments = [float(one) for one in rest.rstrip(") ").split(",") if one.strip()]
    except ValueError:
        return False
    if name in OPERATORS and not arguments:
        graph.node(OPERATORS[name], [x], output)
    elif name in ATTRIBUTES:
        operator, defaults = ATTRIBUTES[name]
        values = [*arguments, *[value for _, value in defaults[len(arguments) :]]]
        named: dict[str, Any] = {
            key: value for (key, _), value in zip(defaults, values, strict=False)
        }
        graph.node(operator, [x], output, **named)
    elif name in COMPOSED:
        COMPOSED[name](graph, x, output, arguments)
    else:
        return False
    return True


def _clip(low: float | None, high: float | None) -> Writer:
    """A function that cuts off at bounds, which its arguments may replace."""

    def write(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
        bounds = [*arguments, *[low, high][len(arguments) :]]
        inputs = ["" if bound is None else graph.constant(bound) for bound in bounds]
        graph.node("Clip", [x, *inputs], output)

    return write


def _gated(scale: float) -> Writer:
    """``x * sigmoid(scale * x)``."""

    def write(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
        factor = arguments[0] if arguments else scale
        inner = x
        if factor != 1.0:
            inner = graph.node("Mul", [x, graph.constant(factor)], near=output)
        gate = graph.node("Sigmoid", [inner], near=output)
        graph.node("Mul", [x, gate], output)

    return write


def _softplus(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
    factor = arguments[0] if arguments else 1.0
    if factor == 1.0:
        graph.node("Softplus", [x], output)
        return
    inner = graph.node("Mul", [x, graph.constant(factor)], near=output)
    outer = graph.node("Softplus", [inner], near=output)
    graph.node("Div", [outer, graph.constant(factor)], output)


def _log_sigmoid(graph: GraphWriter, x: str, output: str, _arguments: list[float]) -> None:
    gate = graph.node("Sigmoid", [x], near=output)
    graph.node("Log", [gate], output)


def _softshrink(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
    threshold = arguments[0] if arguments else 0.5
    graph.node("Shrink", [x], output, lambd=threshold, bias=threshold)


def _linear(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
    slope, shift = [*arguments, *[1.0, 0.0][len(arguments) :]]
    scaled = graph.node("Mul", [x, graph.constant(slope)], near=output)
    graph.node("Add", [scaled, graph.constant(shift)], output)


def _erf(graph: GraphWriter, x: str, output: str, arguments: list[float]) -> None:
    factor = arguments[0] if arguments else sqrt(pi) / 2  # So that its slope at zero is 1.
    inner = x if factor == 1.0 else graph.node("Mul", [x, graph.constant(factor)], near=output)
    graph.node("Erf", [inner], output)


COMPOSED: dict[str, Writer] = {
    "clip": _clip(None, None),
    "erf": _erf,
    "gelutanh": lambda graph, x, output, _: graph.node("Gelu", [x], output, approximate="tanh"),
    "hardtanh": _clip(-1.0, 1.0),
    "linear": _linear,
    "logsigmoid": _log_sigmoid,
    "quickgelu": _gated(1.702),
    "relu6": _clip(0.0, 6.0),
    "silu": _gated(1.0),
    "softplus": _softplus,
    "softshrink": _softshrink,
    "square": lambda graph, x, output, _: graph.node("Pow", [x, graph.constant(2.0)], output),
    "swish": _gated(1.0),
}
"""Functions that take constants or several nodes."""
