"""Every rule against networks with drawn weights, within four standard errors or a stated bias.

A bias is what is left of a rule at so few channels, or at so small an image; it is stated where it
is allowed, and is no more than was seen with ten times as many draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from oracles.tape import (
    Draws,
    Estimate,
    Value,
    affine,
    apply,
    backward,
    concatenate,
    contract,
    dense,
    fixed,
    gradient_square,
    kernel_gradient,
    largest,
    mean,
    mean_square,
    normalise,
    pair_of_positions,
    pair_of_samples,
    per_draw,
    reshape,
    softmax,
    transpose,
    windows,
)
from unrolled import Network, Operation, Propagation, Relation, Signal, propagate


def sigma(x):
    return 1 / (1 + np.exp(-x))


RELU = (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float))
LEAKY = (lambda x: np.where(x > 0, x, 0.2 * x), lambda x: np.where(x > 0, 1, 0.2))
TANH = (np.tanh, lambda x: 1 - np.tanh(x) ** 2)
SIGMOID = (sigma, lambda x: sigma(x) * sigma(-x))
SILU = (lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x)))
GELU = (lambda x: x * ndtr(x), lambda x: ndtr(x) + x * np.exp(-x * x / 2) / (2 * np.pi) ** 0.5)
FUNCTIONS = {
    "relu": RELU,
    "leaky_relu(0.2)": LEAKY,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "silu": SILU,
    "gelu": GELU,
}


def within(estimate: Estimate, prediction: float, bias: float = 0.0) -> None:
    assert estimate.agrees(prediction, bias), (
        f"simulated {estimate}, predicted {prediction:.6g} with a bias of {bias:.0%}"
    )


def jacobian(x: Value) -> Estimate:
    """The squared derivatives of all outputs of one sample by all its inputs."""
    squares = (x.gradient**2).reshape(*x.shape[:2], -1).sum(2)
    return Estimate(squares.mean(1))


def agrees(
    p: Propagation,
    tensors: Mapping[str, Value] = {},
    kernels: Mapping[str, Value] = {},
    *,
    bias: float = 0.0,
    gradients: bool = True,
) -> None:
    """Mean squares, products of samples, and gradients."""
    for name, value in tensors.items():
        within(mean_square(value), p[name].mean_square, bias)
        if value.shape[1] > 1:
            within(pair_of_samples(value), p[name].correlation * p[name].mean_square, bias)
        if gradients:
            within(gradient_square(value), p[name].gradient, bias)
    for name, kernel in kernels.items():
        within(kernel_gradient(kernel), p[name].gradient, bias)


def channels_first(x: Value) -> np.ndarray[Any, Any]:
    return x.array.swapaxes(2, 3)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function(function: str) -> None:
    """Two samples of a correlation of 0.3, through two layers; half a percent is left of width."""
    draws, width = Draws(300, 1), 100
    k1, k2 = draws.kernel(1.5 / width, width, width), draws.kernel(1.5 / width, width, width)
    x = draws.input(width, correlation=0.3)
    h = dense(x, k1)
    a = apply(h, *FUNCTIONS[function])
    y = dense(a, k2)
    z = apply(y, *FUNCTIONS[function])
    draws.pull(z)
    net = Network()
    first = net.activation(
        net.dense(net.input((width,)), width, use_bias=False), function, name="a"
    )
    second = net.dense(first, width, use_bias=False, name="y")
    net.output(net.activation(second, function, name="z"))
    p = propagate(net, 1.5, input=Signal(correlation=0.3))
    agrees(p, {"a": a, "y": y, "z": z}, bias=0.01)
    within(jacobian(x), p.jacobian, 0.02)


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({"stride": 1, "padding": 1, "dilation": 1}, 1),
        ({"stride": 2, "padding": 1, "dilation": 1}, 1),
        ({"stride": 1, "padding": 2, "dilation": 2}, 2),
        ({"stride": 1, "padding": 0, "dilation": 1}, 4),
    ],
)
def test_convolution_with_borders_is_exact(options: dict[str, int], groups: int) -> None:
    draws = Draws(3000, 2)
    x = draws.input(2, 6, 6, samples=1)
    k1, k2 = draws.kernel(0.1, 4, 2, 3, 3), draws.kernel(0.2, 4, 4 // groups, 3, 3)
    h = affine(x, k1, padding=1)
    y = affine(apply(h, *RELU), k2, groups=groups, **options)
    draws.pull(y)
    net = Network()
    first = net.activation(net.conv(net.input((2, 6, 6)), 4, 3, use_bias=False, name="h"))
    net.output(net.conv(first, 4, 3, groups=groups, use_bias=False, name="y", **options))
    p = propagate(net, {"h": 0.1, "y": 0.2}, exact=True)
    assert p.exactness == "exact"
    agrees(p, {"h": h, "y": y}, {"h/kernel": k1, "y/kernel": k2})
    within(jacobian(x), p.jacobian)


def test_transposed_convolution_is_exact() -> None:
    """The transpose of the matrix of a convolution, with a stride."""
    draws, size = Draws(3000, 3), 4
    x = draws.input(3, size, size, samples=1)
    k1 = draws.kernel(0.15, 5, 3, 3, 3)  # Of the convolution that it is the transpose of.
    big = 2 * size
    row = np.zeros((size, 3, big))
    for o in range(size):
        for t in range(3):
            if 2 * o + t < big:
                row[o, t, 2 * o + t] = 1
    spread = np.einsum("aih,bjw->hwabij", row, row).reshape(big * big, size * size * 9)
    weights = Value(k1.array.reshape(3000, 5, 3, 9), [(k1, lambda g: g.reshape(k1.shape))])
    flat = reshape(x, 3, size * size)
    moved = contract("dsip,doit->dsopt", flat, weights)
    y = reshape(fixed(reshape(moved, 5, size * size * 9), spread), 5, big, big)
    draws.pull(y)
    net = Network()
    net.output(
        net.conv_transpose(net.input((3, size, size)), 5, 3, stride=2, use_bias=False, name="y")
    )
    p = propagate(net, {"y": 0.15}, exact=True)
    agrees(p, {"y": y}, {"y/kernel": k1})
    within(jacobian(x), p.jacobian)
    # Positions a stride apart share weights, others do not: none are alike where inputs are not.
    within(Estimate(pair_of_positions(y.array, 5)), 0.0)


def pooled_network(
    pool: Callable[[Network, Any], Any], function: str, size: int, width: int
) -> tuple[Network, str]:
    net = Network()
    x = net.conv(net.input((3, size, size)), width, 3, padding=1, use_bias=False, name="c1")
    x = pool(net, net.activation(x, function, name="h"))
    x = net.activation(net.conv(x, width, 3, padding=1, use_bias=False, name="c2"))
    net.output(net.dense(net.flatten(x), 5, use_bias=False, name="out"))
    return net, "pool"


@pytest.mark.parametrize(
    ("size", "stride", "padding", "bias"),
    [(2, 2, 0, 0.02), (3, 2, 1, 0.08), (3, 1, 1, 0.1)],
)
def test_average_pool(size: int, stride: int, padding: int, bias: float) -> None:
    """Derivatives add coherently on the way back; windows that overlap leave a bias in `c1`."""
    draws, width, side = Draws(1200, 4), 16, 6
    x = draws.input(3, side, side, samples=1)
    k1, k2 = draws.kernel(2 / 27, width, 3, 3, 3), draws.kernel(2 / (9 * width), width, width, 3, 3)
    h = apply(affine(x, k1, padding=1), *RELU)
    found, inside = windows(h, size, stride, padding)
    weights = Value(np.broadcast_to(1 / inside.sum(-1), found.shape[:-1]))
    taps = size * size
    total = mean(found, [found.array.ndim - 1])
    total = Value(total.array[..., 0] * taps, [(total, lambda g: g[..., None] * taps)])
    s = total * weights
    y = apply(affine(s, k2, padding=1), *RELU)
    features = int(np.prod(y.shape[2:]))
    k3 = draws.kernel(2 / features, features, 5)
    draws.pull(dense(reshape(y, features), k3))
    net, name = pooled_network(
        lambda net, x: net.average_pool(x, size, stride=stride, padding=padding, name="pool"),
        "relu",
        side,
        width,
    )
    p = propagate(net)
    agrees(p, {name: s, "h": h}, {"c2/kernel": k2, "out/kernel": k3}, bias=0.03)
    within(kernel_gradient(k1), p["c1/kernel"].gradient, bias)
    within(jacobian(x), p.jacobian, bias)
    # What a window shares on the way back is as much as is said.
    coherence = p["h"].gradient_correlation * p["h"].gradient
    within(Estimate(pair_of_positions(h.gradient, width)), coherence, 0.02)


@pytest.mark.parametrize(
    ("function", "size", "bias"),
    [("relu", 2, 0.01), ("relu", 3, 0.01), ("gelu", 2, 0.01), ("tanh", 2, 0.06)],
)
def test_max_pool_behind_a_function(function: str, size: int, bias: float) -> None:
    """The largest is not quite normal, which tanh feels; half of the seen bias is stated."""
    draws, width, side = Draws(1200, 5), 16, 6
    x = draws.input(3, side, side, samples=1)
    k1, k2 = draws.kernel(2 / 27, width, 3, 3, 3), draws.kernel(2 / (9 * width), width, width, 3, 3)
    h = apply(affine(x, k1, padding=1), *FUNCTIONS[function])
    s = largest(windows(h, size, size)[0])
    y = apply(affine(s, k2, padding=1), *RELU)
    features = int(np.prod(y.shape[2:]))
    k3 = draws.kernel(2 / features, features, 5)
    draws.pull(dense(reshape(y, features), k3))
    net, name = pooled_network(
        lambda net, x: net.max_pool(x, size, name="pool"), function, side, width
    )
    p = propagate(net)
    agrees(p, {name: s}, {"c2/kernel": k2, "out/kernel": k3}, bias=bias)
    within(gradient_square(h), p["h"].gradient, bias)
    within(jacobian(x), p.jacobian, bias)


def test_gate() -> None:
    """Both factors are made of one tensor, so that little is left of width in the second."""
    draws, width = Draws(800, 6), 96
    x = draws.input(width, samples=1)
    k = [draws.kernel(1 / width, width, width) for _ in range(4)]
    y = dense(x, k[0]) * apply(dense(x, k[1]), *SIGMOID)
    z = dense(y, k[2]) * apply(dense(y, k[3]), *SIGMOID)
    draws.pull(z)
    net = Network()
    at = net.input((width,))
    for name in ("y", "z"):
        a = net.dense(at, width, use_bias=False, name=f"{name}.a")
        b = net.activation(net.dense(at, width, use_bias=False, name=f"{name}.b"), "sigmoid")
        at = net.multiply(a, b, name=name)
    net.output(at)
    p = propagate(net, 1.0)
    agrees(p, {"y": y, "z": z}, {"y.a/kernel": k[0], "z.a/kernel": k[2]}, bias=0.02)
    agrees(p, {}, {"y.b/kernel": k[1], "z.b/kernel": k[3]}, bias=0.05)
    within(jacobian(x), p.jacobian, 0.02)


def test_gate_that_is_repeated_over_positions() -> None:
    """Squeeze and excite: derivatives by the gate add up over all positions that it scales."""
    draws, width, side = Draws(400, 7), 24, 8
    x = draws.input(6, side, side, samples=1)
    k1 = draws.kernel(2 / 54, width, 6, 3, 3)
    k2, k3 = draws.kernel(1 / width, width, width), draws.kernel(1 / width, 8, width, 1, 1)
    h = apply(affine(x, k1, padding=1), *RELU)
    s = mean(h, [3, 4])
    gate = apply(dense(reshape(s, width), k2), *SIGMOID)
    y = h * reshape(gate, width, 1, 1)
    z = affine(y, k3)
    out = mean(z, [3, 4])
    draws.pull(out)
    net = Network()
    at = net.conv(net.input((6, side, side)), width, 3, padding=1, use_bias=False, name="c1")
    at = net.activation(at, name="h")
    g = net.conv(net.global_pool(at, keep_dimensions=True, name="s"), width, 1, use_bias=False)
    at = net.multiply(at, net.activation(g, "sigmoid", name="gate"), name="y")
    net.output(net.global_pool(net.conv(at, 8, 1, use_bias=False, name="z"), name="out"))
    p = propagate(net, {"c1": 2 / 54, "conv_1": 1 / width, "z": 1 / width})
    agrees(p, {"y": y, "h": h}, bias=0.03)
    within(mean_square(gate), p["gate"].mean_square, 0.01)
    # Positions near the border are a little less alike than is said: see the global mean.
    within(mean_square(s), p["s"].mean_square, 0.05)
    within(gradient_square(gate), p["gate"].gradient, 0.1)
    within(mean_square(out), p["out"].mean_square, 0.05)


def test_concatenation() -> None:
    draws, width, side = Draws(500, 8), 16, 6
    x = draws.input(6, side, side, samples=1)
    k1, k2 = draws.kernel(2 / 54, width, 6, 3, 3), draws.kernel(1 / 6, width // 2, 6, 1, 1)
    k3 = draws.kernel(0.01, 8, width * 3 // 2, 3, 3)
    a, b = apply(affine(x, k1, padding=1), *RELU), affine(x, k2)
    c = concatenate([a, b], 0)
    y = affine(c, k3, padding=1, stride=2)
    draws.pull(y)
    net = Network()
    at = net.input((6, side, side))
    first = net.activation(net.conv(at, width, 3, padding=1, use_bias=False, name="c1"), name="a")
    second = net.conv(at, width // 2, 1, use_bias=False, name="b")
    joined = net.concat([first, second], name="c")
    net.output(net.conv(joined, 8, 3, stride=2, padding=1, use_bias=False, name="y"))
    p = propagate(net, {"c1": 2 / 54, "b": 1 / 6, "y": 0.01})
    agrees(p, {"a": a, "b": b, "c": c, "y": y}, {"c1/kernel": k1, "b/kernel": k2, "y/kernel": k3})
    within(jacobian(x), p.jacobian)


def test_batch_norm_behind_a_concatenation_normalises_each_channel() -> None:
    """One number a tensor cannot tell the parts apart, cells can."""
    draws, width = Draws(40, 9), 96
    x = draws.input(width, samples=64)
    k1, k2 = draws.kernel(9 / width, width, width), draws.kernel(0.25 / width, width, width)
    a, b = dense(x, k1), dense(x, k2)
    y = normalise(concatenate([a, b], 0), [1])
    draws.pull(y)
    net = Network()
    at = net.input((width,))
    first = net.dense(at, width, use_bias=False, name="a")
    second = net.dense(at, width, use_bias=False, name="b")
    net.output(net.batch_norm(net.concat([first, second]), name="y"))
    p = propagate(net, {"a": 9 / width, "b": 0.25 / width})
    agrees(p, {"a": a, "b": b}, bias=0.04)
    within(mean_square(y), p["y"].mean_square)
    assert propagate(net, {"a": 9 / width, "b": 0.25 / width}, exact=False)["b"].gradient < (
        0.1 * p["b"].gradient
    )


def test_repeating() -> None:
    """Nearest upsampling in front of a mean over all positions: derivatives are coherent."""
    draws, width, side = Draws(150, 10), 16, 6
    x = draws.input(12, side, side, samples=1)
    k1, k2 = draws.kernel(2 / 108, width, 12, 3, 3), draws.kernel(0.01, 8, width, 3, 3)
    a = apply(affine(x, k1, padding=1), *RELU)
    twice = np.kron(np.eye(side), np.ones((2, 1)))
    u = fixed(reshape(a, width, side * side), np.kron(twice, twice))
    u = reshape(u, width, 2 * side, 2 * side)
    z = affine(u, k2, padding=1)
    draws.pull(mean(z, [3, 4]))
    net = Network()
    at = net.conv(net.input((12, side, side)), width, 3, padding=1, use_bias=False, name="c1")
    up = net.upsample(net.activation(at, name="a"), 2, name="u")
    net.output(net.global_pool(net.conv(up, 8, 3, padding=1, use_bias=False, name="z")))
    p = propagate(net, {"c1": 2 / 108, "z": 0.01})
    agrees(p, {"a": a, "u": u, "z": z}, bias=0.02)
    within(kernel_gradient(k2), p["z/kernel"].gradient, 0.04)
    for name, value in (("a", a), ("u", u)):
        coherence = p[name].gradient_correlation * p[name].gradient
        within(Estimate(pair_of_positions(value.gradient, width)), coherence, 0.05)


def test_batch_norm() -> None:
    """Samples of one batch; its size and the width leave a tenth."""
    draws, width, batch = Draws(40, 11), 48, 96
    x = draws.input(width, samples=batch)
    kernels = [draws.kernel(2 / width, width, width) for _ in range(3)]
    y = x
    net = Network()
    at = net.input((width,))
    for number, kernel in enumerate(kernels):
        y = apply(normalise(dense(y, kernel), [1]), *RELU)
        at = net.dense(at, width, use_bias=False, name=f"d{number}")
        at = net.activation(net.batch_norm(at), name=f"r{number}")
    draws.pull(y)
    net.output(at)
    p = propagate(net)
    agrees(p, {"r2": y}, bias=0.03)
    within(jacobian(x), p.jacobian, 0.1)
    for number, kernel in enumerate(kernels):
        squares = Estimate((kernel.gradient**2).sum((1, 2)) / batch)
        within(squares, p[f"d{number}/kernel"].gradient, 0.1)


def test_stored_batch_norm() -> None:
    """Running mean and variance, scale and shift as they are stored, drawn independently."""
    draws, width, side = Draws(1500, 12), 12, 4
    x = draws.input(3, side, side, samples=2, correlation=0.4)
    k1 = draws.kernel(2 / 27, width, 3, 3, 3)
    m, s = draws.per_channel(0.3, width, 2), draws.per_channel(0.2, width, 2)
    b = draws.per_channel(0.1, width, 2)
    h = apply(affine(x, k1, padding=1), *RELU)
    y = (h - m) * Value(np.array(1.7**-0.5)) * s + b
    draws.pull(y)
    net = Network()
    at = net.conv(net.input((3, side, side)), width, 3, padding=1, use_bias=False, name="c1")
    net.output(net.batch_norm(net.activation(at, name="h"), name="y"))
    p = propagate(
        net,
        {"c1": 2 / 27},
        input=Signal(correlation=0.4, position_correlation=0.0, joint_correlation=0.0),
        batch_norm="stored",
        overrides={
            "y/mean": 0.3,
            "y/variance": np.full(width, 1.7),
            "y/scale": 0.2,
            "y/shift": 0.1,
        },
    )
    agrees(p, {"h": h, "y": y})
    one = Estimate((s.gradient.reshape(1500, -1) ** 2).sum(1) / 2)
    within(one, p["y/scale"].gradient, 0.02)
    within(Estimate((b.gradient.reshape(1500, -1) ** 2).sum(1) / 2), p["y/shift"].gradient)


def test_batch_norm_without_statistics_of_its_own() -> None:
    """It normalises by the samples in every mode, as there is nothing else to normalise by."""
    draws, width, batch = Draws(60, 22), 40, 96
    x = draws.input(width, samples=batch, correlation=0.5)
    k1, k2 = draws.kernel(2 / width, width, width), draws.kernel(2 / width, width, width)
    h = apply(normalise(dense(x, k1), [1]), *RELU)
    y = normalise(dense(h, k2), [1])
    draws.pull(y)
    net = Network()
    at = net.input((width,))
    for name in ("d1", "d2"):
        at = at if name == "d1" else net.activation(at)
        before = net.dense(at, width, use_bias=False, name=name)
        at = net.tensor(f"{name}/norm", (width,), operation=Operation("batch_norm", axes=(0,)))
        net.link(before, at, [Relation.same(0, 0)])
    net.output(at)
    p = propagate(net, input=Signal(correlation=0.5), batch_norm="stored")
    for name, kernel in (("d1", k1), ("d2", k2)):
        squares = Estimate((kernel.gradient**2).sum((1, 2)) / batch)
        within(squares, p[f"{name}/kernel"].gradient, 0.1)
    within(mean_square(y), p["d2/norm"].mean_square, 0.02)


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
def test_norm_of_a_residual_stream(kind: str) -> None:
    """Blocks without end on one stream, normalised over 48 elements; two percent a block."""
    draws, width, tokens = Draws(300, 13), 48, 5
    x = draws.input(tokens, width, samples=1)
    kernels, y = {}, x
    net = Network()
    at = net.input((tokens, width))
    for number in range(2):
        k1, k2 = (
            draws.kernel(1 / width, width, 2 * width),
            draws.kernel(1 / (2 * width), 2 * width, width),
        )
        kernels |= {f"a{number}/kernel": k1, f"b{number}/kernel": k2}
        n = normalise(y, [3], centre=kind == "layer_norm")
        y = y + dense(apply(dense(n, k1), *GELU), k2)
        hidden = net.dense(getattr(net, kind)(at), 2 * width, use_bias=False, name=f"a{number}")
        hidden = net.dense(net.activation(hidden, "gelu"), width, use_bias=False, name=f"b{number}")
        at = net.add(at, hidden, name=f"y{number}")
    n = normalise(y, [3], centre=kind == "layer_norm")
    draws.pull(n)
    net.output(getattr(net, kind)(at, name="n"))
    p = propagate(net, 1.0)
    agrees(p, {"y1": y, "n": n}, kernels, bias=0.03)
    within(jacobian(x), p.jacobian, 0.04)
    scales = ((n.gradient * n.array).sum(2) ** 2).sum((1, 2))
    within(Estimate(scales), p["n/scale"].gradient)


@pytest.mark.parametrize(("groups", "bias"), [(1, 0.05), (4, 0.12)])
def test_group_norm(groups: int, bias: float) -> None:
    """Of few alike positive elements the inverse variance is larger than that of normal ones."""
    draws, width, side = Draws(400, 14), 16, 5
    x = draws.input(3, side, side, samples=1)
    k1, k2 = draws.kernel(2 / 27, width, 3, 3, 3), draws.kernel(1 / (9 * width), 8, width, 3, 3)
    h = apply(affine(x, k1, padding=1), *RELU)
    n = normalise(reshape(h, groups, width // groups, side * side), [3, 4])
    n = reshape(n, width, side, side)
    y = affine(n, k2, padding=1)
    draws.pull(y)
    net = Network()
    at = net.conv(net.input((3, side, side)), width, 3, padding=1, use_bias=False, name="c1")
    at = net.group_norm(net.activation(at, name="h"), groups, name="n")
    net.output(net.conv(at, 8, 3, padding=1, use_bias=False, name="y"))
    p = propagate(net, {"c1": 2 / 27, "y": 1 / (9 * width)})
    agrees(p, {"n": n, "y": y}, {"y/kernel": k2}, bias=0.01)
    within(gradient_square(h), p["h"].gradient, bias)
    within(kernel_gradient(k1), p["c1/kernel"].gradient, bias / 2)


def test_instance_norm() -> None:
    """A group for every channel, of 64 positions that are not alike: linear layers alone."""
    draws, width, side = Draws(300, 15), 8, 8
    x = draws.input(4, side, side, samples=1)
    k1 = draws.kernel(1 / 4, width, 4, 1, 1)
    h = affine(x, k1)
    n = normalise(h, [3, 4])
    draws.pull(n)
    net = Network()
    at = net.conv(net.input((4, side, side)), width, 1, use_bias=False, name="h")
    net.output(net.instance_norm(at, name="n"))
    p = propagate(net, {"h": 1 / 4})
    agrees(p, {"n": n})
    # The norm takes away how large the few weights of a channel are; that is not small for four.
    fans = 4 / (4 - 2)
    within(gradient_square(h), p["h"].gradient * fans, 0.05)


@pytest.mark.parametrize("correlation", [0.3, 0.8])
def test_attention(correlation: float) -> None:
    """One head over 48 tokens that are alike, the outputs averaged: queries, keys and values."""
    draws, tokens, width = Draws(60, 16), 48, 48
    common = draws.random.normal(size=(60, 1, 1, width))
    own = draws.random.normal(size=(60, 1, tokens, width))
    x = Value(correlation**0.5 * common + (1 - correlation) ** 0.5 * own)
    k = [draws.kernel(1 / width, width, width) for _ in range(4)]
    q, key, value = (dense(x, one) for one in k[:3])
    scores = contract("dsqc,dskc->dsqk", q, key)
    scores = apply(scores, lambda s: s / width**0.5, lambda s: np.full_like(s, width**-0.5))
    mixed = contract("dsqk,dskc->dsqc", softmax(scores), value)
    y = dense(mixed, k[3])
    draws.pull(mean(y, [2]))
    net = Network()
    at = net.multi_head_attention(net.input((tokens, width)), 1, use_bias=False, name="m")
    net.output(net.global_pool(net.transpose(at)))
    p = propagate(net, 1.0, input=Signal(1, 0, correlation, 0))
    names = {"m/query": q, "m/key": key, "m/value": value, "m/attention": mixed, "m": y}
    agrees(p, names, bias=0.1)
    kernels = ("m/query/kernel", "m/key/kernel", "m/value/kernel", "m/output/kernel")
    agrees(p, {}, dict(zip(kernels, k, strict=True)), bias=0.1)
    within(jacobian(x), p.jacobian, 0.1)
    for name, one in names.items():
        positions = Estimate(pair_of_positions(channels_first(one), width))
        within(positions, p[name].position_correlation * p[name].mean_square, 0.1)
    gradients = Estimate(pair_of_positions(value.gradient.swapaxes(2, 3), width))
    coherence = p["m/value"].gradient_correlation * p["m/value"].gradient
    within(gradients, coherence, 0.1)


def headed(tokens: int, width: int, **options: Any) -> Network:
    net = Network()
    x = net.input((tokens, width))
    query, key, value = (net.dense(x, width, use_bias=False, name=name) for name in "qkv")
    net.output(net.attention(query, key, value, name="y", **options))
    return net


@pytest.mark.parametrize("tokens", [1, 2, 5, 40])
def test_a_mask_that_hides_nothing_changes_nothing(tokens: int) -> None:
    law = Signal(1.0, 0.1, 0.3, 0.05)
    plain = propagate(headed(tokens, 12), 1.5, input=law)
    masked = propagate(headed(tokens, 12, mask=np.ones((tokens, tokens), bool)), 1.5, input=law)
    assert masked.jacobian == pytest.approx(plain.jacobian, rel=1e-12)
    for name in ("q", "k", "v", "y"):
        one, other = masked[name], plain[name]
        assert one.mean_square == pytest.approx(other.mean_square, rel=1e-12)
        assert one.correlation == pytest.approx(other.correlation, rel=1e-12)
        assert one.gradient == pytest.approx(other.gradient, rel=1e-9, abs=1e-15)
        if tokens > 1:
            same = pytest.approx(other.position_correlation, rel=1e-12)
            assert one.position_correlation == same
        if name != "y":
            kernels = [p[f"{name}/kernel"].gradient for p in (masked, plain)]
            assert kernels[0] == pytest.approx(kernels[1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("tokens", "bias"), [(1, 0.0), (2, 0.2), (8, 0.22), (16, 0.25)])
def test_attention_of_few_keys(tokens: int, bias: float) -> None:
    """Scores of variance 1/2 among few keys, whose weights cannot be larger than one."""
    draws, width = Draws(300, 21), 32
    x = draws.input(tokens, width, samples=1)
    kernels = [draws.kernel(variance / width, width, width) for variance in (0.5, 1.0, 1.0)]
    query, key, value = (dense(x, one) for one in kernels)
    products = contract("dsqc,dskc->dsqk", query, key)
    products = apply(products, lambda s: s / width**0.5, lambda s: np.full_like(s, width**-0.5))
    y = contract("dsqk,dskc->dsqc", softmax(products), value)
    draws.pull(y)
    variances = {name: v / width for name, v in zip("qkv", (0.5, 1.0, 1.0), strict=True)}
    p = propagate(headed(tokens, width), variances)
    within(mean_square(y), p["y"].mean_square, bias)
    within(gradient_square(value), p["v"].gradient, bias)
    for name, one in (("q", query), ("k", key)):
        if tokens == 1:  # There is nothing to choose between.
            assert not one.gradient.any()
            assert p[name].gradient == 0
        else:
            within(gradient_square(one), p[name].gradient, 2 * bias)


def seen_by(kind: str, tokens: int) -> np.ndarray[Any, Any]:
    """Which keys each query sees."""
    query, key = np.indices((tokens, tokens))
    return {
        "causal": key <= query,
        "band": abs(key - query) < 6,
        "blocks": key // 12 == query // 12,
        "random": np.random.default_rng(31).random((tokens, tokens)) < 0.4,
    }[kind] | (key == query)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(("correlation", "bias"), [(0.0, 0.25), (0.5, 0.13)])
@pytest.mark.parametrize("kind", ["causal", "band", "blocks", "random"])
def test_attention_behind_a_mask(kind: str, correlation: float, bias: float, pooled: bool) -> None:
    """One head over 48 tokens, of which each query sees some.

    Scores vary by 1 and by 1/2. To first order in that the rule is right for any number of keys;
    for about ten of them a quarter and an eighth is left of derivatives, and a twentieth of values.
    """
    draws, tokens, width = Draws(60, 32), 48, 48
    seen = seen_by(kind, tokens)
    common = draws.random.normal(size=(60, 1, 1, width))
    own = draws.random.normal(size=(60, 1, tokens, width))
    x = Value(correlation**0.5 * common + (1 - correlation) ** 0.5 * own)
    k = [draws.kernel(1 / width, width, width) for _ in range(4)]
    q, key, value = (dense(x, one) for one in k[:3])
    scores = contract("dsqc,dskc->dsqk", q, key)
    scores = apply(scores, lambda s: s / width**0.5, lambda s: np.full_like(s, width**-0.5))
    scores = scores + Value(np.where(seen, 0.0, -1e30)[None, None])
    mixed = contract("dsqk,dskc->dsqc", softmax(scores), value)
    y = dense(mixed, k[3])
    draws.pull(mean(y, [2]) if pooled else y)
    net = Network()
    options: dict[str, Any] = {"causal": True} if kind == "causal" else {"mask": seen}
    at = net.input((tokens, width))
    at = net.multi_head_attention(at, 1, use_bias=False, name="m", **options)
    net.output(net.global_pool(net.transpose(at)) if pooled else at)
    p = propagate(net, 1.0, input=Signal(1, 0, correlation, 0))
    names = {"m/query": q, "m/key": key, "m/value": value, "m/attention": mixed, "m": y}
    for name, one in names.items():
        within(mean_square(one), p[name].mean_square, 0.06)
        within(gradient_square(one), p[name].gradient, bias)
    kernels = ("m/query/kernel", "m/key/kernel", "m/value/kernel", "m/output/kernel")
    for name, one in zip(kernels, k, strict=True):
        within(kernel_gradient(one), p[name].gradient, bias)
    within(jacobian(x), p.jacobian, bias)
    for name, one in names.items():
        positions = Estimate(pair_of_positions(channels_first(one), width))
        within(positions, p[name].position_correlation * p[name].mean_square, 0.06)
    gradients = Estimate(pair_of_positions(value.gradient.swapaxes(2, 3), width))
    within(gradients, p["m/value"].gradient_correlation * p["m/value"].gradient, bias)


def test_attention_to_one_key_is_its_value() -> None:
    """Nothing is chosen, so that neither queries nor keys get a gradient."""
    net = Network()
    x = net.multi_head_attention(
        net.input((6, 8)), 2, use_bias=False, mask=np.eye(6, dtype=bool), name="m"
    )
    net.output(x)
    p = propagate(net, 1.3)
    assert p["m/attention"].mean_square == pytest.approx(p["m/value"].mean_square)
    assert p["m/value"].gradient == pytest.approx(p["m/attention"].gradient)
    assert p["m/value/kernel"].gradient == pytest.approx(48 * 8 * 1.3)
    assert p["m/query/kernel"].gradient == p["m/key/kernel"].gradient == 0


def test_heads_with_masks_of_their_own_are_means_of_one_mask_each() -> None:
    def mean_squares(mask: Any) -> Any:
        net = Network()
        net.output(net.multi_head_attention(net.input((12, 8)), 2, mask=mask, name="m"))
        p = propagate(net, 1.0)
        names = ("m/attention", "m/key", "m/value")
        return np.array([[p[name].mean_square, p[name].gradient] for name in names])

    one, other = seen_by("causal", 12), seen_by("band", 12)
    both = mean_squares(np.stack([one, other]))
    assert both == pytest.approx((mean_squares(one) + mean_squares(other)) / 2, rel=1e-9)


def test_embedding_and_its_table() -> None:
    draws, rows, width, tokens = Draws(2000, 17), 12, 6, 4
    table = draws.kernel(0.5, rows, width)
    picks = np.stack([draws.random.permutation(rows)[:tokens] for _ in range(2000)])
    looked = np.take_along_axis(table.array, picks[:, :, None], 1)[:, None]
    x = Value(looked)
    k = draws.kernel(1 / width, width, 3)
    y = dense(x, k)
    draws.pull(y)
    net = Network()
    at = net.embedding(net.input((tokens,)), rows, width, name="words")
    net.output(net.dense(at, 3, use_bias=False, name="y"))
    p = propagate(net, 1.0, overrides={"words/table": 0.5})
    agrees(p, {"words": x, "y": y}, {"y/kernel": k})
    within(Estimate((x.gradient**2).reshape(2000, -1).sum(1)), p["words/table"].gradient)


def test_biases() -> None:
    draws, width, side = Draws(3000, 18), 4, 4
    x = draws.input(2, side, side)
    k1, k2 = draws.kernel(0.1, width, 2, 3, 3), draws.kernel(0.2, 3, width, 3, 3)
    b1, b2 = draws.per_channel(0.3, width, 2), draws.per_channel(0.3, 3, 2)
    h = affine(x, k1, padding=1) + b1
    y = affine(apply(h, *RELU), k2, padding=1) + b2
    draws.pull(y)
    net = Network()
    first = net.activation(net.conv(net.input((2, side, side)), width, 3, name="h"))
    net.output(net.conv(first, 3, 3, name="y"))
    p = propagate(net, {"h": 0.1, "y": 0.2}, biases=0.3)
    agrees(p, {"h": h, "y": y})
    for name, one in (("h/bias", b1), ("y/bias", b2)):
        within(Estimate((one.gradient.reshape(3000, -1) ** 2).sum(1) / 2), p[name].gradient)


def test_bias_gradient_behind_a_global_mean_is_coherent() -> None:
    draws, width, side = Draws(2000, 19), 6, 4
    x = draws.input(2, side, side, samples=1)
    k1, b1 = draws.kernel(0.1, width, 2, 3, 3), draws.per_channel(0.3, width, 2)
    h = affine(x, k1, padding=1) + b1
    draws.pull(mean(h, [3, 4]))
    net = Network()
    at = net.conv(net.input((2, side, side)), width, 3, name="h")
    net.output(net.global_pool(at))
    p = propagate(net, {"h": 0.1}, biases=0.3)
    within(Estimate((b1.gradient.reshape(2000, -1) ** 2).sum(1)), p["h/bias"].gradient)
    within(kernel_gradient(k1), p["h/kernel"].gradient)


@pytest.mark.parametrize("kind", ["maximum", "minimum"])
def test_extremes_of_several_tensors(kind: str) -> None:
    """Maxout of two layers of unequal variance and of a third, in two samples."""
    draws, width = Draws(300, 20), 100
    x = draws.input(width, correlation=0.4)
    variances = (1.0, 2.0, 0.5)
    k = [draws.kernel(v / width, width, width) for v in variances]
    parts = [dense(x, one) for one in k]
    sign = 1 if kind == "maximum" else -1

    def larger(a: Value, b: Value) -> Value:
        first = sign * a.array > sign * b.array
        return Value(
            np.where(first, a.array, b.array),
            [(a, lambda g: g * first), (b, lambda g: g * ~first)],
        )

    two = larger(parts[0], parts[1])
    y = larger(two, parts[2])
    draws.pull(y)
    net = Network()
    at = net.input((width,))
    layers = [net.dense(at, width, use_bias=False, name=f"d{n}") for n in range(3)]
    net.output(getattr(net, kind)(*layers, name="y"))
    given = {f"d{n}": v / width for n, v in enumerate(variances)}
    p = propagate(net, given, input=Signal(correlation=0.4))
    # The larger of two is not normal, and how often it is larger than a third is off by a tenth.
    agrees(p, {"y": y}, bias=0.01)
    assert abs(p["y"].mean - y.array.mean()) < 0.02
    for number, part in enumerate(parts):
        within(gradient_square(part), p[f"d{number}"].gradient, 0.1)
    pair = Network()
    at = pair.input((width,))
    layers = [pair.dense(at, width, use_bias=False, name=f"d{n}") for n in range(2)]
    pair.output(getattr(pair, kind)(*layers, name="y"))
    p = propagate(pair, {"d0": 1 / width, "d1": 2 / width}, input=Signal(correlation=0.4))
    agrees(p, {"y": two}, gradients=False)


def test_sums_and_differences() -> None:
    """Operands with means, one of them several times: its copies add coherently."""
    draws, width = Draws(400, 21), 60
    x = draws.input(width, correlation=0.2)
    k1, k2 = draws.kernel(1 / width, width, width), draws.kernel(2 / width, width, width)
    a, b = apply(dense(x, k1), *RELU), apply(dense(x, k2), *SIGMOID)
    y = a + a + b
    z = a - b
    net = Network()
    at = net.input((width,))
    first = net.activation(net.dense(at, width, use_bias=False, name="d1"), name="a")
    second = net.activation(net.dense(at, width, use_bias=False, name="d2"), "sigmoid", name="b")
    net.output(net.add(first, first, second, name="y"), net.subtract(first, second, name="z"))
    p = propagate(net, {"d1": 1 / width, "d2": 2 / width}, input=Signal(correlation=0.2))
    u = draws.random.normal(size=y.shape)
    w = draws.random.normal(size=y.shape)
    both = Value(
        (y.array * u + z.array * w).sum((1, 2)),
        [(y, lambda g: u * g[:, None, None]), (z, lambda g: w * g[:, None, None])],
    )
    backward(both, np.ones(400))
    agrees(p, {"y": y, "z": z}, gradients=False)
    within(gradient_square(a), p["a"].gradient)
    within(gradient_square(b), p["b"].gradient)
    assert p["a"].gradient == pytest.approx(5, rel=1e-12)


def test_parallel_edges_of_a_kernel_and_of_a_sum() -> None:
    """Several edges with weights of their own add up; several copies of a value are coherent."""
    draws = Draws(4000, 22)
    counts = np.array([[1, 3, 0], [0, 2, 1]])
    x = draws.input(3, samples=1)
    rows = []
    for o in range(2):
        total = np.zeros((4000, 1))
        for i in range(3):
            for _ in range(counts[o, i]):
                extra = draws.random.normal(0, 0.5**0.5, 4000)
                total[:, 0] += extra * x.array[:, 0, i]
        rows.append(total)
    y = np.stack(rows, -1)
    offsets, indices, times = [0, 2, 4], [0, 1, 1, 2], [1, 3, 2, 1]
    net = Network()
    at = net.input((3,))
    kernel = net.parameter("kernel", (9,))
    out = net.tensor("y", (2,), operation=Operation("affine"))
    net.link(at, out, [Relation.sparse(0, 0, offsets, indices, times)])
    net.link(kernel, out, [Relation.sparse(0, 0, [0, 4, 7], [*range(7)])], role="kernel")
    net.output(out)
    p = propagate(net, {"kernel": 0.5})
    within(Estimate(per_draw(y**2)), p["y"].mean_square)
    copied = Network()
    at = copied.input((3,))
    out = copied.tensor("y", (2,), operation=Operation("sum"))
    copied.link(at, out, [Relation.sparse(0, 0, offsets, indices, times)])
    copied.output(out)
    p = propagate(copied)
    # y0 = x0 + 3 x1 and y1 = 2 x1 + x2: mean square (10 + 5) / 2, derivatives 1, 13, 1.
    assert p["y"].mean_square == pytest.approx(7.5, rel=1e-12)
    assert p.jacobian == pytest.approx(15, rel=1e-12)


def test_recurrent_layer_unrolled() -> None:
    """tanh(W x_t + U h_(t-1)) over six steps with tied weights, which is an approximation."""
    draws, width, steps = Draws(150, 23), 80, 6
    x = draws.input(steps, width, samples=1)
    w, u = draws.kernel(0.5 / width, width, width), draws.kernel(1.0 / width, width, width)
    given = dense(x, w)
    parts = []
    for step in range(steps):
        row = np.zeros((1, steps))
        row[0, step] = 1
        parts.append(reshape(fixed(transpose(given, 1, 0), row), width))
    state = apply(parts[0], *TANH)
    for step in range(1, steps):
        state = apply(parts[step] + dense(state, u), *TANH)
    draws.pull(state)
    net = Network()
    at = net.dense(net.input((steps, width)), width, use_bias=False, name="given")
    tied = net.parameter("recurrent/kernel", (width, width))
    rows = [net.reshape(net.slice(at, 0, step, step + 1), (width,)) for step in range(steps)]
    hidden = net.activation(rows[0], "tanh")
    for row in rows[1:]:
        back = net.dense(hidden, width, use_bias=False, kernel=tied)
        hidden = net.activation(net.add(row, back), "tanh")
    net.output(hidden)
    p = propagate(net, {"given": 0.5 / width, "recurrent/kernel": 1.0 / width})
    assert p.exactness == "approximate"
    agrees(p, {hidden.name: state}, bias=0.02)
    within(kernel_gradient(w), p["given/kernel"].gradient, 0.06)
    within(kernel_gradient(u), p["recurrent/kernel"].gradient, 0.06)


def test_stored_weights() -> None:
    """Values that one has: their mean squares, in a network that is wide enough to average."""
    random = np.random.default_rng(24)
    first = random.laplace(0, 0.1, (200, 300))
    second = random.uniform(-0.2, 0.2, (300, 100))
    x = random.normal(size=(4000, 200))
    y = np.maximum(x @ first, 0) @ second
    net = Network()
    at = net.activation(net.dense(net.input((200,)), 300, use_bias=False, name="a"))
    net.output(net.dense(at, 100, use_bias=False, name="b"))
    p = propagate(net, {"a/kernel": first, "b/kernel": second})
    assert p["a/kernel"].mean_square == pytest.approx(np.mean(first**2))
    assert (y**2).mean() == pytest.approx(p["b"].mean_square, rel=0.05)
    net.record_moments("a/kernel", first.mean(), np.mean(first**2))
    net.record_moments("b/kernel", second.mean(), np.mean(second**2))
    stored = propagate(net, "stored")
    assert stored["b"].mean_square == pytest.approx(p["b"].mean_square, rel=1e-12)


SLOPES = {"relu": (0.0, 1.0), "leaky_relu(0.5)": (0.5, 1.0), "abs": (-1.0, 1.0), None: (1.0, 1.0)}


@pytest.mark.parametrize("function", SLOPES)
def test_typical_draw_lies_below_the_mean(function: str | None) -> None:
    """A tenth of the exponent is left of width; a wrong factor of a function is more than that."""
    random, widths, inputs, draws = np.random.default_rng(30), (30, 50) * 4, 400, 1500
    net = Network()
    x = net.input((inputs,))
    for width in widths:
        x = net.dense(x, width, use_bias=False)
        x = net.activation(x, function) if function else x
    net.output(net.dense(x, 1, use_bias=False))
    p = propagate(net)
    left, right = SLOPES[function]
    logarithms = []
    for _ in range(draws):
        signal, steps, before = random.standard_normal(inputs), [], inputs
        for width in widths:
            kernel = random.standard_normal((before, width)) * (2 / before) ** 0.5
            slopes = np.where(signal @ kernel > 0, right, left)
            signal = (signal @ kernel) * slopes
            steps.append((kernel, slopes))
            before = width
        derivative = random.standard_normal(before) * (2 / before) ** 0.5
        for kernel, slopes in reversed(steps):
            derivative = kernel @ (derivative * slopes)
        logarithms.append(np.log(derivative @ derivative))
    error = np.std(logarithms, ddof=1) / draws**0.5
    found = np.mean(logarithms) - np.log(p.jacobian)
    expected = np.log(p.typical_factor)
    assert abs(found - expected) < 4 * error + 0.1 * abs(expected)
    # The factor of another function is not within that.
    others = [(3 * k - 1) / 2 for k in (1.0, 1.36, 2.0)]
    wrong = [-one * p.width_ratio for one in others if abs(one * p.width_ratio + expected) > 1e-9]
    assert all(abs(found - one) > 4 * error + 0.1 * abs(one) for one in wrong)


def test_no_formula_says_how_far_a_typical_draw_lies_from_the_mean_elsewhere() -> None:
    def factor(build: Callable[[Network, Any], Any]) -> float:
        net = Network()
        net.output(net.dense(build(net, net.dense(net.input((8,)), 8)), 2))
        return propagate(net).typical_factor

    assert factor(lambda net, x: net.activation(x, "relu")) < 1
    for build in (
        lambda net, x: net.activation(x, "tanh"),
        lambda net, x: net.batch_norm(x),
        lambda net, x: net.add(x, net.dense(x, 8)),
    ):
        assert np.isnan(factor(build))
