"""Whatever one function takes as a model, all take; and foreign graphs are the graphs they say."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import unrolled
from unrolled import CycleError, InvalidArgumentError, InvalidGraphError
from unrolled.sources import resolve

SOURCES, TARGETS = [0, 0, 1, 2], [1, 2, 3, 3]
DIAMOND = unrolled.Graph.from_edges(SOURCES, TARGETS)


def foreign_diamonds() -> dict[str, Any]:
    edges = list(zip(SOURCES, TARGETS, strict=True))
    return {
        "networkx": nx.DiGraph(edges),
        "networkx multigraph": nx.MultiDiGraph(edges),
        "scipy matrix": scipy.sparse.coo_matrix((np.ones(4, int), (SOURCES, TARGETS)), (4, 4)),
        "scipy array": scipy.sparse.csr_array((np.ones(4, int), (SOURCES, TARGETS)), (4, 4)),
        "array": np.array([SOURCES, TARGETS]),
        "unsigned array": np.array([SOURCES, TARGETS], dtype=np.uint32),
        "pandas": pd.DataFrame({"source": SOURCES, "target": TARGETS}),
        "pandas with names": pd.DataFrame(
            {"target": [f"n{t}" for t in TARGETS], "source": [f"n{s}" for s in SOURCES]}
        ),
        "columns of numpy": (np.array(SOURCES), np.array(TARGETS)),
        "columns of pandas": (pd.Series(SOURCES), pd.Series(TARGETS)),
        "columns of names": (pd.Series([*"aabc"]), pd.Series([*"bcdd"])),
    }


def tables_of(library: str) -> list[Any]:
    """Tables and columns of the diamond's edges in a library that may not be there."""
    module = pytest.importorskip(library)
    edges = {"source": SOURCES, "target": TARGETS}
    if library == "polars":
        return [module.DataFrame(edges), tuple(map(module.Series, edges.values()))]
    columns = tuple(map(module.array, edges.values()))
    chunks = tuple(map(module.chunked_array, ([SOURCES[:1], SOURCES[1:]], [TARGETS])))
    return [module.table(edges), module.record_batch(edges), columns, chunks]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_every_function_takes_tables_and_columns(library: str) -> None:
    for model in tables_of(library):
        assert unrolled.analyze(model).total_contexts == 2
        assert unrolled.compare([model])[0].total_contexts == 2
        assert unrolled.divergence(model, DIAMOND) == (0, 0, 0, 0)


def test_a_frame_that_is_not_collected_is_refused() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(InvalidArgumentError, match=r"frame\.collect"):
        unrolled.analyze(polars.LazyFrame({"source": SOURCES, "target": TARGETS}))


def test_multiplicities_in_columns_are_parallel_edges() -> None:
    columns = tuple(map(np.array, ([0, 1], [1, 2], [2, 3])))
    assert unrolled.analyze(columns).total_contexts == 6


@pytest.mark.parametrize("kind", foreign_diamonds())
def test_every_function_takes_graphs_of_other_libraries(kind: str) -> None:
    model = foreign_diamonds()[kind]
    assert unrolled.analyze(model).total_contexts == 2
    assert unrolled.compare([model])[0].total_contexts == 2
    assert unrolled.divergence(model, DIAMOND) == (0, 0, 0, 0)


def test_multiplicities_in_tables_are_parallel_edges() -> None:
    table = pd.DataFrame({"source": [0, 1], "target": [1, 2], "multiplicity": [2, 3]})
    assert unrolled.analyze(table).total_contexts == 6


