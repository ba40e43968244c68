"""A `Comparison` as a data frame, as CSV, Markdown and LaTeX, and as a file of any of its kinds."""

from __future__ import annotations

import csv
import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled._support import files
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError
from unrolled.show import tables

if TYPE_CHECKING:
    import pandas

    from unrolled.analysis.comparison import Comparison

__all__ = ["save", "to_csv", "to_latex", "to_markdown", "to_pandas", "written"]

MARKDOWN_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\`*_{}[]<>#|~$&"})
LATEX_SPECIAL = str.maketrans(
    {one: f"\\{one}" for one in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def written(path: str | os.PathLike[str] | None, text: str) -> str:
    """The text, after writing it to a file if one is given."""
    if path is not None:
        files.write(path, text)
    return text


def to_pandas(comparison: Comparison) -> pandas.DataFrame:
    """See `Comparison.to_pandas`."""
    from unrolled.analysis.analysis import ESTIMATES

    module = import_optional("pandas", "pandas")
    frame: pandas.DataFrame = module.DataFrame.from_records(comparison.to_dict(), index="name")
    # As they are: integers beyond 64 bits, or None, whatever pandas would make of them.
    contexts = [one.total_contexts for one in comparison]
    frame["total_contexts"] = module.Series(contexts, frame.index, dtype=object)
    # Not a number where there is no input, also if no model has one.
    frame[list(ESTIMATES)] = frame[list(ESTIMATES)].astype("float64")
    return frame


def to_csv(comparison: Comparison) -> str:
    """See `Comparison.to_csv`."""
    from unrolled.analysis.analysis import ATTRIBUTES

    text = StringIO()
    writer = csv.DictWriter(text, ["name", *ATTRIBUTES], lineterminator="\n")
    writer.writeheader()
    for row in comparison.to_dict():
        # Python refuses to write integers of more than 4300 digits.
        writer.writerow(
            {
                key: tables.decimal_digits(value) if isinstance(value, int) else value
                for key, value in row.items()
            }
        )
    return text.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """See `Comparison.to_markdown`."""
    from unrolled.analysis.comparison import FIGURES, cell

    headings = [f"{one.symbol} ({one.unit})" if one.unit else one.symbol for one in FIGURES]
    lines = [
        _piped(["model", *(heading.translate(MARKDOWN_SPECIAL) for heading in headings)]),
        "|:---|" + "---:|" * len(FIGURES),
    ]
    lines += [
        _piped([one.name.translate(MARKDOWN_SPECIAL), *(cell(one, figure) for figure in FIGURES)])
        for one in comparison
    ]
    return "\n".join(lines) + "\n"


def _piped(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_latex(comparison: Comparison) -> str:
    """See `Comparison.to_latex`."""
    from unrolled.analysis.comparison import FIGURES, cell

    headings = [f"{one.latex} [{one.unit}]" if one.unit else one.latex for one in FIGURES]
    rows = [
        [
            one.name.translate(LATEX_SPECIAL),
            *(_latex_number(cell(one, figure)) for figure in FIGURES),
        ]
        for one in comparison
    ]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(FIGURES)}}}",
        r"\toprule",
        " & ".join(["Model", *headings]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_number(text: str) -> str:
    if text == tables.MISSING:
        return "--"
    return text.replace(",", r"\,").replace("-inf", r"$-\infty$")


def save(comparison: Comparison, path: Path, options: dict[str, Any]) -> Path:
    """See `Comparison.save`."""
    kind = path.suffix.lower()
    if kind in (".html", ".htm"):
        from unrolled import report

        return report.write(comparison, path, **options)
    if options:
        raise InvalidArgumentError(
            f"save(): {', '.join(options)} are options of a report; '{path}' is none, because it "
            "does not end in .html"
        )
    texts = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}
    if kind in texts:
        return files.write(path, texts[kind](comparison))
    if kind in ("", ".json", ".txt"):
        raise InvalidArgumentError(
            f"save(): '{path}' must end in .html, .csv, .md, .tex or the suffix of an image, "
            "such as .png, .svg or .pdf"
        )
    from unrolled.show import plot

    return plot.save(comparison.plot()[0], path)
