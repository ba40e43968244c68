"""What it takes to describe a small network or graph, beside a graph of NetworkX of the same rows.

The peer is told the finished tensors and links, as NetworkX takes them: it works out no shapes,
checks nothing and could not be counted. That is the least that a description in Python costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import networkx as nx
import pytest

import unrolled
from unrolled import Graph, Network, models

Measure = Callable[..., None]
pytestmark = pytest.mark.benchmark(timer=time.process_time)

AT_ONCE = 20
"""So many are made in a round, for a single one is over in too short a time."""

CELL = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
BUILDERS: dict[str, Callable[[], Network]] = {
    "NAS-Bench-201": lambda: models.nasbench201(CELL),
    "a CNN of three layers": lambda: models.cnn([16, 32, 64]),
}
EDGES = ([0, 0, 1, 1, 2], [1, 2, 2, 3, 3])


@cache
def rows(name: str) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, str]]]:
    """The tensors and links of a network, as NetworkX takes them."""
    net = BUILDERS[name]()
    tensors: list[tuple[str, dict[str, Any]]] = [
        (one.name, {"shape": one.shape, "role": one.role, "trainable": one.trainable})
        for one in net.tensors
    ]
    return tensors, [(link.source.name, link.target.name) for link in net.links]


def described(name: str) -> nx.MultiDiGraph[str]:
    """The peer: the rows, one after the other."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    tensors, links = rows(name)
    for tensor, attributes in tensors:
        graph.add_node(tensor, **attributes)
    for source, target in links:
        graph.add_edge(source, target)
    return graph


@pytest.mark.parametrize("side", ["unrolled", "networkx"])
@pytest.mark.parametrize("name", BUILDERS)
def test_building(measure: Measure, name: str, side: str) -> None:
    make: Callable[[], Network | nx.MultiDiGraph[str]] = BUILDERS[name]
    if side == "networkx":
        rows(name)
        make = lambda: described(name)  # noqa: E731

    def size(made: Network | nx.MultiDiGraph[str]) -> tuple[int, int]:
        if isinstance(made, Network):
            return made.num_tensors, len(made.links)
        return made.number_of_nodes(), made.number_of_edges()

    measure(f"{AT_ONCE} of {name}", side, lambda: [make() for _ in range(AT_ONCE)][-1], size)


def paths_by_hand() -> int:
    """The paths from node 0 to the last node of the five edges, with a list of successors."""
    successors: dict[int, list[int]] = {}
    for source, target in zip(*EDGES, strict=True):
        successors.setdefault(source, []).append(target)
    counts: dict[int, int] = {}
    for node in range(3, -1, -1):
        counts[node] = sum(counts[one] for one in successors.get(node, ())) or 1
    return counts[0]


@pytest.mark.parametrize("side", ["unrolled", "by hand"])
def test_building_and_counting_five_edges(measure: Measure, side: str) -> None:
    def make() -> int:
        return unrolled.count(Graph.from_edges(*EDGES)).total

    once = make if side == "unrolled" else paths_by_hand
    measure(f"{AT_ONCE} of five edges", side, lambda: [once() for _ in range(AT_ONCE)][-1], int)


@pytest.mark.parametrize("part", ["build", "build and analyse"])
@pytest.mark.parametrize("name", BUILDERS)
def test_parts(measure: Measure, name: str, part: str) -> None:
    """Which part of a small analysis is building: read these rows against each other."""
    make = BUILDERS[name]

    def run() -> float:
        if part == "build":
            return float([make() for _ in range(AT_ONCE)][-1].num_outputs)
        results = [unrolled.analyze(make()) for _ in range(AT_ONCE)]
        return float(
            [(one.entropy, one.total_surprisal, one.num_outputs) for one in results][-1][-1]
        )

    measure(f"{AT_ONCE} of {name}, by part", part, run, float)
