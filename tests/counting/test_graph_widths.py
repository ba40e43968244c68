"""Graphs of many nodes whose counts grow slowly, against integers.

How wide integers must be is found while the graph is counted.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import Expected
from strategies.random_graphs import Case


def layers(rng, first, number, width, degree):
    """Nodes that read some of the layer behind them, and a few of the one behind that."""
    for layer, node in product(range(number), range(width)):
        begin = first + layer * width
        far = rng.random() < 0.1 and layer + 2 < number
        if layer + 1 < number and rng.random() > 0.02:
            behind = begin + (1 + far) * width
            yield begin + node, behind + rng.integers(0, width, rng.integers(1, degree + 1))


def window(rng, first, number, width, degree):
    """Nodes that read some of those close behind them."""
    last = first + number * width
    for node in range(first, last - 1):
        ids = node + 1 + rng.integers(0, 3 * width, rng.poisson(degree / 2))
        yield node, ids[ids < last]


@st.composite
def parts(draw):
    """Up to three parts, each of which may lead to the next."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sources, targets, nodes = [], [], 0
    for _ in range(draw(st.integers(1, 3))):
        number, width = draw(st.sampled_from([60, 160, 300])), draw(st.sampled_from([40, 70, 130]))
        kind, degree = draw(st.sampled_from([layers, window])), draw(st.sampled_from([3, 9]))
        if nodes and draw(st.booleans()):
            ids = rng.integers(nodes, nodes + width, 5 * width)
            sources += np.sort(rng.integers(max(nodes - width, 0), nodes, 5 * width)).tolist()
            targets += ids.tolist()
        for node, ids in kind(rng, nodes, number, width, degree):
            sources += [node] * len(ids)
            targets += ids.tolist()
        nodes += number * width
    case = Case(nodes, sources, targets)
    if draw(st.booleans()):
        some = rng.integers(0, nodes, 40).tolist()
        case = replace(case, outputs=sorted({*some, nodes - 1}))
    return case


@settings(max_examples=max(6, settings().max_examples // 20), deadline=None)
@given(parts())
def test_widths_found_on_the_way_hold_every_count(tmp_path_factory, case):
    expected, graph = Expected(case), case.build()
    path = tmp_path_factory.mktemp("widths") / "graph.npz"
    graph.save(path)
    mapped = unrolled.Graph.load(path, mmap=True)
    for found in (graph, mapped):
        counts = unrolled.count(found, threads=2)
        assert exact_counts(counts, case) == expected.downstream
        kept = unrolled.count(found, nodes="parameters")
        assert kept.total == sum(expected.parameters(expected.downstream))
        for node in expected.sources[::50]:
            assert kept.exact(node) == expected.downstream[node]
    upstream = unrolled.count(mapped, towards="inputs", threads=1)
    assert exact_counts(upstream, case) == expected.upstream


def disjoint(number, bits):
    """Graphs that have nothing in common, each of `bits` layers that double their counts."""
    node = np.arange(number * bits * 64).reshape(number, bits, 64)
    near, far = node[:, :-1, :, None], node[:, 1:, :, None]
    targets = np.concatenate([far, np.roll(far, 1, axis=2)], axis=3)
    sources = np.broadcast_to(near, targets.shape)
    return unrolled.Graph.from_edges(sources.ravel(), targets.ravel())


@pytest.mark.parametrize("nodes", ["all", "parameters"])
def test_widths_do_not_add_up(nodes):
    """Large counts of one part do not widen the integers of the others."""
    one, many = (unrolled.count(disjoint(number, 600), nodes=nodes) for number in (1, 4))
    assert many.total == 4 * one.total == 4 * 64 * 2**599
    assert many.peak_bytes <= 4 * one.peak_bytes


def test_memory_limit_is_kept_on_the_way():
    graph = disjoint(2, 600)
    free = unrolled.count(graph)
    assert unrolled.count(graph, memory_limit=free.peak_bytes).total == free.total
    for part in (0.1, 0.5, 0.99):
        with pytest.raises(MemoryError, match="counting exactly"):
            unrolled.count(graph, memory_limit=int(part * free.peak_bytes))
