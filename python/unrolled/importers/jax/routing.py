"""Rules for JAX primitives that choose and put elements by numbers known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unrolled._core import Relation
from unrolled.importers.jax.table import TABLE, refused
from unrolled.importers.jax.tracer import RememberingTracer
from unrolled.importers.tracing.base import OTHER
from unrolled.importers.tracing.values import Constant, Operand, Value

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["cut_at_run_time", "gather_at_run_time", "put_at_run_time", "scatter_at_run_time"]

rule = TABLE.rule


@rule("sort")
def sort(tracer: Tracer, node: Equation) -> list[Operand]:
    """Several tensors are sorted by the first ones: each has an edge from all of its own line."""
    axis = node.params["dimension"]
    keys = node.operands[: node.params.get("num_keys", 1)]
    results = []
    for number, x in enumerate(node.operands):
        others = [key for at, key in enumerate(keys) if at != number and isinstance(key, Value)]
        sorted_ = tracer.reorder(x, axis)
        # What is carried along is chosen by the keys.
        moved = [tracer.reorder(key, axis) for key in others]
        results.append(tracer.combine(sorted_, *moved) if moved else sorted_)
    return results


@rule("top_k", "approx_top_k")
def top_k(tracer: Tracer, node: Equation) -> list[Operand]:
    (x,) = node.operands
    axis = next((axis for axis, n in enumerate(node.shapes[0]) if n != x.shape[axis]), x.rank - 1)
    axis = node.params.get("axis", node.params.get("reduction_dimension", axis))
    y = tracer.reorder(x, axis, node.shapes[0][axis % x.rank], largest=True)
    return [y, y]


def columns_of(tracer: Tracer, indices: Operand, number: int) -> list[Operand]:
    """The numbers along each axis, of indices that have them along their last axis."""
    if isinstance(tracer, RememberingTracer) and isinstance(indices, Value):
        known = tracer.columns.get(indices.node)
        if known is not None and len(known) == number:
            return [tracer.reshape(one, one.shape[:-1]) for one in known]
    last = indices.rank - 1
    return [
        tracer.reshape(tracer.slice(indices, last, at, 1), indices.shape[:-1])
        for at in range(number)
    ]


def gather_at_run_time(tracer: Tracer, node: Equation, x: Operand, indices: Operand) -> Operand:
    """Slices that are whole along the axes that have no numbers."""
    given = node.params["dimension_numbers"]
    mapped = tuple(given.start_index_map)
    batch = tuple(getattr(given, "operand_batching_dims", ()))
    own = tuple(getattr(given, "start_indices_batching_dims", ()))
    sizes = node.params["slice_sizes"]
    whole = all(n == x.shape[axis] for axis, n in enumerate(sizes) if axis not in (*mapped, *batch))
    if not whole or any(sizes[axis] != 1 for axis in (*mapped, *batch)):
        raise refused("slices that begin where numbers of run time say")
    numbers = columns_of(tracer, indices, len(mapped))
    axes = [*batch, *mapped]
    places: list[Operand] = [_counting(indices, axis) for axis in own]
    y = tracer.gather_at(x, axes, [*places, *numbers])
    count = indices.rank - 1
    rest = [axis for axis in range(x.rank) if axis not in axes]
    kept = [axis for axis in range(x.rank) if axis not in (*given.collapsed_slice_dims, *batch)]
    # Axes of the slice of length 1 that are not dropped.
    shape = [*y.shape[:count], *[x.shape[axis] if axis in rest else 1 for axis in kept]]
    y = tracer.reshape(y, shape)
    offset = list(given.offset_dims)
    of_indices = iter(range(count))
    of_slice = iter(range(count, y.rank))
    order = [next(of_slice) if a in offset else next(of_indices) for a in range(y.rank)]
    return tracer.transpose(y, order)


def scatter_at_run_time(tracer: Tracer, node: Equation) -> Operand:
    """Slices put in, or combined, that are whole along the axes that have no numbers."""
    x, indices, updates = node.operands
    given = node.params["dimension_numbers"]
    mapped = tuple(given.scatter_dims_to_operand_dims)
    batch = tuple(getattr(given, "operand_batching_dims", ()))
    own = tuple(getattr(given, "scatter_indices_batching_dims", ()))
    window = list(given.update_window_dims)
    inserted = (*given.inserted_window_dims, *batch)
    kept = [axis for axis in range(x.rank) if axis not in inserted]
    lengths = [updates.shape[axis] for axis in window]
    whole = all(
        n == (1 if axis in mapped else x.shape[axis]) for axis, n in zip(kept, lengths, strict=True)
    )
    if not whole:
        raise refused("windows that begin where numbers of run time say")
    numbers = columns_of(tracer, indices, len(mapped))
    axes = [*batch, *mapped]
    places: list[Operand] = [_counting(indices, axis) for axis in own]
    scattered = [axis for axis in range(updates.rank) if axis not in window]
    updates = tracer.transpose(updates, [*scattered, *window])
    rest = [axis for axis in range(x.rank) if axis not in axes]
    shape = [*updates.shape[: len(scattered)], *[x.shape[axis] for axis in rest]]
    return tracer.put_at(x, axes, [*places, *numbers], tracer.reshape(updates, shape))


def _counting(indices: Operand, axis: int) -> Constant:
    """The numbers of the positions along an axis of indices."""
    line = np.arange(indices.shape[axis])
    shape = [-1 if one == axis else 1 for one in range(indices.rank - 1)]
    return Constant.of(line.reshape(shape))


def cut_at_run_time(
    tracer: Tracer, x: Operand, starts: Sequence[Operand], shape: Sequence[int]
) -> Operand:
    """A box of a tensor that begins where numbers of run time say along some axes."""
    for axis, start in enumerate(starts):
        length, number = x.shape[axis], shape[axis]
        if number == length:
            continue
        if isinstance(start, Constant) and start.array is not None:
            at = min(max(int(start.array), 0), length - number)
            x = tracer.slice(x, axis, at, number)
            continue
        choices = length - number + 1
        links = []
        if isinstance(x, Value):
            relations = [Relation.same(one, one) for one in range(x.rank)]
            relations[axis] = Relation.window(axis, axis, size=choices)
            links.append((x, relations))
        result = (*x.shape[:axis], number, *x.shape[axis + 1 :])
        if isinstance(start, Value):
            row = tracer.emit((choices,), [(start, [Relation.sum(0)])], OTHER)
            links.append((row, [Relation.each(0), *[Relation.sum(a) for a in range(len(result))]]))
        x = tracer.emit(result, links, OTHER) if links else Constant(result)
    return x


def put_at_run_time(tracer: Tracer, x: Operand, new: Operand, starts: Sequence[Operand]) -> Operand:
    """A tensor with a box put in that begins where numbers of run time say along some axes."""
    relations = []
    links = []
    for axis, start in enumerate(starts):
        length, number = x.shape[axis], new.shape[axis]
        if number == length:
            relations.append(Relation.same(axis, axis))
        elif isinstance(start, Constant) and start.array is not None:
            at = min(max(int(start.array), 0), length - number)
            relations.append(Relation.window(axis, axis, size=1, padding=at))
        else:
            relations.append(Relation.all(axis, axis))
            if isinstance(start, Value):
                links.append((start, [Relation.sum(one) for one in range(x.rank)]))
    if isinstance(new, Value):
        links.append((new, relations))
    if isinstance(x, Value):
        links.append((x, [Relation.same(axis, axis) for axis in range(x.rank)]))
    return tracer.emit(x.shape, links, OTHER) if links else Constant(x.shape)
