"""Laws of counts, and that the number of threads changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import (
    Expected,
    assert_log2,
)
from strategies.random_graphs import (
    FEW,
    LARGEST,
    Case,
    chain,
    comb,
    decorated,
    graphs,
    grid,
    layered,
    scattered,
    small_graphs,
    structured_graphs,
)

# Laws.


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_relabelling_and_edge_order_change_nothing(case, seed):
    rng = np.random.default_rng(seed)
    permutation = rng.permutation(case.num_nodes)
    other = case.relabelled(permutation.tolist()).reordered(
        rng.permutation(case.num_edges).tolist()
    )
    for options in ({}, {"towards": "inputs"}, {"through": True}):
        counts, again = (unrolled.count(one.build(), **options) for one in (case, other))
        for node in range(case.num_nodes):
            assert counts.exact(node) == again.exact(int(permutation[node]))
        assert counts.total == again.total
        assert counts.spectrum().levels == again.spectrum().levels


@FEW
@given(small_graphs(ends=False), small_graphs(ends=False))
def test_counts_of_graphs_side_by_side_add(one, other):
    """One more node leads to all nodes of two graphs, and all their sinks lead to another."""
    shift, nodes = one.num_nodes, one.num_nodes + other.num_nodes
    first, last = nodes, nodes + 1
    sinks = Expected(one).outputs + [node + shift for node in Expected(other).outputs]
    edges = one.edges + [(a + shift, b + shift, number) for a, b, number in other.edges]
    edges += [(first, node, 1) for node in range(nodes)] + [(node, last, 1) for node in sinks]
    counts = unrolled.count(case_of(nodes + 2, edges).build())
    parts = [(case, unrolled.count(case.build())) for case in (one, other)]
    assert counts.exact(first) == sum(sum(exact_counts(part, case)) for case, part in parts)


def case_of(nodes, edges, **ends):
    sources, targets, multiplicity = map(list, zip(*edges, strict=True))
    return Case(nodes, sources, targets, multiplicity, **ends)


@FEW
@given(structured_graphs(), structured_graphs())
def test_counts_of_graphs_in_series_multiply(one, other):
    """All paths of one graph lead into one node of another."""
    shift = one.num_nodes
    entry = Expected(other).order[0]
    edges = one.edges + [(a + shift, b + shift, number) for a, b, number in other.edges]
    edges += [(node, entry + shift, 1) for node in Expected(one).outputs]
    outputs = [node + shift for node in Expected(other).outputs]
    case = case_of(shift + other.num_nodes, edges, outputs=outputs)
    before, after = unrolled.count(one.build()), unrolled.count(other.build())
    joined = unrolled.count(case.build())
    factor = after.exact(entry)
    for node in range(one.num_nodes):
        assert joined.exact(node) == before.exact(node) * factor


@FEW
@given(graphs())
def test_both_directions_count_the_same_paths(case):
    expected = Expected(case)
    graph = case.build()
    down, up = unrolled.count(graph), unrolled.count(graph, towards="inputs")
    starts = expected.inputs or expected.sources
    assert up.total == sum(down.exact(node) for node in starts)


@FEW
@given(graphs())
def test_reversed_edges_swap_the_directions(case):
    expected = Expected(case)
    reverse = replace(
        case,
        sources=case.targets,
        targets=case.sources,
        outputs=expected.inputs or expected.sources,
        inputs=expected.outputs,
    )
    down = unrolled.count(case.build())
    up = unrolled.count(reverse.build(), towards="inputs")
    assert exact_counts(down, case) == exact_counts(up, case)


@FEW
@given(graphs())
def test_parallel_edges_are_multiplicities(case):
    """Merging parallel edges, or splitting multiplicities, changes no count."""
    merged = {}
    for source, target, multiplicity in case.edges:
        merged[source, target] = merged.get((source, target), 0) + multiplicity
    assume(max(merged.values(), default=1) <= LARGEST)
    other = replace(
        case,
        sources=[source for source, _ in merged],
        targets=[target for _, target in merged],
        multiplicity=list(merged.values()) or None,
    )
    counts, again = unrolled.count(case.build()), unrolled.count(other.build())
    assert exact_counts(counts, case) == exact_counts(again, case)


# Threads.

WIDE = {
    "dense layers": lambda: layered([3, 300, 300, 300, 300, 2]),
    "grid": lambda: grid(150, 150),
    "local": lambda: scattered(8_000, 60_000, 300, seed=1),
    "long range": lambda: scattered(8_000, 60_000, 8_000, seed=2),
    "decorated": lambda: decorated(
        scattered(4_000, 30_000, 200, seed=3), np.random.default_rng(4), huge=True
    ),
    "chain": lambda: chain(20_000, parallel=2),
    "comb": lambda: comb(3_000),
}


@pytest.mark.parametrize("family", WIDE)
def test_threads_change_nothing(family):
    case = WIDE[family]()
    expected = Expected(case)
    nodes = "parameters" if family == "chain" else "all"
    for exact in (True, False):
        for options in ({}, {"towards": "inputs"}, {"through": True}):
            if family == "chain" and options:
                continue
            counts = [
                unrolled.count(
                    case.build(threads=threads),
                    exact=exact,
                    nodes=nodes,
                    threads=threads,
                    **options,
                )
                for threads in (1, 2, 5, None)
            ]
            assert len({one.log2().tobytes() for one in counts}) == 1
            assert len({one.log2_total for one in counts}) == 1
            assert len({tuple(one.spectrum().levels) for one in counts}) == 1
            if exact:
                assert len({one.total for one in counts}) == 1
            if not options and nodes == "all":
                assert_log2(counts[0].log2(), expected.downstream)


@settings(max_examples=20)
@given(graphs())
def test_threads_change_nothing_in_random_graphs(case):
    for exact in (True, False):
        counts = [
            unrolled.count(case.build(threads=threads), exact=exact, threads=threads)
            for threads in (1, 2, 5)
        ]
        assert len({one.log2().tobytes() for one in counts}) == 1
        if exact:
            assert len({tuple(exact_counts(one, case)) for one in counts}) == 1
