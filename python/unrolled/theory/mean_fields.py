"""Signals in wide random networks: lengths, correlations, curvature, and the edge of chaos.

A layer is ``h = W f(h') + b`` with weights of variance ``sigma_w2 / fan_in`` and biases of variance
``sigma_b2``. At infinite width everything follows from Gaussian moments of the activation; these
are in `activations`. Kernels of given inputs are in `kernels`, spectra in `jacobian_spectra`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import NoFixedPointError, TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CriticalLine",
    "CriticalPoint",
    "Gain",
    "LengthMap",
    "MeanField",
    "Phase",
    "c_map",
    "critical_line",
    "critical_point",
    "gain",
    "length_map",
    "mean_field",
    "q_map",
]

Array = NDArray[np.float64]
Phase = Literal["ordered", "critical", "chaotic"]

WIDE = (
    "infinite width (corrections of order 1/width), weights and biases independent and of zero "
    "mean, weights of variance sigma_w2 / fan_in"
)

NEAR_ONE = 1e-9
"""Slopes so near to one are taken for one."""

ROUNDING = 1e-13
"""Relative differences below this are no differences."""

Q_GRID = np.logspace(-12.0, 12.0, 193)
"""Mean squares between which fixed points are looked for."""


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
    activation: ActivationLike, sigma_w2: float, sigma_b2: float = 0.0, *, q0: float | None = None
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
    sigma_w2, sigma_b2 = _checked(sigma_w2, sigma_b2)
    q, fixed_points, note = _fixed_point(activation, sigma_w2, sigma_b2, q0)
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
def q_map(activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: float, /) -> float: ...
@overload
def q_map(
    activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: ArrayLike, /
) -> Array | float: ...
def q_map(
    activation: ActivationLike, sigma_w2: float, sigma_b2: float, q: ArrayLike, /
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
    sigma_w2, sigma_b2 = _checked(sigma_w2, sigma_b2)
    before = np.asarray(q, dtype=np.float64)
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
    /,
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
    sigma_w2, sigma_b2 = _checked(sigma_w2, sigma_b2)
    if q is None:
        q = _fixed_point(activation, sigma_w2, sigma_b2, None)[0]
    before = np.asarray(c, dtype=np.float64)
    if not np.all(np.abs(before) <= 1):
        raise TheoryDomainError(f"a correlation lies in [-1, 1], got c = {described(c)}")
    after = _correlated(activation, sigma_w2, sigma_b2, q, before)
    return after if before.ndim else float(after)


@dataclass(frozen=True, eq=False)
class LengthMap(TheoryResult):
    """Length and curvature of a curve of inputs, layer by layer. What `length_map` returns.

    Attributes
    ----------
    q, chi_1 : ndarray, shape (depth,)
        Mean square of the pre-activations of each layer, and the factor on squared lengths from
        it to the next one.
    metric : ndarray, shape (depth,)
        Squared speed of the curve, per element of a layer.
    curvature : ndarray, shape (depth,), or None
        Squared curvature, per length; None for functions with kinks, where it diverges.
    """

    activation: Activation
    sigma_w2: float
    sigma_b2: float
    q: Array
    chi_1: Array
    metric: Array
    curvature: Array | None

    @property
    def title(self) -> str:
        """The activation and its variances."""
        return (
            f"A circle of inputs through {self.activation.name}, sigma_w2 {self.sigma_w2:g}, "
            f"sigma_b2 {self.sigma_b2:g}"
        )

    @property
    def total_curvature(self) -> Array | None:
        """Curvature times length, over that of the circle: by how much directions turn."""
        return None if self.curvature is None else np.sqrt(self.curvature * self.metric)

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a layer."""
        total = self.total_curvature
        return [
            {
                "layer": at + 1,
                "q": float(self.q[at]),
                "chi_1": float(self.chi_1[at]),
                "squared length": float(self.metric[at]),
                "squared curvature": None if self.curvature is None else float(self.curvature[at]),
                "total curvature": None if total is None else float(total[at]),
            }
            for at in range(len(self.q))
        ]

    @property
    def assumptions(self) -> str:
        """Infinite width, and what is normalised how."""
        return f"{WIDE}; the curve begins as a circle, lengths are per element of a layer"

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Squared length, squared curvature and total curvature by depth, on a log axis.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            layers = np.arange(1, len(self.q) + 1)
            axes.plot(layers, self.metric, "o-", color=COLOR, markersize=3, label="squared length")
            total = self.total_curvature
            if self.curvature is not None and total is not None:
                axes.plot(
                    layers,
                    self.curvature,
                    "s-",
                    color="#999999",
                    markersize=3,
                    label="squared curvature",
                )
                axes.plot(
                    layers, total, "^-", color=SECOND_COLOR, markersize=3, label="total curvature"
                )
            axes.set_yscale("log")
            axes.set(title=self.title, xlabel="layer")
            axes.locator_params(axis="x", integer=True)
            axes.legend()
        return figure_of(axes), axes


