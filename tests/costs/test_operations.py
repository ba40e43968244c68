"""What layers cost, against counts that walk ONNX files, brute force, and published figures."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_networks import Twin, twins
from unrolled import Network, Relation, models
from unrolled.costs import activations_of, costs_of
from unrolled.counting.path_diagram import taps_in_bounds

ARCHIVE = Path(__file__).parents[1] / "data" / "models.tar.xz"
PUBLISHED = {
    "tv__resnet50": 4.0892e9,
    "timm__resnet50": 4.0892e9,
    "timm__densenet201": 4.2914e9,
    "timm__tf_efficientnetv2_b0": 0.5282e9,
}
"""Multiplications as fvcore and the model zoos give them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            (path / Path(member.name).name).write_bytes(file.read())
    return path


def test_multiplications_of_all_exports(folder):
    pytest.importorskip("onnx")
    from oracles.onnx_multiplications import multiplications

    paths = sorted(folder.glob("*.onnx"))
    assert len(paths) == 26
    for path in paths:
        costs = costs_of(unrolled.from_onnx(path))
        by_weights = sum(cost.macs for cost in costs if cost.has_parameters)
        by_values = sum(cost.macs for cost in costs if not cost.has_parameters)
        assert (path.stem, by_weights, by_values) == (path.stem, *multiplications(path))
        if path.stem in PUBLISHED:
            assert by_weights + by_values == pytest.approx(PUBLISHED[path.stem], abs=5e4)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnetv2-b0"])
def test_scores_count_the_same_multiplications(name):
    """The core has its own count, of networks that are followed by a signal."""
    assert unrolled.score(name).macs == unrolled.analyze(name).totals.macs


@given(*[st.integers(1, 12)] * 4, st.integers(-4, 12), st.integers(1, 40))
def test_taps_in_bounds(steps, size, stride, dilation, padding, extent):
    expected = sum(
        0 <= step * stride - padding + tap * dilation < extent
        for step in range(steps)
        for tap in range(size)
    )
    assert taps_in_bounds(steps, size, stride, dilation, padding, extent) == expected


def test_taps_in_bounds_of_any_length():
    """Of a window as wide as the axis, half the taps lie on it."""
    length = 10**15
    assert taps_in_bounds(length, length, 1, 1, 0, length) == length * (length + 1) // 2


@settings(max_examples=60)
@given(twins())
def test_edges_are_those_of_the_unrolled_graph(twin: Twin):
    """An explicit graph has one edge for each."""
    edges = sum(cost.edges for cost in costs_of(twin.network))
    unrolled_graph = twin.network.unroll()
    weights = unrolled_graph.multiplicity
    assert edges == (unrolled_graph.num_edges if weights is None else int(weights.sum()))


def test_every_kind_of_layer():
    net = Network()
    x = net.conv(net.input((3, 8, 8)), 4, 3, stride=2, padding="same", name="a.conv")
    x = net.activation(net.batch_norm(x, name="a.norm"), "relu", name="a.relu")
    x = net.max_pool(net.add(x, x, name="b.sum"), 2, name="b.pool")
    net.output(net.dense(net.global_pool(x, name="c.pool"), 5, name="c.head"))
    costs = {cost.name: cost for cost in costs_of(net)}
    conv, norm, head = costs["a.conv"], costs["a.norm"], costs["c.head"]
    assert (conv.kind, conv.output_shape, conv.macs) == ("conv", (4, 4, 4), 64 * 27)
    # One tap a row and a column lies on padding: at the end, where the kernel is even to it.
    assert conv.edges == 2 * 4 * 3 * 11 * 11 + 64
    assert conv.flops == 2 * conv.macs + 64
    assert (norm.kind, norm.macs, norm.flops, norm.num_trainable) == ("batch norm", 0, 4 * 64, 8)
    assert (head.kind, head.macs, head.flops, head.output_shape) == ("dense", 20, 45, (5,))
    assert [costs[name].flops for name in ("a.relu", "b.sum", "b.pool")] == [64, 64, 3 * 16]
    assert costs["c.pool"].flops == 3 * 4


