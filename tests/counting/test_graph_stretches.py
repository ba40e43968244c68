"""Runs of nodes that have the same successors, or each the next ones, against integers."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import Expected, assert_log2
from strategies.random_graphs import Case

DIRECTIONS = {"downstream": {}, "upstream": {"towards": "inputs"}, "through": {"through": True}}


def dense(draw, nodes):
    """A layer, all of whose nodes but one perhaps read the same nodes."""
    degree = min(nodes, draw(st.sampled_from([1, 7, 8, 31, 32, 33, 129, 300])))
    first = draw(st.integers(0, nodes - degree))
    lists = [list(range(first, first + degree))] * draw(st.sampled_from([1, 2, 9, 40]))
    odd = draw(st.none() | st.integers(0, len(lists) - 1))
    return [list_[odd == at :] for at, list_ in enumerate(lists)]


def windows(draw, nodes):
    """A plane of several channels that is convolved, with padding or without."""
    channels = draw(st.integers(1, min(nodes, 12)))
    rows = draw(st.integers(1, 4))
    columns = nodes // channels // rows
    if columns < 1:
        return [[nodes - 1]]
    border = draw(st.booleans())
    steps = [
        (draw(st.integers(0, 2)), draw(st.integers(0, 9))) for _ in range(draw(st.integers(1, 12)))
    ]
    first = nodes - channels * rows * columns
    lists = []
    for row, column in product(range(rows), range(columns)):
        places = [(row + down, column + right) for down, right in steps]
        inside = [(y, x) for y, x in places if y < rows and x < columns]
        if border or len(inside) == len(places):
            planes = [first + channel * rows * columns for channel in range(channels)]
            lists.append([plane + y * columns + x for plane in planes for y, x in inside])
    return lists


def own(draw, nodes):
    """Nodes that read those some steps behind them, which do so as well."""
    steps = draw(st.lists(st.sampled_from([1, 2, 7, 8, 9, 17, 40]), min_size=1, max_size=4))
    size = draw(st.sampled_from([5, 16, 60]))
    return [[node - by for by in steps if by <= node] for node in range(nodes, nodes + size)]


def doublings(draw, nodes):
    """Counts that grow by many bits, in layers of two nodes or of many parallel edges."""
    if draw(st.booleans()):
        return [[nodes - 1 + node] * 200 for node in range(draw(st.sampled_from([1, 10, 70])))]
    layers = range(nodes, nodes + 2 * draw(st.sampled_from([20, 300])), 2)
    return [[max(layer - 2, 0), layer - 1] for layer in layers for _ in range(2)]


def empty(draw, _):
    return [[]] * draw(st.integers(1, 70))


@st.composite
def pieces(draw):
    """A graph of some of these pieces, each of which leads to earlier ones."""
    lists: list[list[int]] = [[]] * draw(st.integers(1, 40))
    kinds = st.sampled_from([dense, dense, windows, windows, windows, own, doublings, empty])
    for kind in draw(st.lists(kinds, min_size=1, max_size=6)):
        lists += kind(draw, len(lists))
    last = len(lists) - 1
    edges = [(last - node, last - to) for node, list_ in enumerate(lists) for to in list_]
    edges.sort(key=lambda edge: edge[0])
    case = Case(last + 1, [source for source, _ in edges], [target for _, target in edges])
    if draw(st.booleans()):
        # Any nodes, and twenty in a row.
        first = draw(st.integers(0, last))
        some = draw(st.lists(st.integers(0, last), max_size=5))
        case = replace(case, outputs=sorted({*some, *range(first, min(first + 20, last + 1))}))
    if draw(st.booleans()):
        case = replace(case, inputs=draw(st.lists(st.integers(0, last), min_size=1, max_size=5)))
    return case


@settings(max_examples=max(25, settings().max_examples), deadline=None)
@given(pieces(), st.booleans(), st.booleans())
def test_stretches_that_repeat_or_shift_are_counted_like_any_edges(
    tmp_path_factory, case, mapped, weighted
):
    expected = Expected(case)
    if weighted:  # Multiplicities of 1 change no count, but have every edge counted singly.
        case = replace(case, multiplicity=[1] * case.num_edges)
    graph = case.build()
    path = tmp_path_factory.mktemp("stretches") / "graph.npz"
    graph.save(path)
    loaded = unrolled.Graph.load(path, mmap=mapped)
    for what, options in DIRECTIONS.items():
        numbers = getattr(expected, what)
        for threads, found in product((1, 2), (graph, loaded)):
            counts = unrolled.count(found, threads=threads, **options)
            assert exact_counts(counts, case) == numbers
            in_log = unrolled.count(found, exact=False, threads=threads, **options)
            assert_log2(in_log.log2(), numbers)
    for found in (graph, loaded):
        counts = unrolled.count(found, nodes="parameters")
        assert [counts.exact(node) for node in expected.sources] == [
            expected.downstream[node] for node in expected.sources
        ]
        assert counts.total == sum(expected.parameters(expected.downstream))


@pytest.mark.parametrize("width", [190, 260])
def test_threads_share_layers(width):
    """Layers wide enough for several threads, dense and shifted, on both sides of 2^512."""
    rng = np.random.default_rng(width)
    lists = [[]] * (2 * width)
    for _ in range(75):
        lists += [[len(lists) - 1] * 120]
    for shifted in (False, True, True, False):
        first = len(lists) - width
        for node in range(width):
            begin = first - width + node + 1 if shifted else first
            lists.append(list(range(max(begin, 0), max(begin, 0) + width)))
    last = len(lists) - 1
    edges = [(last - node, last - to) for node, list_ in enumerate(lists) for to in list_]
    sources, targets = zip(*sorted(edges, key=lambda edge: edge[0]), strict=True)
    outputs = rng.permutation(last + 1)[:9].tolist()
    for case in (
        Case(last + 1, list(sources), list(targets)),
        Case(last + 1, list(sources), list(targets), outputs=[*outputs, last]),
    ):
        expected, graph = Expected(case), case.build()
        logs = []
        for threads in (1, 2, 4):
            assert exact_counts(unrolled.count(graph, threads=threads), case) == expected.downstream
            logs.append(unrolled.count(graph, exact=False, threads=threads).log2())
            assert_log2(logs[-1], expected.downstream)
        assert logs[0].tobytes() == logs[1].tobytes() == logs[2].tobytes()
