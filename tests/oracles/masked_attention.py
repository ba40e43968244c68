"""Attention with a mask, edge by edge: what importers are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import unrolled
from oracles.element_graph import ElementGraph

Shapes = Mapping[str, tuple[int, ...]]


def expected_counts(shapes: Shapes, seen: Any, semantics: str) -> dict[str, Any]:
    """Contexts of all elements of queries, keys and values, named q, k and v.

    Their shapes are ``(..., tokens, features)``, and all that comes out are outputs.
    """
    graph = ElementGraph(semantics)
    nodes = [graph.parameter(name, shapes[name]) for name in ("q", "k", "v")]
    graph.output(graph.masked_attention(*nodes, seen))
    return {name: counts.tolist() for name, counts in graph.count().items()}


def assert_masked(network: Any, shapes: Shapes, seen: Any, names: str = "qkv") -> None:
    """The network counts as attention with the mask does, exactly and in log space."""
    expected = expected_counts(shapes, seen, network.semantics)
    exact, logs = unrolled.count(network), unrolled.count(network, exact=False)
    for role in names:
        found = exact[role].exact()
        want = np.array(expected[role], dtype=object).reshape(found.shape)
        assert found.tolist() == want.tolist(), role
        with np.errstate(divide="ignore"):
            want = np.log2(want.astype(float))
        np.testing.assert_allclose(logs[role].log2(), want, rtol=1e-12)
