"""Counts of explicit graphs against Python integers, NetworkX, enumeration, closed forms, laws."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import unrolled
from graph_oracles import (
    Expected,
    assert_close,
    assert_log2,
    by_networkx,
    log2_of,
    paths,
    to_multigraph,
)
from random_graphs import (
    LARGEST,
    Case,
    chain,
    comb,
    decorated,
    diamonds,
    graphs,
    grid,
    ladder,
    layered,
    scattered,
    shifted,
    skips,
    small_graphs,
    structured_graphs,
    uneven,
)
from unrolled import Analysis, reference

FEW = settings(max_examples=max(30, settings().max_examples // 3))


def exact_counts(counts, case):
    """All counts of a graph without names as Python integers."""
    return [counts.exact(node) for node in range(case.num_nodes)]


# The oracles, against each other.


@settings(max_examples=40)
@given(graphs())
def test_oracles_agree(case):
    expected = Expected(case)
    graph = {node: {} for node in range(case.num_nodes)}
    for source, target, multiplicity in case.edges:
        graph[source][target] = graph[source].get(target, 0) + multiplicity
    by_reference = reference.contexts(graph, expected.outputs)
    assert by_networkx(case) == expected.downstream
    assert [by_reference[node] for node in range(case.num_nodes)] == expected.downstream


@FEW
@given(small_graphs(most_nodes=6, huge=False))
def test_enumeration_agrees(case):
    expected = Expected(case)
    assume(max(expected.downstream) < 1000)
    for node in range(case.num_nodes):
        found = list(paths(case, node))
        assert len(found) == len(set(found)) == expected.downstream[node]


# The engines, against the oracles.


@given(graphs())
def test_exact_counts(case):
    expected = Expected(case)
    graph = case.build()
    counts = unrolled.count(graph)
    assert counts.is_exact
    assert len(counts) == case.num_nodes
    assert exact_counts(counts, case) == expected.downstream
    assert_log2(counts.log2(), expected.downstream)
    upstream = unrolled.count(graph, towards="inputs")
    assert exact_counts(upstream, case) == expected.upstream
    assert_log2(upstream.log2(), expected.upstream)
    through = unrolled.count(graph, through=True)
    assert exact_counts(through, case) == expected.through
    assert_log2(through.log2(), expected.through)


@given(graphs())
def test_counts_in_log_space(case):
    expected = Expected(case)
    graph = case.build()
    counts = unrolled.count(graph, exact=False)
    assert not counts.is_exact
    assert len(counts) == case.num_nodes
    assert_log2(counts.log2(), expected.downstream)
    assert_log2(unrolled.count(graph, exact=False, towards="inputs").log2(), expected.upstream)
    assert_log2(unrolled.count(graph, exact=False, through=True).log2(), expected.through)


@pytest.mark.parametrize("bits", [0, 40, 70, 600])
def test_lists_that_are_alike(bits):
    """Rows that are those of their neighbours, or shifted by one, in groups of all sizes."""
    for seed in range(40):
        case = shifted(seed % 24 + 1, seed, bits)
        expected = Expected(case)
        graph = case.build()
        assert_log2(unrolled.count(graph, exact=False).log2(), expected.downstream)
        assert_log2(unrolled.count(graph, exact=False, towards="inputs").log2(), expected.upstream)
        assert exact_counts(unrolled.count(graph), case) == expected.downstream


def test_two_groups_of_shifted_lists():
    """Eight rows onto consecutive nodes, then sixteen onto others, one of which forks."""
    sources = [*range(24), 136, 136]
    targets = [*range(137, 145), *range(121, 137), 145, 146]
    counts = unrolled.count(unrolled.Graph.from_edges(sources, targets, num_nodes=161))
    assert (counts[23], counts[22]) == (2, 1)


@FEW
@given(small_graphs(most_nodes=6, huge=False))
def test_small_graphs_agree_with_enumeration(case):
    assume(max(Expected(case).downstream) < 1000)
    counts = unrolled.count(case.build())
    for node in range(case.num_nodes):
        assert counts.exact(node) == sum(1 for _ in paths(case, node))


@FEW
@given(small_graphs(ends=False) | structured_graphs())
def test_graphs_of_networkx_agree_with_networkx(case):
    case = replace(case, outputs=None, inputs=None, labels=None)
    counts = unrolled.count(unrolled.Graph.from_networkx(to_multigraph(case)))
    assert [counts.exact(node) for node in range(case.num_nodes)] == by_networkx(case)


@FEW
@given(graphs())
def test_figures(case):
    expected = Expected(case)
    graph = case.build()
    found = expected.reached(expected.downstream)
    for exact in (True, False):
        counts = unrolled.count(graph, exact=exact)
        assert counts.num_parameters == len(found)
        assert counts.num_unreached_parameters == len(expected.groups) - len(found)
        assert counts.num_weight_nodes == expected.num_weight_nodes
        assert counts.num_inputs == len(expected.inputs)
        assert counts.num_outputs == len(expected.outputs)
        assert_log2([counts.log2_total], [sum(found)])
        assert counts.name == graph.name


@given(graphs())
def test_spectrum(case):
    expected = Expected(case)
    graph = case.build()
    found = expected.reached(expected.downstream)
    counts = unrolled.count(graph)
    spectrum = counts.spectrum()
    assert spectrum.is_exact
    assert spectrum.counts == expected.spectrum.counts
    assert spectrum.degeneracies.tolist() == expected.spectrum.degeneracies.tolist()
    assert spectrum.num_parameters == len(found)
    assert counts.total == spectrum.total == sum(found)
    in_log = unrolled.count(graph, exact=False).spectrum()
    assert not in_log.is_exact
    assert in_log.num_parameters == len(found)
    each = np.repeat(in_log.log2_counts, in_log.degeneracies.astype(np.int64))
    assert_log2(each, sorted(found))


@FEW
@given(graphs())
def test_totals_of_other_directions(case):
    expected = Expected(case)
    graph = case.build()
    ends = [expected.upstream[node] for node in expected.outputs]
    middles = expected.reached(expected.through)
    for exact in (True, False):
        upstream = unrolled.count(graph, exact=exact, towards="inputs")
        through = unrolled.count(graph, exact=exact, through=True)
        assert_log2([upstream.log2_total, through.log2_total], [sum(ends), sum(middles)])
        if exact:
            assert upstream.total == sum(ends)
            assert upstream.spectrum().counts == sorted(set(ends) - {0})
            assert through.total == sum(middles)
            assert through.spectrum().counts == sorted(set(middles))


@FEW
@given(graphs())
def test_parameters_only(case):
    expected = Expected(case)
    graph = case.build()
    kept = {node for group in expected.groups for node in group}
    for exact in (True, False):
        every, some = (
            unrolled.count(graph, exact=exact, nodes=nodes) for nodes in ("all", "parameters")
        )
        assert len(some) == case.num_nodes
        np.testing.assert_array_equal(
            some.log2(), [every.log2()[v] if v in kept else np.nan for v in range(case.num_nodes)]
        )
        for node in range(case.num_nodes):
            if node not in kept:
                with pytest.raises(unrolled.InvalidArgumentError):
                    some[node]
            elif exact:
                assert some.exact(node) == some[node] == expected.downstream[node]
            else:
                assert some[node] == every[node]
        assert some.log2_total == every.log2_total
        assert some.num_parameters == every.num_parameters
        assert some.spectrum().levels == every.spectrum().levels
        if exact:
            assert some.total == every.total


@FEW
@given(graphs())
def test_tied_parameters_add_up(case):
    expected = Expected(case)
    graph = case.build()
    counts = unrolled.count(graph)
    in_log = unrolled.count(graph, exact=False)
    sums = expected.parameters(expected.downstream)
    for group, total in zip(expected.groups, sums, strict=True):
        labels = {int(graph.parameters[node]) for node in group}
        assert len(labels) == 1
        (label,) = labels
        assert counts.group(label) == total
        assert_log2([in_log.group(label)], [total])


@FEW
@given(graphs())
def test_items(case):
    counts = unrolled.count(case.build())
    in_log = unrolled.count(case.build(), exact=False)
    logarithms = in_log.log2()
    for node in range(case.num_nodes):
        assert counts[node] == counts.exact(node)
        assert type(counts[node]) is type(counts.exact(node)) is int
        assert in_log[node] == logarithms[node]
        assert isinstance(in_log[node], float)


def test_counts_in_log_space_are_no_integers():
    counts = unrolled.count(chain(3).build(), exact=False)
    for attempt in (lambda: counts.total, lambda: counts.exact(0), lambda: counts.spectrum().total):
        with pytest.raises(unrolled.InvalidArgumentError, match="log space"):
            attempt()


def test_logarithms_are_read_only():
    for exact in (True, False):
        logarithms = unrolled.count(chain(3).build(), exact=exact).log2()
        assert logarithms.dtype == np.float64
        assert logarithms.shape == (3,)
        with pytest.raises(ValueError, match="read-only"):
            logarithms[0] = 5.0


def test_counts_say_what_they_are():
    counts = unrolled.count(diamonds(10).build(name="ten diamonds"))
    assert "ten diamonds" in repr(counts)
    assert counts.name == "ten diamonds"
    assert counts.peak_bytes > 0


def test_counts_hold_the_nodes():
    counts = unrolled.count(chain(3).build())
    assert list(counts) == [0, 1, 2]
    assert 2 in counts
    assert 3 not in counts
    assert "a" not in counts
    named = unrolled.count(unrolled.Graph.from_networkx(nx.DiGraph([("a", "b"), ("a", "c")])))
    assert {name: named[name] for name in named} == {"a": 2, "b": 1, "c": 1}
    assert "a" in named
    assert 0 not in named


@pytest.mark.parametrize("label", [-1, 3, 2**63, 2**70, -(2**70), np.uint64(2**64 - 1)])
def test_unknown_labels(label):
    counts = unrolled.count(chain(3).build())
    with pytest.raises(unrolled.UnknownNameError, match=rf"\D{label}\b"):
        counts.group(label)


# Quantities.


@FEW
@given(graphs())
def test_analysis(case):
    expected = Expected(case)
    assume(expected.reached(expected.downstream) and expected.inputs)
    graph = case.build()
    wanted = Analysis(
        "graph",
        expected.spectrum,
        num_inputs=len(expected.inputs),
        num_outputs=len(expected.outputs),
        num_weight_nodes=expected.num_weight_nodes,
        num_unreached_parameters=expected.parameters(expected.downstream).count(0),
    )
    for exact in (True, False):
        found = unrolled.analyze(graph, exact=exact)
        assert found.is_exact == exact
        for key, value in wanted.to_dict().items():
            if key == "total_contexts":
                assert found.total_contexts == (value if exact else None)
            elif isinstance(value, float):
                # Where all counts but one vanish beside it, entropy is all rounding in log space.
                rel = 1e-12 if exact else 1e-9
                assert getattr(found, key) == pytest.approx(value, rel=rel, abs=1e-12), key
            else:
                assert getattr(found, key) == value, key
        assert found.entropy + found.expected_spread == pytest.approx(
            found.log2_total_contexts, rel=1e-13, abs=1e-13
        )


# Two inputs and eight weights; a weight of the second layer has one context, one of the first as
# many as there are paths from its node to the output.
INPUTS, WEIGHTS, OUTPUT = [0, 1], range(2, 10), 10
WORKED_EXAMPLES = {
    "layers of two": (
        # Two layers of two units each, and their sum: the first layer's weights fork.
        [
            *[(0, 11), (1, 11), (0, 12), (1, 12), (2, 11), (3, 11), (4, 12), (5, 12)],
            *[(11, 13), (12, 13), (11, 14), (12, 14), (6, 13), (7, 13), (8, 14), (9, 14)],
            *[(13, 10), (14, 10)],
        ],
        [2, 2, 2, 2, 1, 1, 1, 1],
        (24.67970000576925, 2.91829583405449, 0.666666666666667, 2.165821334156382),
        1.277533975528909,
    ),
    "uniform": (
        [(0, 10), (1, 10), *[(weight, 10) for weight in WEIGHTS]],
        [1] * 8,
        (24, 3, 0, 2.125530882083859),
        0.540568381362703,
    ),
    "one of two is used twice": (
        [(0, 11), (1, 12), (2, 11), (5, 11), (11, 10), (11, 12), (12, 10)]
        + [(weight, 12) for weight in (3, 4, 6, 7, 8, 9)],
        [2, 1, 1, 2, 1, 1, 1, 1],
        (24.5754247590989, 2.92192809488736, 0.4, 2.159712828423236),
        1.025995208532945,
    ),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("example", WORKED_EXAMPLES.values(), ids=WORKED_EXAMPLES)
def test_worked_examples_of_the_publication(example, exact):
    edges, expected, figures, spread_estimate = example
    sources, targets = np.array(edges).T
    nodes = int(max(sources.max(), targets.max())) + 1
    graph = unrolled.Graph.from_edges(
        sources,
        targets,
        outputs=[OUTPUT],
        parameters=np.isin(np.arange(nodes), WEIGHTS),
        inputs=INPUTS,
    )
    counts = unrolled.count(graph, exact=exact)
    assert np.exp2(counts.log2()[WEIGHTS]).tolist() == expected
    analysis = unrolled.analyze(graph, exact=exact)
    assert (analysis.num_parameters, analysis.num_weight_nodes) == (8, 8)
    assert (analysis.num_inputs, analysis.num_outputs) == (2, 1)
    found = (
        analysis.total_surprisal,
        analysis.entropy,
        analysis.expected_spread,
        analysis.surprisal_estimate,
    )
    assert found == pytest.approx(figures, rel=1e-13)
    assert analysis.spread_estimate == pytest.approx(spread_estimate, rel=1e-13)


def test_a_tied_parameter_is_one_parameter_and_many_weight_nodes():
    # 0 and 1 are one weight, used at two places; 2 reaches no output; 3 is alone.
    graph = unrolled.Graph.from_edges(
        [0, 1, 1, 3], [4, 4, 5, 5], outputs=[4, 5], parameters=[7, 7, 1, 0, -1, -1], num_nodes=6
    )
    counts = unrolled.count(graph)
    assert [counts.group(label) for label in (7, 1, 0)] == [3, 0, 1]
    assert (counts.num_parameters, counts.num_unreached_parameters) == (2, 1)
    assert counts.num_weight_nodes == 3
    assert counts.spectrum().counts == [1, 3]
    with pytest.raises(unrolled.UnrolledError, match="2"):
        counts.group(2)


def test_no_parameter_at_all():
    graph = unrolled.Graph.from_edges([0, 1], [1, 2], parameters=[-1, -1, -1])
    for exact in (True, False):
        counts = unrolled.count(graph, exact=exact)
        assert counts.log2().tolist() == [0.0, 0.0, 0.0]
        assert counts.num_parameters == 0
        assert counts.log2_total == -math.inf
        with pytest.raises(unrolled.NothingToCountError):
            unrolled.analyze(graph, exact=exact)


def test_inputs_are_the_sources_if_there_are_none():
    case = Case(4, [0, 1, 2], [2, 2, 3])
    graph = case.build()
    assert graph.inputs.tolist() == []
    assert exact_counts(unrolled.count(graph, towards="inputs"), case) == [1, 1, 2, 2]
    assert exact_counts(unrolled.count(graph, through=True), case) == [1, 1, 2, 2]


def test_an_input_that_is_fed_counts_itself():
    case = Case(3, [0, 1], [1, 2], labels=[-1, -1, -1], inputs=[0, 1])
    graph = case.build()
    assert exact_counts(unrolled.count(graph, towards="inputs"), case) == [1, 2, 2]
    assert unrolled.count(graph, towards="inputs").total == 2


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
def test_parallel_adds(one, other):
    """Two graphs side by side: one more node leads to all, and all sinks lead to another."""
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
def test_series_multiplies(one, other):
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
    """Counts of 70,000 bits, of which only the frontier is ever held."""
    length = 100_000
    counts = unrolled.count(ladder_graph(length), nodes="parameters")
    with mpmath.workprec(length):
        expected = int(mpmath.fib(length))
    assert (counts.total == expected, counts.exact(0) == expected) == (True, True)
    assert_log2([counts.log2_total], [expected])


def ladder_graph(length):
    """Edges over one node and over two; as arrays, for it is long."""
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
    """A million outputs in a chain before doublings: each adds 1 to a count above 2**53."""
    length = 1_000_000
    nodes = length + doublings
    node = np.arange(nodes - 1)
    # The last `doublings` edges are double; all nodes of the chain are outputs, and the very last.
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
    """Neither disturbs the other, in whatever order they come."""
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
    """Nodes whose many successors have counts of all magnitudes."""
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
