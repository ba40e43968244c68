"""Checks and window arithmetic that several layers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import inf
from operator import index
from typing import Any, Literal, NamedTuple, TypeAlias

from unrolled._core import Relation
from unrolled._support.arguments import checked_number, items
from unrolled._support.hints import described
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    SizeOverflowError,
    UnrolledError,
)

PerAxis: TypeAlias = int | Sequence[int]
Padding: TypeAlias = (
    Literal["same", "symmetric", "valid"] | int | Sequence[int] | Sequence[tuple[int, int]]
)

# The core numbers elements with 64 bits and windows with 40; larger sizes are refused here so
# that the message can name the layer.
LARGEST_LENGTH = 1 << 62
LARGEST_WINDOW = 1 << 40


class Slide(NamedTuple):
    """A window that slides over one axis of `extent` positions and stops `length` times."""

    extent: int
    size: int
    stride: int
    dilation: int
    padding: int
    length: int

    @property
    def _window(self) -> dict[str, int]:
        """The arguments that all relations of windows take."""
        return {
            "size": self.size,
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": self.padding,
        }

    def relation(self, source: int, target: int) -> Relation:
        """From the axis under the window to the axis of its stops."""
        if self.size == 1 and self.stride == 1 and not self.padding and self.extent == self.length:
            return Relation.same(source, target)
        return Relation.window(source, target, **self._window)

    def taps(self, source: int, target: int) -> Relation:
        """From the axis of a kernel's taps to the axis of the window's stops."""
        if self.size == 1 and not self.padding and (self.length - 1) * self.stride < self.extent:
            return Relation.all(source, target)
        return Relation.taps(source, target, extent=self.extent, **self._window)

    def transposed(self, source: int, target: int) -> Relation:
        """From the input axis of a transposed convolution to that of its output."""
        return Relation.transposed_window(source, target, **self._window)

    def transposed_taps(self, source: int, target: int) -> Relation:
        """From the axis of a kernel's taps to the output of a transposed convolution."""
        return Relation.transposed_taps(source, target, extent=self.extent, **self._window)


def integer(layer: str, what: str, value: Any, least: int = 1) -> int:
    """`value` as an int of at least `least`."""
    if type(value) is int and least <= value <= LARGEST_LENGTH:
        return value
    try:
        number = index(value)
    except TypeError:
        raise InvalidArgumentError(
            f"layer '{layer}': {what} must be an integer, got {value!r}"
        ) from None
    if number < least:
        raise InvalidArgumentError(
            f"layer '{layer}': {what} must be at least {least}, got {number}"
        )
    if number > LARGEST_LENGTH:
        raise SizeOverflowError(
            f"layer '{layer}': {what} {number} overflows 64 bits; use smaller sizes"
        )
    return number


def boolean(layer: str, what: str, value: Any) -> bool:
    """Whether `value` is true, if that can be said."""
    try:
        return bool(value)
    except ValueError:  # An array of several elements.
        raise InvalidArgumentError(
            f"layer '{layer}': {what} must be True or False, got {described(value)}"
        ) from None


def non_negative(layer: str, what: str, value: Any) -> float:
    """`value` as a finite float of at least 0."""
    if type(value) is float and 0 <= value < inf:
        return value
    number = checked_number(f"layer '{layer}': {what}", value)
    if not 0 <= number < inf:
        raise InvalidArgumentError(
            f"layer '{layer}': {what} must be a number of at least 0, got {described(value)}"
        )
    return number


def checked_shape(layer: str, shape: int | Iterable[int]) -> tuple[int, ...]:
    """A shape as a tuple of positive ints; an int means one axis."""
    lengths = items(shape)
    if lengths is None:
        return (integer(layer, "a shape that is no sequence", shape),)
    return tuple([integer(layer, "a length", length) for length in lengths])