def length_map(
    activation: ActivationLike,
    sigma_w2: float,
    sigma_b2: float = 0.0,
    *,
    depth: int,
    q0: float | None = None,
) -> LengthMap:
    """How long and how bent a circle of inputs becomes on its way through the layers.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_w2, sigma_b2 : float
    depth : int
        Number of layers.
    q0 : float, optional
        Mean square of the first pre-activations, by default that of the fixed point.

    Returns
    -------
    LengthMap

    Raises
    ------
    TheoryDomainError
        A variance, `q0` or `depth` out of range.
    NoFixedPointError
        No `q0` was given, and lengths grow without bound.

    Notes
    -----
    With k(t) the covariance of two points at distance t along the curve, a layer maps k to C(k),
    and the chain rule gives ``k'' -> chi_1 k''`` and ``k'''' -> chi_1 k'''' + 3 chi_2 k''^2``. So
    it holds before the fixed point is reached, too. In the chaotic phase curvature saturates, and
    length grows as the square root of ``chi_1^depth``. Poole et al. (2016), equation 8.

    Examples
    --------
    >>> curve = length_map("tanh", 4.0**2, 0.3**2, depth=12)
    >>> print(curve.curvature[-1].round(4), curve.total_curvature[-1].round())
    1.7213 533.0
    """
    activation = as_activation(activation)
    sigma_w2, sigma_b2 = _checked(sigma_w2, sigma_b2)
    if depth < 1:
        raise TheoryDomainError(f"depth is a positive number of layers, got {described(depth)}")
    q = _fixed_point(activation, sigma_w2, sigma_b2, None)[0] if q0 is None else _checked_q(q0)
    if q == 0:
        raise TheoryDomainError("a circle of radius zero has no curvature; give q0 > 0")
    squares, slopes, metric, curvature = [q], [], [q], [1 / q]
    bends = activation.second_derivative is not None
    for layer in range(depth):
        chi_1 = sigma_w2 * activation.mean_square_slope(squares[-1])
        slopes.append(chi_1)
        if layer == depth - 1:
            break
        bend = activation.mean_square_curvature(squares[-1])
        if bend is not None:
            curvature.append(3 * sigma_w2 * bend / chi_1**2 + curvature[-1] / chi_1)
        metric.append(chi_1 * metric[-1])
        if q0 is None:
            squares.append(q)
        else:
            squares.append(sigma_w2 * activation.mean_square(squares[-1]) + sigma_b2)
    return LengthMap(
        activation,
        sigma_w2,
        sigma_b2,
        np.array(squares),
        np.array(slopes),
        np.array(metric),
        np.array(curvature) if bends else None,
    )


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
    if not (q > 0 and math.isfinite(q)):
        raise TheoryDomainError(f"the mean square must be positive, got q = {described(q)}")
    square, slope = activation.mean_square(q), activation.mean_square_slope(q)
    if square == 0 or slope == 0:
        raise TheoryDomainError(f"{activation.name} is zero or constant, so it has no gain")
    return Gain(activation, float(q), 1 / square, 1 / slope)


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
        return _critical_at(activation, _checked_q(q))
    _, target = _checked(1.0, sigma_b2)
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
        points = [_critical_at(activation, one) for one in _roots(excess, Q_GRID, values)]
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
    points = tuple(critical_point(activation, sigma_b2=float(one)) for one in sigma_b2s)
    if not points:
        raise TheoryDomainError("a critical line needs at least one variance of biases")
    return CriticalLine(activation, points)


