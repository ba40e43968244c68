"""Graphs of files, by the suffix of their names.

Tables of edges are read in `edge_tables`, what NetworkX can read in `networkx_files`, and graphs
that were saved by this package in `archive`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unrolled._support.arguments import Progress
from unrolled._support.files import open_regular, suffix_of
from unrolled._support.hints import out_of_memory
from unrolled._support.optional import import_optional
from unrolled.errors import (
    CycleError,
    GraphFileError,
    InvalidArgumentError,
    InvalidGraphError,
    MemoryLimitError,
)
from unrolled.graph.graph import Graph
from unrolled.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUFFIXES", "is_graph_file", "read_graph"]

SEPARATORS = {".csv": ",", ".tsv": "\t"}
OF_NETWORKX = (".graphml", ".gexf", ".gml", ".edgelist", ".dot")
SUFFIXES = (".npz", *SEPARATORS, *OF_NETWORKX)


def is_graph_file(name: str) -> bool:
    """Whether a name is that of a file of a graph, there or not."""
    return suffix_of(name) in SUFFIXES


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
        `mmap` for a file that was not written by `Graph.save`.
    MissingPackageError
        A ``.dot`` file without pydot, or a matrix of SciPy without SciPy.
    MemoryLimitError
        More edges than there is memory for.
    """
    # Most who look at a name have no graph.
    from pathlib import Path

    from unrolled.graph.edge_tables import read_table
    from unrolled.graph.networkx_files import read_with_networkx

    path = Path(name)
    suffix = path.suffix.lower()
    if mmap and suffix != ".npz":
        raise InvalidArgumentError(
            f"{path}: only the edges of an .npz file can stay where they are"
        )
    try:
        open_regular(path).close()
        with _naming(path):
            if suffix in SEPARATORS:
                return read_table(path, SEPARATORS[suffix], threads, progress)
            if suffix in OF_NETWORKX:
                return read_with_networkx(path, threads, progress)
            if suffix == ".npz" and _is_matrix(path):
                return _read_matrix(path, mmap, threads, progress)
            if suffix == ".npz":
                return Graph.load(path, mmap=mmap, progress=progress)
    except OSError as error:
        raise GraphFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryLimitError:
        raise
    except MemoryError as error:
        raise MemoryLimitError(out_of_memory(str(path))) from error
    raise GraphFileError(f"{path}: expected a file that ends with {', '.join(SUFFIXES)}")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors about the graph of a file name the file."""
    try:
        yield
    except CycleError:
        raise
    except InvalidGraphError as error:
        raise InvalidGraphError(f"{path}: {error}") from None


def _is_matrix(path: Path) -> bool:
    """Whether an archive was written by SciPy's ``save_npz``."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return "format.npy" in archive.namelist()
    except zipfile.BadZipFile:
        return False  # The reader of saved graphs says what is wrong.


def _read_matrix(path: Path, mmap: bool, threads: int | None, progress: Progress | None) -> Graph:
    """A graph of a sparse adjacency matrix: row *s*, column *t* has the edges from *s* to *t*."""
    if mmap:
        raise InvalidArgumentError(
            f"{path}: a matrix of SciPy cannot stay in its file; save it once as a graph"
        )
    sparse = import_optional("scipy.sparse", "scipy")
    try:
        matrix = sparse.load_npz(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # Damaged archives fail in many ways.
        reason = str(error) or type(error).__name__
        raise GraphFileError(f"{path}: not a matrix of SciPy: {reason}") from error
    return Graph.from_scipy(matrix, name=printable(path.stem), threads=threads, progress=progress)
