"""Rules for Keras layers that slide windows, and for those that pad, crop and resize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer
from unrolled.importers.keras.rules import biased
from unrolled.importers.tracing.products import AFFINE
from unrolled.importers.tracing.resampling import interpolation, taps
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value
from unrolled.importers.tracing.windows import Window, affine_of
from unrolled.network.builder import LinkRole

__all__ = ["convolved", "pooled", "resized", "spatial_axes", "windows_of"]

rule = TABLE.rule

INTERPOLATIONS = {"bilinear": "linear", "bicubic": "cubic"}

MOST_POSITIONS = 1 << 16
"""Positions of an axis each of which reads a number of others of its own are at most so many."""


def spatial_axes(layer: Layer, x: Operand, rank: int | None = None) -> tuple[int, list[int]]:
    """The axis of channels, and those of positions."""
    if rank is not None and x.rank != rank + 2:
        raise InvalidModelError(f"{layer}: expects {rank + 2} axes, got shape {x.shape}")
    if x.rank < 3:
        raise InvalidModelError(f"{layer}: there are no spatial axes in shape {x.shape}")
    if layer.channels_first:
        return 1, list(range(2, x.rank))
    return x.rank - 1, list(range(1, x.rank - 1))


def windows_of(
    layer: Layer,
    lengths: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
    padding: str | None = None,
) -> list[Window]:
    """The windows of a layer along its spatial axes."""
    padding = str(layer.config.get("padding", "valid")) if padding is None else padding
    windows = []
    dilations = [1] * len(lengths) if dilations is None else dilations
    for length, size, stride, dilation in zip(lengths, sizes, strides, dilations, strict=True):
        sides: tuple[int, int] | str = (0, 0)
        if padding == "causal":
            sides = (dilation * (size - 1), 0)
        elif padding == "same":
            sides = "same"
        elif padding != "valid":
            raise InvalidModelError(f"{layer}: unknown padding {padding!r}")
        windows.append(
            layer.tracer.window(length, size, stride=stride, dilation=dilation, padding=sides)
        )
    return windows


def convolved(
    layer: Layer, x: Operand, kernel: Operand, windows: Sequence[Window], groups: int = 1
) -> Operand:
    """A convolution by a kernel of shape ``(*sizes, in / groups, out)``."""
    return layer.tracer.convolve(
        x,
        kernel,
        windows,
        groups=groups,
        channels_last=not layer.channels_first,
        kernel_last=True,
    )


@rule("Conv1D", "Conv2D", "Conv3D")
def _convolution(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[-2])
    at, positions = spatial_axes(layer, x, rank)
    sizes = layer.integers("kernel_size", rank)
    windows = windows_of(
        layer,
        [x.shape[axis] for axis in positions],
        sizes,
        layer.integers("strides", rank),
        layer.integers("dilation_rate", rank),
    )
    filters = layer.integer("filters")
    groups = layer.integer("groups") if layer.config.get("groups") is not None else 1
    (channels,) = layer.lengths(x, (at,))
    if channels % groups:
        raise InvalidModelError(f"{layer}: {channels} channels do not make {groups} groups")
    kernel = layer.adapted("kernel", (*sizes, channels // groups, filters))
    y = biased(layer, convolved(layer, x, kernel, windows, groups), at, filters)
    return layer.activation(y)


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[4])
    at, positions = spatial_axes(layer, x, rank)
    sizes = layer.integers("kernel_size", rank)
    strides = layer.integers("strides", rank)
    dilations = layer.integers("dilation_rate", rank)
    beyond = [None] * rank
    if layer.config.get("output_padding") is not None:
        beyond = list(layer.integers("output_padding", rank, least=0))  # type: ignore[arg-type]
    filters = layer.integer("filters")
    (channels,) = layer.lengths(x, (at,))
    kernel = layer.weight("kernel", (*sizes, filters, channels))
    shape = list(x.shape)
    shape[at] = filters
    outer = [Relation.same(0, 0), Relation.all(at, at)]
    inner = [Relation.sum(0), Relation.same(rank, at), Relation.each(rank + 1)]
    for i, axis in enumerate(positions):
        length, before = _transposed_length(
            layer, x.shape[axis], sizes[i], strides[i], dilations[i], beyond[i]
        )
        shape[axis] = length
        slide = {"size": sizes[i], "stride": strides[i], "dilation": dilations[i]}
        outer.append(Relation.transposed_window(axis, axis, padding=before, **slide))
        inner.append(
            Relation.transposed_taps(i, axis, extent=x.shape[axis], padding=before, **slide)
        )
    links = [(kernel, inner)]
    roles: list[LinkRole] = ["kernel"]
    if isinstance(x, Value):
        links.insert(0, (x, outer))
        roles.insert(0, "data")
    y = biased(layer, tracer.emit(tuple(shape), links, AFFINE, roles), at, filters)
    return layer.activation(y)


def _transposed_length(
    layer: Layer, extent: int, size: int, stride: int, dilation: int, beyond: int | None
) -> tuple[int, int]:
    """Positions of a transposed convolution, and how many are cut off in front."""
    reach = (size - 1) * dilation + 1
    if layer.config.get("padding", "valid") == "same":
        total = stride + reach - 2 if beyond is None else reach + reach % 2 - 2 + beyond
        left = min((total + 1) // 2, reach - 1)
        right = total - left
    else:
        left = reach - 1
        right = left + (max(reach, stride) - reach if beyond is None else beyond)
    length = (extent - 1) * stride + 2 + left + right - reach
    if length < 1:
        raise InvalidModelError(f"{layer}: nothing is left of {extent} positions")
    return length, reach - 1 - left


def depthwise(
    layer: Layer, x: Operand, kernel: Value, windows: Sequence[Window], at: int
) -> Operand:
    """A convolution of each channel on its own, by a kernel of ``(*sizes, in, multiplier)``."""
    rank = len(windows)
    multiplier = kernel.shape[-1]
    positions = [axis for axis in range(1, x.rank) if axis != at]
    # Behind the channels comes an axis for the multiples of each.
    places = [axis if axis < at else axis + 1 for axis in positions]
    shape = list(x.shape)
    for axis, window in zip(positions, windows, strict=True):
        shape[axis] = window.length
    joined = list(shape)
    joined[at] *= multiplier
    shape.insert(at + 1, multiplier)
    links = []
    if isinstance(x, Value):
        relations = [Relation.same(0, 0), Relation.same(at, at), Relation.sum(at + 1)]
        relations += [
            w.relation(a, to) for w, a, to in zip(windows, positions, places, strict=True)
        ]
        links.append((x, relations))
    relations = [Relation.sum(0), Relation.same(rank, at), Relation.same(rank + 1, at + 1)]
    relations += [w.taps(i, to) for i, (w, to) in enumerate(zip(windows, places, strict=True))]
    links.append((kernel, relations))
    if multiplier > 1:
        wide = layer.tracer.emit(tuple(shape), links, *affine_of(links))
        return layer.tracer.reshape(wide, joined)
    narrow = [(v, _without(r, at + 1)) for v, r in links]
    return layer.tracer.emit(tuple(joined), narrow, *affine_of(narrow))


def _without(relations: Sequence[Relation], axis: int) -> list[Relation]:
    """Relations to a tensor that lacks a target axis of length 1."""
    result = []
    for relation in relations:
        targets, sources = relation.target_axes, relation.source_axes
        if targets == [axis]:
            if sources:
                result.append(Relation.each(sources[0]))
            continue
        result.append(relation if not targets or targets[0] < axis else _moved(relation))
    return result


def _moved(relation: Relation) -> Relation:
    """The same relation to the target axis before."""
    make = getattr(Relation, relation.kind)
    (target,) = relation.target_axes
    moved: Relation = make(*relation.source_axes, target - 1, **relation.arguments)
    return moved


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[-2])
    at, windows, sizes = _depthwise_windows(layer, x, rank)
    (channels,) = layer.lengths(x, (at,))
    multiplier = layer.integer("depth_multiplier")
    kernel = layer.weight("kernel", (*sizes, channels, multiplier))
    y = biased(layer, depthwise(layer, x, kernel, windows, at), at, channels * multiplier)
    return layer.activation(y)


@rule("SeparableConv1D", "SeparableConv2D")
def _separable(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[-2])
    at, windows, sizes = _depthwise_windows(layer, x, rank)
    (channels,) = layer.lengths(x, (at,))
    multiplier, filters = layer.integer("depth_multiplier"), layer.integer("filters")
    kernel = layer.weight("depthwise_kernel", (*sizes, channels, multiplier))
    y = depthwise(layer, x, kernel, windows, at)
    points = [1] * rank
    kernel = layer.weight("pointwise_kernel", (*points, channels * multiplier, filters))
    positions = [n for axis, n in enumerate(y.shape) if axis not in (0, at)]
    windows = windows_of(layer, positions, points, points, padding="valid")
    y = biased(layer, convolved(layer, y, kernel, windows), at, filters)
    return layer.activation(y)


def _depthwise_windows(layer: Layer, x: Operand, rank: int) -> tuple[int, list[Window], list[int]]:
    at, positions = spatial_axes(layer, x, rank)
    sizes = layer.integers("kernel_size", rank)
    lengths = [x.shape[axis] for axis in positions]
    strides, dilations = layer.integers("strides", rank), layer.integers("dilation_rate", rank)
    return at, windows_of(layer, lengths, sizes, strides, dilations), sizes


def pooled(
    layer: Layer, x: Operand, sizes: Sequence[int], strides: Sequence[int], padding: str
) -> Operand:
    """A maximum or mean over windows."""
    _, positions = spatial_axes(layer, x, len(sizes))
    lengths = [x.shape[axis] for axis in positions]
    windows = windows_of(layer, lengths, sizes, strides, padding=padding)
    is_maximum = "Max" in layer.operator
    operation = Operation("max_pool" if is_maximum else "average")
    return layer.tracer.pool(x, windows, first=positions[0], operation=operation)


@rule(*[f"{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)])
def _pooling(tracer: Tracer, layer: Layer) -> Operand:
    rank = int(layer.operator[-2])
    sizes = layer.integers("pool_size", rank)
    strides = sizes
    if layer.config.get("strides") is not None:
        strides = layer.integers("strides", rank)
    return pooled(layer, layer.x, sizes, strides, str(layer.config.get("padding", "valid")))


@rule(*[f"Global{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)])
def _global_pooling(tracer: Tracer, layer: Layer) -> Operand:
    _, positions = spatial_axes(layer, layer.x, int(layer.operator[-2]))
    return tracer.reduce(
        layer.x,
        positions,
        keepdims=bool(layer.config.get("keepdims")),
        reduction="max" if "Max" in layer.operator else "mean",
    )


@rule(*[f"Adaptive{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)])
def _adaptive_pooling(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[-2])
    _, positions = spatial_axes(layer, x, rank)
    for axis, length in zip(positions, layer.integers("output_size", rank), strict=True):
        n = x.shape[axis]
        layer.followed(max(n, length), MOST_POSITIONS)
        starts = np.arange(length) * n // length
        ends = -(-(np.arange(length) + 1) * n // length)
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        read = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
        if isinstance(x, Constant):
            x = Constant((*x.shape[:axis], length, *x.shape[axis + 1 :]))
            continue
        relation = Relation.sparse(axis, axis, offsets, read)
        operation = Operation("max_pool" if "Max" in layer.operator else "average")
        x = tracer.read(x, {axis: (length, relation)}, operation)
    return x


@rule("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def _zero_padding(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.pad(layer.x, _sides(layer, "padding", 1))


@rule("Cropping1D", "Cropping2D", "Cropping3D")
def _cropping(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    for axis, (before, after) in enumerate(_sides(layer, "cropping", 1)):
        if before or after:
            x = tracer.slice(x, axis, before, x.shape[axis] - before - after)
    return x


def _sides(layer: Layer, key: str, least: int) -> list[tuple[int, int]]:
    """Positions before and after each axis."""
    rank = int(layer.operator[-2])
    _, positions = spatial_axes(layer, layer.x, rank)
    given = layer.config[key]
    if isinstance(given, int):
        given = [given] * rank
    if rank == 1 and len(given) == 2:
        given = [given]
    sides = [(0, 0)] * layer.x.rank
    for axis, side in zip(positions, given, strict=True):
        before, after = (side, side) if isinstance(side, int) else side
        if min(before, after) < 0:
            raise InvalidModelError(f"{layer}: {key} {given!r} is negative")
        sides[axis] = before, after
    return sides


@rule("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _up_sampling(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    rank = int(layer.operator[-2])
    _, positions = spatial_axes(layer, x, rank)
    method = layer.config.get("interpolation", "nearest")
    factors = zip(positions, layer.integers("size", rank), strict=True)
    lengths = {axis: x.shape[axis] * factor for axis, factor in factors}
    return resized(layer, x, lengths, str(method))


@rule("Resizing")
def _resizing(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if layer.config.get(key):
            raise layer.refused(f"{key} cannot be read")
    _, positions = spatial_axes(layer, x, 2)
    method = str(layer.config.get("interpolation", "bilinear"))
    lengths = zip(positions, map(layer.integer, ("height", "width")), strict=True)
    return resized(layer, x, dict(lengths), method, layer.config.get("antialias"))


def resized(
    layer: Layer, x: Operand, lengths: Mapping[int, int], method: str, antialias: object = False
) -> Operand:
    """Other numbers of positions along some axes, half a pixel being the centre of a pixel."""
    changes, weights = {}, {}
    for axis, length in lengths.items():
        n = x.shape[axis]
        if length == n:
            continue
        layer.followed(length)
        if method == "nearest":
            # floor((o + 1/2) * n / length), in integers.
            at = (2 * np.arange(length) + 1) * n // (2 * length)
            x = layer.tracer.take(x, axis, np.minimum(at, n - 1))
            continue
        if method not in INTERPOLATIONS:
            raise layer.refused(f"interpolation {method!r} cannot be read")
        layer.followed(length, MOST_POSITIONS)
        positions = (np.arange(length) + 0.5) * n / length - 0.5
        scale = n / length if antialias else 1.0
        # The cubic of TensorFlow and JAX; that of PyTorch is a little wider.
        relation, weights[axis] = taps(
            axis, positions, n, INTERPOLATIONS[method], scale=scale, coefficient=-0.5
        )
        changes[axis] = (length, relation)
    if isinstance(x, Constant):
        shape = [changes[axis][0] if axis in changes else n for axis, n in enumerate(x.shape)]
        return Constant(tuple(shape))
    return layer.tracer.read(x, changes, interpolation(weights)) if changes else x


@rule("CenterCrop", "RandomCrop")
def _center_crop(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    _, positions = spatial_axes(layer, x, 2)
    for axis, key in zip(positions, ("height", "width"), strict=True):
        length = layer.integer(key)
        if length > x.shape[axis]:
            raise layer.refused("images that are smaller than the crop cannot be read")
        x = tracer.slice(x, axis, (x.shape[axis] - length) // 2, length)
    return x