def _checked(sigma_w2: float, sigma_b2: float | None) -> tuple[float, float]:
    if not (sigma_w2 > 0 and math.isfinite(sigma_w2)):
        raise TheoryDomainError(
            f"sigma_w2, the variance of weights times fan-in, must be positive, "
            f"got {described(sigma_w2)}"
        )
    if sigma_b2 is None or not (sigma_b2 >= 0 and math.isfinite(sigma_b2)):
        raise TheoryDomainError(
            f"sigma_b2, the variance of biases, must not be negative, got {described(sigma_b2)}"
        )
    return float(sigma_w2), float(sigma_b2)


def _checked_q(q: float) -> float:
    if not (q > 0 and math.isfinite(q)):
        raise TheoryDomainError(f"a mean square must be positive, got {described(q)}")
    return float(q)


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


def _roots(function: Callable[[float], float], grid: Array, values: Array) -> list[float]:
    """Where a function changes its sign between points of a grid."""
    brentq = import_optional("scipy.optimize", "theory").brentq
    clear = np.flatnonzero(np.abs(values) > ROUNDING * grid)
    signs = np.sign(values[clear])
    crossings = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    ends = [(float(grid[clear[at]]), float(grid[clear[at + 1]])) for at in crossings]
    return [float(brentq(function, *end, xtol=1e-15 * end[0], rtol=1e-15)) for end in ends]


def _fixed_point(
    activation: Activation, sigma_w2: float, sigma_b2: float, q0: float | None
) -> tuple[float, tuple[float, ...], str]:
    """The fixed point of lengths that is reached, all of them, and a note about them."""

    def step(q: float) -> float:
        return sigma_w2 * activation.mean_square(q) + sigma_b2

    values = np.array([step(q) for q in Q_GRID]) - Q_GRID
    if np.all(np.abs(values) <= ROUNDING * Q_GRID):
        q = 1.0 if q0 is None else _checked_q(q0)
        return q, (q,), "every q is a fixed point"
    points = _roots(lambda q: step(q) - q, Q_GRID, values)
    if sigma_b2 == 0 and activation.mean_square(0.0) < 1e-100:
        points.insert(0, 0.0)
    if q0 is None:
        stable = [q for q in points if abs(sigma_w2 * activation.mean_square_growth(q)) < 1]
        if stable:
            return stable[-1], tuple(points), ""
        if points and values[-1] < 0:  # Marginal, as tanh without biases at sigma_w2 = 1.
            return points[-1], tuple(points), "the fixed point is marginal"
    elif points:
        q = _checked_q(q0)
        for _ in range(1000):
            before, q = q, min(step(q), Q_GRID[-1])
            if abs(q - before) <= 1e-12 * q:
                break
        # What is still on its way ends at the next fixed point in its direction.
        rises = step(q) > q * (1 + 1e-9)
        falls = step(q) < q * (1 - 1e-9)
        ahead = [one for one in points if not (rises and one < q) and not (falls and one > q)]
        if ahead:
            return min(ahead, key=lambda one: abs(one - q)), tuple(points), ""
    growth = float(step(Q_GRID[-1]) / Q_GRID[-1])
    raise NoFixedPointError(
        f"mean squares of {activation.name} with sigma_w2 = {sigma_w2:g}, sigma_b2 = {sigma_b2:g} "
        f"grow without bound, in the end by a factor {growth:.6g} a layer; "
        f"they have a limit for sigma_w2 below {sigma_w2 / growth:.6g}"
    )


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
