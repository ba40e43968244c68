"""Operators that onnxruntime's optimiser and quantiser write, but for attention.

They are read as what they were fused from, so that a file has the same counts before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.layers import conv, layer_norm, pool, quantised_conv
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.functions import NAMED
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand

__all__: list[str] = []


def rule(*operators: str) -> Callable[[Any], Any]:
    """Use a function as the rule of operators of onnxruntime's own domain."""
    return TABLE.rule(*[f"com.microsoft::{operator}" for operator in operators])


ACTIVATIONS: dict[str, Callable[[Any], Any] | None] = {
    "": None,
    "Clip": None,
    "Elu": None,
    "HardSigmoid": None,
    "HardSwish": NAMED["hard_swish"],
    "LeakyRelu": None,
    "Relu": lambda a: np.maximum(a, 0),
    "Sigmoid": NAMED["sigmoid"],
    "Tanh": np.tanh,
}
"""Functions that are fused into what comes before them."""


def activated(tracer: Tracer, node: Node, y: Operand) -> Operand:
    """What a node computes, after the function that was fused into it."""
    name = node.attribute("activation", "")
    if name not in ACTIVATIONS:
        raise UnsupportedOperatorError(f"the activation '{name}'")
    return tracer.pointwise(y, ACTIVATIONS[name], name=name) if name else y


def local(node: Node) -> str:
    """The name of an operator without its domain."""
    return node.operator.rpartition("::")[2]


REORDERED = ("AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")


@TABLE.rule(*[f"com.microsoft.nchwc::{one}" for one in (*REORDERED, "ReorderInput", "Upsample")])
def reordered(_: Tracer, node: Node) -> Operand:
    raise UnsupportedOperatorError(
        "weights and channels are reordered for one machine; optimise at the level 'extended'"
    )


@rule("Gelu", "FastGelu", "BiasGelu")
def gelu(tracer: Tracer, node: Node) -> Operand:
    x, bias = node.input(0), node.optional(1)
    function = NAMED["gelu_tanh" if local(node) == "FastGelu" else "gelu"]
    return tracer.pointwise(x if bias is None else tracer.add(x, bias), function, name="Gelu")


@rule("QuickGelu")
def quick_gelu(tracer: Tracer, node: Node) -> Operand:
    alpha = float(node.attribute("alpha", 1.702))
    return tracer.pointwise(
        node.input(0), lambda a: a * NAMED["sigmoid"](alpha * a), name="QuickGelu"
    )


@rule("BiasSoftmax")
def bias_softmax(tracer: Tracer, node: Node) -> Operand:
    y = tracer.add(node.input(0), node.input(1))
    (axis,) = checked_axes(node, [node.attribute("axis", 1)], y.rank)
    return tracer.normalise(y, range(axis, y.rank), "softmax")


@rule("BiasAdd", "BiasDropout")
def bias_add(tracer: Tracer, node: Node) -> Operand:
    """A bias, and what goes around it."""
    parts = [node.optional(position) for position in range(3)]
    return tracer.add(*[part for part in parts if part is not None])


@rule("FusedMatMul", "TransposeMatMul")
def fused_matmul(tracer: Tracer, node: Node) -> Operand:
    a, b = (
        _turned(tracer, node.input(at), bool(node.attribute(f"transBatch{letter}", 0)))
        for at, letter in enumerate("AB")
    )
    a, b = (
        tracer.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))
        if node.attribute(f"trans{letter}", 0) and x.rank > 1
        else x
        for x, letter in ((a, "A"), (b, "B"))
    )
    return tracer.matmul(a, b)


def _turned(tracer: Tracer, x: Operand, is_turned: bool) -> Operand:
    """The first axis behind those of batches."""
    if not is_turned or x.rank < 3:
        return x
    return tracer.transpose(x, (*range(1, x.rank - 1), 0, x.rank - 1))


