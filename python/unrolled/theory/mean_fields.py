"""Signals in wide random networks: lengths, correlations, and how fast they reach their ends.

A layer is ``h = W f(h') + b`` with weights of variance ``sigma_w2 / fan_in`` and biases of variance
``sigma_b2``. At infinite width everything follows from Gaussian moments of the activation; these
are in `activations`. The edge between the phases is in `critical_points`, curves are in `curves`,
kernels of given inputs in `kernels`, spectra in `jacobian_spectra`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.arguments import checked_numbers
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.mean_squares import (
    NEAR_ONE,
    ROUNDING,
    WIDE,
    checked_variances,
    fixed_mean_square,
)
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MeanField", "Phase", "c_map", "mean_field", "q_map"]

Array = NDArray[np.float64]
Phase = Literal["ordered", "critical", "chaotic"]


@dataclass(frozen=True)
class MeanField(TheoryResult):
    """What a deep random network of infinite width does to lengths, angles and curves.

    Attributes
    ----------
    activation : Activation
    sigma_w2, sigma_b2 : float
    q : float
        Mean square of the pre-activations at the fixed point.
    chi_1 : float
        Factor on squared perturbations, forward, and squared gradients, backward, a layer.
    chi_2 : float or None
        ``sigma_w2 E f''^2``; None where it diverges, as for functions with kinks.
    chi_q : float
        Slope of the map of lengths at its fixed point.
    c : float or None
        The correlation that two inputs end with; None at ``q = 0``, where there is none.
    chi_c : float or None
        Slope of the map of correlations at `c`.
    xi_q, xi_c : float
        Layers over which the distance to `q` and to `c` shrinks by a factor e.
    phase : {"ordered", "critical", "chaotic"}
        Whether `chi_1` is below, at, or above one (within 1e-9).
    curvature : float or None
        The squared curvature that curves end with; only in the chaotic phase, and with `chi_2`.
    fixed_points : tuple of float
        All that were found for the mean square, whether stable or not.
    """

    activation: Activation
    sigma_w2: float
    sigma_b2: float
    q: float
    chi_1: float
    chi_2: float | None
    chi_q: float
    c: float | None
    chi_c: float | None
    xi_q: float
    xi_c: float
    phase: Phase
    curvature: float | None
    fixed_points: tuple[float, ...]
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """The activation and its phase."""
        return (
            f"Mean field of {self.activation.name}, sigma_w2 {self.sigma_w2:g}, "
            f"sigma_b2 {self.sigma_b2:g}: {self.phase}"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a quantity."""
        figures: list[tuple[str, str, object]] = [
            ("q", "mean square at the fixed point", self.q),
            ("chi_1", "factor on squared gradients a layer", self.chi_1),
            ("chi_2", "sigma_w2 E f''^2", self.chi_2),
            ("chi_q", "slope of the map of lengths", self.chi_q),
            ("xi_q", "depth scale of lengths [layers]", self.xi_q),
            ("c", "correlation two inputs end with", self.c),
            ("chi_c", "slope of the map of correlations at c", self.chi_c),
            ("xi_c", "depth scale of correlations [layers]", self.xi_c),
            ("curvature", "squared curvature curves end with", self.curvature),
            ("fixed points", "all of the map of lengths", self.fixed_points),
        ]
        return [dict(zip(("symbol", "meaning", "value"), one, strict=True)) for one in figures]

    @property
    def assumptions(self) -> str:
        """Infinite width, and what is special about this activation."""
        return "; ".join([WIDE, *self.notes])

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The map of correlations at the fixed point of lengths, with the correlation it ends at.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            c = np.concatenate([np.linspace(0.0, 0.95, 39), np.linspace(0.96, 1.0, 11)])
            after = c_map(self.activation, self.sigma_w2, self.sigma_b2, c, q=self.q)
            axes.plot(c, after, color=COLOR, label="map of correlations")
            axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--")
            if self.c is not None:
                axes.plot([self.c], [self.c], "o", color=SECOND_COLOR, label=f"c = {self.c:.4g}")
            axes.set(
                title=self.title,
                xlabel="correlation of two inputs before a layer",
                ylabel="and behind it",
            )
            axes.set_aspect("equal", adjustable="box")
            axes.legend()
        return figure_of(axes), axes


def mean_field(
    activation: ActivationLike, sigma_w2: float, sigma_b2: float = 0.0, q0: float | None = None
) -> MeanField:
    """Fixed points, slopes, depth scales and phase of deep random networks.

    Parameters
    ----------
    activation : str, Activation or callable
        See `as_activation`.
    sigma_w2 : float
        Variance of weights times fan-in, positive.
    sigma_b2 : float
        Variance of biases, not negative.
    q0 : float, optional
        Mean square of the first pre-activations: chooses the fixed point that is reached from
        there. By default the largest stable one.

    Returns
    -------
    MeanField

    Raises
    ------
    TheoryDomainError
        A variance out of range.
    NoFixedPointError
        Lengths grow without bound, as for ReLU above ``sigma_w2 = 2``.

    Notes
    -----
    Poole et al., Exponential expressivity in deep neural networks (2016), for lengths,
    correlations and curvature; Schoenholz et al., Deep information propagation (2017), for depth
    scales.

    Examples
    --------
    >>> field = mean_field("tanh", 2.5**2, 0.3**2)
    >>> field.phase, round(field.chi_1, 6), round(field.c, 6)
    ('chaotic', 1.585225, 0.122104)
    """
    activation = as_activation(activation)
    sigma_w2, sigma_b2 = checked_variances(sigma_w2, sigma_b2)
    q, fixed_points, note = fixed_mean_square(activation, sigma_w2, sigma_b2, q0)
    chi_1 = sigma_w2 * activation.mean_square_slope(q)
    bend = activation.mean_square_curvature(q)
    chi_2 = None if bend is None else sigma_w2 * bend
    chi_q = sigma_w2 * activation.mean_square_growth(q)
    phase = _phase(chi_1)
    c, chi_c = _correlation(activation, sigma_w2, sigma_b2, q, phase)
    curvature = None
    if phase == "chaotic" and chi_2 is not None:
        curvature = 3 * chi_2 / (chi_1 * (chi_1 - 1))
    if phase == "ordered":
        xi_c = _depth_scale(chi_1)
    else:
        xi_c = math.inf if phase == "critical" or chi_c is None else _depth_scale(chi_c)
    notes = [activation.note, note]
    if chi_2 is None:
        notes.append(f"the slope of {activation.name} jumps, so chi_2 and curvature diverge")
    if c is None:
        notes.append("all signals vanish (q = 0), so two inputs have no correlation in the end")
    return MeanField(
        activation,
        sigma_w2,
        sigma_b2,
        q,
        chi_1,
        chi_2,
        chi_q,
        c,
        chi_c,
        _depth_scale(chi_q),
        xi_c,
        phase,
        curvature,
        fixed_points,
        tuple(note for note in notes if note),
    )


