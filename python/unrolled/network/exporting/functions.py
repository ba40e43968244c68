"""Pointwise functions of the network as nodes of ONNX.

Names, arguments and what stands for a missing one are those of `propagate`: what it does not know
is not written either, so that no file computes something else than what was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite, isnan, pi, sqrt
from typing import Any, NamedTuple, TypeAlias

from unrolled.network.exporting.graph import GraphWriter

__all__ = ["write_function"]

Writer: TypeAlias = Callable[[GraphWriter, str, str, Sequence[float]], object]
"""Writes ``output = function(x)`` with all arguments of the function."""


def _are_finite(arguments: Sequence[float]) -> bool:
    return all(map(isfinite, arguments))


def _are_positive(arguments: Sequence[float]) -> bool:
    return all(isfinite(one) and one > 0 for one in arguments)


def _are_bounds(arguments: Sequence[float]) -> bool:
    low, high = arguments
    return low < high


def _is_rising(arguments: Sequence[float]) -> bool:
    return _are_finite(arguments) and arguments[0] > 0


class _Form(NamedTuple):
    """How a function is written, what stands for missing arguments, and which ones it may have."""

    write: Writer
    defaults: tuple[float, ...] = ()
    accepts: Callable[[Sequence[float]], bool] = _are_finite


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
        False, and nothing is written, if `propagate` does not know the function, or not with these
        arguments.
    """
    base, bracket, rest = function.partition("(")
    form = FORMS.get(base.strip().lower().translate(str.maketrans("", "", "_- ")))
    if form is None or (bracket and not rest.endswith(")")):
        return False
    given = rest[:-1].split(",") if rest[:-1].strip() else []
    try:
        arguments = [*map(float, given), *form.defaults[len(given) :]]
    except ValueError:
        return False
    if len(given) > len(form.defaults) or any(map(isnan, arguments)) or not form.accepts(arguments):
        return False
    form.write(graph, x, output, arguments)
    return True


def _operator(operator: str, *names: str, **attributes: Any) -> Writer:
    """One node, whose attributes of these names are the arguments."""

    def write(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
        named: dict[str, Any] = dict(zip(names, arguments, strict=True))
        graph.node(operator, [x], output, **named, **attributes)

    return write


def _scaled(graph: GraphWriter, x: str, factor: float, near: str) -> str:
    return x if factor == 1.0 else graph.node("Mul", [x, graph.constant(factor)], near=near)


def _clip(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    bounds = [graph.constant(one) if isfinite(one) else "" for one in arguments]
    graph.node("Clip", [x, *bounds], output)


def _relu6(graph: GraphWriter, x: str, output: str, _: Sequence[float]) -> None:
    _clip(graph, x, output, (0.0, 6.0))


def _gated(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    """Write ``x * sigmoid(factor * x)``."""
    gate = graph.node("Sigmoid", [_scaled(graph, x, arguments[0], output)], near=output)
    graph.node("Mul", [x, gate], output)


def _quick_gelu(graph: GraphWriter, x: str, output: str, _: Sequence[float]) -> None:
    _gated(graph, x, output, (1.702,))


def _softplus(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    [factor] = arguments
    if factor == 1.0:
        graph.node("Softplus", [x], output)
        return
    outer = graph.node("Softplus", [_scaled(graph, x, factor, output)], near=output)
    graph.node("Div", [outer, graph.constant(factor)], output)


def _log_sigmoid(graph: GraphWriter, x: str, output: str, _: Sequence[float]) -> None:
    # The logarithm of a sigmoid would be infinite where the sigmoid is too small for a float.
    negative = graph.node("Neg", [x], near=output)
    softplus = graph.node("Softplus", [negative], near=output)
    graph.node("Neg", [softplus], output)


def _softshrink(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    [width] = arguments
    graph.node("Shrink", [x], output, lambd=width, bias=width)


def _linear(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    slope, shift = arguments
    scaled = graph.node("Mul", [x, graph.constant(slope)], near=output)
    graph.node("Add", [scaled, graph.constant(shift)], output)


def _erf(graph: GraphWriter, x: str, output: str, arguments: Sequence[float]) -> None:
    graph.node("Erf", [_scaled(graph, x, arguments[0], output)], output)


def _square(graph: GraphWriter, x: str, output: str, _: Sequence[float]) -> None:
    graph.node("Pow", [x, graph.constant(2.0)], output)


FORMS: dict[str, _Form] = {
    "abs": _Form(_operator("Abs")),
    "atan": _Form(_operator("Atan")),
    "celu": _Form(_operator("Celu", "alpha"), (1.0,), _are_positive),
    "clip": _Form(_clip, (-inf, inf), _are_bounds),
    "cos": _Form(_operator("Cos")),
    "elu": _Form(_operator("Elu", "alpha"), (1.0,)),
    "erf": _Form(_erf, (sqrt(pi) / 2,)),  # So that its slope at zero is 1.
    "exp": _Form(_operator("Exp")),
    "gelu": _Form(_operator("Gelu")),
    "gelutanh": _Form(_operator("Gelu", approximate="tanh")),
    "hardsigmoid": _Form(_operator("HardSigmoid", "alpha", "beta"), (1 / 6, 0.5), _is_rising),
    "hardswish": _Form(_operator("HardSwish")),
    "hardtanh": _Form(_clip, (-1.0, 1.0), _are_bounds),
    "identity": _Form(_operator("Identity")),
    "leakyrelu": _Form(_operator("LeakyRelu", "alpha"), (0.01,)),
    "linear": _Form(_linear, (1.0, 0.0)),
    "logsigmoid": _Form(_log_sigmoid),
    "mish": _Form(_operator("Mish")),
    "negative": _Form(_operator("Neg")),
    "prelu": _Form(_operator("LeakyRelu", "alpha"), (0.25,)),
    "quickgelu": _Form(_quick_gelu),
    "relu": _Form(_operator("Relu")),
    "relu6": _Form(_relu6),
    "selu": _Form(_operator("Selu")),
    "sigmoid": _Form(_operator("Sigmoid")),
    "silu": _Form(_gated, (1.0,)),
    "sin": _Form(_operator("Sin")),
    "softplus": _Form(_softplus, (1.0,), _are_positive),
    "softshrink": _Form(_softshrink, (0.5,), _are_positive),
    "softsign": _Form(_operator("Softsign")),
    "square": _Form(_square),
    "swish": _Form(_gated, (1.0,)),
    "tanh": _Form(_operator("Tanh")),
}
"""Functions by their names without underscores."""
