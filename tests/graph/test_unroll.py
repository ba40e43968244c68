"""Unrolled networks: the engines of networks and of graphs must agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from oracles.graph_paths import assert_close
from strategies.random_networks import Twin, twins
from strategies.twin import LAYERS
from unrolled import Network, models, reference
from unrolled.models import efficientnets, resnets
from unrolled.spectrum.catalogue import CATALOGUE


def assert_unrolls(network):
    """Both engines, in both number formats, agree on every element of every parameter."""
    counts = unrolled.count(network)
    in_log = unrolled.count(network, exact=False)
    graph = network.unroll()
    assert isinstance(graph, unrolled.Graph)
    assert graph.name == network.name
    found = unrolled.count(graph, nodes="parameters")
    found_in_log = unrolled.count(graph, exact=False)
    logarithms = found_in_log.log2()
    for name in counts:
        expected = counts[name].exact()
        expected_log2 = in_log[name].log2()
        for index in np.ndindex(expected.shape):
            assert found.exact((name, index)) == expected[index], (name, index)
        positions = [graph.index((name, index)) for index in np.ndindex(expected.shape)]
        assert_close(logarithms[positions].reshape(expected.shape), expected_log2, 1e-12)
    assert found.total == counts.total
    assert found.spectrum().counts == counts.spectrum().counts
    assert found.spectrum().degeneracies.tolist() == counts.spectrum().degeneracies.tolist()
    for figure in ("num_parameters", "num_unreached_parameters", "num_inputs", "num_outputs"):
        assert getattr(found, figure) == getattr(counts, figure), figure
    return graph


def assert_names(network, graph):
    """Nodes are the elements of all tensors, by tensor and index, with their roles."""
    names = [
        (tensor.name, index) for tensor in network.tensors for index in np.ndindex(tensor.shape)
    ]
    assert sorted(graph.names) == sorted(names)
    roles = {tensor.name: tensor.role for tensor in network.tensors}
    outputs = {tensor.name for tensor in network.outputs}
    assert {graph.names[node] for node in graph.outputs} == {
        name for name in graph.names if name[0] in outputs
    }
    assert {graph.names[node] for node in graph.inputs} == {
        name for name in graph.names if roles[name[0]] == "input"
    }
    labels = graph.parameters
    owned = [node for node, name in enumerate(graph.names) if roles[name[0]] == "parameter"]
    assert np.flatnonzero(labels >= 0).tolist() == owned
    assert len(set(labels[owned].tolist())) == len(owned)


@settings(max_examples=max(40, settings().max_examples // 2))
@given(twins())
def test_random_networks_unroll_to_graphs_of_the_same_counts(twin: Twin) -> None:
    graph = assert_unrolls(twin.network)
    assert_names(twin.network, graph)
    # Brute force knows nothing of links, the graph nothing of layers.
    expected = twin.graph.count()
    counts = unrolled.count(graph)
    for name, numbers in expected.items():
        for index in np.ndindex(numbers.shape):
            assert counts.exact((name, index)) == numbers[index]


@pytest.mark.parametrize("layer", LAYERS, ids=range(len(LAYERS)))
@settings(max_examples=max(5, settings().max_examples // 20))
@given(data=st.data())
def test_each_layer_unrolls_to_a_graph_of_the_same_counts(layer, data):
    assert_unrolls(data.draw(twins([layer])).network)


@settings(max_examples=max(12, settings().max_examples // 8))
@given(twins())
def test_edges_are_those_of_the_reference(twin: Twin) -> None:
    graph = twin.network.unroll().coalesce()
    expected = reference.expand(twin.network)
    names, indptr, indices = graph.names, graph.indptr.tolist(), graph.indices.tolist()
    multiplicity = [1] * len(indices) if graph.multiplicity is None else graph.multiplicity.tolist()
    found = {
        name: {names[indices[edge]]: multiplicity[edge] for edge in range(*indptr[node : node + 2])}
        for node, name in enumerate(names)
    }
    assert found == expected


def test_names_are_tensors_and_indices():
    net = Network("tiny")
    x = net.input((1, 3), "x")
    y = net.conv(x, 1, 2, padding="valid", use_bias=False, name="conv")
    net.output(net.global_pool(y, name="pool"))
    graph = net.unroll()
    assert_names(net, graph)
    assert ("conv/kernel", (0, 0, 1)) in graph.names
    assert graph.index(("x", (0, 2))) == graph.names.index(("x", (0, 2)))
    counts = unrolled.count(graph)
    assert counts[("x", (0, 1))] == 2
    assert counts[("conv/kernel", (0, 0, 1))] == 2
    assert all(type(part) is int for _, index in graph.names for part in index)


def test_scalars_are_named_by_an_empty_index():
    net = Network()
    net.output(net.multiply(net.input((2, 3)), net.parameter("gain", ())))
    assert unrolled.count(net.unroll()).exact(("gain", ())) == 6


def test_outputs_that_are_used_further():
    net = Network()
    hidden = net.dense(net.input(3), 4, name="hidden")
    net.output(hidden, net.dense(hidden, 2, name="top"))
    assert_unrolls(net)


def test_a_tied_kernel_is_one_node_an_element():
    net = Network("tied")
    kernel = net.parameter("kernel", (4, 4))
    x = net.input(4)
    for number in range(3):
        x = net.dense(x, 4, kernel=kernel, use_bias=False, name=f"step{number}")
    net.output(x)
    graph = assert_unrolls(net)
    assert np.count_nonzero(graph.parameters >= 0) == 16


def test_parameters_that_only_meet_padding_are_unreached_in_the_graph_too():
    """The outer taps of a kernel only ever meet padding."""
    net = Network("padded")
    net.output(net.conv(net.input((1, 1, 1)), 2, 3, padding="same", name="conv"))
    graph = assert_unrolls(net)
    assert unrolled.count(graph).num_unreached_parameters == 16
    assert unrolled.count(graph).exact(("conv/kernel", (0, 0, 0, 0))) == 0


def test_multiplicities_of_a_sparse_link():
    from unrolled import Relation

    net = Network()
    weight, y = net.parameter("w", 3), net.tensor("y", 2)
    offsets, indices = np.array([0, 2, 3]), np.array([0, 2, 2])
    net.link(weight, y, [Relation.sparse(0, 0, offsets, indices, np.array([7, 1, 10**15]))])
    net.output(y)
    counts = unrolled.count(net.unroll())
    assert [counts.exact(("w", (at,))) for at in range(3)] == [7, 0, 10**15 + 1]


def test_an_element_used_twice():
    net = Network()
    x = net.add(w := net.parameter("w", 2), w, name="twice")
    net.output(x)
    assert unrolled.count(net.unroll()).exact(("w", (0,))) == 2


def test_the_graph_counts_paths_from_the_inputs():
    """Every element of a dense layer has paths from each element of the layer before."""
    net = models.mlp([5, 4], inputs=3, classes=2)
    graph = net.unroll()
    upstream = unrolled.count(graph, towards="inputs")
    through = unrolled.count(graph, through=True)
    assert upstream.total == 3 * 5 * 4 * 2
    hidden = [name for name in graph.names if through.exact(name)]
    for name in hidden:
        assert through.exact(name) == upstream.exact(name) * unrolled.count(graph).exact(name)
    assert sum(through.exact(("input", (at,))) for at in range(3)) == upstream.total


def test_dependency_semantics_add_edges_of_statistics():
    """The statistics of a norm are paths under dependency semantics only."""
    totals = []
    for semantics in ("value", "dependency"):
        net = Network("norm", semantics=semantics)
        x = net.add(net.input((4, 3)), net.parameter("w", (4, 3)))
        net.output(net.layer_norm(x, name="norm"))
        assert_unrolls(net)
        totals.append(unrolled.count(net.unroll()).total)
    assert totals[0] < totals[1]


# Small versions of the models.

TINY_EFFICIENTNET = efficientnets.Variant(
    8,
    8,
    (
        efficientnets.Stage("fused", 1, 8, 1, 1),
        efficientnets.Stage("fused", 2, 8, 2, 2),
        efficientnets.Stage("mbconv", 2, 8, 2, 2),
        efficientnets.Stage("mbconv", 2, 8, 2, 1),
    ),
    head=16,
)


@pytest.mark.parametrize(("size", "padding"), [(8, "symmetric"), (11, "same"), (16, "symmetric")])
def test_a_tiny_efficientnet_unrolls_to_a_graph_of_the_same_counts(monkeypatch, size, padding):
    monkeypatch.setitem(efficientnets.VARIANTS, "tiny", TINY_EFFICIENTNET)
    assert_unrolls(models.efficientnet_v2("tiny", size=size, padding=padding, classes=3))


@pytest.mark.parametrize(
    ("depth", "options"),
    [
        (18, {"size": 8}),
        (18, {"size": 16, "padding": "same"}),
        (50, {"size": 12}),
        (50, {"size": 9, "variant": "v1.5", "include_top": False}),
    ],
)
def test_narrow_resnets_unroll_to_graphs_of_the_same_counts(monkeypatch, depth, options):
    monkeypatch.setattr(resnets, "WIDTH", 3)
    monkeypatch.setitem(resnets.BLOCKS, 50, (1, 2, 1, 1))
    assert_unrolls(models.resnet(depth, classes=4, **options))


@pytest.mark.parametrize(
    "network",
    [
        models.mlp([6, 5], inputs=4, classes=3),
        models.mlp(6, depth=6, inputs=4, classes=3, skip=2),
        models.mlp(5, depth=6, inputs=4, classes=3, skip=1, residual="dense", batch_norm=True),
        models.cnn([3, 4], size=6, strides=[1, 2], skip=2, batch_norm=True, classes=3),
        models.cnn([2, 3, 4, 3], size=7, skip=1, residual="dense", classes=2),
    ],
    ids=["mlp", "residual mlp", "dense mlp", "residual cnn", "dense cnn"],
)
def test_generated_models_unroll_to_graphs_of_the_same_counts(network):
    assert_names(network, assert_unrolls(network))


def test_analysis_of_an_unrolled_network():
    net = models.cnn([3, 4], size=6, classes=3)
    one, other = unrolled.analyze(net), unrolled.analyze(net.unroll())
    assert other.name == one.name
    for key in CATALOGUE:
        assert getattr(other, key) == pytest.approx(getattr(one, key), rel=1e-13), key


def test_a_network_without_outputs():
    net = Network("no output")
    net.dense(net.input(3), 2)
    with pytest.raises(unrolled.NothingToCountError):
        unrolled.analyze(net.unroll())
