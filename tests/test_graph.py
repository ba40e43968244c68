"""Building an explicit graph, and what it says of itself."""

from __future__ import annotations

import array
import copy
import pickle
from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from graph_oracles import Expected
from random_graphs import LARGEST, Case, graphs, grid, small_graphs

# Two sources into one node, a double edge to the sink, and a node that is alone.
SOURCES, TARGETS = [0, 1, 2, 2], [2, 2, 3, 3]
DOWNSTREAM = [2, 2, 2, 1, 1]

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
DTYPES = [order + kind for kind in INTEGERS for order in "<>"]


def example(**options):
    return unrolled.Graph.from_edges(SOURCES, TARGETS, num_nodes=5, **options)


def counts_of(graph):
    """Counts by id of a graph without names, by name of one with."""
    counts = unrolled.count(graph)
    nodes = range(graph.num_nodes) if graph.names is None else graph.names
    return [counts.exact(node) for node in nodes]


def edges_of(graph):
    """Edges with multiplicities, sorted."""
    multiplicity = (
        np.ones(graph.num_edges, int) if graph.multiplicity is None else (graph.multiplicity)
    )
    sources = np.repeat(np.arange(graph.num_nodes), np.diff(graph.indptr.astype(np.int64)))
    rows = zip(sources.tolist(), graph.indices.tolist(), multiplicity.tolist(), strict=True)
    return sorted(rows)


# Edges.


def test_properties():
    graph = example(name="tiny")
    assert isinstance(graph, unrolled.Graph)
    assert (graph.num_nodes, graph.num_edges, graph.name) == (5, 4, "tiny")
    assert graph.indptr.tolist() == [0, 1, 2, 4, 4, 4]
    assert graph.indices.tolist() == [2, 2, 3, 3]
    assert graph.multiplicity is None
    assert graph.names is None
    assert graph.outputs.tolist() == [3, 4]
    assert graph.inputs.tolist() == []
    assert (graph.parameters >= 0).tolist() == [True, True, False, False, True]
    assert counts_of(graph) == DOWNSTREAM


def test_names_of_a_graph_without_one():
    assert example().name == "graph"


def test_dtypes_of_properties():
    graph = example(parameters=[0, 0, -1, -1, 2], inputs=[1])
    assert graph.outputs.dtype == graph.inputs.dtype == graph.parameters.dtype == np.int64
    assert graph.parameters.tolist() == [0, 0, -1, -1, 2]
    assert graph.indices.dtype.kind in "iu"
    assert graph.indptr.dtype.kind in "iu"
    weighted = example(multiplicity=np.array([1, 2, 3, LARGEST], dtype=np.uint64))
    assert weighted.multiplicity.dtype.kind in "iu"
    assert weighted.multiplicity.tolist() == [1, 2, 3, LARGEST]


@given(graphs())
def test_edges_come_back(case):
    graph = case.build()
    assert edges_of(graph) == sorted(case.edges)
    assert (graph.num_nodes, graph.num_edges) == (case.num_nodes, case.num_edges)
    assert (graph.multiplicity is None) == (case.multiplicity is None)
    expected = Expected(case)
    assert graph.outputs.tolist() == expected.outputs
    assert graph.inputs.tolist() == expected.inputs


@given(graphs())
def test_labels(case):
    parameters = case.build().parameters
    assert parameters.shape == (case.num_nodes,)
    if case.labels is not None:
        assert parameters.tolist() == case.labels
        return
    sources = Expected(case).sources
    assert np.flatnonzero(parameters >= 0).tolist() == sources
    assert len(set(parameters[sources].tolist())) == len(sources)
    assert set(np.delete(parameters, sources).tolist()) <= {-1}


def test_negative_labels_are_no_parameters():
    graph = example(parameters=[-1, -5, 3, -(2**63), 2**63 - 1])
    assert np.flatnonzero(graph.parameters >= 0).tolist() == [2, 4]
    assert unrolled.count(graph).group(2**63 - 1) == 1
    assert graph.inputs.tolist() == [0, 1]


