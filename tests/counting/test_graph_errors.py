"""What counting a graph refuses, and graphs whose arrays change."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest

import unrolled
from cases.graph_refusals import ONE, TWO, from_edges
from unrolled import Graph, InvalidArgumentError, models

# Counting.


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"towards": "sideways"}, ("towards", "'sideways'")),
        ({"towards": None}, ("towards", "None")),
        ({"towards": ["outputs"]}, ("towards", "outputs")),
        ({"nodes": "some"}, ("nodes", "'some'")),
        ({"nodes": [0, 1]}, ("nodes",)),
        ({"through": True, "towards": "inputs"}, ("through", "towards")),
        ({"memory_limit": -1}, ("memory_limit", "-1")),
        ({"memory_limit": 1.5}, ("memory_limit", "1.5")),
        ({"memory_limit": "1 GB"}, ("memory_limit", "'1 GB'")),
        ({"progress": 3}, ("progress", "3")),
        ({"progress": "bar"}, ("progress", "'bar'")),
    ],
)
def test_a_wrong_option_is_refused_and_named(options, parts):
    with pytest.raises(InvalidArgumentError) as caught:
        unrolled.count(from_edges(ONE, TWO), **options)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("value", [None, 3, [(0, 1)]])
def test_no_graph_to_count(value):
    for function in (unrolled.count, unrolled.analyze):
        with pytest.raises(InvalidArgumentError):
            function(value)


def test_graphs_of_others_are_analysed_but_not_counted_as_they_are():
    graph = nx.DiGraph([("weight", "sum"), ("sum", "logit")])
    assert unrolled.analyze(graph).total_contexts == 1
    with pytest.raises(InvalidArgumentError, match="a Network or a Graph"):
        unrolled.count(graph)


@pytest.mark.parametrize(
    "options", [{"towards": "inputs"}, {"through": True}, {"nodes": "parameters"}, {"threads": 2}]
)
def test_options_of_graphs_are_refused_for_networks(options):
    net = models.mlp([4], inputs=3, classes=2)
    for function in (unrolled.count, unrolled.analyze):
        with pytest.raises((InvalidArgumentError, TypeError), match=next(iter(options))):
            function(net, **options)


def test_options_of_networks_are_refused_for_graphs():
    with pytest.raises(InvalidArgumentError, match="trainable_only"):
        unrolled.count(from_edges(ONE, TWO), trainable_only=True)


def test_a_count_beyond_the_memory_limit_is_refused():
    graph = from_edges(np.arange(5000).repeat(2), np.arange(1, 5001).repeat(2))
    with pytest.raises(unrolled.MemoryLimitError, match="memory_limit"):
        unrolled.count(graph, memory_limit=1000)
    with pytest.raises(unrolled.MemoryLimitError, match="memory_limit"):
        unrolled.analyze(graph, memory_limit=0)
    assert unrolled.count(graph, memory_limit=10**12).total == 1 << 5000
    assert unrolled.count(graph, memory_limit=2**200).total == 1 << 5000


@pytest.mark.parametrize(
    ("options", "advice", "no_advice"),
    [
        ({}, ["count in log space", "counts of parameters only"], []),
        ({"nodes": "parameters"}, ["count in log space"], ["parameters only"]),
        ({"exact": False}, ["fewer nodes"], ["log space or", "parameters only"]),
        ({"through": True}, ["count in log space", "counts of parameters only"], []),
    ],
)
def test_what_is_advised_beyond_the_memory_limit_is_not_done_already(options, advice, no_advice):
    graph = from_edges(np.arange(5000).repeat(2), np.arange(1, 5001).repeat(2))
    with pytest.raises(unrolled.MemoryLimitError) as refusal:
        # So much is enough for counts in log space, by which widths of integers are found.
        unrolled.count(graph, memory_limit=1000 if "exact" in options else 100_000, **options)
    message = str(refusal.value)
    assert "kB; raise memory_limit, or " in message
    assert all(part in message for part in advice), message
    assert not any(part in message for part in no_advice), message


def test_a_network_too_large_to_unroll_need_not_be():
    with pytest.raises(unrolled.MemoryLimitError, match="raise memory_limit, or count the network"):
        models.mlp([100, 100]).unroll(memory_limit=1000)


def test_the_counts_of_parameters_are_within_the_memory_limit():
    """Every other node is a parameter, whose count is kept."""
    length = 4000
    graph = from_edges(
        np.arange(length).repeat(2),
        np.arange(1, length + 1).repeat(2),
        parameters=np.arange(length + 1) % 2 == 0,
    )
    held = unrolled.count(graph, nodes="parameters").peak_bytes
    with pytest.raises(unrolled.MemoryLimitError, match="count in log space"):
        unrolled.count(graph, nodes="parameters", memory_limit=held // 2)
    assert unrolled.count(graph, nodes="parameters", memory_limit=held).exact(0) == 1 << length


@pytest.mark.parametrize("exact", [True, False])
def test_counts_that_were_not_kept_are_named_as_the_graph_does(exact):
    graph = Graph.from_edges([0, 1], [1, 2], names=["image", "hidden", "logit"])
    options = {"nodes": "parameters", "exact": exact}
    to_outputs = unrolled.count(graph, **options)
    with pytest.raises(InvalidArgumentError, match=r"'hidden'.*only those of parameters"):
        to_outputs["hidden"]
    from_inputs = unrolled.count(graph, towards="inputs", **options)
    with pytest.raises(InvalidArgumentError, match=r"'image'.*only those of outputs"):
        from_inputs["image"]
    with pytest.raises(InvalidArgumentError, match=r"'image'.*only those of outputs"):
        from_inputs.values()
    with pytest.raises(InvalidArgumentError, match=r"parameters were not kept.*only those of out"):
        from_inputs.group(0)
    if exact:
        with pytest.raises(InvalidArgumentError, match="'hidden'"):
            to_outputs.exact(nodes=["image", "hidden"])


# Arrays that are shared with the caller and change.

MUTATIONS = """
import sys, warnings
import numpy as np
import unrolled

