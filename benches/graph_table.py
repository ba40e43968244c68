"""A table of nanoseconds per edge: a row for each graph, a column for each side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Table"]


@dataclass
class Table:
    """Times of all sides, in the order in which they came; the first side is the one compared to.

    A cell is a number of nanoseconds per edge, or a word on why there is none.
    """

    title: str
    cells: dict[str, dict[str, float | str]] = field(default_factory=dict)

    def add(self, row: str, side: str, cell: float | str) -> None:
        self.cells.setdefault(row, {})[side] = cell

    def lines(self) -> Iterator[str]:
        sides = list(dict.fromkeys(side for cells in self.cells.values() for side in cells))
        yield f"{self.title}: ns/edge, and ratios to {sides[0]}"
        yield " " * 26 + "".join(f"{side:>17}" for side in sides)
        for row, cells in self.cells.items():
            yield f"{row:26}" + "".join(f"{self.cell(cells, side, sides[0]):>17}" for side in sides)

    def cell(self, cells: dict[str, float | str], side: str, first: str) -> str:
        time, base = cells.get(side, "-"), cells.get(first)
        if isinstance(time, str):
            return time
        number = f"{time:.2f}" if time < 100 else f"{time:.0f}"
        if side == first or not isinstance(base, float) or not base:
            return number
        ratio = time / base
        return f"{number} {ratio:4.1f}x" if ratio < 100 else f"{number} {ratio:4.0f}x"
