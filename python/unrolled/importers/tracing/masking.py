"""Masks that are known while a model is read: which elements are constants, and what is left.

A mask is an array of truth values that broadcasts to the shape of a tensor, True where an element
is hidden: a number whatever the tensor has there, so that nothing has an edge to it. What becomes
of masks in products is in `unrolled.importers.tracing.products`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.budget import LARGEST_CONSTANT, LARGEST_MASK
from unrolled.importers.tracing.values import Array, Operand, Shape, Value, size_of

__all__ = [
    "LOW",
    "Flags",
    "Hiding",
    "hidden_of",
    "hiding_links",
    "is_low",
    "is_put_out",
    "narrowed",
    "puts_out",
    "reshaped_mask",
    "varying_axes",
    "with_hidden",
    "without_mask",
]

Flags = npt.NDArray[np.bool_]

LOW = -1e4
"""A score of at most this much is put out: a softmax gives it no weight."""

MOST_LINKS = 4096
"""Of one mask that differs along an axis."""


def is_low(fill: float | None) -> bool:
    """Whether elements of this value are put out by a softmax."""
    return fill is not None and fill <= LOW


def puts_out(array: Array) -> bool:
    """Whether all elements of a constant are so low that they put scores out, or zero."""
    if array.dtype.kind != "f" or not array.size:
        return False
    low = array <= LOW
    return bool(low.any() and np.all(low | (array == 0)))


def is_put_out(array: Array) -> Flags:
    """Where a constant that is added puts scores out."""
    if array.dtype.kind not in "fi":
        return np.zeros((1,) * array.ndim, dtype=bool)
    return np.asarray(array <= LOW)


def hidden_of(x: Operand) -> Flags | None:
    """Where a tensor is a known number, with as many axes as it has; None if nowhere."""
    if not isinstance(x, Value) or x.fill is None or x.node.hidden is None or x.axes is not None:
        return None
    hidden: Flags = x.node.hidden
    return hidden if x.shape == x.node.shape else None


def with_hidden(x: Operand, hidden: Flags, fill: float | None) -> Operand:
    """A new tensor of which some elements are known to be a number."""
    if not isinstance(x, Value) or fill is None or x.axes is not None or x.shape != x.node.shape:
        return x
    hidden = narrowed(np.broadcast_to(hidden, x.shape))
    if not hidden.any():
        return x
    x.node.hidden = hidden
    return replace(x, fill=fill)


def without_mask(x: Value) -> Value | None:
    """What a masked tensor was before; None if that is not known."""
    if x.node.kind != "masked" or x.axes is not None:
        return None
    (inner,) = x.node.operands
    function = inner.function.followed_by(x.function)
    return replace(inner, sign=x.sign, mapped=x.mapped or inner.mapped, function=function)


def narrowed(hidden: Flags) -> Flags:
    """A mask with length 1 along the axes along which it does not differ."""
    for axis in range(hidden.ndim):
        if hidden.shape[axis] == 1:
            continue
        first = hidden[(slice(None),) * axis + (slice(1),)]
        if hidden.strides[axis] == 0 or bool(np.all(hidden == first)):
            hidden = first
    return hidden


def reshaped_mask(hidden: Flags, old: Shape, new: Shape) -> Flags | None:
    """A mask of a tensor of another shape in row-major order; None if it takes too much."""
    long = [axis for axis, length in enumerate(old) if length != 1]
    if [old[axis] for axis in long] == [n for n in new if n != 1]:
        following = iter([hidden.shape[axis] for axis in long])
        return hidden.reshape([1 if n == 1 else next(following) for n in new])
    kept = 0
    while kept < min(len(old), len(new)) and old[-1 - kept] == new[-1 - kept]:
        kept += 1
    if all(n == 1 for n in hidden.shape[: len(old) - kept]):
        return hidden.reshape((*[1] * (len(new) - kept), *hidden.shape[len(old) - kept :]))
    if size_of(old) > LARGEST_CONSTANT:
        return None
    return np.broadcast_to(hidden, old).reshape(new)


def varying_axes(hidden: Flags) -> list[int]:
    """The axes along which a narrowed mask differs."""
    return [axis for axis in range(hidden.ndim) if hidden.shape[axis] > 1]


class Hiding(NamedTuple):
    """How a tensor without hidden elements is made from the whole one.

    Attributes
    ----------
    span : (int, int) or None
        The axes, from the first to the one after the last, that have to be one axis for it.
    links : list of list of Relation
        Each a link from the tensor, with these axes as one.
    positions : int
        How many positions the relations list.
    """

    span: tuple[int, int] | None
    links: list[list[Relation]]
    positions: int


def hiding_links(hidden: Flags, shape: Shape) -> Hiding:
    """The links that read what a mask leaves.

    Raises
    ------
    InvalidModelError
        A mask that is followed element by element over too many.
    """
    hidden = narrowed(hidden)
    axes = varying_axes(hidden)
    if not axes:  # All elements are hidden, and nothing is read.
        return Hiding(None, [], 0)
    lines = _lines(~hidden, axes)
    same = [Relation.same(axis, axis) for axis in range(len(shape))]
    if lines is not None:
        for axis, line in zip(axes, lines, strict=True):
            same[axis] = _selecting(axis, line)
        return Hiding(None, [same], sum(line.size for line in lines))
    if axes[-1] - axes[0] >= len(axes) or len(axes) > 2:
        apart = _by_first_axis(hidden, axes, shape)
        if apart is not None:
            return apart
    first, last = axes[0], axes[-1] + 1
    size = size_of(shape[first:last])
    if size > LARGEST_MASK:
        raise InvalidModelError(
            f"a mask that is followed over {size:,} elements one by one is too large; at most "
            f"{LARGEST_MASK:,} are; export the model with smaller inputs"
        )
    flat = np.broadcast_to(hidden, _spanned(hidden.shape, shape, first, last))
    return Hiding((first, last), [_flat_link(~flat, first, last)], flat.size)


def _by_first_axis(hidden: Flags, axes: Sequence[int], shape: Shape) -> Hiding | None:
    """A link for each kind of slice along the first axis, if what is left of them is simple."""
    first, rest = axes[0], axes[1:]
    rows = np.moveaxis(hidden, first, 0).reshape(hidden.shape[first], -1)
    _, kinds, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    if kinds.size > MOST_LINKS or len(rest) > 2 or rest[-1] - rest[0] >= len(rest):
        return None
    is_flat = len(rest) == 2
    links = []
    positions = 0
    for number, kind in enumerate(kinds):
        part = np.take(hidden, [kind], first)
        if part.all():
            continue
        if is_flat:
            begin, end = rest[0], rest[-1] + 1
            relations = _flat_link(
                ~np.broadcast_to(part, _spanned(part.shape, shape, begin, end)), begin, end
            )
        else:
            relations = [Relation.same(axis, axis) for axis in range(len(shape))]
            relations[rest[0]] = _selecting(rest[0], ~part.reshape(-1))
        relations[first] = _selecting(first, which == number)
        links.append(relations)
        positions += part.size + which.size
    return Hiding((rest[0], rest[-1] + 1) if is_flat else None, links, positions)


def _spanned(own: Shape, shape: Shape, first: int, last: int) -> Shape:
    """The shape of a mask with its axes from `first` to `last` as long as those of a tensor."""
    return (*own[:first], *shape[first:last], *own[last:])


def _flat_link(visible: Flags, first: int, last: int) -> list[Relation]:
    """Reads what is visible along the axes from `first` to `last`, which are one axis."""
    gone = last - first - 1
    relations = [Relation.same(axis, axis) for axis in range(visible.ndim - gone)]
    relations[first] = _selecting(first, visible.reshape(-1))
    return relations


def _lines(visible: Flags, axes: Sequence[int]) -> list[Flags] | None:
    """What is visible along each axis, if that is all there is to it."""
    lines: list[Flags] = []
    product = np.ones((1,) * visible.ndim, dtype=bool)
    for axis in axes:
        others = tuple(one for one in range(visible.ndim) if one != axis)
        line: Flags = np.asarray(visible.any(axis=others))
        lines.append(line)
        product = product & line.reshape([-1 if one == axis else 1 for one in range(visible.ndim)])
    return lines if np.array_equal(product, visible) else None


def _selecting(axis: int, line: Flags) -> Relation:
    """The same positions of an axis, as far as they are visible."""
    if line.all():
        return Relation.same(axis, axis)
    return Relation.select(axis, axis, np.where(line, np.arange(line.size), -1))
