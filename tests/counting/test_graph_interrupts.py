"""Long counts: progress, Ctrl-C, and exceptions from a progress callback."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import unrolled


def ladder(length):
    """A graph of Fibonacci numbers, whose exact count takes a time quadratic in the length."""
    node = np.arange(length)
    return unrolled.Graph.from_edges(
        np.concatenate([node[:-1], node[:-2]]), np.concatenate([node[1:], node[2:]])
    )


def tangle(nodes, edges, seed=0):
    """Random edges of bounded length, so that counts are large everywhere."""
    rng = np.random.default_rng(seed)
    sources = rng.integers(0, nodes - 1, edges)
    targets = np.minimum(sources + rng.integers(1, 100, edges), nodes - 1)
    return unrolled.Graph.from_edges(sources, targets, num_nodes=nodes)


OPTIONS = [
    {},
    {"exact": False},
    {"towards": "inputs"},
    {"exact": False, "towards": "inputs"},
    {"through": True},
    {"exact": False, "through": True},
    {"nodes": "parameters"},
    {"exact": False, "threads": 2},
    {"threads": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_progress_rises_to_its_end(shape, options):
    graph = ladder(3_000) if shape == "deep" else tangle(20_000, 150_000)
    steps = []
    counts = unrolled.count(
        graph, progress=lambda done, total: steps.append((done, total)), **options
    )
    assert steps
    assert all(type(done) is int and type(total) is int for done, total in steps)
    assert all(0 <= done <= total for done, total in steps)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert len({total for _, total in steps}) == 1
    assert steps[-1][0] == steps[-1][1]
    plain = unrolled.count(graph, **options)
    assert plain.log2().tobytes() == counts.log2().tobytes()


def test_progress_of_an_analysis():
    steps = []
    unrolled.analyze(tangle(2_000, 9_000), progress=lambda done, total: steps.append((done, total)))
    assert steps
    assert steps[-1][0] == steps[-1][1]


class OurError(Exception):
    pass


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_exceptions_of_progress_propagate(options):
    graph = tangle(20_000, 150_000)

    def fail(done, total):
        raise OurError(f"{done} of {total}")

    with pytest.raises(OurError, match=" of "):
        unrolled.count(graph, progress=fail, **options)
    # Nothing is left behind that would disturb the next count.
    assert unrolled.count(graph, **options).log2().size == 20_000


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exits_from_progress_propagate(kind):
    def leave(done, total):
        raise kind

    with pytest.raises(kind):
        unrolled.count(ladder(3_000), progress=leave)


@pytest.mark.parametrize("mmap", [False, True])
def test_exceptions_of_progress_are_not_blamed_on_the_file(tmp_path, mmap):
    def fail(done, total):
        raise KeyError("mine")

    ladder(3_000).save(tmp_path / "graph.npz")
    with pytest.raises(KeyError, match="mine"):
        unrolled.Graph.load(tmp_path / "graph.npz", mmap=mmap, progress=fail)


def test_progress_may_count_itself():
    """A callback is ordinary Python: it may use the package."""
    inner = ladder(50)
    totals = []
    unrolled.count(
        ladder(2_000), progress=lambda done, total: totals.append(unrolled.count(inner).total)
    )
    assert set(totals) == {12586269025}


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("options", [{}, {"exact": False}, {"threads": 2}], ids=str)
def test_a_signal_during_progress_interrupts(options):
    """Ctrl-C is seen by the engine itself, in the middle of a count."""
    sent = []

    def interrupt(done, total):
        if not sent:
            sent.append(done)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        unrolled.count(tangle(20_000, 150_000), progress=interrupt, **options)
    assert len(sent) == 1


LENGTH = 1_500_000

# Each of these takes long enough to be interrupted in the middle.
LONG = """
import numpy as np
import unrolled

node = np.arange({length})
graph = unrolled.Graph.from_edges([0], [1])
unrolled.{call}  # What the first call imports would be interrupted with other words.
graph = unrolled.Graph.from_edges(
    np.concatenate([node[:-1], node[:-2]]), np.concatenate([node[1:], node[2:]])
)
try:
    print("ready", flush=True)
    unrolled.{call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    counts = unrolled.count(graph, exact=False)
    print(round(counts.log2()[0]))
"""


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(
    "call",
    [
        "count(graph, nodes='parameters')",
        "count(graph, nodes='parameters', threads=2)",
        "analyze(graph)",
    ],
)
def test_interruption_of_a_long_count(call):
    with subprocess.Popen(
        [sys.executable, "-c", LONG.format(call=call, length=LENGTH)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        # However long it takes on a busy machine: a count that ends says "interrupted" no more.
        output, errors = process.communicate()
    # The package still works afterwards: log2 of a Fibonacci number.
    expected = LENGTH * math.log2((1 + math.sqrt(5)) / 2) - math.log2(5) / 2
    assert output.splitlines() == ["interrupted", str(round(expected))], errors


def test_other_threads_run_while_counting():
    """The interpreter is free while the engine counts."""
    graph = ladder(60_000)
    stop, ticks = threading.Event(), []

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        before = len(ticks)
        unrolled.count(graph, nodes="parameters")
        during = len(ticks) - before
    finally:
        stop.set()
        thread.join()
    assert during > 3


def test_one_graph_counted_by_several_threads():
    graph = tangle(5_000, 40_000)
    expected = unrolled.count(graph, exact=False).log2().tobytes()
    found = []

    def work():
        for _ in range(5):
            found.append(unrolled.count(graph, exact=False, threads=2).log2().tobytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 20
