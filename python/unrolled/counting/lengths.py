"""Lengths of the contexts of one parameter: sums, mean, variance, extremes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.caching import cached_property
from unrolled._support.copying import stored_attributes
from unrolled.counting.run_lengths import RunLengths
from unrolled.spectrum.spectrum import scaled_integer

if TYPE_CHECKING:
    from unrolled.counting.kept import AnyCounts, AnyParameterCounts

__all__ = ["LengthCounts", "Lengths", "Moments"]


class LengthCounts(NamedTuple):
    """What the core counted of lengths, for all parameters."""

    sums: AnyCounts
    shortest: AnyCounts
    longest: AnyCounts


class Moments(NamedTuple):
    """Contexts, the sum of their lengths, and the sum of the squares of their lengths.

    Integers if counted exactly, otherwise floats in units of ``2**exponent``.
    """

    contexts: int | float
    lengths: int | float
    squares: int | float
    exponent: int = 0

    @property
    def scaled(self) -> tuple[float, int]:
        """The contexts as a mantissa in [1, 2) and an exponent."""
        if isinstance(self.contexts, int):
            return scaled_integer(self.contexts)
        half, exponent = math.frexp(self.contexts)
        return 2.0 * half, exponent - 1 + self.exponent

    @property
    def mean(self) -> float:
        """Mean length; NaN without a context."""
        return self.lengths / self.contexts if self.contexts else math.nan

    @property
    def variance(self) -> float:
        """Variance of the length; NaN without a context."""
        if not self.contexts:
            return math.nan
        if isinstance(self.contexts, int):
            # One division of integers, so that nothing is lost in the difference.
            difference = self.squares * self.contexts - self.lengths**2
            return difference / self.contexts**2
        return max(self.squares / self.contexts - self.mean**2, 0.0)

    @classmethod
    def total(cls, parts: list[tuple[Moments, int]]) -> Moments:
        """The sum of moments, each taken several times."""
        top = max((one.exponent for one, _ in parts if one.contexts), default=0)

        def scaled(value: int | float, one: Moments, number: int) -> int | float:
            if isinstance(value, int):
                return value * number
            return math.ldexp(value, max(one.exponent - top, -2000)) * number

        columns = zip(
            *[[scaled(value, one, number) for value in one[:3]] for one, number in parts],
            strict=True,
        )
        sums = [sum(c) if isinstance(c[0], int) else math.fsum(c) for c in columns] or [0, 0, 0]
        return cls(sums[0], sums[1], sums[2], top)


class Lengths:
    """Lengths of the contexts of the elements of one parameter.

    Elements with equal contexts, sums and squares are one level.
    """

    def __init__(self, core: LengthCounts, number: int, *, is_exact: bool) -> None:
        self._sums = core.sums.parameter(number)
        self._shortest = core.shortest.parameter(number)
        self._longest = core.longest.parameter(number)
        self._is_exact = is_exact
        along, *runs = [np.asarray(run, dtype=np.int64) for run in self._sums.runs]
        shape = [len(run) for run in runs]
        index = np.asarray(self._sums.level_index).reshape(len(along), -1)
        index = np.repeat(index, along, axis=0)
        triples, inverse = np.unique(index, axis=1, return_inverse=True)
        self._levels = RunLengths(inverse.reshape(shape), runs)
        self._triples: list[tuple[int, int, int]] = [(a, b, c) for a, b, c in triples.T.tolist()]
        sizes = np.ones((), dtype=np.int64)
        for run in runs:
            sizes = np.multiply.outer(sizes, run)
        numbers = np.zeros(len(self._triples), dtype=np.int64)
        np.add.at(numbers, inverse.ravel(), sizes.ravel())
        self.degeneracies: list[int] = numbers.tolist()

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, counts as plain arrays."""
        from unrolled.counting.kept import KeptParameter  # Only pickles need it.

        state = stored_attributes(self)
        for name in ("_sums", "_shortest", "_longest"):
            # Shortest and longest lengths are counted in log space, and yet are integers.
            is_exact = self._is_exact and name == "_sums"
            state[name] = KeptParameter.of(state[name], is_exact=is_exact)
        return state

    @cached_property
    def moments(self) -> list[Moments]:
        """Of one element of each level."""
        if self._is_exact:
            exact = {level: self._sums.exact(level) for one in self._triples for level in one}
            return [Moments(exact[a], exact[b], exact[c]) for a, b, c in self._triples]
        mantissas = np.asarray(self._sums.mantissas).tolist()
        exponents = np.asarray(self._sums.exponents).tolist()
        found = []
        for triple in self._triples:
            base = exponents[triple[0]]
            a, b, c = (math.ldexp(mantissas[at], exponents[at] - base) for at in triple)
            found.append(Moments(a, b, c, base))
        return found

    def expand(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One value a level, spread over the elements."""
        return self._levels.expand(values)

    def at(self, positions: tuple[int, ...]) -> Moments:
        """Of the element at an index that is known to be one."""
        return self.moments[self._levels.level_at(positions)]

    @property
    def total(self) -> Moments:
        """Over all elements."""
        return Moments.total(list(zip(self.moments, self.degeneracies, strict=True)))

    @property
    def shortest(self) -> int | None:
        """Length of the shortest context of all elements; None without any."""
        return _length(self._shortest, longest=False)

    @property
    def longest(self) -> int | None:
        """Length of the longest context of all elements; None without any."""
        return _length(self._longest, longest=True)


def _length(core: AnyParameterCounts, *, longest: bool) -> int | None:
    """The core gives lengths plus one, and 0 for an element without a context."""
    values: npt.NDArray[np.float64] = np.ldexp(
        np.asarray(core.mantissas), np.asarray(core.exponents).astype(np.int32)
    )
    reached = values[values > 0]
    if not len(reached):
        return None
    return int(reached.max() if longest else reached.min()) - 1
