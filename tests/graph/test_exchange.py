"""Graphs to and from SciPy and NetworkX, and the merging of parallel edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

import unrolled
from cases.graph_views import DOWNSTREAM, counts_of, edges_of, two_layers
from oracles.graph_paths import Expected
from strategies.random_graphs import LARGEST, graphs, small_graphs

# SciPy.


def sparse():
    return pytest.importorskip("scipy.sparse")


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_scipy_matrices_of_every_layout_are_read(layout, kind):
    dense = np.zeros((5, 5), dtype=np.int64)
    dense[0, 2] = dense[1, 2] = 1
    dense[2, 3] = 2
    matrix = getattr(sparse(), f"{layout}_{kind}")(dense)
    graph = unrolled.Graph.from_scipy(matrix, name="matrix")
    assert graph.name == "matrix"
    assert counts_of(graph) == DOWNSTREAM


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8"])
def test_from_scipy_of_every_kind(dtype):
    data = (np.array([1, 2, 3], dtype=dtype), (np.array([0, 1, 2]), np.array([2, 2, 3])))
    graph = unrolled.Graph.from_scipy(
        sparse().coo_array(data, shape=(5, 5)), outputs=[2, 3], parameters=[4, 4, 4, -1, -1]
    )
    assert edges_of(graph) == [(0, 2, 1), (1, 2, 2), (2, 3, 3)]
    assert counts_of(graph) == [4, 8, 4, 1, 0]
    assert unrolled.count(graph).group(4) == 16


def test_parallel_entries_add_up():
    matrix = sparse().coo_array(([1, 2, 3], ([0, 0, 1], [1, 1, 2])), shape=(3, 3))
    assert counts_of(unrolled.Graph.from_scipy(matrix)) == [9, 3, 1]


@given(small_graphs(huge=False) | graphs())
def test_scipy_round_trip(case):
    sparse()
    added = {}
    for source, target, multiplicity in case.edges:
        added[source, target] = added.get((source, target), 0) + multiplicity
    graph = case.build()
    if max(added.values(), default=0) >= 1 << 63:
        with pytest.raises(unrolled.SizeOverflowError):
            graph.to_scipy()
        return
    matrix = graph.to_scipy()
    assert matrix.format == "csr"
    assert matrix.dtype == np.int64
    assert matrix.shape == (case.num_nodes, case.num_nodes)
    found = matrix.tocoo()
    entries = zip(found.row.tolist(), found.col.tolist(), found.data.tolist(), strict=True)
    assert sorted(entries) == sorted((*edge, number) for edge, number in added.items())
    back = unrolled.Graph.from_scipy(
        matrix, outputs=graph.outputs, parameters=graph.parameters, inputs=graph.inputs
    )
    assert counts_of(back) == Expected(case).downstream
    assert unrolled.count(back).spectrum().levels == unrolled.count(graph).spectrum().levels


# NetworkX.


def test_kinds_of_networkx():
    graph = unrolled.Graph.from_networkx(two_layers())
    assert graph.names == ("x", "w1", "w2", "b", "h", "g", "y", "z")
    assert graph.name == "two layers"
    assert [graph.names[node] for node in graph.outputs] == ["y", "z"]
    assert [graph.names[node] for node in graph.inputs] == ["x"]
    labels = graph.parameters.tolist()
    assert [label >= 0 for label in labels] == [name in ("w1", "w2", "b") for name in graph.names]
    assert labels[1] == labels[2] != labels[3]
    counts = unrolled.count(graph)
    # y is an output and leads to another: 2 paths from it, as from h and g once, and 6 over h-g.
    assert {name: counts.exact(name) for name in graph.names} == {
        "x": 8, "w1": 8, "w2": 2, "b": 2, "h": 8, "g": 2, "y": 2, "z": 1,
    }  # fmt: skip
    assert (counts.num_parameters, counts.num_weight_nodes) == (2, 3)
    assert (counts.num_inputs, counts.num_outputs) == (1, 2)
    assert counts.spectrum().counts == [2, 10]
    assert counts.group(labels[1]) == 10


def test_names_of_attributes_can_be_chosen():
    other = nx.DiGraph()
    for node, data in two_layers().nodes(data=True):
        renamed = {"kind": "role", "parameter": "tied"}
        other.add_node(node, **{renamed[key]: value for key, value in data.items()})
    for source, target, data in two_layers().edges(data=True):
        other.add_edge(source, target, paths=data.get("multiplicity", 1))
    graph = unrolled.Graph.from_networkx(
        other, multiplicity="paths", kind="role", parameter="tied", name="renamed"
    )
    assert graph.name == "renamed"
    plain = unrolled.Graph.from_networkx(two_layers())
    assert counts_of(graph) == counts_of(plain)
    assert unrolled.count(graph).spectrum().counts == [2, 10]


def test_networkx_without_kinds():
    graph = unrolled.Graph.from_networkx(nx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")]))
    assert graph.names == ("a", "b", "c")
    assert [graph.names[node] for node in graph.outputs] == ["c"]
    assert counts_of(graph) == [2, 1, 1]
    assert graph.multiplicity is None or set(graph.multiplicity.tolist()) == {1}


def test_multigraphs_of_networkx():
    multigraph = nx.MultiDiGraph([("a", "b"), ("a", "b"), ("b", "c")])
    multigraph.add_edge("b", "c", multiplicity=5)
    graph = unrolled.Graph.from_networkx(multigraph)
    assert graph.num_edges == 4
    assert counts_of(graph) == [12, 6, 1]


def test_nodes_of_networkx_can_be_anything_hashable():
    nodes = [("layer", (0, 1)), 17, "text", frozenset([1]), 2.5, -3]
    graph = unrolled.Graph.from_networkx(nx.DiGraph(list(pairwise(nodes))))
    assert graph.names == tuple(nodes)
    counts = unrolled.count(graph)
    for number, node in enumerate(nodes):
        assert graph.index(node) == number
        assert counts.exact(node) == counts[node] == 1


def test_integers_of_networkx_are_names():
    """Nodes keep the order of the NetworkX graph, which need not be that of their numbers."""
    graph = unrolled.Graph.from_networkx(nx.DiGraph([(2, 1), (1, 0), (2, 0)]))
    counts = unrolled.count(graph)
    assert [counts.exact(node) for node in (0, 1, 2)] == [1, 1, 2]
    assert [graph.index(node) for node in (2, 1, 0)] == [0, 1, 2]


@given(small_graphs(huge=False))
def test_networkx_round_trip(case):
    # A node of NetworkX has one kind only.
    ends = set(Expected(case).outputs)
    labels = case.labels or [int(not edges) - 1 for edges in Expected(case).predecessors]
    labels = [-1 if node in ends else label for node, label in enumerate(labels)]
    inputs = [node for node in Expected(case).inputs if labels[node] < 0 and node not in ends]
    case = replace(case, outputs=sorted(ends), labels=labels, inputs=inputs)
    graph, expected = case.build(), Expected(case)
    exported = graph.to_networkx()
    assert isinstance(exported, nx.DiGraph)
    assert list(exported) == list(range(case.num_nodes))
    added = {}
    for source, target, multiplicity in case.edges:
        added[source, target] = added.get((source, target), 0) + multiplicity
    found = {(a, b): number for a, b, number in exported.edges(data="multiplicity")}
    assert found == added
    assert all(type(number) is int for number in found.values())
    kinds = dict(exported.nodes(data="kind"))
    for node in range(case.num_nodes):
        owned = graph.parameters[node] >= 0
        kind = "parameter" if owned else "operation"
        kind = "output" if node in expected.outputs else kind
        assert kinds[node] == ("input" if node in expected.inputs else kind)
    back = unrolled.Graph.from_networkx(exported)
    assert counts_of(back) == expected.downstream
    assert unrolled.count(back).spectrum().levels == unrolled.count(graph).spectrum().levels


def test_networkx_round_trip_keeps_names():
    graph = unrolled.Graph.from_networkx(two_layers())
    exported = graph.to_networkx()
    assert list(exported) == list(two_layers())
    assert exported.edges["h", "g"]["multiplicity"] == 3
    assert {node: exported.nodes[node]["kind"] for node in exported} == dict(
        two_layers().nodes(data="kind")
    )
    back = unrolled.Graph.from_networkx(exported)
    assert counts_of(back) == counts_of(graph)


@pytest.mark.parametrize("other", [1, 2**31, LARGEST])
def test_huge_multiplicities_of_networkx(other):
    graph = nx.DiGraph()
    graph.add_edge(0, 1, multiplicity=LARGEST)
    graph.add_edge(1, 2, multiplicity=other)
    loaded = unrolled.Graph.from_networkx(graph)
    assert counts_of(loaded) == [LARGEST * other, other, 1]
    assert loaded.to_networkx().edges[0, 1]["multiplicity"] == LARGEST


# Merging parallel edges.


@given(graphs())
def test_coalesce_adds_up_parallel_edges_and_keeps_the_rest(case):
    added = {}
    for source, target, multiplicity in case.edges:
        added[source, target] = added.get((source, target), 0) + multiplicity
    graph = case.build(name="many")
    if max(added.values(), default=0) > LARGEST:
        with pytest.raises(unrolled.SizeOverflowError):
            graph.coalesce()
        return
    merged = graph.coalesce()
    assert merged.num_edges == len(added)
    assert edges_of(merged) == sorted((*edge, number) for edge, number in added.items())
    assert merged.name == "many"
    assert merged.outputs.tolist() == graph.outputs.tolist()
    assert merged.inputs.tolist() == graph.inputs.tolist()
    assert merged.parameters.tolist() == graph.parameters.tolist()
    assert counts_of(merged) == Expected(case).downstream
    assert edges_of(graph) == sorted(case.edges)


def test_coalesce_keeps_names():
    graph = unrolled.Graph.from_networkx(nx.MultiDiGraph([("a", "b"), ("a", "b")])).coalesce()
    assert graph.names == ("a", "b")
    assert unrolled.count(graph).exact("a") == 2


ROLES = nx.DiGraph([("v", "s"), ("w", "s"), ("x", "s"), ("s", "y"), ("s", "z")])


@pytest.mark.parametrize(
    ("options", "total", "figures"),
    [
        ({}, 6, (0, 2)),
        ({"outputs": ["y"]}, 3, (0, 1)),
        ({"outputs": {"y", "s"}, "inputs": ["x"], "parameters": ("v", "w")}, 4, (1, 2)),
        ({"parameters": {"v": "tied", "w": "tied", "x": None}}, 4, (1, 2)),
        ({"parameters": np.array([True, False, True, False, False, False])}, 4, (1, 2)),
        ({"parameters": np.array([7, -1, 7, -1, -1, -1])}, 4, (1, 2)),
        ({"outputs": np.array([0, 0, 0, 0, 1, 0], dtype=bool), "inputs": ["x"]}, 3, (1, 1)),
    ],
)
def test_roles_of_networkx_nodes_may_be_given(options, total, figures):
    """Order of the nodes: v, s, w, x, y, z."""
    counts = unrolled.count(unrolled.Graph.from_networkx(ROLES, **options))
    assert (counts.total, (counts.num_inputs, counts.num_outputs)) == (total, figures)


def test_given_roles_come_before_attributes():
    graph = ROLES.copy()
    graph.add_node("v", kind="input")
    graph.add_node("y", kind="output")
    graph.add_node("w", kind="parameter")
    found = unrolled.Graph.from_networkx(graph, outputs=["z"], parameters=["x"])
    counts = unrolled.count(found)
    assert (counts.total, counts.num_inputs, counts.num_outputs) == (1, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ["no"]}, "outputs: the graph has no node str 'no'"),
        ({"inputs": "x"}, "inputs must be a collection of nodes"),
        ({"parameters": {"v": []}}, "labels must be hashable"),
        ({"parameters": [[]]}, "parameters: the graph has no node"),
        ({"outputs": 3}, "outputs must be a collection"),
    ],
)
def test_roles_that_networkx_graphs_cannot_have(options, message):
    with pytest.raises(unrolled.InvalidGraphError, match=message):
        unrolled.Graph.from_networkx(ROLES, **options)
