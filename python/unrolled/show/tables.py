"""Numbers and tables as text, for `Analysis`, `Comparison` and the command line.

Whatever a table shows is made printable here, its cells, its title and its notes, so that no name
of a model or a layer reaches a terminal as a command.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from unrolled._support.hints import shortened
from unrolled.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

__all__ = [
    "MISSING",
    "Column",
    "Sheet",
    "bits",
    "byte_size",
    "console",
    "decimal_digits",
    "integer",
    "output_width",
    "render",
    "scaled",
    "share",
    "wrapped",
]

MISSING = "-"
"""Stands for a figure that there is not."""

UNLIMITED_WIDTH = 500
NARROWEST, USUAL_WIDTH = 40, 80
MOST_DIGITS = 9
"""A width has no more digits: Python converts longer numbers slowly, or refuses to."""
HEIGHT = 25
"""Lines of a screen: tables do not depend on it, but rich wants to know."""
NARROWEST_FOLD = 12
DIGITS_PER_CHUNK = 4000
SMALLEST_SCALED = 100_000
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


class Column(NamedTuple):
    """Heading and alignment of a column.

    Long text goes on in a second line only where `folds` says so; where `cuts` does, it loses its
    middle if the table is too wide.
    """

    heading: str
    justify: Literal["left", "right"] = "right"
    folds: bool = False
    cuts: bool = False


class Sheet(NamedTuple):
    """A table with what stands above and below it, as plain text or drawn by rich."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    totals: Sequence[str] = ()

    def text(self, width: int | None) -> str:
        """See `render`; without columns the title alone."""
        if not self.columns:
            return wrapped(self.title, width)
        return render(
            self.title,
            self.columns,
            self.rows,
            width=width,
            notes=self.notes,
            totals=self.totals,
        )

    def drawn(self, width: int | None = None) -> Iterator[RenderableType]:
        """With bold headings and proper lines, for terminals."""
        from rich.text import Text

        rows = self.rows
        if width is not None:
            rows = _cut_names(self.columns, self.rows, self.totals, width)
        heading, *figures = printable_lines(self.title).split("\n")
        yield Text(heading, style="bold")
        yield from map(Text, figures)
        if not self.columns:
            return
        for part in _parts(self.columns, rows, self.totals, width or output_width()):
            yield Text("")
            yield _table(*part, rule="\N{BOX DRAWINGS LIGHT HORIZONTAL}")
        yield from (Text(printable(note), style="dim") for note in self.notes)


def integer(number: int) -> str:
    """With thousands separators: ``7,200,312``."""
    return f"{number:,}"


def bits(number: float, decimals: int = 2) -> str:
    """A logarithm with a fixed number of decimals; ``-inf`` for that of zero."""
    return f"{number:.{decimals}f}"


def figure(number: float) -> str:
    """With six digits, or those of the nearest integer where it has more: ``7,200,312``."""
    return f"{number:,.0f}" if 999_999.5 <= abs(number) < 1e15 else f"{number:,.6g}"


def scaled(number: int) -> str:
    """A large number with four digits and a prefix: ``4.089 G``; a small one in full."""
    if abs(number) < SMALLEST_SCALED:
        return integer(number)
    digits, prefix = _with_prefix(number, 1000)
    return f"{digits} {prefix}".rstrip()


def byte_size(number: int) -> str:
    """A number of bytes in binary units: ``12.5 MiB``."""
    if abs(number) < 1024:
        return f"{number} B"
    digits, prefix = _with_prefix(number, 1024)
    return f"{digits} {prefix.upper()}iB" if prefix else f"{digits} B"


def _with_prefix(number: int, base: int) -> tuple[str, str]:
    """A number as four digits and the prefix of a power of a base; no prefix beyond the last.

    What rounds up to the base has the next prefix, so that there is no ``1000 k``.
    """
    if number < 0:
        digits, prefix = _with_prefix(-number, base)
        return f"-{digits}", prefix
    for exponent, prefix in enumerate(PREFIXES):
        # Floor division first, for quotients that no float can hold.
        if number // base**exponent < base:
            digits = f"{number / base**exponent:.4g}"
            if float(digits) < base:
                return digits, prefix
    decimals = max(int(math.log10(number)) - 20, 0)
    mantissa, _, exponent_text = f"{float(number // 10**decimals):.3e}".partition("e")
    return f"{mantissa}e+{int(exponent_text) + decimals}", ""


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