def test_divergence_takes_files_and_names(tmp_path: Any) -> None:
    DIAMOND.save(tmp_path / "diamond.npz")
    distances = unrolled.divergence(tmp_path / "diamond.npz", str(tmp_path / "diamond.npz"))
    assert distances == (0, 0, 0, 0)
    assert unrolled.divergence("resnet18", "resnet18") == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (nx.Graph([(0, 1)]), InvalidGraphError, "direction"),
        (nx.DiGraph([(0, 1), (1, 0)]), CycleError, "0 -> 1 -> 0"),
        (np.array([[0, 1, 2]]), InvalidArgumentError, r"shape \(2, edges\).*\(1, 3\)"),
        (np.array([[0.0, 1.0], [1.0, 2.0]]), InvalidArgumentError, "expected a Network"),
        (pd.DataFrame({"from": [0], "to": [1]}), InvalidArgumentError, "source, target"),
        (pd.DataFrame({"source": [0.5], "target": [1]}), InvalidArgumentError, "float 0.5"),
        ((np.array([0]), np.array([1, 2])), InvalidArgumentError, "lengths 1, 2"),
        ((np.array([0]),), InvalidArgumentError, "expected a Network"),
        ((np.array([0]), [1]), InvalidArgumentError, "expected a Network"),
    ],
)
def test_what_is_no_graph_is_refused(model: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        unrolled.analyze(model)


def test_options_that_change_nothing_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="inputs: only for models that have to be"):
        resolve(DIAMOND, inputs={"x": (1,)})
    with pytest.raises(InvalidArgumentError, match="size: only for published models"):
        resolve(np.array([SOURCES, TARGETS]), size=32)


class FakeIgraph:
    """What is read of an igraph Graph, where that library is not installed."""

    class Sequence(dict[str, list[Any]]):
        def attributes(self) -> list[str]:
            return list(self)

    def __init__(self, directed: bool = True) -> None:
        self._directed = directed
        self.vs = self.Sequence(name=["a", "b", "c", "d"])
        self.es = self.Sequence()

    def is_directed(self) -> bool:
        return self._directed

    def get_edgelist(self) -> list[tuple[int, int]]:
        return list(zip(SOURCES, TARGETS, strict=True))

    def vcount(self) -> int:
        return 4


class FakePyDiGraph:
    """What is read of a rustworkx PyDiGraph: node 1 was removed, so indices have a gap."""

    def node_indices(self) -> list[int]:
        return [0, 2, 3, 4]

    def edge_list(self) -> list[tuple[int, int]]:
        return [(0, 2), (0, 3), (2, 4), (3, 4)]


@pytest.fixture
def fake_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    igraph, rustworkx = ModuleType("igraph"), ModuleType("rustworkx")
    igraph.Graph = FakeIgraph  # type: ignore[attr-defined]
    rustworkx.PyDiGraph = FakePyDiGraph  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "igraph", igraph)
    monkeypatch.setitem(sys.modules, "rustworkx", rustworkx)


@pytest.mark.usefixtures("fake_libraries")
def test_igraph_keeps_its_names() -> None:
    graph = resolve(FakeIgraph())
    assert isinstance(graph, unrolled.Graph)
    assert graph.names == ("a", "b", "c", "d")
    assert unrolled.count(graph)["a"] == 2
    with pytest.raises(InvalidGraphError, match="undirected"):
        resolve(FakeIgraph(directed=False))


@pytest.mark.usefixtures("fake_libraries")
def test_rustworkx_keeps_its_indices_where_nodes_were_removed() -> None:
    graph = resolve(FakePyDiGraph())
    assert isinstance(graph, unrolled.Graph)
    assert unrolled.count(graph)[0] == 2
    assert unrolled.count(graph)[4] == 1


@pytest.mark.parametrize("names", [["a"] * 3, ["a", "b"], [["a"], "b", "c"]])
def test_names_are_one_a_node_and_differ(names: list[Any]) -> None:
    with pytest.raises(InvalidGraphError, match="name"):
        unrolled.Graph.from_edges([0, 1], [1, 2], names=names)


def test_a_cycle_is_named_by_the_names_given() -> None:
    with pytest.raises(CycleError, match="'a' -> 'b' -> 'a'"):
        unrolled.Graph.from_edges([0, 1], [1, 0], names=["a", "b"])
