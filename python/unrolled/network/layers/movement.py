"""Layers that only move elements: one edge from the element read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from unrolled._core import Operation, Relation
from unrolled._support.arguments import items
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import Builder, Tensor, undone_if_refused
from unrolled.network.shapes import (
    LARGEST_WINDOW,
    PerAxis,
    axis_of,
    integer,
    pairs,
    per_axis,
    spatial_shape,
)

MOVE = Operation("move")


class Movement(Builder):
    """Layer methods that move elements."""

    @undone_if_refused
    def concat(self, xs: Iterable[Tensor], axis: int = 0, *, name: str | None = None) -> Tensor:
        """Join tensors along an axis.

        Parameters
        ----------
        xs : iterable of Tensor
            Of equal shapes but for the length of `axis`; a tensor may occur several times.
        axis : int
        name : str, optional

        Raises
        ------
        InvalidArgumentError
            No tensor.
        InvalidNetworkError
            Shapes that do not fit, or an axis out of range.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.input((8, 7, 7))
        >>> net.concat([x, net.conv(x, 4, 3)]).shape
        (12, 7, 7)
        """
        layer = self._layer("concat", name)
        parts = items(xs)
        if not parts:
            raise InvalidArgumentError(
                f"layer '{layer}': expected a sequence of at least one tensor, got {described(xs)}"
            )
        self._own(layer, *parts)
        shape = list(parts[0].shape)
        axis = axis_of(layer, axis, len(shape))
        for x in parts:
            others = [n for at, n in enumerate(x.shape) if at != axis]
            if len(x.shape) != len(shape) or others != [*shape[:axis], *shape[axis + 1 :]]:
                raise InvalidNetworkError(
                    f"layer '{layer}': cannot join shapes {parts[0].shape} and {x.shape} along "
                    f"axis {axis}; they need as many axes, and all other lengths must be equal"
                )
        shape[axis] = sum(x.shape[axis] for x in parts)
        data, start = [], 0
        for x in parts:
            data.append((x, _shifted(len(shape), {axis: start})))
            start += x.shape[axis]
        return self._compute(layer, tuple(shape), MOVE, data)

    @undone_if_refused
    def slice(
        self,
        x: Tensor,
        axis: int,
        start: int | None = None,
        stop: int | None = None,
        step: int | None = None,
        *,
        name: str | None = None,
    ) -> Tensor:
        """Read ``[start:stop:step]`` of an axis, with Python's rules for what is left out.

        Raises
        ------
        InvalidArgumentError
            A step of zero, or bounds that are not integers.
        InvalidNetworkError
            A slice that reads nothing, or an axis out of range.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.slice(net.input((8, 7, 7)), 1, 1, None, 2).shape
        (8, 3, 7)
        """
        layer = self._layer("slice", name)
        self._own(layer, x)
        axis = axis_of(layer, axis, len(x.shape))
        try:
            read = range(x.shape[axis])[start:stop:step]
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"layer '{layer}': {error}") from None
        if not read:
            raise InvalidNetworkError(
                f"layer '{layer}': the slice {start}:{stop}:{step} of an axis of length "
                f"{x.shape[axis]} reads nothing"
            )
        return self._along(layer, x, axis, read)

    @undone_if_refused
    def split(
        self, x: Tensor, sections: int | Sequence[int], axis: int = 0, *, name: str | None = None
    ) -> tuple[Tensor, ...]:
        """Cut an axis into pieces named ``name/0``, ``name/1`` and so on.

        Parameters
        ----------
        x : Tensor
        sections : int or sequence of int
            The number of equal pieces, or the length of every piece.
        axis : int
        name : str, optional

        Raises
        ------
        InvalidArgumentError
            A length that is not a positive integer.
        InvalidNetworkError
            Lengths that do not add up to that of the axis, or an axis out of range.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> [part.shape for part in net.split(net.input((8, 7)), (2, 6))]
        [(2, 7), (6, 7)]
        """
        layer = self._layer("split", name)
        self._own(layer, x)
        axis = axis_of(layer, axis, len(x.shape))
        length = x.shape[axis]
        if isinstance(sections, Sequence):
            lengths = [integer(layer, "a length", part) for part in sections]
        else:
            pieces = min(integer(layer, "sections", sections), length + 1)
            lengths = [length // pieces] * pieces
        if sum(lengths) != length:
            raise InvalidNetworkError(
                f"layer '{layer}': an axis of length {length} cannot be cut into {sections!r}"
            )
        starts = [sum(lengths[:position]) for position in range(len(lengths))]
        return tuple(
            [
                self._along(f"{layer}/{position}", x, axis, range(start, start + part))
                for position, (start, part) in enumerate(zip(starts, lengths, strict=True))
            ]
        )

    @undone_if_refused
    def select(
        self, x: Tensor, axis: int, indices: Iterable[int], *, name: str | None = None
    ) -> Tensor:
        """Read constant indices of an axis: a gather, a channel shuffle.

        Parameters
        ----------
        x : Tensor
        axis : int
        indices : iterable of int
            Counted from the end if negative; may repeat.
        name : str, optional

        Raises
        ------
        InvalidArgumentError
            Indices that are not integers, or too far below zero.
        InvalidNetworkError
            No index, or one out of range; an axis out of range.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.select(net.input((8, 7)), 0, [0, 0, -1]).shape
        (3, 7)
        """
        layer = self._layer("select", name)
        self._own(layer, x)
        axis = axis_of(layer, axis, len(x.shape))
        length = x.shape[axis]
        given = items(indices)
        if given is None:
            raise InvalidArgumentError(
                f"layer '{layer}': expected a sequence of indices, got {described(indices)}"
            )
        chosen = [integer(layer, "an index", i, least=-length) for i in given]
        if not chosen or max(chosen) >= length:
            raise InvalidNetworkError(
                f"layer '{layer}': at least one index is needed, each between {-length} and "
                f"{length - 1}, got {chosen}"
            )
        picks = np.array([i % length for i in chosen], dtype=np.int64)
        return self._read(layer, x, {axis: (len(chosen), Relation.select(axis, axis, picks))})

    @undone_if_refused
    def pad(
        self, x: Tensor, padding: Sequence[tuple[int, int]], *, name: str | None = None
    ) -> Tensor:
        """Add positions that are computed from nothing, such as zeros.

        Parameters
        ----------
        x : Tensor
        padding : sequence of (before, after)
            Positions added on either side of every axis; negative to cut off.
        name : str, optional

        Raises
        ------
        InvalidArgumentError
            Not one pair of integers for every axis.
        InvalidNetworkError
            An axis of which nothing is left.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.pad(net.input((8, 7, 7)), [(0, 0), (1, 1), (0, 1)]).shape
        (8, 9, 8)
        """
        layer = self._layer("pad", name)
        self._own(layer, x)
        sides = pairs(layer, padding, len(x.shape), least=-LARGEST_WINDOW)
        shape = tuple(
            [n + before + after for n, (before, after) in zip(x.shape, sides, strict=True)]
        )
        if min(shape, default=1) < 1:
            raise InvalidNetworkError(
                f"layer '{layer}': padding {padding!r} leaves nothing of a tensor of shape "
                f"{x.shape}"
            )
        starts = {axis: before for axis, (before, _) in enumerate(sides) if sides[axis] != (0, 0)}
        return self._compute(layer, shape, MOVE, [(x, _shifted(len(shape), starts))])

    @undone_if_refused
    def upsample(self, x: Tensor, factor: PerAxis, *, name: str | None = None) -> Tensor:
        """Repeat every element along the spatial axes: nearest-neighbour upsampling.

        Parameters
        ----------
        x : Tensor, shape ``(channels, *spatial)``
        factor : int or one int for every spatial axis
        name : str, optional

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            A factor that is not a positive integer; no spatial axis.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.upsample(net.input((8, 7, 7)), (2, 3)).shape
        (8, 14, 21)
        """
        layer = self._layer("upsample", name)
        self._own(layer, x)
        factors = per_axis(layer, "factor", factor, len(spatial_shape(layer, x.shape)))
        changes = {}
        for axis, times in enumerate(factors, 1):
            relation = Relation.transposed_window(axis, axis, size=times, stride=times)
            changes[axis] = (x.shape[axis] * times, relation)
        return self._read(layer, x, changes)

    def _along(self, layer: str, x: Tensor, axis: int, read: range) -> Tensor:
        relation = Relation.slice(axis, axis, start=read.start, step=read.step)
        return self._read(layer, x, {axis: (len(read), relation)})

    def _read(self, layer: str, x: Tensor, changes: dict[int, tuple[int, Relation]]) -> Tensor:
        """Read some axes by relations that give them other lengths, the rest as they are."""
        shape = list(x.shape)
        relations = [Relation.same(axis, axis) for axis in range(len(shape))]
        for axis, (length, relation) in changes.items():
            shape[axis], relations[axis] = length, relation
        return self._compute(layer, tuple(shape), MOVE, [(x, relations)])


def _shifted(rank: int, starts: dict[int, int]) -> list[Relation]:
    """Every element, moved on by `starts` along the axes that have one."""
    return [
        Relation.window(axis, axis, size=1, padding=starts[axis])
        if axis in starts
        else Relation.same(axis, axis)
        for axis in range(rank)
    ]