@rule("FusedGemm", "QGemm")
def fused_gemm(tracer: Tracer, node: Node) -> Operand:
    is_quantised = local(node) == "QGemm"
    a, b, c = node.input(0), node.input(3 if is_quantised else 1), 6 if is_quantised else 2
    if a.rank != 2 or b.rank != 2:
        raise InvalidModelError(f"node '{node.name}': {a.shape} and {b.shape} are no matrices")
    a = tracer.transpose(a, (1, 0)) if node.attribute("transA", 0) else a
    rows = [2, 1] if node.attribute("transB", 0) else [1, 2]
    y = tracer.contract([[0, 1], rows], [0, 2], [a, b])
    bias = node.optional(c)
    return activated(tracer, node, y if bias is None else tracer.add(y, bias))


@rule("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
def quantised_matmul(tracer: Tracer, node: Node) -> Operand:
    """A product with stored integers, whose scale is no parameter."""
    y = tracer.matmul(node.input(0), node.input(1))
    bias = node.optional(4 if local(node) == "DynamicQuantizeMatMul" else 6)
    return y if bias is None else tracer.add(y, bias)


@rule("MatMulNBits")
def matmul_few_bits(tracer: Tracer, node: Node) -> Operand:
    """A product with integers of few bits; `packed_shape` has the shape of their parameter."""
    x, kernel, bias = node.input(0), node.input(1), node.optional(5)
    if kernel.rank != 2 or kernel.shape[0] != x.shape[-1]:
        raise InvalidModelError(
            f"node '{node.name}': a kernel of {kernel.shape} does not fit {x.shape}"
        )
    y = tracer.matmul(x, kernel)
    return y if bias is None else tracer.add(y, bias)


@rule("FusedConv")
def fused_conv(tracer: Tracer, node: Node) -> Operand:
    y, other = conv(tracer, node), node.optional(3)
    return activated(tracer, node, y if other is None else tracer.add(y, other))


@rule("NhwcConv", "NhwcFusedConv")
def channels_last_conv(tracer: Tracer, node: Node) -> Operand:
    """A convolution whose channels come last, and those of its kernel perhaps, too."""
    x = _channels_first(tracer, node.input(0))
    kernel, groups = node.input(1), node.attribute("group", 1)
    if x.rank < 3 or kernel.rank != x.rank:
        raise InvalidModelError(f"node '{node.name}': a kernel of {kernel.shape} for {x.shape}")
    sizes = node.attribute("kernel_shape", list(kernel.shape[2:]))
    first = [kernel.shape[1] * groups, list(kernel.shape[2:])]
    if first != [x.shape[1], sizes]:
        kernel = _channels_first(tracer, kernel)
    y = conv(tracer, node.given({0: x, 1: kernel}))
    y, other = _channels_last(tracer, y), node.optional(3)
    return activated(tracer, node, y if other is None else tracer.add(y, other))


@rule("QLinearConv")
def quantised_channels_conv(tracer: Tracer, node: Node) -> Operand:
    if not node.attribute("channels_last", 0):
        return quantised_conv(tracer, node.named("QLinearConv"))
    x = _channels_first(tracer, node.input(0))
    y = quantised_conv(tracer, node.named("QLinearConv").given({0: x}))
    return _channels_last(tracer, y)


@rule("NhwcMaxPool")
def channels_last_pool(tracer: Tracer, node: Node) -> Operand:
    x = _channels_first(tracer, node.input(0))
    return _channels_last(tracer, pool(tracer, node.named("MaxPool").given({0: x})))


@rule("QLinearAveragePool")
def quantised_pool(tracer: Tracer, node: Node) -> Operand:
    x, plain = node.input(0), node.named("AveragePool")
    if not node.attribute("channels_last", 0):
        return pool(tracer, plain)
    return _channels_last(tracer, pool(tracer, plain.given({0: _channels_first(tracer, x)})))


@rule("QLinearGlobalAveragePool")
def quantised_global_pool(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = range(1, x.rank - 1) if node.attribute("channels_last", 0) else range(2, x.rank)
    return tracer.reduce(x, axes, keepdims=True, reduction="mean")


@rule("QLinearReduceMean")
def quantised_mean(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = node.attribute("axes", list(range(x.rank)))
    return tracer.reduce(x, axes, keepdims=bool(node.attribute("keepdims", 1)), reduction="mean")


def _channels_first(tracer: Tracer, x: Operand) -> Operand:
    return tracer.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1))) if x.rank > 2 else x


