"""Axes that are linear next to zero and logarithmic elsewhere, on both sides of it.

Where things are on such an axis goes by the inverse hyperbolic sine.
"""

from __future__ import annotations

import math

__all__ = ["MANY_SCALES", "decade_label", "decades"]

MANY_SCALES = 30.0
"""The ratio of the largest to the smallest number from which on such an axis is needed."""
CLOSEST = 0.24
"""The least distance of two ticks, as a part of one side of the axis."""


def decades(width: float, largest: float) -> list[float]:
    """Places for ticks: zero, and powers of ten of either sign that leave room for their labels.

    Parameters
    ----------
    width : float
        Up to where the axis is linear.
    largest : float
        Where both sides end.

    Examples
    --------
    >>> decades(0.002, 3000.0)
    [-1000.0, -10.0, -0.1, 0.0, 0.1, 10.0, 1000.0]
    """
    room = CLOSEST * math.asinh(largest / width)
    powers: list[float] = []
    for power in range(math.floor(math.log10(largest)), math.floor(math.log10(width)) - 1, -1):
        place = math.asinh(10.0**power / width)
        if place >= room and (not powers or math.asinh(powers[-1] / width) - place >= room):
            powers.append(10.0**power)
    return [*(-power for power in powers), 0.0, *reversed(powers)]


def decade_label(place: float) -> str:
    """A tick of `decades` as short text.

    Examples
    --------
    >>> [decade_label(place) for place in (-1000.0, 0.0, 0.1, 1e-5, -1e4)]
    ['-1000', '0', '0.1', '1e-5', '-1e4']
    """
    if place == 0 or 0.01 <= abs(place) <= 1000:
        return f"{place:g}"
    return f"{'-' * (place < 0)}1e{round(math.log10(abs(place)))}"
