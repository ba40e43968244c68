"""Rules for JAX primitives that move elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled._support.optional import import_optional
from unrolled.importers.jax.lazy import Item, broadcast, reshaped
from unrolled.importers.jax.routing import (
    cut_at_run_time,
    gather_at_run_time,
    put_at_run_time,
    scatter_at_run_time,
)
from unrolled.importers.jax.table import TABLE, refused
from unrolled.importers.jax.tracer import RememberingTracer
from unrolled.importers.tracing.values import Constant, Operand, Value

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.tracer import Tracer

rule = TABLE.rule

RUN_TIME = "by indices that are known only at run time"


@rule("broadcast_in_dim")
def broadcast_in_dim(tracer: Tracer, node: Equation) -> Item:
    return broadcast(tracer, node.items[0], node.shapes[0], node.params["broadcast_dimensions"])


@rule("reshape", "squeeze", "expand_dims")
def reshape(tracer: Tracer, node: Equation) -> Item:
    if node.params.get("dimensions") is not None and node.operator == "reshape":
        raise refused("in another order than row by row")
    return reshaped(tracer, node.items[0], node.shapes[0])


@rule("transpose")
def transpose(tracer: Tracer, node: Equation) -> Operand:
    return tracer.transpose(node.operands[0], node.params["permutation"])


@rule("rev")
def reverse(tracer: Tracer, node: Equation) -> Operand:
    (x,) = node.operands
    for axis in node.params["dimensions"]:
        length = x.shape[axis]
        if length > 1:
            x = tracer.slice(x, axis, length - 1, length, -1)
    return x


@rule("slice")
def cut(tracer: Tracer, node: Equation) -> Operand:
    (x,) = node.operands
    steps = node.params["strides"] or (1,) * x.rank
    return _slice(tracer, x, node.params["start_indices"], node.shapes[0], steps)


@rule("dynamic_slice")
def cut_at(tracer: Tracer, node: Equation) -> Operand:
    x, *given = node.operands
    (shape,) = node.shapes
    chosen = [axis for axis, index in enumerate(given) if isinstance(index, Value)]
    if len(chosen) == 1 and shape[chosen[0]] == 1:  # One row of a table.
        (axis,) = chosen
        x = tracer.embedding(x, tracer.reshape(given[axis], (1,)), axis)
        given[axis] = Constant.of(0)
    elif chosen:
        return cut_at_run_time(tracer, x, given, shape)
    if isinstance(x, Constant):
        return Constant(shape)
    return _slice(tracer, x, _starts(given, x.shape, shape), shape, (1,) * x.rank)


def _slice(tracer: Tracer, x: Operand, starts: Any, shape: Any, steps: Any) -> Operand:
    """A box of a tensor, read in one go."""
    assert isinstance(x, Value)
    changes = {
        axis: (length, Relation.slice(axis, axis, start=int(start), step=int(step)))
        for axis, (start, length, step) in enumerate(zip(starts, shape, steps, strict=True))
        if length != x.shape[axis]
    }
    return tracer.read(x, changes) if changes else x


def _starts(given: list[Operand], shape: tuple[int, ...], box: tuple[int, ...]) -> list[int]:
    """Where a box begins that lies inside a tensor."""
    starts = []
    for index, length, size in zip(given, shape, box, strict=True):
        if not isinstance(index, Constant) or index.array is None:
            raise refused(RUN_TIME)
        starts.append(min(max(int(index.array), 0), length - size))
    return starts


@rule("dynamic_update_slice")
def replace_at(tracer: Tracer, node: Equation) -> Operand:
    x, new, *given = node.operands
    if any(isinstance(start, Value) for start in given):
        return put_at_run_time(tracer, x, new, given)
    starts = _starts(given, x.shape, new.shape)
    cut_axes = [axis for axis, length in enumerate(x.shape) if new.shape[axis] != length]
    if not cut_axes:
        return new
    if len(cut_axes) == 1:
        (axis,) = cut_axes
        start, size = starts[axis], new.shape[axis]
        rest = x.shape[axis] - start - size
        parts = [tracer.slice(x, axis, 0, start)] if start else []
        parts.append(new)
        parts += [tracer.slice(x, axis, start + size, rest)] if rest else []
        return tracer.concat(parts, axis)
    box = tuple([slice(start, start + n) for start, n in zip(starts, new.shape, strict=True)])

    def run(old: Any, updates: Any) -> Any:
        old = old.copy()
        old[box] = updates
        return old

    return tracer.rearrange([x, new], run)


@rule("concatenate")
def concatenate(tracer: Tracer, node: Equation) -> Operand:
    axis = node.params["dimension"]
    given = [x for x in node.operands if x.shape[axis]]
    y = tracer.concat(given, axis)
    is_columns = axis == y.rank - 1 and all(x.shape[axis] == 1 for x in given)
    if is_columns and isinstance(y, Value) and isinstance(tracer, RememberingTracer):
        tracer.columns[y.node] = given  # Numbers of elements along several axes.
    return y


@rule("split")
def split(tracer: Tracer, node: Equation) -> list[Operand]:
    (x,) = node.operands
    axis = node.params["axis"]
    starts = np.cumsum([0, *node.params["sizes"]]).tolist()
    return [
        tracer.slice(x, axis, start, shape[axis]) if shape[axis] else Constant.of(np.zeros(shape))
        for start, shape in zip(starts, node.shapes, strict=False)
    ]


@rule("stack")
def stack(tracer: Tracer, node: Equation) -> Operand:
    axis = node.params["axis"]
    shape = list(node.shapes[0])
    shape[axis] = 1
    return tracer.concat([tracer.reshape(x, shape) for x in node.operands], axis)


@rule("unstack")
def unstack(tracer: Tracer, node: Equation) -> list[Operand]:
    (x,) = node.operands
    axis = node.params["axis"]
    return [
        tracer.reshape(tracer.slice(x, axis, at, 1), shape) if used else Constant(shape)
        for at, (shape, used) in enumerate(zip(node.shapes, node.used, strict=True))
    ]


@rule("tile")
def tile(tracer: Tracer, node: Equation) -> Operand:
    (x,) = node.operands
    repeats = node.params["reps"]
    x = tracer.reshape(x, (*[1] * (len(repeats) - x.rank), *x.shape))
    for axis, number in enumerate(repeats):
        if number > 1:
            x = tracer.take(x, axis, np.tile(np.arange(x.shape[axis]), number))
    return x


@rule("gather")
def gather(tracer: Tracer, node: Equation) -> Operand:
    x, indices = node.operands
    axis = _axis_taken(node, x)
    places = indices.rank - 1
    array = indices.array if isinstance(indices, Constant) else None
    if axis is not None and not (array is not None and _drops(node, array, x.shape[axis])):
        at = tracer.reshape(indices, indices.shape[:-1])
        if array is not None:
            at = Constant.of(np.clip(array.astype(np.int64), 0, x.shape[axis] - 1)[..., 0])
        y = tracer.embedding(x, at, axis)
        # Axes of the slice are put where `offset_dims` has them, those of the indices elsewhere.
        offset = node.params["dimension_numbers"].offset_dims
        of_slice = [a if a < axis else a + places for a in range(x.rank - 1)]
        of_indices = iter(range(axis, axis + places))
        slices = dict(zip(offset, of_slice, strict=True))
        order = [slices[a] if a in slices else next(of_indices) for a in range(y.rank)]
        return tracer.transpose(y, order)
    if array is None:
        return gather_at_run_time(tracer, node, x, indices)
    return tracer.rearrange([x], lambda numbers: node.run(numbers, array, fill_value=0))


def _axis_taken(node: Equation, x: Operand) -> int | None:
    """The axis along which whole slices are taken, if that is all that happens."""
    numbers = node.params["dimension_numbers"]
    axes = tuple(numbers.collapsed_slice_dims)
    if len(axes) != 1 or axes != tuple(numbers.start_index_map):
        return None
    if getattr(numbers, "operand_batching_dims", ()):
        return None
    (axis,) = axes
    whole = all(n == x.shape[a] for a, n in enumerate(node.params["slice_sizes"]) if a != axis)
    return axis if whole else None


def _drops(node: Equation, at: npt.NDArray[Any], length: int) -> bool:
    """Whether some indices are out of range and read nothing."""
    return "FILL" in str(node.params["mode"]) and bool(np.any((at < 0) | (at >= length)))


@rule("scatter")
def replace(tracer: Tracer, node: Equation) -> Operand:
    x, indices, updates = node.operands
    if isinstance(indices, Value):
        return scatter_at_run_time(tracer, node)
    targets = _targets(tracer, node)

    def run(old: Any, new: Any) -> Any:
        flat = old.reshape(-1).copy()
        flat[targets[targets >= 0]] = new.reshape(-1)[targets >= 0]
        return flat.reshape(old.shape)

    return tracer.rearrange([x, updates], run)


@rule("scatter-add", "scatter-sub", "scatter-mul", "scatter-max", "scatter-min")
@rule("scatter_add", "scatter_sub", "scatter_mul", "scatter_max", "scatter_min")
def accumulate(tracer: Tracer, node: Equation) -> Operand:
    x, indices, updates = node.operands
    if isinstance(indices, Value):
        return scatter_at_run_time(tracer, node)
    targets = _targets(tracer, node)
    parts: list[Operand] = [x]
    if isinstance(updates, Value):
        tracer.budget.keep(node.name, x.size + targets.size)
        order = np.argsort(targets, kind="stable")
        order = order[targets[order] >= 0]
        offsets = np.searchsorted(targets[order], np.arange(x.size + 1))
        flat = tracer.reshape(updates, (updates.size,))
        assert isinstance(flat, Value)
        moved = tracer.emit((x.size,), [(flat, [Relation.sparse(0, 0, offsets, order)])])
        parts.append(tracer.reshape(moved, x.shape))
    return tracer.combine(*parts)


def _targets(tracer: Tracer, node: Equation) -> npt.NDArray[np.int64]:
    """The row-major number of the element that each update goes to; -1 for none."""
    lax = import_optional("jax.lax", "jax")

    x, indices, updates = node.operands
    if not isinstance(indices, Constant) or indices.array is None:
        raise refused(RUN_TIME)
    given = node.params["dimension_numbers"]
    batch = tuple(getattr(given, "operand_batching_dims", ()))
    lengths = iter([updates.shape[axis] for axis in given.update_window_dims])
    inserted = {*given.inserted_window_dims, *batch}
    numbers = lax.GatherDimensionNumbers(
        offset_dims=given.update_window_dims,
        collapsed_slice_dims=given.inserted_window_dims,
        start_index_map=given.scatter_dims_to_operand_dims,
        operand_batching_dims=batch,
        start_indices_batching_dims=tuple(getattr(given, "scatter_indices_batching_dims", ())),
    )
    (elements,), _ = tracer.numbered([x])
    found = lax.gather(
        elements.astype(np.int32),
        indices.array,
        numbers,
        tuple([1 if axis in inserted else next(lengths) for axis in range(x.rank)]),
        mode=node.params["mode"],
        fill_value=0,
    )
    return np.asarray(found, dtype=np.int64).reshape(-1) - 1
