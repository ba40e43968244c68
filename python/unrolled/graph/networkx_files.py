"""Graphs of files that NetworkX reads: GraphML, GEXF, GML, lists of edges, and DOT with pydot.

What NetworkX would leave out without a word is refused here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from unrolled._support.arguments import Progress
from unrolled._support.hints import shortened
from unrolled._support.optional import import_optional
from unrolled.errors import GraphFileError, InvalidGraphError, UnrolledError
from unrolled.graph.graph import Graph
from unrolled.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

    import networkx as nx

__all__ = ["READERS", "read_with_networkx"]

COMMENT = re.compile(r"(^|\s)#.*")
MEANINGFUL = ("kind", "parameter", "multiplicity")
"""The attributes that `Graph.from_networkx` reads."""
SENTINEL = "unrolled_end_of_file"
DOT_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[^:"]+')
"""A node of DOT in front of its ports, which say where on the node an edge is drawn."""


def read_with_networkx(path: Path, threads: int | None, progress: Progress | None) -> Graph:
    """A graph of a file of one of the kinds of `READERS`.

    Raises
    ------
    GraphFileError
        The file holds something else, or something that cannot be kept.
    InvalidGraphError, CycleError
        Edges that form no graph.
    MissingPackageError
        A ``.dot`` file, and pydot is not installed.
    """
    kind, read = READERS[path.suffix.lower()]
    try:
        graph = read(path)
    except (OSError, MemoryError, UnrolledError):
        raise
    except Exception as error:  # Texts, and what NetworkX makes of them, fail in many ways.
        reason = str(error) or type(error).__name__
        raise GraphFileError(f"{path}: not {kind}: {reason}") from error
    name = printable(graph.name or path.stem)
    return Graph.from_networkx(graph, name=name, threads=threads, progress=progress)


def _read_graphml(path: Path) -> nx.Graph[Any]:
    import networkx as nx

    _check_one_graph(path)
    return nx.read_graphml(path)


def _read_gexf(path: Path) -> nx.Graph[Any]:
    import networkx as nx

    _check_one_graph(path)
    return nx.read_gexf(path)


def _check_one_graph(path: Path) -> None:
    """Refuse a file of XML with a second graph, also within a node of the first.

    Raises
    ------
    GraphFileError
    """
    from xml.etree import ElementTree

    number = 0
    for _, element in ElementTree.iterparse(path):
        number += element.tag.rpartition("}")[2] == "graph"
        element.clear()
    if number > 1:
        raise GraphFileError(f"{path}: holds {number} graphs; expected one")


def _read_gml(path: Path) -> nx.Graph[Any]:
    import networkx as nx

    try:
        return nx.read_gml(path)
    except nx.NetworkXError:  # Nodes need no labels, and two may have the same.
        return nx.read_gml(path, label="id")


def _read_edge_list(path: Path) -> nx.Graph[Any]:
    """Lines of a source, a target and maybe a dictionary of attributes, parted by blanks."""
    import networkx as nx

    with path.open(encoding="utf-8-sig") as stream:
        # No comment is left to look for, and no line has a line end in it.
        return nx.parse_edgelist(
            _edge_lines(path, stream), comments="\n", create_using=nx.MultiDiGraph
        )


def _edge_lines(path: Path, stream: Iterable[str]) -> Iterator[str]:
    """Lines without comments, none of which NetworkX passes over."""
    for number, line in enumerate(stream, start=1):
        text = COMMENT.sub("", line).strip()
        if not text:
            continue
        cells = text.split(maxsplit=2)
        if len(cells) < 2:
            raise GraphFileError(
                f"{path}: line {number}, {shortened(text)!r}, has one node; an edge has a source "
                "and a target"
            )
        if len(cells) == 3 and not cells[2].startswith("{"):
            raise GraphFileError(
                f"{path}: line {number} ends with {shortened(cells[2])!r}; behind the target may "
                "stand a dictionary of attributes, such as {'multiplicity': 2}"
            )
        yield text


def _read_dot(path: Path) -> nx.Graph[Any]:
    """A graph of DOT, its subgraphs taken as parts of it."""
    import networkx as nx

    text = path.read_text("utf-8-sig")
    # pydot prints what is wrong, and calls its own parser by names that this one calls old.
    with redirect_stdout(StringIO()) as said, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pydot = import_optional("pydot", "dot")
        # It passes over whatever it cannot read behind the end of a graph, but then not this one.
        graphs = pydot.graph_from_dot_data(f"{text}\ndigraph {SENTINEL} {{}}")
    if not graphs:
        raise GraphFileError(f"{path}: not DOT: {said.getvalue()}")
    *graphs, last = graphs
    if last.get_name() != SENTINEL:
        raise GraphFileError(f"{path}: not DOT behind the end of the last graph")
    if len(graphs) != 1:
        raise GraphFileError(f"{path}: holds {len(graphs)} graphs; expected one")
    source = graphs[0]
    if source.get_type() != "digraph":
        raise InvalidGraphError("edges need a direction, but the graph is undirected; use digraph")
    graph: nx.Graph[Any] = nx.DiGraph() if source.get_strict() else nx.MultiDiGraph()
    graph.graph["name"] = _unquote(source.get_name())
    _add_part(path, graph, source)
    return graph


def _add_part(path: Path, graph: nx.Graph[Any], part: Any) -> None:
    """Add the nodes and edges of a graph of pydot, or of a subgraph, and of those within."""
    for node in part.get_node_list():
        if node.get_name() in ("node", "edge", "graph"):  # Not a node, but defaults for all.
            lost = [name for name in MEANINGFUL if name in node.get_attributes()]
            if lost:
                raise GraphFileError(
                    f"{path}: {lost[0]} is set for every {node.get_name()}; set it for each alone"
                )
            continue
        graph.add_node(_dot_node(path, node.get_name()), **_attributes(node))
    for edge in part.get_edge_list():
        for source in _ends(path, edge.get_source()):
            for target in _ends(path, edge.get_destination()):
                graph.add_edge(source, target, **_attributes(edge))
    for subgraph in part.get_subgraph_list():
        _add_part(path, graph, subgraph)


def _ends(path: Path, end: Any) -> list[str]:
    """The nodes at one end of an edge: one, or those of a group in braces."""
    if isinstance(end, str):
        return [_dot_node(path, end)]
    if end["edges"] or end["subgraphs"]:
        raise GraphFileError(f"{path}: an edge ends at a group that has edges; write them apart")
    return [_dot_node(path, name) for name in end["nodes"]]


def _dot_node(path: Path, text: str) -> str:
    """The name of a node, without quotes and ports."""
    found = DOT_NAME.match(text)
    if found is None or text == "subgraph":  # pydot takes the word for a node.
        raise GraphFileError(f"{path}: {shortened(text)!r} is no name of a node")
    return _unquote(found.group())


def _attributes(item: Any) -> dict[str, Any]:
    """The attributes that matter, as the numbers and texts they stand for."""
    given = item.get_attributes()
    texts = {name: _unquote(str(given[name])) for name in MEANINGFUL if name in given}
    times = texts.get("multiplicity", "")
    return texts | ({"multiplicity": int(times)} if times.isascii() and times.isdigit() else {})


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"')
    return text


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    ".graphml": ("GraphML", _read_graphml),
    ".gexf": ("GEXF", _read_gexf),
    ".gml": ("GML", _read_gml),
    ".edgelist": ("a list of edges", _read_edge_list),
    ".dot": ("DOT", _read_dot),
}
"""What each kind of file is called, and its reader."""
