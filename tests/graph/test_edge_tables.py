"""Tables of edges: which first lines are headings, and that none is counted as an edge."""

from __future__ import annotations

import pytest

import unrolled
from unrolled import GraphFileError
from unrolled.graph.readers import read_graph


def read(tmp_path, text, suffix="csv"):
    path = tmp_path / f"edges.{suffix}"
    path.write_text(text)
    return read_graph(str(path))


@pytest.mark.parametrize(
    "headings",
    [
        "source,target",
        "Source,TARGET",
        "from,to",
        "src,dst",
        " source , target ",
        '"source","target"',
    ],
)
@pytest.mark.parametrize("rows", ["a,b\nb,c\n", "0,1\n1,2\n"])
def test_a_line_of_headings_is_no_edge(tmp_path, headings, rows):
    graph = read(tmp_path, f"{headings}\n{rows}")
    assert (graph.num_nodes, graph.num_edges) == (3, 2)


@pytest.mark.parametrize(
    "text",
    [
        "target,source\nb,a\nc,b\n",
        "multiplicity,target,source\n1,b,a\n1,c,b\n",
        "to,paths,from\nb,1,a\nc,1,b\n",
    ],
)
def test_columns_in_any_order(tmp_path, text):
    """Read by their position they would be turned round, or name nodes 1."""
    graph = read(tmp_path, text)
    counts = unrolled.count(graph)
    assert [counts.exact(name) for name in "abc"] == [1, 1, 1]
    assert [graph.names[node] for node in graph.outputs] == ["c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,from,to\n0,1,2\n", r"the headings are 'id', 'from', 'to'"),
        ("a_node,b_node\n0,1\n", r"headings 'a_node', 'b_node' are not known"),
        ("a_node,b_node\nx,y\ny,z\n", r"'a_node', 'b_node', may be an edge or headings"),
        ("u,v,w\n0,1,2\n", r"headings 'u', 'v', 'w' are not known"),
        ("u,v,w\nx,y,2\n", r"headings 'u', 'v', 'w' are not known"),
        ("source,target,weight\na,b,2\n", r"the headings are 'source', 'target', 'weight'"),
        (
            "source,target,multiplicity,kind\na,b,2,x\n",
            r"'source', 'target', 'multiplicity', 'kind'",
        ),
        ("source,target,target\na,b,c\n", r"each of them once"),
        ("source,target,source\na,b,c\n", r"each of them once"),
        ("a,b,1.5\n", r"the multiplicity '1\.5'"),
        (f"{'u' * 5000},v,w\n0,1,2\n", r"'u+\.\.\.u+', 'v', 'w' are not known"),
    ],
)
def test_first_lines_that_are_no_edge(tmp_path, text, message):
    with pytest.raises(GraphFileError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("a,b\nb,c\n", 2),  # b comes again
        ("a,b\n", 1),  # nothing else is there
        ("a,b,1\nc,d,2\n", 2),  # a heading is no number
        ("1,b\nc,d\n", 2),
        ("source,target\na,b\nc,d\n", 2),
    ],
)
def test_first_lines_that_are_an_edge(tmp_path, text, edges):
    assert read(tmp_path, text).num_edges == edges


def test_tables_with_tabs_keep_commas_in_names(tmp_path):
    text = "source\ttarget\tmultiplicity\na,1\tb\t2\nb\tc c\t3\n"
    graph = read(tmp_path, text, "tsv")
    assert graph.names == ("a,1", "b", "c c")
    assert unrolled.count(graph).exact("a,1") == 6
    with pytest.raises(GraphFileError, match="columns"):
        read(tmp_path, "a,b\nb,c\n", "tsv")
