"""ONNX operators that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled._core import Relation
from unrolled._support.hints import listed
from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value, size_of

__all__: list[str] = []

rule = TABLE.rule

MOST_PARTS = 1 << 16
"""One Split may make so many parts."""


@rule("Reshape")
def reshape(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    wanted = node.integers(1)
    if wanted is None:
        wanted = node.attribute("shape", [])
    if not node.attribute("allowzero", 0):
        if any(n == 0 and axis >= x.rank for axis, n in enumerate(wanted)):
            raise InvalidModelError(f"node '{node.name}': {wanted} keeps an axis that is not there")
        wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    if wanted.count(-1) > 1 or any(n < -1 for n in wanted):
        raise InvalidModelError(f"node '{node.name}': {wanted} is no shape")
    known = size_of([n for n in wanted if n >= 0])
    if -1 in wanted and (known == 0 or x.size % known):
        raise InvalidModelError(
            f"node '{node.name}': a tensor of shape {x.shape} does not fit into {wanted}"
        )
    return tracer.reshape(x, [x.size // known if n == -1 else n for n in wanted])


@rule("Flatten")
def flatten(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axis = node.attribute("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise InvalidModelError(f"node '{node.name}': axis {axis} of shape {x.shape}")
    axis = axis + x.rank if axis < 0 else axis
    return tracer.reshape(x, (size_of(x.shape[:axis]), size_of(x.shape[axis:])))


@rule("Transpose")
def transpose(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    order = node.attribute("perm", list(range(x.rank))[::-1])
    return tracer.transpose(x, checked_axes(node, order, x.rank))


@rule("Squeeze")
def squeeze(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = node.integers(1)
    if axes is None:
        axes = node.attribute("axes", [axis for axis, n in enumerate(x.shape) if n == 1])
    return tracer.squeeze(x, checked_axes(node, axes, x.rank))


@rule("Unsqueeze")
def unsqueeze(tracer: Tracer, node: Node) -> Operand:
    axes = node.integers(1)
    return tracer.unsqueeze(node.input(0), node.attribute("axes", []) if axes is None else axes)


@rule("Expand")
def expand(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    wanted = node.integers(1) or []
    if any(n < 0 for n in wanted):
        raise InvalidModelError(f"node '{node.name}': {wanted} is no shape")
    rank = max(x.rank, len(wanted))
    given = [1] * (rank - len(wanted)) + wanted
    own = [1] * (rank - x.rank) + list(x.shape)
    return tracer.expand(x, [b if a == 1 else a for a, b in zip(own, given, strict=True)])


@rule("Concat")
def concat(tracer: Tracer, node: Node) -> Operand:
    operands = [node.input(position) for position in range(len(node.inputs))]
    if not operands:
        raise InvalidModelError(f"node '{node.name}': nothing to join")
    # An empty tensor has nothing to add; some exporters leave them in.
    filled = [x for x in operands if x.size] or operands[:1]
    (axis,) = checked_axes(node, [node.attribute("axis", 1)], filled[0].rank)
    if any(x.rank != filled[0].rank for x in filled):
        raise InvalidModelError(f"node '{node.name}': operands of different numbers of axes")
    return tracer.concat(filled, axis)


@rule("Split")
def split(tracer: Tracer, node: Node) -> list[Operand]:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    lengths = node.integers(1)
    if lengths is None:
        lengths = node.attribute("split", [])
    if not lengths:
        parts = node.attribute("num_outputs", len(node.outputs))
        if not 1 <= parts <= min(x.shape[axis], MOST_PARTS):
            raise InvalidModelError(f"node '{node.name}': {parts} parts of {x.shape}")
        each = -(-x.shape[axis] // parts)
        lengths = [min(each, x.shape[axis] - at * each) for at in range(parts)]
    if any(n < 0 for n in lengths):
        raise InvalidModelError(f"node '{node.name}': {lengths} are no lengths")
    return tracer.split(x, axis, lengths)


@rule("Slice")
def slice_(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    if any(isinstance(node.optional(position), Value) for position in (1, 2)):
        raise UnsupportedOperatorError("where it begins or ends is known only at run time")
    starts, ends, axes, steps = (node.integers(position) for position in range(1, 5))
    starts = node.attribute("starts", []) if starts is None else starts
    ends = node.attribute("ends", []) if ends is None else ends
    axes = node.attribute("axes") if axes is None else axes
    axes = checked_axes(node, range(len(starts)) if axes is None else axes, x.rank)
    steps = [1] * len(starts) if steps is None else steps
    fits = len(starts) == len(ends) == len(axes) == len(steps) == len(set(axes))
    if not fits or 0 in steps:
        raise InvalidModelError(f"node '{node.name}': starts, ends, axes and steps do not fit")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        read = range(*slice(start, end, step).indices(x.shape[axis]))
        if step < 0 and end < -x.shape[axis]:
            read = range(slice(start, None, step).indices(x.shape[axis])[0], -1, step)
        first = read[0] if len(read) else 0
        x = tracer.slice(x, axis, first, len(read), step)
    return x


@rule("Gather")
def gather(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    return tracer.embedding(x, node.input(1), axis)


@rule("Compress")
def compress(tracer: Tracer, node: Node) -> Operand:
    x, chosen = node.input(0), np.flatnonzero(node.integers(1) or [])
    axis = node.attribute("axis")
    if axis is None:
        return tracer.take(tracer.reshape(x, (x.size,)), 0, chosen)
    return tracer.take(x, checked_axes(node, [axis], x.rank)[0], chosen)


@rule("GatherElements")
def gather_elements(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    index = _at_run_time(node, 1)
    if index is not None:
        return tracer.take_along(x, index, axis)
    at = indices_of(node, 1)
    _check_indices(node, at, x, axis)
    return tracer.rearrange([x], lambda a: np.take_along_axis(cut(a, at, axis), at, axis))


@rule("GatherND")
def gather_nd(tracer: Tracer, node: Node) -> Operand:
    x, batch = node.input(0), node.attribute("batch_dims", 0)
    index = _at_run_time(node, 1)
    if index is not None:
        return tracer.gather_at(x, *_places_of(tracer, node, x, index, batch))
    at = indices_of(node, 1)
    depth = at.shape[-1] if at.ndim else 0
    if not 1 <= depth <= x.rank - batch or at.shape[:batch] != x.shape[:batch]:
        raise InvalidModelError(
            f"node '{node.name}': indices of shape {at.shape} do not fit {x.shape}"
        )
    for k in range(depth):
        _check_indices(node, at[..., k], x, batch + k)

    def run(a: Any) -> Any:
        batches = np.indices(at.shape[:-1])[:batch]
        return a[(*batches, *[at[..., k] for k in range(depth)])]

    return tracer.rearrange([x], run)


@rule("Scatter", "ScatterElements")
def scatter_elements(tracer: Tracer, node: Node) -> Operand:
    x, updates = node.input(0), node.input(2)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    index = _at_run_time(node, 1)
    if index is not None:
        if index.shape != updates.shape:
            raise InvalidModelError(f"node '{node.name}': indices do not fit the updates")
        return tracer.put_along(x, index, updates, axis)
    at = indices_of(node, 1)
    if at.shape != updates.shape or at.ndim != x.rank:
        raise InvalidModelError(f"node '{node.name}': indices do not fit the updates")
    _check_indices(node, at, x, axis)
    places = list(np.indices(at.shape))
    if any(n > x.shape[other] for other, n in enumerate(at.shape) if other != axis):
        raise InvalidModelError(
            f"node '{node.name}': indices of shape {at.shape} do not fit {x.shape}"
        )
    places[axis] = np.where(at < 0, at + x.shape[axis], at)
    return _scatter(tracer, node, x, updates, tuple(places))


@rule("ScatterND")
def scatter_nd(tracer: Tracer, node: Node) -> Operand:
    index = _at_run_time(node, 1)
    if index is not None:
        x = node.input(0)
        return tracer.put_at(x, *_places_of(tracer, node, x, index, 0), node.input(2))
    x, updates, at = node.input(0), node.input(2), indices_of(node, 1)
    depth = at.shape[-1] if at.ndim else 0
    if not 1 <= depth <= x.rank or updates.shape != (*at.shape[:-1], *x.shape[depth:]):
        raise InvalidModelError(
            f"node '{node.name}': indices of shape {at.shape} and updates of shape "
            f"{updates.shape} do not fit {x.shape}"
        )
    for k in range(depth):
        _check_indices(node, at[..., k], x, k)
    return _scatter(tracer, node, x, updates, tuple([at[..., k] for k in range(depth)]))


def _at_run_time(node: Node, position: int) -> Value | None:
    """Indices that are computed; None if they are constant."""
    index = node.optional(position)
    return index if isinstance(index, Value) else None


def _places_of(
    tracer: Tracer, node: Node, x: Operand, index: Value, batch: int
) -> tuple[list[int], list[Operand]]:
    """The axes that indices along the last axis of a tensor are for, and the indices of each."""
    depth = index.shape[-1] if index.rank else 0
    if not 1 <= depth <= x.rank - batch or index.shape[:batch] != x.shape[:batch]:
        raise InvalidModelError(
            f"node '{node.name}': indices of shape {index.shape} do not fit {x.shape}"
        )
    rank = index.rank - 1
    numbers: list[Operand] = []
    for axis in range(batch):
        line = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(rank)])
        numbers.append(Constant(line.shape, line))
    for number in range(depth):
        numbers.append(tracer.squeeze(tracer.slice(index, rank, number, 1), [-1]))
    return list(range(batch + depth)), numbers


def _scatter(
    tracer: Tracer, node: Node, x: Operand, updates: Operand, places: tuple[Any, ...]
) -> Operand:
    """The tensor with updates in its places: instead of what was there, or combined with it."""

    def run(a: Any, b: Any) -> Any:
        a = a.copy()
        a[places] = b
        return a

    if node.attribute("reduction", "none") == "none":
        return tracer.rearrange([x, updates], run)
    (numbers,), _ = tracer.numbered([x])
    at = numbers[places].reshape(-1) - 1
    if at.size != updates.size:
        raise InvalidModelError(f"node '{node.name}': indices do not fit the updates")
    if isinstance(updates, Constant):
        return tracer.pointwise(x)
    tracer.budget.keep(node.name, x.size + at.size)
    order = np.argsort(at, kind="stable")
    offsets = np.searchsorted(at[order], np.arange(x.size + 1))
    flat = tracer.reshape(updates, (updates.size,))
    assert isinstance(flat, Value)
    relation = Relation.sparse(0, 0, offsets.astype(np.int64), order.astype(np.int64))
    moved = tracer.read(flat, {0: (x.size, relation)})
    return tracer.combine(x, tracer.reshape(moved, x.shape))


@rule("Tile")
def tile(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    repeats = node.integers(1) or []
    if len(repeats) != x.rank or any(n < 1 for n in repeats):
        raise InvalidModelError(f"node '{node.name}': repeats {repeats} do not fit {x.shape}")
    for axis, times in enumerate(repeats):
        if times > 1:
            length = x.shape[axis]
            if length == 1:
                x = tracer.expand(x, (*x.shape[:axis], times, *x.shape[axis + 1 :]))
            else:
                x = tracer.take(x, axis, np.arange(checked_size(node, length * times)) % length)
    return x


@rule("Pad")
def pad(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    given = node.integers(1)
    if given is None:
        given = node.attribute("pads", node.attribute("paddings", []))
    axes = node.integers(3)
    axes = checked_axes(node, range(x.rank) if axes is None else axes, x.rank)
    if len(given) != 2 * len(axes):
        raise InvalidModelError(f"node '{node.name}': pads {given} do not fit {x.shape}")
    sides = [(0, 0)] * x.rank
    for position, axis in enumerate(axes):
        sides[axis] = (given[position], given[position + len(axes)])
    mode = node.attribute("mode", "constant")
    if mode == "constant":
        value = node.optional(2)
        if isinstance(value, Value) and value.node.kind == "tensor":
            raise UnsupportedOperatorError("padding with a value computed at run time")
        return tracer.pad(x, sides)
    if mode not in ("reflect", "edge", "wrap"):
        raise UnsupportedOperatorError(f"mode '{mode}'")
    for axis, (before, after) in enumerate(sides):
        checked_size(node, x.shape[axis] + max(before, 0) + max(after, 0))
        at = np.arange(x.shape[axis])[max(-before, 0) : x.shape[axis] - max(-after, 0)]
        if not at.size or (mode == "reflect" and max(before, after) > 0 and at.size == 1):
            raise InvalidModelError(f"node '{node.name}': pads {given} do not fit {x.shape}")
        at = np.pad(at, (max(before, 0), max(after, 0)), mode=mode)
        if not np.array_equal(at, np.arange(x.shape[axis])):
            x = tracer.take(x, axis, at)
    return x


@rule("CenterCropPad")
def center_crop_pad(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = checked_axes(node, node.attribute("axes", list(range(x.rank))), x.rank)
    sides = [(0, 0)] * x.rank
    for axis, wanted in zip(axes, node.integers(1) or [], strict=False):
        missing = wanted - x.shape[axis]
        before = missing // 2 if missing >= 0 else -(-missing // 2)
        sides[axis] = (before, missing - before)
    return tracer.pad(x, sides)


@rule("DepthToSpace")
def depth_to_space(tracer: Tracer, node: Node) -> Operand:
    x, block = node.input(0), node.attribute("blocksize", 1)
    if x.rank != 4 or block < 1 or x.shape[1] % (block * block):
        raise InvalidModelError(f"node '{node.name}': blocks of {block} do not fit {x.shape}")
    n, c, h, w = x.shape
    c //= block * block
    if node.attribute("mode", "DCR") == "DCR":
        x = tracer.transpose(tracer.reshape(x, (n, block, block, c, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        x = tracer.transpose(tracer.reshape(x, (n, c, block, block, h, w)), (0, 1, 4, 2, 5, 3))
    return tracer.reshape(x, (n, c, h * block, w * block))


@rule("SpaceToDepth")
def space_to_depth(tracer: Tracer, node: Node) -> Operand:
    x, block = node.input(0), node.attribute("blocksize", 1)
    if x.rank != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
        raise InvalidModelError(f"node '{node.name}': blocks of {block} do not fit {x.shape}")
    n, c, h, w = x.shape
    x = tracer.reshape(x, (n, c, h // block, block, w // block, block))
    x = tracer.transpose(x, (0, 3, 5, 1, 2, 4))
    return tracer.reshape(x, (n, c * block * block, h // block, w // block))


@rule("Trilu")
def trilu(tracer: Tracer, node: Node) -> Operand:
    k = node.number(1, 0)
    function = np.triu if node.attribute("upper", 1) else np.tril
    return tracer.rearrange([node.input(0)], lambda a: function(a, k))


@rule("ReverseSequence")
def reverse_sequence(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    time, batch = node.attribute("time_axis", 0), node.attribute("batch_axis", 1)
    lengths = node.integers(1) or []
    if {time, batch} != {0, 1} or len(lengths) != x.shape[batch]:
        raise InvalidModelError(f"node '{node.name}': lengths {lengths} do not fit {x.shape}")

    def run(a: Any) -> Any:
        a = np.moveaxis(a, batch, 0).copy()
        for row, length in enumerate(lengths):
            a[row, :length] = a[row, :length][::-1]
        return np.moveaxis(a, 0, batch)

    return tracer.rearrange([x], run)


@rule("OneHot")
def one_hot(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    depth = node.number(1)
    (axis,) = checked_axes(node, [node.attribute("axis", -1)], x.rank + 1)
    wide = tracer.unsqueeze(x, [axis])
    shape = (*wide.shape[:axis], depth, *wide.shape[axis + 1 :])
    return tracer.pointwise(tracer.expand(wide, shape))


@rule("Col2Im")
def col2im(tracer: Tracer, node: Node) -> Operand:
    x, image, block = node.input(0), node.integers(1) or [], node.integers(2) or []
    rank = len(image)
    strides, dilations = (node.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    pads = node.attribute("pads", [0] * 2 * rank)
    lengths = [len(image), len(block), len(strides), len(dilations)]
    if not rank or set(lengths) != {rank} or len(pads) != 2 * rank:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): image, blocks, strides and dilations are for "
            f"{listed(lengths)} axes, and there are {len(pads)} pads"
        )
    windows = [
        tracer.window(n, k, stride=s, dilation=d, padding=(pads[axis], pads[axis + rank]))
        for axis, (n, k, s, d) in enumerate(zip(image, block, strides, dilations, strict=True))
    ]
    tracer.budget.keep(node.name, sum(window.length * window.size for window in windows))
    stops = [checked_size(node, window.length * window.size) // window.size for window in windows]
    if x.rank != 3 or x.shape[2] != size_of(stops) or x.shape[1] % size_of(block):
        raise InvalidModelError(f"node '{node.name}': blocks {block} do not fit {x.shape}")
    channels = x.shape[1] // size_of(block)
    x = tracer.reshape(x, (x.shape[0], channels, *block, *stops))
    pairs = [axis for i in range(rank) for axis in (2 + i, 2 + rank + i)]
    x = tracer.transpose(x, (0, 1, *pairs))
    x = tracer.reshape(x, (*x.shape[:2], *[k * n for k, n in zip(block, stops, strict=True)]))
    if isinstance(x, Constant):
        return Constant((*x.shape[:2], *image))
    changes = {
        2 + i: (window.extent, _overlapping(window, 2 + i)) for i, window in enumerate(windows)
    }
    return tracer.read(x, changes)


def _overlapping(window: Any, axis: int) -> Relation:
    """From (tap, stop) in row-major order to the position that it is added to."""
    taps, stops = np.divmod(np.arange(window.size * window.length), window.length)
    at = stops * window.stride - window.padding + taps * window.dilation
    inside = np.flatnonzero((at >= 0) & (at < window.extent))
    order = inside[np.argsort(at[inside], kind="stable")]
    offsets = np.searchsorted(at[order], np.arange(window.extent + 1))
    return Relation.sparse(axis, axis, offsets.astype(np.int64), order.astype(np.int64))


def indices_of(node: Node, position: int) -> Any:
    """Constant indices as an array.

    Raises
    ------
    UnsupportedOperatorError
        They are known only at run time, so that any element may be read.
    """
    if isinstance(node.optional(position), Value):
        raise UnsupportedOperatorError("its indices are known only at run time")
    constant = node.constant(position)
    if constant is None or constant.array is None or constant.array.dtype.kind not in "iu":
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): its indices are not known beforehand"
        )
    return constant.array.astype(np.int64)


def _check_indices(node: Node, at: Any, x: Operand, axis: int) -> None:
    """Refuse indices that an axis does not have; negative ones count from its end."""
    length = x.shape[axis]
    if at.size and not -length <= int(at.min()) <= int(at.max()) < length:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): indices from {at.min()} to {at.max()} are out "
            f"of range for axis {axis} of shape {x.shape}"
        )


def cut(array: Any, at: Any, axis: int) -> Any:
    """As much of an array as indices of another shape can reach, along all axes but one."""
    if array.ndim != at.ndim:
        raise InvalidModelError(f"indices of shape {at.shape} do not fit {array.shape}")
    return array[tuple([slice(None) if a == axis else slice(n) for a, n in enumerate(at.shape)])]


def checked_size(node: Node, length: int) -> int:
    """The length of an axis that is listed position by position."""
    if length > 1 << 26:
        raise InvalidModelError(f"node '{node.name}': an axis of {length:,} positions is too long")
    return length
