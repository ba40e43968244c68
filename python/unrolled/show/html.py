"""Tables in HTML, for notebooks and for the report.

Everything from outside is made printable, and then escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from unrolled._support import notebooks
from unrolled.printable import printable
from unrolled.show import tables
from unrolled.show.cells import format_row, score_notes, score_row, score_unit, scores_shown
from unrolled.show.layers import HEADINGS, layer_row
from unrolled.show.protocols import AnalysisLike, ComparisonLike

__all__ = ["analysis", "comparison", "escaped", "mathematics", "styled", "table"]

MOST_ROWS = 60
LEAST_BAR = 0.001


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    classes: str = "unrolled",
    bars: Mapping[int, Sequence[float]] = MappingProxyType({}),
    symbols: Literal["none", "headings", "all"] = "none",
) -> str:
    """A table whose first column names its rows; the others are numbers.

    Where `symbols` says so, those of formulas are set as mathematics: in the headings, or in the
    names of rows as well, if these come from nowhere else.

    Columns in `bars` have a bar behind each cell, as long as the share of the width it has.
    """
    write = mathematics if symbols != "none" else escaped
    write_cell = mathematics if symbols == "all" else escaped
    first, *others = (write(heading.replace("\n", " ")) for heading in headings)
    head = f'<th scope="col">{first}</th>' + "".join(
        f'<th scope="col" class="n">{heading}</th>' for heading in others
    )
    lines = []
    for at, (name, *cells) in enumerate(rows):
        # End tags of rows and cells are optional, and a report has thousands of them.
        line = f'<tr><th scope="row">{write_cell(name)}'
        for column, cell in enumerate(cells, 1):
            share = bars[column][at] if column in bars else 0.0
            mark = f' class="bar" style="--share: {share:.1%}"' if share >= LEAST_BAR else ""
            line += f"<td{mark}>{write_cell(cell)}"
        lines.append(line)
    body = "\n".join(lines)
    return (
        f'<table class="{classes}"><caption>{escaped(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


SYMBOL = re.compile(r"\|G\||\b(?:log2|[CEFHNPSUTZ](?:&#x27;)?(?:_[A-Za-z])?(?![\w-]))")
"""Logarithms, and single letters with a prime or an index, in text that was escaped."""


def mathematics(text: str) -> str:
    """A text with its symbols set as mathematics: letters slanted, indices lowered.

    Examples
    --------
    >>> mathematics("P'_G, log2 Z")
    '<var>P</var>\u2032<sub>G</sub>, log<sub>2</sub> <var>Z</var>'
    """

    def set_symbol(found: re.Match[str]) -> str:
        symbol = found[0]
        if symbol == "log2":
            return "log<sub>2</sub>"
        if symbol == "|G|":
            return "|<var>G</var>|"
        letter, _, index = symbol.partition("_")
        prime = "\N{PRIME}" if letter.endswith("&#x27;") else ""
        lowered = f"<sub>{index}</sub>" if index else ""
        return f"<var>{letter[0]}</var>{prime}{lowered}"

    return SYMBOL.sub(set_symbol, escaped(text))


def escaped(text: str) -> str:
    """A text for the content or an attribute of an element."""
    return html.escape(printable(text))


def comparison(ranking: ComparisonLike) -> str:
    """A ranking for notebooks, of at most `MOST_ROWS` models."""
    parts = [scores(ranking, MOST_ROWS)] if ranking.scores else []
    if ranking.shows_counts:
        quantities = ranking.quantities
        rows = [format_row(one, quantities) for one in ranking.analyses[:MOST_ROWS]]
        headings = [one.with_unit(one.heading) for one in quantities]
        caption = "Contexts" if ranking.scores else ranking.title
        parts.append(table(caption, ["model", *headings], rows))
    left_out = _left_out(len(ranking) - MOST_ROWS, "models")
    notes = "".join(f"<p>{escaped(note)}</p>" for note in ranking.notes)
    return styled("".join(parts) + left_out + notes)


def scores(ranking: ComparisonLike, most_rows: int | None = None) -> str:
    """The table of scores of a ranking, with what more of each means below."""
    shown = scores_shown(ranking.sort)
    rows = [
        score_row(analysis.name, one, shown)
        for analysis, one in zip(ranking.analyses, ranking.scores, strict=True)
    ]
    unit = score_unit(ranking.scores)
    headings = [f"{one.heading} ({unit})" if one.unit else one.heading for one in shown]
    notes = "".join(
        f"<p>{escaped(note)}</p>" for note in score_notes(ranking.scores, shown, ranking.measured)
    )
    return table(ranking.title, ["model", *headings], rows[:most_rows]) + notes


def analysis(result: AnalysisLike) -> str:
    """The quantities of one model for notebooks, and at most `MOST_ROWS` of its layers."""
    title, lines, notes = result.summarize()
    rows = [[label, f"{value} {unit}".rstrip()] for label, value, unit in lines]
    text = table(title, ["quantity", "value"], rows)
    for note in notes:
        sentence = note if isinstance(note, str) else " ".join(note)
        text += f"<p>{escaped(sentence.strip())}</p>"
    spectrum = result.spectrum
    if len(spectrum):
        text += notebooks.histogram_bars(
            spectrum.log2_counts,
            spectrum.degeneracies.astype(np.float64),
            "parameters (log10) by contexts, log2 C [bits]",
        )
    if not result.has_layers:
        return styled(text)
    text += notebooks.bars(
        [layer.log2_maximum for layer in result.layers],
        "most contexts of each layer, log2 C [bits]",
        ("first layer", "last"),
        labels=[f"{one.name}: {one.log2_maximum:.3f} bits" for one in result.layers],
    )
    rows = [layer_row(layer, 3) for layer in result.layers[:MOST_ROWS]]
    text += table("Layers", [heading.replace("\n", " ") for heading in HEADINGS], rows)
    return styled(text + _left_out(len(result.layers) - len(rows), "layers"))


def _left_out(number: int, what: str) -> str:
    return f"<p>{tables.integer(number)} more {what} are not shown.</p>" if number > 0 else ""


def styled(body: str) -> str:
    """Numbers to the right, in notebooks that know nothing of our classes."""
    style = (
        ".unrolled-html svg {margin-right: 2em} "
        ".unrolled-html table.unrolled td {white-space: nowrap} "
        ".unrolled-html table.unrolled td, .unrolled-html th.n {text-align: right; "
        "font-variant-numeric: tabular-nums} .unrolled-html th {text-align: left} "
        ".unrolled-html caption {text-align: left; font-weight: bold}"
    )
    return f'<div class="unrolled-html"><style>{style}</style>{body}</div>'
