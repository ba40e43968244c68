"""Activations: moments against arithmetic of 22 digits, derivatives of what is only a callable."""

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from oracles.gaussian_moments import FUNCTIONS, agrees, mean, moment, pair_mean
from unrolled import InvalidArgumentError, TheoryDomainError
from unrolled.theory import Activation, as_activation, leaky_relu
from unrolled.theory.activations import NAMES
from unrolled.theory.gaussian import expectation, pair_expectation

STRAIGHT = tuple(name for name in NAMES if as_activation(name).slopes)


def test_every_name_has_an_oracle():
    assert set(NAMES) == set(FUNCTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_function_and_its_derivatives(name):
    activation = as_activation(name)
    for x in (-31.0, -2.3, -0.7, 0.4, 0.9, 3.1, 31.0):
        with mp.workdps(40):
            expected = [mp.diff(FUNCTIONS[name], mp.mpf(x), k) for k in range(3)]
        given = np.array([x])
        for function, value in zip(
            (activation.function, activation.derivative, activation.second_derivative),
            expected,
            strict=True,
        ):
            if function is not None:
                assert function(given)[0] == pytest.approx(float(value), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", [0.3, 6.0])
def test_moments_agree_with_integrals_of_mpmath(name, variance):
    activation = as_activation(name)
    assert activation.mean(variance) == pytest.approx(
        float(moment(name, variance, power=1)), rel=1e-13, abs=1e-14
    )
    assert activation.mean_square(variance) == pytest.approx(
        float(moment(name, variance)), rel=1e-13
    )
    assert activation.mean_square_slope(variance) == pytest.approx(
        float(moment(name, variance, derivative=1)), rel=1e-12
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in STRAIGHT])
def test_mean_square_of_second_derivative(name):
    found = as_activation(name).mean_square_curvature(1.7)
    assert found == pytest.approx(float(moment(name, 1.7, derivative=2)), rel=1e-11)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hard_tanh", "abs", "relu6"])
def test_second_derivative_of_kinks_diverges(name):
    assert as_activation(name).mean_square_curvature(1.0) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in STRAIGHT])
def test_growth_by_stein_is_that_by_derivatives(name):
    activation = as_activation(name)

    def product(x):
        return activation.function(x) * activation.second_derivative(x)

    bent = expectation(product, 1.3, activation.kinks)
    assert activation.mean_square_growth(1.3) == pytest.approx(
        activation.mean_square_slope(1.3) + bent, rel=1e-12
    )


@pytest.mark.parametrize(
    ("name", "square", "slope"),
    [
        ("gelu", ".4252214825703", ".4558508656493"),
        ("silu", ".3557755198174", ".3794823516328"),
        ("tanh", ".3942944903978", ".4644029024483"),
        ("sigmoid", ".2933790358581", ".04483624135019"),
        ("relu", ".5", ".5"),
    ],
)
def test_moments_at_variance_one(name, square, slope):
    activation = as_activation(name)
    assert agrees(activation.mean_square(1.0), square)
    assert agrees(activation.mean_square_slope(1.0), slope)
    assert agrees(moment(name, 1), square)
    assert agrees(moment(name, 1, derivative=1), slope)


@pytest.mark.parametrize(
    ("number", "first", "second"),
    [(4, "1.029375373004", "1.551328895422"), (9, "1.485013162209", "2.562617418292")],
)
def test_expectation_of_the_largest_of_normal_numbers(number, first, second):
    def density(x):
        return number * special.ndtr(x) ** (number - 1)

    assert agrees(expectation(lambda x: x * density(x), 1.0), first)
    assert agrees(expectation(lambda x: x**2 * density(x), 1.0), second)
    with mp.workdps(22):
        exact = mean(lambda x: x * number * mp.ncdf(x) ** (number - 1), 1)
    assert agrees(exact, first)


@pytest.mark.parametrize("variance", [1e-8, 1e4, 1e10])
def test_moments_keep_their_accuracy_at_any_variance(variance):
    """The limits: tanh is a straight line of small numbers and a sign of large ones."""
    activation = as_activation("tanh")
    with mp.workdps(30):
        deviation = mp.sqrt(variance)
        # In units of the argument, where the function varies.
        ends = [0, 0.5, 1, 2, 4, 8, 16, 40, 13 * deviation]
        ends = sorted(end for end in ends if end <= 13 * deviation)
        exact = 2 * mp.quad(lambda x: mp.sech(x) ** 4 * mp.npdf(x / deviation) / deviation, ends)
    assert activation.mean_square_slope(variance) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "silu", "sigmoid", "softplus", "mish"])
@pytest.mark.parametrize(("q1", "q2", "c"), [(1.0, 1.0, 0.6), (0.4, 5.0, -0.7), (3.0, 2.0, 0.0)])
def test_moments_of_pairs_against_another_rule(name, q1, q2, c):
    activation = as_activation(name)
    both = c * np.sqrt(q1 * q2)
    assert activation.pair_product(q1, q2, both) == pytest.approx(
        pair_mean(activation.function, q1, q2, c), rel=1e-12, abs=1e-14
    )
    assert activation.pair_slope_product(q1, q2, both) == pytest.approx(
        pair_mean(activation.derivative, q1, q2, c), rel=1e-12
    )


