"""How the values of quantities are written into the cells of tables.

What a quantity is called and measured in is in `unrolled.spectrum.catalogue`.
"""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.show import tables
from unrolled.show.protocols import AnalysisLike
from unrolled.spectrum.catalogue import TABULATED, Quantity, value_of

__all__ = ["SYMBOLS", "UNITS", "format_cell", "format_row"]

SYMBOLS = (
    "In bits: log2 Z, Z the total contexts; the expected spread; H, the entropy; S_G, the total "
    "surprisal; P_G, the surprisal estimate; P'_G, the spread estimate."
)
"""The note below tables whose headings are symbols."""

UNITS = "Contexts: the total over all parameters. Spread, entropy, surprisal and estimates in bits."
"""The note below tables whose headings are words."""


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
