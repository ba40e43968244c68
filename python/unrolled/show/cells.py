"""How the values of quantities and scores are written into the cells of tables.

What a quantity is called and measured in is in `unrolled.spectrum.catalogue`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from unrolled.show import tables
from unrolled.show.protocols import AnalysisLike, ScoresLike
from unrolled.spectrum.catalogue import (
    CATALOGUE,
    ESTIMATES,
    SCORES,
    SCORES_SHOWN,
    TABULATED,
    Quantity,
    value_of,
)

__all__ = [
    "RANKING",
    "counts_notes",
    "format_cell",
    "format_row",
    "format_score",
    "ranking_note",
    "ranking_title",
    "score_notes",
    "score_row",
    "score_sheet",
    "score_unit",
    "scores_shown",
]

SYMBOLS = {
    "log2_total_contexts": "log2 Z, Z the total contexts",
    "expected_spread": "the expected spread",
    "entropy": "H, the entropy",
    "total_surprisal": "S_G, the total surprisal",
    "surprisal_estimate": "P_G, the surprisal estimate",
    "spread_estimate": "P'_G, the spread estimate",
}
"""What the headings of narrow tables stand for."""

NARROW_HEADINGS = {"num_parameters": "para-\nmeters", "activations": "activa-\ntions"}
"""Of columns that are narrower than the word."""

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


def counts_notes(quantities: Sequence[Quantity], *, narrow: bool) -> list[str]:
    """Below a table of counts: the units, what symbols stand for, and how estimates rank."""
    has_estimates = any(one.key in ESTIMATES for one in quantities)
    if narrow:
        told = [SYMBOLS[one.key] for one in quantities if one.key in SYMBOLS]
        units = f"In bits: {'; '.join(told)}."
    else:
        estimates = ", surprisal and estimates" if has_estimates else " and surprisal"
        units = "Contexts: the total over all parameters. "
        units += f"Spread, entropy{estimates} in bits."
    return [units, *([RANKING] if has_estimates else [])]


def format_score(scores: ScoresLike, quantity: Quantity, *, narrow: bool = False) -> str:
    """A score of a model as text; a large one with a prefix where there is little room."""
    value = getattr(scores, quantity.key)
    if quantity.decimals:
        return tables.bits(value, quantity.decimals)
    return tables.scaled(round(value)) if narrow else tables.integer(round(value))


def score_row(
    name: str,
    scores: ScoresLike | None,
    quantities: Sequence[Quantity],
    *,
    narrow: bool = False,
) -> list[str]:
    """The name of a model and its scores, as the cells of one line; dashes if it has none."""
    if scores is None:
        return [name, *[tables.MISSING] * len(quantities)]
    return [name, *(format_score(scores, quantity, narrow=narrow) for quantity in quantities)]


def scores_shown(sort: str) -> tuple[Quantity, ...]:
    """The scores that tables have a column for, and the one that models are ranked by."""
    by = SCORES.get(sort)
    return SCORES_SHOWN if by is None or by in SCORES_SHOWN else (by, *SCORES_SHOWN)


def ranking_title(sort: str, ascending: bool) -> str:
    """What models are ranked by, and in which order.

    Examples
    --------
    >>> ranking_title("num_inputs", True), ranking_title("name", True)
    ('Models by number of inputs, smallest first', 'Models by name, in alphabetical order')
    """
    if sort == "name":
        order = "in alphabetical order" if ascending else "in reverse order"
    else:
        order = "smallest first" if ascending else "largest first"
    return f"Models by {_name_of(sort)}, {order}"


def _name_of(sort: str) -> str:
    """What models are ranked by, in a sentence."""
    if sort in SCORES and sort not in CATALOGUE:
        return SCORES[sort].title
    return sort.replace("num_", "number of ").replace("_", " ")


def ranking_note(sort: str) -> str:
    """What more means of the quantity that models are ranked by, or nothing.

    Examples
    --------
    >>> ranking_note("entropy")
    'Entropy: more means contexts spread over more parameters.'
    """
    quantity = CATALOGUE.get(sort) or SCORES.get(sort)
    if quantity is None or not quantity.more_means:
        return ""
    name = _capitalised(sort.removeprefix("num_").replace("_", " "))
    return f"{name}: more means {quantity.more_means}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def score_unit(scores: Sequence[ScoresLike | None]) -> str:
    """The unit of scores on a logarithmic scale."""
    return " and ".join(dict.fromkeys(one.unit for one in scores if one is not None))


def score_notes(
    scores: Sequence[ScoresLike | None],
    quantities: Sequence[Quantity],
    measured: Container[str] | None = None,
) -> list[str]:
    """Below a table of scores: their units, what more of each means, and how it ranked.

    Parameters
    ----------
    scores : sequence of Scores or None
    quantities : sequence of Quantity
        The columns of the table.
    measured : container of str, optional
        Keys of those of which it is said how they ranked; by default all.
    """
    unit = f"Log size and saliency entropy in {score_unit(scores)}"
    told = [one for one in quantities if one.measured and (not measured or one.key in measured)]
    notes = [
        f"{_capitalised(one.title)}: more means {one.more_means}. Measured: {one.measured}."
        for one in told
    ]
    if measured:
        others = [f"{one.more_means} ({one.title})" for one in quantities if one not in told]
        notes.append(
            f"Of the others more means {'; '.join(others)}. How they rank: unrolled evaluate."
        )
    return [f"{unit}; measured: Spearman's correlation.", *notes]


def score_sheet(
    title: str,
    names: Sequence[str],
    scores: Sequence[ScoresLike | None],
    quantities: Sequence[Quantity],
    *,
    narrow: bool = False,
    measured: Container[str] | None = None,
) -> tables.Sheet:
    """A table of several models, with what a higher figure means below; see `score_notes`."""
    columns = [tables.Column("model", "left", cuts=True)]
    columns += [
        tables.Column(NARROW_HEADINGS.get(one.key, one.heading) if narrow else one.heading)
        for one in quantities
    ]
    rows = [
        score_row(name, one, quantities, narrow=narrow)
        for name, one in zip(names, scores, strict=True)
    ]
    return tables.Sheet(title, columns, rows, score_notes(scores, quantities, measured))
