"""How a stored tensor is read from the parameter that it was made of.

A weight that two layers share may be stored a second time, transposed. Of a table whose rows are
chosen beforehand only the rows are left, some of them many times over, as where positions relative
to each other choose them; and what hides scores may have been added to it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled.importers.tracing.masking import LOW
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Operand, Value

__all__ = ["Rows", "is_varied", "order_of_copy", "rows_of"]

Array = npt.NDArray[Any]

MOST_AXES = 4
"""Of a tensor whose axes may come in another order in a copy of it."""

SAMPLE = 1 << 12
"""Numbers that tell whether those of a tensor differ."""

MARGIN = 16
"""Bits that a row has more than it takes to tell all pairs of rows apart: two that are equal are
one, and not two that happen to be."""


@dataclass(frozen=True)
class Rows:
    """A stored tensor that is rows of another, chosen beforehand, and in part hidden.

    Attributes
    ----------
    rows : ndarray
        The rows that are chosen, each once.
    chosen : ndarray of int
        Which row is at each place; any at places that are hidden.
    hidden : ndarray of bool
        Places where a mask was added to it that puts scores out.
    axis : int
        Along which the elements of a row lie in the stored tensor.
    """

    rows: Array
    chosen: npt.NDArray[np.intp]
    hidden: npt.NDArray[np.bool_]
    axis: int

    def read(self, tracer: Tracer, rows: Value) -> Operand:
        """The stored tensor, as what it is made of."""
        x = tracer.take(rows, 0, self.chosen)
        rank = self.chosen.ndim
        order = [*range(self.axis), rank, *range(self.axis, rank)]
        x = tracer.transpose(x, order)
        if not self.hidden.any():
            return x
        hidden = np.broadcast_to(np.expand_dims(self.hidden, self.axis), x.shape)
        return tracer.mask(x, hidden, -math.inf)


def is_varied(array: Array) -> bool:
    """Whether the numbers of a tensor differ, so that equal ones tell where they come from.

    Those of a weight that begins as zeros, ones or an identity tell nothing.
    """
    sample = array.reshape(-1)[:SAMPLE]
    return len(np.unique(_comparable(sample))) > math.isqrt(sample.size)


def order_of_copy(array: Array, copy: Array) -> tuple[int, ...] | None:
    """In which order a tensor has the axes of another one, number by number; None if it is no copy.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.arange(6.0).reshape(2, 3)
    >>> order_of_copy(weight, weight.T)
    (1, 0)
    """
    if array.ndim != copy.ndim or array.ndim > MOST_AXES or array.dtype != copy.dtype:
        return None
    for order in itertools.permutations(range(array.ndim)):
        if tuple(array.shape[axis] for axis in order) != copy.shape:
            continue
        moved = array.transpose(order)
        if np.array_equal(moved[:1], copy[:1]) and np.array_equal(moved, copy):
            return order
    return None


def rows_of(array: Array) -> Rows | None:
    """The rows that a tensor repeats, and what is hidden in it; None if it does neither."""
    hidden = np.asarray(array <= LOW)
    if hidden.all():
        return None
    best = None
    for axis in range(array.ndim):
        if array.shape[axis] < 2:
            continue
        places = np.asarray(hidden.all(axis=axis))
        if not np.array_equal(places, hidden.any(axis=axis)):
            continue  # A row is there or it is not.
        rows = np.moveaxis(_comparable(array), axis, -1)[~places]
        first = inverse = np.arange(len(rows))
        if _digits(array.dtype) * rows.shape[1] >= 2 * math.log2(len(rows)) + MARGIN:
            first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)[1:]
        if best is None or len(first) / len(rows) < best[0]:
            best = len(first) / len(rows), axis, places, first, inverse.reshape(-1)
    if best is None or (best[0] == 1 and not hidden.any()):
        return None
    _, axis, places, first, inverse = best
    chosen = np.zeros(places.shape, dtype=np.intp)
    chosen[~places] = inverse
    rows = np.moveaxis(array, axis, -1)[~places][first]
    return Rows(rows, chosen, places, axis) if is_varied(rows) else None


def _digits(dtype: np.dtype[Any]) -> int:
    """The bits of a number of this type that are about evenly spread."""
    return int(np.finfo(dtype).nmant) if dtype.kind == "f" else 7


def _comparable(array: Array) -> Array:
    """The same numbers in a type that can be sorted."""
    return array if array.dtype.kind in "fiu" else array.astype(np.float32)
