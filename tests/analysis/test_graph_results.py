"""Analyses, ensembles, rankings, figures and reports of graphs."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest
from rich.console import Console

import unrolled
from unrolled import Ensemble, InvalidArgumentError, divergence, models
from unrolled.spectrum.catalogue import ESTIMATES

TEMPERATURES = [-3, -1, "0-", "0+", 1, math.inf]


@pytest.fixture(scope="module")
def net():
    return models.mlp([4, 4], inputs=3, classes=2)


@pytest.fixture(scope="module")
def graph(net):
    return net.unroll()


@pytest.fixture(scope="module")
def plain():
    """A graph that has no input: two parameters, with 2 and 1 contexts."""
    return unrolled.Graph.from_edges([0, 0, 1, 2, 3], [1, 2, 4, 4, 4], name="plain")


@pytest.fixture(scope="module")
def mixed(net, graph, plain):
    return unrolled.compare([plain, graph, net], sort="spread_estimate")


# The graph of a network is that network.


def test_the_ensemble_of_an_unrolled_network_is_that_of_the_network(net, graph):
    for exact in (True, False):
        of_graph = Ensemble.from_counts(unrolled.count(graph, exact=exact), unit="bits")
        of_net = Ensemble.from_counts(unrolled.count(net, exact=exact), unit="bits")
        expected = of_net.sweep(TEMPERATURES).to_dict()
        for key, column in of_graph.sweep(TEMPERATURES).to_dict().items():
            assert column == pytest.approx(expected[key], rel=1e-12), key
    assert Ensemble.from_counts(unrolled.analyze(graph)).log_partition() == pytest.approx(
        math.log(178)
    )


def test_ensemble_of_outputs(graph):
    """Every path counted from the inputs ends in one of two outputs."""
    counts = unrolled.count(graph, towards="inputs")
    states = Ensemble.from_counts(counts)
    assert states.log_partition(math.inf) == pytest.approx(math.log(2))
    assert states.log_partition(-1) == pytest.approx(math.log(counts.total))


@pytest.mark.parametrize("prior", ["layer_size", "depth"])
def test_priors_that_need_layers_or_lengths(graph, prior):
    ensemble = Ensemble.from_counts(unrolled.count(graph))
    with pytest.raises(InvalidArgumentError, match=f"the prior '{prior}' needs"):
        ensemble.with_prior(prior)
    assert ensemble.with_prior("uniform").energy(-1) == 0


def test_an_unrolled_network_does_not_diverge_from_the_network(net, graph, plain):
    for model in (graph, unrolled.count(graph), unrolled.analyze(graph)):
        assert divergence(net, model) == divergence(model, net) == (0, 0, 0, 0)
    assert divergence(graph, plain, of="parameters") == divergence(
        net, unrolled.Spectrum.from_counts([2, 1]), of="parameters"
    )
    with pytest.raises(InvalidArgumentError, match="expected a Network, a Graph"):
        divergence(graph, 3)


@pytest.mark.parametrize("exact", [True, False])
def test_the_analysis_of_an_unrolled_network_is_that_of_the_network(net, graph, exact):
    expected = unrolled.analyze(net, exact=exact).to_dict()
    found = unrolled.analyze(graph, exact=exact).to_dict()
    for one in (expected, found):
        assert one.pop("name") == "mlp"
        assert one.pop("total_contexts") == (178 if exact else None)
    assert found == pytest.approx(expected, rel=1e-12)


# What a graph does not have.


def test_lengths_are_for_networks(graph):
    for call in (unrolled.count, unrolled.analyze):
        with pytest.raises(InvalidArgumentError, match="lengths are for networks"):
            call(graph, lengths=True)
    with pytest.raises(InvalidArgumentError, match="without lengths"):
        _ = unrolled.analyze(graph).mean_length


def test_larger_inputs_are_for_networks(graph):
    for model in (graph, unrolled.count(graph)):
        with pytest.raises(InvalidArgumentError, match="input_size is for networks"):
            unrolled.analyze(model, input_size=9)


def test_an_analysis_of_a_graph_says_that_it_knows_no_layers(net, graph):
    analysis = unrolled.analyze(graph)
    assert unrolled.analyze(net).has_layers
    assert not analysis.has_layers
    with pytest.raises(InvalidArgumentError, match="graph, which knows no layers"):
        _ = analysis.layers
    assert analysis.table() == analysis.summary()
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(analysis)
    assert console.file.getvalue() == f"{analysis.summary()}\n"
    assert "Layers" not in analysis._repr_html_()
    assert "entropy H" in analysis._repr_html_()


@pytest.mark.parametrize("key", ESTIMATES)
@pytest.mark.parametrize("ascending", [True, False])
def test_without_an_input_the_last_place(net, plain, key, ascending):
    small = models.mlp([2], inputs=2, classes=2, name="small")
    ranked = unrolled.compare([plain, small, net], sort=key, ascending=ascending)
    names = [one.name for one in ranked]
    assert names == (["small", "mlp", "plain"] if ascending else ["mlp", "small", "plain"])
    both = unrolled.compare([plain, unrolled.count(plain)], sort=key, ascending=ascending)
    assert len(both) == 2


# Rankings as text, figures and reports.


def test_tables_show_a_dash(mixed):
    assert [one.name for one in mixed] == ["mlp", "mlp", "plain"]
    for text in (mixed.table(width=80), mixed.table(width=150)):
        (row,) = (line.split() for line in text.splitlines() if line.startswith("plain"))
        assert row[-2:] == ["-", "-"]
        assert row[1:3] == ["2", "0"]
        assert "-: without an input there are no estimates." in text
    assert mixed.to_markdown().splitlines()[-1].endswith(" | - | - |")
    assert r"& -- & -- \\" in mixed.to_latex()
    assert "without an input" not in unrolled.compare([mixed[0]]).table()


def test_html_shows_a_dash(mixed):
    text = mixed._repr_html_()
    assert text.count("<td>-\n") + text.count("<td>-<") == 2
    assert "-: without an input" in text


def test_csv_is_empty_there(mixed):
    *others, last = csv.DictReader(io.StringIO(mixed.to_csv()))
    assert [last[key] for key in ESTIMATES] == ["", ""]
    assert all(row[key] for row in others for key in ESTIMATES)
    assert int(last["total_contexts"]) == 3


def test_data_frames_have_nan_there(mixed, plain):
    pytest.importorskip("pandas")
    for comparison in (mixed, unrolled.compare([plain])):
        frame = comparison.to_pandas()
        for key in ESTIMATES:
            assert frame[key].dtype == "float64"
            assert frame[key].isna().tolist() == [not one.num_inputs for one in comparison]


def test_figures_of_graphs_have_their_spectra_and_no_layers(mixed, graph):
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    figure, axes = mixed.plot()
    assert [bar.get_width() for bar in axes.patches] == [
        mixed[0].spread_estimate, mixed[1].spread_estimate, 0,
    ]  # fmt: skip
    assert axes.texts[-1].get_text() == "-"
    figure.canvas.draw()
    figure, (axes,) = unrolled.analyze(graph).plot()
    assert axes.patches[0].get_data().values.sum() == 46
    figure.canvas.draw()
    pyplot.close("all")


def test_reports_leave_out_what_graphs_do_not_have(mixed, graph, plain):
    pytest.importorskip("bokeh")
    pytest.importorskip("jinja2")
    from unrolled import report

    text = report.render(mixed)
    assert "the parts on layers are without mlp, plain." in text
    assert len(re.findall(r"<summary>mlp(?: \(2\))?: 3 layers", text)) == 1
    assert 'id="depth"' in text
    assert 'href="#estimates"' in text
    graphs = report.render(unrolled.compare([graph, plain]))
    assert 'href="#estimates"' in graphs
    assert 'href="#depth"' not in graphs
    assert 'id="depth"' not in graphs
    alone = report.render(unrolled.compare([plain], sort="spread_estimate"))
    assert 'href="#estimates"' not in alone
    assert 'href="#spectra"' in alone
    assert "without an input there are no estimates" in alone
