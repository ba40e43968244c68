"""Counts of graphs as arrays and lists: their values, never the numbers of the nodes."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import unrolled
from unrolled import Graph, InvalidArgumentError, UnknownNameError


@pytest.fixture
def fibonacci():
    """Counts of 300 nodes, the first of which need 207 bits."""
    node = np.arange(300)
    edges = np.concatenate([node[:-1], node[:-2]]), np.concatenate([node[1:], node[2:]])
    numbers = [1, 1]
    while len(numbers) < 300:
        numbers.append(numbers[-1] + numbers[-2])
    return Graph.from_edges(*edges), numbers[::-1]


def test_exact_counts_of_all_and_of_some_nodes(fibonacci):
    graph, expected = fibonacci
    counts = unrolled.count(graph)
    assert counts.exact() == expected
    assert counts.values() == expected
    assert counts.items() == list(enumerate(expected))
    for nodes in ([5, 0, 5], np.array([5, 0, 5]), range(3)):
        assert counts.exact(nodes=nodes) == [expected[node] for node in nodes]
    assert counts.exact(nodes=[]) == []
    assert counts.exact(7) == expected[7]
    with pytest.raises(UnknownNameError):
        counts.exact(nodes=[0, 300])
    for wrong in (lambda: counts.exact(1, nodes=[2]), lambda: counts.exact(nodes=3)):
        with pytest.raises(InvalidArgumentError, match="nodes"):
            wrong()


def test_arrays_have_the_counts(fibonacci):
    graph, expected = fibonacci
    counts = unrolled.count(graph)
    array = np.asarray(counts)
    assert array.dtype == object
    assert array.tolist() == expected
    assert np.sum(array) == sum(expected)
    assert np.array(counts, dtype=float).tolist() == [float(count) for count in expected]
    assert np.log2(counts).tolist() == counts.log2().tolist()
    with pytest.raises(InvalidArgumentError, match="do not fit into int64"):
        np.asarray(counts, dtype=np.int64)
    assert list(counts) == list(range(300))
    for wrong in (lambda: sum(counts), lambda: np.exp(counts), lambda: np.add(counts, 1)):
        with pytest.raises(InvalidArgumentError, match="values"):
            wrong()
    small = unrolled.count(Graph.from_edges([0, 0, 1], [1, 2, 2]))
    assert np.asarray(small, dtype=np.uint8).tolist() == [2, 1, 1]
    assert 0 in small
    assert len(small) == 3


def test_counts_in_log_space_are_no_array(fibonacci):
    graph, _ = fibonacci
    counts = unrolled.count(graph, exact=False)
    for wrong in (lambda: np.asarray(counts), counts.exact, lambda: counts.exact(nodes=[0])):
        with pytest.raises(InvalidArgumentError, match="log"):
            wrong()
    assert counts.values() == counts.log2().tolist()
    assert np.log2(counts).tolist() == counts.log2().tolist()


@pytest.mark.parametrize("exact", [True, False])
def test_counts_that_were_not_kept_are_not_made_up(fibonacci, exact):
    graph, expected = fibonacci
    counts = unrolled.count(graph, nodes="parameters", exact=exact)
    for wrong in (counts.values, counts.items):
        with pytest.raises(InvalidArgumentError, match="was not kept"):
            wrong()
    if exact:
        assert counts.exact(nodes=[0]) == [expected[0]]


def test_named_nodes():
    graph = nx.DiGraph([("a", "b"), ("a", "c"), ("b", "c")])
    counts = unrolled.count(Graph.from_networkx(graph))
    assert list(counts) == ["a", "b", "c"]
    assert counts.items() == [("a", 2), ("b", 1), ("c", 1)]
    assert counts.exact(nodes=["c", "a"]) == [1, 2]
    # Products of two directions: paths through each node.
    assert unrolled.count(Graph.from_networkx(graph), through=True).values() == [2, 1, 2]


def test_more_threads_than_cores_change_nothing(fibonacci):
    graph, expected = fibonacci
    assert unrolled.count(graph, threads=1024).exact() == expected
