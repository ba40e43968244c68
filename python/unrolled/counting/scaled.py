"""Arrays of non-negative numbers with an exponent of their own each, so that nothing overflows.

Path sums with real weights grow and shrink by hundreds of powers of two from layer to layer, and
may differ as much between the borders and the middle of one map. An element here is a float64
mantissa, which is zero or lies in [0.5, 1), times a power of two. All numbers are non-negative, so
sums lose nothing but rounding errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_PRODUCTS", "SUMS", "Scaled", "Semiring"]

Index: TypeAlias = Any
"""What NumPy takes between brackets."""

OUT_OF_REACH = 2100
"""Powers of two between the smallest and the largest float64; farther away is nothing."""


class Scaled(NamedTuple):
    """Numbers ``mantissas * 2**exponents``; both arrays have the same shape."""

    mantissas: npt.NDArray[np.float64]
    exponents: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Scaled:
        """Plain numbers, with exponents taken out."""
        return cls(*_taken_apart(np.asarray(values, dtype=np.float64), 0))

    @classmethod
    def zeros(cls, shape: Sequence[int]) -> Scaled:
        """Nothing but zeros."""
        return cls(np.zeros(shape), np.zeros(shape, dtype=np.int64))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of both arrays."""
        return self.mantissas.shape

    def map(self, function: Any) -> Scaled:
        """The same function of both arrays: one that only moves or copies elements."""
        return Scaled(function(self.mantissas), function(self.exponents))

    def at(self, index: Index) -> Scaled:
        """The elements at an index."""
        return Scaled(self.mantissas[index], self.exponents[index])

    def put(self, index: Index, values: Scaled) -> None:
        """Write elements in place."""
        self.mantissas[index], self.exponents[index] = values

    def times(self, other: Scaled) -> Scaled:
        """The product, element by element, after broadcasting."""
        return Scaled(
            *_taken_apart(self.mantissas * other.mantissas, self.exponents + other.exponents)
        )

    def scaled_by(self, exponent: int) -> Scaled:
        """Times a power of two; zeros stay as they are."""
        return Scaled(self.mantissas, np.where(self.mantissas > 0, self.exponents + exponent, 0))

    def plus(self, other: Scaled) -> Scaled:
        """The sum, element by element, after broadcasting."""
        top = _top(self, other)
        return Scaled(*_taken_apart(_align(self, top) + _align(other, top), top))

    def larger(self, other: Scaled) -> Scaled:
        """The larger of two, element by element, after broadcasting."""
        top = _top(self, other)
        return Scaled(*_taken_apart(np.maximum(_align(self, top), _align(other, top)), top))

    def summed(self, axis: int) -> Scaled:
        """The sum along an axis, which stays with length 1."""
        top = _top_along(self, axis)
        return Scaled(*_taken_apart(_align(self, top).sum(axis=axis, keepdims=True), top))

    def largest(self, axis: int) -> Scaled:
        """The largest along an axis, which stays with length 1."""
        top = _top_along(self, axis)
        return Scaled(*_taken_apart(_align(self, top).max(axis=axis, keepdims=True), top))

    def is_constant(self, axis: int) -> bool:
        """Whether all slices along an axis are equal."""
        first: Index = (slice(None),) * axis + (slice(0, 1),)
        return all(bool((array == array[first]).all()) for array in self)

    def compressed(self, axes: Sequence[int]) -> Scaled:
        """With length 1 along those of the axes whose slices are all equal."""
        values = self
        for axis in axes:
            if values.shape[axis] > 1 and values.is_constant(axis):
                values = values.at((slice(None),) * axis + (slice(0, 1),))
        return values

    def log2(self) -> npt.NDArray[np.float64]:
        """Logarithms to base 2; minus infinity for zeros."""
        with np.errstate(divide="ignore"):
            return np.add(np.log2(self.mantissas), self.exponents, dtype=np.float64)

    def floats(self) -> npt.NDArray[np.float64]:
        """Plain numbers: infinite above the range of float64, and zero below it."""
        shift = np.clip(self.exponents, -OUT_OF_REACH, OUT_OF_REACH).astype(np.int32)
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.mantissas, shift)

    def total(self) -> tuple[float, int]:
        """The sum of all elements, correctly rounded, as a mantissa and an exponent."""
        positive = self.mantissas > 0
        if not positive.any():
            return 0.0, 0
        top = int(self.exponents[positive].max())
        half, shift = math.frexp(math.fsum(_align(self, np.asarray(top)).ravel().tolist()))
        return half, top + shift


class Semiring(Protocol):
    """How parallel paths are put together."""

    def plus(self, a: Scaled, b: Scaled) -> Scaled:
        """Of two sets of paths."""

    def along(self, values: Scaled, axis: int, length: int) -> Scaled:
        """Of the paths along an axis of this length, which may be stored with length 1."""

    def repeated(self, values: Scaled, numbers: npt.NDArray[np.int64]) -> Scaled:
        """Of so many equal paths; none makes zero."""


class Sums:
    """Parallel paths add up."""

    def plus(self, a: Scaled, b: Scaled) -> Scaled:
        """The sum."""
        return a.plus(b)

    def along(self, values: Scaled, axis: int, length: int) -> Scaled:
        """The sum along an axis."""
        if values.shape[axis] == length:
            return values.summed(axis)
        return values.times(Scaled.of(float(length)))

    def repeated(self, values: Scaled, numbers: npt.NDArray[np.int64]) -> Scaled:
        """Multiplied by the numbers."""
        return values.times(Scaled.of(numbers))


class LargestProducts:
    """Of parallel paths only the one with the largest product counts."""

    def plus(self, a: Scaled, b: Scaled) -> Scaled:
        """The larger one."""
        return a.larger(b)

    def along(self, values: Scaled, axis: int, length: int) -> Scaled:
        """The largest along an axis."""
        return values.largest(axis)

    def repeated(self, values: Scaled, numbers: npt.NDArray[np.int64]) -> Scaled:
        """The same where there is a path at all."""
        return values.times(Scaled.of(np.minimum(numbers, 1)))


SUMS: Semiring = Sums()
LARGEST_PRODUCTS: Semiring = LargestProducts()


def _taken_apart(
    mantissas: npt.NDArray[np.float64], exponents: npt.NDArray[np.int64] | int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mantissas brought back to [0.5, 1); a zero has the exponent 0."""
    halves, shifts = np.frexp(mantissas)
    return halves, np.where(halves > 0, exponents + shifts.astype(np.int64), 0)


def _top(a: Scaled, b: Scaled) -> npt.NDArray[np.int64]:
    """Element by element the exponent of the larger number."""
    return np.maximum(_without_zeros(a), _without_zeros(b))


def _top_along(values: Scaled, axis: int) -> npt.NDArray[np.int64]:
    """The largest exponent along an axis."""
    top: npt.NDArray[np.int64] = _without_zeros(values).max(axis=axis, keepdims=True)
    return top


def _without_zeros(values: Scaled) -> npt.NDArray[np.int64]:
    """Exponents, that of a zero being below all others."""
    return np.where(values.mantissas > 0, values.exponents, np.iinfo(np.int64).min)


def _align(values: Scaled, top: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mantissas of the numbers in units of ``2**top``; what is far below becomes zero."""
    shift = np.maximum(values.exponents - np.maximum(top, -(1 << 62)), -OUT_OF_REACH)
    return np.ldexp(values.mantissas, np.minimum(shift, 0).astype(np.int32))
