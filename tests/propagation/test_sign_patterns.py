"""Where propagation is exact it equals the mean over all patterns of signs of all weights.

Signs times one magnitude are weights of a symmetric law, uncorrelated and of mean zero, as
exactness needs. The mean over patterns is a finite sum, borders included, so that nothing is left
to allow for but rounding. Inputs of several magnitudes take turns at every place: each element has
mean square 1, and no sum of signed inputs is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from oracles.tape import Value, affine, apply, backward, dense
from unrolled import Network, Propagation, propagate

Array = npt.NDArray[np.float64]

RELU = (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float))
LEAKY = (lambda x: np.where(x > 0, x, 0.3 * x), lambda x: np.where(x > 0, 1, 0.3))
ABS = (np.abs, np.sign)


def turning_inputs(*shape: int) -> Array:
    """Inputs, one a row, in which every element has every magnitude once."""
    size = int(np.prod(shape))
    magnitudes = np.sqrt(np.linspace(0.3, 1.7, size) + 0.013 * np.arange(size) ** 2)
    magnitudes /= np.sqrt(np.mean(magnitudes**2))
    signs = np.where(np.arange(size) % 3 == 1, -1, 1)
    rows = [np.roll(magnitudes, turn) * signs for turn in range(size)]
    return np.array(rows).reshape(size, *shape)


def patterns(variance: float, *shapes: Sequence[int]) -> list[Value]:
    """All signs of all weights together, as weights of these shapes."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    total = sum(sizes)
    signs = 2.0 * ((np.arange(1 << total)[:, None] >> np.arange(total)) & 1) - 1
    parts = np.split(variance**0.5 * signs, np.cumsum(sizes)[:-1], axis=1)
    return [Value(part.reshape(-1, *shape)) for part, shape in zip(parts, shapes, strict=True)]


def enumerate_all(
    run: Callable[[Value], dict[str, Value]], inputs: Array, weights: dict[str, Value], last: str
) -> dict[str, float]:
    """Mean squares of tensors, squared gradients of weights, and the squared Jacobian ("J")."""
    found: dict[str, float] = {}
    draws = len(next(iter(weights.values())).array)

    def add(name: str, value: float) -> None:
        found[name] = found.get(name, 0.0) + value / len(inputs)

    for one in inputs:
        x = Value(np.broadcast_to(one, (draws, 1, *one.shape)).copy())
        tensors = run(x)
        for name, value in tensors.items():
            add(name, float(np.mean(value.array**2)))
        shape = tensors[last].shape
        for unit in np.eye(int(np.prod(shape[2:]))):
            backward(tensors[last], np.broadcast_to(unit.reshape(shape[2:]), shape).copy())
            for name, value in (("J", x), *weights.items()):
                add(name, float(np.mean((value.gradient**2).reshape(draws, -1).sum(1))))
    return found


def check(p: Propagation, found: dict[str, float]) -> None:
    assert p.exactness == "exact"
    for name, value in found.items():
        if name == "J":
            predicted = p.jacobian
        elif name in {tensor.name for tensor in p.tensors}:
            predicted = p[name].mean_square
        else:
            predicted = p[name].gradient
        assert value == pytest.approx(predicted, rel=1e-10), name


@pytest.mark.parametrize(
    ("function", "name"), [(RELU, "relu"), (LEAKY, "leaky_relu(0.3)"), (ABS, "abs")]
)
def test_convolutions_with_borders(function, name: str) -> None:
    """Two channels of 2 x 2 taps on 2 x 2 pixels, padded, then each on its own with a stride."""
    k1, k2 = patterns(0.5, (2, 1, 2, 2), (2, 1, 2, 2))

    def run(x: Value) -> dict[str, Value]:
        h = affine(x, k1, padding=1)
        y = affine(apply(h, *function), k2, stride=2, padding=1, groups=2)
        return {"h": h, "y": y}

    net = Network()
    h = net.conv(net.input((1, 2, 2)), 2, 2, padding=1, use_bias=False, name="h")
    a = net.activation(h, name)
    net.output(net.depthwise_conv(a, 2, stride=2, padding=1, use_bias=False, name="y"))
    found = enumerate_all(run, turning_inputs(1, 2, 2), {"h/kernel": k1, "y/kernel": k2}, "y")
    check(propagate(net, {"h": 0.5, "y": 0.5}, exact=True), found)


def test_residual_blocks() -> None:
    """Two blocks x + V relu(U x) of two units each."""
    u1, v1, u2, v2 = patterns(0.6, (2, 2), (2, 2), (2, 2), (2, 2))

    def run(x: Value) -> dict[str, Value]:
        y = x + dense(apply(dense(x, u1), *RELU), v1)
        return {"y": y, "z": y + dense(apply(dense(y, u2), *RELU), v2)}

    net = Network()
    at = net.input((2,))
    for block, name in enumerate(("y", "z"), 1):
        h = net.activation(net.dense(at, 2, use_bias=False, name=f"u{block}"))
        at = net.add(at, net.dense(h, 2, use_bias=False, name=f"v{block}"), name=name)
    net.output(at)
    weights = {"u1/kernel": u1, "v1/kernel": v1, "u2/kernel": u2, "v2/kernel": v2}
    p = propagate(net, dict.fromkeys(("u1", "v1", "u2", "v2"), 0.6), exact=True)
    check(p, enumerate_all(run, turning_inputs(2), weights, "z"))


def test_biases() -> None:
    """A chain of three layers with biases in the first two."""
    k1, b1, k2, b2, k3 = patterns(0.8, (2, 2), (1, 2), (2, 2), (1, 2), (2, 1))

    def run(x: Value) -> dict[str, Value]:
        h = apply(dense(x, k1) + b1, *RELU)
        g = apply(dense(h, k2) + b2, *RELU)
        return {"a": h, "b": g, "y": dense(g, k3)}

    net = Network()
    at = net.activation(net.dense(net.input((2,)), 2, name="1"), name="a")
    at = net.activation(net.dense(at, 2, name="2"), name="b")
    net.output(net.dense(at, 1, use_bias=False, name="y"))
    weights = {
        "1/kernel": k1,
        "1/bias": b1,
        "2/kernel": k2,
        "2/bias": b2,
        "y/kernel": k3,
    }
    p = propagate(net, dict.fromkeys(("1", "2", "y"), 0.8), biases=0.8)
    check(p, enumerate_all(run, turning_inputs(2), weights, "y"))
