"""Which keys each query of an attention sees, as relations between the two axes.

A mask is never a map of queries times keys in a network: what a key gets is a sum over the queries
that see it, and what a query gets is the number of keys that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.shapes import boolean

__all__ = ["KeyMask", "MaskPart", "causal_mask", "checked_mask", "mask_parts"]

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class KeyMask(NamedTuple):
    """The keys that each query sees.

    Attributes
    ----------
    keys : int
        How many there are.
    numbers : numpy.ndarray of int, shape ``(queries,)``
        How many of them each query sees.
    window : tuple of int, or None
        Size and padding of the window of stride 1 that the keys of the queries are, if they are.
    rows : numpy.ndarray of int, or None
        The keys that the first query sees, those that the second one sees, and so on, if they are
        no window.
    """

    keys: int
    numbers: Integers
    window: tuple[int, int] | None
    rows: Integers | None

    @property
    def is_full(self) -> bool:
        """Whether every query sees every key."""
        return bool((self.numbers == self.keys).all())

    def key_relation(self, source: int, target: int) -> Relation:
        """From an axis of keys to an axis of queries: the keys that a query sees."""
        if self.window is not None:
            size, padding = self.window
            return Relation.window(source, target, size=size, padding=padding)
        assert self.rows is not None
        return Relation.sparse(source, target, self._offsets(), self.rows)

    def number_relation(self, source: int, target: int) -> Relation:
        """From an axis of queries to itself, with an edge for every key that a query sees."""
        queries = np.arange(self.numbers.size)
        if (self.numbers == 1).all():
            return Relation.same(source, target)
        seen = np.flatnonzero(self.numbers)
        offsets = np.concatenate([[0], np.cumsum(self.numbers > 0)]).astype(np.int64)
        return Relation.sparse(source, target, offsets, queries[seen], self.numbers[seen])

    def _offsets(self) -> Integers:
        return np.concatenate([[0], np.cumsum(self.numbers)]).astype(np.int64)

    @staticmethod
    def of(seen: Flags) -> KeyMask:
        """The mask of an array of queries times keys."""
        numbers = seen.sum(axis=1).astype(np.int64)
        keys = seen.shape[1]
        window = _window_of(seen, numbers)
        rows = None if window is not None else np.nonzero(seen)[1].astype(np.int64)
        return KeyMask(keys, numbers, window, rows)


class MaskPart(NamedTuple):
    """A mask, and where it holds.

    Attributes
    ----------
    mask : KeyMask
    axis : int or None
        A leading axis, counted from the last of them, -1, on, that only a part of is meant;
        None if the mask holds everywhere.
    positions : numpy.ndarray of int, or None
        The positions along that axis.
    """

    mask: KeyMask
    axis: int | None = None
    positions: Integers | None = None

    def leading_relation(self, source: int, target: int, length: int) -> Relation:
        """The same positions along the leading axis, as far as the mask holds for them."""
        assert self.positions is not None
        chosen = np.full(length, -1, dtype=np.int64)
        chosen[self.positions] = self.positions
        return Relation.select(source, target, chosen)


def causal_mask(queries: int, keys: int) -> KeyMask:
    """Every query sees the keys up to its own; the last query is at the last key."""
    numbers = np.clip(np.arange(queries, dtype=np.int64) + keys - queries + 1, 0, keys)
    return KeyMask(keys, numbers, (max(keys, 1), queries - 1), None)


def mask_parts(seen: Flags) -> list[MaskPart] | None:
    """An array of queries times keys, with leading axes, as masks of queries times keys.

    None if it differs along more than one leading axis.
    """
    for axis in range(seen.ndim - 2):
        first = seen.take([0], axis)
        if np.array_equal(np.broadcast_to(first, seen.shape), seen):
            seen = first
    varying = [axis for axis in range(seen.ndim - 2) if seen.shape[axis] > 1]
    if len(varying) > 1:
        return None
    if not varying:
        return [MaskPart(KeyMask.of(seen.reshape(seen.shape[-2:])))]
    (axis,) = varying
    apart = seen.reshape(seen.shape[axis], *seen.shape[-2:])
    masks, which = np.unique(apart.reshape(len(apart), -1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [
        MaskPart(
            KeyMask.of(one.reshape(seen.shape[-2:])),
            axis - (seen.ndim - 2),
            np.flatnonzero(which == number).astype(np.int64),
        )
        for number, one in enumerate(masks)
    ]


def checked_mask(
    layer: str,
    causal: bool,
    mask: Any,
    leading: Sequence[int],
    queries: int,
    keys: int,
) -> list[MaskPart]:
    """The masks that a user gives; none if every query sees every key.

    Raises
    ------
    InvalidArgumentError
        Both are given, or a mask that is no array of truth values.
    InvalidNetworkError
        A mask that does not fit queries and keys.
    """
    causal = boolean(layer, "causal", causal)
    if mask is None:
        if not causal:
            return []
        whole = causal_mask(queries, keys)
        return [] if whole.is_full else [MaskPart(whole)]
    if causal:
        raise InvalidArgumentError(
            f"layer '{layer}': causal=True and a mask were given; give the mask alone, with what "
            "comes later left out of it"
        )
    seen = np.asarray(mask)
    if seen.dtype != np.bool_:
        raise InvalidArgumentError(
            f"layer '{layer}': mask must be an array of truth values, True where a query sees a "
            f"key, got {described(mask)}"
        )
    shape = (*leading, queries, keys)
    try:
        if seen.ndim < 2:
            raise ValueError
        np.broadcast_to(seen, shape)
    except ValueError:
        raise InvalidNetworkError(
            f"layer '{layer}': a mask of shape {seen.shape} does not fit scores of shape {shape}"
        ) from None
    seen = np.broadcast_to(seen, (*seen.shape[:-2], queries, keys))
    parts = mask_parts(seen)
    if parts is None:
        raise InvalidNetworkError(
            f"layer '{layer}': a mask of shape {seen.shape} differs along more than one leading "
            "axis; apply attention to each part of one of them"
        )
    return [] if all(part.mask.is_full for part in parts) else parts


def _window_of(seen: Flags, numbers: Integers) -> tuple[int, int] | None:
    """Size and padding of the window of stride 1 that the rows of a mask are, if they are."""
    queries, keys = seen.shape
    if not seen.size or not numbers.any():
        return None
    first, last = seen.argmax(axis=1), keys - seen[:, ::-1].argmax(axis=1)
    at = np.arange(queries)
    filled = numbers > 0
    begins, ends = filled & (first > 0), filled & (last < keys)
    padding = int((at - first)[begins][0]) if begins.any() else queries - 1
    beyond = int((last - at)[ends][0]) if ends.any() else keys
    low = np.clip(at - padding, 0, keys)
    high = np.clip(at + beyond, 0, keys)
    fits = padding + beyond >= 1 and np.array_equal(np.maximum(high - low, 0), numbers)
    fits = fits and np.array_equal(first[filled], low[filled])
    return (padding + beyond, padding) if fits and (last - first == numbers)[filled].all() else None
