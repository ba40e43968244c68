"""Which positions a resized axis is computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from unrolled._core import Operation, Relation

__all__ = ["interpolation", "nearest", "taps"]

Positions = npt.NDArray[np.float64]

NEGLIGIBLE = 1e-9
"""Weights of taps below it are roundings of zero."""


def nearest(axis: int, positions: Positions, extent: int, rounding: str) -> Relation:
    """Each place reads the position nearest to the one it stands for.

    Parameters
    ----------
    axis : int
    positions : numpy.ndarray
        For every place of the resized axis, where it is on the axis that is read.
    extent : int
        Length of the axis that is read.
    rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}
    """
    functions: dict[str, Callable[[Positions], Positions]] = {
        "round_prefer_floor": lambda at: np.ceil(at - 0.5),
        "round_prefer_ceil": lambda at: np.floor(at + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    at = np.clip(functions[rounding](positions), 0, extent - 1).astype(np.int64)
    return Relation.select(axis, axis, at)


def taps(
    axis: int,
    positions: Positions,
    extent: int,
    kind: str,
    *,
    scale: float = 1.0,
    coefficient: float = -0.75,
) -> tuple[Relation, Positions]:
    """Each place reads the positions that have a weight in its interpolation.

    Parameters
    ----------
    axis, positions, extent
        As for `nearest`.
    kind : {"linear", "cubic"}
    scale : float
        Above 1, the filter is stretched by it, as antialiasing does.
    coefficient : float
        That of Keys' cubic.

    Returns
    -------
    relation : Relation
    weights : numpy.ndarray
        One for each entry of the relation.
    """
    stretch = max(scale, 1.0)
    radius = 1 if kind == "linear" else 2
    first = np.floor(positions - radius * stretch).astype(np.int64)
    near = first[:, None] + np.arange(int(2 * radius * stretch) + 3)
    distance = np.abs(near - positions[:, None]) / stretch
    weights = np.where(distance < radius, _weight(kind, distance, coefficient), 0.0)
    rows, columns = np.nonzero(np.abs(weights) > NEGLIGIBLE)
    weights /= weights.sum(axis=1, keepdims=True)
    read = np.clip(near[rows, columns], 0, extent - 1)
    # Beyond an end, the element there is read; more than one such tap is still one edge.
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (np.diff(rows) != 0) | (np.diff(read) != 0)
    offsets = np.searchsorted(rows[is_new], np.arange(len(positions) + 1))
    sums = np.add.reduceat(weights[rows, columns], np.flatnonzero(is_new))
    return Relation.sparse(axis, axis, offsets.astype(np.int64), read[is_new]), sums


def interpolation(weights: Mapping[int, Iterable[float]]) -> Operation:
    """The operation of a tensor that is interpolated along some of its axes.

    Parameters
    ----------
    weights : mapping of int to iterable of float
        Of each axis that a sparse relation reads, the weight of every entry.
    """
    axes = list(weights)
    return Operation("average", axes=axes, weights=[list(map(float, weights[at])) for at in axes])


def _weight(kind: str, distance: Positions, a: float) -> Positions:
    if kind == "linear":
        return 1 - distance
    # Keys' cubic; its zeros do not depend on the coefficient within each piece.
    inner = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    outer = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    weight: Positions = np.where(distance <= 1, inner, outer)
    return weight
