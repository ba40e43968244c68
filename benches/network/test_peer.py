"""The peer counts right: against the element-by-element reference, on small networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from peers.numpy_networks import Peer
from unrolled import Network, Tensor, reference


def squeeze_and_excite(net: Network, x: Tensor) -> Tensor:
    gate = net.reshape(net.global_pool(x), (x.shape[0], 1, 1))
    gate = net.activation(net.conv(gate, 2, 1), "silu")
    return net.multiply(x, net.conv(gate, x.shape[0], 1))


def plain(net: Network, x: Tensor) -> Tensor:
    for stride in (2, 1):
        x = net.conv(x, 3, 3, stride=stride, padding="symmetric", use_bias=False)
        x = net.activation(net.batch_norm(x))
    return net.global_pool(net.max_pool(x, 3, stride=2, padding="same"))


def residual(net: Network, x: Tensor) -> Tensor:
    x = net.conv(x, 4, 3, stride=2, padding="same")
    y = net.depthwise_conv(x, (3, 5), padding="symmetric", use_bias=False)
    y = squeeze_and_excite(net, net.batch_norm(y))
    x = net.add(x, net.conv(y, 4, 1, use_bias=False))
    return net.flatten(net.average_pool(x, 2))


def unequal_channels(net: Network, x: Tensor) -> Tensor:
    x = net.concat([x, net.conv(x, 4, 3, dilation=2)], axis=0)
    x = net.conv(net.pad(x, [(0, 0), (1, 0), (0, 2)]), 3, 3, groups=1, padding="valid")
    x = net.concat([x, net.slice(x, 0, 0, 1)], axis=0)
    return net.flatten(net.conv(x, 4, 1, groups=2))


@pytest.mark.parametrize("body", [plain, residual, unequal_channels])
@pytest.mark.parametrize("shape", [(2, 7, 6), (1, 5, 8)])
@pytest.mark.parametrize("tuned", [False, True])
def test_peer_agrees_with_reference(
    body: Callable[[Network, Tensor], Tensor], shape: tuple[int, ...], tuned: bool
) -> None:
    net = Network()
    net.output(net.dense(body(net, net.input(shape)), 3))
    expected = reference.count(net)
    found = Peer(net._core, tuned=tuned).count()
    assert found.total == sum(int(counts.sum()) for counts in expected.values())
    for name, counts in expected.items():
        assert np.array_equal(np.broadcast_to(found.maps[name], counts.shape), counts), name
