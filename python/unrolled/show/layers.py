"""`LayerSummary`: one layer of a model, and the columns of tables of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from unrolled._support.hints import did_you_mean
from unrolled.errors import InvalidArgumentError
from unrolled.show import tables

__all__ = [
    "COLUMNS",
    "HEADINGS",
    "LayerColumn",
    "LayerSummary",
    "chosen_columns",
    "format_shape",
    "layer_cells",
    "layer_row",
    "layer_tree",
    "sorted_layers",
    "taken_together",
]

BAR_LENGTH = 10
MISSING = tables.MISSING


class LayerSummary(NamedTuple):
    """One layer of a model: its parameters taken together, and what it costs.

    An operation without parameters has the same attributes; what is about parameters is zero or
    NaN there.

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
    kind : str
        What it is, such as "conv", "dense", "batch norm" or "product".
    output_shape : tuple of int or None
        Of what it computes; None if no data flows through it.
    num_trainable : int
        Those of its parameters that training changes, with a context or without one.
    macs : int
        Multiplications by weights, and of two computed values, for one sample. They are nominal: a
        kernel is charged for all its taps, also on padding, as other tools do.
    edges : int
        Edges of the computational graph into what it computes; there are none from padding.
    flops : int
        ``2 * macs``, and one for each other operation: n operands take n - 1, one operand takes
        one. A function that the network has no tensor for is part of the layer before, and free.
    activations : int
        Elements that it computes and that take memory of their own.
    num_uses : int
        In how many places its parameters are used: above 1 if they are shared. They are counted
        once; multiplications and activations are those of all places.
    path : str
        Where it stands in a tree of layers, with dots between the parts: its name, but for
        parameters that an exporter named by a number the name of what they compute.
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
    >>> hidden.kind, hidden.output_shape, hidden.macs, hidden.edges, hidden.flops
    ('dense', (4,), 12, 28, 28)
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    num_parameters: int
    num_unreached_parameters: int
    log2_minimum: float
    log2_maximum: float
    share_of_contexts: float
    share_of_spread: float
    kind: str = ""
    output_shape: tuple[int, ...] | None = None
    num_trainable: int = 0
    macs: int = 0
    edges: int = 0
    flops: int = 0
    activations: int = 0
    num_uses: int = 1
    path: str = ""
    mean_length: float = math.nan

    @property
    def label(self) -> str:
        """The name, with a mark if parameters are shared."""
        return self.name if self.num_uses <= 1 else f"{self.name} (x{self.num_uses})"


class Whole(NamedTuple):
    """What the layers of a table are parts of."""

    total: LayerSummary
    log2_maximum: float
    decimals: int
    bytes_per_element: int


class LayerColumn(NamedTuple):
    """A column of a table of layers: its heading, what stands in it, and what it sorts by."""

    heading: str
    cell: Callable[[LayerSummary, Whole], str]
    value: Callable[[LayerSummary], float | str]
    justify: Literal["left", "right"] = "right"


def format_shape(shape: Sequence[int] | None) -> str:
    """A shape like 64x3x7x7; a dash for none, and 1 for that of a single number."""
    if shape is None:
        return MISSING
    return "x".join(map(str, shape)) or "1"


def _format_share(value: int, whole: int) -> str:
    return tables.share(value / whole if whole else math.nan, value > 0)


def _draw_bar(layer: LayerSummary, whole: Whole) -> str:
    """As long as the most contexts in bits; of a total there is none."""
    if layer is whole.total or not whole.log2_maximum > 0 or math.isnan(layer.log2_maximum):
        return ""
    return "#" * round(BAR_LENGTH * layer.log2_maximum / whole.log2_maximum)


def _format_bits(value: float, whole: Whole) -> str:
    return MISSING if math.isnan(value) else tables.bits(value, whole.decimals)


