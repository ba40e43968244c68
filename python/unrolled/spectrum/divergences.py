"""Distances between two spectra: relative entropies, Jensen-Shannon, and the earth mover's.

The function that takes models is `unrolled.divergence`, in `unrolled.analysis.distances`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled.spectrum.spectrum import Spectrum

__all__ = ["Divergence", "Drawn", "divergence_of_spectra"]

Drawn: TypeAlias = Literal["contexts", "parameters"]
"""What is drawn at random: a context out of all, or a parameter."""

Floats: TypeAlias = npt.NDArray[np.float64]


class Divergence(NamedTuple):
    """Distances between the distributions of log2 counts of two models a and b.

    Attributes
    ----------
    relative_entropy : float
        Symbol ``D(a || b)``; formula ``sum a log2(a / b)``; unit bits. Infinite if a has a bin that
        b has not.
    reverse_relative_entropy : float
        The same with a and b exchanged.
    jensen_shannon_distance : float
        Formula ``sqrt((D(a || m) + D(b || m)) / 2)`` with ``m = (a + b) / 2``; a metric from 0 to
        1, which is reached when no bin is in both.
    earth_movers_distance : float
        Formula ``integral of |A(x) - B(x)| dx`` over the cumulative distributions of
        ``x = log2 C``, without bins; unit bits. By how many bits the contexts of a must move on
        average to become those of b: it tells near from far where no bin is in both.

    Examples
    --------
    >>> import unrolled
    >>> from unrolled import Spectrum
    >>> unrolled.divergence(Spectrum.from_counts([1, 1]), Spectrum.from_counts([8, 8]))
    Divergence(relative_entropy=inf, reverse_relative_entropy=inf, jensen_shannon_distance=1.0, \
earth_movers_distance=3.0)
    """

    relative_entropy: float
    reverse_relative_entropy: float
    jensen_shannon_distance: float
    earth_movers_distance: float


def divergence_of_spectra(
    a: Spectrum, b: Spectrum, *, of: Drawn = "contexts", bin_width: float = 1.0
) -> Divergence:
    """Distances between two spectra that are not empty; see `unrolled.divergence`."""
    spectra = [a, b]
    outcomes = [_probabilities(spectrum, of) for spectrum in spectra]
    one, other = _binned(spectra, outcomes, bin_width)
    middle = (one + other) / 2
    halves = _relative_entropy(one, middle) + _relative_entropy(other, middle)
    return Divergence(
        _relative_entropy(one, other),
        _relative_entropy(other, one),
        math.sqrt(min(halves / 2, 1.0)),
        _earth_movers_distance(spectra, outcomes),
    )


def _probabilities(spectrum: Spectrum, of: Drawn) -> Floats:
    """The probability of each level."""
    weights = spectrum.degeneracies.astype(np.float64)
    if of == "contexts":
        shifts = np.maximum(spectrum.exponents - spectrum.exponents.max(), -2000)
        weights = weights * np.ldexp(spectrum.mantissas, shifts.astype(np.int32))
    return weights / math.fsum(weights)


def _binned(spectra: list[Spectrum], outcomes: list[Floats], width: float) -> tuple[Floats, Floats]:
    """The probabilities of all bins that either spectrum reaches, for both spectra."""
    bins: list[npt.NDArray[Any]]
    if width == 0:
        bins = _level_numbers(spectra)
    elif width == 1:
        # The exponent of a count is the bin, without any rounding.
        bins = [spectrum.exponents for spectrum in spectra]
    else:
        bins = [np.floor(spectrum.log2_counts / width) for spectrum in spectra]
    known, positions = np.unique(np.concatenate(bins), return_inverse=True)
    first = len(bins[0])
    parts = (positions[:first], outcomes[0]), (positions[first:], outcomes[1])
    one, other = (
        np.asarray(np.bincount(at, masses, len(known)), dtype=np.float64) for at, masses in parts
    )
    return one, other


def _level_numbers(spectra: list[Spectrum]) -> list[npt.NDArray[np.int64]]:
    """A number for each level, equal where the counts of two levels are."""
    if all(spectrum.is_exact for spectrum in spectra):
        keys: list[list[object]] = [list(spectrum.counts) for spectrum in spectra]
    else:
        keys = [
            list(zip(one.exponents.tolist(), one.mantissas.tolist(), strict=True))
            for one in spectra
        ]
    numbers: dict[object, int] = {}
    return [
        np.array([numbers.setdefault(key, len(numbers)) for key in column], dtype=np.int64)
        for column in keys
    ]


def _relative_entropy(p: Floats, q: Floats) -> float:
    """``sum p log2(p / q)`` in bits."""
    reached = p > 0
    if (q[reached] == 0).any():
        return math.inf
    ratio = p[reached] / q[reached]
    # Together with sum (q - p) = 0, every term is at least 0 and small where p is close to q.
    terms = p[reached] * np.log(ratio) + (q[reached] - p[reached])
    beyond = math.fsum(q[~reached])
    return max(math.fsum(terms) + beyond, 0.0) / math.log(2)


def _earth_movers_distance(spectra: list[Spectrum], outcomes: list[Floats]) -> float:
    """The area between the cumulative distributions over log2 counts, in bits."""
    places = np.concatenate([spectrum.log2_counts for spectrum in spectra])
    masses = np.concatenate([outcomes[0], -outcomes[1]])
    order = np.argsort(places, kind="stable")
    above = np.abs(np.cumsum(masses[order]))[:-1]
    above[above < NOISE] = 0.0
    return math.fsum(above * np.diff(places[order]))


NOISE = 1e-15
"""A difference below this is rounding, and not a distance."""
