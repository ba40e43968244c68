"""The edge between order and chaos, and the variances of weights that keep signals or gradients.

What happens on either side of the edge is in `mean_fields`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled._support.arguments import checked_numbers
from unrolled.errors import TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.mean_squares import (
    Q_GRID,
    ROUNDING,
    WIDE,
    checked_mean_square,
    checked_variances,
    roots,
)
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CriticalLine", "CriticalPoint", "Gain", "critical_line", "critical_point", "gain"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gain(TheoryResult):
    """Factors on the variance of weights that keep signals, or gradients. What `gain` returns.

    Attributes
    ----------
    activation : Activation
    q : float
        Mean square of the pre-activations.
    forward : float
        ``1 / E f^2``: with ``sigma_w2`` times q of it, the next layer has mean square q again.
    backward : float
        ``1 / E f'^2``: with it as ``sigma_w2``, squared gradients keep their mean.
    """

    activation: Activation
    q: float
    forward: float
    backward: float

    def __iter__(self) -> Iterator[float]:
        """The two factors, as in ``forward, backward = gain("gelu")``."""
        return iter((self.forward, self.backward))

    @property
    def title(self) -> str:
        """The activation and the mean square."""
        return f"Gains of {self.activation.name} at mean square {self.q:g}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a direction."""
        return [
            {"direction": "forward", "moment": "E f^2", "value": 1 / self.forward,
             "sigma_w2 that keeps it": self.q * self.forward},
            {"direction": "backward", "moment": "E f'^2", "value": 1 / self.backward,
             "sigma_w2 that keeps it": self.backward},
        ]  # fmt: skip

    @property
    def assumptions(self) -> str:
        """Normal pre-activations, and how derivatives were found."""
        notes = ["pre-activations normal of zero mean, no biases"]
        return "; ".join([*notes, self.activation.note] if self.activation.note else notes)

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Both variances of weights, against the mean square of the pre-activations.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            squares = np.logspace(-2, 2, 81)
            gains = [gain(self.activation, q) for q in squares]
            forward = [q * one.forward for q, one in zip(squares, gains, strict=True)]
            axes.plot(squares, forward, color=COLOR, label="keeps signals: q / E f^2")
            backward = [one.backward for one in gains]
            axes.plot(squares, backward, color=SECOND_COLOR, label="keeps gradients: 1 / E f'^2")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set(title=self.title, xlabel="mean square of pre-activations", ylabel="sigma_w2")
            axes.legend()
        return figure_of(axes), axes


def gain(activation: ActivationLike, q: float = 1.0) -> Gain:
    """Which variance of weights keeps signals, and which keeps gradients.

    The two differ unless the activation is homogeneous, as ReLU is: no variance keeps both.

    Parameters
    ----------
    activation : str, Activation or callable
    q : float
        Mean square of the pre-activations, positive.

    Returns
    -------
    Gain

    Raises
    ------
    TheoryDomainError
        A mean square that is not positive, or a function that is zero or constant.

    Notes
    -----
    He et al., Delving deep into rectifiers (2015), for ReLU.

    Examples
    --------
    >>> both = gain("gelu")
    >>> round(both.forward, 6), round(both.backward, 6)
    (2.351716, 2.1937)
    """
    activation = as_activation(activation)
    q = checked_mean_square(q)
    square, slope = activation.mean_square(q), activation.mean_square_slope(q)
    if square == 0 or slope == 0:
        raise TheoryDomainError(f"{activation.name} is zero or constant, so it has no gain")
    return Gain(activation, q, 1 / square, 1 / slope)


@dataclass(frozen=True)
class CriticalPoint(TheoryResult):
    """Variances between order and chaos: ``chi_1 = 1``. What `critical_point` returns.

    Attributes
    ----------
    activation : Activation
    sigma_w2, sigma_b2 : float
    q : float
        Mean square of the pre-activations at the fixed point.
    chi_q : float
        Slope of the map of lengths there: below one if the fixed point is stable.
    """

    activation: Activation
    sigma_w2: float
    sigma_b2: float
    q: float
    chi_q: float
    note: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        """The activation."""
        return f"Critical point of {self.activation.name}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row."""
        return [
            {
                "sigma_w2": self.sigma_w2,
                "sigma_b2": self.sigma_b2,
                "q": self.q,
                "chi_q": self.chi_q,
                "is stable": self.chi_q < 1,
            }
        ]

    @property
    def assumptions(self) -> str:
        """Infinite width."""
        return "; ".join(one for one in (WIDE, self.activation.note, self.note) if one)

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The phase diagram with this point marked.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        return CriticalLine(self.activation, (self,)).plot(axes=axes)