def output_width(stream: IO[str] | None = None) -> int:
    """Columns to fill: COLUMNS if it is a number, or those of the terminal, or no limit without.

    Parameters
    ----------
    stream : text stream, optional
        Where the text goes; by default the standard output.
    """
    wanted = os.environ.get("COLUMNS", "")
    # There are digits that Python's int refuses, such as a superscript two.
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= MOST_DIGITS:
        return max(int(wanted), NARROWEST)
    stream = stream or sys.stdout
    if stream is None or not stream.isatty():
        return UNLIMITED_WIDTH
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # Something that passes for a terminal.
        columns = 0
    return max(columns or USUAL_WIDTH, NARROWEST)


def console(file: IO[str], width: int | None = None, *, plain: bool = False) -> Console:
    """What rich draws with: text is never read as markup, whatever it has in it.

    Parameters
    ----------
    file : text stream
    width : int, optional
        By default `output_width` of the file.
    plain : bool
        Without colours, as if there were no terminal.
    """
    from rich.console import Console

    # With both sizes given, rich does not read COLUMNS and LINES, which may be no numbers.
    return Console(
        file=file,
        width=width or output_width(file),
        height=HEIGHT,
        color_system=None if plain else "auto",
        force_terminal=False if plain else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def render(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    notes: Sequence[str] = (),
    totals: Sequence[str] = (),
) -> str:
    """A table as text, in plain ASCII, no trailing blanks; totals stand below a line of their own.

    At most `width` columns wide. Columns for which there is no room follow below, beside the first
    column once more; only two columns may be wider, for no digit is cut off.
    """
    most = width or output_width()
    rows = _cut_names(columns, rows, totals, most)
    parts = _parts(columns, rows, totals, most)
    widest = max(most, *[_least_width(part.columns, part.all_rows) for part in parts])
    lines = _plain_lines(parts, notes, widest)
    if lines is None:
        lines = _drawn_lines(parts, notes, widest)
    return "\n".join([wrapped(title, width), "", *lines]).rstrip("\n")


def _drawn_lines(parts: Sequence[Part], notes: Sequence[str], width: int) -> list[str]:
    """Tables and notes as rich draws them, in plain ASCII."""
    from rich.text import Text

    drawing = console(StringIO(), width, plain=True)
    with drawing.capture() as capture:
        for number, part in enumerate(parts):
            if number:
                drawing.print()
            drawing.print(_table(*part))
        for note in notes:
            drawing.print(Text(printable(note)))
    return [line.rstrip() for line in capture.get().split("\n")]


def _plain_lines(parts: Sequence[Part], notes: Sequence[str], width: int) -> list[str] | None:
    """What rich draws where no line has to go on in the next one; None where one has to.

    For hundreds of layers rich takes longer than counting their contexts.
    """
    from rich.cells import cell_len

    lines: list[str] = []
    for number, part in enumerate(parts):
        headings = [column.heading.split("\n") for column in part.columns]
        tallest = max(map(len, headings))
        # Headings stand at the bottom.
        stacked = [[""] * (tallest - len(heading)) + heading for heading in headings]
        head = [list(line) for line in zip(*stacked, strict=True)]
        body = [[printable(cell) for cell in row] for row in part.rows]
        foot = [[printable(cell) for cell in part.totals]] if part.totals else []
        rows = [*head, *body, *foot]
        # No column of rich is narrower than one letter.
        widths = [max(map(cell_len, column)) or 1 for column in zip(*rows, strict=True)]
        rule = "-" * (sum(widths) + len(widths) - 1)
        if len(rule) > width:
            return None
        lines += [""] if number else []
        for at, row in enumerate(rows):
            if at in (len(head), len(head) + len(body)):
                lines.append(rule)
            cells = []
            for cell, column, most in zip(row, part.columns, widths, strict=True):
                shown = cell if column.justify == "left" else cell.rstrip()
                blanks = " " * (most - cell_len(shown))
                cells.append(shown + blanks if column.justify == "left" else blanks + shown)
            lines.append(" ".join(cells).rstrip())
    for note in map(printable, notes):
        if cell_len(note) > width:
            return None
        lines.append(note.rstrip())
    return lines


def wrapped(text: str, width: int | None = None) -> str:
    """Text whose lines go on in the next one, at a blank if there is one, where they are too long.

    Parameters
    ----------
    text : str
    width : int, optional
        By default `output_width`.

    Examples
    --------
    >>> print(wrapped("The signal vanishes: at layer 'conv_5'", 24))
    The signal vanishes: at
    layer 'conv_5'
    """
    from rich.cells import cell_len

    most = width or output_width()
    found: list[str] = []
    for line in printable_lines(text).split("\n"):
        if cell_len(line) <= most:
            found.append(line)
        else:
            from rich.text import Text  # It is not quick to import.

            lines = Text(line).wrap(console(StringIO(), most, plain=True), most)
            found += [part.plain.rstrip() for part in lines]
    return "\n".join(found)


class Part(NamedTuple):
    """Columns of a table with their cells, and those of the totals."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    totals: Sequence[str]

    @property
    def all_rows(self) -> Sequence[Sequence[str]]:
        """The rows and the totals, if there are any."""
        return [*self.rows, self.totals] if self.totals else self.rows


def _parts(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    totals: Sequence[str],
    width: int,
) -> list[Part]:
    """A table in as many parts as a width needs, each with the first column."""

    def part(chosen: Sequence[int]) -> Part:
        return Part(
            [columns[at] for at in chosen],
            [[row[at] for at in chosen] for row in rows],
            [totals[at] for at in chosen] if totals else (),
        )

    groups = [[0]]
    for at in range(1, len(columns)):
        longer = part([*groups[-1], at])
        if len(groups[-1]) > 1 and _least_width(longer.columns, longer.all_rows) > width:
            groups.append([0])
        groups[-1].append(at)
    return [part(group) for group in groups]


def _cut_names(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    totals: Sequence[str],
    width: int,
) -> Sequence[Sequence[str]]:
    """The rows with names cut in the middle, as far as a table must be narrower for a width."""
    from rich.cells import cell_len

    at = next((at for at, column in enumerate(columns) if column.cuts), None)
    if at is None or not rows:
        return rows
    names = [printable(row[at]) for row in rows]
    others = [column for place, column in enumerate(columns) if place != at]
    all_rows = [*rows, totals] if totals else rows
    rest = [[*row[:at], *row[at + 1 :]] for row in all_rows]
    room = width - _least_width(others, rest) - 1
    if room < NARROWEST_FOLD:  # It will be in parts, each with the names.
        room = max(NARROWEST_FOLD, width // 3)
    if max(map(cell_len, names)) <= room:
        return rows
    cut = cut_names(names, room)
    return [[*row[:at], name, *row[at + 1 :]] for row, name in zip(rows, cut, strict=True)]


def cut_names(names: Sequence[str], room: int) -> list[str]:
    """Names without their middles, different ones still different if a cut can do that.

    Names that would look the same keep other parts: more of the end, or more of the beginning.

    Examples
    --------
    >>> cut_names(["resnet_v1_with_a_long_name", "resnet_v2_with_a_long_name"], 14)
    ['resnet_v1...me', 'resnet_v2...me']
    """
    found = [shortened(name, room) for name in names]
    kept = max(room - 3, 0)
    ends = sorted(range(1, kept), key=lambda end: abs(end - kept * 3 // 7))
    best = found
    for end in ends:
        clashes = len(set(names)) - len(set(best))
        if not clashes:
            break
        cut = [
            name if len(name) <= room else f"{name[: kept - end]}...{name[-end:]}" for name in names
        ]
        if len(set(cut)) > len(set(best)):
            best = cut
    return best


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The width below which a column that does not fold would lose characters."""
    from rich.cells import cell_len

    widths = []
    for at, column in enumerate(columns):
        cells = [*column.heading.split("\n"), *[printable(row[at]) for row in rows]]
        widest = max(map(cell_len, cells))
        widths.append(min(widest, NARROWEST_FOLD) if column.folds or column.cuts else widest)
    return sum(widths) + len(widths) - 1


def _table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    totals: Sequence[str] = (),
    *,
    rule: str = "-",
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    line = f" {rule}{rule} "
    rules = box.Box(f"    \n    \n{line}\n    \n{line}\n{line}\n    \n    \n", ascii=rule == "-")
    table = Table(box=rules, show_edge=False, padding=0, header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify=column.justify,
            no_wrap=not (column.folds or column.cuts),
            overflow="fold",
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if totals:
        table.add_section()
        table.add_row(*(Text(printable(cell)) for cell in totals))
    return table
