"""Records that print, export and draw themselves: the base of the results of the theory.

A record derives from `Record` and says three things about itself: its `title`, its `rows` and its
`assumptions`. Text, HTML, data frame and JSON are all made from these three, here and nowhere else.
What the figures are is not known here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from unrolled._support.optional import import_optional
from unrolled.show import html, tables
from unrolled.show.summaries import Block

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Record", "cell"]

MOST_ROWS = 60
"""Rows that a notebook shows; the other forms have them all."""

LONGEST_INTEGER = 10**15
"""Integers from here on print as a power of two: nobody reads their digits."""


class Record(ABC):
    """A record that prints, exports and draws itself.

    What a subclass has to define are `title`, `rows`, `assumptions` and `plot`.
    """

    @property
    @abstractmethod
    def title(self) -> str:
        """One line that says what the record is about."""

    @property
    @abstractmethod
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The figures as they are, row by row; every row has the same headings in one order."""

    @property
    @abstractmethod
    def assumptions(self) -> str:
        """Under which conditions the figures hold. Printed with every form of the record."""

    @abstractmethod
    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the record with matplotlib (the extra ``plot``).

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to draw: by default a new figure.

        Returns
        -------
        figure, axes

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """

    def table(self, *, width: int | None = None) -> str:
        """The record as plain text, with its assumptions as the last line.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
        """
        headings, cells = self._cells()
        columns = [
            tables.Column(heading, "left" if is_text else "right", folds=is_text)
            for heading, is_text in zip(headings, self._is_text(headings), strict=True)
        ]
        return tables.render(self.title, columns, cells, width=width, notes=["", self._note()])

    def __str__(self) -> str:
        return self.table()

    def block(self, heading: str) -> Block:
        """What `table` shows, before it is laid out, under a heading."""
        columns, rows = self._cells()
        return Block(heading, self.title, columns, rows, (self._note(),))

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it: its title, rows and assumptions.

        Exact fractions become text, complex numbers pairs, NumPy numbers and arrays those of
        Python. Infinity and NaN, which JSON does not have, become text, too.
        """
        rows = [{heading: _plain(value) for heading, value in row.items()} for row in self.rows]
        return {"title": self.title, "rows": rows, "assumptions": self.assumptions}

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a data frame; title and assumptions are in its ``attrs``.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        module = import_optional("pandas", "pandas")
        frame: pandas.DataFrame = module.DataFrame([dict(row) for row in self.rows])
        frame.attrs = {"title": self.title, "assumptions": self.assumptions}
        return frame

    def _repr_html_(self) -> str:
        headings, cells = self._cells()
        text = html.table(self.title, headings, cells[:MOST_ROWS]) if headings else ""
        if len(cells) > MOST_ROWS:
            text += f"<p>{len(cells) - MOST_ROWS} more rows are not shown.</p>"
        return html.styled(f"{text}<p>{html.escaped(self._note())}</p>")

    def _note(self) -> str:
        return f"Assumptions: {self.assumptions}"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = list(self.rows)
        headings = list(rows[0]) if rows else []
        return headings, [[cell(row[heading]) for heading in headings] for row in rows]

    def _is_text(self, headings: Sequence[str]) -> list[bool]:
        """Which columns hold words, and are therefore aligned to the left."""
        rows = self.rows
        return [any(isinstance(row[heading], str) for row in rows) for heading in headings]


LONGEST_FRACTION = 15
"""Characters of a fraction that is printed as one; longer ones, as of floats, become decimals."""


def cell(value: object) -> str:
    """A figure as a cell of a table.

    Examples
    --------
    >>> cell(0.123456789), cell(7200312), cell(None), cell(2**100)
    ('0.123457', '7,200,312', '-', '2^100')
    """
    if value is None:
        return tables.MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        number = int(value)
        if abs(number) < LONGEST_INTEGER:
            return tables.integer(number)
        sign = "-" if number < 0 else ""
        return f"{sign}2^{math.log2(abs(number)):.10g}"
    if isinstance(value, Fraction) and len(str(value)) <= LONGEST_FRACTION:
        return str(value)
    if isinstance(value, Real):
        return f"{float(value):.6g}"
    if isinstance(value, Sequence):
        return ", ".join(cell(one) for one in value) or tables.MISSING
    return str(value)


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Fraction) and len(str(value)) <= LONGEST_FRACTION:
        return str(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, complex):
        return [value.real, value.imag]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return str(value)
