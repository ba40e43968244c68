"""The part of the report on the theory: a table of all models, and the parts of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unrolled._support.hints import shortened
from unrolled.show import html
from unrolled.show.protocols import OverviewLike
from unrolled.show.summaries import Block

__all__ = ["TheoryOfModel", "summary_table", "theory_of"]

MOST_ROWS = 20
"""Rows of a part that the page shows: with many models it must stay small."""
LONGEST_NOTE = 800


class TheoryOfModel(NamedTuple):
    """What the template shows of the theory of one model."""

    name: str
    body: str


def summary_table(overviews: Sequence[OverviewLike]) -> str:
    """The main figure of every part, one line a model."""
    summaries = [one.summary() for one in overviews]
    rows = [
        [one.name, *summary.values()] for one, summary in zip(overviews, summaries, strict=True)
    ]
    return html.table("What the theory says of each model", ["model", *summaries[0]], rows)


def theory_of(overview: OverviewLike) -> TheoryOfModel:
    """All parts of one model: their tables with the assumptions, or why they do not apply."""
    return TheoryOfModel(overview.name, "\n".join(map(_lay_out, overview.blocks())))


def _lay_out(block: Block) -> str:
    """A heading, the table or the sentence, and the notes."""
    pieces = [f"<h4>{html.escaped(block.heading.capitalize())}</h4>"]
    if block.columns:
        # The middle of a long table says more of a law than its beginning.
        first = max(len(block.rows) - MOST_ROWS, 0) // 2
        rows = block.rows[first : first + MOST_ROWS]
        pieces.append(html.table(block.title, block.columns, rows))
    else:
        pieces.append(_paragraph(block.title))
    if len(block.rows) > MOST_ROWS:
        pieces.append(_paragraph(f"{len(block.rows) - MOST_ROWS:,} more rows are not shown."))
    pieces += [_paragraph(note) for note in block.notes]
    return "\n".join(pieces)


def _paragraph(text: str) -> str:
    return f'<p class="soft">{html.escaped(shortened(text, LONGEST_NOTE))}</p>'
