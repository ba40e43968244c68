"""Axes of channels and positions at once are both again where a reshape takes them apart."""

from __future__ import annotations

import pytest

import unrolled
from unrolled import Network, Tensor, propagate

CHANNELS, SIDE, PATCH = 8, 8, 2


def unfolded(net: Network, x: Tensor) -> Tensor:
    """Patches as MobileViT makes them: channels and rows of patches are one axis in between."""
    count = SIDE // PATCH
    x = net.reshape(x, (CHANNELS * count, PATCH, count, PATCH))
    x = net.reshape(net.transpose(x, (0, 2, 1, 3)), (CHANNELS, count**2, PATCH**2))
    return net.transpose(x, (2, 1, 0))


def folded(net: Network, x: Tensor) -> Tensor:
    count = SIDE // PATCH
    x = net.reshape(net.transpose(x, (2, 1, 0)), (CHANNELS * count, count, PATCH, PATCH))
    return net.reshape(net.transpose(x, (0, 2, 1, 3)), (CHANNELS, SIDE, SIDE))


def network(*, in_patches: bool, function: str = "relu") -> Network:
    net = Network()
    x = net.conv(net.input((3, SIDE, SIDE)), CHANNELS, 3, use_bias=False)
    x = net.activation(x, function)
    y = unfolded(net, x) if in_patches else net.transpose(x, (1, 2, 0))
    y = net.activation(net.dense(y, 16, use_bias=False), function)
    y = net.dense(y, CHANNELS, use_bias=False)
    y = folded(net, y) if in_patches else net.transpose(y, (2, 0, 1))
    y = net.activation(net.conv(y, CHANNELS, 3, use_bias=False), function)
    net.output(net.dense(net.global_pool(y), 5, use_bias=False))
    return net


@pytest.mark.parametrize("function", ["relu", "silu"])
def test_dense_layers_of_patches_are_those_of_positions(function: str) -> None:
    """Gradients were up to 18 times as small where patches had forgotten their positions."""
    patches, plain = (
        propagate(network(in_patches=one, function=function)) for one in (True, False)
    )
    assert patches.jacobian == pytest.approx(plain.jacobian, rel=1e-12)
    for one, other in zip(patches.kernels, plain.kernels, strict=True):
        assert one.gradient == pytest.approx(other.gradient, rel=1e-12)
    ends = (patches.tensors[-1], plain.tensors[-1])
    assert ends[0].mean_square == pytest.approx(ends[1].mean_square, rel=1e-12)


def test_patches_score_like_positions() -> None:
    patches, plain = (unrolled.score(network(in_patches=one)) for one in (True, False))
    assert patches.to_dict() == plain.to_dict()


def test_what_is_flattened_for_good_is_channels() -> None:
    """Weights of a dense layer are not shared, so that derivatives at positions are independent."""
    net = Network()
    x = net.activation(net.conv(net.input((3, SIDE, SIDE)), CHANNELS, 3, use_bias=False))
    # Rows and channels become one axis that a dense layer reads at every column.
    x = net.transpose(net.reshape(x, (CHANNELS * SIDE, SIDE)), (1, 0))
    x = net.dense(x, 16, use_bias=False, name="columns")
    net.output(net.dense(net.flatten(x), 5, use_bias=False))
    found = propagate(net, input=unrolled.Signal(position_correlation=0.5))
    assert found["columns"].positions == SIDE
    # The mean square of derivatives at the convolution, times its inputs and the taps in bounds.
    taps = sum(min(i, 1) + 1 + min(SIDE - 1 - i, 1) for i in range(SIDE)) ** 2
    assert found.kernels[0].gradient == pytest.approx(
        3 * CHANNELS * taps * found["conv_1"].gradient, rel=1e-12
    )
