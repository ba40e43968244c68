"""Spectra of Jacobians: exact moments, edges, integrals of densities, and random networks."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from oracles.gaussian_moments import agrees, mean
from unrolled import InvalidArgumentError, Network, TheoryDomainError
from unrolled.theory import (
    critical_point,
    free_product,
    isometry,
    jacobian_spectrum,
    marchenko_pastur,
    mean_field,
)

LINEAR = ([1], [1])
RELU = ([0, 1], [Fraction(1, 2), Fraction(1, 2)])
TANH = critical_point("tanh", sigma_b2=0.05)
ERF = critical_point("erf", sigma_b2=0.05)
HARD_TANH = critical_point("hard_tanh", sigma_b2=0.05)


@pytest.mark.parametrize(
    ("law", "depth", "ensemble", "moments"),
    [
        (LINEAR, 2, "gaussian", (1, 3, 12, 55, 273)),
        (LINEAR, 4, "gaussian", (1, 5, 35, 285, 2530)),
        (RELU, 1, "gaussian", (1, 3, 11, 45, 197)),
        (RELU, 4, "gaussian", (1, 9, 113, 1649, 26225)),
        (RELU, 2, "orthogonal", (1, 3, 10, 35, 126)),
        (RELU, 4, "orthogonal", (1, 5, 31, 213, 1556)),
    ],
)
def test_exact_moments(law, depth, ensemble, moments):
    assert jacobian_spectrum(law, depth, ensemble=ensemble).moments(5) == moments


def test_linear_networks_are_fuss_catalan():
    for depth in (1, 3, 6):
        found = jacobian_spectrum(LINEAR, depth).moments(6)
        n = depth + 1
        assert found == tuple(Fraction(math.comb(n * k, k), (n - 1) * k + 1) for k in range(1, 7))


def test_first_two_moments_are_those_of_the_paper():
    """Equations (32) of the slides, with s_1 = -1 for Gaussian and 0 for orthogonal weights."""
    values, probabilities = [Fraction(1, 4), Fraction(1)], [Fraction(1, 3), Fraction(2, 3)]
    mu_1, mu_2 = (sum(p * v**k for v, p in zip(values, probabilities, strict=True)) for k in (1, 2))
    for ensemble, s_1 in (("gaussian", -1), ("orthogonal", 0)):
        for depth in (1, 2, 5):
            weights = Fraction(5, 7)
            found = jacobian_spectrum(
                (values, probabilities), depth, ensemble=ensemble, sigma_w2=weights
            )
            first = (weights * mu_1) ** depth
            excess = mu_2 / mu_1**2 - 1 - s_1
            assert found.moments(2) == (first, first**2 * depth * (excess + Fraction(1, depth)))
            assert found.variance == first**2 * depth * excess


def test_moments_of_a_layer_by_free_multiplication():
    """D W W^T D has the spectrum of W W^T D^2: the moments over non-crossing pairs, by words.

    With W Gaussian and square: ``m_2 = mu_1^2 + mu_2``, ``m_3 = mu_1^3 + 3 mu_1 mu_2 + mu_3``,
    times powers of the variance: moments of a compound free Poisson law.
    """
    values, probabilities = [Fraction(1, 2), Fraction(2)], [Fraction(1, 4), Fraction(3, 4)]
    mu = [sum(p * v**k for v, p in zip(values, probabilities, strict=True)) for k in (1, 2, 3)]
    found = jacobian_spectrum((values, probabilities), 1, sigma_w2=1).moments(3)
    assert found == (mu[0], mu[0] ** 2 + mu[1], mu[0] ** 3 + 3 * mu[0] * mu[1] + mu[2])


@pytest.mark.parametrize(
    ("point", "excess"),
    [
        (TANH, ".34225607830813"),
        (ERF, ".31409644352663"),
        (HARD_TANH, ".1655446896359"),
    ],
)
def test_what_a_layer_adds_to_the_variance(point, excess):
    found = jacobian_spectrum(point.activation, 1, ensemble="orthogonal", q=point.q)
    assert agrees(found.variance, excess)
    with mp.workdps(22):
        slopes = {
            "tanh": lambda x: mp.sech(x) ** 2,
            "erf": lambda x: mp.exp(-mp.pi / 4 * x * x),
            "hard_tanh": lambda x: mp.mpf(abs(x) < 1),
        }[point.activation.name]
        kinks = [-1, 1] if point.activation.name == "hard_tanh" else []
        first, second = (mean(lambda x, k=k: slopes(x) ** (2 * k), point.q, kinks) for k in (1, 2))
    assert agrees(second / first**2 - 1, excess)


@pytest.mark.parametrize(
    ("ensemble", "moments"),
    [
        ("orthogonal", ("2.36902431323", "7.03216915364", "23.2638565368")),
        ("gaussian", ("6.36902431323", "57.4604609125", "604.959690157")),
    ],
)
def test_moments_of_tanh(ensemble, moments):
    found = jacobian_spectrum("tanh", 4, ensemble=ensemble, q=TANH.q).moments(4)
    assert found[0] == pytest.approx(1.0, rel=1e-13)
    for value, digits in zip(found[1:], moments, strict=True):
        assert agrees(value, digits)


@pytest.mark.parametrize(
    ("law", "depth", "ensemble", "digits"),
    [
        (LINEAR, 4, "gaussian", "12.20703125"),
        (RELU, 4, "orthogonal", "9.481481481481"),
        (RELU, 1, "gaussian", "5.828427124746"),
        (RELU, 4, "gaussian", "21.858249318047"),
        (TANH, 1, "orthogonal", "1.760954639607"),
        (TANH, 2, "orthogonal", "2.733937314606"),
        (TANH, 4, "orthogonal", "4.627975735668"),
        (TANH, 8, "orthogonal", "8.371962196998"),
        (TANH, 16, "orthogonal", "15.828378706013"),
        (TANH, 4, "gaussian", "15.836077012619"),
        (ERF, 4, "orthogonal", "4.280608523321"),
    ],
)
def test_largest_eigenvalues(law, depth, ensemble, digits):
    if isinstance(law, tuple):
        found = jacobian_spectrum(law, depth, ensemble=ensemble)
    else:
        found = jacobian_spectrum(law.activation, depth, ensemble=ensemble, q=law.q)
    assert agrees(found.lambda_max, digits)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_largest_eigenvalues_in_closed_form(depth):
    linear = jacobian_spectrum(LINEAR, depth)
    assert linear.lambda_max == pytest.approx((depth + 1) ** (depth + 1) / depth**depth, rel=1e-11)
    relu = jacobian_spectrum(RELU, depth, ensemble="orthogonal")
    closed = depth**depth / (depth - 1) ** (depth - 1) if depth > 1 else 2.0
    assert relu.lambda_max == pytest.approx(closed, rel=1e-11)


def test_largest_eigenvalue_of_relu_by_the_root_of_the_derivative():
    """Where two solutions y of z(y) = z meet, at 30 digits."""
    with mp.workdps(30):

        def place(y):
            moment = 1 / (2 * (y - 1))
            return (1 + moment) / moment * (2 * y * moment) ** 4

        least = mp.findroot(lambda y: mp.diff(place, y), 2)
        assert agrees(place(least), "21.858249318047")


@pytest.mark.parametrize(
    ("depth", "ensemble", "digits"),
    [
        (4, "orthogonal", "4.627975735668"),
        (16, "orthogonal", "15.828378706013"),
        (4, "gaussian", "15.836077012619"),
    ],
)
def test_largest_eigenvalues_of_tanh_at_25_digits(depth, ensemble, digits):
    """By the trapezoid rule, and the root of the derivative of z(y) written out."""
    with mp.workdps(25):
        step = mp.mpf(12) / 300
        nodes = [step * (at + mp.mpf(1) / 2) for at in range(300)]
        weights = [2 * step * mp.npdf(node) for node in nodes]
        values = [mp.sech(mp.sqrt(TANH.q) * node) ** 4 for node in nodes]
        scale = 1 / mp.fdot(weights, values)
        power = depth - 1 if ensemble == "orthogonal" else -1

        def sums(y):
            terms = [w * v / (y - v) for w, v in zip(weights, values, strict=True)]
            value = mp.fsum(terms)
            slope = -mp.fsum(t / (y - v) for t, v in zip(terms, values, strict=True))
            return value, slope

        def slope_of_log_place(y):
            value, slope = sums(y)
            return (depth - 1) * slope / value - power * slope / (1 + value) + depth / y

        y = mp.findroot(slope_of_log_place, (1.05, 3.0), solver="anderson")
        value, _ = sums(y)
        place = (scale * y) ** depth * value ** (depth - 1) / (1 + value) ** power
    assert agrees(place, digits)


DENSITIES = {
    "linear gaussian": (LINEAR, 1, "gaussian"),
    "relu orthogonal": (RELU, 2, "orthogonal"),
    "relu gaussian": (RELU, 3, "gaussian"),
    "leaky relu": (([Fraction(1, 4), 1], [Fraction(1, 2), Fraction(1, 2)]), 4, "orthogonal"),
    "tanh orthogonal": (TANH, 4, "orthogonal"),
    "tanh gaussian": (TANH, 4, "gaussian"),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_moments_are_integrals_of_the_density(name):
    law, depth, ensemble = DENSITIES[name]
    if isinstance(law, tuple):
        found = jacobian_spectrum(law, depth, ensemble=ensemble)
    else:
        found = jacobian_spectrum(law.activation, depth, ensemble=ensemble, q=law.q)
    least, largest = found.edges
    nodes, is_hard = 200, least == 0
    low, high = (math.log(largest * 1e-9), math.log(largest)) if is_hard else (least, largest)
    angles = (np.arange(nodes) + 0.5) * np.pi / nodes
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    weights = np.sin(angles) * (high - low) / 2 * np.pi / nodes
    if is_hard:  # Eigenvalues accumulate at zero: a logarithmic grid.
        x = np.exp(x)
        weights = weights * x
    mass = weights * found.density(x)
    for k, moment in enumerate(found.moments(4), 1):
        assert np.sum(mass * x**k) == pytest.approx(float(moment), rel=1e-7), k
    # What lies below the grid is missing.
    assert 0.9 * (1 - found.atom) < np.sum(mass) < (1 - found.atom) * (1 + 1e-9)
    assert found.cdf(largest) == 1.0


def test_a_linear_layer_is_marchenko_pastur():
    x = np.linspace(0.05, 3.95, 9)
    square = marchenko_pastur(1.0)
    found = jacobian_spectrum(LINEAR, 1)
    np.testing.assert_allclose(found.density(x), square.density(x), rtol=1e-12)
    two = free_product(square, square)
    x = np.linspace(0.05, 6.7, 9)
    np.testing.assert_allclose(jacobian_spectrum(LINEAR, 2).density(x), two.density(x), rtol=1e-9)


def test_lower_edge_where_the_derivative_is_bounded_below():
    """Orthogonal weights and leaky ReLU; the inverse matrix has the inverse derivatives."""
    law = ([Fraction(1, 4), 1], [Fraction(1, 3), Fraction(2, 3)])
    inverse = ([4, 1], [Fraction(1, 3), Fraction(2, 3)])
    for depth in (1, 3):
        found = jacobian_spectrum(law, depth, ensemble="orthogonal", sigma_w2=1)
        other = jacobian_spectrum(inverse, depth, ensemble="orthogonal", sigma_w2=1)
        assert found.edges[0] == pytest.approx(1 / other.edges[1], rel=1e-10)


def test_zeros_are_those_of_one_layer():
    for depth in (1, 4):
        assert jacobian_spectrum("relu", depth).atom == 0.5
    assert jacobian_spectrum("tanh", 4).atom == 0.0


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_random_networks(ensemble):
    """tanh of width 100 and depth 4 at the fixed point of lengths.

    With more draws and other widths, the k-th moment is off by about k^2 over the width, or twice
    that. The laws of half as many layers more or less, and of the other weights, are not allowed.
    """
    rng = np.random.default_rng(17)
    width, depth, draws = 100, 4, 250
    law = jacobian_spectrum("tanh", depth, ensemble=ensemble, q=TANH.q)
    other = {"gaussian": "orthogonal", "orthogonal": "gaussian"}[ensemble]
    wrong = [
        jacobian_spectrum("tanh", depth, ensemble=other, q=TANH.q).moments(3),
        *(jacobian_spectrum("tanh", n, ensemble=ensemble, q=TANH.q).moments(3) for n in (2, 6)),
    ]
    found = []
    for _ in range(draws):
        signal = rng.normal(size=width) * math.sqrt(TANH.q)
        jacobian = np.eye(width)
        for layer in range(depth):
            weights = rng.normal(size=(width, width)) / math.sqrt(width)
            if ensemble == "orthogonal":
                weights = np.linalg.qr(weights)[0]
            weights *= math.sqrt(TANH.sigma_w2)
            shifts = rng.normal(size=width) * math.sqrt(TANH.sigma_b2)
            # The first layer's input is drawn so that its pre-activations have mean square q.
            scale = math.sqrt((TANH.q - TANH.sigma_b2) / TANH.sigma_w2 / np.mean(signal**2))
            before = signal * scale if layer == 0 else np.tanh(signal)
            signal = weights @ before + shifts
            jacobian = (1 - np.tanh(signal) ** 2)[:, None] * (weights @ jacobian)
        found.append(np.linalg.eigvalsh(jacobian @ jacobian.T))
    values = np.array(found)
    for k, moment in enumerate(law.moments(3), 1):
        means = np.mean(values**k, axis=1)
        error = means.std(ddof=1) / math.sqrt(draws)
        allowed = 4 * error + 2 * k**2 * moment / width
        assert abs(means.mean() - moment) < allowed, k
        # The first is the product of the layers' mean squares, the same for all of these.
        assert k == 1 or all(abs(means.mean() - one[k - 1]) > allowed for one in wrong), k
    # The largest of finite matrices lies below, by their size to the power -2/3.
    largest = np.mean(values.max(axis=1)) / law.lambda_max
    assert 1 - 5 * width ** (-2 / 3) < largest < 1 + width ** (-2 / 3)
    # Shares below some places: the law's are integrals of its density.
    places = np.array([0.05, 0.3, 1.0, 2.5]) * law.lambda_max / 4
    shares = np.mean(values[..., None] <= places, axis=1)
    error = shares.std(axis=0, ddof=1) / math.sqrt(draws)
    assert np.all(np.abs(shares.mean(axis=0) - law.cdf(places)) < 4 * error + 3 / width)


def test_spectrum_of_a_mean_field():
    field = mean_field("tanh", TANH.sigma_w2, TANH.sigma_b2)
    found = jacobian_spectrum(field, 4, ensemble="orthogonal")
    assert found.moments(1)[0] == pytest.approx(1.0, rel=1e-12)
    assert found.q == field.q
    with pytest.raises(InvalidArgumentError, match="its own sigma_w2"):
        jacobian_spectrum(field, 4, sigma_w2=1.0)


def chain(widths, activations, *, ends_with_weights=False):
    net = Network("chain")
    x = net.input((widths[0],))
    for width, activation in zip(widths[1:], activations, strict=True):
        x = net.activation(net.dense(x, width), activation)
    net.output(net.dense(x, widths[0]) if ends_with_weights else x)
    return net


def test_spectrum_of_a_chain():
    found = jacobian_spectrum(chain([5] * 5, ["relu"] * 4), ensemble="orthogonal")
    assert (found.depth, found.name) == (4, "relu")
    assert found.moments(4) == pytest.approx((1, 5, 31, 213), rel=1e-13)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (chain([5, 4, 5], ["relu"] * 2), "has 4 elements"),
        (chain([5, 5, 5], ["relu", "tanh"]), "activations differ: relu, tanh"),
        (chain([5, 5], ["relu"], ends_with_weights=True), "no activation follows"),
        (chain([5], []), "no activation follows"),
    ],
)
def test_networks_that_are_no_chain_of_equal_widths(net, message):
    with pytest.raises(TheoryDomainError, match=message):
        jacobian_spectrum(net)


def test_isometry_needs_orthogonal_weights_and_a_straight_origin():
    assert {name: isometry(name).is_possible for name in ("tanh", "erf", "hard_tanh", "linear")} \
        == dict.fromkeys(("tanh", "erf", "hard_tanh", "linear"), True)  # fmt: skip
    for name in ("relu", "leaky_relu", "abs", "sigmoid"):
        assert isometry(name).is_possible == (name == "abs"), name
    assert not isometry("tanh", "gaussian").is_possible
    assert isometry("tanh", "gaussian").excess[0] == pytest.approx(1.0, abs=1e-6)


def test_isometry_of_gelu_is_out_of_reach():
    """Its variance vanishes with q, but lengths leave every small q."""
    found = isometry("gelu")
    assert not found.is_possible
    assert found.excess[0] < 2e-3
    assert found.rows[0]["q is stable"] is False


def test_variance_of_tanh_vanishes_as_the_square_of_q():
    """f' = 1 - x^2 + ..., so that Var f'^2 = 4 Var x^2 = 8 q^2: depth q^2 has to be kept."""
    found = isometry("tanh")
    assert found.order == 2
    assert found.excess[0] == pytest.approx(8 * found.q[0] ** 2, rel=1e-2)
    assert "depth times q^2" in found.assumptions


def test_condition_is_the_largest_over_the_mean():
    found = jacobian_spectrum(RELU, 4, ensemble="orthogonal", sigma_w2=1)
    assert found.condition == pytest.approx(4**4 / 3**3, rel=1e-11)
    assert str(found).splitlines()[-1].startswith("Assumptions: infinite and equal widths")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jacobian_spectrum("relu", 0), TheoryDomainError, "depth"),
        (lambda: jacobian_spectrum("relu"), InvalidArgumentError, "depth"),
        (lambda: jacobian_spectrum(chain([2, 2], ["relu"]), 1), InvalidArgumentError, "its own"),
        (lambda: jacobian_spectrum("relu", 2, q="x"), InvalidArgumentError, "q must be numbers"),
        (lambda: jacobian_spectrum("relu", 2, q=-1.0), TheoryDomainError, "q must"),
        (lambda: jacobian_spectrum("relu", 2, sigma_w2=0.0), TheoryDomainError, "sigma_w2"),
        (lambda: jacobian_spectrum("relu", 2, ensemble="unitary"), InvalidArgumentError, "unitary"),
        (lambda: jacobian_spectrum(([1], [0.5]), 2), TheoryDomainError, "add up"),
        (lambda: jacobian_spectrum(([1, 2], [1.0]), 2), TheoryDomainError, "equal length"),
        (lambda: jacobian_spectrum(([-1], [1.0]), 2), TheoryDomainError, "not negative"),
        (
            lambda: jacobian_spectrum("relu", 1, ensemble="orthogonal").density(0.5),
            TheoryDomainError,
            "one orthogonal layer",
        ),
    ],
)
def test_arguments_outside_the_theory(call, error, message):
    with pytest.raises(error, match=message):
        call()
