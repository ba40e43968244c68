"""Graphs as objects: ids and names of nodes, copies, and what cannot be changed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings

import unrolled
from cases.graph_views import counts_of, edges_of, example, two_layers
from oracles.graph_paths import Expected
from strategies.random_graphs import small_graphs

# Names.


def test_index_finds_nodes_by_name_or_id():
    graph = example()
    assert [graph.index(node) for node in range(5)] == list(range(5))
    assert type(graph.index(np.int64(3))) is int
    named = unrolled.Graph.from_networkx(two_layers())
    assert [named.index(name) for name in named.names] == list(range(8))
    counts = unrolled.count(named)
    logs = unrolled.count(named, exact=False)
    for number, name in enumerate(named.names):
        assert counts[name] == counts.exact(name)
        assert logs[name] == logs.log2()[number]


@pytest.mark.parametrize("node", [5, -1, 10**30, "x", 1.5, None, [0]])
def test_an_unknown_id_is_refused(node):
    counts = unrolled.count(example())
    for attempt in (example().index, counts.exact, counts.__getitem__):
        with pytest.raises(unrolled.UnrolledError):
            attempt(node)


def test_indices_of_elements_are_integers_of_any_kind():
    graph = unrolled.models.mlp([2], inputs=2, classes=1).unroll()
    name = ("layer1/kernel", (np.int64(1), np.uint8(0)))
    assert graph.names[graph.index(name)] == ("layer1/kernel", (1, 0))


def test_names_are_listed_once():
    graph = unrolled.models.mlp([2], inputs=2, classes=1).unroll()
    assert graph.names is graph.names


def test_no_names_at_all():
    graph = unrolled.Network().unroll()
    assert graph.names == ()
    with pytest.raises(unrolled.UnknownNameError, match="no node named"):
        graph.index("x")


@pytest.mark.parametrize("node", ["w3", 0, None, ["w1"]])
def test_an_unknown_name_is_refused_with_a_suggestion(node):
    graph = unrolled.Graph.from_networkx(two_layers())
    counts = unrolled.count(graph)
    for attempt in (graph.index, counts.exact, counts.__getitem__):
        with pytest.raises(unrolled.UnrolledError):
            attempt(node)


# As an object.


def test_repr_has_numbers_of_nodes_and_edges():
    text = repr(unrolled.Graph.from_edges(np.arange(1500), np.arange(1, 1501), name="long chain"))
    assert text.startswith("Graph('long chain'")
    assert "1,501 nodes" in text
    assert "1,500 edges" in text


@pytest.mark.parametrize(
    "attribute",
    [
        *("num_nodes", "num_edges", "indptr", "indices", "multiplicity"),
        *("outputs", "inputs", "parameters", "names"),
    ],
)
def test_attributes_cannot_be_set(attribute):
    with pytest.raises(AttributeError):
        setattr(example(), attribute, None)


def test_arrays_are_read_only():
    graph = example(multiplicity=[1, 2, 3, 4], inputs=[0], parameters=[0, -1, -1, -1, -1])
    arrays = (graph.indptr, graph.indices, graph.multiplicity, graph.outputs, graph.inputs)
    for values in (*arrays, graph.parameters):
        assert not values.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_graphs_are_made_by_their_functions():
    with pytest.raises(TypeError):
        unrolled.Graph()


def test_keyword_only_options():
    with pytest.raises(TypeError):
        unrolled.Graph.from_edges([0], [1], None, None, None, None, [0])
    with pytest.raises(TypeError):
        unrolled.Graph.from_csr([0, 1, 1], [1], None, None, None, [0])


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))],
    ids=["copy", "deepcopy", "pickle"],
)
@settings(max_examples=20)
@given(case=small_graphs())
def test_copies_are_equal(duplicate, case):
    graph = case.build(name="first")
    other = duplicate(graph)
    assert other.name == "first"
    assert edges_of(other) == edges_of(graph)
    assert other.parameters.tolist() == graph.parameters.tolist()
    assert counts_of(other) == Expected(case).downstream


def test_copies_keep_names():
    graph = unrolled.Graph.from_networkx(two_layers())
    other = pickle.loads(pickle.dumps(graph))
    assert other.names == graph.names
    assert counts_of(other) == counts_of(graph)
