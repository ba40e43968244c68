"""Mean field: fixed points by arithmetic of 22 digits, laws, and networks of finite width."""

import math

import mpmath as mp
import numpy as np
import pytest

from oracles.gaussian_moments import FUNCTIONS, agrees, mean, moment, pair_mean
from unrolled import InvalidArgumentError, NoFixedPointError, TheoryDomainError
from unrolled.theory import (
    as_activation,
    c_map,
    critical_line,
    critical_point,
    gain,
    length_map,
    mean_field,
    q_map,
)

TANH = {
    1.3: {
        "q": ".60704679190932",
        "chi_1": ".93980742868215",
        "chi_2": ".54347201864136",
        "chi_q": ".47351586986511",
        "xi_q": "1.3376676425393",
        "xi_c": "16.108172743476",
    },
    2.5: {
        "q": "4.079123875282",
        "chi_1": "1.585224765006",
        "chi_2": "1.196041291424",
        "chi_q": ".2339220455826",
        "c": ".1221037473056",
        "chi_c": ".8222291727235",
        "xi_c": "5.108918989166",
        "curvature": "3.867709824309",
    },
    4.0: {
        "q": "12.60414949784",
        "chi_1": "2.367261035546",
        "c": ".02969592158034",
        "xi_c": "3.639351021508",
        "curvature": "1.721379949161",
    },
}
"""tanh with biases of deviation 0.3, by the deviation of weights."""


@pytest.mark.parametrize("deviation", TANH)
def test_tanh_to_all_digits(deviation):
    field = mean_field("tanh", deviation**2, 0.3**2)
    for key, digits in TANH[deviation].items():
        assert agrees(getattr(field, key), digits), key
    assert field.phase == ("ordered" if deviation == 1.3 else "chaotic")
    assert field.fixed_points == (field.q,)


@pytest.mark.parametrize("deviation", TANH)
def test_tanh_by_arithmetic_of_22_digits(deviation):
    expected = TANH[deviation]
    with mp.workdps(22):
        variance = mp.mpf(deviation) ** 2
        q = root_near(lambda q: variance * moment("tanh", q) + mp.mpf("0.09") - q, expected["q"])
        slope = variance * mean(lambda x: mp.sech(x) ** 4, q)
        bend = variance * mean(lambda x: (2 * mp.tanh(x) * mp.sech(x) ** 2) ** 2, q)
        growth = slope - variance * mean(lambda x: 2 * mp.tanh(x) ** 2 * mp.sech(x) ** 2, q)
    found = {"q": q, "chi_1": slope, "chi_2": bend, "chi_q": growth, "xi_q": -1 / mp.log(growth)}
    found["xi_c"] = -1 / mp.log(slope)
    if deviation > 2:
        found["curvature"] = 3 * bend / (slope * (slope - 1))
        found["c"] = _correlation(float(variance), float(q))
        inner = pair_mean(lambda x: 1 / np.cosh(x) ** 2, float(q), float(q), found["c"])
        found["chi_c"] = float(variance) * inner
        found["xi_c"] = -1 / math.log(found["chi_c"])
    for key, digits in expected.items():
        assert agrees(found[key], digits), key


def root_near(function, digits):
    """The root between the neighbours of a number that was written down, by one secant."""
    unit = mp.mpf(10) ** -len(digits.partition(".")[2])
    low, high = mp.mpf(digits) - 2 * unit, mp.mpf(digits) + 2 * unit
    below, above = function(low), function(high)
    assert below * above < 0
    return (low * above - high * below) / (above - below)


def _correlation(variance, q):
    """The fixed point of correlations below one, by the trapezoid rule and by halving."""
    low, high = 0.0, 0.9
    for _ in range(60):
        middle = (low + high) / 2
        after = (variance * pair_mean(np.tanh, q, q, middle) + 0.09) / q
        low, high = (middle, high) if after > middle else (low, middle)
    return low


