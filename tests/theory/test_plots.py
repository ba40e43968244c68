"""Figures of the theory: what they show, and that each record has one."""

import math

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from matplotlib import pyplot

from unrolled.theory import (
    Affine,
    SphericalModel,
    critical_line,
    critical_point,
    free_sum,
    gain,
    isometry,
    jacobian_spectrum,
    kernel,
    length_map,
    linear_pieces,
    linear_region_bounds,
    marchenko_pastur,
    mean_field,
    sawtooth,
    semicircle,
    spin_glass,
)

RECORDS = {
    "mean field": lambda: mean_field("erf", 4.0, 0.1),
    "length map": lambda: length_map("tanh", 4.0, 0.1, depth=5),
    "length map of kinks": lambda: length_map("hard_tanh", 2.0, 0.1, depth=5),
    "gain": lambda: gain("gelu"),
    "critical point": lambda: critical_point("gelu", sigma_b2=0.05),
    "critical point of relu": lambda: critical_point("relu", sigma_b2=0.0),
    "critical line": lambda: critical_line("tanh", [0.0, 0.1, 0.4]),
    "kernel": lambda: kernel([Affine(2.0), "relu", Affine(2.0)], np.eye(3)),
    "semicircle": lambda: semicircle(),
    "marchenko pastur": lambda: marchenko_pastur(2.0),
    "free sum": lambda: free_sum(semicircle(), marchenko_pastur(0.5)),
    "jacobian": lambda: jacobian_spectrum("relu", 3),
    "isometry": lambda: isometry("tanh"),
    "regions": lambda: linear_region_bounds(2, [8, 8]),
    "pieces": lambda: linear_pieces(sawtooth(3).layers, (-2, 2)),
    "spherical model": lambda: SphericalModel(3),
    "spin glass": lambda: spin_glass([4, 3, 1]),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_all_forms(name):
    record = RECORDS[name]()
    figure, axes = record.plot()
    assert axes.figure.canvas.figure is figure
    assert axes.get_title(loc="left")
    figure.draw_without_rendering()
    text = str(record)
    assert record.assumptions
    assert f"Assumptions: {record.assumptions}".split() == text[text.index("Assumptions") :].split()
    assert "Assumptions" in record._repr_html_()
    assert len(record.to_pandas()) == len(record.rows) == len(record.to_dict()["rows"])


def test_plots_draw_where_they_are_told():
    _, axes = pyplot.subplots()
    assert SphericalModel(4).plot(axes=axes)[1] is axes


def test_map_of_correlations_meets_the_diagonal_where_it_ends():
    record = mean_field("tanh", 6.25, 0.09)
    _, axes = record.plot()
    curve, _, mark = axes.get_lines()
    assert list(mark.get_xdata()) == list(mark.get_ydata()) == [record.c]
    x, y = curve.get_data()
    assert np.interp(record.c, x, y) == pytest.approx(record.c, abs=1e-3)


def test_phase_diagram_is_bright_along_the_critical_line():
    record = critical_line("tanh", [0.05, 0.2])
    _, axes = record.plot()
    image = axes.collections[0]
    scale = np.ma.filled(image.get_array(), np.nan).reshape(101, 161)
    marks = np.sqrt([point.sigma_w2 for point in record.points])
    weights = np.linspace(0.4 * marks.min(), 1.6 * marks.max(), 161)
    line = axes.get_lines()[0]
    for row in (40, 80):
        bias = np.linspace(0, axes.get_ylim()[1], 101)[row]
        brightest = weights[np.nanargmax(scale[row])]
        expected = np.interp(bias, line.get_ydata(), line.get_xdata())
        assert brightest == pytest.approx(expected, abs=0.05)


def test_histogram_of_a_matrix_lies_beside_the_density():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 400)) / math.sqrt(400)
    _, axes = marchenko_pastur(0.5).plot(matrix=rows @ rows.T)
    heights, ends, _ = axes.patches[0].get_data()
    assert np.sum(heights * np.diff(ends)) == pytest.approx(1.0, rel=1e-12)
    edges = sorted(line.get_xdata()[0] for line in axes.get_lines()[1:])
    assert edges == pytest.approx(marchenko_pastur(0.5).edges)


def test_histogram_of_a_jacobian_is_logarithmic():
    values = np.geomspace(1e-8, 5.0, 100)
    _, axes = jacobian_spectrum("relu", 2).plot(matrix=values)
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert "0.5 are zero" in axes.get_title(loc="left")


def test_complexities_end_at_their_ground_states():
    record = SphericalModel(3)
    _, axes = record.plot()
    marks = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    assert marks == pytest.approx([-record.ground_state(k) for k in range(4)])
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert dashed[0].get_xdata()[0] == pytest.approx(-record.threshold)


def test_kinks_of_a_sawtooth_are_marked():
    _, axes = linear_pieces(sawtooth(4).layers, (-2, 2)).plot()
    _, marks = axes.get_lines()
    assert len(marks.get_xdata()) == 15
    assert set(map(abs, marks.get_ydata())) == {2.0}
