"""Rules of PyTorch operators with windows: convolutions, pooling, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import UnsupportedOperatorError
from unrolled.importers.torch.node import Node, aten, many, tensor_of
from unrolled.importers.tracing.base import MOVE
from unrolled.importers.tracing.resampling import interpolation
from unrolled.importers.tracing.values import Array, Operand, Shape, Value
from unrolled.importers.tracing.windows import Window

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer

__all__: list[str] = []

SMALLEST_WEIGHT = 1e-9
"""Smaller weights of an interpolation would be zero but for rounding."""


@aten("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "cudnn_convolution")
@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "mkldnn_convolution")
@aten("convolution_overrideable", "conv_depthwise3d", "_conv_depthwise2d")
def _convolution(tracer: Tracer, node: Node) -> Operand:
    x, kernel = node.operand(_first(node)), node.operand("weight")
    spatial = kernel.rank - 2
    y = x if x.rank == kernel.rank else tracer.unsqueeze(x, [0])
    stride, dilation = many(node["stride"], spatial), many(node["dilation"], spatial)
    padding = _padding(node["padding"], kernel.shape[2:], dilation)
    groups = node.get("groups", 1)
    steps = list(zip(y.shape[2:], kernel.shape[2:], stride, dilation, padding, strict=True))
    if node.get("transposed", "transpose" in node.operator):
        lengths = node.shape[len(node.shape) - spatial :]
        windows = [
            Window(n, k, s, d, p[0], length)
            for (n, k, s, d, p), length in zip(steps, lengths, strict=True)
        ]
        y = tracer.convolve_transposed(y, kernel, windows, groups=groups)
    else:
        windows = [tracer.window(n, k, stride=s, dilation=d, padding=p) for n, k, s, d, p in steps]
        y = tracer.convolve(y, kernel, windows, groups=groups)
    if node.get("bias") is not None:
        y = tracer.affine(y, (1,), node["bias"])
    return tracer.reshape(y, node.shape)


def _padding(given: Any, sizes: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    if given == "valid":
        return [(0, 0)] * len(sizes)
    if given == "same":
        totals = [d * (k - 1) for k, d in zip(sizes, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(one, one) for one in many(given, len(sizes))]


@aten("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
@aten("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices")
def _pool(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("self")
    spatial = int(node.operator.partition("pool")[2][0])
    first = x.rank - spatial
    sizes = many(node["kernel_size"], spatial)
    axes = zip(
        x.shape[first:],
        sizes,
        many(node["stride"] or sizes, spatial),
        many(node.get("dilation", 1), spatial),
        many(node["padding"], spatial),
        strict=True,
    )
    windows = [
        tracer.window(n, k, stride=s, dilation=d, padding=(p, p), ceil=node["ceil_mode"])
        for n, k, s, d, p in axes
    ]
    if "max" in node.operator:
        operation = Operation("max_pool")
    elif node.get("count_include_pad", True) and any(window.padding for window in windows):
        operation = Operation("average", divisor=float(np.prod([w.size for w in windows])))
    else:
        operation = Operation("average")
    y = tracer.pool(x, windows, first=first, operation=operation)
    return [y] * len(node.shapes) if len(node.shapes) > 1 else y


@aten(*[f"adaptive_{how}_pool{n}d" for how in ("avg", "max") for n in (1, 2, 3)])
@aten("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def _adaptive_pool(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("self")
    assert isinstance(x, Value)
    spatial = int(node.operator.partition("pool")[2][0])
    first = x.rank - spatial
    lengths = dict(enumerate(node.shape[first:], first))
    reduction = "max" if "max" in node.operator else "mean"
    y: Operand
    if all(length == 1 for length in lengths.values()):
        y = tracer.reduce(x, list(lengths), keepdims=True, reduction=reduction)
    else:
        changes = {
            axis: (length, _adaptive(axis, x.shape[axis], length))
            for axis, length in lengths.items()
        }
        y = tracer.read(x, changes, Operation("average" if reduction == "mean" else "max_pool"))
    return [y] * len(node.shapes) if len(node.shapes) > 1 else y


def _adaptive(axis: int, extent: int, length: int) -> Relation:
    if extent % length == 0:
        size = extent // length
        return Relation.window(axis, axis, size=size, stride=size)
    starts = [i * extent // length for i in range(length)]
    ends = [-(-(i + 1) * extent // length) for i in range(length)]
    offsets = np.cumsum([0, *[b - a for a, b in zip(starts, ends, strict=True)]])
    read = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
    return Relation.sparse(axis, axis, offsets, read)


@aten("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d")
@aten("upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d")
@aten(*[f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)])
@aten("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "_upsample_lanczos2d_aa")
def _resize(tracer: Tracer, node: Node) -> Operand:
    """Each axis by itself: an edge from each position whose weight is not zero."""
    x = node.operand(_first(node))
    assert isinstance(x, Value)
    changes, weights = {}, {}
    for axis in range(2, x.rank):
        rows = _resizing(node, axis, x.shape, node.shape)
        relation = _relation(axis, rows)
        changes[axis] = (node.shape[axis], relation)
        if relation.kind == "sparse":
            weights[axis] = rows.T[np.abs(rows.T) > SMALLEST_WEIGHT]
    return tracer.read(x, changes, interpolation(weights) if weights else MOVE)


def _resizing(node: Node, axis: int, before: Shape, after: Shape) -> Array:
    """The weight of each position for each new one, from the operator itself on one axis."""
    first, extent, spatial = _first(node), before[axis], range(2, len(before))
    # All other axes keep a length of 2: with 1, antialiasing of PyTorch 2.13 is wrong.
    basis = np.eye(extent).reshape(extent, 1, *[extent if one == axis else 1 for one in spatial])
    wide = [extent if one == axis else 2 for one in spatial]
    basis = np.broadcast_to(basis, (extent, 1, *wide))
    given = {name: node[name] for name in node}
    given[first] = tensor_of(basis)
    if given.get("output_size") is not None:
        given["output_size"] = [after[axis] if one == axis else 2 for one in spatial]
    if given.get("scale_factors") is not None:
        scales = given["scale_factors"]
        given["scale_factors"] = [scales[one - 2] if one == axis else 1.0 for one in spatial]
    own = ("scales", f"scales_{'dhw'[axis - len(before)]}")
    others = [name for name in given if name.startswith("scales") and name not in own]
    given.update(dict.fromkeys(others))
    weights = np.asarray(node.call(given).numpy())
    at = (slice(None), 0, *[slice(None) if one == axis else 0 for one in spatial])
    return weights[at]


def _relation(axis: int, weights: Array) -> Relation:
    reads = [np.flatnonzero(np.abs(column) > SMALLEST_WEIGHT) for column in weights.T]
    if all(len(one) == 1 for one in reads):
        chosen = np.concatenate(reads)
        if np.array_equal(chosen, np.arange(len(weights))):
            return Relation.same(axis, axis)
        return Relation.select(axis, axis, chosen)
    offsets = np.cumsum([0, *[len(one) for one in reads]])
    return Relation.sparse(axis, axis, offsets, np.concatenate(reads))


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def _grid_sampler(tracer: Tracer, node: Node) -> Operand:
    raise UnsupportedOperatorError("where it reads is computed at run time")


@aten("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def _embedding_bag(tracer: Tracer, node: Node) -> Operand:
    raise UnsupportedOperatorError("which rows are added up is known only at run time")


def _first(node: Node) -> str:
    return next(iter(node))