def test_masks():
    mask = np.array([True, False, True, False, False])
    graph = example(outputs=mask, inputs=~mask, parameters=mask)
    assert graph.outputs.tolist() == [0, 2]
    assert graph.inputs.tolist() == [1, 3, 4]
    assert (graph.parameters >= 0).tolist() == mask.tolist()
    assert graph.parameters[0] != graph.parameters[2]


def test_lists_of_bools_are_masks():
    mask = [True, False, True, False, False]
    assert example(outputs=mask).outputs.tolist() == [0, 2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_of_every_kind(dtype):
    sources, targets = np.array(SOURCES, dtype=dtype), np.array(TARGETS, dtype=dtype)
    graph = unrolled.Graph.from_edges(
        sources,
        targets,
        outputs=np.array([4, 3], dtype=dtype),
        parameters=np.array([1, 1, 2, 3, 4], dtype=dtype),
        multiplicity=np.array([1, 2, 3, 4], dtype=dtype),
        num_nodes=np.array(5, dtype=dtype)[()],
        inputs=np.array([1], dtype=dtype),
    )
    assert edges_of(graph) == [(0, 2, 1), (1, 2, 2), (2, 3, 3), (2, 3, 4)]
    assert graph.outputs.tolist() == [3, 4]
    assert graph.parameters.tolist() == [1, 1, 2, 3, 4]
    assert counts_of(graph) == [7, 14, 7, 1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_every_kind(dtype):
    graph = unrolled.Graph.from_csr(
        np.array([0, 1, 2, 4, 4, 4], dtype=dtype), np.array([2, 2, 3, 3], dtype=dtype)
    )
    assert counts_of(graph) == DOWNSTREAM


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        lambda a: array.array("q", a),
        lambda a: memoryview(array.array("i", a)),
        lambda a: np.array(a)[::-1].copy()[::-1],
        lambda a: np.repeat(a, 3)[::3],
        lambda a: np.array([a, a]).T[:, 0],
        lambda a: unaligned(np.array(a)),
        lambda a: read_only(np.array(a)),
        lambda a: np.array(a).astype(">u4"),
    ],
    ids=[
        "list",
        "tuple",
        "array",
        "memoryview",
        "reversed",
        "strided",
        "column",
        "unaligned",
        "read-only",
        "big-endian",
    ],
)
def test_arrays_of_every_layout(convert):
    graph = unrolled.Graph.from_edges(
        convert(SOURCES),
        convert(TARGETS),
        convert([3]),
        convert([5, 5, -1, -1, -1])
        if convert([0])[0].__class__ is not np.uint32
        else [5, 5, 0, 0, 0],
        convert([1, 2, 3, 4]),
        5,
        inputs=convert([0, 1]),
    )
    assert edges_of(graph) == [(0, 2, 1), (1, 2, 2), (2, 3, 3), (2, 3, 4)]
    assert counts_of(graph) == [7, 14, 7, 1, 0]
    rows = unrolled.Graph.from_csr(
        convert([0, 1, 2, 4, 4, 4]), convert([2, 2, 3, 3]), multiplicity=convert([1, 2, 3, 4])
    )
    assert edges_of(rows) == edges_of(graph)
    assert counts_of(rows) == [7, 14, 7, 1, 1]


def unaligned(values):
    """The same array one byte off."""
    found = np.frombuffer(b"\0" + values.tobytes(), dtype=values.dtype, offset=1)
    assert not found.flags.aligned
    return found


def read_only(values):
    values.flags.writeable = False
    return values


def test_arguments_are_not_changed():
    arguments = [np.array(values) for values in (SOURCES, TARGETS, [4, 3], [0, 0, -1, -1, -1])]
    before = [argument.copy() for argument in arguments]
    graph = unrolled.Graph.from_edges(*arguments, num_nodes=5)
    unrolled.count(graph)
    for argument, copied in zip(arguments, before, strict=True):
        assert argument.flags.writeable
        np.testing.assert_array_equal(argument, copied)


