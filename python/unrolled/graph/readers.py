"""Graphs of the files that the shell takes: arrays, tables of edges, GraphML."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unrolled._support.arguments import Progress
from unrolled.errors import CycleError, GraphFileError, InvalidArgumentError, InvalidGraphError
from unrolled.graph.graph import Graph
from unrolled.graph.names import TableNames

__all__ = ["SUFFIXES", "is_graph_file", "read_graph"]

SUFFIXES = (".npz", ".csv", ".graphml")
MOST_DIGITS = 20
"""Of an integer of 64 bits."""


def is_graph_file(name: str) -> bool:
    """Whether a name is that of a file of a graph, there or not."""
    return Path(name).suffix.lower() in SUFFIXES


def read_graph(
    name: str, *, mmap: bool = False, threads: int | None = None, progress: Progress | None = None
) -> Graph:
    """Read a graph of a file; see `SUFFIXES`.

    Raises
    ------
    GraphFileError
        A file that cannot be read, or holds something else.
    InvalidGraphError, CycleError
        Edges that form no graph.
    InvalidArgumentError
        `mmap` for another file than an ``.npz``.
    """
    path = Path(name)
    if mmap and path.suffix.lower() != ".npz":
        raise InvalidArgumentError(
            f"{path}: only the edges of an .npz file can stay where they are"
        )
    try:
        match path.suffix.lower():
            case ".npz":
                return Graph.load(path, mmap=mmap, progress=progress)
            case ".csv":
                return _read_csv(path, threads, progress)
            case ".graphml":
                return _read_graphml(path, threads, progress)
    except OSError as error:
        raise GraphFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    raise GraphFileError(f"{path}: expected a file that ends with {', '.join(SUFFIXES)}")


def _read_csv(path: Path, threads: int | None, progress: Progress | None) -> Graph:
    """Two or three columns: source, target, multiplicity; ids, or names."""
    columns = _columns(path)
    names = None
    if all(_is_integer(cell) for column in columns[:2] for cell in column):
        sources, targets = (_integers(path, column, "id") for column in columns[:2])
    else:
        pairs = zip(*columns[:2], strict=True)
        names = TableNames(list(dict.fromkeys(cell for pair in pairs for cell in pair)))
        number = {name: node for node, name in enumerate(names)}
        sources, targets = ([number[cell] for cell in column] for column in columns[:2])
    times = _integers(path, columns[2], "multiplicity") if len(columns) == 3 else None
    with _naming(path):
        return Graph.from_edges(
            sources,
            targets,
            multiplicity=times,
            names=names,
            num_nodes=None if names is None else len(names),
            name=path.stem,
            threads=threads,
            progress=progress,
        )


def _columns(path: Path) -> list[tuple[str, ...]]:
    """The columns of a table of edges, without their headings."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GraphFileError(f"{path}: not a table of edges: {error}") from error
    if rows and _is_header(rows[0], rows[1:]):
        del rows[0]
    width = len(rows[0]) if rows else 2
    for line, row in enumerate(rows, start=1):
        if len(row) != width or width not in (2, 3):
            raise GraphFileError(
                f"{path}: edge {line} has {len(row)} columns; expected source, target and, "
                "in all lines or none, a multiplicity"
            )
        if not all(row):
            raise GraphFileError(f"{path}: edge {line} has an empty cell: {','.join(row)}")
    return list(zip(*rows, strict=True)) or [(), ()]


def _is_header(first: list[str], others: list[list[str]]) -> bool:
    """The line says so, or it is the only one that does not have numbers where others have them."""
    if [cell.lower() for cell in first[:2]] == ["source", "target"]:
        return True
    numeric = [all(map(_is_integer, row[:2])) for row in others]
    return bool(numeric) and all(numeric) and not any(map(_is_integer, first[:2]))


def _is_integer(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and cell.isascii()


def _integers(path: Path, column: Sequence[str], what: str) -> list[int]:
    for line, cell in enumerate(column, start=1):
        if not _is_integer(cell) or len(cell) > MOST_DIGITS:
            shown = repr(cell) if len(cell) <= MOST_DIGITS else f"of {len(cell)} digits"
            raise GraphFileError(
                f"{path}: edge {line} has the {what} {shown}; it must be an integer of 64 bits"
            )
    return [int(cell) for cell in column]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors about the graph of a file name the file."""
    try:
        yield
    except CycleError:
        raise
    except InvalidGraphError as error:
        raise InvalidGraphError(f"{path}: {error}") from None


def _read_graphml(path: Path, threads: int | None, progress: Progress | None) -> Graph:
    import networkx as nx

    try:
        graph = nx.read_graphml(path)
    except OSError:
        raise
    except Exception as error:  # XML and what NetworkX makes of it fail in many ways
        raise GraphFileError(f"{path}: not GraphML: {error}") from error
    with _naming(path):
        return Graph.from_networkx(
            graph, name=graph.name or path.stem, threads=threads, progress=progress
        )
