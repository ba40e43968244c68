"""Graphs in files of other programs, counted as the same edges given as arrays."""

from __future__ import annotations

import os

import networkx as nx
import numpy as np
import pytest

import unrolled
from unrolled import GraphFileError, InvalidArgumentError, InvalidGraphError
from unrolled.graph.networkx_files import READERS
from unrolled.graph.readers import OF_NETWORKX, read_graph

EDGES = [("w", "h", 1), ("v", "h", 2), ("h", "y", 3), ("x", "y", 1), ("x", "h", 1)]
PARAMETERS = {"w": 3, "v": 6}
"""Counts of the parameters by hand: h leads on by three edges, and v leads to h by two."""


def model():
    """The graph with roles and multiplicities."""
    graph = nx.DiGraph(name="by hand")
    graph.add_nodes_from(PARAMETERS, kind="parameter")
    graph.add_node("x", kind="input")
    graph.add_node("h", kind="operation")
    graph.add_node("y", kind="output")
    graph.add_edges_from((a, b, {"multiplicity": number}) for a, b, number in EDGES)
    return graph


def check_model(path):
    graph = read_graph(str(path))
    counts = unrolled.count(graph)
    assert {name: counts.exact(name) for name in PARAMETERS} == PARAMETERS
    assert (graph.num_nodes, counts.num_parameters, counts.num_inputs) == (5, 2, 1)
    return graph


def check_edges(path):
    """Without roles every source is a parameter: two have the counts above, and x has 1 + 3."""
    counts = unrolled.count(read_graph(str(path)))
    assert counts.total == 3 + 6 + 4
    assert counts.num_parameters == 3


@pytest.mark.parametrize(
    ("suffix", "write"),
    [("graphml", nx.write_graphml), ("gexf", nx.write_gexf), ("gml", nx.write_gml)],
)
def test_kinds_with_attributes(tmp_path, suffix, write):
    path = tmp_path / f"graph.{suffix}"
    write(model(), path)
    assert check_model(path).name in ("by hand", "graph")
    undirected = tmp_path / f"undirected.{suffix}"
    write(nx.Graph([("a", "b")]), undirected)
    with pytest.raises(InvalidGraphError, match="undirected"):
        read_graph(str(undirected))


@pytest.mark.parametrize("suffix", ["GML", "Gml"])
def test_suffixes_of_any_case(tmp_path, suffix):
    nx.write_gml(model(), tmp_path / f"graph.{suffix}")
    check_model(tmp_path / f"graph.{suffix}")


def test_gml_without_labels(tmp_path):
    path = tmp_path / "graph.gml"
    path.write_text(
        "graph [ directed 1 node [ id 0 ] node [ id 1 ] node [ id 7 ]"
        " edge [ source 0 target 1 ] edge [ source 1 target 7 multiplicity 4 ] ]"
    )
    assert unrolled.count(read_graph(str(path))).exact(0) == 4


def test_parallel_edges(tmp_path):
    parallel = nx.MultiDiGraph()
    for source, target, number in EDGES:
        parallel.add_edges_from([(source, target)] * number)
    for suffix, write in (
        ("graphml", nx.write_graphml),
        ("gexf", nx.write_gexf),
        ("gml", nx.write_gml),
        ("edgelist", nx.write_edgelist),
    ):
        write(parallel, tmp_path / f"graph.{suffix}")
        check_edges(tmp_path / f"graph.{suffix}")


@pytest.mark.parametrize(
    "second",
    [
        "</graph><graph edgedefault='directed'>",
        "<node id='n'><graph edgedefault='directed'/></node>",
    ],
)
def test_a_second_graph_is_not_left_out(tmp_path, second):
    path = tmp_path / "graph.graphml"
    nx.write_graphml(model(), path)
    text = path.read_text()
    path.write_text(text.replace("</graph>", f"{second}</graph>"))
    with pytest.raises(GraphFileError, match="holds 2 graphs; expected one"):
        read_graph(str(path))


# Lists of edges.


def test_edge_list(tmp_path):
    path = tmp_path / "graph.edgelist"
    nx.write_edgelist(model(), path)
    check_edges(path)
    path.write_text("# by hand\n\nw h\nv h {}\nv  h # again\nh y {'multiplicity': 3}\nx y\nx h\n")
    check_edges(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\nc\n", "line 2, 'c', has one node"),
        ("a b 3\n", "line 1 ends with '3'; behind the target may stand a dictionary"),
        ("a b {'multiplicity': 'x'}\n", "must be an integer"),
        ("a b {'multiplicity\n", "not a list of edges"),
        ("a b\nb a\n", "cycle"),
        ("a b {'x': " + "[" * 500 + "\n", "not a list of edges"),
        (b"a \xff\n", "not a list of edges"),
    ],
)
def test_edge_lists_that_are_none(tmp_path, text, message):
    path = tmp_path / "graph.edgelist"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(unrolled.UnrolledError, match=message):
        read_graph(str(path))


