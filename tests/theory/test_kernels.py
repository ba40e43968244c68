"""Kernels of infinite width: recursions by hand, and networks of finite width."""

import math

import numpy as np
import pytest

from oracles.gaussian_moments import agrees
from unrolled import InvalidArgumentError, TheoryDomainError
from unrolled.theory import Affine, kernel


def pair(c):
    """Two inputs of mean square one with a correlation."""
    s = math.sqrt(1 - c * c)
    return np.array([[1.0, 1.0], [c + s, c - s]])


def relus(hidden):
    return [*[Affine(2.0), "relu"] * hidden, Affine(2.0)]


def arc_cosine(hidden, c):
    """NNGP and NTK of ReLU by the formulas of Cho and Saul (2009)."""
    k, tangent = 2 * c, 2 * c
    for _ in range(hidden):
        c = k / 2
        k = 2 / math.pi * (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c)))
        tangent = k + tangent * (1 - math.acos(c) / math.pi)
    return k, tangent


@pytest.mark.parametrize(
    ("hidden", "c", "nngp", "ntk", "own"),
    [
        (3, 0.6, "1.5506248696881", "3.9045733703693", 8),
        (1, 0.6, "1.355095135533", "2.200894453172", 4),
        (2, 0.0, ".98746218040074", "1.3714172725659", 6),
    ],
)
def test_relu(hidden, c, nngp, ntk, own):
    process = kernel(relus(hidden), pair(c)).matrix
    tangent = kernel(relus(hidden), pair(c), kind="ntk").matrix
    expected = arc_cosine(hidden, c)
    for value, exact, digits in zip((process, tangent), expected, (nngp, ntk), strict=True):
        assert value[0, 1] == pytest.approx(exact, rel=1e-13)
        assert agrees(value[0, 1], digits)
        assert np.array_equal(value, value.T)
    np.testing.assert_allclose(np.diag(process), 2.0, rtol=1e-13)
    np.testing.assert_allclose(np.diag(tangent), own, rtol=1e-13)


def test_linear_layers_multiply():
    rows = np.random.default_rng(1).normal(size=(4, 3))
    gram = rows @ rows.T / 3
    layers = [Affine(2.0, 0.5), "linear", Affine(3.0, 0.1)]
    first = 2 * gram + 0.5
    np.testing.assert_allclose(kernel(layers, rows).matrix, 3 * first + 0.1, rtol=1e-12)
    expected = 3 * first + 0.1 + 3 * first
    np.testing.assert_allclose(kernel(layers, rows, kind="ntk").matrix, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "erf", "hard_tanh", "relu"])
def test_covariance_of_outputs_of_wide_networks(name):
    """Random networks of width 200: products of outputs, with four standard errors."""
    functions = {
        "tanh": np.tanh,
        "hard_tanh": lambda x: np.clip(x, -1, 1),
        "relu": lambda x: np.maximum(x, 0),
    }
    functions["erf"] = np.vectorize(lambda x: math.erf(math.sqrt(math.pi) / 2 * x))
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(3, 5))
    layers = [Affine(1.8, 0.1), name, Affine(1.5, 0.2), name, Affine(2.0, 0.05)]
    width, draws, outputs = 200, 250, 20
    found = np.empty((draws, 3, 3))
    for draw in range(draws):
        signal = rows.T
        for at, (layer, size) in enumerate(zip(layers[::2], (width, width, outputs), strict=True)):
            if at:
                signal = functions[name](signal)
            deviation = math.sqrt(layer.sigma_w2 / len(signal))
            weights = rng.normal(size=(size, len(signal))) * deviation
            shifts = rng.normal(size=(size, 1)) * math.sqrt(layer.sigma_b2)
            signal = weights @ signal + shifts
        found[draw] = signal.T @ signal / outputs
    expected = kernel(layers, rows).matrix
    error = found.std(axis=0) / math.sqrt(draws)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * error + 2 * expected.max() / width)


def test_tangent_kernel_of_wide_networks():
    """Products of gradients by all trained numbers, in the parametrisation that is stated."""
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(3, 6))
    layers = [Affine(2.0, 0.3), "tanh", Affine(1.5, 0.2), "tanh", Affine(1.7, 0.1)]
    width, draws = 300, 40
    found = np.zeros((draws, 3, 3))
    for draw in range(draws):
        sizes = (6, width, width, 1)
        weights = [rng.normal(size=(sizes[at + 1], sizes[at])) for at in range(3)]
        shifts = [rng.normal(size=(sizes[at + 1], 1)) for at in range(3)]
        factors = [math.sqrt(layers[2 * at].sigma_w2 / sizes[at]) for at in range(3)]
        signals, signal = [rows.T], rows.T
        for at in range(3):
            shift = math.sqrt(layers[2 * at].sigma_b2) * shifts[at]
            signal = factors[at] * weights[at] @ signal + shift
            if at < 2:
                signal = np.tanh(signal)
                signals.append(signal)
        gradient = np.ones((1, 3))
        for at in reversed(range(3)):
            # Gradients by weights are outer products, so that their products factorise.
            both = gradient.T @ gradient
            found[draw] += both * (factors[at] ** 2 * signals[at].T @ signals[at])
            found[draw] += both * layers[2 * at].sigma_b2
            if at:
                gradient = factors[at] * weights[at].T @ gradient * (1 - signals[at] ** 2)
    expected = kernel(layers, rows, kind="ntk").matrix
    error = found.std(axis=0) / math.sqrt(draws)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * error + 3 * expected.max() / width)


def test_forms_of_a_kernel():
    found = kernel(relus(1), pair(0.6), kind="ntk")
    assert np.array_equal(np.asarray(found), found.matrix)
    assert found.layers == ("affine(2, 0)", "relu", "affine(2, 0)")
    assert "sqrt(fan_in)" in found.assumptions
    assert len(found.rows) == 2
    assert kernel(relus(1), [[1.0, 2.0]]).rows[0]["least correlation"] is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "last layer"),
        (["relu", Affine(1.0)], "follows an Affine"),
        ([Affine(1.0), "relu"], "last layer"),
        ([Affine(1.0), Affine(1.0)], "in a row"),
        ([Affine(1.0), "relu", "tanh", Affine(1.0)], "follows an Affine"),
        ([Affine(0.0)], "positive"),
        ([Affine(1.0, -1.0)], "positive"),
    ],
)
def test_layers_that_are_no_chain(layers, message):
    with pytest.raises(TheoryDomainError, match=message):
        kernel(layers, pair(0.5))


@pytest.mark.parametrize("inputs", [[1.0, 2.0], [[math.nan, 1.0]], np.zeros((0, 2))])
def test_inputs_that_are_no_samples(inputs):
    with pytest.raises(InvalidArgumentError, match="matrix"):
        kernel([Affine(1.0)], inputs)


def test_unknown_kind():
    with pytest.raises(InvalidArgumentError, match="nngp"):
        kernel([Affine(1.0)], pair(0.5), kind="ntkk")
