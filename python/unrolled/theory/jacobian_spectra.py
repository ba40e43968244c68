"""The spectrum of the input-output Jacobian of deep networks with random weights.

With J the Jacobian of a chain of equally wide layers, what is computed are moments, largest
eigenvalue and density of ``J J^T``. Laws of single matrices are in `spectral_laws`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from unrolled._support.arguments import checked_number
from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory import series
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.arguments import checked_count
from unrolled.theory.critical_points import CriticalPoint, critical_point
from unrolled.theory.free_probability import follow
from unrolled.theory.layers import evaluation_order, links_by_target
from unrolled.theory.mean_fields import MeanField
from unrolled.theory.mean_squares import NEAR_ONE
from unrolled.theory.results import TheoryResult, figure_of, panel
from unrolled.theory.spectral_laws import ComplexArray, SpectralLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Isometry", "JacobianSpectrum", "isometry", "jacobian_spectrum"]

Array = NDArray[np.float64]
Ensemble = Literal["gaussian", "orthogonal"]
SlopeLaw = tuple[Sequence[Any], Sequence[Any]]

NODES_PER_DEVIATION = 64
"""What is summed over the law of the derivative has poles beside the real axis. An even grid, the
trapezoid rule, is exact for analytic functions up to ``exp(-2 pi distance nodes)``."""

LARGEST_BLOCK = 16_384
"""Numbers that a sum over the law of the derivative handles at once: as many as a cache holds."""


@dataclass(frozen=True, eq=False)
class JacobianSpectrum(SpectralLaw):
    """The law of the eigenvalues of ``J J^T``. What `jacobian_spectrum` returns.

    Attributes
    ----------
    name : str
        Of the activation.
    depth : int
        Number of layers, each of weights and an activation.
    ensemble : {"gaussian", "orthogonal"}
    sigma_w2 : float
    q : float or None
        Mean square of the pre-activations.
    values, probabilities : ndarray
        The law of the squared derivative of the activation.
    """

    name: str
    depth: int
    ensemble: Ensemble
    sigma_w2: float
    q: float | None
    values: Array = field(repr=False)
    probabilities: Array = field(repr=False)
    exact: SlopeLaw | None = field(default=None, repr=False)
    note: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        """Activation, depth and ensemble."""
        return (
            f"Spectrum of J J^T: {self.name}, {self.depth} {self.ensemble} "
            f"layer{'s' if self.depth > 1 else ''}, sigma_w2 {float(self.sigma_w2):g}"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """Edges, atom, moments, variance and condition."""
        figures = [("variance", self.variance), ("largest over mean", self.condition)]
        return [
            *super().rows,
            *({"quantity": name, "value": float(value)} for name, value in figures),
        ]

    @property
    def assumptions(self) -> str:
        """Width, freeness and normality."""
        weights = {
            "gaussian": "independent normal weights of variance sigma_w2 / width",
            "orthogonal": "weights sigma_w times random orthogonal matrices",
        }[self.ensemble]
        notes = [
            "infinite and equal widths",
            weights,
            "derivatives of the activation independent of the weights (true at infinite width)",
            "every layer at the fixed point of mean field",
        ]
        return "; ".join([*notes, self.note] if self.note else notes)

    def slope_moments(self, order: int) -> list[Any]:
        """``E f'^(2k)`` for k = 1, ..., order."""
        if self.exact is not None:
            values, probabilities = self.exact
            pairs = list(zip(values, probabilities, strict=True))
            return [sum(p * v**k for v, p in pairs) for k in range(1, order + 1)]
        powers = range(1, order + 1)
        return [float(self.probabilities @ self.values**k) for k in powers]

    def moments(self, order: int) -> tuple[float, ...]:
        """By Lagrange inversion from ``S = (S_D S_W)^depth``; exact for fractions.

        Pennington, Schoenholz and Ganguli, Resurrecting the sigmoid (2017), equations 15 to 20.
        """
        slopes = self.slope_moments(order)
        if self.ensemble == "gaussian":
            weights = [(-1) ** k for k in range(order)]  # 1 / (1 + w)
        else:
            weights = [1] + [0] * (order - 1)
        layer = series.product(series.s_series_of_moments(slopes), weights)
        unscaled = series.moments_of_s_series(series.power(layer, self.depth))
        factor = self.sigma_w2**self.depth
        return tuple(one * factor**k for k, one in enumerate(unscaled, 1))

    @property
    def variance(self) -> float:
        """Of the eigenvalues; ``depth (mu_2 / mu_1^2 - 1 - s_1)`` times the squared mean."""
        first, second = self.moments(2)
        return second - first**2

    @property
    def condition(self) -> float:
        """The largest eigenvalue over the mean: what the most stretched direction gets.

        The least eigenvalue is zero or close to it unless the derivative is bounded below and
        weights are orthogonal, so that the usual condition number is infinite.
        """
        return self.lambda_max / float(self.moments(1)[0])

    @property
    def lambda_max(self) -> float:
        """The largest eigenvalue."""
        return self.edges[1]

    @property
    def atom(self) -> float:
        """``P(f' = 0)``, whatever the depth, as the factors are free and square."""
        return float(self.probabilities[self.values == 0].sum())

    @cached_property
    def edges(self) -> tuple[float, float]:
        """Where ``z(y)`` turns, for real y above and below the squared derivatives."""
        minimize = import_optional("scipy.optimize", "theory").minimize_scalar
        top, bottom = float(self.values.max()), float(self.values.min())

        def place(y: float) -> float:
            return float(np.exp(self._log_place(np.array([y + 0j]))[0][0].real))

        above = minimize(
            lambda t: place(top * (1 + math.exp(t))),
            bounds=(-30.0, 12.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        largest = float(above.fun)
        if self.ensemble == "orthogonal":
            # Where the mean of 1 / (top - f'^2) diverges, z falls from this limit, or rises.
            largest = min(largest, (float(self.sigma_w2) * top) ** self.depth)
        if self.ensemble == "gaussian" or bottom <= 1e-9 * top:
            return 0.0, largest
        below = minimize(
            lambda t: -place(bottom / (1 + math.exp(t))),
            bounds=(-30.0, 12.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return max(-float(below.fun), (float(self.sigma_w2) * bottom) ** self.depth), largest

    def _slope_transform(self, y: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """``M(y) = E f'^2 / (y - f'^2)`` and its derivative."""
        value, slope = np.empty_like(y), np.empty_like(y)
        weights = self.values * self.probabilities
        size = max(1, LARGEST_BLOCK // len(self.values))
        for start in range(0, len(y), size):
            block = slice(start, start + size)
            # Sums instead of products of matrices, whose threads only wait for each other here.
            inverse = 1 / (y[block, None] - self.values)
            terms = inverse * weights
            value[block] = terms.sum(axis=1)
            slope[block] = -(terms * inverse).sum(axis=1)
        return value, slope

    def _log_place(self, y: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """``ln z(y)`` and its derivative by ``ln y``.

        ``z = (1 + M)/M (sigma_w2 M y)^depth`` for Gaussian weights; for orthogonal ones M y is
        divided by 1 + M. On a path in the upper half-plane no logarithm jumps.
        """
        value, slope = self._slope_transform(y)
        outer = 1 if self.ensemble == "gaussian" else 1 - self.depth
        inner = self.depth - 1
        scale = self.depth * (math.log(self.sigma_w2) + np.log(y))
        place = outer * np.log(1 + value) + inner * np.log(value) + scale
        by_log = (outer / (1 + value) + inner / value) * slope * y + self.depth
        return place, by_log

    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        if self.depth == 1 and self.ensemble == "orthogonal":
            raise TheoryDomainError(
                "with one orthogonal layer J J^T has the law of sigma_w2 f'^2 itself, which may "
                "have atoms: its moments and edges are known, a density is not computed"
            )

        def equation(t: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
            place, slope = self._log_place(np.exp(t))
            return place - np.log(z), slope

        first = self.slope_moments(1)[0]
        scale = math.log(first) - self.depth * math.log(self.sigma_w2 * first)

        def guess(z: ComplexArray) -> ComplexArray:
            return np.asarray(np.log(z) + scale, dtype=np.complex128)

        y = np.exp(follow(equation, guess, z, self.lambda_max))
        value, slope = self._slope_transform(y)
        result = (1 + value) / z
        with np.errstate(divide="ignore", invalid="ignore"):  # At the edges.
            by_z = slope * y / (self._log_place(y)[1] * z)
            return result, (by_z - result) / z


def jacobian_spectrum(
    activation: ActivationLike | MeanField | CriticalPoint | SlopeLaw | Network,
    depth: int | None = None,
    *,
    ensemble: Ensemble = "gaussian",
    sigma_w2: float | None = None,
    q: float = 1.0,
) -> JacobianSpectrum:
    """Singular values, squared, of the Jacobian of a deep random network.

    Parameters
    ----------
    activation : str, Activation, callable, MeanField, CriticalPoint, pair of sequences, or Network
        A mean field or a critical point brings `sigma_w2` and `q`. A pair is the law of the
        squared derivative: values and probabilities, which may be fractions. A network is a chain
        of dense layers of one width, each followed by the same activation; it brings its depth.
    depth : int
        Number of layers, each of weights and an activation, positive. Not of a network.
    ensemble : {"gaussian", "orthogonal"}
        How the weights are drawn.
    sigma_w2 : float, optional
        Variance of weights times fan-in. By default ``1 / E f'^2``, so that the mean is one.
    q : float
        Mean square of the pre-activations; no matter for functions such as ReLU.

    Returns
    -------
    JacobianSpectrum

    Raises
    ------
    TheoryDomainError
        A number out of range, a law that is none, or a network that is no such chain.
    InvalidArgumentError
        An unknown ensemble, `sigma_w2` beside a mean field, or `depth` beside a network.

    Notes
    -----
    Pennington, Schoenholz and Ganguli, Resurrecting the sigmoid in deep learning through dynamical
    isometry (2017), and The emergence of spectral universality in deep networks (2018). Instead of
    inverting transforms, the curve ``y -> z(y)`` with ``M(y) = E f'^2 / (y - f'^2)`` is followed.

    Examples
    --------
    >>> relu = jacobian_spectrum("relu", 4, ensemble="orthogonal")
    >>> [round(moment, 9) for moment in relu.moments(4)], round(relu.lambda_max, 9), relu.atom
    ([1.0, 5.0, 31.0, 213.0], 9.481481481, 0.5)
    """
    if ensemble not in ("gaussian", "orthogonal"):
        raise InvalidArgumentError(
            f"ensemble is 'gaussian' or 'orthogonal', got {described(ensemble)}"
        )
    if isinstance(activation, Network):
        if depth is not None:
            raise InvalidArgumentError("a network has its own depth: leave it out")
        activation, depth = _chain(activation)
    depth = checked_count(depth, "depth, the number of layers,")
    at: float | None = None
    exact: SlopeLaw | None = None
    if isinstance(activation, tuple):
        exact, name, note = activation, "given derivatives", ""
        values, probabilities = _checked_law(activation)
    else:
        if isinstance(activation, (MeanField, CriticalPoint)):
            if sigma_w2 is not None:
                raise InvalidArgumentError("a mean field has its own sigma_w2: leave it out")
            sigma_w2, q = activation.sigma_w2, activation.q
            activation = activation.activation
        function = as_activation(activation)
        at = checked_number("q", q)
        if not (at >= 0 and math.isfinite(at)):
            raise TheoryDomainError(f"the mean square q must not be negative, got {described(q)}")
        name, note = function.name, function.note
        values, probabilities = _slope_law(function, at)
    if sigma_w2 is None:
        pairs = zip(*exact, strict=True) if exact else zip(values, probabilities, strict=True)
        mean: Any = sum(probability * value for value, probability in pairs)
        sigma_w2 = 1 / mean if exact else float(1 / mean)
    if not 0 < checked_number("sigma_w2", sigma_w2) < math.inf:
        raise TheoryDomainError(f"sigma_w2 must be positive, got {described(sigma_w2)}")
    return JacobianSpectrum(name, depth, ensemble, sigma_w2, at, values, probabilities, exact, note)


@dataclass(frozen=True)
class Isometry(TheoryResult):
    """Whether all singular values of a deep Jacobian can stay near one. See `isometry`.

    Attributes
    ----------
    activation : Activation
    ensemble : {"gaussian", "orthogonal"}
    is_possible : bool
        Whether the variance of ``J J^T`` can stay bounded as the depth grows.
    q : tuple of float
        Mean squares that were tried, down to small ones.
    excess : tuple of float
        ``mu_2 / mu_1^2 - 1 - s_1`` at each q: what a layer adds to the variance.
    points : tuple of CriticalPoint or None
        The critical point with each q; None where there is none.
    order : float or None
        The power of q with which `excess` vanishes.
    """

    activation: Activation
    ensemble: Ensemble
    is_possible: bool
    q: tuple[float, ...]
    excess: tuple[float, ...]
    points: tuple[CriticalPoint | None, ...]
    order: float | None

    @property
    def title(self) -> str:
        """The answer."""
        answer = "can" if self.is_possible else "cannot"
        return (
            f"{self.activation.name} with {self.ensemble} weights {answer} keep singular values "
            "near one at any depth"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a mean square."""
        return [
            {
                "q": q,
                "variance a layer": excess,
                "layers to variance 1": 1 / excess if excess > 0 else math.inf,
                "sigma_w2": None if point is None else point.sigma_w2,
                "sigma_b2": None if point is None else point.sigma_b2,
                "q is stable": point is not None and point.chi_q <= 1 + NEAR_ONE,
            }
            for q, excess, point in zip(self.q, self.excess, self.points, strict=True)
        ]

    @property
    def assumptions(self) -> str:
        """What is varied, and how."""
        notes = ["infinite and equal widths, chi_1 = 1 at each q"]
        if self.is_possible and self.order:
            notes.append(f"the variance stays bounded if depth times q^{self.order:g} does")
        return "; ".join([*notes, self.activation.note] if self.activation.note else notes)

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """What a layer adds to the variance, against the mean square.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            axes.plot(self.q, np.maximum(self.excess, 1e-16), "o-", color=COLOR, markersize=3)
            axes.axhline(1.0, color=SECOND_COLOR, linestyle="--", linewidth=0.9)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set(
                title=self.title,
                xlabel="mean square of pre-activations, q",
                ylabel="variance of $J J^T$ a layer",
            )
        return figure_of(axes), axes


def isometry(activation: ActivationLike, ensemble: Ensemble = "orthogonal") -> Isometry:
    """Whether a deep network can be drawn so that its Jacobian nearly keeps all lengths.

    Gaussian weights add one to the variance of ``J J^T`` a layer, whatever the activation. With
    orthogonal ones it takes an activation that is straight at the origin, and a small mean square
    that is a stable fixed point of lengths; GELU, for one, has only unstable ones.

    Parameters
    ----------
    activation : str, Activation or callable
    ensemble : {"gaussian", "orthogonal"}

    Returns
    -------
    Isometry

    Raises
    ------
    InvalidArgumentError
        An unknown ensemble.

    Notes
    -----
    Pennington, Schoenholz and Ganguli (2018).

    Examples
    --------
    >>> isometry("tanh").is_possible, isometry("relu").is_possible
    (True, False)
    """
    activation = as_activation(activation)
    squares = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    spectra = [jacobian_spectrum(activation, 1, ensemble=ensemble, q=q) for q in squares]
    excess = tuple(max(0.0, float(one.variance)) for one in spectra)
    points: list[CriticalPoint | None] = []
    for q in squares:
        try:
            points.append(critical_point(activation, q=q))
        except TheoryDomainError:  # It would need biases of negative variance.
            points.append(None)
    smallest = points[0]
    is_reachable = smallest is not None and smallest.chi_q <= 1 + NEAR_ONE
    order = None
    if excess[1] > 1e-13 and excess[0] < excess[2]:
        order = round(2 * math.log10(excess[2] / excess[1])) / 2 or None
    vanishes = excess[0] < 1e-12 or order is not None
    return Isometry(
        activation, ensemble, is_reachable and vanishes, squares, excess, tuple(points), order
    )


def _chain(network: Network) -> tuple[Activation, int]:
    """The activation and the number of layers of a chain of equal widths."""
    into = links_by_target(network)
    kernels = {link.target.id: link.source.size for link in network.links if link.role == "kernel"}
    functions: list[str] = []
    is_weighted, width = False, 0

    def refusal(reason: str) -> TheoryDomainError:
        return TheoryDomainError(
            f"a spectrum is of chains of dense layers of one width, each followed by one and the "
            f"same activation; in network '{network.name}' {reason}"
        )

    for tensor in evaluation_order(network, into):
        operation = network.operation(tensor)
        if operation is None:
            width = width or tensor.size
            if tensor.size != width:
                raise refusal("there are several inputs")
            continue
        links = into[tensor.id]
        if tensor.size != width or len(links) != 1:
            raise refusal(f"'{tensor.name}' has {tensor.size} elements, the input has {width}")
        if operation.kind == "affine" and not is_weighted and kernels[tensor.id] == width**2:
            is_weighted = True
        elif operation.kind == "function" and is_weighted:
            is_weighted = False
            functions.append(operation.function or "")
        else:
            raise refusal(f"'{tensor.name}' is of kind {operation.kind}")
    if is_weighted or not functions:
        raise refusal("no activation follows the last layer")
    if len(set(functions)) > 1:
        raise refusal(f"activations differ: {', '.join(dict.fromkeys(functions))}")
    return as_activation(network.functions.get(functions[0], functions[0])), len(functions)


def _checked_law(law: SlopeLaw) -> tuple[Array, Array]:
    if len(law) != 2 or len(law[0]) != len(law[1]) or not len(law[0]):
        raise TheoryDomainError(
            f"a law of squared derivatives is a pair (values, probabilities) of equal length, "
            f"got {described(law)}"
        )
    values, probabilities = (np.array([float(one) for one in part]) for part in law)
    if not (np.all(values >= 0) and np.all(probabilities >= 0) and np.any(values > 0)):
        raise TheoryDomainError("squared derivatives and probabilities are not negative")
    if abs(probabilities.sum() - 1) > 1e-9:
        raise TheoryDomainError(f"the probabilities add up to {probabilities.sum():.12g}, not to 1")
    return values, probabilities


def _slope_law(activation: Activation, q: float) -> tuple[Array, Array]:
    """The law of the squared derivative: exact if there are few slopes, else on a fine grid."""
    deviation = max(math.sqrt(q), 1e-100)
    if activation.slopes:
        special = import_optional("scipy.special", "theory")
        ends = np.array([-math.inf, *(kink / deviation for kink in activation.kinks), math.inf])
        values, probabilities = np.square(activation.slopes), np.diff(special.ndtr(ends))
    else:
        # A grid between kinks at halves of its step, so that no kink lies on a node.
        number = int(18 * NODES_PER_DEVIATION * max(1.0, min(deviation, 10.0)))
        nodes = (np.arange(number) + 0.5) / number * 18.0 - 9.0
        probabilities = np.exp(-(nodes**2) / 2)
        values = np.asarray(activation.derivative(deviation * nodes), dtype=np.float64) ** 2
        # The largest one lies between nodes. It bounds the spectrum, and weighs nothing.
        values = np.append(values, _largest_slope(activation, deviation * nodes, values))
        probabilities = np.append(probabilities, 0.0)
    distinct, places = np.unique(values, return_inverse=True)
    joined = np.bincount(places, weights=probabilities)
    return distinct, joined / joined.sum()


def _largest_slope(activation: Activation, places: Array, values: Array) -> float:
    minimize = import_optional("scipy.optimize", "theory").minimize_scalar
    best, step = float(places[np.argmax(values)]), float(places[1] - places[0])
    found = minimize(
        lambda x: -float(activation.derivative(np.array([x]))[0] ** 2),
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 1e-9 * step},
    )
    return max(float(values.max()), -float(found.fun))
