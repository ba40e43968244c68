"""Graphs of other libraries, and edges in arrays and tables, as a `Graph`.

A library is never imported to recognise its objects: an object of a library that is not loaded
cannot be there.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidGraphError
from unrolled.graph.graph import Graph

__all__ = ["convert_graph"]

COLUMNS = ("source", "target")
MULTIPLICITY = "multiplicity"

SERIES = (("pandas", "Series"), ("polars", "Series"), ("pyarrow", "ChunkedArray"))
"""Columns by library and class, which all have a method `to_numpy` without arguments."""


def convert_graph(
    model: Any, *, threads: int | None = None, progress: Progress | None = None
) -> Graph | None:
    """A graph of another library, or of edges; None if it is neither.

    Parameters
    ----------
    model
        A graph of NetworkX, igraph or rustworkx, a sparse matrix of SciPy, an integer array of
        shape ``(2, edges)``, a table of pandas, polars or pyarrow with the columns source, target
        and maybe multiplicity, or a tuple of these columns in this order.
    threads, progress
        See `Graph.from_edges`.

    Raises
    ------
    InvalidGraphError, CycleError
        What was given is no directed acyclic graph.
    InvalidArgumentError
        A table without the columns of edges, or one that is not collected.
    """
    if _is_of(model, "networkx", "Graph"):
        return Graph.from_networkx(model, threads=threads, progress=progress)
    if "scipy.sparse" in sys.modules and sys.modules["scipy.sparse"].issparse(model):
        return Graph.from_scipy(model, threads=threads, progress=progress)
    if _is_of(model, "igraph", "Graph"):
        return _convert_igraph(model, threads, progress)
    if _is_of(model, "rustworkx", "PyDiGraph"):
        return _convert_rustworkx(model, threads, progress)
    if _is_of(model, "rustworkx", "PyGraph"):
        raise InvalidGraphError(
            "a rustworkx PyGraph has no directions; use a PyDiGraph, whose edges lead from a value "
            "to those computed from it"
        )
    if isinstance(model, np.ndarray):
        return _convert_array(model, threads, progress)
    columns = _read_columns(model)
    if columns is not None:
        return _convert_columns(columns, threads, progress)
    return None


def _is_of(model: object, library: str, name: str) -> bool:
    """Whether an object is an instance of a class of a library that is loaded."""
    module = sys.modules.get(library)
    kind = getattr(module, name, None)
    return isinstance(kind, type) and isinstance(model, kind)


def _convert_igraph(model: Any, threads: int | None, progress: Progress | None) -> Graph:
    if not model.is_directed():
        raise InvalidGraphError(
            "an undirected igraph Graph has no order to count paths in; give a directed one"
        )
    edges = np.array(model.get_edgelist(), dtype=np.int64).reshape(-1, 2)
    multiplicity = None
    if MULTIPLICITY in model.es.attributes():
        multiplicity = np.array(model.es[MULTIPLICITY])
    names: Sequence[Hashable] | None = None
    if "name" in model.vs.attributes():
        names = model.vs["name"]
    return Graph.from_edges(
        edges[:, 0],
        edges[:, 1],
        multiplicity=multiplicity,
        num_nodes=model.vcount(),
        names=names,
        threads=threads,
        progress=progress,
    )


def _convert_rustworkx(model: Any, threads: int | None, progress: Progress | None) -> Graph:
    # Node indices have gaps where nodes were removed.
    indices = np.array(list(model.node_indices()), dtype=np.int64)
    edges = np.array(list(model.edge_list()), dtype=np.int64).reshape(-1, 2)
    places = np.zeros(int(indices.max(initial=-1)) + 1, dtype=np.int64)
    places[indices] = np.arange(len(indices))
    has_gaps = len(indices) != len(places)
    return Graph.from_edges(
        places[edges[:, 0]],
        places[edges[:, 1]],
        num_nodes=len(indices),
        names=indices.tolist() if has_gaps else None,
        threads=threads,
        progress=progress,
    )


def _convert_array(
    model: npt.NDArray[Any], threads: int | None, progress: Progress | None
) -> Graph | None:
    if model.ndim != 2 or model.dtype.kind not in "iu":
        return None
    if len(model) != 2:
        raise InvalidArgumentError(
            "edges as an array have the shape (2, edges): a row of sources and a row of targets; "
            f"got the shape {model.shape}"
        )
    return Graph.from_edges(model[0], model[1], threads=threads, progress=progress)


def _read_columns(model: Any) -> dict[str, Any] | None:
    """The columns of edges of a table, or of a tuple of columns, as arrays."""
    if isinstance(model, tuple):
        return _read_tuple(model)
    table = _read_table(model)
    if table is None:
        return None
    expected = (*COLUMNS, MULTIPLICITY) if len(table) == 3 else COLUMNS
    if set(table) != set(expected):
        raise InvalidArgumentError(
            "a table of edges has the columns source, target and maybe multiplicity; got "
            f"{', '.join(map(repr, table)) or 'no column'} in {described(type(model))}"
        )
    return table


def _read_table(model: Any) -> dict[str, Any] | None:
    """All columns of a table of pandas, polars or pyarrow by their names."""
    if _is_of(model, "polars", "LazyFrame"):
        raise InvalidArgumentError(
            "a polars LazyFrame has no edges before it is collected; give frame.collect()"
        )
    if _is_of(model, "pandas", "DataFrame"):
        return {str(name): model[name].to_numpy() for name in model.columns}
    if _is_of(model, "polars", "DataFrame"):
        return {name: model[name].to_numpy() for name in model.columns}
    if _is_of(model, "pyarrow", "Table"):
        return {name: model[name].to_numpy() for name in model.column_names}
    if _is_of(model, "pyarrow", "RecordBatch"):
        return {
            name: model.column(name).to_numpy(zero_copy_only=False) for name in model.schema.names
        }
    return None


def _read_tuple(columns: tuple[Any, ...]) -> dict[str, Any] | None:
    """Sources, targets and maybe multiplicities that came as a tuple of columns."""
    arrays = [array for column in columns if (array := _read_column(column)) is not None]
    if len(arrays) != len(columns) or len(arrays) not in (2, 3):
        return None
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise InvalidArgumentError(
            "columns of edges have one length; got the lengths " + ", ".join(map(str, lengths))
        )
    return dict(zip((*COLUMNS, MULTIPLICITY), arrays, strict=False))


def _read_column(column: Any) -> npt.NDArray[Any] | None:
    """A column of NumPy, pandas, polars or pyarrow as an array, None if it is something else."""
    array: npt.NDArray[Any]
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column
    if any(_is_of(column, *kind) for kind in SERIES):
        array = column.to_numpy()
        return array
    if _is_of(column, "pyarrow", "Array"):
        array = column.to_numpy(zero_copy_only=False)
        return array
    return None


def _convert_columns(
    columns: dict[str, Any], threads: int | None, progress: Progress | None
) -> Graph:
    sources, targets = (np.asarray(columns[name]) for name in COLUMNS)
    multiplicity = columns.get(MULTIPLICITY)
    names: list[Hashable] | None = None
    if sources.dtype.kind not in "iu" or targets.dtype.kind not in "iu":
        names, (sources, targets) = _number_nodes(sources, targets)
    return Graph.from_edges(
        sources,
        targets,
        multiplicity=multiplicity,
        num_nodes=None if names is None else len(names),
        names=names,
        threads=threads,
        progress=progress,
    )


def _number_nodes(
    sources: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> tuple[list[Hashable], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Names of nodes in the order they occur, and both ends of all edges by number."""
    ends = [sources.tolist(), targets.tolist()]
    for name, column in zip(COLUMNS, ends, strict=True):
        for line, value in enumerate(column):
            if not isinstance(value, (str, int)) or isinstance(value, bool):
                raise InvalidArgumentError(
                    f"edge {line} of the table has the {name} {described(value)}; nodes are "
                    "integers or strings"
                )
    pairs = zip(*ends, strict=True)
    names = list(dict.fromkeys(node for pair in pairs for node in pair))
    number = {name: node for node, name in enumerate(names)}
    numbered = [np.array([number[node] for node in column], dtype=np.int64) for column in ends]
    return names, (numbered[0], numbered[1])
