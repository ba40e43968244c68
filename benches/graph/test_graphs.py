"""Explicit graphs: counting and whole jobs against the peers, threads, and the machine's limits.

    pytest benches/graph                      # 10^5 to 10^7 edges, a quarter of an hour
    pytest benches/graph -k "exact and 1e7"   # some
    pytest benches/graph -k huge --huge       # 10^8 edges, each job in its own process

With --benchmark-quiet only the tables of ratios are printed.

Sizes are numbers of edges. The steps of a whole job are from NumPy edge arrays to a CSR graph, to a
topological order, to counts of all nodes. A cell ">1 min" is a side that we do not wait for; one
with "-" is not installed.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graph_huge
from peers.graph_peers import PEERS, NumpyObjects, PurePython
from peers.graph_sides import OURS, Floats, Side, Unrolled, UnrolledExact, UnrolledLog
from workloads.graph_families import FAMILIES, Edges, family

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
# Seconds of processor time, all threads together: one core is what is compared. Collecting garbage
# would cost the peers with millions of Python objects most.
pytestmark = [
    pytest.mark.benchmark(timer=time.process_time, disable_gc=True),
    pytest.mark.timeout(900),
]

SIZES = {f"1e{power}": 10**power for power in (5, 6, 7)}
SMALLEST = next(iter(SIZES))
TINY = 3000
"""Edges of every graph in a smoke run."""
SLOW = 10**6
"""Peers that sweep in Python count alone up to here; their whole jobs say the rest."""
EXACT: list[type[Side]] = [UnrolledExact, *(side for side in PEERS if side.kind == "exact")]
LOG: list[type[Side]] = [UnrolledLog, *(side for side in PEERS if side.kind != "exact")]
SAMPLE = 50

graphs = pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name in FAMILIES for size in SIZES]
)


def sides(classes: list[type[Side]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("side", classes, ids=[f"{c.name}-{c.kind}" for c in classes])


# Answers


class Answers:
    """What the sides found, by graph: integers of some nodes and their total, logarithms of all."""

    def __init__(self) -> None:
        self.integers: dict[str, list[int]] = {}
        self.logarithms: dict[str, Floats] = {}

    def agree(self, row: str, edges: Edges, side: Side, counts: Any) -> None:
        """A side must have found what the sides before it found."""
        nodes = sample(edges)
        if side.kind != "exact":
            self.agree_in_log(row, side, np.asarray(side.log2(counts)), nodes)
            return
        starts = np.flatnonzero(np.bincount(edges.targets, minlength=edges.num_nodes) == 0)
        total = sum(side.exact(counts, int(node)) for node in starts)
        assert edges.total in (None, total), (row, side.name)
        found = [side.exact(counts, node) for node in nodes]
        assert [*found, total] == self.integers.setdefault(row, [*found, total]), (row, side.name)
        if row in self.logarithms:
            compare(self.logarithms[row][nodes], log2(found))

    def agree_in_log(self, row: str, side: Side, found: Floats, nodes: list[int]) -> None:
        if side.kind == "float":
            if row in self.logarithms:
                fits = self.logarithms[row] < 1000
                compare(found[fits], self.logarithms[row][fits])
            return
        compare(found, self.logarithms.setdefault(row, found))
        if row in self.integers:
            compare(found[nodes], log2(self.integers[row][:-1]))


def compare(found: Floats, expected: Floats) -> None:
    """Log-sum-exp is the least precise, and worst where a count is one or two."""
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def log2(counts: list[int]) -> Floats:
    return np.array([math.log2(count) for count in counts])


def sample(edges: Edges) -> list[int]:
    """Some nodes, the first and the last among them."""
    return [int(node) for node in np.linspace(0, edges.num_nodes - 1, SAMPLE)]


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


# Measuring


@cache
def warm(side: type[Side]) -> None:
    """Compile what compiles on first use, for every type of id, with and without an order."""
    pytest.importorskip(side.package)
    for variant in ("sorted", "shuffled", "int64"):
        side().whole_job(family("mlp", 100, variant))


@lru_cache(maxsize=1)
def prepared(side: type[Side], name: str, num_edges: int) -> Side:
    made = side()
    made.prepare(family(name, num_edges))
    return made


class Cells:
    """Times a side on a graph; the time goes to a table, the counts to `answers`."""

    def __init__(self, benchmark: Any, board: Any, answers: Answers, smoke: bool) -> None:
        self.benchmark, self.board, self.answers, self.smoke = benchmark, board, answers, smoke

    def edges(self, name: str, size: str, variant: str = "sorted") -> Edges:
        return family(name, self.num_edges(size), variant)

    def num_edges(self, size: str) -> int:
        return TINY if self.smoke else SIZES[size]

    def skip(self, table: str, row: str, side: str) -> None:
        self.board.table(table).add(row, side, ">1 min")
        pytest.skip("by design: would take over a minute")

    def time(
        self, table: str, row: str, side: str, edges: Edges, run: Callable[[], Any], slow: bool
    ) -> Any:
        """The fastest round; slow sides have one."""
        self.benchmark.group = f"{table}, {row}"
        rounds = max(3, min(15, 3 * 10**6 // len(edges)))
        result = self.benchmark.pedantic(run, rounds=1 if slow or self.smoke else rounds)
        if self.benchmark.stats is not None:  # absent under --benchmark-disable
            seconds = self.benchmark.stats.stats.min
            self.board.table(table).add(row, side, 1e9 * seconds / len(edges))
        return result


@pytest.fixture
def one_size(request: pytest.FixtureRequest, smoke: bool) -> None:
    if smoke and request.node.callspec.params.get("size", SMALLEST) != SMALLEST:
        pytest.skip("one size is enough for a smoke run")


@pytest.fixture
def cells(one_size: None, benchmark: Any, board: Any, answers: Answers, smoke: bool) -> Cells:
    return Cells(benchmark, board, answers, smoke)


def is_slow(side: type[Side]) -> bool:
    """Whether it adds up Python integers."""
    return side.kind == "exact" and side.package not in ("numba", "unrolled")


def count_alone(cells: Cells, side: type[Side], name: str, size: str, table: str) -> None:
    warm(side)
    column = f"{side.name} *" if side.kind == "float" else side.name
    row = f"{name} {size}"
    edges = cells.edges(name, size)
    slow = is_slow(side)
    if slow and side is not NumpyObjects and cells.num_edges(size) > SLOW:
        cells.board.table(table).add(row, column, "see job")
        pytest.skip("its whole job is measured")
    ready = prepared(side, name, cells.num_edges(size))
    counts = cells.time(table, row, column, edges, ready.count, slow)
    cells.answers.agree(row, edges, ready, counts)


@sides(EXACT)
@graphs
def test_exact(cells: Cells, name: str, size: str, side: type[Side]) -> None:
    count_alone(cells, side, name, size, "counting alone, exact")


@sides(LOG)
@graphs
def test_log(cells: Cells, name: str, size: str, side: type[Side]) -> None:
    title = "counting alone, log space (* plain floats, which overflow above 2^1024)"
    count_alone(cells, side, name, size, title)


def job(cells: Cells, side: type[Side], name: str, size: str, variant: str) -> None:
    warm(side)
    kind = "exact" if side.kind == "exact" else "log space (* plain floats)"
    table = f"whole job from {variant} edges, {kind}"
    column = f"{side.name} *" if side.kind == "float" else side.name
    row = f"{name} {size}"
    edges = cells.edges(name, size, variant)
    if not side().takes(edges):
        cells.skip(table, row, column)

    def run() -> tuple[Side, Any]:
        made = side()
        return made, made.whole_job(edges)

    made, counts = cells.time(table, row, column, edges, run, is_slow(side))
    # Counts of other nodes than before where ids are permuted.
    row += " shuffled" if variant == "shuffled" else ""
    cells.answers.agree(row, edges, made, counts)


@sides([*EXACT, *LOG])
@graphs
def test_job(cells: Cells, name: str, size: str, side: type[Side]) -> None:
    job(cells, side, name, size, "sorted")


@sides([side for side in [*EXACT, *LOG] if not is_slow(side) or side in (PurePython, NumpyObjects)])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["mlp", "random local"])
def test_job_shuffled(cells: Cells, name: str, size: str, side: type[Side]) -> None:
    if side is PurePython and cells.num_edges(size) > SLOW:
        pytest.skip("half a minute, and no new insight")
    job(cells, side, name, size, "shuffled")


@sides([side for side in [*EXACT, *LOG] if side.package in ("numba", "unrolled")])
@pytest.mark.parametrize("name", ["mlp", "random local"])
def test_job_int64(cells: Cells, name: str, side: type[Side]) -> None:
    job(cells, side, name, "1e7", "int64")


# Threads: seconds on the wall here


@pytest.mark.benchmark(timer=time.perf_counter)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", OURS, ids=[side.kind for side in OURS])
@pytest.mark.parametrize("step", ["count", "job"])
@pytest.mark.parametrize("name", ["grid", "mlp", "random local", "chain"])
def test_threads(cells: Cells, name: str, step: str, side: type[Unrolled], threads: int) -> None:
    warm(side)
    # A chain has as many nodes as edges: tenfold rows of large integers.
    edges = cells.edges(name, "1e6" if name == "chain" else "1e7")
    made = side(threads)
    made.prepare(edges)
    run = made.count if step == "count" else lambda: made.whole_job(edges)
    what = "counting alone" if step == "count" else "whole job"
    column = f"{threads} thread{'s' * (threads > 1)}"
    row = f"{name}, {side.kind}"
    counts = cells.time(f"threads, {what}, wall time", row, column, edges, run, False)
    cells.answers.agree(f"threads {name}", edges, made, counts)


# What the machine could do


@pytest.mark.parametrize("name", FAMILIES)
def test_limits(board: Any, name: str, smoke: bool) -> None:
    """Log space beside gathers of 8 bytes for each edge, at random and in order, and a stream.

    No sweep that reads a count of 8 bytes for each edge can beat the gather in order, and none
    that reads edges of 4 bytes can beat the stream.
    """
    pytest.importorskip("numba")
    from peers.graph_kernels import gather, stream

    warm(UnrolledLog)
    num_edges = TINY if smoke else 10**7
    edges = family(name, num_edges)
    values = np.ones(edges.num_nodes)
    in_order = edges.targets.view(np.uint32)
    rng = np.random.default_rng(0)
    at_random = rng.integers(0, edges.num_nodes, len(edges), dtype=np.uint32)
    words = in_order[: len(in_order) // 2 * 2].view(np.uint64)
    made = prepared(UnrolledLog, name, num_edges)
    expected = float(len(edges) // 2 * 2)
    assert gather(values, at_random) == expected  # and compiled by now
    stream(words)
    found = {
        "unrolled, log": fastest(made.count, smoke),
        "random gather": fastest(lambda: gather(values, at_random), smoke),
        "gather in order": fastest(lambda: gather(values, in_order), smoke),
        "stream edges": fastest(lambda: stream(words), smoke),
    }
    row = f"{name}, {8e-6 * edges.num_nodes:.2g} MB"
    for column, seconds in found.items():
        board.table("limits of the machine").add(row, column, 1e9 * seconds / len(edges))


def fastest(run: Callable[[], Any], smoke: bool) -> float:
    seconds = []
    for _ in range(1 if smoke else 5):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_bandwidth(board: Any, benchmark: Any, smoke: bool) -> None:
    """How fast memory is read and written, from arrays of 256 MB."""
    source = np.ones(10**4 if smoke else 2**25)
    target = np.empty_like(source)
    benchmark.pedantic(lambda: np.copyto(target, source), rounds=1 if smoke else 5, warmup_rounds=1)
    if benchmark.stats is not None:
        rate = 2 * source.nbytes / benchmark.stats.stats.min / 1e9
        board.notes.append(f"bandwidth of a copy, one thread: {rate:.1f} GB/s read and written")


# 10^8 edges

HUGE = ["unrolled exact", "unrolled log", "numba lanes exact", "numba columns exact"]
HUGE += ["numba limbs exact", "numba lazy log", "numba scaled log"]


@pytest.fixture(scope="module")
def huge_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    @lru_cache(maxsize=1)
    def folder(name: str, num_edges: int) -> Path:
        path = tmp_path_factory.mktemp("huge")
        graph_huge.write(family(name, num_edges), path)
        family.cache_clear()
        return path

    return folder


@pytest.mark.parametrize("side", HUGE)
@pytest.mark.parametrize("name", ["grid", "random local"])
def test_huge(
    pytestconfig: pytest.Config,
    board: Any,
    huge_folder: Callable[[str, int], Path],
    smoke: bool,
    name: str,
    side: str,
) -> None:
    if not smoke and not pytestconfig.getoption("--huge"):
        pytest.skip("10^8 edges only with --huge")
    pytest.importorskip(graph_huge.SIDES[side].package)
    folder = huge_folder(name, TINY if smoke else 10**8)
    command = [sys.executable, graph_huge.__file__, side, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    steps = " / ".join(f"{found[step]:.2f}" for step in ("build", "order", "count"))
    memory = f"{found['peak']:.0f} MiB at the peak, {found['loaded']:.0f} with the edges loaded"
    board.notes.append(f"{name} 10^8, {side:20} build / order / count {steps} s; {memory}")
