"""Context counts of the elements of one parameter."""

from __future__ import annotations

import operator
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from unrolled._support.caching import cached_property
from unrolled._support.copying import shared_copy, stored_attributes
from unrolled.counting.run_lengths import RunLengths
from unrolled.errors import InvalidArgumentError
from unrolled.spectrum.spectrum import NOT_EXACT, Spectrum, Values, scaled_log2

if TYPE_CHECKING:
    from collections.abc import Callable

    from unrolled.counting.kept import AnyParameterCounts
    from unrolled.counting.lengths import Lengths, Moments

__all__ = ["ParameterCounts"]

Index = SupportsIndex | tuple[SupportsIndex, ...]

LARGEST_ARRAY = 1 << 31
"""Elements beyond which per-element arrays are refused: 16 GiB of float64."""


class ParameterCounts:
    """Context counts of the elements of one parameter tensor.

    Equal neighbours are stored once, so this is small for any tensor. Get one by name from
    `Counts`.

    Attributes
    ----------
    name : str
    shape : tuple of int
    is_exact : bool
        Whether the counts are integers; otherwise they are known in log space only.

    Examples
    --------
    >>> import unrolled
    >>> kernel = unrolled.count(unrolled.models.mlp([4], inputs=3, classes=2))["layer1/kernel"]
    >>> kernel
    ParameterCounts('layer1/kernel', shape=(3, 4), log2 counts 1 to 1)
    >>> kernel[0, 0], kernel.total
    (2, 24)
    >>> kernel.log2()[0]
    array([1., 1., 1., 1.])
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        core: AnyParameterCounts,
        is_exact: bool,
        lengths: Callable[[], Lengths] | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.is_exact = is_exact
        self._core = core
        self._make_lengths = lengths
        runs = [np.asarray(run, dtype=np.int64) for run in core.runs]
        cells = np.asarray(core.level_index).reshape([len(run) for run in runs])
        self._levels = RunLengths(cells, runs)
        self._mantissas = np.asarray(core.mantissas)
        self._degeneracies = np.asarray(core.degeneracies)
        self._log2_levels = scaled_log2(self._mantissas, np.asarray(core.exponents))

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def minimum(self) -> int:
        """The smallest count of an element, 0 for one that no output depends on.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only; see `log2_minimum`.
        """
        return self._exact(0)

    @property
    def maximum(self) -> int:
        """The largest count of an element.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only; see `log2_maximum`.
        """
        return self._exact(len(self._mantissas) - 1)

    @property
    def log2_minimum(self) -> float:
        """The smallest count in bits (log2), minus infinity for a count of zero."""
        return float(self._log2_levels[0])

    @property
    def log2_maximum(self) -> float:
        """The largest count in bits (log2), minus infinity for a count of zero."""
        return float(self._log2_levels[-1])

    @property
    def total(self) -> int:
        """Sum of the counts of all elements.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only.
        """
        numbers = self._degeneracies.tolist()
        return sum(number * self._exact(level) for level, number in enumerate(numbers))

    @property
    def num_distinct(self) -> int:
        """Number of distinct counts, zero included."""
        return len(self._mantissas)

    @property
    def num_unreached(self) -> int:
        """Number of elements without a context."""
        return int(self._degeneracies[self._mantissas == 0].sum(dtype=np.uint64))

    @property
    def num_weight_nodes(self) -> int:
        """Elements with a context, each counted once for every layer that uses it."""
        return self._core.weight_nodes

    def spectrum(self) -> Spectrum:
        """Distinct counts of the elements that have a context, with their degeneracies."""
        zeros = int(np.count_nonzero(self._mantissas == 0))
        values = Values(
            self._mantissas[zeros:],
            np.asarray(self._core.exponents)[zeros:],
            self._degeneracies[zeros:],
        )
        exact = (lambda level: self._exact(level + zeros)) if self.is_exact else None
        numbers = values.degeneracies
        return Spectrum(values, exact, lambda level: {self.name: int(numbers[level])})

    @overload
    def log2(self) -> npt.NDArray[np.float64]: ...
    @overload
    def log2(self, index: Index) -> float: ...
    def log2(self, index: Index | None = None) -> npt.NDArray[np.float64] | float:
        """Counts in bits (log2), minus infinity for a count of zero.

        Parameters
        ----------
        index : int or tuple of int, optional
            One element; all of them by default.

        Returns
        -------
        ndarray of float64, or float
            An array of the shape of the parameter, or the one value.

        Raises
        ------
        InvalidArgumentError
            Too many elements for one array, or no such element.
        """
        if index is not None:
            return float(self._log2_levels[self._level_at(index)])
        self._check_size()
        return self._levels.expand(self._log2_levels)

    def exact(self) -> npt.NDArray[np.object_]:
        """Counts as Python integers.

        Returns
        -------
        ndarray of object
            Of the shape of the parameter; equal counts are one object.

        Raises
        ------
        InvalidArgumentError
            Too many elements for one array, or counts known in log space only.
        """
        self._check_size()
        levels = np.empty(len(self._mantissas), dtype=object)
        levels[:] = [self._exact(level) for level in range(len(levels))]
        return self._levels.expand(levels)

    @overload
    def mean_length(self) -> npt.NDArray[np.float64]: ...
    @overload
    def mean_length(self, index: Index) -> float: ...
    def mean_length(self, index: Index | None = None) -> npt.NDArray[np.float64] | float:
        """Mean length of the contexts of each element: its depth, seen from the outputs.

        The length of a path is the number of its links, that is of edges of the graph of single
        elements, functions and movements of elements included. Formula ``sum of lengths / C``; NaN
        for an element without a context. Parameters and results are those of `log2`.

        Raises
        ------
        InvalidArgumentError
            Counted without ``lengths=True``; too many elements for one array, or no such element.

        Examples
        --------
        >>> import unrolled
        >>> net = unrolled.Network()
        >>> x = net.dense(net.input((2,)), 2, name="first")
        >>> net.output(net.dense(net.activation(x), 1, name="second"))
        >>> counts = unrolled.count(net, lengths=True)
        >>> counts["first/bias"].mean_length().tolist(), counts["second/bias"].mean_length(0)
        ([3.0, 3.0], 1.0)
        """
        return self._summarise_lengths(lambda one: one.mean, index)

    @overload
    def length_variance(self) -> npt.NDArray[np.float64]: ...
    @overload
    def length_variance(self, index: Index) -> float: ...
    def length_variance(self, index: Index | None = None) -> npt.NDArray[np.float64] | float:
        """Variance of the length over the contexts of each element.

        Formula ``sum of squares of lengths / C - mean**2``, exact before one rounding if counted
        exactly. In log space the error is about 1e-13 of the square of the mean length. Parameters
        and results are those of `log2`, errors those of `mean_length`.
        """
        return self._summarise_lengths(lambda one: one.variance, index)

    def length_sums(self) -> npt.NDArray[np.object_]:
        """Sums of the lengths of the contexts of each element, as Python integers.

        Raises
        ------
        InvalidArgumentError
            Counted without ``lengths=True`` or in log space; too many elements for one array.
        """
        return self._exact_sums(lambda one: one.lengths)

    def squared_length_sums(self) -> npt.NDArray[np.object_]:
        """Sums of the squares of these lengths, as Python integers; errors as `length_sums`."""
        return self._exact_sums(lambda one: one.squares)

    @property
    def shortest_length(self) -> int | None:
        """Length of the shortest context of any element; None without a context.

        Raises
        ------
        InvalidArgumentError
            Counted without ``lengths=True``.
        """
        return self._lengths.shortest

    @property
    def longest_length(self) -> int | None:
        """Length of the longest context of any element; None without a context.

        Raises
        ------
        InvalidArgumentError
            Counted without ``lengths=True``.
        """
        return self._lengths.longest

    @property
    def length_moments(self) -> Moments:
        """Contexts, lengths and squared lengths of all elements together."""
        return self._lengths.total

    def levels_with_depth(self) -> list[tuple[tuple[float, int, int], float | None]]:
        """Mantissa, exponent and degeneracy of each level that has contexts, and its mean length.

        The mean length is None if lengths were not counted; otherwise it tells levels apart, too.
        """
        if self._make_lengths is None:
            spectrum = self.spectrum()
            columns = (spectrum.mantissas, spectrum.exponents, spectrum.degeneracies)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            return [(row, None) for row in rows]
        pairs = zip(self._lengths.moments, self._lengths.degeneracies, strict=True)
        return [((*one.scaled, number), one.mean) for one, number in pairs if one.contexts]

    @cached_property
    def _lengths(self) -> Lengths:
        if self._make_lengths is None:
            raise InvalidArgumentError(
                f"parameter '{self.name}' was counted without lengths; use "
                "count(network, lengths=True)"
            )
        return self._make_lengths()

    def _summarise_lengths(
        self,
        figure: Callable[[Moments], float],
        index: Index | None,
    ) -> npt.NDArray[np.float64] | float:
        lengths = self._lengths
        if index is not None:
            return figure(lengths.at(self._positions(index)))
        self._check_size()
        return lengths.expand(np.array([figure(one) for one in lengths.moments]))

    def _exact_sums(self, sums: Callable[[Moments], int | float]) -> npt.NDArray[np.object_]:
        if not self.is_exact:
            raise InvalidArgumentError(f"parameter '{self.name}': {NOT_EXACT}")
        lengths = self._lengths
        self._check_size()
        levels = np.empty(len(lengths.moments), dtype=object)
        levels[:] = [sums(one) for one in lengths.moments]
        return lengths.expand(levels)

    def __copy__(self) -> ParameterCounts:
        return shared_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> ParameterCounts:
        return shared_copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, counts as plain arrays."""
        from unrolled.counting.kept import KeptParameter  # Only pickles need it.

        state = stored_attributes(self)
        state["_core"] = KeptParameter.of(self._core, is_exact=self.is_exact)
        if self._make_lengths is not None:
            state["_make_lengths"] = partial(_itself, self._lengths)
        return state

    def __getitem__(self, index: Index) -> int:
        """The count of one element, by as many integers as the parameter has axes."""
        return self._exact(self._level_at(index))

    def __repr__(self) -> str:
        if len(self._mantissas) == 0:
            return f"ParameterCounts({self.name!r}, shape={self.shape})"
        return (
            f"ParameterCounts({self.name!r}, shape={self.shape}, "
            f"log2 counts {self.log2_minimum:,.6g} to {self.log2_maximum:,.6g})"
        )

    def _exact(self, level: int) -> int:
        if not self.is_exact:
            raise InvalidArgumentError(f"parameter '{self.name}': {NOT_EXACT}")
        return self._core.exact(level)

    def _level_at(self, index: Index) -> int:
        """The level of the element at an index."""
        return self._levels.level_at(self._positions(index))

    def _positions(self, index: Index) -> tuple[int, ...]:
        """An index, one integer an axis, checked."""
        indices = index if isinstance(index, tuple) else (index,)
        try:
            positions = tuple(map(operator.index, indices))
        except TypeError:
            positions = ()
        fits = len(positions) == len(indices) == len(self.shape) and all(
            -length <= position < length
            for position, length in zip(positions, self.shape, strict=True)
        )
        if not fits:
            raise InvalidArgumentError(
                f"parameter '{self.name}': no element {index!r}; expected {len(self.shape)} "
                f"integers within shape {self.shape}"
            )
        return positions

    def _check_size(self) -> None:
        if self.size > LARGEST_ARRAY:
            raise InvalidArgumentError(
                f"parameter '{self.name}' has {self.size:,} elements, too many for one array; "
                "use spectrum(), or index single elements"
            )


def _itself(lengths: Lengths) -> Lengths:
    """Lengths that are there already, where a function that makes them is asked for."""
    return lengths