COLUMNS: dict[str, LayerColumn] = {
    "kind": LayerColumn("kind", lambda one, _: one.kind, lambda one: one.kind, "left"),
    "shape": LayerColumn(
        "shape",
        lambda one, _: format_shape(one.shapes[0]) if one.shapes else MISSING,
        lambda one: math.prod(one.shapes[0]) if one.shapes else 0,
        "left",
    ),
    "output": LayerColumn(
        "output",
        lambda one, _: format_shape(one.output_shape),
        lambda one: math.prod(one.output_shape or (0,)),
        "left",
    ),
    "parameters": LayerColumn(
        "parameters",
        lambda one, _: tables.integer(one.num_parameters),
        lambda one: one.num_parameters,
    ),
    "trainable": LayerColumn(
        "trainable", lambda one, _: tables.integer(one.num_trainable), lambda one: one.num_trainable
    ),
    "macs": LayerColumn("MACs", lambda one, _: tables.scaled(one.macs), lambda one: one.macs),
    "edges": LayerColumn("edges", lambda one, _: tables.scaled(one.edges), lambda one: one.edges),
    "flops": LayerColumn("FLOPs", lambda one, _: tables.scaled(one.flops), lambda one: one.flops),
    "activations": LayerColumn(
        "activations",
        lambda one, _: tables.integer(one.activations),
        lambda one: one.activations,
    ),
    "memory": LayerColumn(
        "memory",
        lambda one, whole: tables.byte_size(one.activations * whole.bytes_per_element),
        lambda one: one.activations,
    ),
    "uses": LayerColumn("uses", lambda one, _: str(one.num_uses), lambda one: one.num_uses),
    "least": LayerColumn(
        "log2 C\nleast",
        lambda one, whole: _format_bits(one.log2_minimum, whole),
        lambda one: one.log2_minimum,
    ),
    "most": LayerColumn(
        "log2 C\nmost",
        lambda one, whole: _format_bits(one.log2_maximum, whole),
        lambda one: one.log2_maximum,
    ),
    "bar": LayerColumn("log2 C", _draw_bar, lambda one: one.log2_maximum, "left"),
    "share_of_parameters": LayerColumn(
        "share\nof N",
        lambda one, whole: _format_share(one.num_parameters, whole.total.num_parameters),
        lambda one: one.num_parameters,
    ),
    "share_of_macs": LayerColumn(
        "share\nof MACs",
        lambda one, whole: _format_share(one.macs, whole.total.macs),
        lambda one: one.macs,
    ),
    "share_of_contexts": LayerColumn(
        "share\nof Z",
        lambda one, _: tables.share(one.share_of_contexts, one.num_parameters > 0),
        lambda one: one.share_of_contexts,
    ),
    "share_of_spread": LayerColumn(
        "share\nof E",
        lambda one, _: tables.share(one.share_of_spread, one.log2_maximum > 0),
        lambda one: one.share_of_spread,
    ),
}
"""The columns that a table of layers may have behind the names, by key."""

ALIASES = {
    "num_parameters": "parameters",
    "num_trainable": "trainable",
    "num_uses": "uses",
    "output_shape": "output",
    "log2_minimum": "least",
    "log2_maximum": "most",
}
"""Attributes of `LayerSummary` whose columns have shorter keys."""

USUAL = ("shape", "parameters", "least", "most", "share_of_contexts", "share_of_spread")
WIDE = ("shape", "parameters", "output", "macs", "least", "most", *USUAL[4:])
WIDEST = ("shape", "parameters", "output", "macs", "least", "most", "bar", *USUAL[4:])
WIDE_AT, WIDEST_AT = 100, 120

ON_PAGES = ("shape", "parameters", "macs", "least", "most", *USUAL[4:])
HEADINGS = ("layer", *(COLUMNS[key].heading for key in ON_PAGES))
"""Of `layer_row`, for pages, which have thousands of rows and should stay small."""


def chosen_columns(columns: Iterable[str] | None, width: int) -> tuple[str, ...]:
    """The keys of the columns to show: those asked for, or as many as a width has room for.

    Raises
    ------
    InvalidArgumentError
        An unknown key, or text that is no list of keys.
    """
    if columns is None:
        return WIDEST if width >= WIDEST_AT else WIDE if width >= WIDE_AT else USUAL
    if isinstance(columns, str):
        columns = [part.strip() for part in columns.split(",")]
    return tuple([_find_key(str(one)) for one in columns])


