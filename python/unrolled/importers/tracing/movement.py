"""Operators that move elements: one edge from the element read, none where nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import MOVE, Base, Link, shifted
from unrolled.importers.tracing.index_maps import (
    MOST_ELEMENTS,
    Indices,
    along_axes,
    numbered,
)
from unrolled.importers.tracing.masking import hidden_of, reshaped_mask, with_hidden
from unrolled.importers.tracing.values import (
    Array,
    Constant,
    Node,
    Operand,
    Shape,
    Value,
    checked_axes,
    checked_axis,
    size_of,
)

__all__ = ["Movement"]

COST_OF_FOLLOWING = 4
"""What it takes to follow an element through a movement, in elements of constants."""


class Movement(Base):
    """The part of `Tracer` that moves elements."""

    def reshape(self, x: Operand, shape: Sequence[int]) -> Operand:
        """Another shape in row-major order."""
        shape = tuple(shape)
        if size_of(shape) != x.size:
            raise InvalidModelError(
                f"{self.name}: a tensor of shape {x.shape} cannot be given the shape {shape}"
            )
        if isinstance(x, Constant):
            return self.work_out(shape, lambda array: array.reshape(shape), x)
        if shape == x.shape:
            return x
        if x.node.is_statistic:
            view = _with_other_ones(x, shape)
            if view is not None:
                return view
        # A reshape of a reshape is one of the first tensor, and may be nothing at all.
        whole = self.before_reshape(x)
        if whole is not x and hidden_of(whole) is not None:
            whole = replace(whole, fill=x.fill)
        if whole.shape == shape:
            return whole
        node = Node("reshaped", self.name, shape, (whole,), is_weight=x.node.is_weight)
        hidden = hidden_of(x)
        moved = None if hidden is None else reshaped_mask(hidden, x.shape, shape)
        y = Value(node, shape, awaits_scale=x.awaits_scale)
        return y if moved is None else with_hidden(y, moved, x.fill)

    def before_reshape(self, x: Value) -> Value:
        """What a tensor was before a reshape that waits; the tensor itself if none does."""
        if x.node.kind != "reshaped":
            return x
        (whole,) = x.node.operands
        return replace(whole, function=whole.function.followed_by(x.function))

    def transpose(self, x: Operand, order: Sequence[int]) -> Operand:
        """Axis i of the result is axis ``order[i]``."""
        order = tuple(checked_axes(self.name, order, x.rank))
        if sorted(order) != list(range(x.rank)):
            raise InvalidModelError(
                f"{self.name}: {order} is not a permutation of the axes of shape {x.shape}"
            )
        shape = tuple([x.shape[axis] for axis in order])
        if isinstance(x, Constant):
            return self.work_out(shape, lambda array: array.transpose(order), x)
        if order == tuple(range(x.rank)):
            return x
        if x.node.is_statistic:
            places = tuple(range(x.rank)) if x.axes is None else x.axes
            return replace(x, shape=shape, axes=tuple([places[axis] for axis in order]))
        if x.node.kind == "contracted" and x.node.tensor is None and x.axes is None:
            # The product itself has its axes in another order, and may still be behind a mask.
            *factors, own = x.node.labels
            labels = (*factors, tuple([own[axis] for axis in order]))
            given = x.node.operands
            self._turned_products.setdefault((given, x.node.labels), x.node)
            made = Node("contracted", x.node.name, shape, given, labels=labels)
            return replace(
                x, node=self._turned_products.setdefault((given, labels), made), shape=shape
            )
        relations = [Relation.same(source, target) for target, source in enumerate(order)]
        result = self.emit(shape, [(x, relations)])
        hidden = hidden_of(x)
        return result if hidden is None else with_hidden(result, hidden.transpose(order), x.fill)

    def squeeze(self, x: Operand, axes: Sequence[int]) -> Operand:
        """Leave out axes of length 1."""
        gone = set(checked_axes(self.name, axes, x.rank))
        if any(x.shape[axis] != 1 for axis in gone):
            raise InvalidModelError(
                f"{self.name}: axes {sorted(gone)} of shape {x.shape} do not all have length 1"
            )
        return self.reshape(x, [n for axis, n in enumerate(x.shape) if axis not in gone])

    def unsqueeze(self, x: Operand, axes: Sequence[int]) -> Operand:
        """Insert axes of length 1 so that they have the numbers `axes` in the result."""
        rank = x.rank + len(axes)
        new = set(checked_axes(self.name, axes, rank))
        if len(new) != len(axes):
            raise InvalidModelError(f"{self.name}: of axes {list(axes)}, two are one")
        lengths = iter(x.shape)
        return self.reshape(x, [1 if axis in new else next(lengths) for axis in range(rank)])

    def expand(self, x: Operand, shape: Sequence[int]) -> Operand:
        """Broadcast to a shape, the last axis meeting the last."""
        shape = tuple(shape)
        offset = len(shape) - x.rank
        if offset < 0 or any(n not in (1, shape[a + offset]) for a, n in enumerate(x.shape)):
            raise InvalidModelError(
                f"{self.name}: a tensor of shape {x.shape} does not broadcast to {shape}"
            )
        if isinstance(x, Constant):
            return self.work_out(shape, lambda array: np.broadcast_to(array, shape), x)
        if shape == x.shape:
            return x
        places = tuple(range(x.rank)) if x.axes is None else x.axes
        view = [
            places[axis - offset] if axis >= offset and x.shape[axis - offset] == length else None
            for axis, length in enumerate(shape)
        ]
        if x.node.is_statistic:
            return replace(x, shape=shape, axes=tuple(view))
        relations = []
        for axis, length in enumerate(shape):
            if axis < offset:
                relations.append(Relation.sum(axis))
            elif x.shape[axis - offset] == length:
                relations.append(Relation.same(axis - offset, axis))
            else:
                relations.append(Relation.all(axis - offset, axis))
        result = self.emit(shape, [(x, relations)])
        hidden = hidden_of(x)
        return result if hidden is None else with_hidden(result, hidden, x.fill)

    def concat(self, operands: Sequence[Operand], axis: int) -> Operand:
        """Tensors one after the other along an axis."""
        rank = operands[0].rank
        if any(x.rank != rank for x in operands):
            raise InvalidModelError(
                f"{self.name}: tensors of shapes {[x.shape for x in operands]} have different "
                "numbers of axes, and cannot be joined"
            )
        axis = checked_axis(self.name, axis, rank)
        rest = [x.shape[:axis] + x.shape[axis + 1 :] for x in operands]
        if any(other != rest[0] for other in rest):
            raise InvalidModelError(
                f"{self.name}: shapes {[x.shape for x in operands]} differ along other axes than "
                f"{axis}, and cannot be joined there"
            )
        first, *others = operands
        total = sum(x.shape[axis] for x in operands)
        shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
        constants = [x for x in operands if isinstance(x, Constant)]
        if len(constants) == len(operands):
            return self.work_out(shape, lambda *arrays: np.concatenate(arrays, axis), *constants)
        if not others:
            return first
        links: list[Link] = []
        start = 0
        for x in operands:
            if isinstance(x, Value):
                links.append((x, shifted(rank, {axis: start})))
            start += x.shape[axis]
        result = self.emit(shape, links)
        fills = {x.fill for x in operands if isinstance(x, Value) and hidden_of(x) is not None}
        if len(fills) != 1:
            return result
        masks = []
        for x in operands:
            hidden = hidden_of(x)
            masks.append(np.broadcast_to(False if hidden is None else hidden, x.shape))
        self.budget.work(self.name, size_of(shape))
        return with_hidden(result, np.concatenate(masks, axis), fills.pop())

    def stack(self, operands: Sequence[Operand], axis: int = 0) -> Operand:
        """Tensors of one shape along a new axis."""
        return self.concat([self.unsqueeze(x, [axis]) for x in operands], axis)

    def slice(self, x: Operand, axis: int, start: int, length: int, step: int = 1) -> Operand:
        """`length` positions along an axis, from `start` on, `step` apart."""
        axis = checked_axis(self.name, axis, x.rank)
        if isinstance(x, Constant):
            shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
            return self.work_out(
                shape, lambda array: array.take(start + step * np.arange(length), axis), x
            )
        if (start, length, step) == (0, x.shape[axis], 1):
            return x
        if length < 1:
            raise InvalidModelError(
                f"{self.name}: nothing is left of axis {axis} of shape {x.shape}"
            )
        relation = Relation.slice(axis, axis, start=start, step=step)
        result = self.read(x, {axis: (length, relation)})
        hidden = hidden_of(x)
        if hidden is None:
            return result
        if hidden.shape[axis] > 1:
            hidden = hidden.take(start + step * np.arange(length), axis)
        return with_hidden(result, hidden, x.fill)

    def split(self, x: Operand, axis: int, lengths: Sequence[int]) -> list[Operand]:
        """Parts of the given lengths along an axis."""
        axis = checked_axis(self.name, axis, x.rank)
        if sum(lengths) != x.shape[axis]:
            raise InvalidModelError(
                f"{self.name}: parts of {list(lengths)} do not add up to axis {axis} of {x.shape}"
            )
        starts = np.cumsum([0, *lengths]).tolist()
        return [self.slice(x, axis, a, n) for a, n in zip(starts, lengths, strict=False)]

    def take(self, x: Operand, axis: int, indices: Array) -> Operand:
        """The positions `indices` along an axis, which becomes the axes of `indices`."""
        axis = checked_axis(self.name, axis, x.rank)
        length = x.shape[axis]
        at = np.asarray(indices, dtype=np.int64)
        if at.size and not -length <= int(at.min()) <= int(at.max()) < length:
            raise InvalidModelError(
                f"{self.name}: indices from {at.min()} to {at.max()} are out of range for axis "
                f"{axis} of shape {x.shape}"
            )
        at = at % max(length, 1)
        shape = (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])
        if isinstance(x, Constant):
            return self.work_out(shape, lambda array: array.take(at, axis), x)
        chosen = at.reshape(-1)
        if not chosen.size:
            raise InvalidModelError(f"{self.name}: an empty tensor of shape {shape}")
        self.budget.keep(self.name, chosen.size)
        y: Operand = self.read(x, {axis: (chosen.size, Relation.select(axis, axis, chosen))})
        hidden = hidden_of(x)
        if hidden is not None:
            if hidden.shape[axis] > 1:
                hidden = hidden.take(chosen, axis)
            y = with_hidden(y, hidden, x.fill)
        return self.reshape(y, shape)

    def pad(self, x: Operand, sides: Sequence[tuple[int, int]]) -> Operand:
        """Positions that are computed from nothing before and after each axis; negative to cut."""
        shape = tuple([a + n + b for n, (a, b) in zip(x.shape, sides, strict=True)])
        if min(shape, default=1) < 1:
            raise InvalidModelError(f"{self.name}: padding {sides} leaves nothing of {x.shape}")
        if isinstance(x, Constant):
            return Constant(shape)
        if all(side == (0, 0) for side in sides):
            return x
        if min(min(pair) for pair in sides) >= 0:
            # Windows that slide over it take the padding for their own.
            axes = tuple([before for before, _ in sides])
            return Value(
                Node("padded", self.name, shape, (x,), axes, is_weight=x.node.is_weight), shape
            )
        starts = {axis: before for axis, (before, _) in enumerate(sides) if sides[axis] != (0, 0)}
        return self.emit(shape, [(x, shifted(x.rank, starts))])

    def read(
        self,
        x: Value,
        changes: Mapping[int, tuple[int, Relation]],
        operation: Operation = MOVE,
    ) -> Value:
        """Read some axes by relations that give them other lengths, the rest as they are."""
        shape = list(x.shape)
        relations = [Relation.same(axis, axis) for axis in range(x.rank)]
        for axis, (length, relation) in changes.items():
            shape[axis], relations[axis] = length, relation
        return self.emit(tuple(shape), [(x, relations)], operation)

    def choose(self, numbers: Array, operands: Sequence[Operand]) -> Operand:
        """Each element from the operand whose number a constant says, after broadcasting.

        Parameters
        ----------
        numbers : numpy.ndarray of int or bool
            In the shape of the result.
        operands : sequence of Operand

        Raises
        ------
        InvalidModelError
            They are too many.
        """
        size = numbers.size
        if size > MOST_ELEMENTS:
            raise InvalidModelError(
                f"{self.name}: {size:,} elements are too many to choose one by one; at most "
                f"{MOST_ELEMENTS:,} are"
            )
        places = np.arange(size, dtype=np.int64)
        links: list[Link] = []
        for number, operand in enumerate(operands):
            reads = np.where(numbers.reshape(-1) == number, places, -1)
            flat = self.reshape(self.expand(operand, numbers.shape), (size,))
            if isinstance(flat, Value):
                self.budget.keep(self.name, size)
                links.append((flat, [Relation.select(0, 0, reads)]))
        if not links:
            return Constant(numbers.shape)
        return self.reshape(self.emit((size,), links), numbers.shape)

    def rearrange(self, operands: Sequence[Operand], run: Callable[..., Any]) -> Operand:
        """Any other movement, found by running it on arrays of element numbers.

        Parameters
        ----------
        operands : sequence of Operand
        run : callable
            Takes an array for each operand and returns an array of some of their elements; 0
            stands for an element that is read from none.
        """
        constants = [x for x in operands if isinstance(x, Constant)]
        if constants and len(constants) == len(operands):
            return self._rearrange_constants(run, constants)
        arrays, starts = self.numbered(operands)
        found = np.asarray(run(*arrays))
        links: list[Link] = []
        for x, start in zip(operands, starts, strict=True):
            if isinstance(x, Constant):
                continue
            at = np.where((found > start) & (found <= start + x.size), found - start - 1, -1)
            if at.max(initial=-1) < 0:
                continue
            relations = along_axes(at, x.shape)
            if relations is None:
                self.budget.keep(self.name, at.size)
                flat = self.reshape(x, (x.size,))
                assert isinstance(flat, Value)
                chosen = self.emit((at.size,), [(flat, [Relation.select(0, 0, at.reshape(-1))])])
                shaped = self.reshape(chosen, at.shape)
                assert isinstance(shaped, Value)
                links.append((shaped, [Relation.same(axis, axis) for axis in range(at.ndim)]))
            else:
                links.append((x, relations))
        return self.emit(found.shape, links) if links else Constant(found.shape)

    def numbered(self, operands: Sequence[Operand]) -> tuple[list[Indices], list[int]]:
        """Arrays in which each element of the operands has a number of its own, from 1 on.

        Returns
        -------
        arrays : list of numpy.ndarray
        starts : list of int
            One less than the first number of each.

        Raises
        ------
        InvalidModelError
            The operands are too large, or together with others were.
        """
        size = sum(operand.size for operand in operands)
        if size > MOST_ELEMENTS:
            raise InvalidModelError(
                f"{self.name}: {size:,} elements are too many to follow one by one; at most "
                f"{MOST_ELEMENTS:,} are"
            )
        self.budget.work(self.name, COST_OF_FOLLOWING * size)
        return numbered(operands)

    def _rearrange_constants(
        self, run: Callable[..., Any], constants: Sequence[Constant]
    ) -> Constant:
        arrays = [constant.array for constant in constants if constant.array is not None]
        if len(arrays) == len(constants):
            return self.held(np.asarray(run(*arrays)), None, *arrays)
        numbers, _ = self.numbered(constants)
        return Constant(np.asarray(run(*numbers)).shape)


def _with_other_ones(x: Value, shape: Shape) -> Value | None:
    """A value with axes of length 1 put elsewhere, if that is all the shapes differ by."""
    places = tuple(range(x.rank)) if x.axes is None else x.axes
    long = [(n, place) for n, place in zip(x.shape, places, strict=True) if n != 1]
    if [n for n, _ in long] != [n for n in shape if n != 1]:
        return None
    following = iter(long)
    axes = tuple([None if n == 1 else next(following)[1] for n in shape])
    return replace(x, shape=shape, axes=axes)
