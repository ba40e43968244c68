"""Lengths of contexts against enumeration of all paths of the graph of elements."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

import unrolled
from strategies.random_networks import twins
from unrolled import InvalidArgumentError, reference

MOVES = 3


def lengths_of(network):
    """How many paths to an output have each length, for every element of every tensor."""
    graph = reference.expand(network)
    found = {}
    ends = {
        (tensor.name, index) for tensor in network.outputs for index in np.ndindex(*tensor.shape)
    }

    def visit(node):
        if node not in found:
            paths = Counter({0: 1} if node in ends else {})
            for successor, edges in graph[node].items():
                for length, number in visit(successor).items():
                    paths[length + 1] += edges * number
            found[node] = paths
        return found[node]

    for node in graph:
        visit(node)
    return found


def check(network):
    paths = lengths_of(network)
    exact = unrolled.count(network, lengths=True)
    in_log = unrolled.count(network, lengths=True, exact=False)
    whole = Counter()
    for name in exact:
        counts, logs = exact[name], in_log[name]
        sums, squares = counts.length_sums(), counts.squared_length_sums()
        mean, variance = counts.mean_length(), counts.length_variance()
        near_mean, near_variance = logs.mean_length(), logs.length_variance()
        of_tensor = Counter()
        for index in np.ndindex(*counts.shape):
            here = paths[name, index]
            of_tensor += here
            number = sum(here.values())
            first = sum(length * n for length, n in here.items())
            second = sum(length**2 * n for length, n in here.items())
            assert (counts[index], sums[index], squares[index]) == (number, first, second)
            if not number:
                assert math.isnan(mean[index])
                assert math.isnan(variance[index])
                continue
            expected = Fraction(second, number) - Fraction(first, number) ** 2
            # The result is correct to the last bit.
            assert mean[index] == float(Fraction(first, number))
            assert variance[index] == float(expected)
            assert counts.mean_length(index) == mean[index]
            assert counts.length_variance(index) == variance[index]
            assert near_mean[index] == pytest.approx(mean[index], rel=1e-13)
            assert near_variance[index] == pytest.approx(
                variance[index], abs=1e-12 * (1 + mean[index] ** 2)
            )
        shortest = min(of_tensor, default=None)
        longest = max(of_tensor, default=None)
        for found in (counts, logs):
            assert (found.shortest_length, found.longest_length) == (shortest, longest), name
        whole += of_tensor
    number = sum(whole.values())
    expected = Fraction(sum(length * n for length, n in whole.items()), number)
    for counted in (exact, in_log):
        analysis = unrolled.analyze(counted)
        assert analysis.mean_length == pytest.approx(float(expected), rel=1e-13)
        layers = [layer for layer in analysis.layers if layer.num_parameters]
        parts = sum(layer.share_of_contexts * layer.mean_length for layer in layers)
        assert parts == pytest.approx(float(expected), rel=1e-12)


@settings(max_examples=50)
@given(twins())
def test_lengths_in_random_networks_are_those_of_all_paths(twin):
    check(twin.network)


def test_a_residual_network():
    net = unrolled.Network()
    x = net.conv(net.input((2, 6, 6)), 3, 3, name="stem")
    for number in range(3):
        y = net.activation(net.batch_norm(net.conv(x, 3, 3, name=f"conv{number}")))
        x = net.add(x, y)
        if number == 1:
            net.output(x)
    net.output(net.dense(net.global_pool(x), 2, name="head"))
    check(net)


def test_a_shared_parameter_has_the_contexts_of_all_its_places():
    net = unrolled.Network()
    x = net.input((2,))
    w = net.parameter("w", (2, 2))
    for number in range(4):
        y = net.tensor(f"y{number}", (2,))
        net.link(x, y, [unrolled.Relation.all(0, 0)])
        net.link(w, y, [unrolled.Relation.each(0), unrolled.Relation.same(1, 0)])
        x = y
    net.output(x)
    check(net)


def test_depth_of_a_chain():
    """The kernel of layer d of n has contexts of n - d + 1 links, whatever the widths."""
    depth = 7
    counts = unrolled.count(
        unrolled.models.mlp([5] * (depth - 1), inputs=3, classes=4), lengths=True
    )
    assert counts.has_lengths
    for number, name in enumerate(name for name in counts if name.endswith("kernel")):
        assert counts[name].mean_length().min() == depth - number
        assert counts[name].length_variance().max() == 0
        assert counts[name].shortest_length == counts[name].longest_length == depth - number


def test_residual_blocks_have_binomial_lengths():
    """n residual blocks of one link and a skip of none: lengths are binomial."""
    net = unrolled.Network()
    n = 60
    w = net.parameter("w", (1,))
    x = w
    for number in range(n):
        # Two links through the block, one past it: the length is n plus a binomial number.
        y = net.tensor(f"inside{number}", (1,))
        z = net.tensor(f"sum{number}", (1,))
        same = [unrolled.Relation.same(0, 0)]
        for source, target in ((x, y), (y, z), (x, z)):
            net.link(source, target, same)
        x = z
    net.output(x)
    for exact in (True, False):
        counts = unrolled.count(net, lengths=True, exact=exact)["w"]
        assert counts.mean_length(0) == pytest.approx(1.5 * n, rel=1e-14)
        assert counts.length_variance(0) == pytest.approx(n / 4, rel=1e-9)
        assert (counts.shortest_length, counts.longest_length) == (n, 2 * n)
    exact = unrolled.count(net, lengths=True)["w"]
    assert exact.length_variance(0) == n / 4
    assert exact.total == 2**n


def test_counts_are_the_same_with_lengths():
    net = unrolled.models.efficientnet_v2("b0", size=32)
    plain, more = unrolled.count(net), unrolled.count(net, lengths=True)
    assert plain.total == more.total
    assert plain.num_weight_nodes == more.num_weight_nodes
    assert plain.spectrum().levels == more.spectrum().levels
    for name in ("stem/conv/kernel", "classifier/kernel"):
        if name in plain:
            assert plain[name].exact().tolist() == more[name].exact().tolist()
    assert plain.num_parameters == more.num_parameters


def test_analysis_has_lengths_where_they_were_counted():
    net = unrolled.models.mlp([4], inputs=3, classes=2)
    with_lengths, without = unrolled.analyze(net, lengths=True), unrolled.analyze(net)
    # 32 contexts of two links, 10 of one.
    assert with_lengths.mean_length == pytest.approx((32 * 2 + 10) / 42)
    assert [layer.mean_length for layer in with_lengths.layers] == [2.0, 1.0]
    assert "mean length" in with_lengths.summary()
    assert "mean length" not in without.summary()
    assert all(math.isnan(layer.mean_length) for layer in without.layers)
    with pytest.raises(InvalidArgumentError, match="lengths=True"):
        _ = without.mean_length
    with pytest.raises(InvalidArgumentError, match="counted without lengths"):
        unrolled.count(net)["layer1/kernel"].mean_length()
    with pytest.raises(InvalidArgumentError, match="counted without lengths"):
        _ = unrolled.count(net)["layer1/kernel"].longest_length
    with pytest.raises(InvalidArgumentError, match="log space"):
        unrolled.count(net, lengths=True, exact=False)["layer1/kernel"].length_sums()
    with pytest.raises(InvalidArgumentError, match="no element"):
        unrolled.count(net, lengths=True)["layer1/kernel"].mean_length((9, 9))


def test_progress_runs_once():
    seen = []
    net = unrolled.models.efficientnet_v2("b0", size=32)
    unrolled.count(net, lengths=True, progress=lambda done, total: seen.append(done / total))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(set(seen)) >= 4


def test_a_parameter_without_contexts_has_no_lengths():
    net = unrolled.Network()
    x = net.input((2, 3))
    net.conv(x, 2, 3, name="unused")
    net.output(net.conv(x, 2, 3, name="used"))
    counts = unrolled.count(net, lengths=True)
    assert counts["unused/kernel"].shortest_length is None
    assert counts["unused/kernel"].longest_length is None
    assert np.isnan(counts["unused/kernel"].mean_length()).all()
    assert counts["used/kernel"].shortest_length == 1