def _find_key(name: str) -> str:
    key = name.replace("-", "_").lower()
    key = ALIASES.get(key, key)
    if key not in COLUMNS:
        raise InvalidArgumentError(
            f"layers have no column {name!r}{did_you_mean(key, COLUMNS)} "
            f"(columns: {', '.join(COLUMNS)})"
        )
    return key


def sorted_layers(layers: Iterable[LayerSummary], sort: str | None) -> list[LayerSummary]:
    """Layers by a column, the largest first, or by "name"; as they come without one.

    Raises
    ------
    InvalidArgumentError
        An unknown column.
    """
    found = list(layers)
    if sort is None:
        return found
    if sort == "name":
        return sorted(found, key=lambda one: one.name)
    value = COLUMNS[_find_key(sort)].value

    def key(layer: LayerSummary) -> tuple[bool, float | str]:
        number = value(layer)
        is_missing = isinstance(number, float) and math.isnan(number)
        return (is_missing, 0.0 if is_missing else number)

    is_text = _find_key(sort) == "kind"
    there = [one for one in found if not key(one)[0]]
    there.sort(key=lambda one: key(one)[1], reverse=not is_text)
    return there + [one for one in found if key(one)[0]]


def taken_together(layers: Iterable[LayerSummary], name: str) -> LayerSummary:
    """The sum of several layers under a name: of counts the extremes, of shares the sums."""
    found = list(layers)
    least = [one.log2_minimum for one in found if not math.isnan(one.log2_minimum)]
    most = [one.log2_maximum for one in found if not math.isnan(one.log2_maximum)]
    shapes = [one.output_shape for one in found if one.output_shape is not None]
    return LayerSummary(
        name,
        (),
        sum(one.num_parameters for one in found),
        sum(one.num_unreached_parameters for one in found),
        min(least, default=math.nan),
        max(most, default=math.nan),
        _add_shares(one.share_of_contexts for one in found),
        _add_shares(one.share_of_spread for one in found),
        output_shape=shapes[-1] if shapes else None,
        num_trainable=sum(one.num_trainable for one in found),
        macs=sum(one.macs for one in found),
        edges=sum(one.edges for one in found),
        flops=sum(one.flops for one in found),
        activations=sum(one.activations for one in found),
    )


def _add_shares(shares: Iterable[float]) -> float:
    known = [share for share in shares if not math.isnan(share)]
    return math.fsum(known) if known else math.nan


class Branch(NamedTuple):
    """A node of the tree of names."""

    layers: list[LayerSummary]
    below: dict[str, Branch]


def layer_tree(
    layers: Iterable[LayerSummary], depth: int, sort: str | None = None
) -> list[LayerSummary]:
    """The layers as a tree of the parts of their names, cut off below a depth.

    Every row of a group has the sums of all that is in it. Names are indented by their depth.
    """
    root = Branch([], {})
    for layer in layers:
        branch = root
        for part in (layer.path or layer.name).replace("/", ".").split(".")[:depth]:
            branch = branch.below.setdefault(part, Branch([], {}))
            branch.layers.append(layer)
    return _list_rows(root, 0, sort)


def _list_rows(branch: Branch, depth: int, sort: str | None) -> list[LayerSummary]:
    rows = []
    sums = {name: _add_branch(one, name) for name, one in branch.below.items()}
    for row in sorted_layers(sums.values(), sort):
        rows.append(row._replace(name="  " * depth + row.name))
        rows += _list_rows(branch.below[row.name], depth + 1, sort)
    return rows


def _add_branch(branch: Branch, name: str) -> LayerSummary:
    if len(branch.layers) == 1:
        return branch.layers[0]._replace(name=name)
    return taken_together(branch.layers, name)


def layer_cells(layer: LayerSummary, columns: Iterable[str], whole: Whole) -> list[str]:
    """The cells of a layer in a table with these columns."""
    return [layer.label, *(COLUMNS[key].cell(layer, whole) for key in columns)]


def layer_row(layer: LayerSummary, decimals: int) -> list[str]:
    """The cells of a layer in the tables of pages, by `HEADINGS`."""
    return layer_cells(layer, ON_PAGES, Whole(layer, math.nan, decimals, 1))
