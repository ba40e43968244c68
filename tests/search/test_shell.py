"""`unrolled search`, and `evaluate` of a space of one's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import unrolled
from unrolled import InvalidArgumentError, cli, search
from unrolled.scores.benchmarks import load

FILE = """
from unrolled import Network, models, search

net = Network("mine")
x = net.input((3, 8, 8))
y = net.choice("edge", {"skip": x, "conv": net.conv(x, 3, 3, name="conv"), "none": None})
net.output(net.dense(net.global_pool(y), 2, name="head"))

space = search.Space(net)

def family():
    return search.Space.from_function(build, {"width": [2, 4], "depth": [1, 2]})

def build(width, depth):
    return models.mlp([width] * depth, inputs=3, classes=2)

nothing = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "space_of_a_test.py"
    path.write_text(FILE)
    before = list(sys.path)
    yield path
    sys.path[:] = before
    sys.modules.pop(path.stem, None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["search", *arguments])


def test_the_top_of_a_published_space() -> None:
    done = run("nasbench201", "--top", "3", "--where", "macs < 100e6 and params < 1e6", "--json")
    assert done.exit_code == 0, done.output
    scores = ["saliency_entropy", "effective_units", "macs", "parameters"]
    table = search.sweep(search.nasbench201(), scores)
    assert json.loads(done.output) == table.top(3, where="macs < 100e6 and params < 1e6").to_dict()
    shown = run("nasbench201", "--top", "3")
    assert "edge03=" in shown.output
    assert "15,625 architectures were scored, 341 of them have no path" in shown.output


def test_other_orders_and_conditions_on_what_is_not_shown() -> None:
    arguments = ["nasbench_macro", "--score", "macs", "--where", "depth > 25", "--top", "1"]
    [least] = json.loads(run(*arguments, "--json").output)
    table = search.sweep(search.nasbench_macro(), ["macs", "depth"])
    assert least["macs"] == table["macs"][table["depth"] > 25].min()
    [most] = json.loads(run(*arguments, "--json", "--descending").output)
    assert most["macs"] == table["macs"].max()


@pytest.mark.parametrize(("variable", "size"), [("space", 3), ("net", 3), ("family", 4)])
def test_a_space_of_a_file(file: Path, variable: str, size: int, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    done = run(f"{file}:{variable}", "--score", "parameters", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    assert len(out.read_text().splitlines()) == size + 1
    sizes = [one["parameters"] for one in json.loads(done.output)]
    assert sizes == sorted(sizes)


def test_evolution() -> None:
    arguments = ["nasbench201", "--evaluations", "2000", "--where", "macs < 5e7", "--seed", "4"]
    done = run(*arguments, "--top", "2", "--json")
    assert done.exit_code == 0, done.output
    best = search.evolve(
        search.nasbench201(), "saliency_entropy", evaluations=2000, where="macs < 5e7", seed=4, n=2
    )
    found = [one["saliency_entropy"] for one in json.loads(done.output)]
    assert found == best["saliency_entropy"].tolist()


def test_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run("nasbench_macro", "--plot", str(tmp_path / "macro.svg")).exit_code == 0
    assert (tmp_path / "macro.svg").stat().st_size > 1000


def test_what_is_not_finite_is_null_in_json(tmp_path: Path) -> None:
    path = tmp_path / "infinite_for_a_test.py"
    path.write_text(
        FILE.replace('"none": None', '"none": None, "mean": x').replace(
            'net.dense(net.global_pool(y), 2, name="head")', "net.global_pool(y)"
        )
    )

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    try:
        done = run(f"{path}:space", "--score", "saliency_entropy", "--json")
    finally:
        sys.modules.pop(path.stem, None)
        sys.path.remove(str(tmp_path))
    rows = json.loads(done.output, parse_constant=refuse)
    # Over the identity no kernel is met, so that nothing matters that could be trained.
    assert [one["saliency_entropy"] is None for one in rows] == [False, True, True]
    for command in (["evaluate", "published"], ["evaluate", "nasbench201"]):
        done = CliRunner().invoke(cli.main, [*command, "--score", "log_size", "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout, parse_constant=refuse)


def test_errors(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "fails_for_a_test.py"
    other.write_text("1 / 0")
    for arguments, message in (
        (["nasbench20"], "did you mean 'nasbench201'"),
        (["nowhere.py:space"], "there is no file"),
        ([f"{file}:spcae"], "did you mean 'space'"),
        ([f"{other}:space"], "ZeroDivisionError"),
        (["nasbench201", "--score", "mac"], "did you mean 'macs'"),
        (["nasbench201", "--where", "macs <"], "cannot be read"),
        (["nasbench201", "--top", "0"], "is not in the range x>=1"),
        (["nasbench201", "--evaluations", "10", "--out", "x.csv"], "only for sweeps"),
    ):
        done = run(*arguments)
        sys.modules.pop(file.stem, None)
        assert (done.exit_code, message in done.output) == (2, True), (arguments, done.output)
    done = run(f"{file}:nothing")
    assert "must be an unrolled.search.Space" in done.output


def test_evaluate_of_a_space_is_that_of_the_benchmark() -> None:
    published = load("nasbench201")
    space = search.nasbench201()
    accuracies = {"cifar10": published.accuracies["cifar10"]}
    scores = ["saliency_entropy", "effective_macs"]
    mine = unrolled.evaluate(space, scores, rows=published.choices, accuracies=accuracies, draws=5)
    theirs = unrolled.evaluate("nasbench201", scores, draws=5)
    for score in (*scores, "macs", "depth", "weights"):
        assert mine[score, "cifar10"].spearman == pytest.approx(
            theirs[score, "cifar10"].spearman, abs=1e-12
        )
    assert "cifar10" in mine.table()


def test_evaluate_refuses_what_does_not_fit() -> None:
    space = search.nasbench_macro()
    for arguments, message in (
        ({}, "accuracies="),
        ({"accuracies": [1.0, 2.0]}, "6,561"),
        ({"accuracies": [1.0, 2.0, np.nan], "rows": space.rows(0, 3)}, "finite"),
        ({"accuracies": {}, "rows": space.rows(0, 3)}, "at least one task"),
        ({"accuracies": [1.0], "rows": space.rows(0, 1)}, "at least three"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            unrolled.evaluate(space, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="space of your own"):
        unrolled.evaluate("nasbench_macro", rows=space.rows(0, 3))
    own = unrolled.evaluate(
        space,
        ["saliency_entropy"],
        rows=space.rows(1000, 1020),
        accuracies=np.arange(20.0),
        own={"kept": lambda architecture: float(architecture.count("identity"))},
        draws=5,
    )
    assert own["kept", "accuracy"].score == "kept"