@pytest.mark.parametrize(
    ("name", "sigma_b2", "sigma_w2", "q"),
    [
        ("tanh", ".01", "1.4242052904886", ".27330091345823"),
        ("tanh", ".05", "1.7609546396067", ".57004788164076"),
        ("tanh", ".09", "1.9476546317092", ".76347476691046"),
        ("tanh", ".2", "2.2851524737202", "1.164496287458"),
        ("erf", ".05", "1.6873614078675", ".58797836780331"),
        ("hard_tanh", ".05", "1.165544689636", ".463863969432"),
    ],
)
def test_critical_points(name, sigma_b2, sigma_w2, q):
    point = critical_point(name, sigma_b2=float(sigma_b2))
    assert agrees(point.sigma_w2, sigma_w2)
    assert agrees(point.q, q)
    field = mean_field(name, point.sigma_w2, point.sigma_b2)
    assert field.phase == "critical"
    assert field.q == pytest.approx(point.q, rel=1e-12)
    assert field.chi_q == pytest.approx(point.chi_q, rel=1e-12)
    with mp.workdps(22):
        slopes = {
            "tanh": lambda x: mp.sech(x) ** 4,
            "erf": lambda x: mp.exp(-mp.pi / 2 * x * x),
            "hard_tanh": lambda x: mp.mpf(abs(x) < 1),
        }[name]
        kinks = [-1, 1] if name == "hard_tanh" else []

        def biases(q):
            return q - moment(name, q) / mean(slopes, q, kinks) - mp.mpf(sigma_b2)

        root = root_near(biases, q)
        weights = 1 / mean(slopes, root, kinks)
    assert agrees(root, q)
    assert agrees(weights, sigma_w2)


def test_critical_point_of_relu_has_no_biases_and_any_length():
    assert critical_point("relu", sigma_b2=0.0).sigma_w2 == pytest.approx(2.0, rel=1e-14)
    assert critical_point("relu", q=7.0).sigma_b2 == 0.0
    with pytest.raises(TheoryDomainError, match="without biases only"):
        critical_point("relu", sigma_b2=0.1)


def test_critical_point_without_biases_is_where_signals_vanish():
    point = critical_point("tanh", sigma_b2=0.0)
    assert (point.sigma_w2, point.q) == (1.0, 0.0)


def test_critical_points_of_gelu_are_unstable():
    """Lengths leave them: E f f'' is positive there."""
    point = critical_point("gelu", sigma_b2=0.05)
    assert point.chi_q > 1
    assert "no" in str(point).splitlines()[4]


def test_homogeneous_functions_by_hand():
    """Of ReLU E f^2 = q/2 and E f'^2 = 1/2, whatever q is."""
    field = mean_field("relu", 1.0, 0.3)
    assert field.q == pytest.approx(0.6, rel=1e-14)
    assert (field.chi_1, field.chi_q, field.chi_2) == (0.5, pytest.approx(0.5, rel=1e-13), None)
    assert field.xi_q == pytest.approx(1 / math.log(2), rel=1e-13)
    critical = mean_field("relu", 2.0, q0=3.0)
    assert (critical.q, critical.phase, critical.xi_c) == (3.0, "critical", math.inf)
    assert "every q" in critical.assumptions


@pytest.mark.parametrize(("sigma_w2", "sigma_b2"), [(2.5, 0.0), (2.0, 0.1), (3.0, 0.4)])
def test_relu_that_explodes(sigma_w2, sigma_b2):
    with pytest.raises(NoFixedPointError, match="sigma_w2 below 2"):
        mean_field("relu", sigma_w2, sigma_b2)


def test_several_fixed_points():
    """Between two stable ones there is an unstable one; GELU also has one at infinity."""
    field = mean_field("gelu", 2.0, 0.1)
    low, high = field.fixed_points
    assert field.q == low
    for q in (low, high):
        assert q_map("gelu", 2.0, 0.1, q) == pytest.approx(q, rel=1e-12)
    assert mean_field("gelu", 2.0, 0.1, q0=0.9 * high).q == low
    with pytest.raises(NoFixedPointError):
        mean_field("gelu", 2.0, 0.1, q0=1.1 * high)


def test_signals_that_vanish_have_no_correlation():
    field = mean_field("tanh", 0.5)
    assert (field.q, field.c, field.chi_c) == (0.0, None, None)
    assert field.chi_1 == pytest.approx(0.5, rel=1e-14)
    assert "q = 0" in field.assumptions


