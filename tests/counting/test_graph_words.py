"""Large graphs whose edges reach far, whose counts are summed in words of 32 bits while they fit.

Counting begins at the last node. From the first count that does not fit a word on, sums are taken
in floating-point numbers or in wider integers. Every count is compared with a Python integer.
"""

from __future__ import annotations

import numpy as np
import pytest

import unrolled

NODES = 90_000
WORD = 32
"""Bits of a word."""
FLOAT = 53
"""Bits of the integers up to which floating-point numbers have all of them."""


def far_reaching_edges(degree, block=range(0)):
    """Sources and targets, sorted by source: from each node to random nodes anywhere behind it.

    The larger the degree, the larger the counts. Nodes of `block` only lead past its end, so that
    all of them can be counted side by side.
    """
    rng = np.random.default_rng(0)
    sources = np.sort(rng.integers(0, NODES - 1, degree * NODES))
    nearest = np.where(np.isin(sources, block), block.stop, sources + 1)
    targets = nearest + (rng.random(len(sources)) * (NODES - nearest)).astype(np.int64)
    return sources, targets


def paths_from_each_node(sources, targets, outputs=None):
    """Numbers of paths to an output, or to a node without successors, as Python integers."""
    if outputs is None:
        outputs = np.setdiff1d(np.arange(NODES), sources)
    counts = np.isin(np.arange(NODES), outputs).astype(int).tolist()
    for source, target in zip(sources[::-1].tolist(), targets[::-1].tolist(), strict=True):
        counts[source] += counts[target]
    return counts


def assert_counts(graph, expected):
    """Both engines find these numbers of paths, with one thread and with two."""
    reached = np.array(expected) > 0
    logarithms = np.log2(np.array(expected, dtype=object)[reached].astype(float))
    for threads in (1, 2):
        exact = unrolled.count(graph, threads=threads)
        assert [exact.exact(node) for node in range(NODES)] == expected
        in_log = unrolled.count(graph, exact=False, threads=threads).log2()
        assert np.all(np.isneginf(in_log[~reached]))
        np.testing.assert_allclose(in_log[reached], logarithms, rtol=1e-13, atol=1e-15)


# The degree decides how large counts become, and the range is that of the bits of the largest one.
FIT = {
    "words": (2, range(WORD + 1)),
    "floats": (3, range(WORD + 1, FLOAT + 1)),
    "neither": (6, range(FLOAT + 1, 100)),
}
FIT_WITH_OUTPUTS = {
    "words": (5, range(WORD + 1)),
    "floats": (9, range(WORD + 1, FLOAT + 1)),
    "neither": (14, range(FLOAT + 1, 100)),
}


def check_in_memory_and_mapped(folder, edges, outputs, bits):
    expected = paths_from_each_node(*edges, outputs)
    assert max(expected).bit_length() in bits
    graph = unrolled.Graph.from_edges(*edges, outputs=outputs)
    assert_counts(graph, expected)
    graph.save(folder / "graph.npz")
    assert_counts(unrolled.Graph.load(folder / "graph.npz", mmap=True), expected)


@pytest.mark.parametrize(("degree", "bits"), FIT.values(), ids=FIT)
def test_counts_stay_exact_as_they_outgrow_words_and_floats(tmp_path, degree, bits):
    check_in_memory_and_mapped(tmp_path, far_reaching_edges(degree), None, bits)


@pytest.mark.parametrize(("degree", "bits"), FIT_WITH_OUTPUTS.values(), ids=FIT_WITH_OUTPUTS)
def test_counts_to_some_outputs_stay_exact_as_they_outgrow_words(tmp_path, degree, bits):
    outputs = np.random.default_rng(1).choice(NODES, 50, replace=False)
    check_in_memory_and_mapped(tmp_path, far_reaching_edges(degree), outputs, bits)


@pytest.mark.parametrize(
    ("start", "outgrown"), [(80_000, "before"), (79_000, "within"), (50_000, "behind")]
)
def test_nodes_counted_side_by_side_stay_exact_wherever_words_are_outgrown(start, outgrown):
    block = range(start, start + 9_000)
    edges = far_reaching_edges(4, block)
    expected = paths_from_each_node(*edges)
    last = max(node for node, count in enumerate(expected) if count.bit_length() > WORD)
    if outgrown == "before":
        assert last < block.start
    elif outgrown == "within":
        assert last in block
    else:
        assert last >= block.stop
    assert_counts(unrolled.Graph.from_edges(*edges), expected)


def test_counts_from_the_inputs_are_those_of_the_reversed_graph():
    sources, targets = far_reaching_edges(3)
    order = np.argsort(-targets, kind="stable")
    expected = paths_from_each_node(NODES - 1 - targets[order], NODES - 1 - sources[order])
    found = unrolled.count(unrolled.Graph.from_edges(sources, targets), towards="inputs")
    assert [found.exact(node) for node in range(NODES)] == expected[::-1]
