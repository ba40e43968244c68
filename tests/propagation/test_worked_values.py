"""Numbers that were worked out by other means, by hand and with 25 digits, for small networks."""

from __future__ import annotations

from math import pi

import pytest

from unrolled import Network, Propagation, Signal, propagate
from unrolled.network.builder import Tensor


def gradients(p: Propagation) -> list[float]:
    return [kernel.gradient for kernel in p.kernels]


def dense(net: Network, x: Tensor, width: int) -> Tensor:
    return net.dense(x, width, use_bias=False)


def conv(net: Network, x: Tensor, width: int, taps: int = 3, stride: int = 1) -> Tensor:
    return net.conv(x, width, taps, stride=stride, padding=taps // 2, use_bias=False)


def test_chain() -> None:
    net = Network()
    x = net.input((7,))
    for width in (5, 11, 3):
        x = net.activation(net.dense(x, width))
    net.output(net.dense(x, 4))
    p = propagate(net, 2.0)
    assert p.jacobian == pytest.approx(8, rel=1e-12)
    assert gradients(p) == pytest.approx([28, 20, 44, 12], rel=1e-12)
    p = propagate(net, 2.0, biases=0.3)
    assert p.jacobian == pytest.approx(8, rel=1e-12)
    assert gradients(p) == pytest.approx([28, 23, 57.2, 17.4], rel=1e-12)
    assert p.tensors[-1].mean_square == pytest.approx(3.2, rel=1e-12)


def test_residual_blocks() -> None:
    net = Network()
    x = net.input((6,))
    for number in range(3):
        h = net.dense(x, 6, use_bias=False, name=f"first{number}")
        h = net.dense(net.activation(h), 6, use_bias=False, name=f"second{number}")
        x = net.add(x, h)
    net.output(x)
    variances = {f"first{n}": 2 / 6 for n in range(3)} | {f"second{n}": 0.5 / 6 for n in range(3)}
    p = propagate(net, variances)
    assert p.exactness == "exact"
    assert p.jacobian == pytest.approx(20.25, rel=1e-12)
    assert gradients(p) == pytest.approx([20.25, 81] * 3, rel=1e-12)


def test_convolutions() -> None:
    net = Network()
    x = net.input((2, 6, 6))
    for width, stride in ((3, 1), (4, 2), (3, 1)):
        x = net.activation(conv(net, x, width, stride=stride))
    net.output(dense(net, net.flatten(x), 5))
    p = propagate(net)
    assert p.exactness == "exact"
    assert p.jacobian == pytest.approx(4.28135954885, rel=2e-12)
    expected = [38.5322359396, 57.7983539095, 77.0644718793, 57.7983539095]
    assert gradients(p) == pytest.approx(expected, rel=2e-12)
    assert p.tensors[-1].mean_square == pytest.approx(0.85627190977, rel=2e-11)


def test_depthwise_convolution() -> None:
    net = Network()
    x = net.activation(conv(net, net.input((3, 6, 6)), 6))
    x = net.activation(net.depthwise_conv(x, 3, padding=1, use_bias=False))
    net.output(conv(net, x, 4, taps=1))
    p = propagate(net)
    assert p.exactness == "exact"
    assert p.jacobian == pytest.approx(191.209876543, rel=3e-12)
    expected = [2581.33333333, 860.444444444, 573.62962963]
    assert gradients(p) == pytest.approx(expected, rel=5e-12)


def pooled(kind: str, width: int) -> Network:
    net = Network()
    x = net.activation(conv(net, net.input((3, 8, 8)), width))
    if kind != "global":
        x = getattr(net, f"{kind}_pool")(x, 2)
    x = net.activation(conv(net, x, width))
    x = net.global_pool(x) if kind == "global" else net.flatten(x)
    net.output(dense(net, x, 5))
    return net


def test_pools() -> None:
    p = propagate(pooled("average", 32))
    assert p.jacobian == pytest.approx(1.51235, rel=4e-6)
    p = propagate(pooled("max", 4))
    assert p.jacobian == pytest.approx(11.2390719749, rel=5e-12)
    assert p.tensors[-1].mean_square == pytest.approx(3.72433174, rel=2e-9)
    expected = [151.727471661, 335.1898566, 595.893078399]
    assert gradients(p) == pytest.approx(expected, rel=5e-10)
    p = propagate(pooled("global", 4))
    assert p.jacobian == pytest.approx(0.115861304012, rel=5e-12)
    expected = [1.56412760417, 22.3758386243, 7.43946792872]
    assert gradients(p) == pytest.approx(expected, rel=5e-12)


def test_stride_in_front_of_a_global_mean() -> None:
    net = Network()
    x = net.input((3, 8, 8))
    for stride in (1, 2, 1):
        x = net.activation(conv(net, x, 24, stride=stride))
    net.output(dense(net, net.global_pool(x), 5))
    assert propagate(net).jacobian == pytest.approx(0.342936, rel=2e-6)


def test_batch_norm_without_skip_connections() -> None:
    net = Network()
    x = net.input((32,))
    for _ in range(6):
        x = net.activation(net.batch_norm(dense(net, x, 32)))
    net.output(dense(net, x, 5))
    p = propagate(net)
    assert p.jacobian == pytest.approx(33.965266444, rel=3e-11)
    assert p.jacobian == pytest.approx(5 * (pi / (pi - 1)) ** 5, rel=1e-12)
    expected = [543.444263104, 370.460581568, 252.539316014, 172.153555076, 117.355376554, 80, 80]
    assert gradients(p) == pytest.approx(expected, rel=5e-12)


def test_residual_networks() -> None:
    """Before and behind the sum, with and without a norm."""
    net = Network()
    x = dense(net, net.input((96,)), 96)
    for _ in range(3):
        h = dense(net, net.activation(dense(net, net.activation(x), 96)), 96)
        x = net.add(x, h)
    net.output(dense(net, net.activation(x), 5))
    assert propagate(net).jacobian == pytest.approx(80, rel=1e-12)

    net = Network()
    x = net.activation(net.batch_norm(dense(net, net.input((32,)), 32)))
    for _ in range(4):
        h = net.activation(net.batch_norm(dense(net, x, 32)))
        x = net.activation(net.add(x, net.batch_norm(dense(net, h, 32))))
    net.output(dense(net, x, 5))
    assert propagate(net).jacobian == pytest.approx(126.995, rel=2e-5)

    net = Network()
    x = net.activation(dense(net, net.input((64,)), 64))
    for _ in range(4):
        h = dense(net, net.activation(dense(net, x, 64)), 64)
        x = net.activation(net.add(x, h))
    net.output(dense(net, x, 5))
    assert propagate(net).jacobian == pytest.approx(147.54, rel=1e-5)


@pytest.mark.parametrize(
    ("correlation", "simulated", "error"), [(0.47, 0.0495, 0.0005), (0.89, 0.0198, 0.0002)]
)
def test_attention_over_64_tokens(correlation: float, simulated: float, error: float) -> None:
    """Simulated means and their standard errors, for inputs of these correlations to two digits."""
    net = Network()
    x = net.input((64, 128))
    net.output(net.attention(*[net.dense(x, 128, use_bias=False) for _ in range(3)]))
    found = propagate(net, "lecun", input=Signal(position_correlation=correlation))
    assert found.jacobian / (64 * 128) == pytest.approx(simulated, abs=4 * error)