def test_odd_functions_without_biases_end_uncorrelated():
    assert mean_field("tanh", 4.0).c == 0.0


@pytest.mark.parametrize(
    ("name", "weights"), [("tanh", 3.0), ("erf", 2.5), ("gelu", 1.5), ("elu", 1.2)]
)
def test_slope_of_the_map_of_correlations_at_one_is_chi_1(name, weights):
    """Where two equal signals are told apart: what chi_1 is about."""
    field = mean_field(name, weights, 0.1)
    at = c_map(name, weights, 0.1, np.array([1 - 1e-6, 1.0]), q=field.q)
    assert at[1] == pytest.approx(1.0, abs=1e-14)
    # The second derivative of the map at one is chi_2 q.
    slope = (at[1] - at[0]) / 1e-6
    assert slope + field.chi_2 * field.q * 1e-6 / 2 == pytest.approx(field.chi_1, abs=2e-9)


def test_map_of_correlations_of_relu():
    """The arc-cosine kernel of Cho and Saul (2009)."""
    c = np.linspace(-1, 1, 9)
    expected = (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi
    np.testing.assert_allclose(c_map("relu", 2.0, 0.0, c, q=5.0), expected, atol=1e-14)


def test_map_of_lengths_of_erf():
    """Williams (1997): E erf^2 = (2/pi) asin(pi q/2 / (1 + pi q/2))."""
    q = np.array([0.0, 0.3, 2.0, 50.0])
    share = np.pi * q / 2
    expected = 1.7 * 2 / np.pi * np.arcsin(share / (1 + share)) + 0.2
    np.testing.assert_allclose(q_map("erf", 1.7, 0.2, q), expected, rtol=1e-13)


@pytest.mark.parametrize("q0", [None, 0.2, 9.0])
def test_lengths_and_curvature_against_derivatives_of_the_kernel(q0):
    """The covariance along a circle, layer by layer, differentiated at 40 digits."""
    variance, biases = 3.0, 0.1
    curve = length_map("erf", variance, biases, depth=4, q0=q0)
    with mp.workdps(40):
        start = mp.mpf(curve.q[0])

        def kernel(angle, depth):
            """Of two points of the circle, in the layer."""
            value, square = start * mp.cos(angle), start
            for _ in range(depth):
                share = mp.pi / 2
                value = 2 / mp.pi * mp.asin(share * value / (1 + share * square))
                square = 2 / mp.pi * mp.asin(share * square / (1 + share * square))
                value, square = variance * value + biases, variance * square + biases
            return value

        for layer in range(4):
            second = -mp.diff(lambda angle, at=layer: kernel(angle, at), 0, 2)
            fourth = mp.diff(lambda angle, at=layer: kernel(angle, at), 0, 4)
            assert curve.metric[layer] == pytest.approx(float(second), rel=1e-12)
            assert curve.curvature[layer] == pytest.approx(float(fourth / second**2), rel=1e-11)


def test_curvature_saturates_and_total_curvature_grows():
    field = mean_field("tanh", 16.0, 0.09)
    curve = length_map("tanh", 16.0, 0.09, depth=40)
    assert curve.curvature[-1] == pytest.approx(field.curvature, rel=1e-12)
    growth = curve.total_curvature[-1] / curve.total_curvature[-2]
    assert growth == pytest.approx(math.sqrt(field.chi_1), rel=1e-12)


def test_gains_to_all_digits():
    for name, forward, backward in (
        ("gelu", "2.351715614073", "2.193699903532"),
        ("silu", "2.810761124074", "2.635168659879"),
    ):
        both = gain(name)
        assert agrees(both.forward, forward)
        assert agrees(both.backward, backward)
    relu = gain("relu", 4.0)
    assert relu.q * relu.forward == pytest.approx(relu.backward, rel=1e-13)


def test_gain_of_a_callable_is_that_of_its_name():
    assert gain(np.tanh).backward == pytest.approx(gain("tanh").backward, rel=1e-12)
    assert "complex step" in gain(np.tanh).assumptions


def test_biases_of_the_critical_line_grow_with_its_weights():
    line = critical_line("tanh", [0.0, 0.01, 0.1, 1.0])
    weights = [point.sigma_w2 for point in line.points]
    assert weights == sorted(weights)
    assert list(line.to_pandas().columns) == ["sigma_w2", "sigma_b2", "q", "chi_q", "is stable"]


@pytest.mark.parametrize("deviation", [1.3, 2.5])
def test_wide_random_networks(deviation):
    """Mean squares and products of pre-activations, layer by layer; corrections are of 1/width.

    What is allowed is less than four hundredths, so that a recursion that misses more fails.
    """
    rng = np.random.default_rng(20240607)
    width, depth, draws = 100, 6, 1000
    variance, biases = deviation**2, 0.09
    squares, products = np.empty((draws, depth)), np.empty((draws, depth))
    for draw in range(draws):
        signal = rng.normal(size=(width, 2))
        # Exactly the mean squares and the correlation that the theory begins with.
        signal = np.linalg.qr(signal)[0] @ np.array([[1.0, 0.5], [0.0, math.sqrt(0.75)]])
        signal *= math.sqrt(width)
        for layer in range(depth):
            weights = rng.normal(size=(width, width)) * math.sqrt(variance / width)
            shifts = rng.normal(size=(width, 1)) * math.sqrt(biases)
            signal = weights @ (signal if layer == 0 else np.tanh(signal)) + shifts
            squares[draw, layer] = np.mean(signal**2)
            products[draw, layer] = np.mean(signal[:, 0] * signal[:, 1])
    q, k = variance + biases, 0.5 * variance + biases
    tanh = as_activation("tanh")
    for layer in range(depth):
        for found, expected in ((squares[:, layer], q), (products[:, layer], k)):
            allowed = 4 * found.std(ddof=1) / math.sqrt(draws) + q / width
            assert abs(found.mean() - expected) < allowed < 0.04 * q, layer
        q, k = (
            q_map("tanh", variance, biases, q),
            variance * float(tanh.pair_product(q, q, k)) + biases,
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_field("tanh", 0.0), "sigma_w2"),
        (lambda: mean_field("tanh", -1.0), "sigma_w2"),
        (lambda: mean_field("tanh", math.nan), "sigma_w2"),
        (lambda: mean_field("tanh", 1.0, -0.1), "sigma_b2"),
        (lambda: mean_field("tanh", 2.0, 0.1, q0=0.0), "mean square"),
        (lambda: q_map("tanh", 1.0, 0.0, -1.0), "not negative"),
        (lambda: c_map("tanh", 1.0, 0.1, 1.1), r"\[-1, 1\]"),
        (lambda: length_map("tanh", 2.0, 0.1, depth=0), "depth"),
        (lambda: length_map("tanh", 0.5, depth=3), "q0 > 0"),
        (lambda: gain("relu", 0.0), "positive"),
        (lambda: gain(lambda x: 0 * x), "no gain"),
        (lambda: critical_point("tanh"), "exactly one"),
        (lambda: critical_point("tanh", sigma_b2=0.1, q=1.0), "exactly one"),
        (lambda: critical_point("sigmoid", q=0.1), "variance -"),
        (lambda: critical_point("softplus", sigma_b2=0.05), "no critical point"),
        (lambda: critical_line("tanh", []), "at least one"),
    ],
)
def test_arguments_outside_the_theory(call, message):
    with pytest.raises(TheoryDomainError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_field("tanh", "wide"),
        lambda: mean_field("tanh", 1.0, None),
        lambda: q_map("tanh", 1.0, 0.0, "x"),
        lambda: c_map("tanh", 1.0, 0.1, [True]),
        lambda: length_map("tanh", 2.0, 0.1, depth=2.5),
        lambda: gain("tanh", [1.0, 2.0]),
    ],
)
def test_arguments_that_are_no_numbers(call):
    with pytest.raises(InvalidArgumentError, match=r"number|integer"):
        call()


def test_functions_of_the_oracle_are_those_of_the_package():
    for name in ("tanh", "erf", "hard_tanh"):
        assert as_activation(name).function(np.array([0.3]))[0] == pytest.approx(
            float(FUNCTIONS[name](mp.mpf("0.3"))), rel=1e-14
        )