@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.3)", "hard_tanh", "abs", "linear", "erf"])
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (0.3, 5.0), (40.0, 3.0)])
@pytest.mark.parametrize("c", [0.0, 0.3, -0.8, 0.99, 1.0, -1.0])
def test_formulas_of_pairs_against_double_integrals(name, q1, q2, c):
    activation = as_activation(name)
    both = c * np.sqrt(q1) * np.sqrt(q2)
    for found, function in (
        (activation.pair_product, activation.function),
        (activation.pair_slope_product, activation.derivative),
    ):
        expected = pair_expectation(function, q1, q2, c, activation.kinks)
        assert found(q1, q2, both) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("c", [-1.0, -0.3, 0.0, 0.5, 0.999, 1 - 1e-12, 1.0])
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (1e4, 2.0)])
def test_double_integral_of_steps_is_the_arc_cosine(q1, q2, c):
    """Sheppard's formula; the second number's step moves, and is infinitely steep at c = 1."""
    found = pair_expectation(lambda x: (x > 0) * 1.0, q1, q2, c, (0.0,))
    assert found == pytest.approx(0.5 - np.arccos(c) / (2 * np.pi), abs=1e-14)


def test_pair_with_itself_is_the_mean_square():
    for name in NAMES:
        activation = as_activation(name)
        found = activation.pair_product(2.0, 2.0, 2.0)
        assert found == pytest.approx(activation.mean_square(2.0), rel=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_at_variance_zero_moments_are_limits(name):
    activation = as_activation(name)
    slopes = activation.derivative(np.array([-1e-9, 1e-9]))
    assert activation.mean_square_slope(0.0) == pytest.approx(np.mean(slopes**2), rel=1e-8)
    assert activation.mean_square_growth(1e-12) == pytest.approx(
        np.mean(slopes**2) + activation.function(0.0) * _second(activation), rel=1e-3
    )


def _second(activation):
    second = activation.second_derivative
    return 0.0 if second is None else float(np.mean(second(np.array([-1e-9, 1e-9]))))


CALLABLES = {
    "clipped": (lambda x: np.clip(x, 0, 6), (0.0, 6.0), "complex"),
    "relu": (lambda x: np.maximum(x, 0), (0.0,), "complex"),
    "size": (np.abs, (0.0,), "central"),
    "smooth": (np.sin, (), "complex"),
    "real only": (lambda x: np.array([float(one) ** 2 for one in x]), (), "central"),
    "hard sigmoid": (lambda x: np.clip(x / 6 + 0.5, 0, 1), (-3.0, 3.0), "complex"),
    "shifted": (lambda x: np.abs(x - 1 / 3), (1 / 3,), "central"),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_kinks_and_derivatives_of_callables(name):
    function, kinks, note = CALLABLES[name]
    activation = as_activation(function)
    assert activation.kinks == pytest.approx(kinks, abs=1e-5)
    assert note in activation.note
    assert (activation.mean_square_curvature(1.0) is None) == bool(kinks)


def test_callable_has_the_moments_of_its_name():
    for name, function in (
        ("tanh", np.tanh),
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("hard_tanh", lambda x: np.clip(x, -1, 1)),
    ):
        named, given = as_activation(name), as_activation(function)
        assert given.mean_square_slope(1.4) == pytest.approx(
            named.mean_square_slope(1.4), rel=1e-12
        )
        if named.second_derivative is not None:
            assert given.mean_square_curvature(1.4) == pytest.approx(
                named.mean_square_curvature(1.4), rel=1e-9
            )


def test_central_differences_are_good_to_eight_digits():
    activation = as_activation(lambda x: np.array([np.tanh(float(one)) for one in x]))
    assert "central" in activation.note
    expected = as_activation("tanh").mean_square_slope(1.0)
    assert activation.mean_square_slope(1.0) == pytest.approx(expected, rel=1e-8)


def test_kinks_may_be_given():
    activation = as_activation(lambda x: np.abs(x - 30.0), kinks=[30.0])
    assert activation.mean_square_curvature(1.0) is None
    assert activation.mean_square_slope(900.0) == pytest.approx(1.0, abs=1e-9)


def test_slope_of_leaky_relu():
    assert as_activation("leaky_relu(0.2)").slopes == leaky_relu(0.2).slopes == (0.2, 1.0)
    assert as_activation("leaky_relu(a=0.2)").mean_square(1.0) == pytest.approx(0.52, rel=1e-14)


def test_limits_of_clip():
    x = np.linspace(-9, 9, 7)
    for low, high in ((0, 6), (-1, 1), (2, 5), (-4, -3)):
        clip = as_activation(f"clip({low}, {high})")
        np.testing.assert_allclose(clip.function(x), np.clip(x, low, high), atol=1e-14)
    assert as_activation("clip(0, inf)").mean_square(1.0) == pytest.approx(0.5, rel=1e-14)
    assert as_activation("clip(-inf, inf)").kinks == ()


def test_an_activation_is_its_own():
    activation = as_activation("gelu")
    assert as_activation(activation) is activation
    assert isinstance(activation, Activation)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("gelo", "did you mean 'gelu'"),
        ("leaky_relu(x)", "takes 1 number"),
        ("clip(1)", "takes 2 numbers"),
        ("clip(2, 1)", "larger limit"),
        (3, "name"),
        (lambda x: 1.0, "equal shape"),
        (lambda x: x * np.nan, "finite"),
    ],
)
def test_what_is_no_activation(wrong, message):
    with pytest.raises(InvalidArgumentError, match=message):
        as_activation(wrong)


def test_function_that_grows_too_fast():
    activation = as_activation(lambda x: np.sinh(x) * np.exp(np.minimum(x * x, 600)))
    with pytest.raises(TheoryDomainError, match="grow less than"):
        activation.mean_square(1e6)
