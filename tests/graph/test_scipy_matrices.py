"""`Graph.from_scipy` of every format and type: entries stored twice, zeros, and damaged arrays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unrolled
from unrolled import Graph, InvalidGraphError

sparse = pytest.importorskip("scipy.sparse")

FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
NODES = 6


def stored(layout: str, dtype: str, entries: list[tuple[int, int, int]]) -> Any:
    """A matrix whose arrays hold each entry, also where SciPy would add them up."""
    rows, columns, values = (
        (list(one) for one in zip(*entries, strict=True)) if entries else [[]] * 3
    )
    data = np.array(values, dtype=dtype)
    shape = (NODES, NODES)
    if layout == "coo":
        return sparse.coo_array((data, (np.array(rows, int), np.array(columns, int))), shape=shape)
    lines, others = (columns, rows) if layout == "csc" else (rows, columns)
    order = np.argsort(np.array(lines, int), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(np.array(lines, int), minlength=NODES))])
    arrays = data[order], np.array(others, int)[order], starts
    if layout == "bsr":
        arrays = arrays[0].reshape(-1, 1, 1), *arrays[1:]
    return getattr(sparse, f"{layout}_array")(arrays, shape=shape)


def edges_of(graph: Graph) -> Counter[tuple[int, int]]:
    """The multiplicity of every edge, added up as Python integers."""
    found: Counter[tuple[int, int]] = Counter()
    starts = graph.indptr.tolist()
    times = [1] * len(graph.indices) if graph.multiplicity is None else graph.multiplicity.tolist()
    for source in range(graph.num_nodes):
        for at in range(starts[source], starts[source + 1]):
            found[source, int(graph.indices[at])] += times[at]
    return found


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr"])
@pytest.mark.parametrize(
    ("dtype", "values", "total"),
    [
        ("u1", [200, 200], 400),
        ("u1", [128, 128], 256),
        ("i1", [100, 100], 200),
        ("u8", [2**63, 2**63 + 5], 2**64 + 5),
        ("?", [True, True], 2),
        ("i4", [3, 0, 4], 7),
    ],
)
def test_entries_stored_twice_are_parallel_edges(layout, dtype, values, total):
    matrix = stored(layout, dtype, [(0, 1, value) for value in values])
    graph = Graph.from_scipy(matrix, parameters=[0, *[-1] * 5], outputs=[1])
    assert unrolled.count(graph)[0] == total


@st.composite
def matrices(draw):
    dtype = draw(st.sampled_from(DTYPES))
    most = 1 if dtype == "?" else np.iinfo(dtype).max
    values = st.integers(0, 3 if draw(st.booleans()) else int(most)).filter(lambda n: n <= most)
    pair = st.tuples(st.integers(0, NODES - 2), st.integers(1, NODES - 1))
    pairs = draw(st.lists(pair.filter(lambda one: one[0] < one[1]), max_size=12))
    entries = [(*one, draw(values)) for one in pairs]
    return dtype, entries


@given(matrices())
def test_every_format_has_the_same_edges(case):
    dtype, entries = case
    expected = Counter()
    for source, target, value in entries:
        expected[source, target] += int(value)
    expected = +expected
    for layout in ("coo", "csr", "csc", "bsr"):
        assert edges_of(Graph.from_scipy(stored(layout, dtype, entries))) == expected, layout
    # The other formats cannot store an entry twice.
    once = {(source, target): value for source, target, value in entries}
    matrix = stored("coo", dtype, [(*pair, value) for pair, value in once.items()])
    for layout in FORMATS:
        graph = Graph.from_scipy(matrix.asformat(layout))
        assert edges_of(graph) == +Counter({p: int(v) for p, v in once.items()}), layout


def test_blocks_and_diagonals_by_their_definitions():
    dense = np.triu(np.arange(36).reshape(6, 6), 1)
    expected = +Counter({(v, u): int(dense[v, u]) for v in range(6) for u in range(6)})
    for matrix in (
        sparse.bsr_array(dense, blocksize=(2, 3)),
        sparse.bsr_matrix(dense, blocksize=(3, 2)),
        sparse.dia_array(dense),
        sparse.lil_matrix(dense),
        sparse.dok_array(dense),
    ):
        assert edges_of(Graph.from_scipy(matrix)) == expected


DAMAGE = {
    "an index out of range": ("indices", [0, 10**9]),
    "a negative index": ("indices", [0, -7]),
    "too few indices": ("indices", [0]),
    "a pointer out of range": ("indptr", [0, 1, 10**9]),
    "a negative pointer": ("indptr", [0, -1, 2]),
    "pointers that fall": ("indptr", [0, 5, 2]),
    "too few pointers": ("indptr", [0, 2]),
    "pointers that begin late": ("indptr", [1, 1, 2]),
    "too few entries": ("data", [1]),
    "floating-point pointers": ("indptr", [0.0, 1.0, 2.0]),
}


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_arrays_are_refused_and_followed_nowhere(layout, damage):
    what, values = DAMAGE[damage]
    data = np.array([1, 1]) if layout != "bsr" else np.ones((2, 1, 1), int)
    matrix = getattr(sparse, f"{layout}_array")(
        (data, np.array([1, 1]), np.array([0, 1, 2])), shape=(2, 2)
    )
    damaged = np.array(values)
    setattr(
        matrix, what, damaged.reshape(-1, 1, 1) if what == "data" and layout == "bsr" else damaged
    )
    with pytest.raises(InvalidGraphError):
        Graph.from_scipy(matrix)


def test_lists_that_are_no_lists_are_refused():
    matrix = sparse.lil_array((2, 2), dtype=int)
    matrix.rows = np.array([1, 2])
    with pytest.raises(InvalidGraphError, match="cannot be read"):
        Graph.from_scipy(matrix)


def test_damaged_pairs_are_refused():
    matrix = sparse.coo_array((2, 2), dtype=int)
    matrix.coords = ()
    with pytest.raises(InvalidGraphError, match="cannot be read"):
        Graph.from_scipy(matrix)
    matrix = sparse.coo_array(
        (np.array([1, 1]), (np.array([0, 0]), np.array([1, 1]))), shape=(2, 2)
    )
    matrix.coords = (np.array([0, 0]), np.array([1, 10**9]))
    with pytest.raises(InvalidGraphError, match="1000000000"):
        Graph.from_scipy(matrix)
    matrix.coords = (np.array([0]), np.array([1, 1]))
    with pytest.raises(InvalidGraphError, match="belong"):
        Graph.from_scipy(matrix)
