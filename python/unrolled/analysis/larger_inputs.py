"""The image a published lower bound is for; see `analyze`."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from unrolled.errors import InvalidArgumentError, InvalidNetworkError

if TYPE_CHECKING:
    from unrolled.counting.counts import Counts

__all__ = ["larger_image"]


def larger_image(counts: Counts, size: int | Sequence[int]) -> tuple[int, int, int]:
    """The shape of an image input with sides at least as long as those of the model's own."""
    shapes = [tensor.shape for tensor in counts.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][0] == 1:
        shapes = [shapes[0][1:]]  # The batch axis of an imported model.
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise InvalidNetworkError(
            f"network '{counts.name}': input_size needs one input of shape (channels, height, "
            f"width), got {', '.join(map(str, shapes)) or 'none'}"
        )
    channels, *own = shapes[0]
    sides = list(size) if isinstance(size, Sequence) else [size, size]
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise InvalidArgumentError(
            f"input_size must be one side or (height, width) in pixels, got {size!r}"
        )
    height, width = (int(side) for side in sides)
    if height < own[0] or width < own[1]:
        raise InvalidArgumentError(
            f"network '{counts.name}': the bound is for inputs of at least the {own[0]} x {own[1]} "
            f"pixels counted, got {height} x {width}; build the model for that size instead"
        )
    return channels, height, width
