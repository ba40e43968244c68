"""Mean and variance of the number of paths under random masks, against trying all of them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracles.random_masks import mask_groups, moments_of_paths
from strategies.random_networks import twins
from unrolled import MemoryLimitError, Network, models
from unrolled.counting.path_diagram import Diagram
from unrolled.theory.mask_covariances import Mask, path_moments

MOST_MASKS = 7


def moments(network, masks, memory_limit=1 << 28):
    by_number = {
        network[name].id: Mask(float(keep), frozenset(axes)) for name, (keep, axes) in masks.items()
    }
    diagram = Diagram.of_network(network, network.parameters)
    found = path_moments(diagram, by_number, memory_limit=memory_limit)
    return math.ldexp(*found.mean), math.ldexp(*found.variance)


def assert_moments(network, masks):
    mean, variance = moments_of_paths(network, masks)
    assert moments(network, masks) == pytest.approx(
        (float(mean), float(variance)), rel=1e-12, abs=0
    )


@settings(max_examples=max(60, settings().max_examples // 2))
@given(st.data())
def test_random_networks(data) -> None:
    network = data.draw(twins()).network
    keeps = st.sampled_from([Fraction(1, 2), Fraction(3, 4), Fraction(1, 10), Fraction(0)])
    masks = {}
    for tensor in data.draw(st.permutations(network.tensors)):
        if tensor.role == "input" or data.draw(st.booleans()):
            continue
        axes = [axis for axis in range(len(tensor.shape)) if data.draw(st.booleans())]
        trial = masks | {tensor.name: (data.draw(keeps), axes)}
        if len(mask_groups(network, trial)) <= MOST_MASKS:
            masks = trial
    assume(masks)
    assert_moments(network, masks)


def test_without_a_mask_nothing_varies():
    mean, variance = moments(models.mlp([3, 4], inputs=2, classes=2), {})
    assert (mean, variance) == ((6 + 3) * 8 + (12 + 4) * 2 + 8 + 2, 0.0)


def test_a_flattened_map_stays_tied():
    """Flattening moves masks of single elements without writing down all pairs of them."""
    net = Network()
    x = net.conv(net.input((3, 16, 16)), 64, 3, padding="same", name="conv")
    flat = net.reshape(x, (64 * 16 * 16,), name="flat")
    net.output(net.dense(flat, 1, use_bias=False, name="dense"))
    _, variance = moments(net, {"conv": (0.5, (0, 1, 2))}, memory_limit=1 << 26)
    # As many parameters lead to an element as taps of its window are in bounds, and the bias.
    taps = [2 if at in (0, 15) else 3 for at in range(16)]
    squares = sum((3 * a * b + 1) ** 2 for a in taps for b in taps)
    assert variance == pytest.approx(64 * squares * 0.25, rel=1e-12)


def test_wide_layers_are_cheap():
    """One number stands for all pairs of units, however wide a layer is."""
    width, keep = 3000, 0.9
    net = models.mlp([width, width], inputs=10, classes=5)
    masks = {f"layer{number}": (keep, (0,)) for number in (1, 2)}
    mean, variance = moments(net, masks, memory_limit=1 << 24)
    # The number of units that are there is binomial, X of the first layer and Y of the second;
    # there are 10 + 1 starts before each unit of the first, width + 1 before each of the second.
    first, second = 11, width + 1
    ex, ey = width * keep, width * keep
    ex2 = ex**2 + ex * (1 - keep)
    # Z = 5 Y (11 X + width + 1) + 5 (width + 1)
    expected_mean = 5 * ey * (first * ex + second) + 5 * second
    inner2 = first**2 * ex2 + 2 * first * second * ex + second**2
    expected = 25 * (ex2 * inner2 - (ey * (first * ex + second)) ** 2)
    assert mean == pytest.approx(expected_mean, rel=1e-13)
    assert variance == pytest.approx(expected, rel=1e-9)


def test_too_large_a_covariance_is_refused():
    net = Network()
    x = net.conv(net.input((1, 64, 64)), 2, 3, padding="same", name="conv")
    net.output(net.conv(x, 2, 3, padding="same", name="top"))
    with pytest.raises(MemoryLimitError, match="bytes"):
        moments(net, {"conv": (0.5, (0, 1, 2))}, memory_limit=1 << 24)
