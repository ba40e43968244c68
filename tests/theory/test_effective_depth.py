"""The effective depth against polynomials that are known and against sums over paths."""

from __future__ import annotations

import math

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, Network, NothingToCountError, theory
from unrolled.theory import effective_depth


def residual(blocks: int, width: int = 6, scale: float = 0.5) -> tuple[Network, dict[str, float]]:
    """Blocks ``x + W2 relu(W1 x)``, with the variance of W2 that the branch is scaled by."""
    net = Network("residual")
    x = net.input((width,))
    small = {}
    for block in range(blocks):
        y = net.activation(net.dense(x, width, use_bias=False, name=f"first{block}"), "relu")
        y = net.dense(y, width, use_bias=False, name=f"second{block}")
        small[f"second{block}/kernel"] = scale / width
        x = net.add(x, y)
    net.output(x)
    return net, small


@pytest.mark.parametrize(("blocks", "scale"), [(1, 0.5), (3, 0.5), (7, 2.0), (40, 0.1)])
def test_residual_blocks_have_a_binomial_law(blocks: int, scale: float) -> None:
    """The polynomial is (1 + scale z^2)^blocks, as W1 and the ReLU together pass on 1."""
    net, small = residual(blocks, scale=scale)
    depth = effective_depth(net, overrides=small)
    p = scale / (1 + scale)
    expected = np.zeros(2 * blocks + 1)
    for passed in range(blocks + 1):
        expected[2 * passed] = math.comb(blocks, passed) * p**passed * (1 - p) ** (blocks - passed)
    np.testing.assert_allclose(depth.law, expected, rtol=1e-9, atol=1e-300)
    assert depth.nominal == 2 * blocks
    assert depth.mean == pytest.approx(2 * blocks * p, rel=1e-9)
    assert depth.variance == pytest.approx(4 * blocks * p * (1 - p), rel=1e-9)


def test_law_is_that_of_weighted_path_sums() -> None:
    """Another engine: every path by itself, with the squared derivative of each of its links."""
    net, small = residual(4, width=5, scale=0.7)
    depth = effective_depth(net, overrides=small)
    sums = theory.path_sums(
        net,
        {**{f"first{block}": 2 / 5 for block in range(4)},
         **{f"second{block}": 0.7 / 5 for block in range(4)},
         "function": 0.5},
        grade="affine",
    )  # fmt: skip
    assert depth.mean == pytest.approx(sums.mean_grade, rel=1e-9)
    assert depth.variance == pytest.approx(sums.grade_variance, rel=1e-9)


def convolutions(size: int, kernel: int) -> Network:
    """Three blocks ``x + conv(x)`` of two channels, with as much padding as keeps the size."""
    net = Network("convolutions")
    x = net.input((2, size, size))
    for block in range(3):
        x = net.add(x, net.conv(x, 2, kernel, padding=kernel // 2, name=f"conv{block}"))
    net.output(net.dense(net.flatten(x), 3, name="top"))
    return net


def law_by_elements(net: Network) -> theory.PathSums:
    """Every path from element to element, with the mean squares of the weights along it."""
    squares = {kernel.target: kernel.mean_square for kernel in unrolled.propagate(net).kernels}
    return theory.path_sums(net, squares, grade="affine", direction="forward")


def test_law_of_convolutions_is_that_of_paths_between_elements() -> None:
    net = convolutions(6, kernel=1)
    np.testing.assert_allclose(
        effective_depth(net).law, law_by_elements(net).grade_shares, rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize(("size", "most"), [(6, 0.02), (12, 0.01), (48, 0.0025)])
def test_borders_count_on_average(size: int, most: float) -> None:
    """Elements near a border have fewer taps and, through later layers, fewer of them again.

    The walk has one number a tensor, so that it misses that the two go together: an error that
    falls with the share of elements near a border, and makes the depth too small.
    """
    net = convolutions(size, kernel=3)
    ratio = effective_depth(net).mean / law_by_elements(net).mean_grade
    assert 1 - most < ratio < 1


def test_chain_is_as_deep_as_it_has_layers() -> None:
    depth = effective_depth(unrolled.models.mlp(16, depth=9, inputs=4, classes=3))
    assert depth.law[10] == pytest.approx(1.0, abs=1e-12)
    assert (depth.mean, depth.nominal) == (pytest.approx(10.0), 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnetv2-b0"])
def test_law_of_published_models_is_one_in_all_and_shallower_than_the_model(name: str) -> None:
    depth = effective_depth(name, size=64)
    assert math.fsum(depth.law) == pytest.approx(1.0, abs=1e-9)
    assert 1 < depth.mean < depth.nominal
    assert all(share >= 0 for share in depth.law)


def test_propagation_is_not_computed_again() -> None:
    net, small = residual(3)
    assert effective_depth(unrolled.propagate(net, overrides=small)) == effective_depth(
        net, overrides=small
    )


def test_maximum_behind_a_function_has_the_gradient_of_both() -> None:
    """The two are followed as one step, so the function has no derivatives of its own."""
    net = Network("pooled")
    x = net.activation(net.conv(net.input((3, 8, 8)), 4, 3, padding="same"), "relu")
    net.output(net.dense(net.flatten(net.max_pool(x, 2)), 2))
    depth = effective_depth(net)
    assert (depth.mean, depth.nominal) == (pytest.approx(2.0), 2)


def test_graphs_and_models_without_gradient_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="made of tensors"):
        effective_depth(unrolled.Graph.from_edges([0], [1]))
    net = Network("dead")
    net.output(net.activation(net.dense(net.input((3,)), 3, name="only"), "relu"))
    with pytest.raises(NothingToCountError, match="no gradient"):
        effective_depth(net, overrides={"only/kernel": 0.0})


def test_a_softmax_at_the_end_is_left_out():
    def depth(softmax):
        net = Network()
        x = net.activation(net.dense(net.input((5,)), 7), "relu")
        y = net.dense(x, 3)
        net.output(net.softmax(y) if softmax else y)
        return effective_depth(net)

    found, expected = depth(True), depth(False)
    assert found.law == expected.law
    assert found.mean == expected.mean == 2
