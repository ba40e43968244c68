"""Rules for JAX primitives that multiply and add up: products, convolutions, windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.importers.jax.table import TABLE, refused
from unrolled.importers.tracing.base import OTHER
from unrolled.importers.tracing.resampling import interpolation
from unrolled.importers.tracing.values import Constant, Operand, Value
from unrolled.importers.tracing.windows import Window, affine_of

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.base import Link
    from unrolled.importers.tracing.tracer import Tracer

rule = TABLE.rule

NEGLIGIBLE = 1e-6
"""Elements of a constant matrix are roundings of zero below this part of the largest."""


@rule("dot_general")
def dot_general(tracer: Tracer, node: Equation) -> Operand:
    a, b = node.operands
    (summed, batch) = node.params["dimension_numbers"]
    first, second = list(range(a.rank)), list(range(a.rank, a.rank + b.rank))
    for of_first, of_second in (*zip(*summed, strict=True), *zip(*batch, strict=True)):
        second[of_second] = of_first
    result = [first[axis] for axis in batch[0]]
    for labels, *gone in ((first, summed[0], batch[0]), (second, summed[1], batch[1])):
        used = {axis for axes in gone for axis in axes}
        result += [label for axis, label in enumerate(labels) if axis not in used]
    sparse = _sparse(tracer, a, b, node)
    return tracer.contract([first, second], result, [a, b]) if sparse is None else sparse


def _sparse(tracer: Tracer, a: Operand, b: Operand, node: Equation) -> Operand | None:
    """The product with a constant matrix that has zeros, such as an interpolation's."""
    (summed, batch) = node.params["dimension_numbers"]
    constant_first = isinstance(a, Constant)
    matrix, x = (a, b) if constant_first else (b, a)
    if not isinstance(matrix, Constant) or matrix.array is None or not isinstance(x, Value):
        return None
    if matrix.rank != 2 or len(summed[0]) != 1 or batch[0]:
        return None
    along, axis = (part[0] for part in (summed if constant_first else summed[::-1]))
    rows = (matrix.array if along == 1 else matrix.array.T).astype(np.float64)
    weights = np.abs(rows)
    reads = weights > NEGLIGIBLE * weights.max(initial=0)
    if reads.all() or not reads.any():
        return None
    offsets = np.concatenate([[0], np.cumsum(reads.sum(axis=1))])
    length = reads.shape[0]
    relation = Relation.sparse(axis, axis, offsets, np.nonzero(reads)[1])
    y = tracer.read(x, {axis: (length, relation)}, interpolation({axis: rows[reads]}))
    rest = [other for other in range(x.rank) if other != axis]
    return tracer.transpose(y, [axis, *rest] if constant_first else [*rest, axis])


@rule("conv_general_dilated")
def convolve(tracer: Tracer, node: Equation) -> Operand:
    params = node.params
    if params["batch_group_count"] != 1:
        raise refused("batch_group_count, which occurs in gradients, is not 1")
    x, kernel = node.operands
    of_x, of_kernel, of_result = params["dimension_numbers"]
    (shape,) = node.shapes
    groups = params["feature_group_count"]
    relations_of_x = [
        Relation.same(of_x[0], of_result[0]),
        _channels(of_x[1], of_result[1], x.shape[of_x[1]], shape[of_result[1]], groups),
    ]
    relations_of_kernel = [
        Relation.sum(of_result[0]),
        Relation.same(of_kernel[0], of_result[1]),
        Relation.each(of_kernel[1]),
    ]
    lengths = list(shape)
    strided: dict[int, tuple[int, int]] = {}
    for number, (source, taps, target) in enumerate(
        zip(of_x[2:], of_kernel[2:], of_result[2:], strict=True)
    ):
        spread, stride = params["lhs_dilation"][number], params["window_strides"][number]
        before, after = params["padding"][number]
        dilation, size = params["rhs_dilation"][number], kernel.shape[taps]
        reach = (size - 1) * dilation
        extent = x.shape[source]
        if spread == 1:
            window = Window(extent, size, stride, dilation, before, shape[target])
            relations_of_x.append(window.relation(source, target))
            relations_of_kernel.append(window.taps(taps, target))
            continue
        # o = i * spread + before - t * dilation, whose taps run backwards.
        kernel = tracer.slice(kernel, taps, size - 1, size, -1) if size > 1 else kernel
        if stride > 1:
            strided[target] = stride, shape[target]
            lengths[target] = (extent - 1) * spread + 1 + before + after - reach
        options = {"size": size, "stride": spread, "dilation": dilation, "padding": reach - before}
        relations_of_x.append(Relation.transposed_window(source, target, **options))
        relations_of_kernel.append(Relation.transposed_taps(taps, target, extent=extent, **options))
    links: list[Link] = []
    if isinstance(x, Value):
        links.append((x, relations_of_x))
    if isinstance(kernel, Value):
        links.append((kernel, relations_of_kernel))
    inputs, outputs = x.shape[of_x[1]], shape[of_result[1]]
    if isinstance(kernel, Constant) and links and inputs == outputs == groups:
        fixed = tracer.fixed_kernel(kernel, of_kernel, of_result[2:])
        result: Operand = tracer.emit(tuple(lengths), links, fixed)
    else:
        result = tracer.emit(tuple(lengths), links, *affine_of(links))
    for axis, (stride, length) in strided.items():
        result = tracer.slice(result, axis, 0, length, stride)
    return result


