"""Quantities of a spectrum of context counts, one function per formula.

Every function takes a spectrum: the distinct context counts ``C`` of the parameters, each as
``mantissa * 2**exponent``, with the number of parameters that have it (its degeneracy ``g``).
`unrolled.Spectrum` is one; anything with the attributes of `SpectrumLike` will do. Logarithms have
base 2 and results are in bits. Parameters without a context are no part of a spectrum.

Results agree with 200-digit arithmetic to about 1e-15 relative, for counts of any size: the core,
which works them out, keeps exponents apart from mantissas and compensates sums, and no formula
subtracts large numbers from each other. The logarithms `surprisal_estimate` and `spread_estimate`
have that error absolutely.

Source of all formulas: A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning
models without training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Protocol

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.spectrum.spectrum import Spectrum

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
    return _quantities(spectrum).log2_total


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
    return _core.probabilities(*_arrays(spectrum))


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
    return _core.surprisals(*_arrays(spectrum))


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
    return _quantities(spectrum).total_surprisal


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
    return _quantities(spectrum).entropy


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
    return _quantities(spectrum).expected_spread


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
    _check_number("num_inputs", num_inputs, 1)
    _check_number("num_outputs", num_outputs, 1)
    _check_number("num_weight_nodes", num_weight_nodes, 0)
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
    found = _quantities(spectrum)
    whole = size(num_inputs=num_inputs, num_outputs=num_outputs, num_weight_nodes=num_weight_nodes)
    return math.log2((found.expected_spread + 1.0) * (found.num_parameters * num_inputs / whole))


def _check_number(name: str, number: object, least: int) -> None:
    """Refuse what is no number, or too small."""
    if type(number) is not int and not isinstance(number, Real):
        raise InvalidArgumentError(f"{name} must be a number, got {described(number)}")
    if number < least:
        raise InvalidArgumentError(f"{name} is {number}; expected a number >= {least}")


def _quantities(spectrum: SpectrumLike) -> _core.Quantities:
    """The quantities of a spectrum, which the core works out all at once."""
    if isinstance(spectrum, Spectrum):
        return spectrum._worked_out()
    return _core.Quantities(*_arrays(spectrum))


def _arrays(
    spectrum: SpectrumLike,
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """The levels of a spectrum as the core takes them."""
    return (
        np.ascontiguousarray(spectrum.mantissas, dtype=np.float64),
        np.ascontiguousarray(spectrum.exponents, dtype=np.int64),
        np.ascontiguousarray(spectrum.degeneracies, dtype=np.uint64),
    )
