"""Quantities of a spectrum of context counts, one function per formula.

Every function takes a spectrum: the distinct context counts ``C`` of the parameters, each as
``mantissa * 2**exponent``, with the number of parameters that have it (its degeneracy ``g``).
`unrolled.Spectrum` is one; anything with the attributes of `SpectrumLike` will do. Logarithms have
base 2 and results are in bits. Parameters without a context are no part of a spectrum.

Results agree with 200-digit arithmetic to about 1e-15 relative, for counts of any size: exponents
are kept apart from mantissas, sums are compensated, and no formula subtracts large numbers from
each other. The logarithms `surprisal_estimate` and `spread_estimate` have that error absolutely.

Source of all formulas: A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning
models without training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Protocol

import numpy as np
import numpy.typing as npt

from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.spectrum.spectrum import scaled_log2

__all__ = [
    "SpectrumLike",
    "entropy",
    "expected_spread",
    "log2_total_contexts",
    "probabilities",
    "size",
    "spread_estimate",
    "surprisal_estimate",
    "surprisals",
    "total_surprisal",
]

Floats = npt.NDArray[np.float64]


class SpectrumLike(Protocol):
    """Distinct counts ``mantissas * 2**exponents`` and how many parameters have each of them."""

    @property
    def mantissas(self) -> Floats:
        """Mantissas in [1, 2), shape ``(levels,)``."""

    @property
    def exponents(self) -> npt.NDArray[np.int64]:
        """Exponents to base 2, shape ``(levels,)``."""

    @property
    def degeneracies(self) -> npt.NDArray[np.uint64]:
        """Numbers of parameters, positive, shape ``(levels,)``."""


class Weighed:
    """A spectrum with its contexts as floating-point numbers, made once for several quantities.

    Attributes
    ----------
    states : ndarray of float64
        The degeneracies.
    weights : ndarray of float64
        The contexts of all parameters of each level, times ``2**-base``.
    base : int
    sum : float
        Of the weights.
    """

    def __init__(self, spectrum: SpectrumLike) -> None:
        if len(spectrum.mantissas) == 0:
            raise NothingToCountError(
                "an empty spectrum has no quantities: no parameter has a context"
            )
        self.mantissas, self.exponents = spectrum.mantissas, spectrum.exponents
        self.degeneracies = spectrum.degeneracies
        self.base = int(spectrum.exponents.max())
        self.states = spectrum.degeneracies.astype(np.float64)
        self.weights = self.states * _scaled_mantissas(spectrum, self.base)
        self.sum = _sum(self.weights)

    @property
    def total(self) -> tuple[float, int]:
        """The sum of the contexts as a mantissa in [1, 2) and an exponent."""
        half, exponent = math.frexp(self.sum)
        return 2.0 * half, exponent - 1 + self.base

    @cached_property
    def surprisals(self) -> Floats:
        """Surprisal of one parameter of each level, in bits."""
        mantissa, exponent = self.total
        bits: Floats = (exponent - self.exponents) + (math.log2(mantissa) - np.log2(self.mantissas))
        largest = int(self.weights.argmax())
        if int(self.degeneracies[largest]) == 1:
            # A parameter that has nearly all contexts has a surprisal near zero, where the
            # difference of two logarithms has no correct digits left: sum what the others have
            # instead.
            others = _sum(self.weights[:largest]) + _sum(self.weights[largest + 1 :])
            if others < self.weights[largest]:
                bits[largest] = math.log1p(others / float(self.weights[largest])) / math.log(2)
        return bits

    def expectation(self, values: Floats) -> float:
        """``sum p values`` over all parameters."""
        return _sum(self.weights * values) / self.sum


def log2_total_contexts(spectrum: SpectrumLike) -> float:
    """Logarithm of the total number of contexts.

    Symbol ``log2 Z``; formula ``log2 sum_w C_w``; unit bits. Equals `entropy` + `expected_spread`.
    Source: Polat and Alpaslan (2023).

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.log2_total_contexts(Spectrum.from_counts([2, 2, 2, 1, 1]))
    3.0
    """
    mantissa, exponent = _weighed(spectrum).total
    return exponent + math.log2(mantissa)


def probabilities(spectrum: SpectrumLike) -> Floats:
    """Relative frequency of one parameter of each level.

    Symbol ``p_w``; formula ``C_w / Z``; no unit. Times the degeneracies they sum to 1; a level
    2**1074 times below the total underflows to 0. Source: Polat and Alpaslan (2023).

    Returns
    -------
    ndarray of float64
        Shape ``(levels,)``.

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.probabilities(Spectrum.from_counts([2, 1, 1])).tolist()
    [0.25, 0.5]
    """
    weighed = _weighed(spectrum)
    return _scaled_mantissas(spectrum, weighed.base) / weighed.sum


def surprisals(spectrum: SpectrumLike) -> Floats:
    """Surprisal of one parameter of each level.

    Symbol ``s_w``; formula ``-log2 p_w = log2 Z - log2 C_w``; unit bits.
    Source: Polat and Alpaslan (2023).

    Returns
    -------
    ndarray of float64
        Shape ``(levels,)``.

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.surprisals(Spectrum.from_counts([2, 1, 1])).tolist()
    [2.0, 1.0]
    """
    return _weighed(spectrum).surprisals


def total_surprisal(spectrum: SpectrumLike) -> float:
    """Total surprisal of all parameters.

    Symbol ``S_G``; formula ``-sum_w log2 p_w = N_G log2 Z - sum_w log2 C_w``; unit bits.
    Source: Polat and Alpaslan (2023).

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.total_surprisal(Spectrum.from_counts([1] * 8))
    24.0
    """
    weighed = _weighed(spectrum)
    return _sum(weighed.states * weighed.surprisals)


def entropy(spectrum: SpectrumLike) -> float:
    """Entropy of the relative frequencies, which is the expected surprisal.

    Symbol ``H``; formula ``-sum_w p_w log2 p_w``; unit bits.
    Source: Polat and Alpaslan (2023).

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.entropy(Spectrum.from_counts([1] * 8))
    3.0
    """
    weighed = _weighed(spectrum)
    return weighed.expectation(weighed.surprisals)


def expected_spread(spectrum: SpectrumLike) -> float:
    """Expected spread: the mean logarithm of the counts, weighted by relative frequency.

    Symbol ``E[log2 C]``; formula ``sum_w p_w log2 C_w``; unit bits.
    Source: Polat and Alpaslan (2023).

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> quantities.expected_spread(Spectrum.from_counts([4] * 3))
    2.0
    """
    return _weighed(spectrum).expectation(scaled_log2(spectrum.mantissas, spectrum.exponents))


def size(*, num_inputs: int, num_outputs: int, num_weight_nodes: int) -> int:
    """Size of a computational graph: its scalar inputs, outputs and weight nodes.

    Symbol ``|G|``; formula ``N_I + N_O + weight nodes``; no unit. A parameter that is used at
    several places is one weight node at each. Source: Polat and Alpaslan (2023).

    Raises
    ------
    InvalidArgumentError
        No number, a negative one, or no input or output.

    Examples
    --------
    >>> from unrolled import quantities
    >>> quantities.size(num_inputs=2, num_outputs=1, num_weight_nodes=8)
    11
    """
    given = {
        "num_inputs": (num_inputs, 1),
        "num_outputs": (num_outputs, 1),
        "num_weight_nodes": (num_weight_nodes, 0),
    }
    for name, (number, least) in given.items():
        if not isinstance(number, Real):
            raise InvalidArgumentError(f"{name} must be a number, got {described(number)}")
        if number < least:
            raise InvalidArgumentError(f"{name} is {number}; expected a number >= {least}")
    return num_inputs + num_outputs + num_weight_nodes


def surprisal_estimate(
    spectrum: SpectrumLike, *, num_inputs: int, num_outputs: int, num_weight_nodes: int
) -> float:
    """Performance estimate based on the total surprisal.

    Symbol ``P_G``; formula ``log2(S_G * N_I / |G|)`` with the `total_surprisal` and the `size`;
    unit bits. Minus infinity for a single parameter, whose surprisal is zero.
    Source: Polat and Alpaslan (2023).

    Parameters
    ----------
    spectrum : SpectrumLike
    num_inputs, num_outputs, num_weight_nodes : int
        See `size`.

    Raises
    ------
    InvalidArgumentError
        As for `size`.

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> uniform = Spectrum.from_counts([1] * 8)
    >>> round(quantities.surprisal_estimate(
    ...     uniform, num_inputs=2, num_outputs=1, num_weight_nodes=8), 12)
    2.125530882084
    """
    total = total_surprisal(spectrum)
    whole = size(num_inputs=num_inputs, num_outputs=num_outputs, num_weight_nodes=num_weight_nodes)
    return math.log2(total * num_inputs / whole) if total > 0 else -math.inf


def spread_estimate(
    spectrum: SpectrumLike, *, num_inputs: int, num_outputs: int, num_weight_nodes: int
) -> float:
    """Performance estimate based on the expected spread.

    Symbol ``P'_G``; formula ``log2(N_G * (E[log2 C] + 1) * N_I / |G|)`` with the number of
    parameters ``N_G``, the `expected_spread` and the `size`; unit bits.
    Source: Polat and Alpaslan (2023).

    Parameters
    ----------
    spectrum : SpectrumLike
    num_inputs, num_outputs, num_weight_nodes : int
        See `size`.

    Raises
    ------
    InvalidArgumentError
        As for `size`.

    Examples
    --------
    >>> from unrolled import Spectrum, quantities
    >>> uniform = Spectrum.from_counts([1] * 8)
    >>> round(quantities.spread_estimate(
    ...     uniform, num_inputs=2, num_outputs=1, num_weight_nodes=8), 12)
    0.540568381363
    """
    spread = expected_spread(spectrum)
    whole = size(num_inputs=num_inputs, num_outputs=num_outputs, num_weight_nodes=num_weight_nodes)
    parameters = int(spectrum.degeneracies.sum(dtype=np.uint64))
    return math.log2((spread + 1.0) * (parameters * num_inputs / whole))


def _scaled_mantissas(spectrum: SpectrumLike, base: int) -> Floats:
    """``C * 2**-base``, where what is too small to be added to the total becomes 0."""
    shifts = np.maximum(spectrum.exponents - base, -2000)
    return np.ldexp(spectrum.mantissas, shifts.astype(np.int32))


def _weighed(spectrum: SpectrumLike) -> Weighed:
    return spectrum if isinstance(spectrum, Weighed) else Weighed(spectrum)


def _sum(values: Floats) -> float:
    """The sum, rounded once; over a list, which is several times as quick as over an array."""
    return math.fsum(values.tolist())
