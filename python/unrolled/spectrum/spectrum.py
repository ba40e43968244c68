"""The spectrum: distinct context counts, how many parameters have each, and which."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._support import notebooks
from unrolled._support.arguments import iterator_of
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, SizeOverflowError

__all__ = ["NOT_EXACT", "Level", "Spectrum", "Values", "scaled_integer", "scaled_log2"]

NOT_EXACT = (
    "these counts are known in log space only; count with exact=True to have them as integers"
)


class Level(NamedTuple):
    """One level of a spectrum: a count (as log2) and the number of parameters that have it.

    Examples
    --------
    >>> from unrolled import Spectrum
    >>> Spectrum.from_counts([2, 1, 1]).levels
    [Level(log2_count=0.0, degeneracy=2), Level(log2_count=1.0, degeneracy=1)]
    """

    log2_count: float
    degeneracy: int


class Values(NamedTuple):
    """Counts ``mantissas * 2**exponents`` with their degeneracies, ascending."""

    mantissas: npt.NDArray[np.float64]
    exponents: npt.NDArray[np.int64]
    degeneracies: npt.NDArray[np.uint64]


Levels: TypeAlias = Values | _core.Spectrum | _core.GraphSpectrum
"""The levels of a spectrum as arrays, or as the core has them, where nothing is copied yet."""


class Spectrum:
    """Distinct context counts in ascending order, with their degeneracies.

    All quantities of a model are functions of its spectrum, which is short even for models of
    100 million parameters. Parameters without a context are no part of it. Get one from
    `Counts.spectrum`, `ParameterCounts.spectrum` or `Spectrum.from_counts`.

    Examples
    --------
    >>> from unrolled import Spectrum
    >>> spectrum = Spectrum.from_counts([2, 1, 1])
    >>> spectrum
    Spectrum(2 levels, 3 parameters, log2 counts 0 to 1)
    >>> spectrum.counts, spectrum.degeneracies.tolist()
    ([1, 2], [2, 1])
    """

    __slots__ = ("_arrays", "_exact", "_levels", "_owners", "_quantities")

    def __init__(
        self,
        levels: Levels,
        exact: Callable[[int], int] | None,
        owners: Callable[[int], Mapping[str, int]],
    ) -> None:
        self._levels = levels
        self._exact = exact
        self._owners = owners
        self._arrays: Values | None = None
        self._quantities: _core.Quantities | None = None

    @classmethod
    def from_counts(cls, counts: Iterable[int] | Mapping[int, int]) -> Spectrum:
        """Spectrum of plain numbers, one for each parameter.

        Parameters
        ----------
        counts : iterable of int, or mapping of int to int
            The count of each parameter, or the degeneracy of each count. Zeros are left out.

        Raises
        ------
        InvalidArgumentError
            A count or degeneracy that is not an integer, or is negative.
        SizeOverflowError
            More parameters than 64 bits can number.

        Examples
        --------
        >>> Spectrum.from_counts({1: 100_000_000, 2**5000: 1})
        Spectrum(2 levels, 100,000,001 parameters, log2 counts 0 to 5,000)
        """
        if isinstance(counts, Mapping):
            tally = {_natural(count): _natural(number) for count, number in counts.items()}
        elif (each := iterator_of(counts)) is not None:
            tally = Counter(map(_natural, each))
        else:
            raise InvalidArgumentError(
                f"expected counts, or their degeneracies by count; got {described(counts)}"
            )
        levels = sorted(count for count, number in tally.items() if count > 0 and number > 0)
        if (number := sum(tally[count] for count in levels)) >= 1 << 64:
            raise SizeOverflowError(f"{number} parameters are more than 64 bits can number")
        scaled = [scaled_integer(count) for count in levels]
        values = Values(
            np.array([mantissa for mantissa, _ in scaled], dtype=np.float64),
            np.array([exponent for _, exponent in scaled], dtype=np.int64),
            np.array([tally[count] for count in levels], dtype=np.uint64),
        )
        return cls(values, levels.__getitem__, lambda level: {})

    @property
    def _values(self) -> Values:
        """The levels as read-only arrays, made when first asked for."""
        if self._arrays is None:
            levels = self._levels
            self._arrays = Values(
                levels.mantissas.view(), levels.exponents.view(), levels.degeneracies.view()
            )
            for array in self._arrays:
                array.flags.writeable = False
        return self._arrays

    def _worked_out(self) -> _core.Quantities:
        """What `unrolled.quantities` gives of the spectrum, worked out once.

        Raises
        ------
        NothingToCountError
            A spectrum without a level.
        """
        if self._quantities is None:
            levels = self._levels
            self._quantities = (
                _core.Quantities(*levels) if isinstance(levels, Values) else levels.quantities()
            )
        return self._quantities

    @property
    def mantissas(self) -> npt.NDArray[np.float64]:
        """Mantissas of the counts in [1, 2), shape ``(levels,)``, read-only."""
        return self._values.mantissas

    @property
    def exponents(self) -> npt.NDArray[np.int64]:
        """Exponents of the counts to base 2, shape ``(levels,)``, read-only."""
        return self._values.exponents

    @property
    def degeneracies(self) -> npt.NDArray[np.uint64]:
        """Number of parameters that have each count, shape ``(levels,)``, read-only."""
        return self._values.degeneracies

    @property
    def log2_counts(self) -> npt.NDArray[np.float64]:
        """Counts in bits (log2), ascending, shape ``(levels,)``."""
        return scaled_log2(self.mantissas, self.exponents)

    @property
    def is_exact(self) -> bool:
        """Whether the counts are known as integers."""
        return self._exact is not None

    @property
    def counts(self) -> list[int]:
        """The distinct counts as integers, ascending.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only.
        """
        return [self.count(level) for level in range(len(self))]

    def count(self, level: int) -> int:
        """The count of one level as an integer; `level` as in ``range(len(spectrum))``.

        Raises
        ------
        InvalidArgumentError
            No such level, or counts known in log space only.
        """
        if self._exact is None:
            raise InvalidArgumentError(NOT_EXACT)
        return self._exact(self._level(level))

    @property
    def levels(self) -> list[Level]:
        """All levels, ascending, as pairs of log2 count and degeneracy."""
        pairs = zip(self.log2_counts.tolist(), self.degeneracies.tolist(), strict=True)
        return [Level(*pair) for pair in pairs]

    @property
    def num_parameters(self) -> int:
        """Number of parameters with a context, ``N_G``."""
        levels = self._levels
        if isinstance(levels, Values):
            return int(levels.degeneracies.sum(dtype=np.uint64))
        return levels.num_reached

    @property
    def total(self) -> int:
        """Total number of contexts ``Z``.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only.
        """
        numbers = self.degeneracies.tolist()
        return sum(map(operator.mul, self.counts, numbers))

    def owners(self, level: int) -> dict[str, int]:
        """Which parameter tensors have the count of a level.

        Returns
        -------
        dict of str to int
            Number of elements by the name of the parameter; empty for plain numbers.

        Raises
        ------
        InvalidArgumentError
            No such level.
        """
        return dict(self._owners(self._level(level)))

    def __reduce__(self) -> tuple[Any, ...]:
        owners = [self.owners(level) for level in range(len(self))]
        return _restore, (self._values, self.counts if self.is_exact else None, owners)

    def __copy__(self) -> Spectrum:
        return self  # Nothing of it can be changed.

    def __deepcopy__(self, memo: dict[int, Any]) -> Spectrum:
        return self

    def __len__(self) -> int:
        levels = self._levels
        return len(levels.mantissas if isinstance(levels, Values) else levels)

    def __iter__(self) -> Iterator[Level]:
        return iter(self.levels)

    def _repr_html_(self) -> str:
        facts = [
            ("levels", f"{len(self):,}"),
            ("parameters", f"{self.num_parameters:,}"),
            ("counted", "exactly" if self.is_exact else "in log space"),
        ]
        chart = notebooks.histogram_bars(
            self.log2_counts,
            self.degeneracies.astype(np.float64),
            "parameters (log10) by contexts, log2 C [bits]",
        )
        return notebooks.card("Spectrum", facts, chart)

    def __repr__(self) -> str:
        if not len(self):
            return "Spectrum(0 levels)"
        bits = self.log2_counts
        plural = "s" if len(self) > 1 else ""
        return (
            f"Spectrum({len(self):,} level{plural}, {self.num_parameters:,} parameters, "
            f"log2 counts {bits[0]:,.6g} to {bits[-1]:,.6g})"
        )

    def _level(self, level: int) -> int:
        try:
            position = operator.index(level)
        except TypeError:
            raise InvalidArgumentError(f"a level is an integer, got {described(level)}") from None
        if not -len(self) <= position < len(self):
            raise InvalidArgumentError(
                f"no level {level}: the spectrum has {len(self)} levels, numbered from 0"
            )
        return position % len(self)


def _restore(values: Values, counts: list[int] | None, owners: list[dict[str, int]]) -> Spectrum:
    """A spectrum that was pickled."""
    return Spectrum(values, None if counts is None else counts.__getitem__, owners.__getitem__)


def scaled_integer(count: int) -> tuple[float, int]:
    """A positive integer as a mantissa in [1, 2), correct to the last bit, and an exponent."""
    shift = max(count.bit_length() - 64, 0)
    # 64 leading bits are enough to round correctly if the last tells whether anything follows.
    leading = count >> shift
    if leading << shift != count:
        leading |= 1
    half, carry = math.frexp(float(leading))
    return 2.0 * half, carry - 1 + shift


def scaled_log2(
    mantissas: npt.NDArray[np.float64], exponents: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """log2 of ``mantissas * 2**exponents``; minus infinity for zeros."""
    with np.errstate(divide="ignore"):
        return np.add(np.log2(mantissas), exponents, dtype=np.float64)


def _natural(number: object) -> int:
    try:
        if isinstance(number, bool):
            raise TypeError
        value = operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgumentError(f"counts are integers, got {described(number)}") from None
    if value < 0:
        raise InvalidArgumentError(f"counts are not negative, got {value}")
    return value
