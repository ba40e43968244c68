"""Activation functions with what the theory asks of them: derivatives, kinks, Gaussian moments.

Functions are known by name or given as callables. What is computed from their moments is in
`mean_fields`, `kernels` and `jacobian_spectra`; how expectations are taken, in `gaussian`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.hints import described, did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.theory.gaussian import Function, expectation, pair_expectation

__all__ = ["NAMES", "Activation", "ActivationLike", "as_activation", "leaky_relu"]

Array = NDArray[np.float64]
PairFormula = Callable[[Array, Array, Array], tuple[Array, Array]]
"""Means of ``f(x) f(y)`` and ``f'(x) f'(y)`` from both variances and the covariance."""

EPSILON = float(np.finfo(np.float64).eps)

SMALLEST_VARIANCE = 1e-200
"""Stands for variance zero, where moments are limits."""

STEP = 1e-5
"""The step of central differences, in units of the argument."""

SEARCHED = 20.0
"""Kinks of callables are searched up to this argument, on either side."""

SMALLEST_JUMP = 0.005
"""Smaller jumps of a derivative are taken for smooth changes."""


@dataclass(frozen=True)
class Activation:
    """A function of one number that a layer applies to each of its elements.

    Get one with `as_activation`. Moments are means over a normal number of zero mean; at variance
    zero they are the limits.

    Attributes
    ----------
    name : str
    function, derivative : callable
        From an array to one of equal shape.
    second_derivative : callable or None
        None where the derivative jumps, so that the mean square of the second one diverges.
    kinks : tuple of float
        Where the function, or one of its first two derivatives, jumps.
    slopes : tuple of float
        Of a function that is straight between its kinks: the slopes, from left to right.
    note : str
        How derivatives were found, where they are not exact.
    """

    name: str
    function: Function = field(repr=False)
    derivative: Function = field(repr=False)
    second_derivative: Function | None = field(repr=False)
    kinks: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()
    note: str = ""
    pair_formula: PairFormula | None = field(default=None, repr=False)

    def mean(self, variance: float) -> float:
        """``E f(x)``."""
        return self._expectation(self.function, variance)

    def mean_square(self, variance: float) -> float:
        """``E f(x)^2``."""
        return self._expectation(lambda x: self.function(x) ** 2, variance)

    def mean_square_slope(self, variance: float) -> float:
        """``E f'(x)^2``."""
        return self.slope_moment(1, variance)

    def slope_moment(self, order: int, variance: float) -> float:
        """``E f'(x)^(2 order)``: the moments of the squared derivative."""
        return self._expectation(lambda x: self.derivative(x) ** (2 * order), variance)

    def mean_square_curvature(self, variance: float) -> float | None:
        """``E f''(x)^2``, or None where it diverges."""
        second = self.second_derivative
        if second is None:
            return None
        return self._expectation(lambda x: second(x) ** 2, variance)

    def mean_square_growth(self, variance: float) -> float:
        """The derivative of ``E f(x)^2`` by the variance: ``E f'^2 + E f f''``.

        Taken by Stein's lemma as ``E f^2 (z^2 - 1) / (2 variance)``, where ``z`` is the number in
        units of its deviation, so that kinks need no care.
        """
        variance = max(variance, SMALLEST_VARIANCE)
        square = self.mean_square(variance)
        moment = self._expectation(lambda x: self.function(x) ** 2 * (x**2 / variance), variance)
        return (moment - square) / (2 * variance)

    def pair_product(
        self, first_variance: ArrayLike, second_variance: ArrayLike, covariance: ArrayLike
    ) -> Array:
        """``E f(x) f(y)`` for correlated normal numbers.

        Parameters
        ----------
        first_variance, second_variance, covariance : array_like
            Of `x`, of `y` and of both; broadcast against each other.

        Returns
        -------
        ndarray
            Of the shape the arguments broadcast to. By formulas for erf and for functions that are
            straight between kinks; a double integral (some milliseconds) an entry otherwise.
        """
        given = _broadcast(first_variance, second_variance, covariance)
        if self.slopes:
            return _straight_pair(self, *given)[0]
        if self.pair_formula is not None:
            return self.pair_formula(*given)[0]
        return _each_pair(self.function, self.kinks, *given)

    def pair_slope_product(
        self, first_variance: ArrayLike, second_variance: ArrayLike, covariance: ArrayLike
    ) -> Array:
        """``E f'(x) f'(y)`` for correlated normal numbers; see `pair_product`."""
        given = _broadcast(first_variance, second_variance, covariance)
        if self.slopes:
            return _straight_pair(self, *given)[1]
        if self.pair_formula is not None:
            return self.pair_formula(*given)[1]
        return _each_pair(self.derivative, self.kinks, *given)

    def _expectation(self, function: Function, variance: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            value = expectation(function, max(variance, SMALLEST_VARIANCE), self.kinks)
        if not np.isfinite(value):
            raise TheoryDomainError(
                f"a moment of {self.name} at variance {variance:g} is {value}: the function must "
                f"be finite, and grow less than exp(x^2 / {2 * variance:g})"
            )
        return value


ActivationLike = str | Activation | Callable[[Any], Any]
"""A name, an `Activation`, or a function from an array to one of equal shape."""


def as_activation(
    activation: ActivationLike, *, kinks: Sequence[float] | None = None
) -> Activation:
    """The activation of a name or of a callable.

    Parameters
    ----------
    activation : str, Activation or callable
        A name, such as "tanh", "leaky_relu(0.2)" or "clip(0, 6)"; or a function from a float64
        array to one of equal shape. Derivatives of a function are taken by a complex step (exact)
        if it takes complex arrays, otherwise by central differences with step 1e-5.
    kinks : sequence of float, optional
        Of a callable: where it or its derivative jumps. By default jumps of the derivative
        above 0.005 are searched for in [-20, 20].

    Returns
    -------
    Activation

    Raises
    ------
    InvalidArgumentError
        An unknown name, or a callable that does not map arrays element by element.

    Examples
    --------
    >>> as_activation("relu").mean_square_slope(1.0)
    0.5
    >>> import numpy as np
    >>> as_activation(lambda x: np.clip(x, 0, 6)).kinks
    (0.0, 6.0)
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return _by_name(activation)
    if callable(activation):
        return _from_callable(activation, kinks)
    raise InvalidArgumentError(
        f"an activation is a name ({', '.join(NAMES)}) or a function of arrays, "
        f"got {described(activation)}"
    )


def leaky_relu(slope: float) -> Activation:
    """``max(x, 0) + slope min(x, 0)``."""
    return _straight(f"leaky_relu({slope:g})", (0.0,), (float(slope), 1.0))


def _prelu(slope: float) -> Activation:
    return _straight(f"prelu({slope:g})", (0.0,), (float(slope), 1.0))


def _clip(low: float, high: float) -> Activation:
    if not low < high:
        raise InvalidArgumentError(f"clip({low:g}, {high:g}) needs a lower and a larger limit")
    kinks = tuple(end for end in (low, high) if math.isfinite(end))
    slopes = ((0.0,) if math.isfinite(low) else ()) + (1.0,)
    slopes += (0.0,) if math.isfinite(high) else ()
    return _straight(f"clip({low:g}, {high:g})", kinks, slopes, min(max(0.0, low), high))


def _by_name(name: str) -> Activation:
    if name in MAKERS:
        return MAKERS[name]()
    base, _, rest = name.partition("(")
    if base in WITH_ARGUMENTS and rest.endswith(")"):
        try:
            numbers = [float(part.partition("=")[2] or part) for part in rest[:-1].split(",")]
        except ValueError:
            numbers = []
        maker, count = WITH_ARGUMENTS[base]
        if len(numbers) != count or any(map(math.isnan, numbers)):
            raise InvalidArgumentError(
                f"{base} takes {count} number{'s' if count > 1 else ''}, as in "
                f"'{base}({', '.join(['0.2', '1'][:count])})'; got {name!r}"
            )
        return maker(*numbers)
    raise InvalidArgumentError(
        f"unknown activation {name!r}{did_you_mean(name, MAKERS)} (known: {', '.join(NAMES)}; "
        "or pass the function itself)"
    )


def _straight(
    name: str, kinks: tuple[float, ...], slopes: tuple[float, ...], at_zero: float = 0.0
) -> Activation:
    """A function that is straight between kinks, from its value at zero."""
    ends, steps = np.array(kinks), np.diff(slopes)

    def raw(x: Any) -> Any:
        x = np.asarray(x, dtype=np.float64)
        bent = [step * np.maximum(x - end, 0.0) for step, end in zip(steps, ends, strict=True)]
        return sum(bent, slopes[0] * x)

    shift, heights = at_zero - raw(0.0), np.array(slopes)

    def derivative(x: Any) -> Any:
        return heights[np.searchsorted(ends, np.asarray(x, dtype=np.float64))]

    return Activation(
        name,
        lambda x: raw(x) + shift,
        derivative,
        None if kinks else np.zeros_like,
        kinks,
        slopes,
    )


def _straight_pair(
    activation: Activation, first: Array, second: Array, both: Array
) -> tuple[Array, Array]:
    """Means of products by Price's theorem: each derivative by the covariance takes one of f.

    The second derivative of the function is a sum of jumps at its kinks, so that what has to be
    integrated over the correlation, sin t, is the bivariate normal density at pairs of kinks.
    """
    scale = np.sqrt(first) * np.sqrt(second)
    correlation = both / scale
    angle = np.arcsin(correlation)
    nodes, weights = np.polynomial.legendre.leggauss(128)
    turns = angle[..., None] * (nodes + 1) / 2
    sine, cosine2 = np.sin(turns), np.cos(turns) ** 2
    steps = np.diff(activation.slopes)
    density = np.zeros(turns.shape)
    for kink, step in zip(activation.kinks, steps, strict=True):
        for other, other_step in zip(activation.kinks, steps, strict=True):
            x, y = kink / np.sqrt(first)[..., None], other / np.sqrt(second)[..., None]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                exponent = (x**2 - 2 * x * y * sine + y**2) / (2 * cosine2)
            exponent = np.where(np.isnan(exponent), 0.0, exponent)
            density += step * other_step * np.exp(-exponent)
    density *= angle[..., None] / (4 * np.pi) * weights
    jumps = np.sum(density, axis=-1)
    moved = np.sum(density * (correlation[..., None] - sine), axis=-1)
    means = [_each(activation.mean, one) for one in (first, second)]
    slopes = [
        _each(lambda v: activation._expectation(activation.derivative, v), one)
        for one in (first, second)
    ]
    straight = slopes[0] * slopes[1]
    return means[0] * means[1] + scale * (correlation * straight + moved), straight + jumps


def _broadcast(*arguments: ArrayLike) -> tuple[Array, Array, Array]:
    """Variances that are positive, and a covariance they allow."""
    first, second, both = np.broadcast_arrays(
        *(np.asarray(one, dtype=np.float64) for one in arguments)
    )
    first, second = (np.maximum(one, SMALLEST_VARIANCE) for one in (first, second))
    limit = np.sqrt(first) * np.sqrt(second)
    # Near full correlation a rounding error of the covariance costs half the digits of slopes.
    both = np.where(np.abs(both) > limit * (1 - 8 * EPSILON), np.sign(both) * limit, both)
    return first, second, both


def _each_pair(
    function: Function, kinks: tuple[float, ...], first: Array, second: Array, both: Array
) -> Array:
    """A double integral for every entry."""
    values = np.empty(both.shape)
    for at in np.ndindex(both.shape):
        correlation = float(both[at] / (np.sqrt(first[at]) * np.sqrt(second[at])))
        values[at] = pair_expectation(
            function, float(first[at]), float(second[at]), correlation, kinks
        )
    return values


def _each(function: Callable[[float], float], variances: Array) -> Array:
    """A moment for every variance of an array; equal ones are worked out once."""
    distinct, places = np.unique(variances, return_inverse=True)
    values = np.array([function(float(one)) for one in distinct])
    return values[places].reshape(variances.shape)


def _erf() -> Activation:
    """``erf(sqrt(pi) x / 2)``, of slope one at the origin."""
    special = import_optional("scipy.special", "theory")
    scale = np.sqrt(np.pi) / 2

    def formula(first: Array, second: Array, both: Array) -> tuple[Array, Array]:
        """Williams, Computing with infinite networks (NIPS 1997)."""
        wide = (1 + np.pi * first / 2) * (1 + np.pi * second / 2)
        share = np.pi / 2 * both
        value = 2 / np.pi * np.arcsin(share / np.sqrt(wide))
        return value, 1 / np.sqrt(wide - share**2)

    return Activation(
        "erf",
        lambda x: special.erf(scale * x),
        lambda x: np.exp(-((scale * x) ** 2)),
        lambda x: -np.pi / 2 * x * np.exp(-((scale * x) ** 2)),
        pair_formula=formula,
    )


def _gelu() -> Activation:
    special = import_optional("scipy.special", "theory")

    def density(x: Any) -> Any:
        return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)

    return Activation(
        "gelu",
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + x * density(x),
        lambda x: (2 - x**2) * density(x),
    )


def _tanh() -> Activation:
    return Activation(
        "tanh",
        np.tanh,
        lambda x: 1 - np.tanh(x) ** 2,
        lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    )


def _logistic(x: Any) -> Any:
    return (1 + np.tanh(np.asarray(x) / 2)) / 2


def _sigmoid() -> Activation:
    def first(x: Any) -> Any:
        return _logistic(x) * _logistic(-x)

    return Activation("sigmoid", _logistic, first, lambda x: -first(x) * np.tanh(x / 2))


def _silu() -> Activation:
    def bell(x: Any) -> Any:
        return _logistic(x) * _logistic(-x)

    return Activation(
        "silu",
        lambda x: x * _logistic(x),
        lambda x: _logistic(x) + x * bell(x),
        lambda x: bell(x) * (2 - x * np.tanh(x / 2)),
    )


def _softplus() -> Activation:
    return Activation(
        "softplus",
        lambda x: np.logaddexp(0.0, x),
        _logistic,
        lambda x: _logistic(x) * _logistic(-x),
    )


def _mish() -> Activation:
    def gate(x: Any) -> tuple[Any, Any, Any]:
        """tanh(softplus(x)) and its first two derivatives."""
        value, slope = np.tanh(np.logaddexp(0.0, x)), _logistic(x)
        first = (1 - value**2) * slope
        return value, first, -2 * value * slope * first + first * _logistic(-x)

    def first(x: Any) -> Any:
        value, slope, _ = gate(x)
        return value + x * slope

    def second(x: Any) -> Any:
        _, slope, bend = gate(x)
        return 2 * slope + x * bend

    return Activation("mish", lambda x: x * gate(x)[0], first, second)


def _elu() -> Activation:
    def falling(x: Any) -> Any:
        return np.minimum(x, 0.0)

    return Activation(
        "elu",
        lambda x: np.where(x > 0, x, np.expm1(falling(x))),
        lambda x: np.exp(falling(x)),
        lambda x: np.where(x > 0, 0.0, np.exp(falling(x))),
        kinks=(0.0,),
    )


MAKERS: dict[str, Callable[[], Activation]] = {
    "tanh": _tanh,
    "erf": _erf,
    "relu": lambda: _straight("relu", (0.0,), (0.0, 1.0)),
    "leaky_relu": lambda: leaky_relu(0.01),
    "hard_tanh": lambda: _straight("hard_tanh", (-1.0, 1.0), (0.0, 1.0, 0.0)),
    "gelu": _gelu,
    "silu": _silu,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "elu": _elu,
    "mish": _mish,
    "abs": lambda: _straight("abs", (0.0,), (-1.0, 1.0)),
    "linear": lambda: _straight("linear", (), (1.0,)),
    "identity": lambda: _straight("identity", (), (1.0,)),
    "relu6": lambda: _straight("relu6", (0.0, 6.0), (0.0, 1.0, 0.0)),
    "hard_sigmoid": lambda: _straight("hard_sigmoid", (-3.0, 3.0), (0.0, 1 / 6, 0.0), 0.5),
}

WITH_ARGUMENTS: dict[str, tuple[Callable[..., Activation], int]] = {
    "leaky_relu": (leaky_relu, 1),
    "prelu": (_prelu, 1),
    "clip": (_clip, 2),
}
"""Functions with numbers in their names, such as "leaky_relu(0.2)" or "clip(0, 6)"."""

NAMES = tuple(MAKERS)
"""Activations that are known by name alone."""


def _from_callable(function: Function, kinks: Sequence[float] | None) -> Activation:
    """Derivatives and kinks of a function of which nothing else is known."""
    probes = np.array([-2.4, -1.3, -0.41, 0.37, 1.1, 2.2])
    name = getattr(function, "__name__", type(function).__name__)
    values = np.asarray(function(probes))
    if values.shape != probes.shape or not np.all(np.isfinite(values)):
        raise InvalidArgumentError(
            f"the activation {name} must map a float64 array to finite numbers of equal shape; "
            f"for shape {probes.shape} it gave {described(values)}; wrap a function of single "
            "numbers in numpy.vectorize"
        )

    def by_differences(x: Any) -> Any:
        return (function(x + STEP) - function(x - STEP)) / (2 * STEP)

    def by_complex_step(x: Any) -> Any:
        return np.imag(function(x + 1e-30j)) / 1e-30

    derivative, note = by_differences, f"derivatives by central differences, step {STEP:g}"
    if _agree(by_complex_step, by_differences, probes):
        derivative, note = by_complex_step, "derivatives by a complex step"
    places = tuple(sorted(_jumps(derivative) if kinks is None else map(float, kinks)))
    bends = any(_change(derivative, at - 4 * STEP, at + 4 * STEP) > SMALLEST_JUMP for at in places)
    # A wider step than that of the first derivative, which has errors of its own.
    wide = 1e-3 if derivative is by_complex_step else 1e-2

    def second(x: Any) -> Any:
        near = (derivative(x + wide) - derivative(x - wide)) / (2 * wide)
        far = (derivative(x + 2 * wide) - derivative(x - 2 * wide)) / (4 * wide)
        return (4 * near - far) / 3

    return Activation(name, function, derivative, None if bends else second, places, note=note)


def _agree(derivative: Function, reference: Function, probes: Array) -> bool:
    """Whether a function takes complex numbers, and is analytic where it does."""
    try:
        # Functions of real numbers may drop the imaginary part with a warning.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            difference = derivative(probes) - reference(probes)
    except (TypeError, ValueError):
        return False
    return bool(np.all(np.abs(difference) <= 1e-6 * (1 + np.abs(reference(probes)))))


def _jumps(derivative: Function) -> list[float]:
    """Where a derivative jumps, from left to right."""
    # The grid is off the round numbers where kinks lie.
    grid = np.linspace(-SEARCHED, SEARCHED, 40001) + 1.234e-4
    changes = np.abs(np.diff(derivative(grid)))
    # A jump stands out from what changes two intervals further on either side.
    nearby = np.maximum(np.roll(changes, 2), np.roll(changes, -2))
    steep = np.flatnonzero(changes > np.maximum(SMALLEST_JUMP, 2 * nearby))
    places = (_jump_within(derivative, float(grid[at]), float(grid[at + 1])) for at in steep)
    return [place for place in places if place is not None]


def _jump_within(derivative: Function, left: float, right: float) -> float | None:
    """Where in an interval a derivative jumps; None if it only changes quickly.

    The interval is halved, keeping the half that changes more, until a smooth change would have
    become small.
    """
    change, is_jump = _change(derivative, left, right), False
    while right - left > 1e-13 * (1 + abs(right)):
        if right - left < 8 * STEP and not is_jump:
            is_jump = _change(derivative, left, right) > max(SMALLEST_JUMP, change / 2)
            if not is_jump:
                return None
        middle = (left + right) / 2
        low, center, high = derivative(np.array([left, middle, right]))
        left, right = (left, middle) if abs(center - low) > abs(high - center) else (middle, right)
    # Differences blur the place by their step: then the shortest number nearby is meant.
    for digits in range(1, 10):
        rounded = round(right, digits)
        if abs(rounded - right) < STEP:
            return rounded + 0.0
    return right


def _change(derivative: Function, left: float, right: float) -> float:
    low, high = derivative(np.array([left, right]))
    return float(abs(high - low))
