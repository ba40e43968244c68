"""Elements that are chosen, or put somewhere, by numbers known only at run time.

Any element may be chosen, so there is an edge from each along the axis, as in an embedding: the
product with one-hot rows. What is put into a tensor is a sum over one-hot rows, besides what was
there. Axes whose numbers are constant are read where the numbers say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import OTHER, TOP_K
from unrolled.importers.tracing.products import ONE_HOT, Products
from unrolled.importers.tracing.values import (
    Array,
    Constant,
    Operand,
    Shape,
    Value,
    broadcast_shapes,
    checked_axes,
    checked_axis,
    size_of,
)

__all__ = ["Routing"]


class Routing(Products):
    """The part of `Tracer` that chooses and puts elements at run time."""

    def reorder(
        self, x: Operand, axis: int, length: int | None = None, *, largest: bool = False
    ) -> Operand:
        """Elements along an axis in an order that depends on them, or the first of that order.

        Parameters
        ----------
        x : Operand
        axis : int
        length : int, optional
            How many of them; by default all.
        largest : bool
            Whether these are the largest, whose places may say which experts compute a token.
        """
        axis = checked_axis(self.name, axis, x.rank)
        number = x.shape[axis] if length is None else length
        if not 1 <= number <= x.shape[axis]:
            raise InvalidModelError(
                f"{self.name}: {number} of {x.shape[axis]} elements along axis {axis} are wanted"
            )
        if isinstance(x, Constant):
            return Constant((*x.shape[:axis], number, *x.shape[axis + 1 :]))
        operation = TOP_K if largest and axis == x.rank - 1 else OTHER
        return self.read(x, {axis: (number, Relation.all(axis, axis))}, operation)

    def take_along(self, x: Operand, index: Operand, axis: int) -> Operand:
        """Elements along an axis, each chosen by the number that an index has at its place.

        Parameters
        ----------
        x : Operand
        index : Operand
            With as many axes as `x`; along the others it has at most its length.
        axis : int
        """
        axis = checked_axis(self.name, axis, x.rank)
        self._check_index(x, index, axis)
        for other, length in enumerate(index.shape):
            if other != axis:
                x = self.slice(x, other, 0, length)
        wide = self._one_hot([index], index.shape, x.shape[axis])
        same = list(range(x.rank))
        labels = [*same[:axis], x.rank, *same[axis + 1 :]]
        return self.contract([labels, [*same, x.rank]], same, [x, wide])

    def put_along(self, x: Operand, index: Operand, updates: Operand, axis: int) -> Operand:
        """A tensor with updates put in, or combined, where an index says along an axis."""
        axis = checked_axis(self.name, axis, x.rank)
        self._check_index(x, index, axis)
        length = x.shape[axis]
        updates = _front(self, updates, index.shape)
        wide = self._one_hot([index], index.shape, length)
        same = list(range(x.rank))
        result = [*same[:axis], x.rank, *same[axis + 1 :]]
        moved = self.contract([same, [*same, x.rank]], result, [updates, wide])
        sides = [(0, whole - part) for whole, part in zip(x.shape, moved.shape, strict=True)]
        return self._beside(x, self.pad(moved, sides))

    def gather_at(self, x: Operand, axes: Sequence[int], numbers: Sequence[Operand]) -> Operand:
        """The slices of a tensor at places that are given for some of its axes.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        numbers : sequence of Operand
            The places along each axis; their shapes broadcast.

        Returns
        -------
        Operand
            The common shape of the numbers, and then the other axes of `x`.
        """
        places, rest = self._places(x, axes, numbers)
        apart = self.reshape(
            self.transpose(x, [*places.fixed, *places.free, *rest]),
            (places.fixed_size, places.free_size, *[x.shape[axis] for axis in rest]),
        )
        batch = list(range(len(places.shape)))
        row = len(batch)
        last = list(range(row + 1, row + 1 + len(rest)))
        if places.fixed:
            apart = self.take(apart, 0, places.at)
        else:
            apart = self.reshape(apart, apart.shape[1:])
        own = [*batch, row, *last] if places.fixed else [row, *last]
        if not places.free:
            return self.reshape(apart, (*places.shape, *[x.shape[axis] for axis in rest]))
        wide = self._one_hot(places.values, places.shape, places.free_size)
        return self.contract([own, [*batch, row]], [*batch, *last], [apart, wide])

    def put_at(
        self, x: Operand, axes: Sequence[int], numbers: Sequence[Operand], updates: Operand
    ) -> Operand:
        """A tensor with slices put in, or combined, at places given for some of its axes.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        numbers : sequence of Operand
            As for `gather_at`.
        updates : Operand
            Broadcasts to what `gather_at` returns.
        """
        places, rest = self._places(x, axes, numbers)
        tail = tuple([x.shape[axis] for axis in rest])
        updates = self.expand(updates, (*places.shape, *tail))
        batch = list(range(len(places.shape)))
        row = len(batch)
        last = list(range(row + 1, row + 1 + len(rest)))
        wide: Operand = Constant((*places.shape, places.free_size))
        if places.values:
            wide = self._one_hot(places.values, places.shape, places.free_size)
        result = [*batch, row, *last] if places.fixed else [row, *last]
        moved = self.contract([[*batch, *last], [*batch, row]], result, [updates, wide])
        if places.fixed and isinstance(moved, Value):
            count = size_of(places.shape)
            flat = self.reshape(moved, (count, places.free_size, *tail))
            assert isinstance(flat, Value)
            at = places.at.reshape(-1)
            order = np.argsort(at, kind="stable")
            offsets = np.searchsorted(at[order], np.arange(places.fixed_size + 1))
            self.budget.keep(self.name, count + places.fixed_size)
            relation = Relation.sparse(0, 0, offsets.astype(np.int64), order.astype(np.int64))
            moved = self.read(flat, {0: (places.fixed_size, relation)})
        elif places.fixed:
            moved = Constant((places.fixed_size, places.free_size, *tail))
        order_of_axes = [*places.fixed, *places.free, *rest]
        moved = self.reshape(moved, [x.shape[axis] for axis in order_of_axes])
        back = [order_of_axes.index(axis) for axis in range(x.rank)]
        return self._beside(x, self.transpose(moved, back))

    def _beside(self, x: Operand, moved: Operand) -> Operand:
        """What was put into a tensor, which is all that there is if that was zero."""
        is_empty = isinstance(x, Constant) and x.array is not None and not x.array.any()
        if self.operations and is_empty and moved.shape == x.shape:
            return moved
        return self.combine(x, moved)

    def _one_hot(self, numbers: Sequence[Operand], shape: Shape, length: int) -> Operand:
        """Rows of zeros and a one, one for each place, where numbers of run time say."""
        links = []
        for number in numbers:
            wide = self.expand(number, shape)
            if isinstance(wide, Value):
                same = [Relation.same(axis, axis) for axis in range(len(shape))]
                links.append((wide, [*same, Relation.sum(len(shape))]))
        if not links:
            return Constant((*shape, length))
        return self.emit((*shape, length), links, ONE_HOT)

    def _check_index(self, x: Operand, index: Operand, axis: int) -> None:
        fits = index.rank == x.rank and all(
            n <= x.shape[a] for a, n in enumerate(index.shape) if a != axis
        )
        if not fits:
            raise InvalidModelError(
                f"{self.name}: indices of shape {index.shape} do not fit {x.shape} along axis "
                f"{axis}"
            )

    def _places(
        self, x: Operand, axes: Sequence[int], numbers: Sequence[Operand]
    ) -> tuple[_Places, list[int]]:
        shape = broadcast_shapes(self.name, [number.shape for number in numbers])
        axes = checked_axes(self.name, axes, x.rank)
        fixed, free, values, arrays = [], [], [], []
        for axis, number in zip(axes, numbers, strict=True):
            if isinstance(number, Constant) and number.array is not None:
                length = x.shape[axis]
                array = np.broadcast_to(number.array.astype(np.int64), shape)
                if array.size and not -length <= array.min() <= array.max() < length:
                    raise InvalidModelError(
                        f"{self.name}: indices from {array.min()} to {array.max()} are out of "
                        f"range for axis {axis} of shape {x.shape}"
                    )
                fixed.append(axis)
                arrays.append(array % max(length, 1))
                continue
            if isinstance(number, Constant):
                self.notes[self.name] = (
                    "read as if chosen at run time, for its indices are not known"
                )
            free.append(axis)
            values.append(number)
        at = np.zeros(shape, dtype=np.int64)
        if fixed:
            at = np.asarray(np.ravel_multi_index(arrays, tuple([x.shape[axis] for axis in fixed])))
        rest = [axis for axis in range(x.rank) if axis not in axes]
        sizes = [size_of([x.shape[axis] for axis in one]) for one in (fixed, free)]
        return _Places(shape, fixed, free, values, at, sizes[0], sizes[1]), rest


class _Places:
    """Places along some axes of a tensor, known beforehand for the fixed ones."""

    def __init__(
        self,
        shape: Shape,
        fixed: list[int],
        free: list[int],
        values: list[Operand],
        at: Array,
        fixed_size: int,
        free_size: int,
    ) -> None:
        self.shape = shape
        self.fixed, self.free = fixed, free
        self.values = values
        self.at = at
        self.fixed_size, self.free_size = fixed_size, free_size


def _front(tracer: Routing, updates: Operand, shape: Shape) -> Operand:
    """As many of the updates as there are indices, or one for all of them."""
    if all(n == 1 for n in updates.shape):
        return tracer.expand(tracer.reshape(updates, (1,) * len(shape)), shape)
    for axis, length in enumerate(shape):
        updates = tracer.slice(updates, axis, 0, length)
    return updates
