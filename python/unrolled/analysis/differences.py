"""`diff` and its result, `Difference`: two models, layer by layer.

How far the counts of two models are apart as a whole is in `distances`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unrolled.analysis.analysis import Analysis, analyze
from unrolled.network.builder import Semantics
from unrolled.show import html, tables
from unrolled.show.layer_formats import layer_record
from unrolled.show.layers import LayerSummary, format_shape

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

__all__ = ["Difference", "LayerChange", "diff"]

Change = Literal["same", "contexts", "changed", "renamed", "added", "removed"]
MARKS: dict[Change, str] = {
    "changed": "~",
    "renamed": "=",
    "added": "+",
    "removed": "-",
    "contexts": "c",
}
COMPARED = ("kind", "shapes", "output_shape", "num_parameters", "num_trainable", "macs", "num_uses")
"""Attributes of layers that make a change; numbers of contexts are told apart from them."""

NARROW = 100
TOLERANCE = 1e-9
"""Bits by which counts may differ and still be equal, as in log space they are rounded."""


class LayerChange(NamedTuple):
    """What became of one layer.

    Attributes
    ----------
    change : {"same", "contexts", "changed", "renamed", "added", "removed"}
        "contexts" if nothing but the numbers of contexts differs; "renamed" if nothing but the
        name does, and maybe the contexts.
    before, after : LayerSummary or None
        The layer in the first model and in the second.
    attributes : tuple of str
        Those attributes of `LayerSummary` that differ.
    """

    change: Change
    before: LayerSummary | None
    after: LayerSummary | None
    attributes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name, or both with an arrow between."""
        names = [one.name for one in (self.before, self.after) if one is not None]
        return " -> ".join(dict.fromkeys(names))


