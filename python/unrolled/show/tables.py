"""Numbers and tables as text, for `Analysis`, `Comparison` and the command line."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = [
    "MISSING",
    "Column",
    "Sheet",
    "bits",
    "decimal_digits",
    "integer",
    "output_width",
    "render",
    "share",
]

MISSING = "-"
"""Stands for a figure that there is not."""

UNLIMITED_WIDTH = 500
NARROWEST_FOLD = 12
DIGITS_PER_CHUNK = 4000


class Column(NamedTuple):
    """Heading and alignment of a column; long text folds only where `folds` says so."""

    heading: str
    justify: Literal["left", "right"] = "right"
    folds: bool = False


class Sheet(NamedTuple):
    """A table with what stands above and below it, as plain text or drawn by rich."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self, width: int | None) -> str:
        """See `render`."""
        return render(self.title, self.columns, self.rows, width=width, notes=self.notes)

    def drawn(self) -> Iterator[RenderableType]:
        """With bold headings and proper lines, for terminals."""
        from rich.text import Text

        heading, *figures = self.title.split("\n")
        yield Text(heading, style="bold")
        yield from (Text(line) for line in [*figures, ""])
        yield _table(self.columns, self.rows, rule="\N{BOX DRAWINGS LIGHT HORIZONTAL}")
        yield from (Text(note, style="dim") for note in self.notes)


def integer(number: int) -> str:
    """With thousands separators: ``7,200,312``."""
    return f"{number:,}"


def bits(number: float, decimals: int = 2) -> str:
    """A logarithm with a fixed number of decimals; ``-inf`` for that of zero."""
    return f"{number:.{decimals}f}"


def share(fraction: float, is_positive: bool) -> str:
    """A percentage; a positive one never looks like zero, even if it underflowed.

    NaN, the share of nothing, is ``-``.
    """
    if math.isnan(fraction):
        return MISSING
    return "<0.01%" if is_positive and fraction < 5e-5 else f"{100.0 * fraction:.2f}%"


def decimal_digits(number: int) -> str:
    """Decimal digits of an integer of any size; Python's own conversion stops at 4300."""
    if abs(number) < 10**DIGITS_PER_CHUNK:
        return str(number)
    if number < 0:
        return "-" + decimal_digits(-number)
    half = DIGITS_PER_CHUNK
    while number >= 10 ** (2 * half):
        half *= 2
    high, low = divmod(number, 10**half)
    return decimal_digits(high) + decimal_digits(low).zfill(half)


def output_width() -> int:
    """Columns to fill: COLUMNS if set, or those of the terminal, or no limit without one."""
    if os.environ.get("COLUMNS", "").isdigit():
        return max(int(os.environ["COLUMNS"]), 40)
    if sys.stdout is not None and sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 40)
    return UNLIMITED_WIDTH


def render(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    notes: Sequence[str] = (),
) -> str:
    """A table as text, in plain ASCII, no trailing blanks.

    At most `width` columns wide, unless digits would have to be cut off.
    """
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=max(width or output_width(), _least_width(columns, rows)),
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(_table(columns, rows))
        for note in notes:
            console.print(note)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([title, "", *lines])


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The width below which a column that does not fold would lose characters."""
    widths = []
    for at, column in enumerate(columns):
        cells = [*column.heading.split("\n"), *[row[at] for row in rows]]
        widest = max(map(len, cells))
        widths.append(min(widest, NARROWEST_FOLD) if column.folds else widest)
    return sum(widths) + len(widths) - 1


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, rule: str = "-") -> Table:
    from rich import box
    from rich.table import Table

    line = f" {rule}{rule} "
    rules = box.Box(f"    \n    \n{line}\n    \n    \n{line}\n    \n    \n", ascii=rule == "-")
    table = Table(box=rules, show_edge=False, padding=0, header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify=column.justify,
            no_wrap=not column.folds,
            overflow="fold",
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*row)
    return table
