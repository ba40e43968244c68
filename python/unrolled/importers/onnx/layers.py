"""ONNX layers: convolutions, products, pooling, norms."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from unrolled._core import Operation
from unrolled._support.hints import listed
from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Node, Stored
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.functions import NAMED, ElementFunction
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value, size_of
from unrolled.importers.tracing.windows import Window

__all__: list[str] = []

rule = TABLE.rule

MOST_CHANNELS = 1 << 24
"""A norm that has one weight for each of its groups may have so many channels."""

AUTO_PADS: dict[str, tuple[int, int] | str] = {
    "SAME_UPPER": "same",
    "SAME_LOWER": "same_lower",
    "VALID": (0, 0),
}


@rule("Conv")
def conv(tracer: Tracer, node: Node) -> Operand:
    x, kernel = node.input(0), node.input(1)
    windows = windows_of(tracer, node, x, sizes_of(node, kernel))
    y = tracer.convolve(x, kernel, windows, groups=node.attribute("group", 1))
    return with_bias(tracer, node, y, 2)


@rule("ConvInteger", "QLinearConv")
def quantised_conv(tracer: Tracer, node: Node) -> Operand:
    x, kernel = node.input(0), node.input(3 if node.operator == "QLinearConv" else 1)
    windows = windows_of(tracer, node, x, sizes_of(node, kernel))
    y = tracer.convolve(x, kernel, windows, groups=node.attribute("group", 1))
    return quantised_product(node, with_bias(tracer, node, y, 8))


@rule("ConvTranspose")
def conv_transpose(tracer: Tracer, node: Node) -> Operand:
    x, kernel = node.input(0), node.input(1)
    rank = x.rank - 2
    sizes = sizes_of(node, kernel)
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    pads = node.attribute("pads", [0] * 2 * rank)
    extra = node.attribute("output_padding", [0] * rank)
    wanted = node.attribute("output_shape", [])
    auto = node.attribute("auto_pad", "NOTSET")
    given = [strides, dilations, extra, sizes, *([wanted] if wanted else [])]
    fits = all(len(one) == rank for one in given) and len(pads) == 2 * rank
    if rank < 1 or not fits or auto not in (*AUTO_PADS, "NOTSET", ""):
        raise InvalidModelError(
            f"node '{node.name}': strides {strides}, dilations {dilations}, pads {pads} and "
            f"auto_pad '{auto}' do not fit a kernel of shape {kernel.shape} and a tensor of shape "
            f"{x.shape}"
        )
    windows = []
    for axis in range(rank):
        n, k = x.shape[2 + axis], sizes[axis]
        stride, dilation = strides[axis], dilations[axis]
        whole = stride * (n - 1) + extra[axis] + (k - 1) * dilation + 1
        before, after = pads[axis], pads[axis + rank]
        if wanted or auto.startswith("SAME"):
            length = wanted[axis] if wanted else n * stride
            total = whole - length
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after = total - before
        elif auto == "VALID":
            before = after = 0
        length = whole - before - after
        if min(length, stride, dilation) < 1:
            raise InvalidModelError(f"node '{node.name}': nothing is left of axis {2 + axis}")
        windows.append(Window(n, k, stride, dilation, before, length))
    y = tracer.convolve_transposed(x, kernel, windows, groups=node.attribute("group", 1))
    return with_bias(tracer, node, y, 2)


def sizes_of(node: Node, kernel: Operand) -> tuple[int, ...]:
    """The spatial lengths of a kernel, which an attribute may state as well."""
    stated = tuple(node.attribute("kernel_shape", list(kernel.shape[2:])))
    if stated != kernel.shape[2:]:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): kernel_shape is ({listed(stated)}), but the "
            f"kernel has the shape {kernel.shape}"
        )
    return kernel.shape[2:]


def with_bias(tracer: Tracer, node: Node, y: Operand, position: int) -> Operand:
    """A tensor plus a bias along axis 1, if there is one."""
    bias = node.optional(position)
    if bias is None:
        return y
    if bias.shape != y.shape[1:2]:
        raise InvalidModelError(
            f"node '{node.name}': a bias of shape {bias.shape} does not fit {y.shape[1]} channels"
        )
    return tracer.affine(y, (1,), bias)


def windows_of(tracer: Tracer, node: Node, x: Operand, sizes: Any) -> list[Window]:
    """The windows that the attributes of a node describe, one for each spatial axis."""
    rank = x.rank - 2
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    pads = node.attribute("pads", [0] * 2 * rank)
    auto = node.attribute("auto_pad", "NOTSET")
    ceil = bool(node.attribute("ceil_mode", 0))
    fits = len(sizes) == len(strides) == len(dilations) == rank and len(pads) == 2 * rank
    if rank < 1 or not fits or auto not in (*AUTO_PADS, "NOTSET", ""):
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): a window of size {tuple(sizes)} with strides "
            f"{strides}, dilations {dilations} and pads {pads} does not fit a tensor of shape "
            f"{x.shape}"
        )
    return [
        tracer.window(
            x.shape[2 + axis],
            sizes[axis],
            stride=strides[axis],
            dilation=dilations[axis],
            padding=AUTO_PADS.get(auto, (pads[axis], pads[axis + rank])),
            ceil=ceil,
        )
        for axis in range(rank)
    ]


@rule("MaxPool", "AveragePool", "LpPool")
def pool(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    windows = windows_of(tracer, node, x, node.attribute("kernel_shape", []))
    return tracer.pool(x, windows, operation=_pooling(node, windows))


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    reduction = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}.get(node.operator, "")
    return tracer.reduce(x, range(2, x.rank), keepdims=True, reduction=reduction)


def _pooling(node: Node, windows: list[Window]) -> Operation:
    if node.operator == "MaxPool":
        return Operation("max_pool")
    if node.operator != "AveragePool":
        return Operation("other")
    if node.attribute("count_include_pad", 0):
        return Operation("average", divisor=float(prod(window.size for window in windows)))
    return Operation("average")


@rule("MatMul")
def matmul(tracer: Tracer, node: Node) -> Operand:
    return tracer.matmul(node.input(0), node.input(1))


@rule("MatMulInteger", "QLinearMatMul")
def quantised_matmul(tracer: Tracer, node: Node) -> Operand:
    y = tracer.matmul(node.input(0), node.input(3 if node.operator == "QLinearMatMul" else 1))
    return quantised_product(node, y)


def quantised_product(node: Node, y: Operand) -> Operand:
    """A product with stored integers, whose scale is still to come if nothing scales it here."""
    of_weight = any(isinstance(x, Stored) and x.value is not None for x in node.inputs[:2])
    if isinstance(y, Value) and of_weight and not node.operator.startswith("QLinear"):
        return replace(y, awaits_scale=True)
    return y


@rule("DynamicQuantizeLinear")
def dynamic_quantize(tracer: Tracer, node: Node) -> list[Operand]:
    # Scale and zero point are divided out again later on, so that no path goes through them.
    return [tracer.pointwise(node.input(0)), Constant(()), Constant(())]


@rule("Gemm")
def gemm(tracer: Tracer, node: Node) -> Operand:
    a, b, c = node.input(0), node.input(1), node.optional(2)
    a = tracer.transpose(a, (1, 0)) if node.attribute("transA", 0) else a
    rows = [1, 2] if not node.attribute("transB", 0) else [2, 1]
    if a.rank != 2 or b.rank != 2:
        raise InvalidModelError(
            f"node '{node.name}': shapes {a.shape} and {b.shape} are no matrices"
        )
    y = tracer.contract([[0, 1], rows], [0, 2], [a, b])
    return y if c is None else tracer.add(y, c)


@rule("Einsum")
def einsum(tracer: Tracer, node: Node) -> Operand:
    operands = [node.input(position) for position in range(len(node.inputs))]
    return tracer.einsum(node.attribute("equation", ""), *operands)


@rule("BatchNormalization")
def batch_norm(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    scale, shift = node.input(1), node.input(2)
    if node.attribute("training_mode", 0):
        # The tensor's own statistics are used; the stored ones are only updated.
        others = [axis for axis in range(x.rank) if axis != 1]
        y = tracer.normalise(x, others, "batch_norm")
        return tracer.affine(y, (1,), scale, shift, roles=("scale", "shift"))
    mean, variance = node.input(3), node.input(4)
    weights = (scale, shift, mean, variance)
    if x.rank < 2 or any(weight.shape != (x.shape[1],) for weight in weights):
        raise InvalidModelError(
            f"node '{node.name}': weights of shapes {[w.shape for w in weights]} do not fit a "
            f"tensor of shape {x.shape}"
        )
    if any(isinstance(weight, Value) and weight.node.is_statistic for weight in (mean, variance)):
        shape = (-1, *[1] * (x.rank - 2))
        mean, variance = (tracer.reshape(w, (w.size, *shape[1:])) for w in (mean, variance))
        spread = tracer.pointwise(variance, power=True)
        y = tracer.divide(tracer.subtract(x, mean), spread)
        return tracer.affine(y, (1,), scale, shift, roles=("scale", "shift"))
    operation = Operation("batch_norm", axes=(1,), epsilon=float(node.attribute("epsilon", 1e-5)))
    return tracer.affine(
        x, (1,), *weights, operation=operation, roles=("scale", "shift", "mean", "variance")
    )


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def layer_norm(tracer: Tracer, node: Node) -> list[Operand]:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", -1)], x.rank)
    axes = range(axis, x.rank)
    given = {"scale": node.optional(1), "shift": node.optional(2)}
    weights = [w for w in given.values() if w is not None]
    roles: list[Any] = [role for role, w in given.items() if w is not None]
    is_centred = node.operator == "LayerNormalization"
    y = tracer.normalise(x, axes, "layer_norm" if is_centred else "rms_norm")
    if all(w.rank <= len(axes) for w in weights):
        y = tracer.affine(y, tuple(axes), *weights, roles=roles)
    else:
        for weight in weights:
            y = tracer.combine(y, weight)
    if not any(node.outputs[1:]):
        return [y]
    mean = tracer.reduce(x, axes, keepdims=True)
    spread = tracer.reciprocal(tracer.reduce(x, axes, keepdims=True))
    return [y, mean, spread]


@rule("GroupNormalization")
def group_norm(tracer: Tracer, node: Node) -> Operand:
    x, scale, shift = node.input(0), node.input(1), node.input(2)
    groups = node.attribute("num_groups", 1)
    if x.rank < 2 or groups < 1 or x.shape[1] % groups or x.shape[1] > MOST_CHANNELS:
        raise InvalidModelError(f"node '{node.name}': {groups} groups do not fit {x.shape}")
    grouped = tracer.reshape(x, (x.shape[0], groups, size_of(x.shape[1:]) // groups))
    if tracer.network.semantics == "dependency":
        x = tracer.reshape(tracer.normalise(grouped, (2,)), x.shape)
    if scale.shape == (groups,) and groups != x.shape[1]:  # Versions 18 to 20.
        scale, shift = (
            tracer.take(weight, 0, np.repeat(np.arange(groups), x.shape[1] // groups))
            for weight in (scale, shift)
        )
    operation = Operation("group_norm", axes=(1,), groups=groups)
    return tracer.affine(x, (1,), scale, shift, operation=operation, roles=("scale", "shift"))


@rule("InstanceNormalization")
def instance_norm(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    scale, shift = node.input(1), node.input(2)
    operation = Operation("group_norm", axes=(1,), groups=x.shape[1])
    if tracer.network.semantics == "dependency":
        x = tracer.normalise(x, range(2, x.rank), "group_norm")
    elif isinstance(x, Value) and isinstance(scale, Constant) and isinstance(shift, Constant):
        return _norm_of_groups(tracer, x, operation)
    return tracer.affine(x, (1,), scale, shift, operation=operation, roles=("scale", "shift"))


def _norm_of_groups(tracer: Tracer, x: Value, operation: Operation) -> Operand:
    """A norm without weights of its own, as exporters write that of groups of channels.

    They reshape the channels into groups before it and back behind it. To norm the tensor as it
    was and to reshape afterwards is the same, and then the two reshapes undo each other.
    """
    whole = tracer.before_reshape(x)
    is_of_groups = (
        whole.rank > 1 and whole.shape[0] == x.shape[0] and (whole.shape[1] % operation.groups == 0)
    )
    if not is_of_groups:
        whole = x
    return tracer.reshape(tracer.affine(whole, (), operation=operation, roles=()), x.shape)


@rule("LpNormalization")
def lp_norm(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    return tracer.normalise(x, checked_axes(node, [node.attribute("axis", -1)], x.rank), "norm")


@rule("MeanVarianceNormalization")
def mean_variance_norm(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    return tracer.normalise(x, checked_axes(node, node.attribute("axes", [0, 2, 3]), x.rank))


@rule("LRN")
def local_response_norm(tracer: Tracer, node: Node) -> Operand:
    x, size = node.input(0), node.attribute("size", 1)
    if isinstance(x, Constant) or tracer.network.semantics == "value":
        return tracer.pointwise(x)
    window = tracer.window(x.shape[1], size, padding=((size - 1) // 2, size // 2))
    return tracer.pool(x, [window], first=1)


@rule("Softmax", "LogSoftmax")
def softmax(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    if node.opset >= 13:
        axes = checked_axes(node, [node.attribute("axis", -1)], x.rank)
        return tracer.normalise(x, axes, _softmax_kind(node))
    (axis,) = checked_axes(node, [node.attribute("axis", 1)], x.rank)
    # All axes from there on, before version 13.
    return tracer.normalise(x, range(axis, x.rank), _softmax_kind(node))


def _softmax_kind(node: Node) -> str:
    return "softmax" if node.operator == "Softmax" else "log_softmax"


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""Functions of recurrent layers that name none."""

ARGUMENTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0, None),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, None),
    "scaledtanh": (1.0, 1.0),
    "thresholdedrelu": (1.0, None),
}
"""Functions of recurrent layers with arguments alpha and beta, and what these are by default."""


def _recurrent_functions(node: Node, directions: int) -> list[list[ElementFunction | None]]:
    """The functions of a recurrent layer, for each direction."""
    number = len(USUAL[node.operator])
    names = [
        (name.decode() if isinstance(name, bytes) else str(name)).lower()
        for name in node.attribute("activations", [*USUAL[node.operator]] * directions)
    ]
    if len(names) != number * directions:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): {len(names)} activations for {directions} "
            f"direction{'s' if directions > 1 else ''} of {number}"
        )
    given = [iter(node.attribute(key, [])) for key in ("activation_alpha", "activation_beta")]
    bound = node.attribute("clip", None)
    found: list[ElementFunction | None] = []
    for name in names:
        defaults = ARGUMENTS.get(name, (None, None))
        arguments = [
            0.0 if default is None else float(next(one, default))
            for one, default in zip(given, defaults, strict=True)
        ]
        function = _recurrent_function(name, *arguments)
        if function is not None and bound is not None:
            function = _clipped(function, float(bound))
        found.append(function)
    return [found[at * number : (at + 1) * number] for at in range(directions)]