def _channels_last(tracer: Tracer, x: Operand) -> Operand:
    return tracer.transpose(x, (0, *range(2, x.rank), 1)) if x.rank > 2 else x


@rule("QLinearAdd")
def quantised_add(tracer: Tracer, node: Node) -> Operand:
    return tracer.add(node.input(0), node.input(3))


@rule("QLinearMul")
def quantised_product(tracer: Tracer, node: Node) -> Operand:
    return tracer.multiply(node.input(0), node.input(3))


@rule("QLinearWhere")
def quantised_choice(tracer: Tracer, node: Node) -> Operand:
    return tracer.where(node.input(0), node.input(1), node.input(4))


@rule("QLinearSigmoid", "QLinearLeakyRelu")
def quantised_function(tracer: Tracer, node: Node) -> Operand:
    slope = float(node.attribute("alpha", 0.01))
    is_sigmoid = local(node) == "QLinearSigmoid"
    function = NAMED["sigmoid"] if is_sigmoid else lambda a: np.where(a > 0, a, slope * a)
    return tracer.pointwise(node.input(0), function, name=local(node))


@rule("QuantizeLinear", "DequantizeLinear")
def same_numbers(tracer: Tracer, node: Node) -> Operand:
    return tracer.pointwise(node.input(0))


@rule("QLinearSoftmax")
def quantised_softmax(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", -1)], x.rank)
    last = axis + 1 if node.attribute("opset", 13) >= 13 else x.rank
    return tracer.normalise(x, range(axis, last), "softmax")


@rule("QLinearConcat")
def quantised_concat(tracer: Tracer, node: Node) -> Operand:
    parts = [node.input(position) for position in range(2, len(node.inputs), 3)]
    if not parts:
        raise InvalidModelError(f"node '{node.name}': there is nothing to join")
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], parts[0].rank)
    return tracer.concat(parts, axis)


@rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
def skip_norm(tracer: Tracer, node: Node) -> list[Operand]:
    """A norm of a sum; the sum is the last output."""
    is_simple = local(node) == "SkipSimplifiedLayerNormalization"
    x, skip, scale = node.input(0), node.input(1), node.optional(2)
    shift, bias = (None, 3) if is_simple else (node.optional(3), 4)
    parts = [x, skip, *([] if (given := node.optional(bias)) is None else [given])]
    total = tracer.add(*parts)
    plain = "SimplifiedLayerNormalization" if is_simple else "LayerNormalization"
    norm = node.named(plain).given({0: total, 1: scale, 2: shift}, only=True)
    found = layer_norm(tracer, norm)
    statistics = found[1:] if any(node.outputs[1:3]) else [Constant(()), Constant(())]
    return [found[0], *statistics, total]


@rule("EmbedLayerNormalization")
def embed_norm(tracer: Tracer, node: Node) -> list[Operand]:
    """Words, positions and segments looked up, added up, and normalised."""
    words, segments = node.input(0), node.optional(1)
    if words.rank != 2:
        raise InvalidModelError(f"node '{node.name}': words of shape {words.shape}")
    at = node.optional(8) or Constant.of(np.arange(words.shape[1])[None])
    total = tracer.add(
        tracer.embedding(node.input(2), words, 0), tracer.embedding(node.input(3), at, 0)
    )
    table = node.optional(4)
    if segments is not None and table is not None:
        total = tracer.add(total, tracer.embedding(table, segments, 0))
    given = {0: total, 1: node.optional(5), 2: node.optional(6)}
    norm = node.named("LayerNormalization").given(given, only=True)
    return [layer_norm(tracer, norm)[0], Constant((words.shape[0],)), total]