class Difference:
    """Two models, layer by layer. What `diff` returns; a sequence of `LayerChange`.

    Attributes
    ----------
    before, after : Analysis
    changes : tuple of LayerChange
        All layers in the order of the second model, those that are gone where they were.

    Examples
    --------
    >>> import unrolled
    >>> one = unrolled.models.mlp([8, 8], inputs=4, classes=10)
    >>> other = unrolled.models.mlp([8, 8], inputs=4, classes=2)
    >>> print(unrolled.diff(one, other).table(width=80))
    mlp -> mlp: 1 changed, 2 in contexts alone
    <BLANKLINE>
      layer      shape       parameters MACs       log2 C
    ---------------------------------------------------------
    ~ classifier 8x10 -> 8x2 90 -> 18   80 -> 16   0.0
    ...
    """

    def __init__(self, before: Analysis, after: Analysis) -> None:
        self.before, self.after = before, after
        self.changes = tuple(_match_layers(before.layers, after.layers))

    @property
    def is_empty(self) -> bool:
        """Whether no layer differs in anything."""
        return all(one.change == "same" for one in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Names, all changes and the totals, as JSON can hold them."""
        return {
            "before": self.before.name,
            "after": self.after.name,
            "changes": [
                {
                    "change": one.change,
                    "attributes": list(one.attributes),
                    "before": None if one.before is None else layer_record(one.before),
                    "after": None if one.after is None else layer_record(one.after),
                }
                for one in self.changes
            ],
            "totals": {
                "before": layer_record(self.before.totals),
                "after": layer_record(self.after.totals),
            },
        }

    def table(self, *, width: int | None = None, complete: bool = False) -> str:
        """A line for each layer that differs in more than its contexts, and the totals.

        Parameters
        ----------
        width : int, optional
            Columns of text to fill at most.
        complete : bool
            Also layers that differ in their contexts alone.
        """
        return self.sheet(width, complete=complete).text(width)

    def sheet(self, width: int | None = None, *, complete: bool = False) -> tables.Sheet:
        """What `table` shows, before it is laid out; numbers are shorter below 100 columns."""
        is_narrow = (width or tables.output_width()) < NARROW
        wanted = [*MARKS] if complete else [key for key in MARKS if key != "contexts"]
        rows = [_make_row(one, is_narrow) for one in self.changes if one.change in wanted]
        total = LayerChange("changed", self.before.totals, self.after.totals, ())
        columns = [
            tables.Column("", "left"),
            tables.Column("layer", "left", cuts=True),
            tables.Column("shape", "left"),
            tables.Column("parameters", "left"),
            tables.Column("MACs", "left"),
            tables.Column("log2 C", "left"),
        ]
        totals = ["", *_make_row(total, is_narrow)[1:]]
        return tables.Sheet(self.title, columns, rows, self._make_notes(), totals)

    @property
    def title(self) -> str:
        """The names of both models, and how many layers differ in what."""
        numbers = Counter(one.change for one in self.changes)
        parts = [
            f"{numbers[key]:,} {'in contexts alone' if key == 'contexts' else key}"
            for key in MARKS
            if numbers[key]
        ]
        found = ", ".join(parts) or "no layer differs"
        return f"{self.before.name} -> {self.after.name}: {found}"

    def _make_notes(self) -> list[str]:
        notes = [
            "~ changed, = renamed, + added, - removed. log2 C: most contexts of a parameter, bits."
        ]
        moved = [
            one.after.log2_maximum - one.before.log2_maximum
            for one in self.changes
            if one.change == "contexts" and one.before is not None and one.after is not None
        ]
        if moved:
            least, most = min(moved), max(moved)
            by = f"{least:+.3f}" if most - least < 5e-4 else f"{least:+.3f} to {most:+.3f}"
            notes.append(f"In contexts alone: by {by} bits.")
        return notes

    def _repr_html_(self) -> str:
        _, columns, rows, notes, totals = self.sheet(NARROW)
        headings = [column.heading for column in columns[1:]]
        marked = [[f"{mark} {name}", *cells] for mark, name, *cells in [*rows, totals]]
        text = html.table(self.title, headings, marked)
        return html.styled(text + "".join(f"<p>{html.escaped(note)}</p>" for note in notes))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The table as rich draws it in a terminal."""
        return self.sheet(options.max_width).drawn(options.max_width)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[LayerChange]:
        return iter(self.changes)

    def __getitem__(self, position: int) -> LayerChange:
        return self.changes[position]

    def __repr__(self) -> str:
        return self.table()


def diff(
    before: Any,
    after: Any,
    /,
    *,
    inputs: Any = None,
    semantics: Semantics | None = None,
    exact: bool = True,
) -> Difference:
    """Compare two models layer by layer.

    Layers of equal names belong together; of those that are left, layers of equal kind, shapes and
    output do, in their order, as another version of an exporter names them.

    Parameters
    ----------
    before, after
        Anything with layers that `analyze` takes, and instances of `Analysis`.
    inputs, semantics, exact
        See `analyze`; for models that are no analyses.

    Returns
    -------
    Difference

    Raises
    ------
    InvalidArgumentError
        Something that is no model, or has no layers.
    UnrolledError
        See `analyze`.

    Examples
    --------
    What a classifier of 10 classes in the place of 1000 changes: one layer, and the contexts of
    all others.

    >>> import unrolled
    >>> full = unrolled.models.resnet(18, size=32)
    >>> small = unrolled.models.resnet(18, size=32, classes=10)
    >>> difference = unrolled.diff(full, small)
    >>> [one.name for one in difference if one.change == "changed"]
    ['classifier']
    >>> sum(one.change == "contexts" for one in difference)
    40
    """
    options: dict[str, Any] = {"semantics": semantics, "exact": exact}
    first, second = (
        one if isinstance(one, Analysis) else analyze(one, inputs=inputs, **options)
        for one in (before, after)
    )
    return Difference(first, second)


def _match_layers(
    before: Sequence[LayerSummary], after: Sequence[LayerSummary]
) -> Iterator[LayerChange]:
    """All layers in the order of the second model, with what they were in the first."""
    old = {layer.name: layer for layer in before}
    new = {layer.name for layer in after}
    renamed = _match_renamed(
        [layer for layer in before if layer.name not in new],
        [layer for layer in after if layer.name not in old],
    )
    origin = {layer.name: old.get(layer.name) or renamed.get(layer.name) for layer in after}
    kept = {layer.name for layer in origin.values() if layer is not None}
    waiting = list(before)
    for layer in after:
        was = origin[layer.name]
        if was is not None:
            # Whatever stood before it in the first model and is gone comes first.
            while waiting and was in waiting and waiting[0] is not was:
                gone = waiting.pop(0)
                if gone.name not in kept:
                    yield LayerChange("removed", gone, None, ())
            if waiting and waiting[0] is was:
                waiting.pop(0)
        yield _compare_layers(was, layer)
    for gone in waiting:
        if gone.name not in kept:
            yield LayerChange("removed", gone, None, ())


def _match_renamed(
    before: Sequence[LayerSummary], after: Sequence[LayerSummary]
) -> dict[str, LayerSummary]:
    """For layers of new names, those of the first model that are the same otherwise."""
    first, second = ([_signature(layer) for layer in layers] for layers in (before, after))
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return {
        after[block.b + at].name: before[block.a + at]
        for block in blocks
        for at in range(block.size)
    }


def _signature(layer: LayerSummary) -> tuple[Any, ...]:
    # Exporters may store a kernel transposed.
    shapes = tuple(sorted(tuple(sorted(shape)) for shape in layer.shapes))
    return layer.kind, shapes, layer.output_shape


def _compare_layers(was: LayerSummary | None, layer: LayerSummary) -> LayerChange:
    if was is None:
        return LayerChange("added", None, layer, ())
    differing = [key for key in COMPARED if getattr(was, key) != getattr(layer, key)]
    contexts = [
        key
        for key in ("log2_minimum", "log2_maximum")
        if not _are_close(getattr(was, key), getattr(layer, key))
    ]
    attributes = (*differing, *contexts)
    if was.name != layer.name:
        return LayerChange("renamed", was, layer, ("name", *attributes))
    if differing:
        return LayerChange("changed", was, layer, attributes)
    return LayerChange("contexts" if contexts else "same", was, layer, attributes)


def _are_close(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _make_row(change: LayerChange, is_narrow: bool) -> list[str]:
    """The cells of a layer: one value where it is the same, else two with an arrow between."""
    layers = [one for one in (change.before, change.after) if one is not None]
    write = tables.scaled if is_narrow else tables.integer
    cells = [
        [format_shape(one.shapes[0]) if one.shapes else tables.MISSING for one in layers],
        [write(one.num_parameters) for one in layers],
        [tables.scaled(one.macs) for one in layers],
        [
            tables.MISSING
            if math.isnan(one.log2_maximum)
            else tables.bits(one.log2_maximum, 1 if is_narrow else 3)
            for one in layers
        ],
    ]
    joined = [" -> ".join(dict.fromkeys(values)) for values in cells]
    return [MARKS.get(change.change, ""), change.name, *joined]
