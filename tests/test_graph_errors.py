"""What a graph and its counting refuse: the error and what its message says."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import unrolled
from graph_oracles import Expected
from random_graphs import graphs
from unrolled import CycleError, InvalidArgumentError, InvalidGraphError, UnrolledError, models

from_edges = unrolled.Graph.from_edges
from_csr = unrolled.Graph.from_csr
from_scipy = unrolled.Graph.from_scipy
from_networkx = unrolled.Graph.from_networkx

ONE, TWO = [0, 1], [1, 2]
"""A chain of three nodes."""
OBJECTS = np.array([0, 1], dtype=object)


def sparse(entries, **options):
    from scipy import sparse

    return sparse.coo_array(entries, **options)


def edge(**attributes):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", **attributes)
    return graph


def node(**attributes):
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["a"].update(attributes)
    graph.nodes["b"]["kind"] = "output"
    return graph


# What is done, and what the message must say, in any order.
Case = tuple[Callable[[], Any], tuple[str, ...]]

EDGES: dict[str, Case] = {
    "lengths of sources and targets": (
        lambda: from_edges([0, 1, 2], [1]),
        ("sources", "targets", "3", "1"),
    ),
    "length of the multiplicities": (
        lambda: from_edges(ONE, TWO, multiplicity=[1, 2, 3]),
        ("multiplicit", "3", "2"),
    ),
    "negative source": (lambda: from_edges([0, -4], TWO), ("sources", "-4")),
    "negative target": (lambda: from_edges(ONE, [1, -4]), ("targets", "-4")),
    "one below zero": (lambda: from_edges([-1], [1]), ("sources", "-1")),
    "smallest target": (lambda: from_edges([0], [-(2**63)]), ("targets", str(-(2**63)))),
    "small negative target": (
        lambda: from_edges(ONE, np.array([1, -1], dtype=np.int8)),
        ("target", "-1"),
    ),
    "source out of range": (lambda: from_edges([7], [1], num_nodes=3), ("source", "7", "3")),
    "target out of range": (lambda: from_edges(ONE, [1, 3], num_nodes=3), ("target", "3")),
    "id beyond 32 bits": (lambda: from_edges([0], [2**32]), ("4294967",)),
    "id beyond 32 bits of a small graph": (
        lambda: from_edges([0], [2**32 + 1], num_nodes=3),
        ("target", str(2**32 + 1), "3"),
    ),
    "largest id": (
        lambda: from_edges([0], np.array([2**64 - 1], dtype=np.uint64)),
        ("target|nodes",),
    ),
    "id beyond 64 bits": (lambda: from_edges([0], [2**64]), ("targets",)),
    "floats": (lambda: from_edges([0.0, 1.0], TWO), ("sources", "float")),
    "an array of floats": (lambda: from_edges(ONE, np.array([1.0, 2.0])), ("targets", "float64")),
    "half precision": (
        lambda: from_edges(ONE, np.array([1.0, 2.0], dtype=np.float16)),
        ("targets", "float16"),
    ),
    "NaN": (lambda: from_edges(ONE, [1, float("nan")]), ("targets", "float")),
    "infinity": (lambda: from_edges(ONE, [1, float("inf")]), ("targets", "float")),
    "complex numbers": (lambda: from_edges(ONE, [1j, 2j]), ("targets", "complex")),
    "objects": (lambda: from_edges(OBJECTS, TWO), ("sources", "object")),
    "objects that are no numbers": (lambda: from_edges([None, 1], TWO), ("sources",)),
    "decimals": (lambda: from_edges([Decimal(0), Decimal(1)], TWO), ("sources",)),
    "bools": (lambda: from_edges([False], [True]), ("sources", "bool")),
    "strings": (lambda: from_edges(["a"], ["b"]), ("sources",)),
    "bytes": (lambda: from_edges(np.array([b"a"]), [1]), ("sources",)),
    "dates": (lambda: from_edges(np.array(["2020"], "M8[D]"), [1]), ("sources",)),
    "durations": (lambda: from_edges(np.array([0], "m8[s]"), [1]), ("sources",)),
    "records": (lambda: from_edges(np.zeros(1, "i4,i4"), [1]), ("sources",)),
    "a string": (lambda: from_edges("01", [1, 2]), ("sources",)),
    "a number": (lambda: from_edges(0, 1), ("sources",)),
    "an array without axes": (lambda: from_edges(np.array(0), np.array(1)), ("sources",)),
    "nothing": (lambda: from_edges(None, None), ("sources",)),
    "two axes": (lambda: from_edges([ONE, ONE], [TWO, TWO]), ("sources", "(2, 2)")),
    "one column": (lambda: from_edges(np.array([[0], [1]]), TWO), ("sources", "(2, 1)")),
    "ragged lists": (lambda: from_edges([[0], [1, 2]], TWO), ("sources",)),
    "a dictionary": (lambda: from_edges({0: 1}, [1]), ("sources", "dict")),
    "a set": (lambda: from_edges({0, 1}, TWO), ("sources", "list", "set")),
    "a generator": (lambda: from_edges((node for node in ONE), TWO), ("sources", "generator")),
    "an id beyond 64 bits among others": (
        lambda: from_edges([0, 2**70], TWO),
        ("sources[1]", str(2**70), "64 bits"),
    ),
    "an id far below zero": (
        lambda: from_edges(ONE, [1, -(2**70)]),
        ("targets[1]", str(-(2**70)), "64 bits"),
    ),
    "ids of both signs that need 64 bits": (
        lambda: from_edges([2**63, -1], TWO),
        ("sources[1]", "-1", str(2**63)),
    ),
    "missing ids": (
        lambda: from_edges(np.ma.array(ONE, mask=[False, True]), TWO),
        ("sources", "masked", "1 of 2"),
    ),
    "missing multiplicities": (
        lambda: from_edges(ONE, TWO, multiplicity=np.ma.array([1, 1], mask=[True, True])),
        ("multiplicity", "masked", "2 of 2"),
    ),
    "multiplicity zero": (
        lambda: from_edges(ONE, TWO, multiplicity=[1, 0]),
        ("multiplicity", "0"),
    ),
    "negative multiplicity": (
        lambda: from_edges(ONE, TWO, multiplicity=[-3, 1]),
        ("multiplicity", "-3"),
    ),
    "fractional multiplicity": (
        lambda: from_edges(ONE, TWO, multiplicity=[1.5, 1]),
        ("multiplicity", "float"),
    ),
    "multiplicity NaN": (
        lambda: from_edges(ONE, TWO, multiplicity=[np.nan, 1]),
        ("multiplicity", "float"),
    ),
    "multiplicity of bools": (
        lambda: from_edges(ONE, TWO, multiplicity=[True, True]),
        ("multiplicity", "bool"),
    ),
    "multiplicity of objects": (
        lambda: from_edges(ONE, TWO, multiplicity=OBJECTS + 1),
        ("multiplicity", "object"),
    ),
    "multiplicity beyond 64 bits": (
        lambda: from_edges(ONE, TWO, multiplicity=[2**64, 1]),
        ("multiplicity",),
    ),
    "one multiplicity for all": (lambda: from_edges(ONE, TWO, multiplicity=2), ("multiplicity",)),
    "multiplicity of two axes": (
        lambda: from_edges(ONE, TWO, multiplicity=[[1], [2]]),
        ("multiplicity", "(2, 1)"),
    ),
    "negative number of nodes": (lambda: from_edges([], [], num_nodes=-1), ("num_nodes", "-1")),
    "fractional number of nodes": (
        lambda: from_edges(ONE, TWO, num_nodes=3.0),
        ("num_nodes", "3.0"),
    ),
    "number of nodes as text": (lambda: from_edges(ONE, TWO, num_nodes="3"), ("num_nodes", "'3'")),
    "2**32 nodes": (lambda: from_edges(ONE, TWO, num_nodes=2**32), ("nodes", str(2**32))),
    "2**33 nodes": (lambda: from_edges(ONE, TWO, num_nodes=2**33), ("nodes", str(2**33))),
    "2**63 nodes": (lambda: from_edges(ONE, TWO, num_nodes=2**63), ("nodes",)),
    "2**70 nodes": (lambda: from_edges(ONE, TWO, num_nodes=2**70), ("nodes", str(2**70))),
    "the largest id and outputs": (
        lambda: from_edges([0], np.array([2**64 - 1], dtype=np.uint64), outputs=[0]),
        ("nodes", str(2**32 - 2)),
    ),
    "a negative id and outputs": (
        lambda: from_edges([0], [-1], outputs=[0], parameters=[0, -1]),
        ("targets[0]", "-1"),
    ),
}

ENDS: dict[str, Case] = {
    "output out of range": (lambda: from_edges(ONE, TWO, outputs=[3]), ("outputs", "3")),
    "negative output": (lambda: from_edges(ONE, TWO, outputs=[-1]), ("outputs", "-1")),
    "huge output": (lambda: from_edges(ONE, TWO, outputs=[2**32 + 2]), ("outputs",)),
    "outputs of floats": (lambda: from_edges(ONE, TWO, outputs=[2.0]), ("outputs", "float")),
    "outputs of objects": (lambda: from_edges(ONE, TWO, outputs=OBJECTS), ("outputs", "object")),
    "outputs of names": (lambda: from_edges(ONE, TWO, outputs=["y"]), ("outputs",)),
    "one output": (lambda: from_edges(ONE, TWO, outputs=2), ("outputs",)),
    "outputs of two axes": (lambda: from_edges(ONE, TWO, outputs=[[2]]), ("outputs", "(1, 1)")),
    "short mask of outputs": (
        lambda: from_edges(ONE, TWO, outputs=[True, False]),
        ("outputs", "2", "3"),
    ),
    "long mask of outputs": (
        lambda: from_edges(ONE, TWO, outputs=np.ones(4, dtype=bool)),
        ("outputs", "4", "3"),
    ),
    "missing outputs": (
        lambda: from_edges(ONE, TWO, outputs=np.ma.array([2, 1], mask=[False, True])),
        ("outputs", "masked"),
    ),
    "mask of outputs with missing entries": (
        lambda: from_edges(ONE, TWO, outputs=np.ma.array([True] * 3, mask=[True, False, False])),
        ("outputs", "masked"),
    ),
    "ragged outputs": (lambda: from_edges(ONE, TWO, outputs=[[0], [1, 2]]), ("outputs",)),
    "outputs in a set": (lambda: from_edges(ONE, TWO, outputs={2}), ("outputs", "set")),
    "ragged labels": (lambda: from_edges(ONE, TWO, parameters=[[0], [1, 2]]), ("parameters",)),
    "missing labels": (
        lambda: from_edges(ONE, TWO, parameters=np.ma.array([0] * 3, mask=[True, False, False])),
        ("parameters", "masked"),
    ),
    "input out of range": (lambda: from_edges(ONE, TWO, inputs=[3]), ("inputs", "3")),
    "negative input": (lambda: from_edges(ONE, TWO, inputs=[-2]), ("inputs", "-2")),
    "inputs of floats": (lambda: from_edges(ONE, TWO, inputs=[0.0]), ("inputs", "float")),
    "short mask of inputs": (lambda: from_edges(ONE, TWO, inputs=[True]), ("inputs", "1", "3")),
    "few labels": (lambda: from_edges(ONE, TWO, parameters=[0, 1]), ("parameters", "2", "3")),
    "many labels": (lambda: from_edges(ONE, TWO, parameters=[0] * 4), ("parameters", "4", "3")),
    "no labels": (lambda: from_edges(ONE, TWO, parameters=[]), ("parameters", "3")),
    "labels of floats": (
        lambda: from_edges(ONE, TWO, parameters=[0.0, 1.0, 2.0]),
        ("parameters", "float"),
    ),
    "labels of NaN": (
        lambda: from_edges(ONE, TWO, parameters=[0, 1, np.nan]),
        ("parameters", "float"),
    ),
    "labels of objects": (
        lambda: from_edges(ONE, TWO, parameters=np.array([0, 1, None])),
        ("parameters", "object"),
    ),
    "labels of text": (lambda: from_edges(ONE, TWO, parameters=["w", "w", "b"]), ("parameters",)),
    "label beyond 63 bits": (
        lambda: from_edges(ONE, TWO, parameters=np.array([0, 1, 2**63], dtype=np.uint64)),
        ("parameters", f"{2**63}|2**63"),
    ),
    "short mask of parameters": (
        lambda: from_edges(ONE, TWO, parameters=[True, False]),
        ("parameters", "2", "3"),
    ),
    "labels of two axes": (
        lambda: from_edges(ONE, TWO, parameters=[[0, 1, 2]]),
        ("parameters", "(1, 3)"),
    ),
}

ROWS: dict[str, Case] = {
    "no offsets": (lambda: from_csr([], []), ("indptr",)),
    "first offset": (lambda: from_csr([1, 2], [0, 0]), ("indptr", "0")),
    "offsets that fall": (lambda: from_csr([0, 2, 1, 2], [1, 2]), ("indptr",)),
    "offset beyond the end that comes back": (
        lambda: from_csr([0, 9, 2, 2], [1, 2]),
        ("indptr",),
    ),
    "last offset too small": (lambda: from_csr([0, 1, 1], [1, 1]), ("indptr", "1", "2")),
    "last offset too large": (lambda: from_csr([0, 3, 3], [1, 1]), ("indptr", "3", "2")),
    "negative offset": (lambda: from_csr([0, -1, 1], [1]), ("indptr",)),
    "negative offset at the end": (lambda: from_csr([0, 1, -1], [1]), ("indptr",)),
    "huge offset": (lambda: from_csr([0, 2**62, 1], [1]), ("indptr",)),
    "offsets of floats": (lambda: from_csr([0.0, 1.0], [0]), ("indptr", "float")),
    "offsets of objects": (lambda: from_csr(OBJECTS, [0]), ("indptr", "object")),
    "offsets of two axes": (lambda: from_csr([[0, 1, 1]], [1]), ("indptr", "(1, 3)")),
    "index out of range": (lambda: from_csr([0, 1, 1], [2]), ("indices|successor", "2")),
    "negative index": (lambda: from_csr([0, 1, 1], [-1]), ("indices", "-1")),
    "negative index of 32 bits": (
        lambda: from_csr([0, 1, 1], np.array([-1], dtype=np.int32)),
        ("indices", "-1"),
    ),
    "huge index": (lambda: from_csr([0, 1, 1], [2**32 + 1]), ("indices|successor", str(2**32 + 1))),
    "indices of floats": (lambda: from_csr([0, 1, 1], [1.0]), ("indices", "float")),
    "indices of bools": (lambda: from_csr([0, 1, 1], [True]), ("indices", "bool")),
    "indices of two axes": (lambda: from_csr([0, 1, 1], [[1]]), ("indices", "(1, 1)")),
    "multiplicities of other length": (
        lambda: from_csr([0, 1, 1], [1], multiplicity=[1, 2]),
        ("multiplicit", "2", "1"),
    ),
    "multiplicity of zero": (
        lambda: from_csr([0, 1, 1], [1], multiplicity=[0]),
        ("multiplicity", "0"),
    ),
    "output of no row": (lambda: from_csr([0, 1, 1], [1], outputs=[2]), ("outputs", "2")),
    "labels for the offsets": (
        lambda: from_csr([0, 1, 1], [1], parameters=[0, 1, 2]),
        ("parameters", "3", "2"),
    ),
}

MATRICES: dict[str, Case] = {
    "not square": (lambda: from_scipy(sparse(([1], ([0], [1])), shape=(2, 3))), ("(2, 3)",)),
    "negative entry": (lambda: from_scipy(sparse(([-2], ([0], [1])), shape=(2, 2))), ("-2",)),
    "fractional entry": (
        lambda: from_scipy(sparse(([0.5], ([0], [1])), shape=(2, 2))),
        ("0.5|float64",),
    ),
    "entry NaN": (lambda: from_scipy(sparse(([np.nan], ([0], [1])), shape=(2, 2))), ("nan|float",)),
    "complex entry": (
        lambda: from_scipy(sparse(([1j], ([0], [1])), shape=(2, 2))),
        ("complex",),
    ),
    "no matrix": (lambda: from_scipy("matrix"), ("str",)),
    "none": (lambda: from_scipy(None), ("None",)),
    "output of no row of a matrix": (
        lambda: from_scipy(sparse(([1], ([0], [1])), shape=(2, 2)), outputs=[2]),
        ("outputs", "2"),
    ),
}

NETWORKX: dict[str, Case] = {
    "undirected": (lambda: from_networkx(nx.Graph([(0, 1)])), ("DiGraph",)),
    "undirected multigraph": (lambda: from_networkx(nx.MultiGraph([(0, 1)])), ("DiGraph",)),
    "no graph": (lambda: from_networkx([(0, 1)]), ("NetworkX", "list")),
    "kind unknown": (lambda: from_networkx(node(kind="weight")), ("'weight'", "a")),
    "kind that is no text": (lambda: from_networkx(node(kind=3)), ("3", "a")),
    "kind that is an array": (lambda: from_networkx(node(kind=np.arange(2))), ("array", "a")),
    "kind that cannot be hashed": (lambda: from_networkx(node(kind=["input"])), ("input",)),
    "multiplicity of an edge zero": (
        lambda: from_networkx(edge(multiplicity=0)),
        ("multiplicity", "0"),
    ),
    "multiplicity of an edge negative": (
        lambda: from_networkx(edge(multiplicity=-7)),
        ("multiplicity", "-7"),
    ),
    "multiplicity of an edge fractional": (
        lambda: from_networkx(edge(multiplicity=1.5)),
        ("multiplicity", "1.5|float"),
    ),
    "multiplicity of an edge one as float": (
        lambda: from_networkx(edge(multiplicity=1.0)),
        ("'a' -> 'b'", "multiplicity", "float 1.0"),
    ),
    "multiplicity of an edge a bool": (
        lambda: from_networkx(edge(multiplicity=True)),
        ("'a' -> 'b'", "multiplicity", "bool True"),
    ),
    "multiplicity of one of several edges": (
        lambda: from_networkx(nx.MultiDiGraph([(0, 1), (0, 1, {"multiplicity": 2.0}), (1, 2)])),
        ("0 -> 1", "multiplicity", "float 2.0"),
    ),
    "multiplicity that is an array": (
        lambda: from_networkx(edge(multiplicity=np.array(2))),
        ("'a' -> 'b'", "multiplicity", "ndarray"),
    ),
    "multiplicity of an edge NaN": (
        lambda: from_networkx(edge(multiplicity=float("nan"))),
        ("multiplicity", "nan|float"),
    ),
    "multiplicity of an edge as text": (
        lambda: from_networkx(edge(multiplicity="3")),
        ("multiplicity",),
    ),
    "multiplicity of an edge missing": (
        lambda: from_networkx(edge(multiplicity=None)),
        ("multiplicity",),
    ),
    "multiplicity of an edge beyond 64 bits": (
        lambda: from_networkx(edge(multiplicity=2**64)),
        ("multiplicity",),
    ),
    "label that cannot be hashed": (
        lambda: from_networkx(node(kind="parameter", parameter=["w"])),
        ("parameter",),
    ),
}


@pytest.mark.parametrize(
    "case",
    [*EDGES.values(), *ENDS.values(), *ROWS.values(), *NETWORKX.values()],
    ids=[*EDGES, *ENDS, *ROWS, *NETWORKX],
)
def test_bad_arguments(case):
    check(*case)


@pytest.mark.parametrize("case", MATRICES.values(), ids=MATRICES)
def test_bad_matrices(case):
    pytest.importorskip("scipy.sparse")
    check(*case)


def check(attempt, parts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidGraphError) as caught:
            attempt()
    message = str(caught.value)
    assert isinstance(caught.value, UnrolledError)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, CycleError)
    for part in parts:
        pattern = "|".join(re.escape(choice) for choice in part.split("|"))
        assert re.search(pattern, message.replace(",", "")) or part in message, (part, message)
    assert len(message) < 500


@pytest.mark.parametrize("name", ["", 3, "two\nlines", b"bytes"])
def test_bad_names(name):
    with pytest.raises(UnrolledError):
        from_edges(ONE, TWO, name=name)


@pytest.mark.parametrize("option", ["multiplicity", "kind", "parameter"])
@pytest.mark.parametrize("attribute", [None, True, False, 3, ["kind"]])
def test_names_of_attributes_are_strings(option, attribute):
    with pytest.raises(InvalidArgumentError, match=option):
        from_networkx(edge(), **{option: attribute})


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two", [2]])
def test_bad_threads(threads):
    graph = from_edges(ONE, TWO)
    with pytest.raises(InvalidArgumentError, match="threads"):
        unrolled.count(graph, threads=threads)
    with pytest.raises(InvalidArgumentError, match="threads"):
        unrolled.analyze(graph, threads=threads)
    with pytest.raises((InvalidArgumentError, InvalidGraphError), match="threads"):
        from_edges(ONE, TWO, threads=threads)


def test_more_threads_than_anybody_has():
    assert unrolled.count(from_edges(ONE, TWO), threads=200).total == 1


@pytest.mark.parametrize("kind", [None, np.int64, np.uint32])
@pytest.mark.parametrize(
    "options", [{}, {"num_nodes": 0}, {"outputs": [], "parameters": [], "inputs": []}], ids=str
)
def test_an_empty_graph(kind, options):
    """No node at all: a graph, but nothing to count."""
    empty = [] if kind is None else np.array([], dtype=kind)
    graph = from_edges(empty, empty, **options)
    assert (graph.num_nodes, graph.num_edges) == (0, 0)
    assert graph.outputs.size == graph.inputs.size == graph.parameters.size == 0
    for exact in (True, False):
        for function in (unrolled.count, unrolled.analyze):
            with pytest.raises(unrolled.NothingToCountError, match="no node"):
                function(graph, exact=exact)


def test_no_outputs():
    """None was asked for, so no node has a path."""
    graph = from_edges(ONE, TWO, outputs=[])
    assert unrolled.count(graph).log2().tolist() == [-np.inf] * 3
    with pytest.raises(unrolled.NothingToCountError):
        unrolled.analyze(graph)


def test_an_output_named_twice_is_one():
    graph = from_edges(ONE, TWO, outputs=[2, 2])
    assert graph.outputs.tolist() == [2]
    assert unrolled.count(graph).total == 1


# Cycles.


def assert_cycle(error, edges):
    """The nodes of an error are a cycle without a detour, and the message shows it."""
    nodes = error.nodes
    assert nodes[0] == nodes[-1]
    assert len(set(nodes)) == len(nodes) - 1
    assert all(pair in edges for pair in pairwise(nodes))
    if len(nodes) < 15:
        assert " -> ".join(map(repr, nodes)) in str(error)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_cycle_is_shown(size):
    ring = np.arange(10, 10 + size)
    with pytest.raises(CycleError) as caught:
        from_edges([0, *ring, 5], [10, *np.roll(ring, -1), 6])
    assert_cycle(caught.value, {*zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)})
    assert len(caught.value.nodes) == size + 1


def test_self_loop_is_a_cycle():
    with pytest.raises(CycleError, match="3 -> 3"):
        from_edges([0, 3, 3], [3, 4, 3])
    with pytest.raises(CycleError, match="0 -> 0"):
        from_csr([0, 1], [0])
    with pytest.raises(CycleError, match="0 -> 0"):
        from_edges([0], [0])


def test_cycle_of_rows():
    with pytest.raises(CycleError, match=r"0 -> 2 -> 0|2 -> 0 -> 2"):
        from_csr(np.array([0, 1, 2, 3]), np.array([2, 2, 0], dtype=np.uint32))


def test_cycle_of_a_matrix():
    pytest.importorskip("scipy.sparse")
    with pytest.raises(CycleError, match=r"0 -> 1 -> 0|1 -> 0 -> 1"):
        from_scipy(sparse(([1, 1], ([0, 1], [1, 0])), shape=(2, 2)))


def test_cycle_has_names():
    graph = nx.DiGraph([("in", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "out")])
    with pytest.raises(CycleError) as caught:
        from_networkx(graph)
    assert_cycle(caught.value, set(graph.edges))
    assert set(caught.value.nodes) == {"a", "b", "c"}


def test_cycle_errors_are_graph_errors():
    with pytest.raises(UnrolledError):
        from_edges([0], [0])
    with pytest.raises(ValueError, match="cycle"):
        from_edges([0], [0])


@pytest.mark.parametrize("seed", range(3))
def test_long_cycle(seed):
    """A ring of 200,000 nodes: the message stays readable."""
    ring = np.random.default_rng(seed).permutation(200_000)
    with pytest.raises(CycleError) as caught:
        from_edges(ring, np.roll(ring, -1))
    edges = {*zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)}
    assert_cycle(caught.value, edges)
    assert len(str(caught.value)) < 1000


@settings(max_examples=40)
@given(graphs(), st.data())
def test_any_edge_backwards_is_found(case, data):
    assume(case.num_edges)
    expected = Expected(case)
    start = data.draw(st.sampled_from(case.sources))
    # Walk down a few edges, then back.
    end = start
    for _ in range(data.draw(st.integers(1, 60))):
        if not expected.successors[end]:
            break
        end = expected.successors[end][0][0]
    edges = {(a, b) for a, b, _ in case.edges} | {(end, start)}
    with pytest.raises(CycleError) as caught:
        from_edges([*case.sources, end], [*case.targets, start], num_nodes=case.num_nodes)
    assert_cycle(caught.value, edges)


# Counting.


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"towards": "sideways"}, ("towards", "'sideways'")),
        ({"towards": None}, ("towards", "None")),
        ({"towards": ["outputs"]}, ("towards", "outputs")),
        ({"nodes": "some"}, ("nodes", "'some'")),
        ({"nodes": [0, 1]}, ("nodes",)),
        ({"through": True, "towards": "inputs"}, ("through", "towards")),
        ({"memory_limit": -1}, ("memory_limit", "-1")),
        ({"memory_limit": 1.5}, ("memory_limit", "1.5")),
        ({"memory_limit": "1 GB"}, ("memory_limit", "'1 GB'")),
        ({"progress": 3}, ("progress", "3")),
        ({"progress": "bar"}, ("progress", "'bar'")),
    ],
)
def test_bad_options(options, parts):
    with pytest.raises(InvalidArgumentError) as caught:
        unrolled.count(from_edges(ONE, TWO), **options)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("value", [None, 3, [(0, 1)], "graph.npz", nx.DiGraph([(0, 1)])])
def test_no_graph_to_count(value):
    for function in (unrolled.count, unrolled.analyze):
        with pytest.raises(InvalidArgumentError):
            function(value)


@pytest.mark.parametrize(
    "options", [{"towards": "inputs"}, {"through": True}, {"nodes": "parameters"}, {"threads": 2}]
)
def test_options_of_graphs_are_refused_for_networks(options):
    net = models.mlp([4], inputs=3, classes=2)
    for function in (unrolled.count, unrolled.analyze):
        with pytest.raises((InvalidArgumentError, TypeError), match=next(iter(options))):
            function(net, **options)


def test_options_of_networks_are_refused_for_graphs():
    with pytest.raises(InvalidArgumentError, match="trainable_only"):
        unrolled.count(from_edges(ONE, TWO), trainable_only=True)


def test_memory_limit():
    graph = from_edges(np.arange(5000).repeat(2), np.arange(1, 5001).repeat(2))
    with pytest.raises(unrolled.MemoryLimitError, match="memory_limit"):
        unrolled.count(graph, memory_limit=1000)
    with pytest.raises(unrolled.MemoryLimitError, match="memory_limit"):
        unrolled.analyze(graph, memory_limit=0)
    assert unrolled.count(graph, memory_limit=10**12).total == 1 << 5000
    assert unrolled.count(graph, memory_limit=2**200).total == 1 << 5000


# Arrays that are shared with the caller and change.

MUTATIONS = """
import sys, warnings
import numpy as np
import unrolled

