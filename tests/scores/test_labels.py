"""Curves over numbers of labels: that they are those of the predictor, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import unrolled
from unrolled import InvalidArgumentError, cli, models, search
from unrolled.scores.benchmarks import load
from unrolled.scores.statistics import spearman

pytest.importorskip("scipy")


def some_cells(count: int) -> tuple[search.Space, Any, Any]:
    """Cells of NAS-Bench-201, of which some have no path, and their accuracies."""
    benchmark = load("nasbench201")
    chosen = np.random.default_rng(0).choice(len(benchmark), count, replace=False)
    rows = benchmark.choices[chosen].astype(np.uint32)
    rows[::40] = 0
    return search.nasbench201(), rows, benchmark.accuracies["cifar10"][chosen]


def test_points_are_those_of_predictors_that_are_fitted_one_by_one() -> None:
    space, rows, accuracy = some_cells(200)
    found = unrolled.evaluate(
        space,
        ["saliency_entropy"],
        rows=rows,
        accuracies=accuracy,
        labels=[12, 0],
        label_draws=6,
        draws=10,
        seed=3,
    ).curve
    assert found is not None
    columns = search.propagate_many(space, rows)
    alive = np.flatnonzero(np.isfinite(columns["saliency_entropy"]))
    assert found.architectures == len(alive) < 200
    random = np.random.default_rng([3, 12])
    expected = []
    for _ in range(6):
        labelled = alive[random.choice(len(alive), 12, replace=False)]
        rest = np.setdiff1d(alive, labelled)
        predictor = search.Predictor(space=space).fit(rows[labelled], accuracy[labelled])
        expected.append(spearman(predictor.predict(rows[rest]), accuracy[rest]))
    point = found[12, "accuracy"]
    # Equal cells have equal predictions but for the last digits, which may part them.
    assert point.spearman == pytest.approx(np.mean(expected), abs=1e-4)
    assert point.error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(6), abs=1e-4)
    assert min(expected) - 1e-3 <= point.low <= point.high <= max(expected) + 1e-3
    zero = spearman(space.features(rows)["log_size"][alive], accuracy[alive])
    assert found[0, "accuracy"].spearman == pytest.approx(zero)
    assert found[0, "accuracy"].low < zero < found[0, "accuracy"].high
    macs = spearman(columns["macs"][alive], accuracy[alive])
    assert found.baselines["macs"]["accuracy"] == pytest.approx(macs)


def test_more_labels_rank_better_and_the_same_seed_gives_the_same_curve() -> None:
    curves = [
        unrolled.evaluate(
            "nasbench_macro", [], labels=[0, 5, 40], label_draws=8, draws=5, seed=seed
        ).curve
        for seed in (0, 0, 1)
    ]
    one, again, other = curves
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.to_dict() == again.to_dict() != other.to_dict()
    means = [one[labels, "cifar10"].spearman for labels in (0, 5, 40)]
    assert means[0] < means[1] < means[2]
    assert means[2] > max(values["cifar10"] for values in one.baselines.values())


def test_labels_that_say_nothing_teach_nothing() -> None:
    space, rows, accuracy = some_cells(300)
    shuffled = np.random.default_rng(5).permutation(accuracy)
    curve = unrolled.evaluate(
        space, [], rows=rows, accuracies=shuffled, labels=[30], label_draws=20, draws=5
    ).curve
    assert curve is not None
    # The standard deviation of a rank correlation of n independent pairs is 1 / sqrt(n - 1).
    assert abs(curve[30, "accuracy"].spearman) < 4 / np.sqrt(270)


def test_models_of_ones_own_and_equal_labels() -> None:
    nets = [models.mlp([4] * depth, inputs=4, classes=2) for depth in range(1, 13)]
    accuracies = {"depth": list(range(12)), "mostly equal": [1.0] * 11 + [2.0]}
    found = unrolled.evaluate(nets, [], accuracies=accuracies, labels=[6], label_draws=5, draws=5)
    assert found.curve is not None
    assert found.curve[6, "depth"].spearman > 0.9
    assert found.curve.tasks == ("depth", "mostly equal")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "list of numbers"),
        (10, "list of numbers"),
        ("10", "list of numbers"),
        ([-1], "positive integer"),
        ([True], "positive integer"),
        ([0.0], "positive integer"),
        ([10.0], "positive integer"),
        ([None], "positive integer"),
        ([10, 6555], "leave fewer than 3 of the 1,500"),
    ],
)
def test_labels_that_are_no_numbers_or_too_many_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        unrolled.evaluate("nasbench_macro", [], labels=labels, draws=2)
    with pytest.raises(InvalidArgumentError, match="label_draws"):
        unrolled.evaluate("nasbench_macro", [], labels=[10], label_draws=0, draws=2)


def test_curves_are_shown_exported_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    found = unrolled.evaluate("nasbench_macro", [], labels=[0, 10], label_draws=3, draws=5)
    curve = found.curve
    assert curve is not None
    table = curve.table(width=120)
    assert "0 labels: log_size" in table
    assert "macs (baseline)" in table
    assert "10 labels" in repr(found)
    frame = curve.to_pandas()
    assert frame.loc[("cifar10", 10), "spearman"] == curve[10, "cifar10"].spearman
    figure, axes = curve.plot()
    assert list(axes.lines[0].get_xdata()) == [0, 10]
    assert len(axes.lines) == 1 + len(curve.baselines)
    pyplot.close(figure)
    with pytest.raises(InvalidArgumentError, match="no task 'cifar11'"):
        curve.plot("cifar11")
    with pytest.raises(InvalidArgumentError, match="labels are 0, 10"):
        curve[20, "cifar10"]


def test_the_shell_has_the_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = tmp_path / "curve.svg"
    arguments = ["evaluate", "nasbench_macro", "--score", "log_size", "--labels", "0,10"]
    done = CliRunner().invoke(cli.main, [*arguments, "--json", "--plot", str(image)])
    assert done.exit_code == 0, done.output
    points = [one for one in json.loads(done.stdout) if one["score"] == "predictor"]
    assert [one["labels"] for one in points] == [0, 10]
    assert points[1]["spearman"] > points[0]["spearman"]
    assert image.stat().st_size > 1000
    shown = CliRunner().invoke(cli.main, arguments)
    assert "10 labels" in shown.stdout
    wrong = CliRunner().invoke(cli.main, ["evaluate", "nasbench_macro", "--labels", "ten"])
    assert wrong.exit_code == 2
    assert "no list of whole numbers" in wrong.output
