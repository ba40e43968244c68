"""Mean squares of pre-activations: where they end, and what the arguments of their maps may be.

The maps of lengths and correlations themselves are in `mean_fields`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unrolled._support.arguments import checked_number
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import NoFixedPointError, TheoryDomainError
from unrolled.theory.activations import Activation

__all__ = [
    "NEAR_ONE",
    "Q_GRID",
    "ROUNDING",
    "WIDE",
    "checked_mean_square",
    "checked_variances",
    "fixed_mean_square",
    "roots",
]

Array = NDArray[np.float64]

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


def checked_variances(sigma_w2: float, sigma_b2: float | None) -> tuple[float, float]:
    """Variances of weights and of biases that are ones."""
    weights = checked_number("sigma_w2", sigma_w2)
    biases = checked_number("sigma_b2", sigma_b2)
    if not (weights > 0 and math.isfinite(weights)):
        raise TheoryDomainError(
            f"sigma_w2, the variance of weights times fan-in, must be positive, "
            f"got {described(sigma_w2)}"
        )
    if not (biases >= 0 and math.isfinite(biases)):
        raise TheoryDomainError(
            f"sigma_b2, the variance of biases, must not be negative, got {described(sigma_b2)}"
        )
    return weights, biases


def checked_mean_square(q: float) -> float:
    """A mean square that is positive and finite."""
    number = checked_number("a mean square", q)
    if not (number > 0 and math.isfinite(number)):
        raise TheoryDomainError(f"a mean square must be positive, got {described(q)}")
    return number


def roots(function: Callable[[float], float], grid: Array, values: Array) -> list[float]:
    """Where a function changes its sign between points of a grid."""
    brentq = import_optional("scipy.optimize", "theory").brentq
    clear = np.flatnonzero(np.abs(values) > ROUNDING * grid)
    signs = np.sign(values[clear])
    crossings = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    ends = [(float(grid[clear[at]]), float(grid[clear[at + 1]])) for at in crossings]
    return [float(brentq(function, *end, xtol=1e-15 * end[0], rtol=1e-15)) for end in ends]


def fixed_mean_square(
    activation: Activation, sigma_w2: float, sigma_b2: float, q0: float | None
) -> tuple[float, tuple[float, ...], str]:
    """The fixed point of lengths that is reached, all of them, and a note about them."""

    def step(q: float) -> float:
        return sigma_w2 * activation.mean_square(q) + sigma_b2

    values = np.array([step(q) for q in Q_GRID]) - Q_GRID
    if np.all(np.abs(values) <= ROUNDING * Q_GRID):
        q = 1.0 if q0 is None else checked_mean_square(q0)
        return q, (q,), "every q is a fixed point"
    points = roots(lambda q: step(q) - q, Q_GRID, values)
    if sigma_b2 == 0 and activation.mean_square(0.0) < 1e-100:
        points.insert(0, 0.0)
    if q0 is None:
        stable = [q for q in points if abs(sigma_w2 * activation.mean_square_growth(q)) < 1]
        if stable:
            return stable[-1], tuple(points), ""
        if points and values[-1] < 0:  # Marginal, as tanh without biases at sigma_w2 = 1.
            return points[-1], tuple(points), "the fixed point is marginal"
    elif points:
        q = checked_mean_square(q0)
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
