"""The three worked examples of the publication: 8 parameters, 2 inputs, 1 output."""

import pytest

import unrolled
from unrolled import Analysis, Network, Relation, Spectrum

FIGURES = (
    "total_surprisal",
    "entropy",
    "expected_spread",
    "surprisal_estimate",
    "spread_estimate",
)
TWO_LAYERS = (
    [2, 2, 2, 2, 1, 1, 1, 1],
    (24.67970000576925, 2.91829583405449, 0.666666666666667, 2.165821334156382, 1.277533975528909),
)
UNIFORM = ([1] * 8, (24.0, 3.0, 0.0, 2.125530882083859, 0.540568381362703))
SECOND_GRAPH = (
    [2, 1, 1, 2, 1, 1, 1, 1],
    (24.5754247590989, 2.92192809488736, 0.4, 2.159712828423236, 1.025995208532945),
)


def two_layers():
    net = Network("two layers")
    x = net.input((2,))
    x = net.dense(x, 2, use_bias=False)
    x = net.dense(x, 2, use_bias=False)
    net.output(total(net, x))
    return net


def uniform():
    net = Network("uniform")
    net.output(total(net, net.dense(net.input((2,)), 4, use_bias=False)))
    return net


def second_graph():
    net = Network("second graph")
    hidden = net.dense(net.input((2,)), 2, use_bias=False)
    one_unit = net.slice(hidden, 0, 0, 1)
    net.output(net.add(net.dense(hidden, 1), net.dense(one_unit, 1, use_bias=False)))
    return net


def total(net, x):
    """A layer of our own: the sum of all elements, in one node."""
    y = net.tensor("total", (1,))
    net.link(x, y, [Relation.each(0), Relation.sum(0)])
    return y


@pytest.mark.parametrize(("counts", "figures"), [TWO_LAYERS, UNIFORM, SECOND_GRAPH])
def test_figures_from_counts(counts, figures):
    analysis = Analysis(
        "example", Spectrum.from_counts(counts), num_inputs=2, num_outputs=1, num_weight_nodes=8
    )
    assert analysis.total_contexts == sum(counts)
    for name, value in zip(FIGURES, figures, strict=True):
        assert getattr(analysis, name) == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("build", "published"),
    [(two_layers, TWO_LAYERS), (uniform, UNIFORM), (second_graph, SECOND_GRAPH)],
)
def test_figures_from_networks(build, published, exact):
    counts, figures = published
    analysis = unrolled.analyze(build(), exact=exact)
    assert analysis.num_inputs == 2
    assert analysis.num_outputs == 1
    assert analysis.num_parameters == analysis.num_weight_nodes == len(counts)
    if exact:
        assert analysis.total_contexts == sum(counts)
    for name, value in zip(FIGURES, figures, strict=True):
        assert getattr(analysis, name) == pytest.approx(value, abs=1e-12), name
