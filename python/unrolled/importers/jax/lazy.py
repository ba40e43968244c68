"""Broadcast tensors of a jaxpr that wait to be made, as most are only read element by element.

JAX broadcasts by operations of their own. A bias that was broadcast is a tensor as large as what
it is added to; what is added is the bias. A statistic of groups of channels that is repeated for
every channel (group norms) must be known as the statistic of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from unrolled.importers.jax.tracer import RememberingTracer
from unrolled.importers.tracing.values import Constant, Node, Operand, Shape, Value, size_of

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["Item", "Lazy", "broadcast", "elementwise", "made", "reshaped"]

Entry: TypeAlias = tuple[int, int]
"""Length of an axis after broadcasting, and before."""


@dataclass(frozen=True, slots=True, eq=False)
class Lazy:
    """An operand broadcast to a shape.

    Attributes
    ----------
    operand : Operand
        Its last axis meets the last.
    splits : tuple of tuple of int
        For each axis of the result the axes it is made of, in row-major order: more than one only
        for statistics.
    """

    operand: Operand
    splits: tuple[Shape, ...]

    @property
    def shape(self) -> Shape:
        """The shape after broadcasting."""
        return tuple([size_of(split) for split in self.splits])

    @property
    def is_split(self) -> bool:
        """Whether an axis of the result is made of several."""
        return any(len(split) > 1 for split in self.splits)

    @property
    def entries(self) -> list[list[Entry]]:
        """Lengths after and before broadcasting, for every axis of the result."""
        frame = list(chain.from_iterable(self.splits))
        lengths = iter([1] * (len(frame) - self.operand.rank) + list(self.operand.shape))
        return [[(length, next(lengths)) for length in split] for split in self.splits]


Item: TypeAlias = Operand | Lazy


def made(tracer: Tracer, item: Item) -> Operand:
    """The operand that an item is."""
    if not isinstance(item, Lazy):
        return item
    whole = tracer.expand(item.operand, tuple(chain.from_iterable(item.splits)))
    return tracer.reshape(whole, item.shape) if item.is_split else whole


def broadcast(tracer: Tracer, item: Item, shape: Shape, axes: Sequence[int]) -> Item:
    """Broadcast so that axis i becomes axis ``axes[i]`` of `shape`."""
    given = _entries(item)
    entries: list[list[Entry]] = [[(length, 1)] for length in shape]
    for axis, of_axis in zip(axes, given, strict=True):
        if size_of([long for long, _ in of_axis]) == shape[axis]:
            entries[axis] = of_axis
    return _item(tracer, item, entries)


def reshaped(tracer: Tracer, item: Item, shape: Shape) -> Item:
    """Another shape in row-major order."""
    if isinstance(item, Lazy):
        merged = _merge([e for of_axis in item.entries for e in of_axis if e[0] != 1], shape)
        if merged is not None:
            is_split = any(len(of_axis) > 1 for of_axis in merged)
            if not is_split or _is_statistic(item.operand):
                return _item(tracer, item, merged)
    elif isinstance(item, Value) and shape == (*[1] * (len(shape) - item.rank), *item.shape):
        return Lazy(item, _unsplit(shape))
    return tracer.reshape(made(tracer, item), shape)


def elementwise(
    tracer: Tracer, items: Sequence[Item], shape: Shape, function: Callable[..., Operand]
) -> Item:
    """A function of elements at the same index, on operands as they are before broadcasting."""
    splits = _frame_of_statistics(tracer, items, shape) or _unsplit(shape)
    result = function(*[_fit_to_frame(tracer, item, splits) for item in items])
    frame = tuple(chain.from_iterable(splits))
    if isinstance(result, Constant):
        return tracer.reshape(tracer.expand(result, frame), shape)
    whole = result.shape == frame
    if whole and frame == shape:
        return result
    if whole and not _is_statistic(result):
        return tracer.reshape(result, shape)
    return Lazy(result, splits)


def _frame_of_statistics(
    tracer: Tracer, items: Sequence[Item], shape: Shape
) -> tuple[Shape, ...] | None:
    """Axes split as in the reshape that a statistic among the items was taken from."""
    for item in items:
        operand = item.operand if isinstance(item, Lazy) else item
        if isinstance(operand, Value) and operand.node.is_statistic:
            for node in _find_reduced(operand.node):
                origin = _origin(tracer, node)
                if origin is not None and len(origin.shape) == len(shape):
                    splits = _split_like(origin.shape, shape, node.shape)
                    if splits is not None:
                        return splits
    split = next((item for item in items if isinstance(item, Lazy) and item.is_split), None)
    if split is None:
        return None
    pairs = zip(shape, split.splits, strict=True)
    return tuple([new if size_of(new) == length else (length,) for length, new in pairs])


def _find_reduced(node: Node) -> Iterator[Node]:
    """What the reductions that a statistic is made of read."""
    for value in node.operands:
        if value.node.is_statistic:
            yield from _find_reduced(value.node)
        if node.kind == "reduction":
            yield value.node


def _origin(tracer: Tracer, node: Node) -> Value | None:
    """What a tensor, or the one that it is a function of, is a reshape of."""
    origins = tracer.origins if isinstance(tracer, RememberingTracer) else {}
    chain = node.functions_of(normalised=True)
    return next((origins[one] for one in chain if one in origins), None)


def _split_like(origin: Shape, shape: Shape, frame: Shape) -> tuple[Shape, ...] | None:
    """The axes of `shape` split as those of `origin` are in `frame`, if they can be."""
    lengths = list(frame)
    splits: list[Shape] = []
    for whole, length in zip(origin, shape, strict=True):
        split: list[int] = []
        while lengths and (size_of(split) < whole or (not split and lengths[0] == 1)):
            split.append(lengths.pop(0))
        if size_of(split) != whole or length not in (1, whole):
            return None
        splits.append(tuple(split if length == whole else [1] * len(split)))
    if set(lengths) - {1} or not splits:
        return None
    return (*splits[:-1], (*splits[-1], *lengths))


def _unsplit(shape: Shape) -> tuple[Shape, ...]:
    return tuple([(length,) for length in shape])


def _is_statistic(operand: Operand) -> bool:
    return isinstance(operand, Value) and operand.node.is_statistic


def _entries(item: Item) -> list[list[Entry]]:
    if isinstance(item, Lazy):
        return item.entries
    return [[(length, length)] for length in item.shape]


def _item(tracer: Tracer, item: Item, entries: list[list[Entry]]) -> Item:
    """The operand of an item with its axes of length 1 where `entries` has them."""
    operand = item.operand if isinstance(item, Lazy) else item
    flat = list(chain.from_iterable(entries))
    result = _with_lengths(tracer, operand, [short for _, short in flat])
    if result.shape == tuple([long for long, _ in flat]) == tuple(map(_length, entries)):
        return result
    return Lazy(result, tuple([tuple([long for long, _ in of_axis]) for of_axis in entries]))


def _length(entries: list[Entry]) -> int:
    return size_of([long for long, _ in entries])


def _with_lengths(tracer: Tracer, operand: Operand, lengths: list[int]) -> Operand:
    """The operand reshaped, without axes of length 1 in front that it does not have."""
    extra = len(lengths) - operand.rank
    if extra > 0 and (*[1] * extra, *operand.shape) == tuple(lengths):
        return operand
    return tracer.reshape(operand, lengths)


def _fit_to_frame(tracer: Tracer, item: Item, splits: Sequence[Shape]) -> Operand:
    """An operand whose axes are those of `splits` one after the other, or of length 1."""
    entries: list[list[Entry]] = [[(1, 1)]] * (len(splits) - len(item.shape)) + _entries(item)
    lengths: list[int] = []
    for of_axis, split in zip(entries, splits, strict=True):
        short = [length for _, length in of_axis]
        if len(of_axis) == len(split) and _length(of_axis) in (1, size_of(split)):
            lengths += short
        elif set(short) <= {1}:
            lengths += [1] * len(split)
        elif len(of_axis) == 1:
            lengths += split
        else:  # The groups have another size.
            return _fit_to_frame(tracer, made(tracer, item), splits)
    return _with_lengths(tracer, item.operand if isinstance(item, Lazy) else item, lengths)


def _merge(flat: list[Entry], shape: Shape) -> list[list[Entry]] | None:
    """Neighbouring axes put together to the lengths of a shape, if they can be."""
    waiting = iter(flat)
    result: list[list[Entry]] = []
    for length in shape:
        of_axis: list[Entry] = []
        while _length(of_axis) < length:
            entry = next(waiting, None)
            if entry is None:
                return None
            of_axis.append(entry)
        if _length(of_axis) != length:
            return None
        result.append(of_axis or [(1, 1)])
    return result if next(waiting, None) is None else None
