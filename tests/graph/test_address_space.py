"""Graphs and networks in 2 GiB of address space: what does not fit is refused, and aborts none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

PROGRAM = """
import json, resource, sys
import numpy as np
import unrolled
from unrolled import Graph, MemoryLimitError, Network

resource.setrlimit(getattr(resource, sys.argv[1]), (2 << 30, 2 << 30))


def chain(length):
    node = np.arange(length, dtype=np.uint32)
    return Graph.from_edges(node[:-1], node[1:])


def fibonacci(length):
    node = np.arange(length, dtype=np.uint32)
    edges = np.concatenate([node[:-1], node[:-2]]), np.concatenate([node[1:], node[2:]])
    return Graph.from_edges(*edges)


def unrolled_layer(size):
    net = Network()
    net.output(net.dense(net.input(size), size))
    return net.unroll(memory_limit=1 << 62)


def scattered(length):
    net = Network()
    w = net.parameter("w", length)
    at = np.random.default_rng(0).integers(0, length, length)
    net.output(net.select(net.activation(net.select(w, 0, at)), 0, at))
    return unrolled.count(net, memory_limit=1 << 62)


CALLS = {
    "one edge": lambda: Graph.from_edges([0], [100_000_000]),
    "one edge, larger": lambda: Graph.from_edges([0], [1_000_000_000]),
    "one edge, the other way": lambda: Graph.from_edges([1_000_000_000], [0]),
    "two edges": lambda: Graph.from_edges([900_000_000, 0], [3, 1_000_000_000]),
    "lists": lambda: Graph.from_csr(np.zeros(10**8, dtype=np.uint32), np.zeros(0, dtype=np.uint32)),
    "all counts": lambda: unrolled.count(Graph.from_edges([0], [60_000_000]), exact=False),
    "counts both ways": lambda: unrolled.count(chain(20_000_000), exact=False, through=True),
    "exact counts": lambda: unrolled.count(fibonacci(400_000), memory_limit=1 << 62),
    "exact counts both ways": lambda: unrolled.count(fibonacci(300_000), through=True),
    "a list of counts": lambda: unrolled.count(fibonacci(60_000)).exact(),
    "a layer": lambda: unrolled_layer(20_000),
    "a map": lambda: scattered(10_000_000),
}
for name, call in CALLS.items():
    try:
        result = type(call()).__name__
    except MemoryLimitError as error:
        result = "MemoryLimitError"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    print(json.dumps([name, result]), flush=True)
"""


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_what_does_not_fit_is_refused(limit):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limit], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout[-500:], done.stderr[-2000:])
    found = dict(map(json.loads, done.stdout.splitlines()))
    known = ("Graph", "GraphCounts", "Counts", "list", "MemoryLimitError")
    assert set(found.values()) <= set(known), found
    for name in ("one edge, larger", "exact counts", "a layer"):
        assert found[name] == "MemoryLimitError", found
