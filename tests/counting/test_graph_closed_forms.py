"""Counts of deep and wide graphs against closed forms, and the memory they take."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import (
    Expected,
    assert_close,
    assert_log2,
    log2_of,
)
from strategies.random_graphs import (
    LARGEST,
    Case,
    chain,
    diamonds,
    grid,
    ladder,
    layered,
    skips,
    uneven,
)

# Closed forms, deep and wide.


@pytest.mark.parametrize("exact", [True, False])
def test_lattice_paths_are_binomial(exact):
    side = 60
    counts = unrolled.count(grid(side, side).build(), exact=exact)
    expected = [
        math.comb(2 * side - 2 - row - column, side - 1 - row)
        for row in range(side)
        for column in range(side)
    ]
    assert_log2(counts.log2(), expected)
    if exact:
        assert [counts.exact(node) for node in range(side * side)] == expected


def test_dense_layers_multiply():
    widths = [7, 5, 40, 3, 30, 11]
    counts = unrolled.count(layered(widths).build())
    node = 0
    for layer, width in enumerate(widths):
        for _ in range(width):
            assert counts.exact(node) == math.prod(widths[layer + 1 :])
            node += 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_powers_far_beyond_doubles(shuffle):
    """3 ** 20,000 has 31,700 bits."""
    number = 20_000
    case = diamonds(number, 3)
    if shuffle:
        case = case.relabelled(np.random.default_rng(0).permutation(case.num_nodes).tolist())
    graph = case.build()
    counts = unrolled.count(graph, nodes="parameters")
    assert counts.total == 3**number
    (source,) = np.flatnonzero(graph.parameters >= 0).tolist()
    assert counts.exact(source) == 3**number
    logarithms = unrolled.count(graph, exact=False).log2()
    assert logarithms[source] == pytest.approx(number * math.log2(3), rel=1e-13)
    levels = np.unique(np.round(logarithms / math.log2(3), 6))
    assert levels.tolist() == list(range(number + 1))


def test_deep_fibonacci_ladder_in_log_space():
    length = 100_000
    logarithms = unrolled.count(ladder_graph(length), exact=False).log2()
    numbers = fibonacci_logarithms(length)
    assert_close(logarithms, numbers[::-1])
    upstream = unrolled.count(ladder_graph(length), exact=False, towards="inputs").log2()
    assert_close(upstream, numbers)


def test_deep_fibonacci_ladder_exactly():
    """Counts have up to 70,000 bits, and only those of the frontier are held."""
    length = 100_000
    counts = unrolled.count(ladder_graph(length), nodes="parameters")
    with mpmath.workprec(length):
        expected = int(mpmath.fib(length))
    # Compared in hexadecimal: Python refuses to write so long a number in decimal digits.
    assert hex(counts.total) == hex(counts.exact(0)) == hex(expected)
    assert_log2([counts.log2_total], [expected])


def ladder_graph(length):
    """Edges to the next node and to the one after it, as arrays since the ladder is long."""
    node = np.arange(length)
    sources = np.concatenate([node[:-1], node[:-2]])
    targets = np.concatenate([node[1:], node[2:]])
    return unrolled.Graph.from_edges(sources, targets)


def fibonacci_logarithms(length):
    """log2 of the Fibonacci numbers 1, 1, 2, 3, ..., from a running sum of integers."""
    logarithms = np.empty(length)
    before, now = 0, 1
    for at in range(length):
        logarithms[at] = math.log2(now)
        before, now = now, before + now
    return logarithms


@pytest.mark.parametrize("doublings", [0, 30, 52, 53, 54, 60, 70, 600])
def test_slow_growth_beyond_doubles(doublings):
    """A chain of a million outputs leads to doublings: each adds 1 to a count above 2**53."""
    length = 1_000_000
    nodes = length + doublings
    node = np.arange(nodes - 1)
    # The last edges are double. All nodes of the chain are outputs, and so is the very last node.
    sources = np.concatenate([node, node[len(node) - doublings :]])
    outputs = np.append(np.arange(length - 1), nodes - 1)
    graph = unrolled.Graph.from_edges(sources, sources + 1, outputs=outputs)
    logarithms = unrolled.count(graph, exact=False).log2()
    above = np.arange(length)[::-1]
    expected = doublings + np.log1p(above / 2.0**doublings) / math.log(2)
    some = slice(None, None, 9_973)
    assert_log2(expected[some], [2**doublings + number for number in above[some].tolist()])
    assert_close(logarithms[:length], expected)
    assert logarithms[length:].tolist() == list(range(doublings - 1, -1, -1))


@pytest.mark.parametrize("bits", [100, 1000, 100_000])
def test_very_large_counts(bits):
    case = decorated_chain(bits)
    expected = Expected(case)
    graph = case.build()
    for nodes in ("all", "parameters"):
        counts = unrolled.count(graph, nodes=nodes)
        assert counts.total == expected.downstream[0] >= 1 << bits
    assert_log2(unrolled.count(graph, exact=False).log2(), expected.downstream)
    through = expected.downstream[1] * expected.upstream[1]
    assert unrolled.count(graph, through=True).exact(1) == through
    assert_log2(unrolled.count(graph, exact=False, through=True).log2()[[1]], [through])


def decorated_chain(bits):
    """A chain of the largest multiplicities, every seventh node of which is an output."""
    length = bits // 63 + 2
    case = chain(length, LARGEST)
    return replace(case, outputs=list(range(length - 1, 0, -7)))


@pytest.mark.parametrize("order", ["first", "last", "between"])
@pytest.mark.parametrize("bits", [511, 513, 5000])
def test_giants_beside_ones(bits, order):
    """Large counts and counts of 1 do not disturb each other, in whatever order they come."""
    case = uneven(bits, 4000, order)
    expected = Expected(case)
    assert_log2(unrolled.count(case.build(), exact=False).log2(), expected.downstream)
    counts = unrolled.count(case.build())
    assert exact_counts(counts, case) == expected.downstream
    assert counts.spectrum().counts == [1, 1 << bits]
    assert counts.spectrum().degeneracies.tolist() == [2000, 1]


@pytest.mark.parametrize("reach", [30, 64, 500, 1024, 4000])
def test_skips_over_many_bits(reach):
    case = skips(5000, reach)
    expected = Expected(case)
    assert_log2(unrolled.count(case.build(), exact=False).log2(), expected.downstream)
    assert exact_counts(unrolled.count(case.build()), case) == expected.downstream


def test_ones_above_giants():
    """Each of the last nodes has successors whose counts are of all magnitudes."""
    length = 2000
    base = chain(length, parallel=2)
    rng = np.random.default_rng(5)
    sources, targets = list(base.sources), list(base.targets)
    for node in range(length, length + 500):
        for target in rng.integers(0, length, 8).tolist():
            sources.append(node)
            targets.append(target)
    case = Case(length + 500, sources, targets)
    expected = Expected(case)
    assert_log2(unrolled.count(case.build(), exact=False).log2(), expected.downstream)
    assert exact_counts(unrolled.count(case.build()), case) == expected.downstream


def test_a_node_of_many_successors():
    """Carries of a sum of 100,000 terms, each as large as a multiplicity can be."""
    number = 100_000
    multiplicity = np.full(number, LARGEST, dtype=np.uint64)
    graph = unrolled.Graph.from_edges(
        np.zeros(number, int), np.arange(1, number + 1), multiplicity=multiplicity
    )
    assert unrolled.count(graph).exact(0) == number * LARGEST
    parallel = unrolled.Graph.from_edges(
        np.repeat([0, 1, 2], number), np.repeat([1, 2, 3], number), multiplicity=None
    )
    assert unrolled.count(parallel).exact(0) == number**3
    expected = log2_of([number**3, number**2, number, 1])
    assert_close(unrolled.count(parallel, exact=False).log2(), expected)


@settings(max_examples=50)
@given(st.lists(st.integers(1, LARGEST), min_size=1, max_size=200))
def test_chain_multiplies_its_edges(multiplicities):
    length = len(multiplicities) + 1
    case = Case(length, list(range(length - 1)), list(range(1, length)), multiplicities)
    counts = unrolled.count(case.build())
    assert counts.total == math.prod(multiplicities)
    probability = Fraction(counts.exact(1), counts.exact(0))
    assert probability == Fraction(1, multiplicities[0])


# Memory.


def test_memory_follows_the_frontier():
    graph = ladder_graph(30_000)
    everything = unrolled.count(graph)
    parameters = unrolled.count(graph, nodes="parameters")
    assert parameters.peak_bytes < everything.peak_bytes / 10
    assert parameters.total == everything.total


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99, 1, 1.5, 10])
def test_memory_limit_is_kept(part):
    graph = ladder(3_000).build()
    free = unrolled.count(graph)
    limit = int(free.peak_bytes * part)
    try:
        counts = unrolled.count(graph, memory_limit=limit)
    except unrolled.MemoryLimitError:
        assert part < 10
    else:
        assert counts.peak_bytes <= limit
        assert counts.total == free.total