warnings.simplefilter("ignore")

def chain(dtype, length=2000):
    indptr = np.arange(length + 1)
    indptr[-1] = length - 1
    return indptr, np.arange(1, length, dtype=dtype)

def attempt(graph):
    for options in ({}, {"exact": False}, {"towards": "inputs"}, {"through": True},
                    {"nodes": "parameters"}, {"threads": 3},
                    {"exact": False, "towards": "inputs", "threads": 2}):
        try:
            counts = unrolled.count(graph, memory_limit=1 << 28, **options)
            counts.log2(), counts.spectrum(), counts.log2_total, counts[0]
        except unrolled.UnrolledError:
            pass
    for action in (graph.coalesce, graph.to_networkx, graph.to_scipy, lambda: repr(graph)):
        try:
            action()
        except Exception:  # NumPy and the like have errors of their own.
            pass

rng = np.random.default_rng(0)
changes = [
    lambda indptr, indices: indices.fill(0),
    lambda indptr, indices: indices.fill(np.iinfo(indices.dtype).max),
    lambda indptr, indices: indices.fill(len(indptr) - 1),
    lambda indptr, indices: indices.__setitem__(slice(None), indices[::-1].copy()),
    lambda indptr, indices: indices.__setitem__(slice(None), rng.permutation(indices)),
    lambda indptr, indices: indices.view("u1").__setitem__(slice(None), 255),
    lambda indptr, indices: indptr.fill(0),
    lambda indptr, indices: indptr.fill(10**12),
    lambda indptr, indices: indptr.fill(-1),
    lambda indptr, indices: indptr.__setitem__(slice(None), indptr[::-1].copy()),
]
for dtype in ("i4", "u4", "i8"):
    for change in changes:
        indptr, indices = chain(dtype)
        graph = unrolled.Graph.from_csr(indptr, indices)
        change(indptr, indices)
        attempt(graph)
        indptr, indices = chain(dtype)
        multiplicity = np.full(len(indices), 2, dtype="u8")
        graph = unrolled.Graph.from_csr(indptr, indices, multiplicity=multiplicity)
        multiplicity[:] = rng.choice([0, 1, 2**64 - 1], len(multiplicity)).astype("u8")
        attempt(graph)
        change(indptr, indices)
        attempt(graph)
print("survived")
"""


def test_arrays_that_change_crash_nothing():
    """Rows that are not copied may change under the graph: any answer or error, but no crash."""
    pytest.importorskip("scipy.sparse")
    result = subprocess.run(
        [sys.executable, "-c", MUTATIONS], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout) == (0, "survived\n"), result.stderr[-2000:]


TOO_LARGE = """
import resource
import unrolled
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
net = unrolled.models.mlp([1 << 17, 1 << 17], inputs=4, classes=2)
try:
    net.unroll()
except unrolled.UnrolledError as error:
    print(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_a_network_too_large_to_unroll():
    """More than 2**32 elements: refused, not tried."""
    result = subprocess.run(
        [sys.executable, "-c", TOO_LARGE], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "nodes" in result.stdout
