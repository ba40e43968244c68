"""`LayerSummary`: the parameters of one layer taken together, and its line in a table."""

from __future__ import annotations

import math
from typing import NamedTuple

from unrolled.show import tables

__all__ = ["HEADINGS", "LayerSummary", "layer_row"]

HEADINGS = (
    "layer",
    "shape",
    "parameters",
    "log2 C\nleast",
    "log2 C\nmost",
    "share\nof Z",
    "share\nof E",
)


class LayerSummary(NamedTuple):
    """The parameters of one layer, taken together.

    Attributes
    ----------
    name : str
        What the names of its parameters have before the last ``/``.
    shapes : tuple of tuple of int
        Shape of each of its parameters, in the order of declaration.
    num_parameters : int
        Parameters with a context.
    num_unreached_parameters : int
        Parameters without one.
    log2_minimum, log2_maximum : float
        Smallest and largest count in bits (log2), among parameters with a context; NaN if none.
    share_of_contexts : float
        Part of the total contexts Z, in [0, 1]; what is below 1e-308 is 0.
    share_of_spread : float
        Part of the expected spread, in [0, 1]; NaN where that is zero.
    mean_length : float
        Mean length of the layer's contexts in links; NaN if lengths were not counted, or there are
        no contexts.

    Examples
    --------
    >>> import unrolled
    >>> hidden, classifier = unrolled.analyze(
    ...     unrolled.models.mlp([4], inputs=3, classes=2)).layers
    >>> hidden.name, hidden.shapes, hidden.num_parameters, hidden.log2_maximum
    ('layer1', ((3, 4), (4,)), 16, 1.0)
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    num_parameters: int
    num_unreached_parameters: int
    log2_minimum: float
    log2_maximum: float
    share_of_contexts: float
    share_of_spread: float
    mean_length: float = math.nan


def layer_row(layer: LayerSummary, decimals: int) -> list[str]:
    """The cells of a layer in the table, by `HEADINGS`."""
    return [
        layer.name,
        "x".join(map(str, layer.shapes[0])),
        tables.integer(layer.num_parameters),
        tables.bits(layer.log2_minimum, decimals),
        tables.bits(layer.log2_maximum, decimals),
        tables.share(layer.share_of_contexts, layer.num_parameters > 0),
        tables.share(layer.share_of_spread, layer.log2_maximum > 0),
    ]
