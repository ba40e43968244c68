"""Arrays and options that make no graph: the error and what its message says."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

import unrolled
from cases.graph_refusals import ONE, TWO, Case, check, from_csr, from_edges
from unrolled import InvalidArgumentError, InvalidGraphError, UnrolledError

OBJECTS = np.array([0, 1], dtype=object)


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
    "a number for names": (lambda: from_edges(ONE, TWO, names=3), ("names", "sequence", "int 3")),
    "a text for names": (lambda: from_edges(ONE, TWO, names="abc"), ("names", "sequence", "abc")),
    "a generator of names": (
        lambda: from_edges(ONE, TWO, names=(name for name in "abc")),
        ("names", "sequence", "generator"),
    ),
    "32-bit source that could pass for a node": (
        lambda: from_edges(np.array([0, -5], dtype=np.int32), TWO),
        ("sources[1]", "-5"),
    ),
    "32-bit target that could pass for a node": (
        lambda: from_edges(ONE, np.array([1, -(2**31)], dtype=np.int32), num_nodes=2**32 - 2),
        ("targets[1]", str(-(2**31))),
    ),
    "32-bit target that could pass for a node, with outputs": (
        lambda: from_edges(ONE, np.array([1, -5], dtype=np.int32), outputs=[1]),
        ("targets[1]", "-5"),
    ),
    "small negative source": (
        lambda: from_edges(np.array([0, -7], dtype=np.int16), TWO),
        ("sources[1]", "-7"),
    ),
    "negative source of the other byte order": (
        lambda: from_edges(np.array([0, -7], dtype=">i4"), TWO),
        ("sources[1]", "-7"),
    ),
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


@pytest.mark.parametrize(
    "case",
    [*EDGES.values(), *ENDS.values(), *ROWS.values()],
    ids=[*EDGES, *ENDS, *ROWS],
)
def test_what_is_no_graph_is_refused(case):
    check(*case)


@pytest.mark.parametrize("name", ["", 3, "two\nlines", b"bytes"])
def test_a_name_that_is_no_line_of_text_is_refused(name):
    with pytest.raises(UnrolledError):
        from_edges(ONE, TWO, name=name)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two", [2]])
def test_a_wrong_number_of_threads_is_refused(threads):
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
    """A graph may have no node at all, but then there is nothing to count."""
    empty = [] if kind is None else np.array([], dtype=kind)
    graph = from_edges(empty, empty, **options)
    assert (graph.num_nodes, graph.num_edges) == (0, 0)
    assert graph.outputs.size == graph.inputs.size == graph.parameters.size == 0
    for exact in (True, False):
        for function in (unrolled.count, unrolled.analyze):
            with pytest.raises(unrolled.NothingToCountError, match="no node"):
                function(graph, exact=exact)


def test_without_outputs_no_node_has_a_path():
    """With an empty list of outputs, no node has a path to one."""
    graph = from_edges(ONE, TWO, outputs=[])
    assert unrolled.count(graph).log2().tolist() == [-np.inf] * 3
    with pytest.raises(unrolled.NothingToCountError):
        unrolled.analyze(graph)


def test_an_output_named_twice_is_one():
    graph = from_edges(ONE, TWO, outputs=[2, 2])
    assert graph.outputs.tolist() == [2]
    assert unrolled.count(graph).total == 1
