"""`divergence`: how far the counts of two models are from each other.

The mathematics is in `unrolled.spectrum.divergences`.
"""

from __future__ import annotations

import math
from typing import Any, get_args

from unrolled._support.arguments import checked_choice, checked_number
from unrolled.analysis.analysis import Analysis
from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.graph.graph import Graph
from unrolled.importers.door import Door
from unrolled.sources.resolution import resolve
from unrolled.spectrum.divergences import Align, Divergence, Drawn, divergence_of_spectra
from unrolled.spectrum.spectrum import Spectrum

__all__ = ["divergence"]

DIVERGENCE = Door("divergence")


def divergence(
    a: Any,
    b: Any,
    /,
    *,
    of: Drawn = "contexts",
    align: Align | None = None,
    bin_width: float | None = None,
) -> Divergence:
    """Relative entropy and distances between the spectra of two models.

    A context is drawn at random from all contexts of a model, and the outcome is the bin of
    ``log2 C``, C being the count of its parameter: the level of count C has the probability
    ``g C / Z``. With ``of="parameters"`` a parameter is drawn instead: ``g / N_G``. Two models
    hardly ever have the same counts, hence bins; the first is ``[0, bin_width)``.

    The largest counts of two models often differ by hundreds of bits, so that no bin is in both:
    relative entropies are then infinite and the Jensen-Shannon distance is 1, whatever the models.
    Their earth mover's distance still says how far apart they are. To compare the shapes of two
    spectra, align them first:

    - ``align="shift"``: of ``log2(C / C_max)``, the distance from the largest count. Contexts
      gather within a few bits of it, so this is the form for ``of="contexts"``.
    - ``align="scale"``: of ``log2 C / log2 C_max``, from 0 for a single context to 1 for the
      largest count. Parameters lie all along the depth, so this is the form for
      ``of="parameters"`` of models of different depths.

    Parameters
    ----------
    a, b
        Anything that `analyze` takes, an `Analysis` or a `Spectrum`. Networks and graphs are
        counted exactly.
    of : {"contexts", "parameters"}
        What is drawn.
    align : {"shift", "scale"}, optional
        Bring the largest counts of both together, from which bins then begin; by default counts
        are compared as they are.
    bin_width : float, optional
        In bits, 1 by default; with ``align="scale"`` in parts of the largest logarithm, 1/32 by
        default. 0 tells all levels apart, which exact counts allow, but not with
        ``align="scale"``, whose ratios are rounded.

    Returns
    -------
    Divergence

    Raises
    ------
    InvalidArgumentError
        Something that is no model, an unknown `of` or `align`, or a `bin_width` that is negative
        or not finite, or 0 together with ``align="scale"``.
    NothingToCountError
        A model in which no parameter has a context.
    UnknownModelError
        A name that no published model has.

    References
    ----------
    S. Kullback, R. A. Leibler, "On information and sufficiency", Ann. Math. Stat. 22 (1951).
    D. M. Endres, J. E. Schindelin, "A new metric for probability distributions", IEEE Trans. Inf.
    Theory 49 (2003), for the Jensen-Shannon distance. The alignments are our own.

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

    No bin is in both of these, unless they are aligned:

    >>> unrolled.divergence("resnet18", "resnet34").jensen_shannon_distance
    1.0
    >>> unrolled.divergence("resnet18", "resnet34", align="shift").jensen_shannon_distance < 0.5
    True
    """
    checked_choice("of", of, get_args(Drawn))
    if align is not None:
        checked_choice("align", align, get_args(Align))
    if bin_width is not None:
        bin_width = checked_number("bin_width", bin_width)
        if not 0 <= bin_width < math.inf:
            raise InvalidArgumentError(
                f"bin_width must be a finite number of at least 0, got {bin_width}"
            )
        if bin_width == 0 and align == "scale":
            raise InvalidArgumentError(
                "bin_width must be above 0 with align='scale': ratios of logarithms are rounded, "
                "and equal ones need not be found equal"
            )
    return divergence_of_spectra(
        _spectrum_of(a), _spectrum_of(b), of=of, align=align, bin_width=bin_width
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
