"""Cards for notebooks: every one is well formed, small, and shows names without obeying them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import unrolled
from unrolled import Ensemble, Graph, Network, Spectrum, models
from unrolled._support import notebooks

SMALL = models.resnet(18, size=32)
COUNTS = unrolled.count(SMALL)
SHOWN = {
    "Network": SMALL,
    "Counts": COUNTS,
    "Spectrum": COUNTS.spectrum(),
    "Ensemble": Ensemble.from_counts(COUNTS),
    "TemperatureSweep": Ensemble.from_counts(COUNTS).sweep([-2.0, -1.0, 0.5, 1.0]),
    "Graph": models.mlp([3], inputs=2).unroll(),
    "Divergence": unrolled.divergence("resnet18", "resnet34"),
    "Analysis": unrolled.analyze(SMALL),
}


def charts_of(text):
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", text)]


@pytest.mark.parametrize("name", SHOWN)
def test_every_card_has_a_chart_that_is_well_formed(name):
    assert type(SHOWN[name]).__name__ == name
    text = SHOWN[name]._repr_html_()
    charts = charts_of(text)
    assert charts
    for chart in charts:
        assert chart.get("aria-label")
        assert {"rect", "path"} & {element.tag for element in chart}
    assert len(text) < 60_000
    assert "http" not in text


def test_bars_are_as_tall_as_their_numbers():
    chart = ElementTree.fromstring(notebooks.bars([1.0, 4.0, 0.0, 2.0], "four"))
    tall = [float(bar.get("height")) for bar in chart.iter("rect")]
    assert tall == pytest.approx([14.0, 56.0, 28.0])


def test_the_largest_of_many_neighbours_is_drawn():
    heights = np.zeros(1000)
    heights[777] = 5.0
    chart = ElementTree.fromstring(notebooks.bars(heights, "many"))
    (bar,) = chart.iter("rect")
    assert float(bar.get("x")) == pytest.approx(0.777 * notebooks.WIDTH, abs=4)


def test_histograms_have_all_numbers():
    chart = ElementTree.fromstring(notebooks.histogram_bars([0.0, 0.0, 8.0], [5, 5, 100], "two"))
    tall = sorted(float(bar.get("height")) for bar in chart.iter("rect"))
    assert len(tall) == 2
    assert tall[0] / tall[1] == pytest.approx((1 + 0.3) / (2 + 0.3), abs=0.01)


def test_lines_are_broken_where_they_should_be():
    text = notebooks.curves([("S", [1.0, 2.0, np.nan, 3.0])], "curve", ("a", "b"), gap=3)
    (path,) = ElementTree.fromstring(text).iter("path")
    assert re.findall("[ML]", path.get("d")) == ["M", "L", "M"]


@pytest.mark.parametrize("shown", [Network("<script>x</script>"), Spectrum.from_counts([])])
def test_names_and_nothing(shown):
    text = shown._repr_html_()
    assert "<script" not in text
    assert "\x1b" not in text
    charts_of(text)


def test_a_graph_without_edges():
    assert "nodes: 2" in Graph.from_edges([0], [1])._repr_html_()