def test_products_and_lookups():
    net = Network()
    a, b = net.input((2, 5, 7), "a"), net.input((7, 3), "b")
    words = net.embedding(net.input((4,), "words"), 100, 8, name="table")
    net.output(net.matmul(a, b, name="product"), words)
    costs = {cost.name: cost for cost in costs_of(net)}
    assert (costs["product"].macs, costs["product"].edges) == (2 * 5 * 3 * 7, 2 * 2 * 5 * 3 * 7)
    assert (costs["table"].kind, costs["table"].macs) == ("embedding", 0)


def test_shared_weights_count_once_and_are_marked():
    net = models.mlp(16, depth=4, inputs=16).share()
    analysis = unrolled.analyze(net)
    shared = analysis.layers[0]
    assert (shared.num_uses, shared.num_parameters, shared.macs) == (4, 16 * 17, 4 * 16 * 16)
    assert f"{shared.name} (x4)" in analysis.table()
    assert analysis.totals.num_parameters == net.num_parameters


def test_a_transposed_convolution_multiplies_every_input():
    net = Network()
    net.output(net.conv_transpose(net.input((4, 5, 5)), 6, 3, stride=2, groups=2, name="up"))
    (up,) = [cost for cost in costs_of(net) if cost.has_parameters]
    assert up.macs == 4 * 25 * 3 * 9
    assert (up.kind, up.output_shape) == ("conv transpose", (6, 10, 10))


def test_layers_of_links():
    net = Network()
    x = net.input((4, 3))
    weight, y = net.parameter("gain/weight", (4,)), net.tensor("gain", (4, 3))
    net.link(x, y, [Relation.same(0, 0), Relation.same(1, 1)])
    net.link(weight, y, [Relation.same(0, 0), Relation.sum(1)])
    net.output(y)
    (gain,) = costs_of(net)
    assert (gain.macs, gain.flops, gain.edges) == (0, 12, 24)


def test_what_was_added_later_does_not_count():
    net = models.mlp([4], inputs=3)
    analysis = unrolled.analyze(net)
    net.dense(net["layer1"], 7, name="later")
    assert [layer.name for layer in analysis.layers] == ["layer1", "classifier"]
    assert analysis.totals.macs == 3 * 4 + 4 * 10


def _grow_behind(net: Network) -> None:
    net.output(net.dense(net["layer1"], 700, name="later"))


def _grow_from_a_new_input(net: Network) -> None:
    net.output(net.dense(net.input((50,), "other"), 700, name="later"))


def _mark_an_older_tensor(net: Network) -> None:
    net.output(net["layer1"])


def _grow_in_a_circle(net: Network) -> None:
    first, second = net.tensor("first", (4,)), net.tensor("second", (4,))
    for source, target in [(net["layer1"], first), (first, second), (second, first)]:
        net.link(source, target, [Relation.same(0, 0)])


@pytest.mark.parametrize(
    "grow", [_grow_behind, _grow_from_a_new_input, _mark_an_older_tensor, _grow_in_a_circle]
)
def test_an_analysis_is_of_the_network_that_was_counted(grow):
    before = unrolled.analyze(models.mlp([4, 5], inputs=3))
    net = models.mlp([4, 5], inputs=3)
    analysis = unrolled.analyze(net)
    grow(net)
    assert analysis.activations == before.activations
    assert (analysis.layers, analysis.totals) == (before.layers, before.totals)
    assert analysis.table(columns="memory,macs") == before.table(columns="memory,macs")
    assert analysis.to_dict(complete=True) == before.to_dict(complete=True)


def test_memory_of_a_residual_block():
    net = Network()
    x = net.input((10,))
    y = net.dense(net.activation(net.dense(x, 20, name="wide"), name="relu"), 10, name="narrow")
    net.output(net.add(x, y, name="sum"))
    memory = activations_of(net)
    assert memory.total == 20 + 20 + 10 + 10
    assert memory.forward_peak == 10 + 20 + 20  # The input waits while the wide part is computed.
    assert memory.in_bytes("bfloat16").total == 2 * memory.total
    theory = unrolled.theory.activation_memory(net, "float64")
    found = memory.in_bytes("float64")
    assert (theory.saved, theory.peak) == (found.saved, found.backward_peak)
    assert theory.forward_peak == found.forward_peak
