"""The entries of SciPy's sparse matrices, as they are stored.

SciPy's own conversions add up entries that are stored twice, in the type of the matrix, and they
follow pointers and indices without a look, which may end the process. So every format is read here,
from its arrays, after these are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import InvalidGraphError
from unrolled.graph.arrays import integers

__all__ = ["MatrixEdges", "MatrixLists", "entries_of_matrix"]

Integers = npt.NDArray[np.integer[Any]]


class MatrixLists(NamedTuple):
    """Successor lists, which may share memory with the matrix."""

    indptr: Integers
    indices: Integers
    multiplicity: Integers | None


class MatrixEdges(NamedTuple):
    """One edge for each entry that is not zero."""

    sources: Integers
    targets: Integers
    multiplicity: Integers | None


def entries_of_matrix(matrix: Any) -> MatrixLists | MatrixEdges:
    """What a square sparse matrix of integers or booleans stores.

    Raises
    ------
    InvalidGraphError
        Something else, or arrays that contradict one another.
    """
    if not all(hasattr(matrix, name) for name in ("tocsr", "shape", "dtype", "format")):
        raise InvalidGraphError(
            f"from_scipy takes a sparse array or matrix of SciPy, got {described(matrix)}"
        )
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidGraphError(f"an adjacency matrix is square, got shape {matrix.shape}")
    if matrix.dtype.kind not in "iub":
        raise InvalidGraphError(
            f"a matrix of multiplicities has integers or booleans, got dtype {matrix.dtype}; "
            "convert it with .astype(int)"
        )
    if matrix.format != "csr" and matrix.format not in READERS:
        raise InvalidGraphError(
            f"a matrix in the format {matrix.format!r} cannot be read; convert it with .tocoo()"
        )
    try:
        return _rows(matrix) if matrix.format == "csr" else _edges(matrix)
    except InvalidGraphError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidGraphError(f"arrays of the matrix cannot be read: {error}") from error


def _edges(matrix: Any) -> MatrixEdges:
    """All entries but zeros, with their rows and columns."""
    sources, targets, data = READERS[matrix.format](matrix)
    if data.size and not data.all():
        kept = np.flatnonzero(data)
        sources, targets, data = sources[kept], targets[kept], data[kept]
    return MatrixEdges(sources, targets, _multiplicity(data))


def _rows(matrix: Any) -> MatrixLists:
    """Successor lists are what a CSR matrix has already."""
    indptr, indices, data = _compressed(matrix, matrix.shape[0])
    if data.size and not data.all():
        kept = data != 0
        before = np.concatenate([[0], np.cumsum(kept)])
        indptr, indices, data = before[indptr], indices[kept], data[kept]
    return MatrixLists(indptr, indices, _multiplicity(data))


def _multiplicity(data: Integers) -> Integers | None:
    if data.dtype.kind == "b" or (data == 1).all():
        return None
    return data


def _compressed(matrix: Any, lines: int) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    """Pointers, indices and data of a compressed format; data may have blocks in further axes."""
    indptr, indices = (integers(getattr(matrix, one), one) for one in ("indptr", "indices"))
    data = np.asarray(matrix.data)
    if len(indptr) != lines + 1:
        raise InvalidGraphError(f"indptr has {len(indptr)} entries; expected {lines + 1}")
    # Compared and not subtracted, for unsigned numbers would wrap round.
    if indptr[0] != 0 or bool((indptr[1:] < indptr[:-1]).any()):
        raise InvalidGraphError("indptr must begin with 0 and never fall")
    stored = int(indptr[-1])
    if stored > len(indices) or data.ndim < 1 or stored > len(data):
        raise InvalidGraphError(
            f"indptr ends with {stored}, but there are {len(indices)} indices and "
            f"{len(data) if data.ndim else 0} entries"
        )
    return indptr, indices[:stored], data[:stored]


def _columns(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    indptr, indices, data = _compressed(matrix, matrix.shape[1])
    return indices, np.repeat(np.arange(matrix.shape[1]), np.diff(indptr)), data


def _pairs(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    sources, targets = (integers(getattr(matrix, one), one) for one in ("row", "col"))
    data = np.asarray(matrix.data)
    if not len(sources) == len(targets) == data.size == len(data.reshape(-1)):
        raise InvalidGraphError(
            f"{len(sources)} rows, {len(targets)} columns and {data.size} entries do not belong "
            "together"
        )
    return sources, targets, data.reshape(-1)


def _blocks(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    shape = np.shape(matrix.data)
    if len(shape) != 3 or 0 in shape[1:] or any(matrix.shape[0] % side for side in shape[1:]):
        raise InvalidGraphError(f"blocks of shape {shape[1:]} do not make up {matrix.shape}")
    height, width = shape[1:]
    indptr, indices, data = _compressed(matrix, matrix.shape[0] // height)
    most = matrix.shape[1] // width
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < most:
        raise InvalidGraphError(f"indices go from 0 to {most - 1}, got {indices}")
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) * height
    columns = indices.astype(np.int64) * width
    sources = rows[:, None, None] + np.arange(height)[:, None] + np.zeros(width, np.int64)
    targets = columns[:, None, None] + np.zeros((height, 1), np.int64) + np.arange(width)
    return sources.reshape(-1), targets.reshape(-1), data.reshape(-1)


def _diagonals(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    offsets, data = integers(matrix.offsets, "offsets"), np.asarray(matrix.data)
    if data.ndim != 2 or len(data) != len(offsets):
        raise InvalidGraphError(
            f"{len(offsets)} offsets do not belong to diagonals of shape {data.shape}"
        )
    diagonals, targets = np.nonzero(data)
    sources = targets - offsets.astype(np.int64)[diagonals]
    is_inside = (sources >= 0) & (sources < matrix.shape[0]) & (targets < matrix.shape[1])
    return (
        sources[is_inside],
        targets[is_inside],
        data[diagonals[is_inside], targets[is_inside]],
    )


def _lists(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    rows, values = list(matrix.rows), list(matrix.data)
    if len(rows) != matrix.shape[0] or list(map(len, rows)) != list(map(len, values)):
        raise InvalidGraphError("rows and data of a LIL matrix do not belong together")
    sources = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    targets = integers([column for row in rows for column in row], "rows")
    return sources, targets, _numbers([one for row in values for one in row], matrix)


def _keys(matrix: Any) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    entries = dict(matrix.items())
    sources, targets = (integers([key[at] for key in entries], "keys") for at in (0, 1))
    return sources, targets, _numbers(list(entries.values()), matrix)


def _numbers(values: list[Any], matrix: Any) -> npt.NDArray[Any]:
    try:
        return np.array(values, dtype=matrix.dtype)
    except (OverflowError, TypeError, ValueError) as error:
        raise InvalidGraphError(
            f"entries of dtype {matrix.dtype} cannot be read: {error}"
        ) from None


READERS: dict[str, Callable[[Any], tuple[Integers, Integers, npt.NDArray[Any]]]] = {
    "bsr": _blocks,
    "coo": _pairs,
    "csc": _columns,
    "dia": _diagonals,
    "dok": _keys,
    "lil": _lists,
}
"""How each format but CSR tells its entries: rows, columns and numbers."""
