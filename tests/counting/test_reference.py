"""`unrolled.reference` against brute force on random networks, and against matrices by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.random_networks import Twin, twins
from unrolled import reference
from unrolled._core import Relation
from unrolled.errors import CycleError, NothingToCountError
from unrolled.network import Network


@settings(max_examples=max(250, settings().max_examples))
@given(twins())
def test_random_networks_agree_with_brute_force(twin: Twin) -> None:
    expected = twin.graph.count()
    found = reference.count(twin.network)
    assert found.keys() == expected.keys()
    for name, counts in expected.items():
        assert found[name].tolist() == counts.tolist(), (name, twin.layers)


def matrix(relation: Relation, sources: int, targets: int) -> list[list[int]]:
    """Multiplicities, one row for every target index."""
    return [
        [reference.multiplicity(relation, i, o, sources, targets) for i in range(sources)]
        for o in range(targets)
    ]


# Each relation written out as a matrix: rows are target indices, columns source indices.
MATRICES = [
    (Relation.same(0, 0), [[1, 0], [0, 1]]),
    (Relation.all(0, 0), [[1, 1, 1], [1, 1, 1]]),
    (Relation.sum(0), [[1], [1], [1]]),
    (Relation.each(0), [[1, 1, 1]]),
    (Relation.reshape([0, 1], [0]), [[1, 0], [0, 1]]),
    (Relation.window(0, 0, size=3, padding=1), [[1, 1, 0], [1, 1, 1], [0, 1, 1]]),
    (Relation.window(0, 0, size=2, stride=2), [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]),
    (Relation.window(0, 0, size=2, dilation=2), [[1, 0, 1, 0], [0, 1, 0, 1]]),
    (Relation.window(0, 0, size=1, padding=-1), [[0, 1, 0], [0, 0, 1]]),
    (
        Relation.transposed_window(0, 0, size=2, stride=2),
        [[1, 0], [1, 0], [0, 1], [0, 1]],
    ),
    (
        Relation.transposed_window(0, 0, size=3, stride=2, padding=1),
        [[1, 0], [1, 1], [0, 1], [0, 1]],
    ),
    (Relation.taps(0, 0, extent=2, size=3, padding=1), [[0, 1, 1], [1, 1, 0]]),
    (Relation.taps(0, 0, extent=4, size=2, stride=3), [[1, 1], [1, 0]]),
    (
        Relation.transposed_taps(0, 0, extent=2, size=3, stride=2),
        [[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]],
    ),
    (Relation.blocks(0, 0, groups=2), [[1, 1, 0, 0], [0, 0, 1, 1]]),
    (
        Relation.blocks(0, 0, groups=2),
        [[1, 0], [1, 0], [0, 1], [0, 1]],
    ),
    (Relation.slice(0, 0, start=1, step=2), [[0, 1, 0, 0], [0, 0, 0, 1]]),
    (Relation.slice(0, 0, start=2, step=-1), [[0, 0, 1], [0, 1, 0], [1, 0, 0]]),
    (
        Relation.select(0, 0, np.array([1, -1, 1])),
        [[0, 1], [0, 0], [0, 1]],
    ),
    (
        Relation.sparse(0, 0, np.array([0, 2, 2]), np.array([0, 2]), np.array([5, 1])),
        [[5, 0, 1], [0, 0, 0]],
    ),
]


@pytest.mark.parametrize(("relation", "expected"), MATRICES, ids=lambda value: str(value)[:60])
def test_definition_of_relation(relation: Relation, expected: list[list[int]]) -> None:
    assert matrix(relation, len(expected[0]), len(expected)) == expected


def test_every_relation_is_defined() -> None:
    kinds = {name for name in vars(Relation) if not name.startswith("_")}
    properties = {"kind", "source_axes", "target_axes", "arguments"}
    assert {relation.kind for relation, _ in MATRICES} == kinds - properties


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_chain_multiplies_its_edges(edges: list[int]) -> None:
    graph: dict[int, dict[int, int]] = {i: {i + 1: n} for i, n in enumerate(edges)}
    graph[len(edges)] = {}
    counts = reference.contexts(graph, [len(edges)])
    product = 1
    for node in reversed(range(len(edges))):
        product *= edges[node]
        assert counts[node] == product


def test_lattice_paths_are_binomial() -> None:
    """Paths to the far corner of a grid, one step right or down at a time."""
    from math import comb

    graph = {
        (i, j): {to: 1 for to in ((i + 1, j), (i, j + 1)) if max(to) <= 9}
        for i in range(10)
        for j in range(10)
    }
    counts = reference.contexts(graph, [(9, 9)])
    assert all(counts[i, j] == comb(18 - i - j, 9 - i) for i in range(10) for j in range(10))


def test_output_that_feeds_further_nodes_counts_itself() -> None:
    graph = {"w": {"a": 1}, "a": {"b": 2}, "b": {}}
    assert reference.contexts(graph, ["a", "b"]) == {"b": 1, "a": 3, "w": 3}


def test_successor_without_an_entry_is_an_end() -> None:
    assert reference.contexts({"w": {"y": 1}}, ["y"]) == {"y": 1, "w": 1}


def test_cycle_is_shown() -> None:
    with pytest.raises(CycleError, match=r"a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c"):
        reference.contexts({"a": {"b": 1}, "b": {"c": 1}, "c": {"a": 1}}, ["c"])


def test_cycle_of_a_network_is_shown() -> None:
    net = Network()
    weight = net.parameter("w", ())
    a, b = net.tensor("a", ()), net.tensor("b", ())
    for source, target in ((weight, a), (a, b), (b, a)):
        net.link(source, target, [])
    net.output(b)
    with pytest.raises(CycleError, match=r"'a'.* -> .*'b'"):
        reference.count(net)


def test_network_without_parameters() -> None:
    net = Network("empty")
    net.output(net.activation(net.input(3)))
    with pytest.raises(NothingToCountError, match="empty"):
        reference.count(net)


def test_a_scalar_parameter_has_one_count() -> None:
    net = Network()
    net.output(net.multiply(net.input((2, 3)), net.parameter("gain", ())))
    assert reference.count(net)["gain"].tolist() == 6


def test_multiplicities_of_a_sparse_link() -> None:
    net = Network()
    weight, y = net.parameter("w", 3), net.tensor("y", 2)
    offsets, indices = np.array([0, 2, 3]), np.array([0, 2, 2])
    net.link(weight, y, [Relation.sparse(0, 0, offsets, indices, np.array([7, 1, 10**15]))])
    net.output(y)
    assert reference.count(net)["w"].tolist() == [7, 0, 10**15 + 1]
