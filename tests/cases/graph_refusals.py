"""Short ways to make graphs that are refused, and the check of the error and its message."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

import unrolled
from unrolled import CycleError, InvalidGraphError, UnrolledError

from_edges = unrolled.Graph.from_edges
from_csr = unrolled.Graph.from_csr
from_scipy = unrolled.Graph.from_scipy
from_networkx = unrolled.Graph.from_networkx

ONE, TWO = [0, 1], [1, 2]
"""A chain of three nodes."""


def sparse(entries, **options):
    from scipy import sparse

    return sparse.coo_array(entries, **options)


def edge(**attributes):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", **attributes)
    return graph


def node(**attributes):
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["a"].update(attributes)
    graph.nodes["b"]["kind"] = "output"
    return graph


# What is done, and what the message must say, in any order.
Case = tuple[Callable[[], Any], tuple[str, ...]]


def check(attempt, parts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidGraphError) as caught:
            attempt()
    message = str(caught.value)
    assert isinstance(caught.value, UnrolledError)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, CycleError)
    for part in parts:
        pattern = "|".join(re.escape(choice) for choice in part.split("|"))
        assert re.search(pattern, message.replace(",", "")) or part in message, (part, message)
    assert len(message) < 500
