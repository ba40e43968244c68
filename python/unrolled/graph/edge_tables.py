"""Graphs of tables of edges in text files, one edge a line: ``.csv`` and ``.tsv``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unrolled._support.arguments import Progress
from unrolled._support.hints import listed
from unrolled.errors import GraphFileError
from unrolled.graph.graph import Graph
from unrolled.graph.names import TableNames
from unrolled.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_table"]

COLUMNS = ("source", "target", "multiplicity")
HEADINGS = {
    "source": ("source", "from", "src"),
    "target": ("target", "to", "dst"),
    "multiplicity": ("multiplicity", "paths"),
}
"""What the columns may be called, whichever comes first; capitals make no difference."""
MOST_DIGITS = 20
"""An integer of 64 bits has no more digits than this."""


def read_table(path: Path, separator: str, threads: int | None, progress: Progress | None) -> Graph:
    """Two or three columns: source, target, multiplicity; ids, or names.

    A first line that names them may give them in another order.

    Raises
    ------
    GraphFileError
        Something else, or a first line that may be one of headings or an edge.
    InvalidGraphError, CycleError
        Edges that form no graph.
    """
    columns = _columns(path, separator)
    names = None
    if all(_is_integer(cell) for column in columns[:2] for cell in column):
        sources, targets = (_integers(path, column, "id") for column in columns[:2])
    else:
        pairs = zip(*columns[:2], strict=True)
        names = TableNames(list(dict.fromkeys(cell for pair in pairs for cell in pair)))
        number = {name: node for node, name in enumerate(names)}
        sources, targets = ([number[cell] for cell in column] for column in columns[:2])
    times = _integers(path, columns[2], "multiplicity") if len(columns) == 3 else None
    return Graph.from_edges(
        sources,
        targets,
        multiplicity=times,
        names=names,
        num_nodes=None if names is None else len(names),
        name=printable(path.stem),
        threads=threads,
        progress=progress,
    )


def _columns(path: Path, separator: str) -> list[tuple[str, ...]]:
    """The sources, the targets and maybe the multiplicities, without their headings."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream, delimiter=separator)
            rows = [[cell.strip() for cell in row] for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GraphFileError(f"{path}: not a table of edges: {error}") from error
    order = _order(path, rows[0]) if rows else None
    if order is not None:
        del rows[0]
    elif rows:
        _check_first(path, rows[0], rows[1:])
    width = len(order or (rows[0] if rows else COLUMNS[:2]))
    for line, row in enumerate(rows, start=1):
        if len(row) != width or width not in (2, 3):
            raise GraphFileError(
                f"{path}: edge {line} has {len(row)} columns; expected source, target and, "
                "in all lines or none, a multiplicity"
            )
        if not all(row):
            raise GraphFileError(f"{path}: edge {line} has an empty cell: {_quote(row)}")
    columns = list(zip(*rows, strict=True)) or [(), ()]
    return columns if order is None or not rows else [columns[at] for at in order]


def _order(path: Path, first: list[str]) -> list[int] | None:
    """Where a line of headings has the source, the target and maybe the multiplicity.

    None if it is no line of headings, as far as their names tell.
    """
    found: list[list[int]] = []
    for column in COLUMNS:
        found.append([at for at, cell in enumerate(first) if cell.lower() in HEADINGS[column]])
    if not found[0] or not found[1]:
        return None
    order = [places[0] for places in found if places]
    if len(order) != len(first):
        raise GraphFileError(
            f"{path}: the headings are {_quote(first)}; expected source, target and maybe "
            "multiplicity, each of them once"
        )
    return order


def _check_first(path: Path, first: list[str], others: list[list[str]]) -> None:
    """Refuse a first line of headings that are not known, which would be counted as an edge.

    Raises
    ------
    GraphFileError
    """
    if len(first) not in (2, 3) or any(map(_is_number, first)):
        return
    advice = "call the columns source, target and maybe multiplicity"
    if len(first) == 3 or (others and all(_is_integer(cell) for row in others for cell in row)):
        raise GraphFileError(f"{path}: the headings {_quote(first)} are not known; {advice}")
    known = {cell for row in others for cell in row}
    if others and known.isdisjoint(first):
        raise GraphFileError(
            f"{path}: the first line, {_quote(first)}, may be an edge or headings, for no other "
            f"line has these names; {advice} in a line before all edges"
        )


def _quote(cells: Sequence[str]) -> str:
    return listed([repr(cell) for cell in cells], 4)


def _is_integer(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and cell.isascii()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _integers(path: Path, column: Sequence[str], what: str) -> list[int]:
    for line, cell in enumerate(column, start=1):
        if not _is_integer(cell) or len(cell) > MOST_DIGITS:
            shown = repr(cell) if len(cell) <= MOST_DIGITS else f"of {len(cell)} digits"
            raise GraphFileError(
                f"{path}: edge {line} has the {what} {shown}; it must be an integer of 64 bits"
            )
    return [int(cell) for cell in column]
