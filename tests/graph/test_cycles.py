"""Cycles are refused, and the message names the nodes of one."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases.graph_refusals import from_csr, from_edges, from_networkx, from_scipy, sparse
from oracles.graph_paths import Expected
from strategies.random_graphs import graphs
from unrolled import CycleError, UnrolledError


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
def test_the_message_of_a_long_cycle_stays_short(seed):
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
