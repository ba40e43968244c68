"""Figures: what they show, and that they need no display."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, NothingToCountError, Spectrum, models
from unrolled.analysis import Analysis
from unrolled.spectrum.catalogue import RANKED

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

from unrolled import plot  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def analysis():
    return unrolled.analyze(models.resnet(18, size=16))


def test_contexts_along_the_depth(analysis):
    figure, axes = plot.contexts(analysis)
    assert figure.canvas.figure is figure
    least, most = (line.get_ydata() for line in axes.get_lines())
    np.testing.assert_array_equal(most, [layer.log2_maximum for layer in analysis.layers])
    np.testing.assert_array_equal(least, [layer.log2_minimum for layer in analysis.layers])
    assert "log_2 C" in axes.get_ylabel()
    assert "[bits]" in axes.get_ylabel()
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert "stage3" in names


def test_many_stages_are_numbered():
    _, axes = plot.contexts(unrolled.analyze(models.mlp(2, depth=40, inputs=2)))
    axes.figure.canvas.draw()
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert "20" in names
    assert not any("layer" in name for name in names)


def test_spectrum_has_every_parameter(analysis):
    _, axes = plot.spectrum(analysis)
    (steps,) = axes.patches
    assert steps.get_data().values.sum() == analysis.num_parameters
    assert axes.get_yscale() == "log"
    assert "[bits]" in axes.get_xlabel()
    edges, numbers = plot.histogram(Spectrum.from_counts({1: 5, 2**100: 7}), bins=10)
    assert (numbers[0], numbers[-1], numbers.sum()) == (5, 7, 12)
    assert (edges[0], edges[-1]) == (-0.5, 100.5)


def test_spectrum_of_a_spectrum():
    _, axes = plot.spectrum(Spectrum.from_counts([1]))
    assert axes.patches[0].get_data().values.sum() == 1


def test_an_empty_spectrum_cannot_be_drawn():
    with pytest.raises(NothingToCountError, match="empty"):
        plot.spectrum(Spectrum.from_counts([]))


def test_shares_of_the_spread_add_up(analysis):
    _, axes = plot.spread(analysis)
    widths = [bar.get_width() for bar in axes.patches]
    assert sum(widths) == pytest.approx(100)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "stem.conv"
    assert names[-1].endswith("others")
    assert widths[:-1] == sorted(widths[:-1], reverse=True)
    assert "[%]" in axes.get_xlabel()


def test_a_model_without_spread():
    net = unrolled.Network()
    net.output(net.dense(net.input((3,)), 2))
    figure, axes = unrolled.analyze(net).plot()
    assert len(axes) == 3
    figure.canvas.draw()


def test_overview_has_three_panels_and_the_name(analysis):
    figure, axes = analysis.plot()
    assert len(axes) == 3
    assert analysis.name in figure.get_suptitle()


def test_overview_of_a_spectrum_alone():
    alone = Analysis(
        "alone", Spectrum.from_counts([1, 2]), num_inputs=1, num_outputs=1, num_weight_nodes=2
    )
    assert len(alone.plot()[1]) == 1
    for panel in (plot.contexts, plot.spread):
        with pytest.raises(InvalidArgumentError, match="knows no layers"):
            panel(alone)


def test_panels_can_be_put_anywhere(analysis):
    figure, (left, right) = pyplot.subplots(1, 2)
    for panel, axes in ((plot.spectrum, left), (plot.spread, right)):
        assert panel(analysis, axes=axes) == (figure, axes)


@pytest.mark.parametrize("key", RANKED)
def test_ranking_by_every_key(key):
    nets = [models.mlp(4, depth=depth, inputs=4, name=f"mlp{depth}") for depth in (1, 3)]
    comparison = unrolled.compare(nets, sort=key)
    figure, axes = comparison.plot()
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [one.name for one in comparison]
    shown = {"name": "spread_estimate", "total_contexts": "log2_total_contexts"}.get(key, key)
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([getattr(one, shown) for one in comparison])
    is_in_bits = "[bits]" in axes.get_xlabel()
    assert is_in_bits is not key.startswith("num_")  # Numbers of something have no unit.
    figure.canvas.draw()


def test_the_style_is_ours_alone(analysis):
    before = matplotlib.rcParams.copy()
    analysis.plot()
    assert matplotlib.rcParams.copy() == before


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_saved_figures_are_of_the_kind_of_their_suffix(analysis, kind, tmp_path):
    figure, _ = plot.spectrum(analysis)
    path = plot.save(figure, tmp_path / f"figure.{kind}")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[kind])
    assert os.listdir(tmp_path) == [path.name]


def test_save_as_something_unknown(analysis, tmp_path):
    figure, _ = plot.spectrum(analysis)
    for name in ("figure", "figure.xyz"):
        with pytest.raises(InvalidArgumentError, match=r"\.png"):
            plot.save(figure, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_save_a_comparison(tmp_path):
    net = models.mlp(4, depth=1)
    unrolled.compare([net]).save(tmp_path / "ranking.svg")
    assert "log size" in (tmp_path / "ranking.svg").read_text()
    unrolled.compare([net], sort="spread_estimate").save(tmp_path / "ranking.svg")
    assert "spread estimate" in (tmp_path / "ranking.svg").read_text()


def test_no_display_is_needed(tmp_path):
    """Figures are drawn without one even if matplotlib is told to open windows."""
    pytest.importorskip("tkinter")
    code = (
        "import unrolled\n"
        "figure, _ = unrolled.analyze(unrolled.models.mlp(4, depth=2)).plot()\n"
        "figure.savefig('figure.png')\n"
    )
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "MPLBACKEND": "tkagg"},
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_rankings_of_two_hundred_models_show_both_ends():
    nets = [models.mlp([3 + at], inputs=2, name=f"mlp{at}") for at in range(200)]
    comparison = unrolled.compare(nets, sort="num_parameters")
    figure, axes = comparison.plot()
    assert figure.get_size_inches()[1] < 14
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == comparison[0].name
    assert names[-1] == comparison[-1].name
    assert "160 models between" in names


def test_no_figure_stays_open(analysis, tmp_path):
    analysis.save(tmp_path / "analysis.png")
    unrolled.compare([analysis]).save(tmp_path / "ranking.png")
    plot.save_drawn(analysis.plot, tmp_path / "overview.svg")
    assert pyplot.get_fignums() == []


def test_a_figure_that_cannot_be_saved_or_drawn_is_closed_as_well(analysis, tmp_path):
    before, _ = pyplot.subplots()

    def fail():
        pyplot.figure()
        raise RuntimeError("in the middle of it")

    with pytest.raises(RuntimeError, match="in the middle"):
        plot.save_drawn(fail, tmp_path / "figure.png")
    with pytest.raises(FileNotFoundError):
        plot.save_drawn(analysis.plot, tmp_path / "missing" / "figure.png")
    with pytest.raises(InvalidArgumentError, match="suffix of an image"):
        plot.save_drawn(fail, tmp_path / "figure.nonsense")
    assert pyplot.get_fignums() == [before.number]
    assert list(tmp_path.iterdir()) == []
