"""Sums over paths of all elements of one tensor, equal neighbours stored once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled.counting.path_diagram import Weight
from unrolled.counting.run_lengths import RunLengths
from unrolled.counting.scaled import Scaled
from unrolled.errors import InvalidArgumentError
from unrolled.spectrum.spectrum import scaled_integer

__all__ = ["SumMap", "Total", "combined", "log2_of", "ratio"]

Total: TypeAlias = "int | tuple[float, int]"
"""An integer, or a mantissa and an exponent."""

LARGEST_ARRAY = 1 << 31
"""Elements beyond which arrays are refused: 16 GiB of float64."""


class SumMap:
    """Numbers of all elements of a tensor.

    Parameters
    ----------
    cells : array of int
        Level of each cell, with one cell for each combination of runs.
    runs : list of array of int
        Along each axis, how many elements every run covers.
    levels : Scaled
        The numbers.
    exact : callable, optional
        The integer of a level.
    """

    def __init__(
        self,
        cells: npt.NDArray[np.int64],
        runs: list[npt.NDArray[np.int64]],
        levels: Scaled,
        exact: Callable[[int], int] | None = None,
    ) -> None:
        self._cells = cells
        self._runs = runs
        self._levels = levels
        self._exact = exact

    @classmethod
    def of_counts(cls, counts: _core.ParameterCounts, is_exact: bool) -> SumMap:
        """What the counting core found."""
        runs = [np.asarray(run, dtype=np.int64) for run in counts.runs]
        cells = np.asarray(counts.level_index, dtype=np.int64).reshape([len(run) for run in runs])
        levels = Scaled(np.asarray(counts.mantissas), np.asarray(counts.exponents))
        return cls(cells, runs, levels, counts.exact if is_exact else None)

    @classmethod
    def of_scaled(cls, values: Scaled | None, shape: Sequence[int]) -> SumMap:
        """What a sweep found: axes of length 1 stand for all slices, None for zeros."""
        values = Scaled.zeros([1] * len(shape)) if values is None else values
        runs = [
            np.ones(length, dtype=np.int64) if stored == length else np.array([length])
            for stored, length in zip(values.shape, shape, strict=True)
        ]
        cells = np.arange(values.mantissas.size).reshape(values.shape)
        return cls(cells, runs, values.map(np.ravel))

    @classmethod
    def of_weight(cls, weight: Weight, shape: Sequence[int]) -> SumMap:
        """A weight of every element of a tensor."""
        array = np.asarray(weight)
        array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        runs = [
            np.ones(length, dtype=np.int64) if stored == length else np.array([length])
            for stored, length in zip(array.shape, shape, strict=True)
        ]
        cells = np.arange(array.size).reshape(array.shape)
        values = array.ravel()
        exact = (lambda level: int(values[level])) if values.dtype.kind == "i" else None
        return cls(cells, runs, Scaled.of(values), exact)

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, with the integers themselves in the place of what the core would tell."""
        state = dict(self.__dict__)
        if self._exact is not None:
            integers = [self._exact(level) for level in range(len(self._levels.mantissas))]
            state["_exact"] = integers.__getitem__
        return state

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(int(run.sum()) for run in self._runs)

    def integers(self) -> npt.NDArray[np.object_]:
        """As Python integers, of the shape of the tensor."""
        return self._spread(self._integer_levels())

    def log2(self) -> npt.NDArray[np.float64]:
        """Logarithms to base 2, of the shape of the tensor; minus infinity for zeros."""
        return self._spread(self._levels.log2())

    def scaled(self) -> Scaled:
        """The numbers, of the shape of the tensor."""
        return self._levels.map(self._spread)

    def spectrum(self) -> tuple[Scaled, npt.NDArray[np.int64]]:
        """The numbers, and how many elements have each."""
        numbers = np.zeros(len(self._levels.mantissas), dtype=np.int64)
        np.add.at(numbers, self._cells.ravel(), _sizes(self._runs).ravel())
        return self._levels, numbers

    def total_with(self, other: SumMap, semiring: Literal["sum", "max"] = "sum") -> Total:
        """The sum over all elements of the products with those of another map of the same shape.

        An integer if both are known as integers. With the semiring "max" the largest product.
        """
        runs, own, others = [], [], []
        for a, b in zip(self._runs, other._runs, strict=True):
            ends = np.union1d(np.cumsum(a), np.cumsum(b))
            runs.append(np.diff(ends, prepend=0))
            own.append(np.searchsorted(np.cumsum(a), ends))
            others.append(np.searchsorted(np.cumsum(b), ends))
        first = np.broadcast_to(self._cells[np.ix_(*own)], [len(run) for run in runs]).ravel()
        second = other._cells[np.ix_(*others)].ravel()
        # Maps are mostly symmetric, so that few of the pairs are different ones.
        width = len(other._levels.mantissas)
        pairs, inverse = np.unique(first * width + second, return_inverse=True)
        numbers = np.zeros(len(pairs), dtype=np.int64)
        np.add.at(numbers, inverse.ravel(), _sizes(runs).ravel())
        first, second = np.divmod(pairs, width)
        if semiring == "sum" and self._exact is not None and other._exact is not None:
            integers = self._integer_levels(first)[first], other._integer_levels(second)[second]
            return int((integers[0] * integers[1] * numbers.astype(object)).sum())
        products = self._levels.at(first).times(other._levels.at(second))
        if semiring == "max":
            return products.largest(0).total()
        return products.times(Scaled.of(numbers)).total()

    def _integer_levels(
        self, wanted: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.object_]:
        """The integers of all levels, or of those that are wanted."""
        assert self._exact is not None
        levels = np.empty(len(self._levels.mantissas), dtype=object)
        for level in range(len(levels)) if wanted is None else np.unique(wanted).tolist():
            levels[level] = self._exact(level)
        return levels

    def _spread(self, levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if math.prod(self.shape) > LARGEST_ARRAY:
            raise InvalidArgumentError(
                f"a tensor of shape {self.shape} has too many elements for one array"
            )
        return RunLengths(self._cells, self._runs).expand(levels)


def combined(totals: Sequence[Total], semiring: Literal["sum", "max"]) -> Total:
    """The sum of totals, or the largest of them."""
    if all(isinstance(total, int) for total in totals):
        return sum(total for total in totals if isinstance(total, int))
    scaled = Scaled.zeros((1,))
    for total in totals:
        one = _scale(total)
        scaled = scaled.plus(one) if semiring == "sum" else scaled.larger(one)
    return scaled.total()


def log2_of(total: Total) -> float:
    """Logarithm to base 2; minus infinity for zero."""
    return float(_scale(total).log2().item())


def ratio(part: Total, whole: Total) -> float:
    """A part of a whole that is not zero."""
    if isinstance(part, int) and isinstance(whole, int):
        return part / whole
    (a, exponent), (b, base) = _scale(part).total(), _scale(whole).total()
    return math.ldexp(a / b, max(exponent - base, -2000))


def _scale(total: Total) -> Scaled:
    if isinstance(total, int):
        mantissa, exponent = scaled_integer(total) if total else (0.0, 0)
    else:
        mantissa, exponent = total
    return Scaled.of([mantissa]).scaled_by(exponent)


def _sizes(runs: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """How many elements each cell has."""
    sizes = np.ones((), dtype=np.int64)
    for run in runs:
        sizes = np.multiply.outer(sizes, run)
    return sizes
