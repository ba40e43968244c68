"""Movements given as arrays of element numbers, split into one relation for each axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled.importers.tracing.values import Operand, Shape

__all__ = ["MOST_ELEMENTS", "Indices", "along_axes", "numbered"]

Indices = npt.NDArray[np.int64]

MOST_ELEMENTS = 1 << 24
"""The operands of a movement that is run to be understood have at most so many elements."""


def numbered(operands: Sequence[Operand]) -> tuple[list[Indices], list[int]]:
    """Arrays of element numbers, and one less than the first number of each."""
    starts = [0]
    for operand in operands:
        starts.append(starts[-1] + operand.size)
    arrays = [
        np.arange(start + 1, start + operand.size + 1, dtype=np.int64).reshape(operand.shape)
        for start, operand in zip(starts, operands, strict=False)
    ]
    return arrays, starts[:-1]


def along_axes(indices: Indices, shape: Shape) -> list[Relation] | None:
    """Relations axis by axis that read the same elements.

    Parameters
    ----------
    indices : numpy.ndarray
        For every element of the result the row-major number of the one that it reads; -1 for none.
    shape : tuple of int
        Of the tensor that is read.

    Returns
    -------
    list of Relation, or None
        None if the axes do not come apart.
    """
    reads = indices >= 0
    coordinates = np.unravel_index(np.where(reads, indices, 0), shape) if shape else ()
    used: dict[int, int] = {}
    relations: list[Relation] = []
    rebuilt: Indices = np.zeros((1,) * indices.ndim, dtype=np.int64)
    everywhere = np.ones((1,) * indices.ndim, dtype=bool)
    lines = [_reads_along(reads, axis) for axis in range(indices.ndim)]
    for source, coordinate in enumerate(coordinates):
        if shape[source] == 1:
            relations.append(Relation.each(source))
            continue
        axis = _only_axis(coordinate, reads, used)
        if axis is None:
            return None
        used[axis] = source
        line = np.where(lines[axis], _line(coordinate, reads, axis), -1)
        relations.append(_relation(source, axis, line, shape[source]))
        stride = int(np.prod(shape[source + 1 :], dtype=np.int64))
        at = line.reshape([-1 if one == axis else 1 for one in range(indices.ndim)])
        rebuilt = rebuilt + np.where(at < 0, 0, at) * stride
        everywhere = everywhere & (at >= 0)
    for axis in range(indices.ndim):
        if axis not in used:
            if not lines[axis].all():
                return None
            relations.append(Relation.sum(axis))
    same = np.where(everywhere, rebuilt, -1)
    return relations if np.array_equal(np.broadcast_to(same, indices.shape), indices) else None


def _reads_along(reads: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """The positions along an axis where anything is read."""
    others = tuple(one for one in range(reads.ndim) if one != axis)
    return np.asarray(reads.any(axis=others))


def _line(coordinate: Indices, reads: npt.NDArray[np.bool_], axis: int) -> Indices:
    """What a coordinate is along an axis, where anything is read."""
    others = tuple(one for one in range(coordinate.ndim) if one != axis)
    line: Indices = np.where(reads, coordinate, -1).max(axis=others)
    return line


def _only_axis(
    coordinate: Indices, reads: npt.NDArray[np.bool_], used: dict[int, int]
) -> int | None:
    """The axis of the result that alone decides a coordinate, if there is one left."""
    if not reads.any():
        return None
    is_fixed = coordinate[reads].min() == coordinate[reads].max()
    for axis in range(coordinate.ndim):
        if axis in used or (is_fixed and coordinate.shape[axis] != 1):
            continue
        spread = [-1 if one == axis else 1 for one in range(coordinate.ndim)]
        line = _line(coordinate, reads, axis).reshape(spread)
        if np.array_equal(np.where(reads, coordinate, 0), np.where(reads, line, 0)):
            return axis
    return None


def _relation(source: int, target: int, line: Indices, length: int) -> Relation:
    if line.size == length and np.array_equal(line, np.arange(length)):
        return Relation.same(source, target)
    return Relation.select(source, target, line)
