"""How the values of quantities and scores are written into the cells of tables.

What a quantity is called and measured in is in `unrolled.spectrum.catalogue`.
"""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.show import tables
from unrolled.show.protocols import AnalysisLike, ScoresLike
from unrolled.spectrum.catalogue import TABULATED, Quantity, value_of

__all__ = [
    "RANKING",
    "SYMBOLS",
    "UNITS",
    "format_cell",
    "format_row",
    "format_score",
    "score_notes",
    "score_row",
    "score_sheet",
    "score_unit",
]

SYMBOLS = (
    "In bits: log2 Z, Z the total contexts; the expected spread; H, the entropy; S_G, the total "
    "surprisal; P_G, the surprisal estimate; P'_G, the spread estimate."
)
"""The note below tables whose headings are symbols."""

UNITS = "Contexts: the total over all parameters. Spread, entropy, surprisal and estimates in bits."
"""The note below tables whose headings are words."""

RANKING = (
    "The estimates, as published, rank NAS-Bench-201 worse than the number of parameters does; "
    "scores are for that."
)
"""The note below tables that show published estimates."""


def format_cell(analysis: AnalysisLike, quantity: Quantity, *, narrow: bool = False) -> str:
    """A quantity of a model as text; a dash if the model does not have it."""
    value = value_of(analysis, quantity.key)
    if value is None:
        return tables.MISSING
    if isinstance(value, int):
        return tables.integer(value)
    if narrow and quantity.decimals == 0:
        return f"{value:.3g}"
    decimals = min(quantity.decimals, 2) if narrow else quantity.decimals
    return f"{value:,.{decimals}f}" if decimals == 0 else tables.bits(value, decimals)


def format_row(
    analysis: AnalysisLike, quantities: Sequence[Quantity] = TABULATED, *, narrow: bool = False
) -> list[str]:
    """The name of a model and its quantities, as the cells of one line."""
    cells = [format_cell(analysis, quantity, narrow=narrow) for quantity in quantities]
    return [analysis.name, *cells]


def format_score(scores: ScoresLike, quantity: Quantity) -> str:
    """A score of a model as text."""
    value = getattr(scores, quantity.key)
    if quantity.decimals:
        return tables.bits(value, quantity.decimals)
    return tables.integer(round(value))


def score_row(scores: ScoresLike, quantities: Sequence[Quantity]) -> list[str]:
    """The name of a model and its scores, as the cells of one line."""
    return [scores.name, *(format_score(scores, quantity) for quantity in quantities)]


def score_unit(scores: Sequence[ScoresLike]) -> str:
    """The unit of scores on a logarithmic scale."""
    return " and ".join(dict.fromkeys(one.unit for one in scores))


def score_notes(scores: Sequence[ScoresLike], quantities: Sequence[Quantity]) -> list[str]:
    """Below a table of scores: their units, what more of each means, and how it ranked."""
    return [
        f"Log size and saliency entropy in {score_unit(scores)}; measured: Spearman's correlation."
    ] + [
        f"{one.title}: more means {one.more_means}. Measured: {one.measured}."
        for one in quantities
        if one.measured
    ]


def score_sheet(
    title: str, scores: Sequence[ScoresLike], quantities: Sequence[Quantity]
) -> tables.Sheet:
    """A table of several models, with what a higher figure means below."""
    columns = [tables.Column("model", "left", cuts=True)]
    columns += [tables.Column(one.heading) for one in quantities]
    rows = [score_row(one, quantities) for one in scores]
    return tables.Sheet(title, columns, rows, score_notes(scores, quantities))