def test_names_with_signs_of_comments(tmp_path):
    path = tmp_path / "graph.edgelist"
    path.write_text("a#1 b#2\nb#2 c\n")
    assert read_graph(str(path)).names == ("a#1", "b#2", "c")


# DOT.


def test_dot(tmp_path):
    pytest.importorskip("pydot")
    path = tmp_path / "graph.dot"
    path.write_text(
        """/* by hand */ digraph "by hand" {
        rankdir=LR; node [shape=box];
        w [kind=parameter, label="a weight"]; v [kind="parameter"]; x [kind=input]; y [kind=output]
        subgraph cluster_0 { w -> h; v -> h [multiplicity=2]; h [kind=operation] }
        h:east -> y:west:n [multiplicity="3"]; x -> {h y};
        }"""
    )
    assert check_model(path).name == "by hand"
    path.write_text('digraph { w -> h -> y; v -> "h" v:port -> h; h -> y -> "z \\"z\\""; h -> y }')
    graph = read_graph(str(path))
    assert graph.names == ("w", "h", "y", "v", 'z "z"')
    assert unrolled.count(graph).exact("v") == 6
    path.write_text("strict digraph { a -> b; a -> b; b -> c }")
    assert unrolled.count(read_graph(str(path))).exact("a") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 graphs; expected one"),
        ("a,b\n", "not DOT"),
        ("digraph { a -> ", "not DOT"),
        ("digraph { a -> b } c -> d", "not DOT behind the end"),
        ("digraph { a -> b } /* ", "not DOT behind the end"),
        ("digraph { a -> b } digraph { b -> c }", "holds 2 graphs; expected one"),
        ("graph { a -- b }", "undirected; use digraph"),
        ("digraph { node [kind=parameter]; a -> b }", "kind is set for every node"),
        ("digraph { subgraph s { edge [multiplicity=2]; a -> b } }", "multiplicity is set for"),
        ("digraph { a -> { b -> c } }", "a group that has edges"),
        ("digraph { a -> b [multiplicity=two] }", "must be an integer"),
        ("digraph { a -> b -> a }", "cycle"),
        ("digraph { " + "{" * 400 + "a -> b" + "}" * 400 + " }", "not DOT"),
    ],
)
def test_dot_that_is_none(tmp_path, text, message, capsys):
    pytest.importorskip("pydot")
    path = tmp_path / "graph.dot"
    path.write_text(text)
    with pytest.raises(unrolled.UnrolledError, match=message) as caught:
        read_graph(str(path))
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_dot_without_pydot(tmp_path, monkeypatch):
    from unrolled._support import optional

    def import_module(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(optional, "import_module", import_module)
    (tmp_path / "graph.dot").write_text("digraph { a -> b }")
    with pytest.raises(unrolled.MissingPackageError, match=r"pip install 'unrolled\[dot\]'"):
        read_graph(str(tmp_path / "graph.dot"))


# Matrices of SciPy.


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr"])
def test_matrices_of_scipy(tmp_path, kind):
    sparse = pytest.importorskip("scipy.sparse")
    nodes = ["w", "v", "x", "h", "y"]
    matrix = np.zeros((5, 5), dtype=np.int64)
    for source, target, number in EDGES:
        matrix[nodes.index(source), nodes.index(target)] = number
    path = tmp_path / "matrix.npz"
    sparse.save_npz(path, sparse.csr_array(matrix).asformat(kind))
    check_edges(path)
    assert read_graph(str(path)).name == "matrix"
    with pytest.raises(InvalidArgumentError, match="cannot stay in its file"):
        read_graph(str(path), mmap=True)


def test_matrices_that_are_none(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    path = tmp_path / "matrix.npz"
    sparse.save_npz(path, sparse.csr_array(np.eye(3, 4, 1, dtype=int)))
    with pytest.raises(InvalidGraphError, match=r"matrix\.npz: an adjacency matrix is square"):
        read_graph(str(path))
    np.savez(path, format=np.array("csr"), data=np.ones(3))
    with pytest.raises(GraphFileError, match=r"not a matrix of SciPy"):
        read_graph(str(path))


# Any file.


@pytest.mark.parametrize("name", ["a\tb.csv", "a\nb.csv", "\x1b[31m.csv", "$x^$.csv", "\udcff.csv"])
def test_names_of_files(tmp_path, name):
    try:
        (tmp_path / name).write_text("source,target\na,b\n")
    except (OSError, UnicodeEncodeError):
        pytest.skip("no file can have this name here")
    graph = read_graph(str(tmp_path / name))
    assert graph.name.isprintable()
    graph.save(tmp_path / f"{name}.npz")
    assert read_graph(str(tmp_path / f"{name}.npz"), mmap=True).num_edges == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.npz"):
        with pytest.raises(GraphFileError, match="copy what it has into a file first"):
            read_graph(str(tmp_path / name))


def test_what_networkx_reads_is_told_apart_by_its_suffix():
    assert tuple(READERS) == OF_NETWORKX