def critical_point(
    activation: ActivationLike, *, sigma_b2: float | None = None, q: float | None = None
) -> CriticalPoint:
    """The variance of weights at which gradients neither grow nor shrink.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_b2 : float, optional
        Variance of the biases.
    q : float, optional
        Instead: the mean square at the fixed point. Exactly one of the two is needed.

    Returns
    -------
    CriticalPoint
        Of several points of one `sigma_b2`, the one with the least `q` whose fixed point is stable,
        or the least if none is.

    Raises
    ------
    TheoryDomainError
        Both or none were given; an argument is out of range; or there is no such point, as for
        ReLU with biases.

    Examples
    --------
    >>> point = critical_point("tanh", sigma_b2=0.05)
    >>> round(point.sigma_w2, 6), round(point.q, 6)
    (1.760955, 0.570048)
    """
    activation = as_activation(activation)
    if (sigma_b2 is None) == (q is None):
        raise TheoryDomainError("give exactly one of sigma_b2 and q")
    if q is not None:
        return _critical_at(activation, checked_mean_square(q))
    _, target = checked_variances(1.0, sigma_b2)
    excess = _bias_excess(activation, target)
    values = np.array([excess(one) for one in Q_GRID])
    is_homogeneous = bool(np.all(np.abs(values + target) <= 1e-12 * Q_GRID))
    if is_homogeneous:  # Its critical points have no biases, and any q.
        if target == 0:
            point = _critical_at(activation, 1.0)
            return CriticalPoint(
                activation, point.sigma_w2, 0.0, 1.0, point.chi_q, "every q is a fixed point"
            )
    elif target == 0 and abs(activation.mean_square(0.0)) < 1e-100:
        # Signals vanish: the limit of small q, where the function is a straight line.
        sigma_w2 = 1 / activation.mean_square_slope(0.0)
        return CriticalPoint(activation, sigma_w2, 0.0, 0.0, 1.0)
    else:
        points = [_critical_at(activation, one) for one in roots(excess, Q_GRID, values)]
        if points:
            stable = [one for one in points if one.chi_q < 1]
            point = (stable or points)[0]
            return CriticalPoint(activation, point.sigma_w2, target, point.q, point.chi_q)
    raise TheoryDomainError(
        f"{activation.name} has no critical point with sigma_b2 = {target:g}"
        + ("; it has one without biases only" if is_homogeneous else "")
    )


@dataclass(frozen=True, eq=False)
class CriticalLine(TheoryResult):
    """Critical variances of weights for several of biases. What `critical_line` returns.

    Attributes
    ----------
    activation : Activation
    points : tuple of CriticalPoint
    """

    activation: Activation
    points: tuple[CriticalPoint, ...]

    @property
    def title(self) -> str:
        """The activation."""
        return f"Critical line of {self.activation.name}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a point."""
        return [row for point in self.points for row in point.rows]

    @property
    def assumptions(self) -> str:
        """Infinite width."""
        return self.points[0].assumptions

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The phase diagram: depth scale of gradients over both deviations, with the line.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            marks = np.sqrt([(one.sigma_w2, one.sigma_b2) for one in self.points]).T
            deviations = np.linspace(0.4 * marks[0].min(), 1.6 * marks[0].max(), 161)
            biases = np.linspace(0.0, 1.1 * max(marks[1].max(), 0.5), 101)
            scale = _depth_scales(self.activation, deviations, biases)
            image = axes.pcolormesh(
                deviations,
                biases,
                np.log10(np.clip(scale, 0.3, 1e3)),
                cmap="cividis",
                shading="nearest",
                rasterized=True,
            )
            axes.figure.colorbar(
                image, ax=axes, label="log10 of the layers over which\ngradients change by e"
            )
            axes.plot(*_critical_curve(self.activation, biases[-1]), color="white", linewidth=1.5)
            axes.plot(*marks, "o", color=SECOND_COLOR, markersize=2.5, clip_on=False)
            axes.text(0.06, 0.9, "ordered", transform=axes.transAxes, color="white")
            is_finite = bool(np.isfinite(scale[0, -1]))
            text, color = ("chaotic", "white") if is_finite else ("lengths diverge", "black")
            axes.text(0.94, 0.1, text, transform=axes.transAxes, color=color, ha="right")
            axes.grid(visible=False)
            axes.set(
                title=f"Phases of {self.activation.name}",
                xlabel="deviation of weights times sqrt(fan_in), sigma_w",
                ylabel="deviation of biases, sigma_b",
            )
        return figure_of(axes), axes


