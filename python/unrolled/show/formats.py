"""A `Comparison` as a data frame, and as CSV, Markdown and LaTeX; single values as JSON has them.

Names are made printable in the three texts, and then what each format takes for a command is taken
from it: formulas from spreadsheets, marks and macros from the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from unrolled._support import files
from unrolled._support.optional import import_optional
from unrolled.printable import printable
from unrolled.show import tables
from unrolled.show.cells import format_row, score_notes, score_row, score_unit, scores_shown
from unrolled.show.protocols import ComparisonLike
from unrolled.spectrum.catalogue import (
    CATALOGUE,
    ESTIMATES,
    SCORES,
    Quantity,
)

if TYPE_CHECKING:
    import pandas


__all__ = ["json_value", "to_csv", "to_latex", "to_markdown", "to_pandas", "write_if_asked"]

LARGEST_JSON_INTEGER = 1 << 53
MARKDOWN_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\`*_{}[]<>#|~$&"})
LATEX_SPECIAL = str.maketrans(
    {one: f"\\{one}" for one in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        # At the start of a line they would be an argument of the command before.
        "[": "{[}",
        "*": "{*}",
    }
)
FORMULA_SIGNS = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20")
"""What a cell begins with that spreadsheets run; East Asian ones take the wide forms as well."""


def write_if_asked(path: str | os.PathLike[str] | None, text: str) -> str:
    """Write a text to a file if one is given, and return it."""
    if path is not None:
        files.write(path, text)
    return text


def to_pandas(comparison: ComparisonLike) -> pandas.DataFrame:
    """See `Comparison.to_pandas`."""
    module = import_optional("pandas", "pandas")
    frame: pandas.DataFrame = module.DataFrame.from_records(comparison.to_dict(), index="name")
    # As they are: integers beyond 64 bits, or None, whatever pandas would make of them.
    contexts = [one.total_contexts for one in comparison]
    frame["total_contexts"] = module.Series(contexts, frame.index, dtype=object)
    # Not a number where there is no input, also if no model has one.
    frame[list(ESTIMATES)] = frame[list(ESTIMATES)].astype("float64")
    return frame


def to_csv(comparison: ComparisonLike) -> str:
    """See `Comparison.to_csv`."""
    import csv  # Few write tables.

    rows = comparison.to_dict()
    # Scores, if there are any, come after the quantities that every comparison has.
    more = [key for key in SCORES if key not in CATALOGUE and rows and key in rows[0]]
    keys = [*CATALOGUE, *more]
    text = StringIO(",".join(["name", *keys]) + "\n")
    text.seek(0, os.SEEK_END)
    # Quotes keep a name in its cell, also where cells are parted by semicolons.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in rows:
        numbers = (row[key] for key in keys)
        writer.writerow([inert(str(row["name"])), *map(csv_number, numbers)])
    return text.getvalue()


def inert(name: str) -> str:
    """A name that no spreadsheet runs as a formula."""
    shown = printable(name)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA_SIGNS) else shown


def csv_number(value: str | int | float | None) -> str | int | float | None:
    """A number for a cell: Python refuses to write integers of more than 4300 digits."""
    if isinstance(value, int) and abs(value) >= 10**tables.DIGITS_PER_CHUNK:
        return tables.decimal_digits(value)
    return value


def to_markdown(comparison: ComparisonLike) -> str:
    """See `Comparison.to_markdown`."""
    tables_of = []
    if comparison.scores:
        shown = scores_shown(comparison.sort)
        notes = [f"- {note}" for note in score_notes(comparison.scores, shown, comparison.measured)]
        rows = _score_rows(comparison, shown)
        tables_of.append([*_markdown(shown, rows, score_unit(comparison.scores)), "", *notes])
    if comparison.shows_counts:
        rows = [format_row(one, comparison.quantities) for one in comparison]
        tables_of.append(_markdown(comparison.quantities, rows))
    return "\n\n".join("\n".join(lines) for lines in tables_of) + "\n"


def _score_rows(comparison: ComparisonLike, shown: Sequence[Quantity]) -> list[list[str]]:
    return [
        score_row(analysis.name, one, shown)
        for analysis, one in zip(comparison, comparison.scores, strict=True)
    ]


def _markdown(
    quantities: Sequence[Quantity], rows: Sequence[Sequence[str]], unit: str = "bits"
) -> list[str]:
    """The lines of a Markdown table, with the name of a model at the beginning of each row."""
    headings = [f"{one.symbol} ({unit})" if one.unit else one.symbol for one in quantities]
    return [
        _join_cells(["model", *(heading.translate(MARKDOWN_SPECIAL) for heading in headings)]),
        "|:---|" + "---:|" * len(quantities),
        *(
            _join_cells([printable(name).translate(MARKDOWN_SPECIAL), *cells])
            for name, *cells in rows
        ),
    ]


def _join_cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_latex(comparison: ComparisonLike) -> str:
    """See `Comparison.to_latex`."""
    lines = []
    if comparison.scores:
        shown = scores_shown(comparison.sort)
        lines += _latex(shown, _score_rows(comparison, shown), score_unit(comparison.scores))
        lines += [
            f"% {note}" for note in score_notes(comparison.scores, shown, comparison.measured)
        ]
    if comparison.shows_counts:
        rows = [format_row(one, comparison.quantities) for one in comparison]
        lines += _latex(comparison.quantities, rows)
    return "\n".join(lines) + "\n"


def _latex(
    quantities: Sequence[Quantity], rows: Sequence[Sequence[str]], unit: str = "bits"
) -> list[str]:
    """The lines of a LaTeX tabular, with the name of a model at the beginning of each row."""
    headings = [f"{one.latex} [{unit}]" if one.unit else one.latex for one in quantities]
    written = [
        [printable(name).translate(LATEX_SPECIAL), *map(_latex_number, cells)]
        for name, *cells in rows
    ]
    return [
        rf"\begin{{tabular}}{{l{'r' * len(quantities)}}}",
        r"\toprule",
        " & ".join(["Model", *headings]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in written),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _latex_number(text: str) -> str:
    if text == tables.MISSING:
        return "--"
    return text.replace(",", r"\,").replace("-inf", r"$-\infty$")


def json_value(value: str | int | float | None) -> str | int | float | None:
    """Integers that a double cannot hold become strings; what is not finite becomes null."""
    if isinstance(value, int) and abs(value) > LARGEST_JSON_INTEGER:
        return tables.decimal_digits(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