@overload
def q_map(activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: float) -> float: ...
@overload
def q_map(
    activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: ArrayLike
) -> Array | float: ...
def q_map(
    activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: ArrayLike
) -> Array | float:
    """The mean square of pre-activations a layer further: ``sigma_w2 E f(sqrt(q) z)^2 + sigma_b2``.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_w2, sigma_b2 : float
    q : array_like
        Mean squares, not negative.

    Returns
    -------
    float or ndarray
        Of the shape of `q`.

    Raises
    ------
    TheoryDomainError
        A negative mean square, or a variance out of range.

    Examples
    --------
    >>> round(q_map("relu", 2.0, 0.0, 3.0), 12)
    3.0
    """
    activation = as_activation(activation)
    sigma_w2, sigma_b2 = checked_variances(sigma_w2, sigma_b2)
    before = checked_numbers("q", q)
    if not np.all(before >= 0):
        raise TheoryDomainError(f"a mean square is not negative, got q = {described(q)}")
    after = np.array([activation.mean_square(float(one)) for one in before.ravel()])
    result = sigma_w2 * after.reshape(before.shape) + sigma_b2
    return result if before.ndim else float(result)


def c_map(
    activation: ActivationLike,
    sigma_w2: float,
    sigma_b2: float,
    c: ArrayLike,
    *,
    q: float | None = None,
) -> Array | float:
    """The correlation of two signals of equal length a layer further.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_w2, sigma_b2 : float
    c : array_like
        Correlations, in [-1, 1].
    q : float, optional
        Mean square of both signals: by default that of the fixed point.

    Returns
    -------
    float or ndarray
        Of the shape of `c`.

    Raises
    ------
    TheoryDomainError
        A correlation outside [-1, 1], or a variance out of range.
    NoFixedPointError
        No `q` was given, and lengths grow without bound.

    Examples
    --------
    >>> import math
    >>> round(math.pi * c_map("relu", 2.0, 0.0, 0.0, q=1.0), 12)  # Cho and Saul (2009).
    1.0
    """
    activation = as_activation(activation)
    sigma_w2, sigma_b2 = checked_variances(sigma_w2, sigma_b2)
    if q is None:
        q = fixed_mean_square(activation, sigma_w2, sigma_b2, None)[0]
    before = checked_numbers("c", c)
    if not np.all(np.abs(before) <= 1):
        raise TheoryDomainError(f"a correlation lies in [-1, 1], got c = {described(c)}")
    after = _correlated(activation, sigma_w2, sigma_b2, q, before)
    return after if before.ndim else float(after)


def _phase(chi_1: float) -> Phase:
    if abs(chi_1 - 1) <= NEAR_ONE:
        return "critical"
    return "ordered" if chi_1 < 1 else "chaotic"


def _depth_scale(slope: float) -> float:
    """Layers over which what is multiplied by a slope a layer shrinks by a factor e."""
    size = abs(slope)
    if size >= 1 - NEAR_ONE:
        return math.inf
    return -1 / math.log(size) if size > 0 else 0.0


def _correlated(
    activation: Activation, sigma_w2: float, sigma_b2: float, q: float, c: Array
) -> Array:
    """The map of correlations; normalised by the length behind the layer, so that C(1) = 1."""
    q = max(q, 1e-100)
    products = activation.pair_product(q, q, c * q)
    after: Array = (sigma_w2 * products + sigma_b2) / (
        sigma_w2 * activation.mean_square(q) + sigma_b2
    )
    return after


def _correlation(
    activation: Activation, sigma_w2: float, sigma_b2: float, q: float, phase: Phase
) -> tuple[float | None, float | None]:
    """The stable fixed point of correlations and the slope there."""
    if q == 0:
        return None, None
    brentq = import_optional("scipy.optimize", "theory").brentq

    def excess(c: float) -> float:
        return float(_correlated(activation, sigma_w2, sigma_b2, q, np.asarray(c))) - c

    c = 1.0
    if phase == "chaotic":
        if abs(excess(0.0)) <= ROUNDING:
            c = 0.0
        else:
            # The map is convex, so it lies below the diagonal between its two fixed points.
            uppers = (1 - 10.0**-digits for digits in range(1, 13))
            below = next((upper for upper in uppers if excess(upper) < 0), None)
            c = 1.0 if below is None else float(brentq(excess, 0.0, below, xtol=1e-15, rtol=1e-14))
    return c, sigma_w2 * float(activation.pair_slope_product(q, q, c * q))
