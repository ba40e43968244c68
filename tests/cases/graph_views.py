"""Small graphs that several test files use, and what there is of a graph to compare."""

from __future__ import annotations

import networkx as nx
import numpy as np

import unrolled

# Two sources into one node, a double edge to the sink, and a node that is alone.
SOURCES, TARGETS = [0, 1, 2, 2], [2, 2, 3, 3]
DOWNSTREAM = [2, 2, 2, 1, 1]


def example(**options):
    return unrolled.Graph.from_edges(SOURCES, TARGETS, num_nodes=5, **options)


def counts_of(graph):
    """The counts of all nodes, which are asked for by name if the graph has names."""
    counts = unrolled.count(graph)
    nodes = range(graph.num_nodes) if graph.names is None else graph.names
    return [counts.exact(node) for node in nodes]


def edges_of(graph):
    """Edges with multiplicities, sorted."""
    multiplicity = (
        np.ones(graph.num_edges, int) if graph.multiplicity is None else (graph.multiplicity)
    )
    sources = np.repeat(np.arange(graph.num_nodes), np.diff(graph.indptr.astype(np.int64)))
    rows = zip(sources.tolist(), graph.indices.tolist(), multiplicity.tolist(), strict=True)
    return sorted(rows)


def two_layers():
    graph = nx.DiGraph(name="two layers")
    graph.add_node("x", kind="input")
    graph.add_nodes_from(["w1", "w2"], kind="parameter", parameter="w")
    graph.add_node("b", kind="parameter")
    graph.add_nodes_from(["h", "g"], kind="operation")
    graph.add_node("y", kind="output")
    graph.add_node("z", kind="output")
    graph.add_edges_from([("x", "h"), ("w1", "h"), ("w2", "g"), ("b", "g"), ("h", "y"), ("g", "y")])
    graph.add_edge("h", "g", multiplicity=3)
    graph.add_edge("y", "z")
    return graph


def exact_counts(counts, case):
    """All counts of a graph without names as Python integers."""
    return [counts.exact(node) for node in range(case.num_nodes)]
