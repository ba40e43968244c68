"""Paths of models: numbers, depths and shares, against binomial laws and the graph drawn out."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

import unrolled
from strategies.random_networks import twins
from unrolled import InvalidArgumentError, Network, NothingToCountError, models
from unrolled.counting.summation import grade_moments
from unrolled.theory import path_sums, paths


def residual(blocks, width=3):
    """x + W2 f(W1 x): each block has a skip and width**2 ways of two layers for each pair."""
    net = Network("residual")
    x = net.input((width,), "x")
    for number in range(blocks):
        y = net.dense(x, width, name=f"first{number}")
        y = net.dense(net.activation(y, name=f"relu{number}"), width, name=f"second{number}")
        x = net.add(x, y, name=f"sum{number}")
    net.output(x)
    return net


def test_residual_blocks_follow_a_binomial_law():
    """From each unit one path leads on without a layer, and 9 with two: 3 (1 + 9 z**2)**blocks."""
    found = paths(residual(4))
    expected = [0] * 9
    for chosen in range(5):
        expected[2 * chosen] = 3 * math.comb(4, chosen) * 9**chosen
    assert found.law == tuple(expected)
    assert found.psi == 3 * 10**4
    assert found.mean_depth == pytest.approx(4 * 2 * 0.9)
    assert found.depth_variance == pytest.approx(4 * 4 * 0.9 * 0.1)
    assert (found.shortest, found.longest) == (0, 8)
    assert found.shares["first2"] == found.shares["second0"] == pytest.approx(0.9)
    assert found.shares["sum1"] == found.shares["x"] == 1.0


def test_depths_of_the_graph_drawn_out():
    """Every path of a small network, one by one."""
    net = Network("small")
    x = net.input((2, 4), "x")
    y = net.conv(x, 2, 3, padding="same", name="conv")
    z = net.concat([y, net.activation(x, name="relu")], name="both")
    net.output(net.dense(net.global_pool(z, name="pool"), 2, name="top"))
    graph = net.unroll()
    depths = Counter()

    def walk(node, depth):
        name = graph.names[node][0]
        if name == "top":
            depths[depth] += 1
        row = graph.indices[graph.indptr[node] : graph.indptr[node + 1]]
        for following in row.tolist():
            target = graph.names[following][0]
            walk(following, depth + (target in ("conv", "top")))

    for node in graph.inputs.tolist():
        walk(node, 0)
    found = paths(net)
    assert found.law == tuple(depths[depth] for depth in range(max(depths) + 1))
    assert found.psi == sum(depths.values())


def test_paths_of_resnet18_have_18_weight_layers():
    found = paths("resnet18")
    assert found.log2_psi == pytest.approx(201.6114910710193, abs=1e-12)
    assert found.longest == 18
    assert sum(found.law) == found.psi
    assert str(found).startswith("resnet18: 2^201.611")


@settings(max_examples=max(20, settings().max_examples // 5))
@given(twins())
def test_moments_without_the_law_are_those_of_the_law(twin):
    """Every second link counts as a layer."""
    network = twin.network
    numbers = {link[:3]: at % 3 for at, link in enumerate(network.links)}
    sums = path_sums(network, grade=lambda link: numbers[link[:3]], direction="forward")
    found = grade_moments(network, lambda link: numbers[link[:3]])
    assert found.total == sums.total
    if found.total:
        assert found.mean == pytest.approx(sums.mean_grade, rel=1e-12, abs=1e-12)
        assert found.variance == pytest.approx(sums.grade_variance, rel=1e-9, abs=1e-9)


def test_path_sums_are_a_record():
    net = models.resnet(18, size=32)
    for weights in (None, {"affine": 0.5}):
        sums = path_sums(net, weights)
        shares = sums.shares()
        assert [row["tensor"] for row in sums.rows] == list(shares)
        for row in sums.rows:
            name = row["tensor"]
            forward = np.logaddexp2.reduce(sums.log2_forward(name), axis=None)
            backward = np.logaddexp2.reduce(sums.log2_backward(name), axis=None)
            assert row["log2 forward"] == pytest.approx(forward)
            assert row["log2 backward"] == pytest.approx(backward)
            assert row["share"] == shares[name]
        assert sums.assumptions in sums.table()
        assert sums.assumptions in sums._repr_html_().replace("&#x27;", "'").replace("&#39;", "'")
    largest = path_sums(net, direction="forward", semiring="max")
    assert {key for row in largest.rows for key in row} == {"tensor", "log2 forward"}
    assert "largest path" in str(largest)


def test_without_law_and_shares():
    full, quick = paths(residual(4)), paths(residual(4), law=False, shares=False)
    assert (quick.psi, quick.law, quick.shares, quick.longest) == (full.psi, None, None, None)
    assert quick.mean_depth == pytest.approx(full.mean_depth, rel=1e-14)
    assert quick.depth_variance == pytest.approx(full.depth_variance, rel=1e-12)
    assert str(quick).startswith("residual: 2^14.87")
    with pytest.raises(InvalidArgumentError, match="law=True"):
        quick.plot()


def test_a_network_of_links_has_no_depth_and_says_so():
    net = Network()
    x, y = net.input(2, "x"), net.tensor("y", 2)
    net.link(x, y, [unrolled.Relation.all(0, 0)])
    net.output(y)
    found = paths(net)
    assert (found.psi, found.longest) == (4, 0)
    assert "all depths are 0" in str(found)


def test_models_without_paths_are_refused():
    with pytest.raises(InvalidArgumentError, match="through=True"):
        paths(models.mlp([2], inputs=2).unroll())
    net = Network()
    net.input(2)
    net.output(net.activation(net.parameter("w", 2)))
    with pytest.raises(NothingToCountError, match="no path leads"):
        paths(net)
    with pytest.raises(unrolled.UnrolledError):
        paths("no such model")