def critical_line(activation: ActivationLike, sigma_b2s: Sequence[float] | Array) -> CriticalLine:
    """The boundary between order and chaos.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_b2s : sequence of float
        Variances of biases.

    Returns
    -------
    CriticalLine

    Raises
    ------
    TheoryDomainError
        No variance, or one for which there is no critical point.

    Examples
    --------
    >>> print(critical_line("erf", [0.0, 0.05]).table(width=80))
    Critical line of erf
    <BLANKLINE>
    sigma_w2 sigma_b2        q   chi_q is stable
    --------------------------------------------
           1        0        0       1        no
     1.68736     0.05 0.587978 0.51986       yes
    ...
    """
    activation = as_activation(activation)
    biases = checked_numbers("sigma_b2s", sigma_b2s).ravel()
    points = tuple(critical_point(activation, sigma_b2=float(one)) for one in biases)
    if not points:
        raise TheoryDomainError("a critical line needs at least one variance of biases")
    return CriticalLine(activation, points)


def _bias_excess(activation: Activation, target: float) -> Callable[[float], float]:
    """What the biases of the critical point with a given q have more than they should have."""

    def excess(q: float) -> float:
        return q - activation.mean_square(q) / activation.mean_square_slope(q) - target

    return excess


def _critical_at(activation: Activation, q: float) -> CriticalPoint:
    sigma_w2 = 1 / activation.mean_square_slope(q)
    sigma_b2 = q - sigma_w2 * activation.mean_square(q)
    if sigma_b2 < -ROUNDING * max(q, 1.0):
        raise TheoryDomainError(
            f"{activation.name} has no critical point with q = {q:g}: biases would need the "
            f"variance {sigma_b2:g}"
        )
    chi_q = sigma_w2 * activation.mean_square_growth(q)
    return CriticalPoint(activation, sigma_w2, max(sigma_b2, 0.0), q, chi_q)


def _depth_scales(activation: Activation, deviations: Array, biases: Array) -> Array:
    """``1 / |ln chi_1|`` for every bias (rows) and every weight (columns).

    For given weights, every q is the fixed point of one variance of biases: a curve that only has
    to be read backwards, so that no equation is solved. NaN where lengths diverge.
    """
    squares = np.logspace(-6, 4, 301)
    values = np.array([activation.mean_square(float(q)) for q in squares])
    slopes = np.array([activation.mean_square_slope(float(q)) for q in squares])
    scale = np.full((len(biases), len(deviations)), np.nan)
    for at, deviation in enumerate(deviations):
        needed = squares - deviation**2 * values
        # The last point that needs no more than what is there is the largest fixed point.
        rises = np.flatnonzero(np.diff(needed) > 0)
        if not len(rises):
            continue
        last = rises[-1] + 1
        first = last
        while first > 0 and needed[first - 1] < needed[first]:
            first -= 1
        part = slice(first, last + 1)
        chi_1 = np.interp(biases**2, needed[part], deviation**2 * slopes[part], right=np.nan)
        with np.errstate(divide="ignore"):
            scale[:, at] = 1 / np.abs(np.log(chi_1))
    return scale


def _critical_curve(activation: Activation, largest_bias: float) -> tuple[Array, Array]:
    """Deviations of weights and biases with ``chi_1 = 1``, one point for every mean square."""
    squares = np.logspace(-6, 4, 301)
    weights = np.array([1 / activation.mean_square_slope(float(q)) for q in squares])
    values = np.array([activation.mean_square(float(q)) for q in squares])
    biases = squares - weights * values
    shown = (biases >= -1e-12) & (biases <= largest_bias**2)
    return np.sqrt(weights[shown]), np.sqrt(np.maximum(biases[shown], 0.0))
