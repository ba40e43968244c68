"""Figures and tables of all results: what they show, and that none comes without assumptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unrolled import models
from unrolled.theory import (
    Dropout,
    TheoryResult,
    activation_memory,
    checkpoints,
    fixed_point,
    gaussian_bottleneck,
    gradient_cost,
    information_bottleneck,
    information_plane,
    jacobian_cost,
    memory,
    paths,
    training_contexts,
    weight_tied,
)

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("pandas")
pytest.importorskip("scipy")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

TABLE = [[0.30, 0.05, 0.01], [0.04, 0.20, 0.06], [0.02, 0.04, 0.28]]
SMALL = models.mlp([4, 3], inputs=3, classes=2)

RESULTS = {
    "paths": paths(SMALL),
    "training": training_contexts(SMALL, samples=3, keep={"layer1": Dropout(0.5)}),
    "jacobian of a chain": jacobian_cost([5, 3, 4]),
    "jacobian of a network": jacobian_cost(SMALL),
    "jacobian of a graph": jacobian_cost(SMALL.unroll(), order="markowitz"),
    "gradient": gradient_cost(SMALL),
    "activations": activation_memory(SMALL),
    "checkpoints": checkpoints(20, 3),
    "fixed point": fixed_point(np.cos, [1.0]),
    "memory": memory(30, 100),
    "weight tied": weight_tied([[1, 1], [1, 0]]),
    "weight tied, steps": weight_tied([[1, 1], [1, 0]], steps=3),
    "weight tied, discount": weight_tied([[1, 1], [1, 0]], discount=0.3),
    "bottleneck": information_bottleneck(TABLE, [2.0, 4.0]),
    "gaussian": gaussian_bottleneck(1.0, 0.8, 1.0, [1.0, 2.0]),
    "plane": information_plane({"all": np.eye(3)}, pxy=TABLE),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", RESULTS)
def test_every_form_has_title_rows_and_assumptions(name):
    result = RESULTS[name]
    assert isinstance(result, TheoryResult)
    text = str(result)
    assert text.startswith(result.title)
    assert text.endswith(result.assumptions)
    assert result.assumptions.endswith(".")
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["assumptions"] == result.assumptions
    frame = result.to_pandas()
    assert len(frame) == len(result.rows) > 0
    assert frame.attrs["title"] == result.title
    assert "<table" in result._repr_html_()


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_draws_itself(name):
    figure, axes = RESULTS[name].plot()
    assert figure.canvas.figure is figure
    assert axes.has_data()
    assert axes.get_title("left")
    assert axes.get_xlabel()
    other, again = pyplot.subplots()
    drawn, where = RESULTS[name].plot(axes=again)
    assert drawn is other
    assert where is again
    figure.canvas.draw()


def test_residuals_against_evaluations():
    _, axes = RESULTS["fixed point"].plot()
    (line,) = axes.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), RESULTS["fixed point"].residuals)
    assert axes.get_yscale() == "log"


def test_memory_against_depth():
    _, axes = RESULTS["memory"].plot()
    steps, implicit, _ = axes.get_lines()
    # The lines cross where both keep as much.
    assert np.interp(11, steps.get_xdata(), steps.get_ydata()) == implicit.get_ydata()[0] == 1100


def test_the_information_plane_has_curve_bounds_bifurcations_and_layers():
    curve = information_bottleneck(TABLE, [1.2, 2.0, 4.0])
    _, axes = curve.plot(points=RESULTS["plane"])
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {
        "best representations",
        "I(X;Y)",
        "I(T;Y) = I(X;T)",
        "bifurcations",
        "layers",
    }
    np.testing.assert_allclose(lines["best representations"].get_xdata(), curve.information_x)
    assert list(lines["bifurcations"].get_xdata()) == curve.information_x[1:].tolist()
    # The layer that keeps all of X says all there is to say.
    assert lines["layers"].get_ydata()[0] == pytest.approx(curve.mutual_information)


def test_extra_steps_fall_with_snapshots():
    _, axes = RESULTS["checkpoints"].plot()
    line, point = axes.get_lines()
    assert (np.diff(line.get_ydata()) <= 0).all()
    assert point.get_ydata()[0] == 45 / 20


def test_shares_of_edges_add_up():
    _, axes = RESULTS["weight tied"].plot()
    for line in axes.get_lines():
        assert sum(line.get_ydata()) == pytest.approx(1)
