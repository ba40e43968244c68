"""Counts of networks and graphs that are pickled and copied."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_graphs import FEW, Case, graphs
from strategies.random_networks import Twin, twins
from unrolled import Counts, GraphCounts, InvalidArgumentError, ParameterCounts, Spectrum, models


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def assert_same_spectrum(one: Spectrum, other: Spectrum) -> None:
    assert one.levels == other.levels
    assert one.mantissas.tolist() == other.mantissas.tolist()
    assert one.is_exact == other.is_exact
    if one.is_exact:
        assert (one.counts, one.total) == (other.counts, other.total)
    owners = [
        [spectrum.owners(level) for level in range(len(spectrum))] for spectrum in (one, other)
    ]
    assert owners[0] == owners[1]
    assert not other.degeneracies.flags.writeable


def assert_same_parameter(one: ParameterCounts, other: ParameterCounts, has_lengths: bool) -> None:
    assert (one.name, one.shape, one.is_exact) == (other.name, other.shape, other.is_exact)
    assert one.log2().tolist() == other.log2().tolist()
    assert one.num_weight_nodes == other.num_weight_nodes
    assert one.num_unreached == other.num_unreached
    assert_same_spectrum(one.spectrum(), other.spectrum())
    if one.is_exact:
        assert one.exact().tolist() == other.exact().tolist()
        assert (one.minimum, one.maximum, one.total) == (other.minimum, other.maximum, other.total)
    if has_lengths:
        np.testing.assert_array_equal(one.mean_length(), other.mean_length())
        np.testing.assert_array_equal(one.length_variance(), other.length_variance())
        assert one.shortest_length == other.shortest_length
        assert one.longest_length == other.longest_length
        if one.is_exact:
            assert one.length_sums().tolist() == other.length_sums().tolist()


def assert_same_counts(one: Counts, other: Counts) -> None:
    for name in (
        "name",
        "names",
        "is_exact",
        "num_outputs",
        "num_inputs",
        "semantics",
        "provenance",
        "log2_total",
        "num_parameters",
        "num_unreached_parameters",
        "num_weight_nodes",
        "has_lengths",
        "peak_bytes",
    ):
        assert getattr(one, name) == getattr(other, name), name
    assert [tensor.shape for tensor in one.inputs] == [tensor.shape for tensor in other.inputs]
    if one.is_exact:
        assert one.total == other.total
    assert_same_spectrum(one.spectrum(), other.spectrum())
    for name in one:
        assert_same_parameter(one[name], other[name], one.has_lengths)


@settings(max_examples=40)
@given(twins(), st.booleans(), st.booleans())
def test_counts_of_random_networks_come_back_the_same(
    twin: Twin, exact: bool, lengths: bool
) -> None:
    counts = unrolled.count(twin.network, exact=exact, lengths=lengths)
    for again in (
        pickled(counts),
        pickled(pickled(counts)),
        copy.copy(counts),
        copy.deepcopy(counts),
    ):
        assert_same_counts(counts, again)
    for name in counts:
        assert_same_parameter(counts[name], pickled(counts[name]), lengths)
        assert_same_parameter(counts[name], copy.deepcopy(counts[name]), lengths)


def test_a_snapshot_stays_one() -> None:
    """What is added to the network after counting is not in the counts, nor in their pickle."""
    network = models.mlp([4], inputs=3, classes=2)
    counts = unrolled.count(network)
    before = pickled(counts)
    network.output(network.dense(network["layer1"], 7, name="late"))
    again = pickled(counts)
    assert list(again) == list(before) == list(counts)
    assert again.total == counts.total
    assert "late/kernel" not in again


def test_a_copy_has_a_name_of_its_own() -> None:
    counts = unrolled.count(models.mlp([4], inputs=3))
    for again in (copy.copy(counts), copy.deepcopy(counts), pickled(counts)):
        again.name = "another"
        assert counts.name == "mlp"


def test_pickles_of_counts_are_short() -> None:
    """Counts of hundreds of bits are there once, and maps as runs."""
    counts = unrolled.count(models.resnet(50))
    assert len(pickle.dumps(counts)) < 120_000
    assert len(pickle.dumps(counts["stem.conv/kernel"])) < 10_000
    log = unrolled.count(models.resnet(50), exact=False)
    assert len(pickle.dumps(log)) < 120_000
    with pytest.raises(InvalidArgumentError, match="in log space only"):
        _ = pickled(log).total
    with pytest.raises(InvalidArgumentError, match="in log space only"):
        _ = pickled(log["stem.conv/kernel"]).maximum


def assert_same_graph_counts(one: GraphCounts, other: GraphCounts, case: Case) -> None:
    assert (one.name, one.is_exact, one.towards) == (other.name, other.is_exact, other.towards)
    assert len(one) == len(other)
    np.testing.assert_array_equal(one.log2(), other.log2())
    assert one.log2_total == other.log2_total
    assert one.num_weight_nodes == other.num_weight_nodes
    assert_same_spectrum(one.spectrum(), other.spectrum())
    for node in range(case.num_nodes):
        try:
            expected = one[node]
        except InvalidArgumentError:  # It was not kept.
            with pytest.raises(InvalidArgumentError):
                other[node]
        else:
            assert other[node] == expected


@FEW
@given(
    graphs(),
    st.sampled_from([{}, {"towards": "inputs"}, {"through": True}, {"nodes": "parameters"}]),
    st.booleans(),
)
def test_counts_of_random_graphs_come_back_the_same(
    case: Case, options: dict[str, Any], exact: bool
) -> None:
    graph = case.build()
    again = pickled(graph)
    for name in ("indptr", "indices", "outputs", "inputs", "parameters", "multiplicity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(graph, name))
    counts = unrolled.count(graph, exact=exact, **options)
    for twin in (pickled(counts), copy.copy(counts), copy.deepcopy(counts)):
        assert_same_graph_counts(counts, twin, case)


def test_graph_counts_are_counted_again_when_they_are_asked_for() -> None:
    side = 200
    nodes = np.arange(side * side).reshape(side, side)
    sources = np.concatenate([nodes[:, :-1].ravel(), nodes[:-1].ravel()])
    targets = np.concatenate([nodes[:, 1:].ravel(), nodes[1:].ravel()])
    counts = unrolled.count(unrolled.Graph.from_edges(sources, targets))
    # A count has up to 396 bits; the pickle has the edges only.
    assert len(pickle.dumps(counts)) < 1.2 * len(pickle.dumps(counts.graph))
    again = pickled(counts)
    assert again._counted is None
    assert again.total == counts.total
    assert again.exact(0) == counts.exact(0)


def test_names_of_nodes_come_along() -> None:
    graph = models.mlp([2], inputs=2, classes=1).unroll()
    listed = unrolled.Graph.from_edges([0, 0], [1, 2], names=["a", ("b", 1), 3])
    for one in (graph, listed):
        for again in (pickled(one), copy.copy(one), copy.deepcopy(one)):
            assert (again.names, again.name) == (one.names, one.name)
            assert again.index(one.names[-1]) == one.num_nodes - 1
    counts = unrolled.count(graph)
    assert pickled(counts)["layer1/kernel", (0, 0)] == counts["layer1/kernel", (0, 0)]


def test_a_graph_in_a_file_is_opened_again(tmp_path, monkeypatch) -> None:
    graph = unrolled.Graph.from_edges([0, 0, 1], [1, 2, 2], name="filed")
    graph.save(tmp_path / "graph.npz")
    monkeypatch.chdir(tmp_path)
    mapped = unrolled.Graph.load("graph.npz", mmap=True)
    monkeypatch.chdir("/")
    for again in (pickled(mapped), copy.copy(mapped), copy.deepcopy(mapped)):
        assert again.name == "filed"
        assert unrolled.count(again).total == unrolled.count(graph).total
    assert len(pickle.dumps(mapped)) < 1000
    assert pickled(unrolled.count(mapped)).total == 2
    content = pickle.dumps(mapped)
    (tmp_path / "graph.npz").unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(content)


def test_a_spectrum_does_not_change_and_is_its_own_copy() -> None:
    spectrum = Spectrum.from_counts({1: 3, 2**5000 + 1: 2})
    assert copy.copy(spectrum) is copy.deepcopy(spectrum) is spectrum
    assert_same_spectrum(spectrum, pickled(spectrum))
    assert len(pickled(Spectrum.from_counts([]))) == 0
