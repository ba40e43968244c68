"""How a tensor is brought to the shape in which another one reads it, as nodes of ONNX.

A link is a product of relations, one an axis. Those that read one element at most (slices,
selections, padding, repeating, reshaping, transposing and broadcasting) are written here, each kind
as one node for all axes. Windows and sums over axes belong to the operators in `operations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unrolled._core import Relation
from unrolled.network.builder import Connection
from unrolled.network.exporting.graph import GraphWriter

__all__ = ["is_shift", "write_read"]


def is_shift(relation: Relation) -> bool:
    """Whether elements are moved along an axis as they are, by padding or by cutting off."""
    arguments = relation.arguments
    return (
        relation.kind == "window"
        and arguments["size"] == 1
        and arguments["stride"] == 1
        and len(relation.source_axes) == 1
    )


def write_read(graph: GraphWriter, link: Connection, *, is_expanded: bool) -> str | None:
    """The name of the source of a link as its target reads it, element by element.

    Parameters
    ----------
    graph : GraphWriter
    link : Connection
    is_expanded : bool
        Whether axes that the source does not have are written out. If not, the value broadcasts to
        the shape of the target.

    Returns
    -------
    str or None
        None, and nothing is written, if the link reads several elements or in a way that no
        node of ONNX has.
    """
    if not all(_is_single(one, link) for one in link.relations):
        return None
    return _Read(graph, link).write(is_expanded)


def _is_single(relation: Relation, link: Connection) -> bool:
    kind, arguments, source = relation.kind, relation.arguments, link.source
    if kind in ("all", "each"):
        return source.shape[relation.source_axes[0]] == 1
    if kind == "transposed_window":
        return bool(
            arguments["size"] == arguments["stride"]
            and arguments["padding"] == 0
            and arguments["dilation"] == 1
            and link.target.shape[relation.target_axes[0]]
            == source.shape[relation.source_axes[0]] * arguments["size"]
        )
    if kind == "select":
        return bool(min(arguments["indices"], default=0) >= 0)
    return kind in ("same", "sum", "reshape", "slice") or is_shift(relation)


class _Read:
    """One source on its way: the name of the value, and the lengths of its axes."""

    def __init__(self, graph: GraphWriter, link: Connection) -> None:
        self.graph = graph
        self.source, self.target, self.relations = link
        self.name = self.source.name
        # Activations have a batch axis in front, parameters have none.
        self.offset = 0 if self.source.role == "parameter" else 1
        self.shape = [graph.batch] * self.offset + list(self.source.shape)

    def write(self, is_expanded: bool) -> str:
        self._slice()
        self._select()
        self._pad()
        self._repeat()
        self._arrange()
        wanted = [self.graph.batch, *self.target.shape]
        if is_expanded and self.shape != wanted:
            self._then("Expand", wanted, self.graph.integers(wanted))
        return self.name

    def _then(self, operator: str, shape: Sequence[int], *inputs: str, **attributes: Any) -> None:
        self.name = self.graph.node(
            operator, [self.name, *inputs], near=self.target.name, **attributes
        )
        self.shape = list(shape)

    def _axes(self, kind: str) -> list[tuple[int, int, dict[str, Any]]]:
        """Axes of the value and lengths in the target that a kind of relation changes."""
        return [
            (
                one.source_axes[0] + self.offset,
                self.target.shape[one.target_axes[0]],
                one.arguments,
            )
            for one in self.relations
            if one.kind == kind
        ]

    def _slice(self) -> None:
        found = [one for one in self._axes("slice") if one[2]["step"]]
        for axis, length, arguments in self._axes("slice"):
            if not arguments["step"]:
                indices = self.graph.integers([arguments["start"]] * length)
                shape = [*self.shape[:axis], length, *self.shape[axis + 1 :]]
                self._then("Gather", shape, indices, axis=axis)
        if not found:
            return
        axes, starts, ends, steps = [], [], [], []
        shape = list(self.shape)
        for axis, length, arguments in found:
            start, step = arguments["start"], arguments["step"]
            end = start + step * length
            axes.append(axis)
            starts.append(start)
            # Below zero, an end would count from the back.
            ends.append(end if end >= 0 else -(self.shape[axis] + 1))
            steps.append(step)
            shape[axis] = length
        self._then("Slice", shape, *map(self.graph.integers, (starts, ends, axes, steps)))

    def _select(self) -> None:
        for axis, length, arguments in self._axes("select"):
            shape = [*self.shape[:axis], length, *self.shape[axis + 1 :]]
            self._then("Gather", shape, self.graph.integers(arguments["indices"]), axis=axis)

    def _pad(self) -> None:
        before, after = [0] * len(self.shape), [0] * len(self.shape)
        shape = list(self.shape)
        for axis, length, arguments in self._axes("window"):
            before[axis] = arguments["padding"]
            after[axis] = length - self.shape[axis] - before[axis]
            shape[axis] = length
        if any(before) or any(after):
            self._then("Pad", shape, self.graph.integers([*before, *after]))

    def _repeat(self) -> None:
        scales, shape = [1.0] * len(self.shape), list(self.shape)
        for axis, length, arguments in self._axes("transposed_window"):
            scales[axis], shape[axis] = float(arguments["size"]), length
        if shape != self.shape:
            self._then(
                "Resize",
                shape,
                "",
                self.graph.constant(scales),
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )

    def _arrange(self) -> None:
        """Bring the axes into the order of the target, with length 1 for those that are missing."""
        kept = [one for one in self.relations if one.source_axes]
        kept.sort(key=lambda one: min(one.target_axes, default=len(self.target.shape)))
        order = [axis + self.offset for one in kept for axis in one.source_axes]
        if self.offset:
            order.insert(0, 0)
        if order != sorted(order):
            self._then("Transpose", [self.shape[axis] for axis in order], perm=order)
        lengths: dict[int, int] = {}
        for one in kept:
            is_broadcast = one.kind == "all"
            for axis in one.target_axes:
                lengths[axis] = 1 if is_broadcast else self.target.shape[axis]
        # Axes that the source lacks go where the target has them, the others as they come.
        placed = [axis for one in kept for axis in one.target_axes]
        for axis in range(len(self.target.shape)):
            if axis not in lengths:
                lengths[axis] = 1
                later = [at for at, other in enumerate(placed) if other > axis]
                placed.insert(later[0] if later else len(placed), axis)
        shape = [self.shape[0] if self.offset else 1, *[lengths[axis] for axis in placed]]
        is_sorted = placed == sorted(placed)
        leading = len(shape) - len(self.shape)
        is_aligned = leading >= 0 and is_sorted and shape == [1] * leading + self.shape
        if not is_aligned:
            self._then("Reshape", shape, self.graph.integers(shape))
        if not is_sorted:
            permutation = [0, *[1 + placed.index(axis) for axis in range(len(placed))]]
            self._then("Transpose", [shape[axis] for axis in permutation], perm=permutation)