def _channels(source: int, target: int, inputs: int, outputs: int, groups: int) -> Relation:
    if groups == 1:
        return Relation.all(source, target)
    if inputs == outputs == groups:
        return Relation.same(source, target)
    return Relation.blocks(source, target, groups=groups)


@rule("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def pool(tracer: Tracer, node: Equation) -> Operand:
    return _pool(tracer, node)


@rule("reduce_window")
def pool_by_function(tracer: Tracer, node: Equation) -> Operand:
    if len(node.shapes) > 1 or not isinstance(node.things[1], Constant):
        raise refused("of several tensors at once, or from an initial value that is computed")
    return _pool(tracer, node)


def _pool(tracer: Tracer, node: Equation) -> Operand:
    x = node.operands[0]
    params = node.params
    dilations = params.get("base_dilation") or (1,) * x.rank
    for axis, spread in enumerate(dilations):
        if spread > 1:
            length = (x.shape[axis] - 1) * spread + 1
            x = _spread(tracer, x, axis, spread, 0, length)
    if not isinstance(x, Value):
        return Constant(node.shapes[0])
    windows = [
        Window(extent, size, stride, dilation, before, length)
        for extent, size, stride, dilation, (before, _), length in zip(
            x.shape,
            params["window_dimensions"],
            params["window_strides"],
            params.get("window_dilation") or (1,) * x.rank,
            params["padding"],
            node.shapes[0],
            strict=True,
        )
    ]
    kinds = {
        "reduce_window_max": Operation("max_pool"),
        "reduce_window_sum": Operation("average", divisor=1.0),
    }
    return tracer.pool(x, windows, first=0, operation=kinds.get(node.operator, OTHER))


def _spread(tracer: Tracer, x: Operand, axis: int, step: int, before: int, length: int) -> Operand:
    """Positions along an axis `step` apart, after `before` that are computed from nothing."""
    assert isinstance(x, Value)
    relation = Relation.transposed_window(axis, axis, size=1, stride=step, padding=-before)
    return tracer.read(x, {axis: (length, relation)})


@rule("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def cumulate(tracer: Tracer, node: Equation) -> Operand:
    (x,) = node.operands
    return tracer.cumulate(x, node.params["axis"], reverse=bool(node.params["reverse"]))


@rule("pad")
def pad(tracer: Tracer, node: Equation) -> Operand:
    x, value = node.operands
    if isinstance(value, Value):
        raise refused("with a value that is computed")
    for axis, (before, _, inside) in enumerate(node.params["padding_config"]):
        if inside:
            x = _spread(tracer, x, axis, inside + 1, before, node.shapes[0][axis])
    plain = [
        (0, 0) if inside else (before, after)
        for before, after, inside in node.params["padding_config"]
    ]
    return tracer.pad(x, plain)


@rule("fft")
def transform(tracer: Tracer, node: Equation) -> Operand:
    (x,) = node.operands
    first = x.rank - len(node.params["fft_lengths"])
    relations = [
        (Relation.same if axis < first else Relation.all)(axis, axis) for axis in range(x.rank)
    ]
    assert isinstance(x, Value)
    return tracer.emit(node.shapes[0], [(x, relations)])
