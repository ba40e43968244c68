"""Rules of PyTorch operators that move elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Relation
from unrolled.errors import UnsupportedOperatorError
from unrolled.importers.torch.node import Node, aten, many, mapped, tensor_of
from unrolled.importers.tracing.base import OTHER
from unrolled.importers.tracing.values import (
    Array,
    Constant,
    Operand,
    Value,
    broadcast_shapes,
)

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer

__all__: list[str] = []

PLACES = ("index", "indices", "mask")
"""Arguments that say where elements are; all other tensors are moved."""

SCALARS = ("value", "fill_value")
"""Arguments that are elements of the result."""


@aten(
    *("view", "reshape", "_unsafe_view", "_reshape_alias", "flatten", "unflatten", "squeeze"),
    *("unsqueeze", "ravel", "view_as", "reshape_as", "view_copy", "_reshape_copy"),
)
def _reshape(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    if node.target._overloadname == "dtype":
        raise UnsupportedOperatorError("it reads the bits of numbers")
    return tracer.reshape(x, node.shape)


@aten("permute", "permute_copy")
def _permute(tracer: Tracer, node: Node) -> Operand:
    return tracer.transpose(node.operand("self"), node["dims"])


@aten("transpose", "swapaxes", "swapdims", "transpose_copy")
def _transpose(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    first, second = [node[name] for name in node if name != "self"]
    order = list(range(x.rank))
    if order:
        order[first], order[second] = order[second], order[first]
    return tracer.transpose(x, order)


@aten("t", "numpy_T", "mT", "mH", "matrix_H", "adjoint")
def _transpose_last(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    order = list(range(x.rank))
    whole = node.operator in ("aten.t", "aten.numpy_T")
    order = order[::-1] if whole else [*order[:-2], *order[:-3:-1]]
    return tracer.transpose(x, order)


@aten("expand", "expand_as", "broadcast_to", "expand_copy")
def _expand(tracer: Tracer, node: Node) -> Operand:
    return tracer.expand(node.operand("self"), node.shape)


@aten("cat", "concat", "concatenate")
def _concat(tracer: Tracer, node: Node) -> Operand:
    # Empty tensors have nothing to add, such as a cache at first.
    operands = [x for x in node["tensors"] if x.size]
    return tracer.concat(operands, node["dim"])


@aten("stack")
def _stack(tracer: Tracer, node: Node) -> Operand:
    axis = node["dim"] % len(node.shape)
    return tracer.concat([tracer.unsqueeze(x, [axis]) for x in node["tensors"]], axis)


@aten(
    *("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split"),
    *("unsafe_split_with_sizes", "split_copy", "split_with_sizes_copy"),
)
def _split(tracer: Tracer, node: Node) -> list[Operand]:
    x = node.operand("self")
    axis = node["dim"] % x.rank
    return tracer.split(x, axis, [shape[axis] for shape in node.shapes])


@aten("unbind", "unbind_copy")
def _unbind(tracer: Tracer, node: Node) -> list[Operand]:
    x = node.operand("self")
    axis = node["dim"] % x.rank
    parts = tracer.split(x, axis, [1] * x.shape[axis])
    return [tracer.squeeze(part, [axis]) for part in parts]


@aten("slice", "slice_copy")
def _slice(tracer: Tracer, node: Node) -> Operand:
    x, axis = node.operand("self"), node["dim"]
    start, _, step = slice(node["start"], node["end"], node["step"]).indices(x.shape[axis])
    return tracer.slice(x, axis, start, node.shape[axis], step)


@aten("narrow", "narrow_copy")
def _narrow(tracer: Tracer, node: Node) -> Operand:
    x, axis = node.operand("self"), node["dim"]
    return tracer.slice(x, axis, node["start"] % max(x.shape[axis], 1), node["length"])


@aten("select", "select_copy")
def _select(tracer: Tracer, node: Node) -> Operand:
    x, axis = node.operand("self"), node["dim"] % node.operand("self").rank
    return tracer.squeeze(tracer.slice(x, axis, node["index"] % x.shape[axis], 1), [axis])


@aten("flip", "fliplr", "flipud")
def _flip(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    axes = {"aten.fliplr": [1], "aten.flipud": [0]}.get(node.operator) or node["dims"]
    for axis in axes:
        x = tracer.take(x, axis, np.arange(x.shape[axis])[::-1])
    return x


@aten("roll")
def _roll(tracer: Tracer, node: Node) -> Operand:
    x, axes = node.operand("self"), node["dims"]
    if not axes:
        flat = tracer.reshape(x, (x.size,))
        return tracer.reshape(_roll_axis(tracer, flat, 0, node["shifts"][0]), x.shape)
    for axis, shift in zip(axes, many(node["shifts"], len(axes)), strict=True):
        x = _roll_axis(tracer, x, axis, shift)
    return x


def _roll_axis(tracer: Tracer, x: Operand, axis: int, shift: int) -> Operand:
    length = x.shape[axis]
    if shift % max(length, 1) == 0:
        return x
    return tracer.take(x, axis, np.roll(np.arange(length), shift))


@aten("repeat", "tile")
def _repeat(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    x = tracer.reshape(x, (1,) * (len(node.shape) - x.rank) + x.shape)
    for axis, length in enumerate(node.shape):
        if x.shape[axis] == 1:
            x = tracer.expand(x, (*x.shape[:axis], length, *x.shape[axis + 1 :]))
        elif x.shape[axis] != length:
            x = tracer.take(x, axis, np.arange(length) % x.shape[axis])
    return x


@aten("repeat_interleave")
def _repeat_interleave(tracer: Tracer, node: Node) -> Operand:
    x, axis, repeats = node.operand("self"), node["dim"], node["repeats"]
    if isinstance(repeats, Value):
        raise UnsupportedOperatorError("the numbers of repetitions are computed at run time")
    if axis is None:
        x, axis = tracer.reshape(x, (x.size,)), 0
    times = repeats.integers("repeats") if isinstance(repeats, Constant) else repeats
    return tracer.take(x, axis, np.repeat(np.arange(x.shape[axis]), times))


@aten("pad")
def _pad(tracer: Tracer, node: Node) -> Operand:
    how = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}.get(node["mode"])
    return _pad_sides(tracer, node.operand("self"), node["pad"], how)


@aten("constant_pad_nd")
def _constant_pad(tracer: Tracer, node: Node) -> Operand:
    return _pad_sides(tracer, node.operand("self"), node["pad"], None)


@aten(*[f"{how}_pad{n}d" for how in ("reflection", "replication") for n in (1, 2, 3)])
def _pad_from_inside(tracer: Tracer, node: Node) -> Operand:
    how = "reflect" if "reflection" in node.operator else "edge"
    return _pad_sides(tracer, node.operand("self"), node["padding"], how)


def _pad_sides(tracer: Tracer, x: Operand, pad: Any, how: str | None) -> Operand:
    """`pad` lists both sides of the last axis first."""
    sides = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    if how is None:
        return tracer.pad(x, [(0, 0)] * (x.rank - len(sides)) + sides[::-1])
    for i, (before, after) in enumerate(sides):
        axis = x.rank - 1 - i
        at = np.arange(x.shape[axis])
        at = at[max(-before, 0) : len(at) - max(-after, 0)]
        wide = (max(before, 0), max(after, 0))
        x = tracer.take(x, axis, np.pad(at, wide, mode=how))  # type: ignore[call-overload]
    return x


@aten("pixel_shuffle")
def _pixel_shuffle(tracer: Tracer, node: Node) -> Operand:
    x, r = node.operand("self"), node["upscale_factor"]
    *rest, channels, rows, columns = x.shape
    k = len(rest)
    y = tracer.reshape(x, (*rest, channels // (r * r), r, r, rows, columns))
    y = tracer.transpose(y, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return tracer.reshape(y, node.shape)


@aten("pixel_unshuffle")
def _pixel_unshuffle(tracer: Tracer, node: Node) -> Operand:
    x, r = node.operand("self"), node["downscale_factor"]
    *rest, channels, rows, columns = x.shape
    k = len(rest)
    y = tracer.reshape(x, (*rest, channels, rows // r, r, columns // r, r))
    y = tracer.transpose(y, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return tracer.reshape(y, node.shape)


@aten("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(tracer: Tracer, node: Node) -> Operand:
    x, groups = node.operand("self"), node["groups"]
    at = np.arange(x.shape[1]).reshape(groups, -1).T.reshape(-1)
    return tracer.take(x, 1, at)


@aten("unfold", "unfold_copy")
def _unfold(tracer: Tracer, node: Node) -> Operand:
    x, size = node.operand("self"), node["size"]
    if not x.rank:
        return tracer.reshape(x, node.shape)
    axis = node["dimension"] % x.rank
    at = np.arange(node.shape[axis])[:, None] * node["step"] + np.arange(size)
    y = tracer.take(x, axis, at)
    order = [one for one in range(y.rank) if one != axis + 1]
    return tracer.transpose(y, [*order, axis + 1])


@aten("im2col")
def _im2col(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    y = x if x.rank == 4 else tracer.unsqueeze(x, [0])
    names = ("kernel_size", "dilation", "padding", "stride")
    sizes = zip(*[many(node[name], 2) for name in names], strict=True)
    padding = many(node["padding"], 2)
    y = tracer.pad(y, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    for axis, (kernel, dilation, _, stride) in zip((2, 4), sizes, strict=True):
        steps = (y.shape[axis] - (kernel - 1) * dilation - 1) // stride + 1
        y = tracer.take(y, axis, np.arange(kernel)[:, None] * dilation + np.arange(steps) * stride)
    return tracer.reshape(tracer.transpose(y, (0, 1, 2, 4, 3, 5)), node.shape)


@aten("col2im")
def _col2im(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    names = ("output_size", "kernel_size", "dilation", "padding", "stride")
    axes = list(zip(*[many(node[name], 2) for name in names], strict=True))
    steps = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, d, p, s in axes]
    (_, kh, *_), (_, kw, *_) = axes
    batch = x.shape[0] if x.rank == 3 else 1
    y = tracer.reshape(x, (batch, x.shape[-2] // (kh * kw), kh, kw, *steps))
    y = tracer.transpose(y, (0, 1, 2, 4, 3, 5))
    y = tracer.reshape(y, (*y.shape[:2], kh * steps[0], kw * steps[1]))
    assert isinstance(y, Value)
    changes = {}
    for axis, ((n, k, d, p, s), m) in enumerate(zip(axes, steps, strict=True), 2):
        to = (np.arange(k)[:, None] * d + np.arange(m) * s - p).reshape(-1)
        read = [np.flatnonzero(to == position) for position in range(n)]
        offsets = np.cumsum([0, *[len(one) for one in read]])
        changes[axis] = (n, Relation.sparse(axis, axis, offsets, np.concatenate(read)))
    return tracer.reshape(tracer.read(y, changes), node.shape)


@aten("index_select")
def _index_select(tracer: Tracer, node: Node) -> Operand:
    x, index, axis = node.operand("self"), node["index"], node["dim"]
    return tracer.embedding(x, tracer.reshape(index, (index.size,)), axis)


@aten("index")
def _index(tracer: Tracer, node: Node) -> Operand:
    x, indices = node.operand("self"), node["indices"]
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(given) == 1:
        axis, index = given[0]
        if isinstance(index, Value):
            _indexed(node, given)
            return tracer.embedding(x, index, axis)
        if index.array is not None and index.array.dtype.kind in "iu":
            return tracer.take(x, axis, index.array)
    if any(isinstance(index, Value) for _, index in given):
        axes, numbers = _indexed(node, given)
        y = tracer.gather_at(x, axes, numbers)
        return tracer.transpose(y, _order_of_result(axes, y.rank, x.rank))
    return _move_elements(tracer, node)


def _indexed(node: Node, given: list[Any]) -> tuple[list[int], list[Operand]]:
    """The axes that are indexed, and the indices of each."""
    are_conditions = node.are_conditions("indices")
    for at, index in given:
        if isinstance(index, Value) and are_conditions[at]:
            raise UnsupportedOperatorError("conditions that are computed, as indices")
        if isinstance(index, Constant) and (index.array is None or index.array.dtype == np.bool_):
            raise UnsupportedOperatorError(
                "conditions, or indices without values, beside indices that are computed"
            )
    return [axis for axis, _ in given], [index for _, index in given]


def _order_of_result(axes: list[int], rank: int, rank_before: int) -> list[int]:
    """The axes of slices, those of the indices first, in the order that PyTorch gives them."""
    count = rank - (rank_before - len(axes))
    is_together = axes == list(range(axes[0], axes[0] + len(axes)))
    before = axes[0] if is_together else 0
    rest = list(range(count, rank))
    return [*rest[:before], *range(count), *rest[before:]]


@aten("embedding")
def _embedding(tracer: Tracer, node: Node) -> Operand:
    return tracer.embedding(node.operand("weight"), node.operand("indices"))


@aten("one_hot")
def _one_hot(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    return tracer.expand(tracer.unsqueeze(tracer.pointwise(x), [x.rank]), node.shape)


@aten("index_put", "_unsafe_index_put", "_index_put_impl", "index_add", "scatter_add")
def _put(tracer: Tracer, node: Node) -> Operand:
    at_run_time = _put_at_run_time(tracer, node)
    if at_run_time is not None:
        return at_run_time
    is_sum = node.get("accumulate", True)
    if not is_sum:
        return _move_elements(tracer, node)
    x = node.operand("self")
    blank = Constant(x.shape, np.zeros(x.shape))
    added = _move_elements(tracer, node, {"self": blank})
    name = "values" if "values" in node else "source" if "source" in node else "src"
    given = node.operand(name)
    if isinstance(added, Value) and isinstance(given, Value):
        places = node.run(lambda n, v: _count(n, v, name, x.shape))
        if float(places.max()) > 1:
            raise UnsupportedOperatorError("several elements are added up at one place")
    return tracer.add(x, added)


def _put_at_run_time(tracer: Tracer, node: Node) -> Operand | None:
    """What is put where numbers of run time say; None if they are constant."""
    x = node.operand("self")
    if "indices" in node:
        indices = enumerate(node["indices"])
        given = [(axis, index) for axis, index in indices if index is not None]
        if not any(isinstance(index, Value) for _, index in given):
            return None
        if len(given) == 1 and node.are_conditions("indices")[given[0][0]]:
            return _put_where(tracer, node, *given[0])
        axes, numbers = _indexed(node, given)
        shape = broadcast_shapes(tracer.name, [number.shape for number in numbers])
        rest = [length for axis, length in enumerate(x.shape) if axis not in axes]
        order = _order_of_result(axes, len(shape) + len(rest), x.rank)
        first = (*shape, *rest)
        values = tracer.expand(node.operand("values"), [first[axis] for axis in order])
        back = [order.index(axis) for axis in range(len(order))]
        return tracer.put_at(x, axes, numbers, tracer.transpose(values, back))
    index, axis = node["index"], node["dim"] % max(x.rank, 1)
    if not isinstance(index, Value):
        return None
    name = next(one for one in ("src", "source", "value") if one in node)
    updates = node.operand(name)
    is_whole = any(kind in node.operator for kind in ("index_add", "index_copy", "index_fill"))
    if not is_whole:
        return tracer.put_along(x, index, updates, axis)
    if updates.rank == x.rank:
        order = [axis, *[other for other in range(x.rank) if other != axis]]
        updates = tracer.transpose(updates, order)
    return tracer.put_at(x, [axis], [index], updates)


def _put_where(tracer: Tracer, node: Node, axis: int, condition: Operand) -> Operand:
    """What is put where a condition holds that is computed, as ``x[x > 0] = 0`` does.

    The condition has some axes of the tensor, from `axis` on. How many elements it chooses is not
    known, so that the values have to be the same for all of them.
    """
    x, values = node.operand("self"), node.operand("values")
    after = x.rank - axis - condition.rank
    shape = (*[1] * (axis + 1 + after - values.rank), *values.shape)
    if len(shape) != axis + 1 + after or shape[axis] != 1:
        raise UnsupportedOperatorError("values of their own where a condition holds at run time")
    values = tracer.reshape(values, (*shape[:axis], *[1] * condition.rank, *shape[axis + 1 :]))
    if node.get("accumulate"):
        values = tracer.add(x, values)
    condition = tracer.reshape(condition, (*condition.shape, *[1] * after))
    return tracer.expand(tracer.where(condition, values, x), x.shape)


@aten("scatter", "scatter_reduce", "index_copy", "index_fill")
def _replaced_at(tracer: Tracer, node: Node) -> Operand:
    at_run_time = _put_at_run_time(tracer, node)
    return _move_elements(tracer, node) if at_run_time is None else at_run_time


@aten("histc", "bincount")
def _histogram(tracer: Tracer, node: Node) -> Operand:
    """How many elements fall into each part: every element may."""
    x = node.operand("self")
    assert isinstance(x, Value)
    flat = tracer.reshape(x, (x.size,))
    assert isinstance(flat, Value)
    return tracer.read(flat, {0: (node.shape[0], Relation.all(0, 0))}, OTHER)


def _count(name: str, given: Any, source: str, shape: Any) -> Any:
    """For how often each element is written."""
    if name == "self":
        return tensor_of(np.zeros(shape))
    if isinstance(given, (Value, Constant)) and name == source:
        return tensor_of(np.ones(given.shape))
    return tensor_of(_known(given)) if isinstance(given, (Value, Constant)) else given


@aten("gather", "take_along_dim")
def _gather(tracer: Tracer, node: Node) -> Operand:
    x, axis = node.operand("self"), node["dim"]
    index = node["index" if "index" in node else "indices"]
    if isinstance(index, Constant) or axis is None:
        return _move_elements(tracer, node)
    if node.operator.startswith("aten.take_along_dim"):  # Which broadcasts the other axes.
        axis %= x.rank
        shape = [
            n if a == axis else max(n, x.shape[a], key=lambda one: one != 1 and one)
            for a, n in enumerate(index.shape)
        ]
        index = tracer.expand(index, shape)
        x = tracer.expand(x, [x.shape[axis] if a == axis else n for a, n in enumerate(shape)])
    return tracer.take_along(x, index, axis)


@aten(
    *("rot90", "diagonal", "diag", "diag_embed", "take"),
    *("select_scatter", "slice_scatter", "diagonal_scatter", "as_strided"),
    *("masked_scatter", "masked_select", "movedim", "moveaxis", "linalg_diagonal"),
    *("diagonal_copy", "as_strided_copy", "as_strided_scatter", "_unsafe_index", "trace_diagonal"),
)
def _move_elements(tracer: Tracer, node: Node, blanks: dict[str, Operand] | None = None) -> Operand:
    """Any other movement: the operator itself tells where elements of known places come from."""
    moving: list[Operand] = []

    def gather(name: str) -> None:
        given = (blanks or {}).get(name, node[name])
        mapped(given, lambda x: moving.append(x) if name not in PLACES else _known(x))

    for name in node:
        gather(name)

    def run(*arrays: Array) -> Array:
        waiting = iter(arrays)

        def replace(name: str, given: Any) -> Any:
            given = (blanks or {}).get(name, given)
            if isinstance(given, (Value, Constant)):
                if name in PLACES:
                    return tensor_of(_known(given))
                return tensor_of(_number_elements(given, next(waiting)))
            is_number = isinstance(given, (int, float)) and name in SCALARS
            return 0.0 if is_number else given

        return np.asarray(node.run(replace).numpy()).astype(np.int64)

    try:
        return tracer.rearrange(moving, run)
    except (RuntimeError, IndexError) as error:
        raise UnsupportedOperatorError(f"it cannot be followed: {error}") from None


def _known(x: Operand) -> Array:
    if isinstance(x, Value):
        raise UnsupportedOperatorError("its indices are computed at run time")
    if x.array is None:
        raise UnsupportedOperatorError("its indices have no values; they must not be on 'meta'")
    return x.array


def _number_elements(x: Operand, numbers: Array) -> Array:
    """Numbers of elements, exact in floating point, which all operators take; 0 for constants."""
    is_moved = isinstance(x, Value)
    return numbers.astype(np.float64) if is_moved else np.zeros(x.shape)
