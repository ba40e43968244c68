"""Gaussian moments of activations, by arithmetic of 22 digits and by rules of another kind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath as mp
import numpy as np

DIGITS = 22

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": mp.tanh,
    "erf": lambda x: mp.erf(mp.sqrt(mp.pi) / 2 * x),
    "relu": lambda x: x if x > 0 else mp.mpf(0),
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "hard_tanh": lambda x: max(min(x, mp.mpf(1)), mp.mpf(-1)),
    "gelu": lambda x: x * mp.ncdf(x),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    "abs": abs,
    "linear": lambda x: x,
    "identity": lambda x: x,
    "relu6": lambda x: min(max(x, mp.mpf(0)), mp.mpf(6)),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, mp.mpf(0)), mp.mpf(1)),
}

KINKS = {
    "relu": [0],
    "leaky_relu": [0],
    "hard_tanh": [-1, 1],
    "elu": [0],
    "abs": [0],
    "relu6": [0, 6],
    "hard_sigmoid": [-3, 3],
}


def moment(name: str, variance: Any, derivative: int = 0, power: int = 2) -> Any:
    """``E (d^k f)(x)^power``, the derivative taken numerically at many digits."""
    function = FUNCTIONS[name]

    def value(x: Any) -> Any:
        return mp.diff(function, x, derivative) if derivative else function(x)

    return mean(lambda x: value(x) ** power, variance, KINKS.get(name, []))


def mean(function: Callable[[Any], Any], variance: Any, kinks: Any = ()) -> Any:
    """``E g(x)`` for normal x."""
    with mp.workdps(DIGITS):
        deviation = mp.sqrt(variance)
        ends = {mp.mpf(end) for end in (-13, -6, -3, -1, 0, 1, 3, 6, 13)}
        ends |= {mp.mpf(kink) / deviation for kink in kinks}
        ends |= {sign * mp.mpf(x) / deviation for x in (1, 3, 9) for sign in (-1, 1)}
        inside = sorted(end for end in ends if abs(end) <= 13)
        return mp.quad(lambda z: function(deviation * z) * mp.npdf(z), inside)


def pair_mean(function: Callable[[Any], Any], q1: float, q2: float, c: float) -> float:
    """``E g(x) g(y)`` by the trapezoid rule in both numbers: exact for analytic functions."""
    z = np.linspace(-10.0, 10.0, 601)
    weights = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    first = function(np.sqrt(q1) * z)
    second = function(np.sqrt(q2) * (c * z[:, None] + np.sqrt(1 - c * c) * z))
    return float((weights * first) @ (second @ weights))


def agrees(value: float, digits: str) -> bool:
    """Whether a number is one that was written down, up to one in the last digit."""
    written = Decimal(digits)
    unit = float(Decimal(1).scaleb(written.as_tuple().exponent))  # type: ignore[arg-type]
    return abs(float(value) - float(written)) <= unit + 2e-14 * abs(float(written))
