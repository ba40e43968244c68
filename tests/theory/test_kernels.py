"""Kernels of infinite width: recursions by hand, and networks of finite width."""

import math

import numpy as np
import pytest

from oracles.gaussian_moments import agrees
from unrolled import InvalidArgumentError, Network, TheoryDomainError
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


def network_of(build, shape):
    net = Network()
    net.output(build(net, net.input(shape)))
    return net


def dense_chain(net, x):
    for at in range(2):
        x = net.activation(net.dense(x, 7, name=f"layer{at}"), "tanh")
    return net.dense(x, 1, name="end")


def test_network_of_dense_layers_is_a_chain():
    rows = np.random.default_rng(3).normal(size=(4, 5))
    layers = [Affine(1.7, 0.2), "tanh", Affine(1.7, 0.2), "tanh", Affine(1.7, 0.2)]
    net = network_of(dense_chain, (5,))
    for kind in ("nngp", "ntk"):
        found = kernel(net, rows, kind=kind, sigma_w2=1.7, sigma_b2=0.2)
        np.testing.assert_allclose(found.matrix, kernel(layers, rows, kind=kind).matrix, rtol=1e-12)
    assert found.layers == ("layer0", "tanh", "layer1", "tanh", "end")


def residual(net, x):
    x = net.dense(x, 9, use_bias=False)
    for _ in range(2):
        inner = net.activation(net.dense(x, 9, use_bias=False))
        x = net.add(x, net.dense(inner, 9, use_bias=False))
    return net.dense(x, 1, use_bias=False)


def test_residual_network_by_hand():
    """A branch adds its kernel: a block of He layers doubles the mean square."""
    rows = pair(0.6)
    net = network_of(residual, (2,))
    k = tangent = 2 * 0.6
    own = own_tangent = 2.0
    for _ in range(2):
        # relu behind the first layer of the branch, then its second layer.
        c = k / own
        inner = 2 * k + tangent * 2  # Tangent of the branch's pre-activations.
        slope = 1 - math.acos(c) / math.pi
        value = 2 * own / math.pi * (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c)))
        tangent += value + slope * inner
        k += value
        own_tangent += 2 * own + (2 * own + 2 * own_tangent)
        own *= 3
    process = kernel(net, rows).matrix
    assert process[0, 0] == pytest.approx(2 * own, rel=1e-12)
    assert process[0, 1] == pytest.approx(2 * k, rel=1e-12)
    found = kernel(net, rows, kind="ntk").matrix
    assert found[0, 1] == pytest.approx(2 * k + 2 * tangent, rel=1e-12)
    assert found[0, 0] == pytest.approx(2 * own + 2 * own_tangent, rel=1e-12)


def convolutional(net, x, channels=4):
    x = net.activation(net.conv(x, channels, 3, padding="same", name="first"))
    x = net.conv(x, channels, 3, stride=2, padding=1, use_bias=False, name="second")
    x = net.flatten(net.activation(x, "tanh"))
    return net.dense(x, 1, name="end")


def test_convolutional_network_of_many_channels():
    """Random filters drawn out, position by position, with four standard errors."""
    rng = np.random.default_rng(13)
    rows = rng.normal(size=(3, 2, 5))
    expected = kernel(network_of(convolutional, (2, 5)), rows, sigma_w2=1.9, sigma_b2=0.1).matrix
    channels, draws, ends = 150, 300, 10
    found = np.empty((draws, 3, 3))
    for draw in range(draws):
        first = rng.normal(size=(channels, 2, 3)) * math.sqrt(1.9 / 6)
        shifts = rng.normal(size=channels) * math.sqrt(0.1)
        second = rng.normal(size=(channels, channels, 3)) * math.sqrt(1.9 / (3 * channels))
        last = rng.normal(size=(ends, 3 * channels)) * math.sqrt(1.9 / (3 * channels))
        padded = np.pad(rows, ((0, 0), (0, 0), (1, 1)))
        windows = np.stack([padded[:, :, at : at + 3] for at in range(5)], axis=1)
        signal = np.maximum(np.einsum("npct,oct->nop", windows, first) + shifts[:, None], 0)
        padded = np.pad(signal, ((0, 0), (0, 0), (1, 1)))
        windows = np.stack([padded[:, :, at : at + 3] for at in (0, 2, 4)], axis=1)
        signal = np.tanh(np.einsum("npct,oct->nop", windows, second, optimize=True))
        values = signal.reshape(3, -1) @ last.T + rng.normal(size=ends) * math.sqrt(0.1)
        found[draw] = values @ values.T / ends
    error = found.std(axis=0) / math.sqrt(draws)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * error + 2 * expected.max() / channels)


def test_layers_of_tokens_are_alike_for_each_token():
    """Along the axis of tokens weights are shared: the kernel is that of one token, averaged."""
    rows = np.random.default_rng(2).normal(size=(3, 4, 6))

    def tokens(net, x):
        return net.dense(net.flatten(net.activation(net.dense(x, 5, use_bias=False))), 1)

    found = kernel(network_of(tokens, (4, 6)), rows).matrix
    each = [kernel([Affine(2.0), "relu", Affine(2.0)], rows[:, at]).matrix for at in range(4)]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)


def test_depthwise_and_transposed_layers():
    rows = np.random.default_rng(4).normal(size=(2, 3, 4))

    def depthwise(net, x):
        x = net.depthwise_conv(net.transpose(net.transpose(x)), 1, use_bias=False)
        return net.dense(net.flatten(x), 1, use_bias=False)

    gram = np.einsum("ncp,mcp->nm", rows, rows) / 12
    found = kernel(network_of(depthwise, (3, 4)), rows).matrix
    np.testing.assert_allclose(found, 2 * 2 * gram, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda net, x: net.dense(net.global_pool(net.conv(x, 3, 1)), 1), "kind average"),
        (lambda net, x: net.conv(x, 3, 3), "differ"),
        (lambda net, x: net.dense(net.flatten(net.add(x, net.activation(x))), 1), "correlated"),
        (lambda net, x: net.dense(net.flatten(net.add(x, x)), 1), "correlated"),
        (lambda net, x: net.dense(net.flatten(net.multiply(x, x)), 1), "kind product"),
        (lambda net, x: net.dense(net.flatten(net.slice(x, 1, 2)), 1), "kind move"),
    ],
)
def test_networks_without_a_kernel(build, message):
    net = network_of(build, (2, 5))
    with pytest.raises(TheoryDomainError, match=message):
        kernel(net, np.ones((2, 2, 5)))


def test_samples_have_the_shape_of_the_input():
    net = network_of(dense_chain, (5,))
    with pytest.raises(InvalidArgumentError, match=r"shape \(5,\)"):
        kernel(net, np.ones((2, 6)))
    with pytest.raises(InvalidArgumentError, match="leave them out"):
        kernel([Affine(1.0)], pair(0.5), sigma_w2=2.0)


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
    with pytest.raises(InvalidArgumentError, match="samples"):
        kernel([Affine(1.0)], inputs)


def test_unknown_kind():
    with pytest.raises(InvalidArgumentError, match="nngp"):
        kernel([Affine(1.0)], pair(0.5), kind="ntkk")