def test_arrays_may_change_after_building():
    """`from_edges` sorts the edges, so nothing of the arguments is left in the graph."""
    arguments = [np.array(values) for values in (SOURCES, TARGETS, [3, 4], [0, 0, -1, -1, 2])]
    graph = unrolled.Graph.from_edges(*arguments, num_nodes=5)
    for argument in arguments:
        argument[:] = 0
    assert counts_of(graph) == DOWNSTREAM
    assert graph.outputs.tolist() == [3, 4]
    assert graph.parameters.tolist() == [0, 0, -1, -1, 2]


def test_number_of_nodes():
    assert unrolled.Graph.from_edges([0], [7]).num_nodes == 8
    assert unrolled.Graph.from_edges([0], [7], num_nodes=20).num_nodes == 20
    alone = unrolled.Graph.from_edges([], [], num_nodes=3)
    assert (alone.num_nodes, alone.num_edges) == (3, 0)
    assert counts_of(alone) == [1, 1, 1]
    for dtype in ("i8", "u4"):
        empty = np.array([], dtype=dtype)
        assert unrolled.Graph.from_edges(empty, empty, num_nodes=1).num_nodes == 1


def test_lists_of_large_integers():
    """NumPy makes floats of such a list; a multiplicity must not be rounded."""
    try:
        graph = example(multiplicity=[1, 2, 3, LARGEST])
    except unrolled.InvalidGraphError:
        return
    assert graph.multiplicity.tolist() == [1, 2, 3, LARGEST]


def test_lists_of_integers_of_numpy():
    # NumPy finds no common type of integers but float64 for them.
    graph = unrolled.Graph.from_edges([np.uint64(0), 1], [1, np.uint64(2)])
    assert edges_of(graph) == [(0, 1, 1), (1, 2, 1)]
    labels = [np.uint64(3), -1, np.int64(3)]
    graph = unrolled.Graph.from_edges([0], [1], parameters=labels, num_nodes=3)
    assert graph.parameters.tolist() == [3, -1, 3]


def test_masked_arrays_without_missing_entries():
    sources = np.ma.array([0, 1], mask=False)
    graph = unrolled.Graph.from_edges(sources, [1, 2], outputs=np.ma.array([False, True, True]))
    assert edges_of(graph) == [(0, 1, 1), (1, 2, 1)]
    assert graph.outputs.tolist() == [1, 2]


def test_unsorted_edges_keep_the_order_of_each_row():
    graph = unrolled.Graph.from_edges(
        [1, 0, 1, 0, 1], [5, 4, 3, 2, 2], multiplicity=[5, 4, 3, 2, 1]
    )
    assert graph.indptr.tolist() == [0, 2, 5, 5, 5, 5, 5]
    assert graph.indices.tolist() == [4, 2, 5, 3, 2]
    assert graph.multiplicity.tolist() == [4, 2, 5, 3, 1]


def test_many_unsorted_edges():
    """Enough of them for every thread to have a part."""
    rng = np.random.default_rng(0)
    size, nodes = 300_000, 20_000
    pairs = np.sort(rng.integers(0, nodes, (size, 2)), axis=1)
    sources, targets = pairs[pairs[:, 0] < pairs[:, 1]].T
    multiplicity = np.arange(1, len(sources) + 1)
    order = np.argsort(sources, kind="stable")
    for threads in (1, 2, 5, None):
        graph = unrolled.Graph.from_edges(
            sources, targets, multiplicity=multiplicity, num_nodes=nodes, threads=threads
        )
        np.testing.assert_array_equal(graph.indices, targets[order])
        np.testing.assert_array_equal(graph.multiplicity, multiplicity[order])
        np.testing.assert_array_equal(
            np.diff(graph.indptr.astype(int)), np.bincount(sources, minlength=nodes)
        )


# Rows.


