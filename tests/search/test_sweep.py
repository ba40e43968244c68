"""Sweeps: what is in their tables, that they go on after a kill, and that many workers agree."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, Network, search
from unrolled.search.conditions import Condition
from unrolled.search.front import is_not_dominated

SCORES = ["saliency_entropy", "macs", "entropy"]


def small_space() -> search.Space:
    net = Network("small")
    x = net.conv(net.input((3, 6, 6)), 4, 3, name="stem")
    for cell in range(3):
        y = net.conv(net.activation(x, name=f"relu{cell}"), 4, 3, name=f"conv{cell}")
        pool = net.average_pool(x, 3, stride=1, padding="symmetric", name=f"pool{cell}")
        options = {"skip": x, "conv": y, "pool": pool, "none": None}
        x = net.choice(f"cell{cell}", options)
    net.output(net.dense(net.global_pool(x), 5, name="head"))
    return search.Space(net)


def mlp(width: int, depth: int) -> Network:
    """A function that other processes can be given; what it refuses is not valid."""
    if width == 7:
        raise InvalidArgumentError("seven is refused")
    return unrolled.models.mlp([width] * depth, inputs=6, classes=3)


def function_space() -> search.Space:
    return search.Space.from_function(mlp, {"width": list(range(2, 12)), "depth": [1, 2, 3]})


def depth_of(network: Network) -> float:
    return float(len(network.layers))


def same(a: search.Table, b: search.Table) -> None:
    np.testing.assert_array_equal(a.rows, b.rows)
    assert a.names == b.names
    for name in a.names:
        np.testing.assert_array_equal(a[name], b[name])
    assert a.errors == b.errors


def test_a_table_has_what_the_functions_of_many_give() -> None:
    space = small_space()
    table = search.sweep(space, SCORES)
    scores, counts = (
        function(space, space.rows()) for function in (search.propagate_many, search.count_many)
    )
    np.testing.assert_array_equal(table["saliency_entropy"], scores["saliency_entropy"])
    np.testing.assert_array_equal(table["macs"], scores["macs"])
    np.testing.assert_array_equal(table["entropy"], counts["entropy"])
    wrong = {at for at, row in enumerate(space.rows().tolist()) if 3 in row}
    assert set(table.errors) == wrong
    assert set(table.errors.values()) == {"no path leads from an input to an output"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("chunk", [1000, 7])
def test_files_have_the_same_table(tmp_path: Path, suffix: str, chunk: int) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    space = small_space()
    path = tmp_path / f"table.{suffix}"
    held = search.sweep(space, SCORES)
    written = search.sweep(space, SCORES, out=path, chunk=chunk)
    same(held, written)
    beside = [] if suffix == "parquet" else [f"{path.name}-metadata.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, *beside]
    before = path.read_bytes()
    same(held, search.sweep(space, SCORES, out=path, chunk=chunk))
    assert path.read_bytes() == before
    for by, where in [("macs", None), ("saliency_entropy", "macs < 1e5 and cell0 != 'pool'")]:
        same(held.top(5, by=by, where=where), written.top(5, by=by, where=where))
    same(held.front("entropy", ["macs"]), written.front("entropy", ["macs"]))


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    space = small_space()
    table = search.sweep(space, SCORES, out=tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    assert len(records) == space.size
    frame = table.to_pandas()
    assert list(frame.columns) == list(records[0]) == ["cell0", "cell1", "cell2", *SCORES, "error"]
    for record, labels, macs in zip(records, frame["cell1"], frame["macs"], strict=True):
        assert (record["cell1"], float(record["macs"])) == (labels, macs)
    pytest.importorskip("pyarrow")
    search.sweep(space, SCORES, out=tmp_path / "table.parquet")
    read = pandas.read_parquet(tmp_path / "table.parquet")
    assert read["cell2"].tolist() == frame["cell2"].tolist()
    np.testing.assert_array_equal(read["entropy"], frame["entropy"])
    assert read["error"].dropna().tolist() == frame["error"].dropna().tolist()


def test_the_top_is_that_of_a_sort() -> None:
    table = search.sweep(small_space(), SCORES)
    is_in = (table["macs"] < 1e5) & (table.rows[:, 0] != 2)
    is_in[list(table.errors)] = False
    order = sorted(np.flatnonzero(is_in), key=lambda at: -table["saliency_entropy"][at])[:4]
    top = table.top(4, by="saliency_entropy", where="macs < 1e5 and cell0 != 'pool'")
    assert top.rows.tolist() == table.rows[order].tolist()
    assert table.top(1, by="macs")["macs"][0] == table["macs"][np.isfinite(table["entropy"])].min()
    assert table.top(1, by="macs", ascending=False)["macs"][0] == table["macs"].max()
    assert "cell0=conv" in table.top(1, by="macs", ascending=False).table()
    assert table.top(1).to_dict()[0]["error"] is None


def test_a_plot_has_a_point_an_architecture() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    table = search.sweep(small_space(), SCORES)
    figure, axes = table.plot("macs", "saliency_entropy")
    assert len(axes.lines[0].get_xdata()) == 27
    assert figure is not None
    pyplot.close("all")


def test_functions_of_a_network_are_scores_and_called_once_for_equal_architectures() -> None:
    seen: list[str] = []

    def weighted(network: Network) -> float:
        seen.append(network.fingerprint())
        return float(len(network.layers))

    def fails(network: Network) -> float:
        raise KeyError("here")

    space = small_space()
    table = search.sweep(space, ["macs", weighted], chunk=5)
    assert table["weighted"][0] == 2  # The stem and the head.
    assert len(seen) == len(set(seen)) == 27
    assert len(table.errors) == 64 - 27
    failing = search.sweep(space, {"mine": fails, "macs": "macs"})
    assert failing.errors[0] == "mine: KeyError: 'here'"
    assert np.isnan(failing["mine"]).all()
    assert (failing["macs"] == table["macs"]).all()


def test_errors_do_not_depend_on_which_scores_are_asked_for() -> None:
    # One option leads to the output over no kernel, one over parameters alone, one not at all.
    net = Network("ways")
    x = net.input((3, 4, 4))
    options = {
        "conv": net.conv(x, 3, 3, name="conv"),
        "pool": net.average_pool(x, 3, stride=1, padding="symmetric", name="pool"),
        "constant": net.parameter("constant", (3, 4, 4)),
        "none": None,
    }
    net.output(net.global_pool(net.choice("way", options), name="mean"))
    space = search.Space(net)
    for scores in (["macs"], ["saliency_entropy"], ["entropy"], [depth_of], SCORES):
        assert list(search.sweep(space, scores).errors) == [2, 3], scores
    assert search.sweep(space, ["saliency_entropy"])["saliency_entropy"][1] == -np.inf


def test_what_cannot_be_built_is_an_error_of_its_row() -> None:
    space = function_space()
    table = search.sweep(space, ["parameters", "total_surprisal"], chunk=4)
    refused = [at for at, row in enumerate(space.rows().tolist()) if row[0] == 5]
    assert list(table.errors) == refused
    assert all("width=7" in error and "seven" in error for error in table.errors.values())
    assert np.isnan(table["parameters"][refused]).all()
    sizes = [(mlp(w, d).num_parameters) for w in range(2, 12) if w != 7 for d in (1, 2, 3)]
    assert table["parameters"][[at not in refused for at in range(30)]].tolist() == sizes


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def test_executors_find_the_same(processes: ProcessPoolExecutor) -> None:
    for space in (search.nasbench_macro(), search.Space.from_function(unrolled.models.mlp, MLPS)):
        scores = ["macs", "saliency_entropy"]
        alone = search.sweep(space, scores, chunk=1000)
        same(alone, search.sweep(space, scores, chunk=1000, executor=processes))
        with ThreadPoolExecutor(3) as threads:
            same(alone, search.sweep(space, scores, chunk=1000, executor=threads))


MLPS = {"widths": [[4], [8], [4, 4]], "inputs": [3, 5]}

KILLED = """
import os, signal, sys
from unrolled import search
from unrolled.search import storage

