"""The layers of a model as a data frame, and as CSV, Markdown and LaTeX; one row a layer.

Operations without parameters follow the layers. Names are treated as in `unrolled.show.formats`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from unrolled._support.optional import import_optional
from unrolled.printable import printable
from unrolled.show import formats
from unrolled.show.layers import COLUMNS, WIDE, LayerSummary, Whole, layer_cells
from unrolled.show.protocols import AnalysisLike

if TYPE_CHECKING:
    import pandas

__all__ = ["layer_record", "to_csv", "to_latex", "to_markdown", "to_pandas"]


def layer_record(layer: LayerSummary) -> dict[str, Any]:
    """The attributes of a layer as JSON can hold them: lists for shapes, null for NaN."""
    fields = layer._asdict().items()
    shape = layer.output_shape
    return {
        **{key: formats.json_value(value) for key, value in fields if "shape" not in key},
        "shapes": [list(one) for one in layer.shapes],
        "output_shape": None if shape is None else list(shape),
    }


def to_pandas(analysis: AnalysisLike) -> pandas.DataFrame:
    """See `Analysis.to_pandas`."""
    module = import_optional("pandas", "pandas")
    rows = [layer._asdict() for layer in _list_layers(analysis)]
    frame: pandas.DataFrame = module.DataFrame(rows, columns=LayerSummary._fields)
    return frame.set_index("name")


def to_csv(analysis: AnalysisLike) -> str:
    """See `Analysis.to_csv`."""
    import csv  # Few write tables.

    text = StringIO(",".join(LayerSummary._fields) + "\n")
    text.seek(0, os.SEEK_END)
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for layer in _list_layers(analysis):
        writer.writerow([_write_cell(value) for value in layer])
    return text.getvalue()


def _write_cell(value: Any) -> str | int | float | None:
    """Shapes as 64x3x7x7, those of several parameters with blanks between; nothing for NaN."""
    if isinstance(value, str):
        return formats.inert(value)
    if isinstance(value, tuple):
        shapes = value if value and isinstance(value[0], tuple) else (value,) if value else ()
        return " ".join("x".join(map(str, shape)) or "1" for shape in shapes)
    if isinstance(value, float) and math.isnan(value):
        return None
    number: str | int | float | None = formats.csv_number(value)
    return number


def to_markdown(analysis: AnalysisLike) -> str:
    """See `Analysis.to_markdown`."""
    headings = [_join_heading(key) for key in WIDE]
    marks = [":---" if COLUMNS[key].justify == "left" else "---:" for key in WIDE]
    lines = [f"| layer | {' | '.join(headings)} |", f"|:---|{'|'.join(marks)}|"]
    for name, *cells in _make_rows(analysis):
        shown = printable(name).translate(formats.MARKDOWN_SPECIAL)
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def to_latex(analysis: AnalysisLike) -> str:
    """See `Analysis.to_latex`."""
    letters = "".join(COLUMNS[key].justify[0] for key in WIDE)
    special = formats.LATEX_SPECIAL
    rows = [
        [printable(name).translate(special), *(cell.translate(special) for cell in cells)]
        for name, *cells in _make_rows(analysis)
    ]
    lines = [
        rf"\begin{{tabular}}{{l{letters}}}",
        r"\toprule",
        " & ".join(["Layer", *map(_join_heading, WIDE)]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows[:-1]),
        r"\midrule",
        " & ".join(rows[-1]) + r" \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _join_heading(key: str) -> str:
    return COLUMNS[key].heading.replace("\n", " ")


def _list_layers(analysis: AnalysisLike) -> Sequence[LayerSummary]:
    return [*analysis.layers, *analysis.operations]


def _make_rows(analysis: AnalysisLike) -> list[list[str]]:
    """The cells of all layers, then of the totals."""
    whole = Whole(analysis.totals, math.nan, 3, 1)
    rows = [layer_cells(layer, WIDE, whole) for layer in _list_layers(analysis)]
    return [*rows, layer_cells(analysis.totals, WIDE, whole)]
