"""Counts of explicit graphs against Python integers, NetworkX, enumeration."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import (
    Expected,
    assert_log2,
    by_networkx,
    paths,
    to_multigraph,
)
from strategies.random_graphs import (
    FEW,
    chain,
    diamonds,
    graphs,
    shifted,
    small_graphs,
    structured_graphs,
)
from unrolled import reference

# The oracles, against each other.


@settings(max_examples=40)
@given(graphs())
def test_the_oracles_agree_with_each_other(case):
    expected = Expected(case)
    graph = {node: {} for node in range(case.num_nodes)}
    for source, target, multiplicity in case.edges:
        graph[source][target] = graph[source].get(target, 0) + multiplicity
    by_reference = reference.contexts(graph, expected.outputs)
    assert by_networkx(case) == expected.downstream
    assert [by_reference[node] for node in range(case.num_nodes)] == expected.downstream


@FEW
@given(small_graphs(most_nodes=6, huge=False))
def test_the_oracle_agrees_with_enumeration_of_paths(case):
    expected = Expected(case)
    assume(max(expected.downstream) < 1000)
    for node in range(case.num_nodes):
        found = list(paths(case, node))
        assert len(found) == len(set(found)) == expected.downstream[node]


# The engines, against the oracles.


@given(graphs())
def test_counts_in_every_direction_are_those_of_integers(case):
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
    """In groups of all sizes, nodes have the successors of their neighbours, or the next ones."""
    for seed in range(40):
        case = shifted(seed % 24 + 1, seed, bits)
        expected = Expected(case)
        graph = case.build()
        assert_log2(unrolled.count(graph, exact=False).log2(), expected.downstream)
        assert_log2(unrolled.count(graph, exact=False, towards="inputs").log2(), expected.upstream)
        assert exact_counts(unrolled.count(graph), case) == expected.downstream


def test_two_groups_of_shifted_lists():
    """Eight nodes lead to consecutive ones, the next sixteen to others, and one of those forks."""
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
def test_numbers_of_parameters_inputs_and_outputs(case):
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
def test_the_spectrum_is_that_of_the_counts_of_parameters(case):
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
def test_nodes_that_are_not_parameters_are_refused_when_not_kept(case):
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
def test_items_are_python_numbers(case):
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
def test_an_unknown_label_is_refused_and_named(label):
    counts = unrolled.count(chain(3).build())
    with pytest.raises(unrolled.UnknownNameError, match=rf"\D{label}\b"):
        counts.group(label)
