"""Analyses of graphs: quantities, worked examples, what counts as a parameter or an input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given

import unrolled
from cases.graph_views import exact_counts
from oracles.graph_paths import (
    Expected,
)
from strategies.random_graphs import (
    FEW,
    Case,
    graphs,
)
from unrolled import Analysis


@FEW
@given(graphs())
def test_analyses_of_graphs_have_the_quantities_of_exact_counts(case):
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
