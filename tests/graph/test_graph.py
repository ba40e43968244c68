"""Graphs from edges and from rows, given as arrays of every kind, and their properties."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_views import DOWNSTREAM, SOURCES, TARGETS, counts_of, edges_of, example
from oracles.graph_paths import Expected
from strategies.random_graphs import LARGEST, Case, graphs, grid

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


DTYPES = [order + kind for kind in INTEGERS for order in "<>"]


# Edges.


def test_properties_are_those_of_the_edges():
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
    if case.multiplicity is None:
        assert graph.multiplicity is None
    else:
        assert graph.multiplicity is not None
    expected = Expected(case)
    assert graph.outputs.tolist() == expected.outputs
    assert graph.inputs.tolist() == expected.inputs


@given(graphs())
def test_without_labels_each_source_is_a_parameter(case):
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


def test_masks_stand_for_the_nodes_they_mark():
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
    """The same numbers at an address that is not aligned."""
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


@pytest.mark.parametrize(
    ("sources", "targets", "copy"),
    [(SOURCES, TARGETS, True), (SOURCES[::-1], TARGETS[::-1], False)],
    ids=["copied", "sorted"],
)
def test_arrays_may_change_after_building(sources, targets, copy):
    """A graph whose edges were copied or sorted does not look at its arguments again."""
    lists = (sources, targets, [3, 4], [0, 0, -1, -1, 2])
    arguments = [np.array(values) for values in lists]
    graph = unrolled.Graph.from_edges(*arguments, num_nodes=5, copy=copy)
    for argument in arguments:
        argument[:] = 0
    assert counts_of(graph) == DOWNSTREAM
    assert graph.outputs.tolist() == [3, 4]
    assert graph.parameters.tolist() == [0, 0, -1, -1, 2]


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("copy", [True, False])
def test_sorted_edges_are_copied_when_asked(dtype, writeable, copy):
    sources, targets = np.array(SOURCES, dtype=dtype), np.array(TARGETS, dtype=dtype)
    times = np.ones(len(sources), dtype=np.uint64)
    for array_ in (sources, targets, times):
        array_.flags.writeable = writeable
    graph = unrolled.Graph.from_edges(sources, targets, multiplicity=times, num_nodes=5, copy=copy)
    assert np.shares_memory(graph.indices, targets) != copy
    assert np.shares_memory(graph.multiplicity, times) != copy
    assert not graph.indices.flags.writeable
    assert targets.flags.writeable == writeable
    rows = unrolled.Graph.from_csr(graph.indptr, targets, multiplicity=times, copy=copy)
    assert np.shares_memory(rows.indptr, graph.indptr) != copy
    assert np.shares_memory(rows.indices, targets) != copy
    assert np.shares_memory(rows.multiplicity, times) != copy
    assert counts_of(graph) == counts_of(rows) == DOWNSTREAM


def test_edges_outlive_their_arrays():
    def build():
        sources, targets = np.repeat(np.arange(2000), 2), np.arange(4000) // 2 + 1
        return unrolled.Graph.from_edges(sources, targets)

    graph = build()
    noise = [np.full(4000, -1) for _ in range(50)]
    assert graph.indices.tolist() == [at // 2 + 1 for at in range(4000)]
    assert unrolled.count(graph)[0] == 1 << 2000
    assert len(noise) == 50


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
    """NumPy turns such a list into floats, but multiplicities must not be rounded."""
    try:
        graph = example(multiplicity=[1, 2, 3, LARGEST])
    except unrolled.InvalidGraphError:
        return
    assert graph.multiplicity.tolist() == [1, 2, 3, LARGEST]


def test_lists_of_integers_of_numpy():
    # The common type that NumPy finds for these integers is float64.
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
    """There are enough edges for each thread to sort a part of them."""
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


@settings(max_examples=30)
@given(graphs(), st.integers(1, 6))
def test_threads_do_not_change_the_graph(case, threads):
    one, many = case.build(threads=1), case.build(threads=threads)
    np.testing.assert_array_equal(one.indptr, many.indptr)
    np.testing.assert_array_equal(one.indices, many.indices)
    assert one.outputs.tolist() == many.outputs.tolist()


def test_a_case_is_what_it_says():
    """The conversion to rows that other tests build graphs from is right itself."""
    case = Case(3, [1, 0, 1], [2, 1, 2], [4, 5, 6])
    indptr, indices, multiplicity = case.csr()
    assert (indptr.tolist(), indices.tolist()) == ([0, 1, 3, 3], [1, 2, 2])
    assert multiplicity.tolist() == [5, 4, 6]