def _recurrent_function(name: str, alpha: float, beta: float) -> ElementFunction | None:
    functions: dict[str, ElementFunction] = {
        "affine": lambda x: alpha * x + beta,
        "elu": lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        "hardsigmoid": lambda x: np.clip(alpha * x + beta, 0, 1),
        "leakyrelu": lambda x: np.where(x > 0, x, alpha * x),
        "relu": NAMED["relu"],
        "scaledtanh": lambda x: alpha * np.tanh(beta * x),
        "sigmoid": NAMED["sigmoid"],
        "softplus": NAMED["softplus"],
        "softsign": NAMED["softsign"],
        "tanh": NAMED["tanh"],
        "thresholdedrelu": lambda x: np.where(x > alpha, x, 0),
    }
    return functions.get(name)


def _clipped(function: ElementFunction, bound: float) -> ElementFunction:
    return lambda x: function(np.clip(x, -bound, bound))


@rule("LSTM", "GRU", "RNN")
def recurrent(tracer: Tracer, node: Node) -> list[Operand]:
    x = node.input(0)
    if node.optional(4) is not None and node.constant(4) is None:
        raise UnsupportedOperatorError("lengths of sequences known only at run time")
    batch_first = bool(node.attribute("layout", 0))
    kernel, recurrent_kernel, bias = node.input(1), node.input(2), node.optional(3)
    hidden, cell = node.optional(5), node.optional(6)
    if batch_first:
        x = tracer.transpose(x, (1, 0, 2))
        hidden, cell = (s and tracer.transpose(s, (1, 0, 2)) for s in (hidden, cell))
    direction = node.attribute("direction", "forward")
    runs = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(direction)
    units = node.attribute("hidden_size", recurrent_kernel.shape[-1])
    given = [w for w in (kernel, recurrent_kernel, bias, node.optional(7)) if w is not None]
    if (
        runs is None
        or any(weight.shape[:1] != (len(runs),) for weight in given)
        or recurrent_kernel.shape != (len(runs), GATES[node.operator] * units, units)
        or any(s is not None and (s.rank, s.shape[-1]) != (3, units) for s in (hidden, cell))
    ):
        shapes = ", ".join([str(weight.shape) for weight in given])
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): weights of shapes {shapes} do not fit {units} "
            f"units, direction '{direction}'"
        )
    found: list[tuple[Operand, ...]] = []
    functions = _recurrent_functions(node, len(runs))
    for number, reverse in enumerate(runs):
        weights = [_select_direction(tracer, w, number) for w in (kernel, recurrent_kernel)]
        rows = weights[0].shape[0]
        states = [None if s is None else tracer.slice(s, 0, number, 1) for s in (hidden, cell)]
        halves = (
            []
            if bias is None
            else tracer.split(_select_direction(tracer, bias, number), 0, [rows, rows])
        )
        if node.operator == "LSTM":
            holes = node.optional(7)
            holes = None if holes is None else _select_direction(tracer, holes, number)
            found.append(
                tracer.lstm(
                    x,
                    [*weights, *halves],
                    *states,
                    peepholes=holes,
                    reverse=reverse,
                    functions=functions[number],
                )
            )
        elif node.operator == "GRU":
            found.append(
                tracer.gru(
                    x,
                    [*weights, *halves[:1]],
                    states[0],
                    recurrent_bias=halves[1] if halves else None,
                    reset_after=bool(node.attribute("linear_before_reset", 0)),
                    reverse=reverse,
                    functions=functions[number],
                )
            )
        else:
            (function,) = functions[number]
            found.append(
                tracer.rnn(x, [*weights, *halves], states[0], reverse=reverse, function=function)
            )
    sequences, *last = zip(*found, strict=True)
    y = tracer.concat([tracer.unsqueeze(s, [1]) for s in sequences], 1)
    ends = [tracer.concat(one, 0) for one in last]
    if batch_first:
        y = tracer.transpose(y, (2, 0, 1, 3))
        ends = [tracer.transpose(one, (1, 0, 2)) for one in ends]
    return [y, *ends]


def _select_direction(tracer: Tracer, weight: Operand, direction: int) -> Operand:
    """The weights of one direction."""
    part = tracer.slice(weight, 0, direction, 1)
    return tracer.reshape(part, part.shape[1:])


@rule("DequantizeLinear")
def dequantize(tracer: Tracer, node: Node) -> Operand:
    return tracer.pointwise(node.input(0))  # Integers stored for it are parameters already.