def per_axis(layer: str, what: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """One int for every axis: the same for all, or one each."""
    if type(value) is int and least <= value <= LARGEST_WINDOW:
        return (value,) * axes
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != axes:
            raise InvalidArgumentError(
                f"layer '{layer}': {what} needs one value for each of the {axes} spatial axes, "
                f"got {tuple(value)}"
            )
        numbers = tuple([integer(layer, what, number, least) for number in value])
    else:
        numbers = (integer(layer, what, value, least),) * axes
    if max(numbers) > LARGEST_WINDOW:
        raise SizeOverflowError(f"layer '{layer}': {what} = {max(numbers)} is too large to count")
    return numbers


def axis_of(layer: str, axis: Any, rank: int) -> int:
    """`axis` counted from the front."""
    try:
        number = index(axis)
    except TypeError:
        raise InvalidArgumentError(
            f"layer '{layer}': an axis must be an integer, got {axis!r}"
        ) from None
    if not -rank <= number < rank:
        raise InvalidNetworkError(
            f"layer '{layer}': axis {number} is out of range for a tensor of {rank} axes"
        )
    return number % rank


def axes_of(layer: str, axes: int | Iterable[int], rank: int) -> tuple[int, ...]:
    """Distinct axes counted from the front."""
    given = items(axes)
    numbers = tuple([axis_of(layer, axis, rank) for axis in ([axes] if given is None else given)])
    if len(set(numbers)) != len(numbers):
        raise InvalidArgumentError(f"layer '{layer}': axes {numbers} name an axis twice")
    return numbers


def slides(
    layer: str, spatial: tuple[int, ...], size: Any, stride: Any, dilation: Any, padding: Padding
) -> tuple[Slide, ...]:
    """The windows of a convolution or pooling, one for every spatial axis."""
    axes = len(spatial)
    arguments = (
        spatial,
        per_axis(layer, "window size", size, axes),
        per_axis(layer, "stride", stride, axes),
        per_axis(layer, "dilation", dilation, axes),
        tuple(paddings(layer, padding, axes)),
    )
    try:
        return _slides(*arguments)
    except UnrolledError as error:
        raise type(error)(f"layer '{layer}': {error}") from None


def checked_windows(
    layer: str, shape: tuple[int, ...], size: Any, stride: Any, dilation: Any, padding: Any
) -> tuple[Any, Any, Any, Any]:
    """Sizes, strides, dilations and paddings of windows, as `slides` takes them.

    They can be compared: what is not one plain number or the name of a padding is a tuple of plain
    numbers.
    """
    if type(size) is type(stride) is type(dilation) is int and type(padding) is str:
        return size, stride, dilation, padding
    axes = len(spatial_shape(layer, shape))
    return (
        per_axis(layer, "window size", size, axes),
        per_axis(layer, "stride", stride, axes),
        per_axis(layer, "dilation", dilation, axes),
        padding if type(padding) is str else tuple(paddings(layer, padding, axes)),
    )


@lru_cache
def _slides(*arguments: tuple[Any, ...]) -> tuple[Slide, ...]:
    """Windows by their extents, sizes, strides, dilations and paddings; layers have many alike."""
    return tuple([_slide(*window) for window in zip(*arguments, strict=True)])


@lru_cache
def under_windows(windows: tuple[Slide, ...]) -> tuple[Relation, ...]:
    """What each stop of some windows reads, one for every axis behind that of the channels."""
    return tuple([window.relation(axis, axis) for axis, window in enumerate(windows, 1)])


def _slide(
    extent: int,
    size: int,
    stride: int,
    dilation: int,
    padding: tuple[int, int] | str,
) -> Slide:
    reach = checked_reach(size, dilation)
    if padding == "same":
        # As Keras and TensorFlow: every stride-th position has a window, and the padding that
        # this takes goes to the end if it is odd.
        length = -(-extent // stride)
        before = max((length - 1) * stride + reach - extent, 0) // 2
        return Slide(extent, size, stride, dilation, before, length)
    before, after = pair(padding, reach)
    padded = extent + before + after
    if reach > padded:
        spread = f" with dilation {dilation}" if dilation > 1 else ""
        raise InvalidNetworkError(
            f"a window of size {size}{spread} covers {reach} positions, more than the padded input "
            f"has ({before} + {extent} + {after}); pad more or use a smaller one"
        )
    return Slide(extent, size, stride, dilation, before, (padded - reach) // stride + 1)


def checked_reach(size: int, dilation: int) -> int:
    """How many positions a window covers from its first tap to its last."""
    reach = (size - 1) * dilation + 1
    if reach > LARGEST_WINDOW:
        raise SizeOverflowError(
            f"a window of {size} taps with dilation {dilation} is too large to count"
        )
    return reach


def pair(padding: tuple[int, int] | str, reach: int) -> tuple[int, int]:
    """Positions added before and after for every padding but "same"."""
    if isinstance(padding, tuple):
        return padding
    return (reach // 2, reach // 2) if padding == "symmetric" else (0, 0)


def paddings(layer: str, padding: Padding, axes: int) -> Sequence[tuple[int, int] | str]:
    """A padding for every axis: the name of a rule, or positions before and after."""
    if isinstance(padding, str):
        if padding not in ("same", "symmetric", "valid"):
            raise InvalidArgumentError(
                f"layer '{layer}': padding must be 'same', 'symmetric', 'valid', an integer, or "
                f"one integer or pair (before, after) for every spatial axis, got {padding!r}"
            )
        return (padding,) * axes
    if isinstance(padding, Sequence) and any(isinstance(part, Sequence) for part in padding):
        return pairs(layer, padding, axes, least=0)
    return [(p, p) for p in per_axis(layer, "padding", padding, axes, least=0)]


def pairs(layer: str, padding: Any, axes: int, least: int) -> list[tuple[int, int]]:
    """Positions before and after for every axis, each at least `least`."""
    parts = list(padding) if isinstance(padding, Sequence) else []
    if len(parts) != axes or not all(isinstance(p, Sequence) and len(p) == 2 for p in parts):
        raise InvalidArgumentError(
            f"layer '{layer}': padding needs one pair (before, after) for each of {axes} axes, "
            f"got {padding!r}"
        )
    found = [
        (integer(layer, "padding", before, least), integer(layer, "padding", after, least))
        for before, after in parts
    ]
    if any(abs(side) > LARGEST_WINDOW for both in found for side in both):
        raise SizeOverflowError(f"layer '{layer}': padding {padding!r} is too large to count")
    return found


def spatial_shape(layer: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The spatial part of a channels-first shape of one to three spatial axes."""
    if not 2 <= len(shape) <= 4:
        raise InvalidNetworkError(
            f"layer '{layer}': expected channels and one to three spatial axes, such as "
            f"(3, 224, 224), got a tensor of shape {shape}"
        )
    return shape[1:]
