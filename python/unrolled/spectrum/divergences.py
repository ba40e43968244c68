"""`divergence`: how far the counts of two models are from each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled import models
from unrolled._support.hints import described
from unrolled.analysis.analysis import Analysis
from unrolled.counting.counts import Counts, GraphCounts, count
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.graph.graph import Graph
from unrolled.network.network import Network
from unrolled.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from unrolled.ensemble.levels import Floats

__all__ = ["Divergence", "divergence"]

Model: TypeAlias = Network | Graph | Counts | GraphCounts | Analysis | Spectrum | str
Of: TypeAlias = Literal["contexts", "parameters"]


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


def divergence(a: Model, b: Model, /, *, of: Of = "contexts", bin_width: float = 1.0) -> Divergence:
    """Relative entropy and distances between the spectra of two models.

    A context is drawn at random from all contexts of a model, and the outcome is the bin of
    ``log2 C``, C being the count of its parameter: the level of count C has the probability
    ``g C / Z``. With ``of="parameters"`` a parameter is drawn instead: ``g / N_G``. Two models
    hardly ever have the same counts, hence bins; the first is ``[0, bin_width)``.

    Parameters
    ----------
    a, b : Network, Graph, Counts, GraphCounts, Analysis, Spectrum or str
        Networks and graphs are counted exactly; a string is the name of a published model.
    of : {"contexts", "parameters"}
        What is drawn.
    bin_width : float
        In bits; 0 tells all levels apart, which exact counts allow.

    Returns
    -------
    Divergence

    Raises
    ------
    InvalidArgumentError
        Something that is no model, an unknown `of`, or a `bin_width` that is negative or not
        finite.
    NothingToCountError
        A model in which no parameter has a context.
    UnknownModelError
        A name that no published model has.

    References
    ----------
    S. Kullback, R. A. Leibler, "On information and sufficiency", Ann. Math. Stat. 22 (1951).
    D. M. Endres, J. E. Schindelin, "A new metric for probability distributions", IEEE Trans. Inf.
    Theory 49 (2003), for the Jensen-Shannon distance.

    Examples
    --------
    >>> import unrolled
    >>> same = unrolled.divergence("resnet18", unrolled.models.resnet(18))
    >>> same.relative_entropy, same.jensen_shannon_distance, same.earth_movers_distance
    (0.0, 0.0, 0.0)
    >>> near = unrolled.divergence("efficientnetv2-b0", "efficientnetv2-b1", of="parameters")
    >>> far = unrolled.divergence("efficientnetv2-b0", "efficientnetv2-l", of="parameters")
    >>> near.earth_movers_distance < far.earth_movers_distance
    True
    """
    if of not in ("contexts", "parameters"):
        raise InvalidArgumentError(f"of must be 'contexts' or 'parameters', got {of!r}")
    if not (isinstance(bin_width, (int, float)) and 0 <= bin_width < math.inf):
        raise InvalidArgumentError(
            f"bin_width must be a number of bits of at least 0, got {described(bin_width)}"
        )
    spectra = [_spectrum(model) for model in (a, b)]
    outcomes = [_probabilities(spectrum, of) for spectrum in spectra]
    one, other = _binned(spectra, outcomes, float(bin_width))
    middle = (one + other) / 2
    halves = _relative_entropy(one, middle) + _relative_entropy(other, middle)
    return Divergence(
        _relative_entropy(one, other),
        _relative_entropy(other, one),
        math.sqrt(min(halves / 2, 1.0)),
        _earth_movers_distance(spectra, outcomes),
    )


def _spectrum(model: Model) -> Spectrum:
    if isinstance(model, str):
        model = models.build(model)
    if isinstance(model, Network):
        model = count(model)
    elif isinstance(model, Graph):
        model = count(model, nodes="parameters")
    spectrum = model.spectrum() if isinstance(model, (Counts, GraphCounts)) else model
    if isinstance(spectrum, Analysis):
        spectrum = spectrum.spectrum
    if not isinstance(spectrum, Spectrum):
        raise InvalidArgumentError(
            "divergence() takes networks, graphs, counts, analyses, spectra or names of published "
            f"models; got {described(model)}"
        )
    if not len(spectrum):
        raise NothingToCountError("an empty spectrum has no distribution: no count is above 0")
    return spectrum


def _probabilities(spectrum: Spectrum, of: Of) -> Floats:
    """Of the levels."""
    weights = spectrum.degeneracies.astype(np.float64)
    if of == "contexts":
        shifts = np.maximum(spectrum.exponents - spectrum.exponents.max(), -2000)
        weights = weights * np.ldexp(spectrum.mantissas, shifts.astype(np.int32))
    return weights / math.fsum(weights)


def _binned(spectra: list[Spectrum], outcomes: list[Floats], width: float) -> tuple[Floats, Floats]:
    """Probabilities of the bins that either has."""
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
    """Numbers that are equal where counts are."""
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
"""What is left of a difference of two sums that are equal but for rounding."""
