"""Numbers and tables as text, for `Analysis`, `Comparison` and the command line."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Column", "bits", "decimal_digits", "integer", "output_width", "render", "share"]

UNLIMITED_WIDTH = 500
DIGITS_PER_CHUNK = 4000


class Column(NamedTuple):
    """Heading and alignment of a column; long text folds only where `folds` says so."""

    heading: str
    justify: Literal["left", "right"] = "right"
    folds: bool = False


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
        return "-"
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
    footer: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """A table as text: at most `width` columns wide, in plain ASCII, no trailing blanks."""
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=width or output_width(),
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(title, end="\n\n")
        console.print(_table(columns, rows, footer))
        for note in notes:
            console.print(note)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(lines)


def _table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], footer: Sequence[str] | None
) -> Table:
    from rich import box
    from rich.table import Table

    rules = box.Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
    table = Table(box=rules, show_edge=False, padding=0, show_footer=footer is not None)
    feet = footer or [""] * len(columns)
    for column, foot in zip(columns, feet, strict=True):
        table.add_column(
            column.heading,
            foot,
            justify=column.justify,
            no_wrap=not column.folds,
            overflow="fold",
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*row)
    return table
