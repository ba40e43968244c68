"""Large graphs whose lists reach far, whose counts fit 32 bits at first: against integers."""

from __future__ import annotations

import numpy as np
import pytest

import unrolled

NODES = 90_000
WORD, EXACT = 32, 53
"""Bits of words, and of integers that floating-point numbers hold."""


def far_reaching(degree, outputs, block=range(0)):
    """Nodes that read some of all behind them; the larger the degree, the larger the counts.

    Those of `block` do not read each other.
    """
    rng = np.random.default_rng(0)
    sources = np.sort(rng.integers(0, NODES - 1, degree * NODES))
    least = np.where(np.isin(sources, block), block.stop, sources + 1)
    targets = least + (rng.random(len(sources)) * (NODES - least)).astype(np.int64)
    marks = rng.choice(NODES, 50, replace=False) if outputs else None
    return sources, targets, marks


def expected(sources, targets, outputs):
    ends = np.bincount(sources, minlength=NODES) == 0
    counts = (ends if outputs is None else np.isin(np.arange(NODES), outputs)).astype(int).tolist()
    for source, target in zip(sources[::-1].tolist(), targets[::-1].tolist(), strict=True):
        counts[source] += counts[target]
    return counts


@pytest.mark.parametrize(
    ("outputs", "degree", "more", "most"),
    [
        (False, 2, 0, WORD),
        (False, 3, WORD, EXACT),
        (False, 6, EXACT, 100),
        (True, 5, 0, WORD),
        (True, 12, WORD, EXACT),
        (True, 16, EXACT, 100),
    ],
)
def test_counts(tmp_path, outputs, degree, more, most):
    sources, targets, marks = far_reaching(degree, outputs)
    counts = expected(sources, targets, marks)
    assert more < max(counts).bit_length() <= most
    graph = unrolled.Graph.from_edges(sources, targets, outputs=marks)
    graph.save(tmp_path / "graph.npz")
    for made in (graph, unrolled.Graph.load(tmp_path / "graph.npz", mmap=True)):
        check(made, counts)


def check(graph, counts):
    """Against integers, in both engines, with one thread and two."""
    some = np.array(counts) > 0
    wanted = np.log2(np.array(counts, dtype=object)[some].astype(float))
    for threads in (1, 2):
        found = unrolled.count(graph, threads=threads)
        assert [found.exact(node) for node in range(NODES)] == counts
        logarithms = unrolled.count(graph, exact=False, threads=threads).log2()
        assert np.all(np.isneginf(logarithms[~some]))
        np.testing.assert_allclose(logarithms[some], wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("start", [80_000, 79_000, 50_000])
def test_counts_side_by_side(start):
    """Words fit in all of a wide block, in a part of it, or in none."""
    block = range(start, start + 9_000)
    sources, targets, _ = far_reaching(4, False, block)
    counts = expected(sources, targets, None)
    fits = [count.bit_length() <= WORD for count in counts]
    words = NODES - fits[::-1].index(False)
    assert (start == 80_000, start == 79_000) == (words <= block.start, words in block)
    check(unrolled.Graph.from_edges(sources, targets), counts)


def test_counts_of_a_graph_turned_round():
    sources, targets, _ = far_reaching(3, False)
    turned = NODES - 1 - targets, NODES - 1 - sources
    order = np.argsort(turned[0], kind="stable")
    counts = expected(turned[0][order], turned[1][order], None)
    graph = unrolled.Graph.from_edges(sources, targets)
    found = unrolled.count(graph, towards="inputs")
    assert [found.exact(node) for node in range(NODES)] == counts[::-1]
