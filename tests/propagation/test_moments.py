"""Moments of functions of normal variables, against Gauss-Legendre rules and closed forms.

The rules here know where a function is not smooth and nothing else of it; slopes are taken by
complex steps, which have no rounding error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import asin, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import erf

from unrolled._core import function_moments, function_names
from unrolled.errors import InvalidArgumentError
from unrolled.propagation.functions import pieces_of

Array = npt.NDArray[Any]

SELU = (1.0507009873554805, 1.6732632423543772)


def where_positive(x: Array, positive: Array, negative: Array) -> Array:
    return np.where(x.real > 0, positive, negative)


def clip(low: float, high: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x.real < low, low, np.where(x.real > high, high, x))


def elu(x: Array, alpha: float = 1.0, scale: float = 1.0) -> Array:
    return where_positive(x, x, alpha * (np.exp(np.minimum(x.real, 0) + 1j * x.imag) ** scale - 1))


def sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(x / 2)


def softplus(x: Array) -> Array:
    small = np.where(x.real > 0, -x, x)
    return where_positive(x, x, 0 * x) + np.log(1 + np.exp(small))


def absolute(x: Array) -> Array:
    return where_positive(x, x, -x)


# Definitions that take complex numbers, and where they are not smooth.
DEFINITIONS: dict[str, tuple[Callable[[Array], Array], Sequence[float]]] = {
    "abs": (absolute, [0]),
    "atan": (np.arctan, []),
    "celu(0.5)": (lambda x: elu(x, 0.5, 2.0), [0]),
    "clip(-0.5, 2)": (clip(-0.5, 2), [-0.5, 2]),
    "cos": (np.cos, []),
    "elu": (elu, [0]),
    "elu(0.7)": (lambda x: elu(x, 0.7), [0]),
    "erf": (lambda x: erf(sqrt(pi) * x / 2), []),
    "exp": (np.exp, []),
    "gelu": (lambda x: x * (1 + erf(x / sqrt(2))) / 2, []),
    "gelu_tanh": (lambda x: x / 2 * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))), []),
    "hard_sigmoid": (lambda x: clip(0, 1)(x / 6 + 0.5), [-3, 3]),
    "hard_swish": (lambda x: x * clip(0, 6)(x + 3) / 6, [-3, 3]),
    "hard_tanh": (clip(-1, 1), [-1, 1]),
    "identity": (lambda x: x, []),
    "leaky_relu(0.2)": (lambda x: where_positive(x, x, 0.2 * x), [0]),
    "linear(2, 0.5)": (lambda x: 2 * x + 0.5, []),
    "log_sigmoid": (lambda x: -softplus(-x), []),
    "mish": (lambda x: x * np.tanh(softplus(x)), []),
    "negative": (lambda x: -x, []),
    "prelu": (lambda x: where_positive(x, x, x / 4), [0]),
    "quick_gelu": (lambda x: x * sigmoid(1.702 * x), []),
    "relu": (lambda x: where_positive(x, x, 0 * x), [0]),
    "relu6": (clip(0, 6), [0, 6]),
    "selu": (lambda x: SELU[0] * elu(x, SELU[1]), [0]),
    "sigmoid": (sigmoid, []),
    "silu": (lambda x: x * sigmoid(x), []),
    "sin": (np.sin, []),
    "softplus": (softplus, []),
    "softshrink": (
        lambda x: np.where(x.real > 0.5, x - 0.5, np.where(x.real < -0.5, x + 0.5, 0)),
        [-0.5, 0.5],
    ),
    "softsign": (lambda x: x / (1 + absolute(x)), [0]),
    "square": (lambda x: x * x, []),
    "swish(2)": (lambda x: x * sigmoid(2 * x), []),
    "tanh": (np.tanh, []),
}

NODES, WEIGHTS = np.polynomial.legendre.leggauss(30)


def rule(kinks: Sequence[float], mean: float, deviation: float) -> tuple[Array, Array]:
    """Nodes and weights for means over a normal variable, in pieces that no kink is inside."""
    ends = np.concatenate([np.linspace(-12, 12, 49), (np.array(kinks) - mean) / deviation])
    ends = np.unique(np.clip(ends, -12, 12))
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    z = (middle[:, None] + half[:, None] * NODES).ravel()
    weights = (half[:, None] * WEIGHTS).ravel() * np.exp(-z * z / 2) / sqrt(2 * pi)
    return mean + deviation * z, weights


def value(name: str, x: Array) -> Array:
    return DEFINITIONS[name][0](x.astype(complex)).real


def slope(name: str, x: Array) -> Array:
    return DEFINITIONS[name][0](x + 1e-30j).imag / 1e-30


def mean_of_pair(
    name: str, mean: float, variance: float, correlation: float
) -> tuple[float, float]:
    """E f f' and E f'(x) f'(x').

    The mean over what two variables have in common of the square of the mean over what is each
    one's own.
    """
    own = sqrt(variance * (1 - correlation))
    at, outer = rule((), mean, sqrt(variance * correlation))
    means = []
    for x in at:
        inner, weights = rule(DEFINITIONS[name][1], x, own)
        means.append((weights @ value(name, inner), weights @ slope(name, inner)))
    values, slopes = np.array(means).T
    return float(outer @ values**2), float(outer @ slopes**2)


def test_every_name_has_a_definition_here() -> None:
    assert {name.partition("(")[0] for name in DEFINITIONS} == set(function_names())


@pytest.mark.parametrize("name", DEFINITIONS)
def test_moments_of_one_value(name: str) -> None:
    for mean, variance in ((0.0, 1.0), (0.7, 0.3), (-1.5, 6.0)):
        x, weights = rule(DEFINITIONS[name][1], mean, sqrt(variance))
        values, slopes = value(name, x), slope(name, x)
        found = function_moments(name, mean, variance, 0.5)
        assert found is not None
        for one, right in zip(
            (found[0], found[1], found[3]),
            (weights @ values, weights @ values**2, weights @ slopes**2),
            strict=True,
        ):
            assert one == pytest.approx(right, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize(
    "name",
    ["relu", "leaky_relu(0.2)", "clip(-0.5, 2)", "gelu", "silu", "tanh", "elu", "hard_swish"],
)
def test_mean_products_of_two_values(name: str) -> None:
    for mean, variance, correlation in ((0.0, 1.0, 0.6), (0.4, 2.0, 0.3), (-0.8, 0.5, 0.9)):
        found = function_moments(name, mean, variance, correlation)
        assert found is not None
        values, slopes = mean_of_pair(name, mean, variance, correlation)
        assert found[2] == pytest.approx(values, rel=1e-9)
        assert found[4] == pytest.approx(slopes, rel=1e-9)


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.6, 2.0)])
def test_slopes_are_the_derivative_of_products(name: str, mean: float, variance: float) -> None:
    """Price's theorem: d E f f' / d c = variance E f'(x) f'(x'), at several correlations."""
    step = 1e-4
    for correlation in (-0.5, 0.0, 0.2, 0.7, 0.95):
        ends = [function_moments(name, mean, variance, correlation + way * step) for way in (-1, 1)]
        middle = function_moments(name, mean, variance, correlation)
        assert middle is not None
        assert ends[0] is not None
        assert ends[1] is not None
        derivative = (ends[1][2] - ends[0][2]) / (2 * step) / variance
        assert derivative == pytest.approx(middle[4], rel=2e-6, abs=2e-7)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_products_meet_squares_at_correlation_one(name: str) -> None:
    one = function_moments(name, 0.3, 1.3, 1.0)
    near = function_moments(name, 0.3, 1.3, 1 - 1e-9)
    none = function_moments(name, 0.3, 1.3, 0.0)
    assert one is not None
    assert near is not None
    assert none is not None
    assert one[2] == pytest.approx(one[1], rel=1e-12)
    assert one[4] == pytest.approx(one[3], rel=1e-12)
    assert near[2] == pytest.approx(one[1], rel=1e-7)
    assert none[2] == pytest.approx(none[0] ** 2, rel=1e-12, abs=1e-15)


def test_relu_has_its_closed_form() -> None:
    """The kernel of arc cosines of Cho and Saul, 2009."""
    for c in (0.0, 0.3, -0.6, 0.99):
        found = function_moments("relu", 0.0, 4.0, c)
        assert found is not None
        pair = 4 * (sqrt(1 - c * c) + c * (pi - np.arccos(c))) / (2 * pi)
        right = [2 / sqrt(2 * pi), 2.0, pair, 0.5, 0.25 + asin(c) / (2 * pi)]
        assert found == pytest.approx(right, rel=1e-14)


def test_erf_has_its_closed_form() -> None:
    """E erf(x) erf(y) is an arc sine (Williams 1997)."""
    q, c, slope = 2.0, 0.7, sqrt(pi) / 2
    found = function_moments("erf", 0.0, q, c)
    assert found is not None
    a = 2 * slope**2
    assert found[2] == pytest.approx(2 / pi * asin(a * c * q / (1 + a * q)), rel=1e-12)


@pytest.mark.parametrize("variance", [1e-6, 0.03, 1.0, 7.0, 400.0])
def test_gelu_has_its_closed_form(variance: float) -> None:
    """Where the mean is zero there is one; where it is hardly more, an integral."""
    for correlation in (-0.9, -0.2, 0.1, 0.8, 0.999, 1.0):
        found = function_moments("gelu", 0.0, variance, correlation)
        right = function_moments("gelu", 1e-14 * sqrt(variance), variance, correlation)
        assert found is not None
        assert found == pytest.approx(right, rel=1e-10)


def test_gains_at_unit_variance() -> None:
    """E f^2 and E f'^2 at a variance of 1, found with thirty digits."""
    gains = {
        "gelu": (0.4252214825703, 0.4558508656493),
        "silu": (0.3557755198174, 0.3794823516328),
        "tanh": (0.3942944903978, 0.4644029024483),
        "sigmoid": (0.2933790358581, 0.04483624135019),
        "relu": (0.5, 0.5),
    }
    for name, (square, slope) in gains.items():
        found = function_moments(name, 0.0, 1.0, 0.0)
        assert found is not None
        assert (found[1], found[3]) == pytest.approx((square, slope), rel=2e-13)


@pytest.mark.parametrize("variance", [1e-12, 1e-4, 1e4, 1e12, 1e60])
def test_signals_far_from_one(variance: float) -> None:
    """GELU is half the identity for small arguments, and ReLU for large ones."""
    found = function_moments("gelu", 0.0, variance, 0.4)
    small = function_moments("linear(0.5)", 0.0, variance, 0.4)
    large = function_moments("relu", 0.0, variance, 0.4)
    right = small if variance < 1 else large
    assert found is not None
    assert right is not None
    assert found[1] == pytest.approx(right[1], rel=10 * min(variance, 1 / variance) + 1e-11)
    assert found[2] == pytest.approx(
        right[2], rel=2 * min(sqrt(variance), 1 / sqrt(variance)) + 1e-9, abs=1e-30
    )


def test_unknown_names() -> None:
    for name in ("", "rel", "relu(1)", "elu(a)", "clip(1, 2, 3)", "clip(2, 1)", "elu(1", "gelu()x"):
        assert function_moments(name, 0.0, 1.0, 0.0) is None
    assert function_moments("GELU", 0.0, 1.0, 0.0) == function_moments("gelu", 0.0, 1.0, 0.0)


class TestOwnFunctions:
    """Functions that are known by their values at nodes; kinks are found to within 1e-7."""

    @pytest.mark.parametrize("name", ["gelu", "relu", "hard_swish", "tanh", "softplus", "abs"])
    def test_a_function_is_itself(self, name: str) -> None:
        own = pieces_of({"own": lambda x: value(name, x)})
        for mean, variance, correlation in ((0.0, 1.0, 0.5), (0.5, 3.0, 0.8), (0.0, 40.0, 0.2)):
            found = function_moments("own", mean, variance, correlation, own)
            right = function_moments(name, mean, variance, correlation)
            assert found == pytest.approx(right, rel=1e-7, abs=1e-12)

    def test_beyond_the_last_piece_it_is_straight(self) -> None:
        own = pieces_of({"own": lambda x: np.where(x > 0, 3 * x, x)})
        found = function_moments("own", 0.0, 1e6, 0.0, own)
        assert found is not None
        assert found[1] == pytest.approx(5e6, rel=1e-9)

    def test_an_own_function_comes_before_one_of_its_name(self) -> None:
        own = pieces_of({"relu": lambda x: 2 * x})
        assert function_moments("relu", 0.0, 1.0, 0.0, own)[1] == pytest.approx(4)

    @pytest.mark.parametrize(
        ("function", "match"),
        [
            (np.sign, "jumps"),
            (lambda x: 1 / x, "finite|jumps|followed"),
            (lambda x: x.sum(), "shape"),
            (lambda x: np.log(x - 100), "finite"),
            (lambda x: x.nothing, "failed with AttributeError"),
            (lambda x: np.sin(1e4 * x), "followed"),
        ],
    )
    def test_what_cannot_be_followed(self, function, match: str) -> None:
        with np.errstate(all="ignore"), pytest.raises(InvalidArgumentError, match=match):
            pieces_of({"own": function})
