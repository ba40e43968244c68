"""Expectations of functions of one normal number, and of two correlated ones.

The rules are Gauss-Legendre on panels that end where the function has a kink and that shrink to the
scale on which it varies, so that they keep their accuracy for any variance and for functions that
are smooth only piece by piece. What the functions are is the business of `activations`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Function", "expectation", "pair_expectation"]

Array = NDArray[np.float64]
Function = Callable[[Any], Any]
"""From an array to one of equal shape, element by element."""

REACH = 12.0
"""Normal numbers beyond this many standard deviations weigh less than 1e-31."""

PANELS = 16
NODES = 16
SCALES = np.array([0.0, 0.7, 1.4, 2.1, 2.8, 4.0, 6.0, 9.0, 14.0, 22.0, 35.0, 60.0, 100.0])
"""Ends of panels in units of the argument: activations vary near zero, and are flat or straight
far from it."""

TRANSITION = np.array([0.0, 1.0, 2.5, 5.0, 9.0])
"""Ends of panels around a kink that the second number has smeared out, in its own deviations."""


def expectation(function: Function, variance: float, kinks: Sequence[float] = ()) -> float:
    """The mean of ``function(x)`` for normal `x` of zero mean.

    Parameters
    ----------
    function : callable
        From an array to one of equal shape.
    variance : float
        Of `x`, positive.
    kinks : sequence of float
        Where the function or a derivative of it jumps.

    Examples
    --------
    >>> round(expectation(lambda x: x**4, 2.0), 12)
    12.0
    """
    nodes, weights = _line_rule(float(variance), tuple(kinks))
    return float(weights @ np.asarray(function(np.sqrt(variance) * nodes), dtype=np.float64))


def pair_expectation(
    function: Function,
    first_variance: float,
    second_variance: float,
    correlation: float,
    kinks: Sequence[float] = (),
) -> float:
    """The mean of ``function(x) function(y)`` for normal `x` and `y` of zero mean.

    Parameters
    ----------
    function : callable
        From an array to one of equal shape.
    first_variance, second_variance : float
        Of `x` and of `y`, positive.
    correlation : float
        Of `x` and `y`, in [-1, 1].
    kinks : sequence of float
        Where the function or a derivative of it jumps.

    Examples
    --------
    >>> round(pair_expectation(lambda x: x**2, 1.0, 1.0, 0.5), 12)
    1.5
    """
    first, second = np.sqrt(first_variance), np.sqrt(second_variance)
    spread = np.sqrt(max(0.0, (1.0 - correlation) * (1.0 + correlation)))
    if spread < 1e-9:
        sign = np.sign(correlation)
        both = np.concatenate([_ends(first, kinks), sign * _ends(second, kinks)])
        nodes, weights = _panels(np.unique(np.clip(both, -REACH, REACH)))
        return float(weights @ (function(first * nodes) * function(sign * second * nodes)))
    ends = _ends(first, kinks)
    moved = np.array([*kinks, *(-SCALES), *SCALES]) / second
    if correlation != 0.0:
        # Behind the second number a kink of it is a step of finite width in the first.
        steps = np.concatenate([-TRANSITION, TRANSITION]) * spread / abs(correlation)
        ends = np.concatenate([ends, *(kink / second / correlation + steps for kink in kinks)])
    rows, row_weights = _panels(np.unique(np.clip(ends, -REACH, REACH)))
    inner = (moved - correlation * rows[:, None]) / spread
    inner = np.sort(
        np.concatenate([inner, np.broadcast_to(_uniform(), (len(rows), PANELS + 1))], axis=1)
    )
    nodes, weights = _panels(np.clip(inner, -REACH, REACH))
    values = function(second * (correlation * rows[:, None] + spread * nodes))
    conditional = np.sum(weights * values, axis=-1)
    return float(row_weights @ (function(first * rows) * conditional))


@lru_cache(maxsize=512)
def _line_rule(variance: float, kinks: tuple[float, ...]) -> tuple[Array, Array]:
    return _panels(np.unique(np.clip(_ends(np.sqrt(variance), kinks), -REACH, REACH)))


def _uniform() -> Array:
    return np.linspace(-REACH, REACH, PANELS + 1)


def _ends(deviation: float, kinks: Sequence[float]) -> Array:
    """Where panels end, in units of the deviation."""
    return np.concatenate([_uniform(), np.array([*kinks, *(-SCALES), *SCALES]) / deviation])


@lru_cache(maxsize=1)
def _legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _panels(ends: Array) -> tuple[Array, Array]:
    """Nodes and weights of the normal law on panels between ends, along the last axis."""
    nodes, weights = _legendre()
    middle, half = (ends[..., 1:] + ends[..., :-1]) / 2, np.diff(ends, axis=-1) / 2
    places = middle[..., None] + half[..., None] * nodes
    density = np.exp(-(places**2) / 2) / np.sqrt(2 * np.pi)
    shape = (*ends.shape[:-1], -1)
    return places.reshape(shape), (half[..., None] * weights * density).reshape(shape)