@given(graphs())
def test_rows_and_edges_make_the_same_graph(case):
    indptr, indices, multiplicity = case.csr()
    graph = unrolled.Graph.from_csr(indptr, indices, multiplicity=multiplicity, **case.arguments())
    other = case.build()
    np.testing.assert_array_equal(graph.indptr, other.indptr)
    np.testing.assert_array_equal(graph.indices, other.indices)
    np.testing.assert_array_equal(graph.parameters, other.parameters)
    assert edges_of(graph) == edges_of(other)
    assert graph.outputs.tolist() == other.outputs.tolist()
    assert graph.inputs.tolist() == other.inputs.tolist()
    assert counts_of(graph) == Expected(case).downstream


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8"])
@pytest.mark.parametrize("writeable", [True, False])
def test_rows_are_not_copied(dtype, writeable):
    indptr, indices = np.array([0, 1, 2, 4, 4, 4]), np.array([2, 2, 3, 3], dtype=dtype)
    indices.flags.writeable = writeable
    graph = unrolled.Graph.from_csr(indptr, indices)
    assert np.shares_memory(graph.indices, indices)
    assert not graph.indices.flags.writeable
    assert indices.flags.writeable == writeable
    assert counts_of(graph) == DOWNSTREAM


def test_rows_outlive_their_arrays():
    def build():
        indptr, indices, _ = grid(50, 50).csr()
        return unrolled.Graph.from_csr(indptr, indices)

    graph = build()
    assert counts_of(graph) == Expected(grid(50, 50)).downstream


def test_offsets_of_32_bits():
    case = grid(20, 20)
    indptr, indices, _ = case.csr()
    graph = unrolled.Graph.from_csr(indptr.astype(np.int32), indices.astype(np.int32))
    assert counts_of(graph) == Expected(case).downstream


# SciPy.


def sparse():
    return pytest.importorskip("scipy.sparse")


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_from_scipy(layout, kind):
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


def two_layers():
    graph = nx.DiGraph(name="two layers")
    graph.add_node("x", kind="input")
    graph.add_nodes_from(["w1", "w2"], kind="parameter", parameter="w")
    graph.add_node("b", kind="parameter")
    graph.add_nodes_from(["h", "g"], kind="operation")
    graph.add_node("y", kind="output")
    graph.add_node("z", kind="output")
    graph.add_edges_from([("x", "h"), ("w1", "h"), ("w2", "g"), ("b", "g"), ("h", "y"), ("g", "y")])
    graph.add_edge("h", "g", multiplicity=3)
    graph.add_edge("y", "z")
    return graph


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
    """In the order of the graph, not of the numbers."""
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
def test_coalesce(case):
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


# Names.


def test_index():
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
def test_unknown_ids(node):
    counts = unrolled.count(example())
    for attempt in (example().index, counts.exact, counts.__getitem__):
        with pytest.raises(unrolled.UnrolledError):
            attempt(node)


def test_indices_of_elements_are_integers_of_any_kind():
    graph = unrolled.models.mlp([2], inputs=2, classes=1).unroll()
    name = ("layer1/kernel", (np.int64(1), np.uint8(0)))
    assert graph.names[graph.index(name)] == ("layer1/kernel", (1, 0))


@pytest.mark.parametrize("node", ["w3", 0, None, ["w1"]])
def test_unknown_names(node):
    graph = unrolled.Graph.from_networkx(two_layers())
    counts = unrolled.count(graph)
    for attempt in (graph.index, counts.exact, counts.__getitem__):
        with pytest.raises(unrolled.UnrolledError):
            attempt(node)


# As an object.


def test_repr():
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
def test_copies(duplicate, case):
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


@settings(max_examples=30)
@given(graphs(), st.integers(1, 6))
def test_threads_do_not_change_the_graph(case, threads):
    one, many = case.build(threads=1), case.build(threads=threads)
    np.testing.assert_array_equal(one.indptr, many.indptr)
    np.testing.assert_array_equal(one.indices, many.indices)
    assert one.outputs.tolist() == many.outputs.tolist()


def test_a_case_is_what_it_says():
    """The strategy's own conversion to rows."""
    case = Case(3, [1, 0, 1], [2, 1, 2], [4, 5, 6])
    indptr, indices, multiplicity = case.csr()
    assert (indptr.tolist(), indices.tolist()) == ([0, 1, 3, 3], [1, 2, 2])
    assert multiplicity.tolist() == [5, 4, 6]
