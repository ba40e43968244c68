"""`Summary`: the quantities of one model as labelled lines, laid out as text or as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unrolled.printable import printable

__all__ = ["Summary"]

LABEL_WIDTH = 32
VALUE_WIDTH = 21


class Summary(NamedTuple):
    """A heading, lines of a label with a value and its unit, and notes that follow them.

    A note is a sentence; a note in the shape of a line belongs to the sentence before it.
    """

    title: str
    lines: Sequence[tuple[str, str, str]]
    notes: Sequence[str | tuple[str, str, str]] = ()

    def text(self) -> str:
        """As plain text, with labels and values in columns."""
        written = [printable(self.title), *(_line(*line) for line in self.lines)]
        written += [note if isinstance(note, str) else _line(*note) for note in self.notes]
        return "\n".join(written)


def _line(label: str, value: str, unit: str) -> str:
    if not unit:
        return f"  {label:<{LABEL_WIDTH}} {value:>{VALUE_WIDTH + 5}}"
    return f"  {label:<{LABEL_WIDTH}} {value:>{VALUE_WIDTH + 4 - len(unit)}} {unit}"


class Block(NamedTuple):
    """A small table with sentences below it, before it is laid out.

    Attributes
    ----------
    heading : str
        What the block is about, in a word.
    title : str
        What it says, in a sentence.
    columns : sequence of str
        Headings of the table; none if there is no table.
    rows : sequence of sequence of str
    notes : sequence of str
    """

    heading: str
    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