path, kept = sys.argv[1], int(sys.argv[2])
add, count = storage.Parts.add, 0

def killing(self, number, chunk):
    global count
    if count == kept:
        (self._folder / f".{number}.half").write_text("half of a chunk")
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, number, chunk)
    count += 1

storage.Parts.add = killing
search.sweep(search.nasbench_macro(), ["macs"], out=path, chunk=500)
"""


@pytest.mark.parametrize("kept", [0, 5])
def test_a_killed_sweep_goes_on(tmp_path: Path, kept: int, monkeypatch: Any) -> None:
    path = tmp_path / "macro.csv"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(kept)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    ran: list[int] = []
    run = search.sweep.__globals__["Job"].run

    def counting(self: Any, start: int, stop: int, **options: Any) -> Any:
        ran.append(start)
        return run(self, start, stop, **options)

    monkeypatch.setattr(search.sweep.__globals__["Job"], "run", counting)
    space = search.nasbench_macro()
    table = search.sweep(space, ["macs"], out=path, chunk=500)
    assert ran == [500 * number for number in range(kept, 14)]
    same(table, search.sweep(space, ["macs"]))


def test_a_sweep_does_not_overwrite_what_is_not_its_own(tmp_path: Path) -> None:
    space = small_space()
    path = tmp_path / "table.csv"
    search.sweep(space, ["macs"], out=path)
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(space, ["depth"], out=path)
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(space, ["macs"], out=path, rows=space.rows(0, 3))
    path.write_text("something else")
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(space, ["macs"], out=path)
    with pytest.raises(InvalidArgumentError, match=r"parquet or \.csv"):
        search.sweep(space, ["macs"], out=tmp_path / "table.txt")
    with pytest.raises(InvalidArgumentError, match="no folder"):
        search.sweep(space, ["macs"], out=tmp_path / "nowhere" / "table.csv")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    other = tmp_path / "other.csv"
    with pytest.raises(KeyboardInterrupt):
        search.sweep(space, ["macs"], out=other, chunk=10, progress=stop)
    with pytest.raises(InvalidArgumentError, match="parts of another sweep"):
        search.sweep(space, ["macs"], out=other, chunk=20)
    assert len(search.sweep(space, ["macs"], out=other, chunk=10)) == 64


def test_bad_arguments() -> None:
    space = small_space()
    with pytest.raises(InvalidArgumentError, match=r"no score 'mac'.*did you mean 'macs'"):
        search.sweep(space, ["mac"])
    with pytest.raises(InvalidArgumentError, match="at least one score"):
        search.sweep(space, [])
    with pytest.raises(InvalidArgumentError, match="too many to look at all"):
        search.sweep(search.darts(cells=1, channels=2))
    with pytest.raises(InvalidArgumentError, match="expected a Space"):
        search.sweep("nasbench201")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="executor must be"):
        search.sweep(space, executor=3)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(InvalidArgumentError, match="module that can be imported"),
    ):
        search.sweep(space, {"mine": lambda network: 1.0}, executor=pool)
    table = search.sweep(space, ["macs"])
    with pytest.raises(InvalidArgumentError, match="no column 'depth'"):
        table.top(3, by="depth")
    with pytest.raises(InvalidArgumentError, match="n must be"):
        table.top(0)
    with pytest.raises(InvalidArgumentError, match="each once"):
        table.front()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "macs",
        "macs < (lambda: 1)()",
        "macs.real < 3",
        "macs[0] < 3",
        "macs < 'x'",
        "edge < 'skip'",
        "edge == 'jump'",
        "mac < 3",
        "1 < 2",
        "macs <",
        "macs < True",
        "macs < 3 and 1 < 2",
        "1 < 2 or macs < 3",
        "edge",
        "edge == 'skip' == 3",
        "edge == edge",
        "macs and depth > 3",
        "macs < 3 if depth > 2 else depth > 2",
        "macs is None",
        "macs == f'{depth}'",
        "(macs := 3) < 4",
        "macs\0 < 3",
        "macs.__class__ < 3",
        "'skip' in edge",
        "macs < 3j",
        "not " * 400 + "macs < 3",
        "+".join(["macs"] * 900) + " < 3",
        "macs in (1, 2)",
        "(" * 500 + "macs" + ")" * 500 + " < 3",
        "macs < " + "9" * 9000,
        "",
        3,
    ],
)
def test_conditions_that_are_refused(text: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="where"):
        Condition(text, ["macs", "depth"], {"edge": ("skip", "conv")})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macs < 3", [1, 1, 0, 0]),
        ("1 < macs <= 3", [0, 1, 1, 0]),
        ("macs / depth > 1 or edge == 'skip'", [1, 0, 1, 0]),
        ("not macs < 2 and edge != 'skip'", [0, 1, 0, 1]),
        ("'skip' == edge", [1, 0, 1, 0]),
        ("-macs + 2 * depth ** 2 >= 7", [0, 1, 0, 0]),
        ("0 < 1 < macs", [0, 1, 1, 0]),
        ("macs != 2", [1, 0, 1, 0]),
        ("macs == macs", [1, 1, 1, 0]),
        ("macs < 2 or depth < 2 and macs > 5", [1, 0, 0, 0]),
        ("(macs < 2 or depth < 2) and not macs > 5", [1, 0, 0, 1]),
        ("not not depth == 3 == depth", [0, 1, 0, 0]),
        ("edge == 'skip' != edge", [0, 0, 0, 0]),
        ("1 / (depth - 1) > 1e300", [1, 0, 0, 1]),
        ("depth / 0 > 0 and (0 * macs) ** -1 > 5", [1, 1, 1, 0]),
        ("a.node2.inputs == '01'", [1, 0, 0, 1]),
        ("macs <= 1e1000", [1, 1, 1, 0]),
    ],
)
def test_conditions(text: str, expected: list[int]) -> None:
    places = {"edge": ("skip", "conv"), "a.node2.inputs": ("01", "12")}
    condition = Condition(text, ["macs", "depth"], places)
    columns = {
        "a.node2.inputs": np.array(["01", "12", "12", "01"]),
        "macs": np.array([1.0, 2.0, 3.0, math.nan]),
        "depth": np.array([1.0, 3.0, 2.0, 1.0]),
        "edge": np.array(["skip", "conv", "skip", "conv"]),
    }
    assert condition.mask(columns).astype(int).tolist() == expected


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_fronts_are_those_of_the_definition(axes: int) -> None:
    points = np.random.default_rng(axes).integers(0, 6, (60, axes)).astype(float)
    expected = [
        not any((other >= point).all() and (other > point).any() for other in points)
        for point in points
    ]
    assert is_not_dominated(points).tolist() == expected


class TestSearch:
    SPACE = search.nasbench201()

    def test_the_exhaustive_best_is_that_of_the_sweep(self) -> None:
        where = "params < 5e5 and edge03 != 'none'"
        best = search.exhaustive(self.SPACE, "effective_units", where=where, n=3)
        table = search.sweep(self.SPACE, ["effective_units", "parameters"])
        same(best, table.top(3, by="effective_units", where=where))

    def test_evolution_finds_the_best_and_reproduces(self) -> None:
        where = "params < 5e5 and macs < 5e7"
        runs = [
            search.evolve(self.SPACE, "saliency_entropy", evaluations=30_000, where=where, seed=s)
            for s in (0, 0, 1)
        ]
        same(runs[0], runs[1])
        best = search.exhaustive(self.SPACE, "saliency_entropy", where=where, n=1)
        for run in runs:
            assert (run["parameters"] < 5e5).all()
            assert (run["macs"] < 5e7).all()
            assert run["saliency_entropy"][0] == pytest.approx(
                best["saliency_entropy"][0], rel=2e-3
            )
            assert len(np.unique(run.rows, axis=0)) == len(run) == 100

    def test_evolution_beats_chance(self) -> None:
        evolved = search.evolve(self.SPACE, "saliency_entropy", evaluations=1000, seed=3)
        drawn = search.random(self.SPACE, 1000, ["saliency_entropy"], seed=3)
        assert evolved["saliency_entropy"][0] >= drawn["saliency_entropy"].max()

    def test_less_can_be_better(self) -> None:
        where = "saliency_entropy > 15"
        small = search.evolve(self.SPACE, "macs", evaluations=20_000, where=where, seed=0)
        best = search.exhaustive(self.SPACE, "macs", where=where, n=1)
        assert small["macs"][0] == best["macs"][0]

    def test_functions_are_searched_too(self) -> None:
        best = search.evolve(function_space(), depth_of, evaluations=60, population=8, n=2)
        assert best["depth_of"].tolist() == [4, 4]

    def test_random_ones_satisfy_the_condition_and_reproduce(self) -> None:
        where = "macs < 3e7"
        one = search.random(self.SPACE, 50, ["depth"], where=where, seed=5)
        same(one, search.random(self.SPACE, 50, ["depth"], where=where, seed=5))
        assert one.names == ("depth",)
        assert (search.macs_many(self.SPACE, one.rows)["macs"] < 3e7).all()

    @pytest.mark.parametrize("seed", [True, -1, 1.0, "0", None, np.float64(2), np.bool_(True)])
    def test_what_is_no_seed_is_refused(self, seed: Any) -> None:
        for find in (
            lambda: search.random(self.SPACE, 5, seed=seed),
            lambda: search.evolve(self.SPACE, "macs", evaluations=5, seed=seed),
            lambda: unrolled.evaluate("nasbench_macro", ["log_size"], draws=2, seed=seed),
            lambda: unrolled.models.mlp([2], inputs=2, classes=2).to_onnx(seed=seed),
        ):
            with pytest.raises(InvalidArgumentError, match="seed must be an integer from 0"):
                find()

    def test_seeds_may_be_large_and_of_numpy(self) -> None:
        same(
            search.random(self.SPACE, 5, ["macs"], seed=2**80 + 7),
            search.random(self.SPACE, 5, ["macs"], seed=2**80 + 7),
        )
        same(
            search.random(self.SPACE, 5, ["macs"], seed=np.uint8(7)),  # type: ignore[arg-type]
            search.random(self.SPACE, 5, ["macs"], seed=7),
        )

    def test_nothing_to_find(self) -> None:
        for find in (
            lambda: search.random(self.SPACE, 5, where="macs < 0"),
            lambda: search.evolve(self.SPACE, "macs", evaluations=500, where="depth > 100"),
        ):
            with pytest.raises(InvalidArgumentError, match="none of"):
                find()


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def killing_score(network: Network) -> float:
    """Kill the worker that works on one architecture, the first time."""
    mark = Path(os.environ["UNROLLED_TEST_MARK"])
    if len(network.layers) == 4 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return float(len(network.layers))


def test_dask_makes_good_for_a_worker_that_dies(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    script = textwrap.dedent(
        """
        import sys
        from distributed import Client, LocalCluster
        from tests_of_sweeps import function_space, killing_score
        from unrolled import search

        if __name__ == "__main__":
            with (
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
                Client(cluster) as client,
            ):
                space = function_space()
                found = search.sweep(
                    space, [killing_score, "parameters"], executor=client, chunk=3,
                    out=sys.argv[1],
                )
                again = search.sweep(search.nasbench_macro(), executor=cluster.scheduler_address)
            assert len(again) == 6561
            search.sweep.__globals__["PATIENCE"] = 1
            with (
                LocalCluster(n_workers=0, dashboard_address=None) as cluster,
                Client(cluster) as client,
            ):
                try:
                    search.sweep(search.nasbench_macro(), executor=client)
                except search.SweepError as error:
                    assert "no workers" in str(error)
                else:
                    raise AssertionError("a sweep without workers came to an end")
        """
    )
    (tmp_path / "tests_of_sweeps.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (tmp_path / "main.py").write_text(script)
    path = tmp_path / "found.csv"
    environment = {
        **os.environ,
        "UNROLLED_TEST_MARK": str(tmp_path / "killed"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "main.py"), str(path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "killed").exists()
    alone = search.sweep(function_space(), [depth_of, "parameters"])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["width"] for row in rows] == [alone.decode(at)["width"] for at in range(30)]
    for row, depth, parameters in zip(rows, alone["depth_of"], alone["parameters"], strict=True):
        assert row["killing_score"] == repr(float(depth))
        assert row["parameters"] == repr(float(parameters))
