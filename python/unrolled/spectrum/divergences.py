"""Distances between two spectra: relative entropies, Jensen-Shannon, and the earth mover's.

The function that takes models is `unrolled.divergence`, in `unrolled.analysis.distances`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support import notebooks
from unrolled.spectrum.spectrum import Spectrum, scaled_log2

__all__ = ["Align", "Divergence", "Drawn", "divergence_of_spectra"]

Drawn: TypeAlias = Literal["contexts", "parameters"]
"""What is drawn at random: a context out of all, or a parameter."""

Align: TypeAlias = Literal["shift", "scale"]
"""How the largest levels of two spectra are brought together; see `unrolled.divergence`."""

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

DEFAULT_WIDTHS: dict[Align | None, float] = {None: 1.0, "shift": 1.0, "scale": 1 / 32}
LARGEST_SHIFT = 900
"""Doublings of a number between 1/2 and 2**70 that doubles can hold."""
NOISE = 1e-15
"""A difference of probabilities below this is rounding, and not a distance."""


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
        ``x = log2 C``, without bins; unit bits, or parts of the largest ``x`` if spectra are
        scaled. By how much the contexts of a must move on average to become those of b: it tells
        near from far where no bin is in both.

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

    def _repr_html_(self) -> str:
        facts = [
            ("D(a || b)", f"{self.relative_entropy:.6g} bits"),
            ("D(b || a)", f"{self.reverse_relative_entropy:.6g} bits"),
            ("Jensen-Shannon", f"{self.jensen_shannon_distance:.6g}"),
            ("earth mover's", f"{self.earth_movers_distance:.6g}"),
        ]
        distance = self.jensen_shannon_distance
        # It reaches 1 where no bin is in both.
        chart = notebooks.bars(
            [distance, 1.0],
            "Jensen-Shannon distance beside the largest there is, 1",
            ("this", "largest"),
            labels=[f"{distance:.6g}", "1"],
        )
        return notebooks.card("Divergence", facts, chart)


class Masses(NamedTuple):
    """Probabilities ``mantissas * 2**exponents``, which may be too small for a double.

    A mantissa of 0 means that there is nothing, however small.
    """

    mantissas: Floats
    exponents: Integers

    @property
    def values(self) -> Floats:
        """The probabilities as doubles, 0 where they are smaller than any."""
        shifts = np.clip(self.exponents, -2000, 0).astype(np.int32)
        return np.ldexp(self.mantissas, shifts)


def divergence_of_spectra(
    a: Spectrum,
    b: Spectrum,
    *,
    of: Drawn = "contexts",
    align: Align | None = None,
    bin_width: float | None = None,
) -> Divergence:
    """Distances between two spectra that are not empty; see `unrolled.divergence`."""
    spectra = (a, b)
    width = DEFAULT_WIDTHS[align] if bin_width is None else bin_width
    columns = [_bins(spectrum, align, width) for spectrum in spectra]
    numbers: dict[object, int] = {}
    places = [
        np.array([numbers.setdefault(key, len(numbers)) for key in column], dtype=np.int64)
        for column in columns
    ]
    p, q = (
        _gather(spectrum, of, at, len(numbers))
        for spectrum, at in zip(spectra, places, strict=True)
    )
    return Divergence(
        _relative_entropy(p, q),
        _relative_entropy(q, p),
        _jensen_shannon_distance(p.values, q.values),
        _earth_movers_distance(spectra, of, align),
    )


def _bins(spectrum: Spectrum, align: Align | None, width: float) -> list[object]:
    """The bin of every level. Those of aligned spectra begin at the largest level, downwards."""
    bins: npt.NDArray[Any]
    if width == 0:
        return _level_keys(spectrum, align)
    if align is None:
        # The exponent of a count is its bin of width 1, without any rounding.
        bins = spectrum.exponents if width == 1 else np.floor(spectrum.log2_counts / width)
    elif align == "shift" and width == 1:
        # So is that of its distance from the largest, less 1 if the mantissa has to borrow.
        borrows = spectrum.mantissas > spectrum.mantissas[-1]
        bins = spectrum.exponents[-1] - spectrum.exponents - borrows
    else:
        places = _places(spectrum, align)
        bins = np.floor((places[-1] - places) / width)
    return list(bins.tolist())


def _level_keys(spectrum: Spectrum, align: Align | None) -> list[object]:
    """A key for every level, equal where counts are, or their ratios to the largest."""
    if spectrum.is_exact:
        from fractions import Fraction  # Only needed here, and not quick to import.

        counts = spectrum.counts
        return [Fraction(one, counts[-1]) for one in counts] if align else list(counts)
    exponents, mantissas = spectrum.exponents, spectrum.mantissas
    if align:
        halves, carries = np.frexp(mantissas / mantissas[-1])
        exponents, mantissas = exponents - exponents[-1] + carries, halves
    return list(zip(exponents.tolist(), mantissas.tolist(), strict=True))


def _places(spectrum: Spectrum, align: Align | None) -> Floats:
    """Where the levels are between which contexts are moved; the largest is the last."""
    if align is None:
        return spectrum.log2_counts
    if align == "shift":
        mantissas = spectrum.mantissas / spectrum.mantissas[-1]
        return scaled_log2(mantissas, spectrum.exponents - spectrum.exponents[-1])
    largest = spectrum.log2_counts[-1]
    return spectrum.log2_counts / largest if largest else np.ones(len(spectrum))


def _gather(spectrum: Spectrum, of: Drawn, bins: Integers, number: int) -> Masses:
    """The probability of every bin, the largest level of each at full precision."""
    weights = spectrum.degeneracies.astype(np.float64)
    exponents = np.zeros(len(weights), dtype=np.int64)
    if of == "contexts":
        weights, exponents = weights * spectrum.mantissas, spectrum.exponents
    base = np.full(number, np.iinfo(np.int64).min // 2)
    np.maximum.at(base, bins, exponents)
    masses = np.bincount(bins, _scale(weights, exponents - base[bins]), number)
    top = int(exponents.max())
    total = math.fsum(_scale(weights, exponents - top))
    return Masses(np.asarray(masses / total, dtype=np.float64), base - top)


def _scale(weights: Floats, exponents: Integers) -> Floats:
    """``weights * 2**exponents`` for exponents of at most 0."""
    return np.ldexp(weights, np.maximum(exponents, -2000).astype(np.int32))


def _relative_entropy(p: Masses, q: Masses) -> float:
    """``sum p log2(p / q)`` in bits."""
    reached = p.mantissas > 0
    if (q.mantissas[reached] == 0).any():
        return math.inf
    shifts = (p.exponents - q.exponents)[reached]
    within = np.clip(shifts, -LARGEST_SHIFT, LARGEST_SHIFT)
    ratios = np.ldexp(p.mantissas[reached] / q.mantissas[reached], within.astype(np.int32))
    logarithms = np.log(ratios) + math.log(2) * (shifts - within)
    a, b = p.values, q.values
    # Together with sum (q - p) = 0, every term is at least 0 and small where p is close to q.
    terms = a[reached] * logarithms + (b[reached] - a[reached])
    beyond = math.fsum(b[~reached])
    return max(math.fsum(terms) + beyond, 0.0) / math.log(2)


def _jensen_shannon_distance(p: Floats, q: Floats) -> float:
    """``sqrt((D(p || m) + D(q || m)) / 2)`` in bits, with ``m = (p + q) / 2``.

    With ``x = (p - q) / (p + q)``, what a bin adds is ``(p + q) / 4`` times ``(1 + x) ln(1 + x) +
    (1 - x) ln(1 - x)``, which is ``2 x artanh(x) + ln(1 - x**2)``: of the order of ``x**2`` and
    precise, even where p and q hardly differ.
    """
    both = p + q
    reached = both > 0
    both, x = both[reached], ((p - q)[reached] / both[reached])
    inner = np.minimum(np.abs(x), 0.5)
    outer = np.maximum(np.abs(x), 0.5)
    near = (2 * inner * np.arctanh(inner) + np.log1p(-(inner**2))) / math.log(2)
    rest = np.minimum(p, q)[reached] * 2 / both  # 1 - x, without its cancellation
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (1 + outer) * np.log2(1 + outer) + np.where(rest > 0, rest * np.log2(rest), 0.0)
    bits = math.fsum(both / 2 * np.where(np.abs(x) < 0.5, near, far)) / math.fsum(both)
    return math.sqrt(min(bits, 1.0))


def _earth_movers_distance(
    spectra: tuple[Spectrum, Spectrum], of: Drawn, align: Align | None
) -> float:
    """The area between the cumulative distributions over the places of levels."""
    alone = [_gather(one, of, np.arange(len(one)), len(one)).values for one in spectra]
    places = np.concatenate([_places(spectrum, align) for spectrum in spectra])
    masses = np.concatenate([alone[0], -alone[1]])
    order = np.argsort(places, kind="stable")
    above = np.abs(np.cumsum(masses[order]))[:-1]
    above[above < NOISE] = 0.0
    return math.fsum(above * np.diff(places[order]))
