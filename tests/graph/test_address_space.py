"""Graphs and networks where little memory is left: what does not fit is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")
if not Path("/proc/self/status").exists():
    pytest.skip("the system does not tell what a process uses", allow_module_level=True)

PROGRAM = """
import json, os, resource, sys, tempfile
import numpy as np
import unrolled
from unrolled import Graph, MemoryLimitError, Network

name = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}[sys.argv[1]]
status = dict(line.split(":") for line in open("/proc/self/status"))
limit = (512 << 20) + 1024 * int(status[name].split()[0])
resource.setrlimit(getattr(resource, sys.argv[1]), (limit, limit))


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


# A graph whose edges stay in their file, one list of which has all of them.
def mapped(length):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "graph.npz")
        edges = np.zeros(length, dtype=np.uint32), np.arange(1, length + 1, dtype=np.uint32)
        Graph.from_edges(*edges).save(path)
        return Graph.load(path, mmap=True)


# What comes of a job with a graph when almost all memory is taken.
def crowded(graph, job, left):
    graph.num_nodes
    kept = bytearray(left << 20)
    taken, size = [], 256 << 20
    while size >= 1 << 20:
        try:
            taken.append(bytearray(size))
        except MemoryError:
            size //= 2
    del kept
    return job(graph)


# A graph of which every other count is far larger than those between.
def spaced(length):
    node = np.arange(length, dtype=np.uint32)
    once = node[:-2], node[2:]
    twice = node[:-2:2], node[2::2]
    return Graph.from_edges(*(np.concatenate(ends) for ends in zip(once, twice)))


CALLS = {
    "roles": lambda: crowded(chain(8_000_000), lambda graph: graph.parameters, 20),
    "a cycle": lambda: crowded(
        chain(4_000_000),
        lambda graph, targets=np.zeros(3_999_999, dtype=np.uint32): Graph.from_csr(
            graph.indptr, targets
        ),
        52,
    ),
    "parameters": lambda: crowded(
        Graph.from_edges(*np.arange(4_000_000).reshape(2, -1)),
        lambda graph: unrolled.count(graph, exact=False).log2_total,
        60,
    ),
    "counts far apart": lambda: crowded(
        spaced(1_000_000), lambda graph: unrolled.count(graph, exact=False), 14
    ),
    "a long list in a file": lambda: crowded(mapped(4_000_000), unrolled.count, 40),
    "a long list in a file, backwards": lambda: crowded(
        mapped(4_000_000), lambda graph: unrolled.count(graph, towards="inputs"), 20
    ),
    "one edge": lambda: Graph.from_edges([0], [1_000_000]),
    "one edge, larger": lambda: Graph.from_edges([0], [300_000_000]),
    "one edge, the other way": lambda: Graph.from_edges([100_000_000], [0]),
    "two edges": lambda: Graph.from_edges([90_000_000, 0], [3, 100_000_000]),
    "lists": lambda: Graph.from_csr(np.zeros(10**7, dtype=np.uint32), np.zeros(0, dtype=np.uint32)),
    "counts both ways": lambda: unrolled.count(chain(1_000_000), exact=False, through=True),
    "exact counts": lambda: unrolled.count(fibonacci(150_000), memory_limit=1 << 62),
    "exact counts both ways": lambda: unrolled.count(fibonacci(50_000), through=True),
    "a list of counts": lambda: unrolled.count(fibonacci(20_000)).exact(),
    "a layer": lambda: unrolled_layer(10_000),
    "a map": lambda: scattered(500_000),
}
for name, call in CALLS.items():
    try:
        result = type(call()).__name__
    except MemoryLimitError:
        result = "MemoryLimitError"
    except MemoryError:  # Of NumPy.
        result = "MemoryError"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    print(json.dumps([name, result]), flush=True)
"""


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_what_does_not_fit_is_refused(limit):
    # Otherwise the allocator has a gigabyte of addresses before there is a limit.
    environment = {**os.environ, "MIMALLOC_DISALLOW_ARENA_ALLOC": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limit],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, (done.stdout[-500:], done.stderr[-2000:])
    found = dict(map(json.loads, done.stdout.splitlines()))
    results = ("Graph", "GraphCounts", "Counts", "Spectrum", "list", "ndarray")
    known = (*results, "MemoryLimitError", "MemoryError")
    assert set(found.values()) <= set(known), found
    for name in ("one edge, larger", "exact counts", "a layer"):
        assert found[name] == "MemoryLimitError", found