warnings.simplefilter("ignore")

def chain(dtype, length=2000):
    indptr = np.arange(length + 1)
    indptr[-1] = length - 1
    return indptr, np.arange(1, length, dtype=dtype)

def attempt(graph):
    for options in ({}, {"exact": False}, {"towards": "inputs"}, {"through": True},
                    {"nodes": "parameters"}, {"threads": 3},
                    {"exact": False, "towards": "inputs", "threads": 2}):
        try:
            counts = unrolled.count(graph, memory_limit=1 << 28, **options)
            counts.log2(), counts.spectrum(), counts.log2_total, counts[0]
        except unrolled.UnrolledError:
            pass
    for action in (graph.coalesce, graph.to_networkx, graph.to_scipy, lambda: repr(graph)):
        try:
            action()
        except Exception:  # NumPy and the like have errors of their own.
            pass

rng = np.random.default_rng(0)
changes = [
    lambda indptr, indices: indices.fill(0),
    lambda indptr, indices: indices.fill(np.iinfo(indices.dtype).max),
    lambda indptr, indices: indices.fill(len(indptr) - 1),
    lambda indptr, indices: indices.__setitem__(slice(None), indices[::-1].copy()),
    lambda indptr, indices: indices.__setitem__(slice(None), rng.permutation(indices)),
    lambda indptr, indices: indices.view("u1").__setitem__(slice(None), 255),
    lambda indptr, indices: indptr.fill(0),
    lambda indptr, indices: indptr.fill(10**12),
    lambda indptr, indices: indptr.fill(-1),
    lambda indptr, indices: indptr.__setitem__(slice(None), indptr[::-1].copy()),
]
for dtype in ("i4", "u4", "i8"):
    for change in changes:
        indptr, indices = chain(dtype)
        graph = unrolled.Graph.from_csr(indptr, indices)
        change(indptr, indices)
        attempt(graph)
        indptr, indices = chain(dtype)
        multiplicity = np.full(len(indices), 2, dtype="u8")
        graph = unrolled.Graph.from_csr(indptr, indices, multiplicity=multiplicity)
        multiplicity[:] = rng.choice([0, 1, 2**64 - 1], len(multiplicity)).astype("u8")
        attempt(graph)
        change(indptr, indices)
        attempt(graph)
        indptr, indices = chain(dtype)
        sources = np.arange(len(indices))
        graph = unrolled.Graph.from_edges(sources, indices)
        assert np.shares_memory(graph.indices, indices)
        change(sources, indices)
        attempt(graph)

def count(graph):
    for options in ({"threads": 1}, {"threads": 2}, {"exact": False, "threads": 2}):
        try:
            unrolled.count(graph, memory_limit=1 << 28, **options)[0]
        except unrolled.UnrolledError:
            pass

# Layers for two threads, counted node by node or side by side; lists that reach far.
def layers(dtype):
    width, steps = 6000, np.array([-3, -2, -1, 0, 1, 2])
    node = np.arange(width)[:, None]
    near = width * (1 + np.arange(4)[:, None, None]) + (node + steps) % width
    return 6 * np.arange(4 * width + 1), near.ravel().astype(dtype)

def far(dtype, length=80_000):
    indices = rng.integers(np.repeat(np.arange(length - 1), 2) + 1, length)
    indptr = np.minimum(2 * np.arange(length + 1), len(indices))
    return indptr, indices.astype(dtype)

def closed(indptr, indices, length):
    return np.append(indptr, np.full(length + 1 - len(indptr), indptr[-1])), indices

changes += [
    lambda indptr, indices: indptr.__setitem__(slice(1, -1, 2), -1),
    lambda indptr, indices: indptr.__setitem__(slice(1, -1, 2), 2**62),
    lambda indptr, indices: indptr.__setitem__(slice(1, -1), rng.permutation(indptr[1:-1])),
    lambda indptr, indices: indptr.__setitem__(slice(1, -1, 50), rng.integers(-2**63, 2**63 - 1)),
]
for change in changes:
    for indptr, indices in (closed(*layers("i8"), 5 * 6000), far("i4"), far("i8")):
        graph = unrolled.Graph.from_csr(indptr, indices)
        assert np.shares_memory(graph.indptr, indptr)
        change(indptr, indices)
        count(graph)
print("survived")
"""


def test_arrays_that_change_crash_nothing():
    """Arrays that are not copied may change: any answer or error will do, but no crash."""
    pytest.importorskip("scipy.sparse")
    result = subprocess.run(
        [sys.executable, "-c", MUTATIONS], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout) == (0, "survived\n"), result.stderr[-2000:]


TOO_LARGE = """
import resource
import unrolled
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
net = unrolled.models.mlp([1 << 17, 1 << 17], inputs=4, classes=2)
try:
    net.unroll()
except unrolled.UnrolledError as error:
    print(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_a_network_too_large_to_unroll():
    """More than 2**32 elements are refused before anything is allocated."""
    result = subprocess.run(
        [sys.executable, "-c", TOO_LARGE], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "nodes" in result.stdout
