"""What graphs of SciPy and NetworkX are refused."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from cases.graph_refusals import Case, check, edge, from_networkx, from_scipy, node, sparse
from unrolled import InvalidArgumentError

MATRICES: dict[str, Case] = {
    "not square": (lambda: from_scipy(sparse(([1], ([0], [1])), shape=(2, 3))), ("(2, 3)",)),
    "negative entry": (lambda: from_scipy(sparse(([-2], ([0], [1])), shape=(2, 2))), ("-2",)),
    "fractional entry": (
        lambda: from_scipy(sparse(([0.5], ([0], [1])), shape=(2, 2))),
        ("0.5|float64",),
    ),
    "entry NaN": (lambda: from_scipy(sparse(([np.nan], ([0], [1])), shape=(2, 2))), ("nan|float",)),
    "complex entry": (
        lambda: from_scipy(sparse(([1j], ([0], [1])), shape=(2, 2))),
        ("complex",),
    ),
    "no matrix": (lambda: from_scipy("matrix"), ("str",)),
    "none": (lambda: from_scipy(None), ("None",)),
    "output of no row of a matrix": (
        lambda: from_scipy(sparse(([1], ([0], [1])), shape=(2, 2)), outputs=[2]),
        ("outputs", "2"),
    ),
}


NETWORKX: dict[str, Case] = {
    "undirected": (lambda: from_networkx(nx.Graph([(0, 1)])), ("DiGraph",)),
    "undirected multigraph": (lambda: from_networkx(nx.MultiGraph([(0, 1)])), ("DiGraph",)),
    "no graph": (lambda: from_networkx([(0, 1)]), ("NetworkX", "list")),
    "kind unknown": (lambda: from_networkx(node(kind="weight")), ("'weight'", "a")),
    "kind that is no text": (lambda: from_networkx(node(kind=3)), ("3", "a")),
    "kind that is an array": (lambda: from_networkx(node(kind=np.arange(2))), ("array", "a")),
    "kind that cannot be hashed": (lambda: from_networkx(node(kind=["input"])), ("input",)),
    "multiplicity of an edge zero": (
        lambda: from_networkx(edge(multiplicity=0)),
        ("multiplicity", "0"),
    ),
    "multiplicity of an edge negative": (
        lambda: from_networkx(edge(multiplicity=-7)),
        ("multiplicity", "-7"),
    ),
    "multiplicity of an edge fractional": (
        lambda: from_networkx(edge(multiplicity=1.5)),
        ("multiplicity", "1.5|float"),
    ),
    "multiplicity of an edge one as float": (
        lambda: from_networkx(edge(multiplicity=1.0)),
        ("'a' -> 'b'", "multiplicity", "float 1.0"),
    ),
    "multiplicity of an edge a bool": (
        lambda: from_networkx(edge(multiplicity=True)),
        ("'a' -> 'b'", "multiplicity", "bool True"),
    ),
    "multiplicity of one of several edges": (
        lambda: from_networkx(nx.MultiDiGraph([(0, 1), (0, 1, {"multiplicity": 2.0}), (1, 2)])),
        ("0 -> 1", "multiplicity", "float 2.0"),
    ),
    "multiplicity that is an array": (
        lambda: from_networkx(edge(multiplicity=np.array(2))),
        ("'a' -> 'b'", "multiplicity", "ndarray"),
    ),
    "multiplicity of an edge NaN": (
        lambda: from_networkx(edge(multiplicity=float("nan"))),
        ("multiplicity", "nan|float"),
    ),
    "multiplicity of an edge as text": (
        lambda: from_networkx(edge(multiplicity="3")),
        ("multiplicity",),
    ),
    "multiplicity of an edge missing": (
        lambda: from_networkx(edge(multiplicity=None)),
        ("multiplicity",),
    ),
    "multiplicity of an edge beyond 64 bits": (
        lambda: from_networkx(edge(multiplicity=2**64)),
        ("multiplicity",),
    ),
    "label that cannot be hashed": (
        lambda: from_networkx(node(kind="parameter", parameter=["w"])),
        ("parameter",),
    ),
}


@pytest.mark.parametrize("case", NETWORKX.values(), ids=NETWORKX)
def test_bad_graphs_of_networkx(case):
    check(*case)


@pytest.mark.parametrize("case", MATRICES.values(), ids=MATRICES)
def test_a_matrix_that_is_no_graph_is_refused(case):
    pytest.importorskip("scipy.sparse")
    check(*case)


@pytest.mark.parametrize("option", ["multiplicity", "kind", "parameter"])
@pytest.mark.parametrize("attribute", [None, True, False, 3, ["kind"]])
def test_names_of_attributes_are_strings(option, attribute):
    with pytest.raises(InvalidArgumentError, match=option):
        from_networkx(edge(), **{option: attribute})
