"""`divergence`: how far the counts of two models are from each other.

The mathematics is in `unrolled.spectrum.divergences`.
"""

from __future__ import annotations

import math
from typing import Any

from unrolled._support.hints import described
from unrolled.analysis.analysis import Analysis
from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.graph.graph import Graph
from unrolled.importers.door import Door
from unrolled.sources.resolution import resolve
from unrolled.spectrum.divergences import Divergence, Drawn, divergence_of_spectra
from unrolled.spectrum.spectrum import Spectrum

__all__ = ["divergence"]

DIVERGENCE = Door("divergence")


def divergence(a: Any, b: Any, /, *, of: Drawn = "contexts", bin_width: float = 1.0) -> Divergence:
    """Relative entropy and distances between the spectra of two models.

    A context is drawn at random from all contexts of a model, and the outcome is the bin of
    ``log2 C``, C being the count of its parameter: the level of count C has the probability
    ``g C / Z``. With ``of="parameters"`` a parameter is drawn instead: ``g / N_G``. Two models
    hardly ever have the same counts, hence bins; the first is ``[0, bin_width)``.

    Parameters
    ----------
    a, b
        Anything that `analyze` takes, an `Analysis` or a `Spectrum`. Networks and graphs are
        counted exactly.
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
    return divergence_of_spectra(
        _spectrum_of(a), _spectrum_of(b), of=of, bin_width=float(bin_width)
    )


def _spectrum_of(model: Any) -> Spectrum:
    """The spectrum of whatever was given; models are counted exactly."""
    if isinstance(model, Spectrum):
        spectrum = model
    elif isinstance(model, Analysis):
        spectrum = model.spectrum
    else:
        source = resolve(model, door=DIVERGENCE)
        if isinstance(source, (Counts, GraphCounts)):
            spectrum = source.spectrum()
        elif isinstance(source, Graph):
            spectrum = count(source, nodes="parameters").spectrum()
        else:
            spectrum = count(source).spectrum()
    if not len(spectrum):
        raise NothingToCountError("an empty spectrum has no distribution: no count is above 0")
    return spectrum
