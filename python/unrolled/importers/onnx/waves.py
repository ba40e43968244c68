"""Tables of sines and cosines of positions, told by their numbers.

An optimiser works out rotary and sinusoidal embeddings beforehand and stores them like weights.
Every column of such a table is the cosine or the sine of an angle that grows by the same amount
from each position to the next. One frequency explains all numbers of a column, to the precision of
their type, and no weight that was learnt or drawn at random does that over a few positions and
columns.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["has_name_of_operator", "is_table_of_waves", "may_be_folded", "may_begin"]

Array = npt.NDArray[Any]

FEWEST_POSITIONS = 4

ENOUGH_BITS = 64
"""By so many bits a table must agree with waves, counted over all numbers but those at the first
two positions, from which amplitude and frequency follow."""

FINEST = 2.0**-23
"""Sines are worked out in single precision at best, whatever they are stored in."""

ANGLE_ERROR = 2.0**-21
"""Relative error of angles, which are worked out in single precision."""

OPERATORS = (
    *("add", "cat", "clone", "concat", "cos", "embedding", "expand", "getitem", "index", "mul"),
    *("repeat_interleave", "reshape", "select", "sin", "slice", "squeeze", "stack", "_to_copy"),
    *("to", "type_as", "unsqueeze", "view", "where"),
)
"""Operators that a table of positions may end with, as PyTorch calls what they make. Weights of
layers are transposed, too."""

OF_OPERATOR = re.compile(rf"({'|'.join(OPERATORS)})(_\d+)?$")
NUMBERED = re.compile(r"/|onnx::|_?val_\d+$|_v_\d+$|const|.*_output_\d+$", re.I)


def has_name_of_operator(name: str) -> bool:
    """Whether a stored tensor is called after the operator that an optimiser worked out.

    Examples
    --------
    >>> has_name_of_operator("unsqueeze_14"), has_name_of_operator("encoder.pos_embed")
    (True, False)
    """
    return OF_OPERATOR.match(name) is not None


def may_be_folded(name: str) -> bool:
    """Whether a stored tensor has a name that an exporter made up, as none of a module has."""
    return has_name_of_operator(name) or NUMBERED.match(name) is not None


def may_begin(first: Array) -> bool:
    """Whether the numbers at the first position are all zero or plus or minus one amplitude."""
    if first.size < 2 or not np.isfinite(first).all():
        return False
    amplitude = np.abs(first).max()
    return bool(np.all((first == 0) | (np.abs(first) == amplitude)))


def is_table_of_waves(array: Array) -> bool:
    """Whether numbers are sines and cosines of positions along one of their axes.

    At position 0 a cosine is the amplitude, which all columns share, and a sine is zero.

    Parameters
    ----------
    array : ndarray
        Of floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> angles = np.arange(8)[:, None] * np.array([1.0, 0.1, 0.01])
    >>> is_table_of_waves(np.cos(angles)), is_table_of_waves(np.cos(angles) ** 2)
    (True, False)
    """
    precision = _precision(array)
    if precision is None:
        return False
    for axis in range(array.ndim):
        if array.shape[axis] >= FEWEST_POSITIONS:
            first = np.asarray(array.take(0, axis), dtype=np.float64)
            if not may_begin(first):
                continue
            columns = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
            if _are_waves(columns.astype(np.float64), precision):
                return True
    return False


def _precision(array: Array) -> float | None:
    """The distance from one to the next number of the type; None if it is no plain float."""
    if array.dtype.kind == "f":
        return max(float(np.finfo(array.dtype).eps), FINEST)
    return 2.0**-7 if array.dtype.name == "bfloat16" else None


def _are_waves(columns: Array, precision: float) -> bool:
    """Whether each column is a cosine or a sine whose frequency is fitted to it."""
    if not np.isfinite(columns).all():
        return False
    spread = columns.max(axis=0) - columns.min(axis=0)
    is_sine = columns[0] == 0
    amplitude = float(np.abs(columns[0]).max()) or _amplitude_of_sines(columns, spread)
    if not amplitude:
        return False
    signs = np.where(is_sine, 1.0, np.sign(columns[0]))
    waves = columns * signs / amplitude
    positions = np.arange(len(waves), dtype=np.float64)
    frequencies = _fit(waves, positions, is_sine)
    angles = positions[:, None] * frequencies
    errors = np.abs(waves - np.where(is_sine, np.sin(angles), np.cos(angles)))
    allowed = 4 * precision + ANGLE_ERROR * np.abs(angles)
    if not np.all(errors <= allowed):
        return False
    # A column that hardly moves agrees with much, and says nothing.
    moving = spread > 0.1 * amplitude
    bits = -np.log2(np.minimum(allowed[2:, moving], 1.0)).sum()
    return bool(bits >= ENOUGH_BITS and moving.sum() >= 2)


def _amplitude_of_sines(columns: Array, spread: Array) -> float:
    """The amplitude of the column that moves most, from how each number follows from two others.

    The sines of neighbouring positions have the sum ``2 cos(f)`` times that between them.
    """
    x = columns[:, int(spread.argmax())]
    square = float(x[1:-1] @ x[1:-1])
    if not square:
        return 0.0
    cosine = float((x[2:] + x[:-2]) @ x[1:-1]) / (2 * square)
    if abs(cosine) >= 1:
        return 0.0
    sines = np.sin(math.acos(cosine) * np.arange(len(x)))
    amplitude = abs(float(x @ sines) / float(sines @ sines))
    # Nearly always they are not scaled, and then the estimate must not add its own error.
    return 1.0 if abs(amplitude - 1) < 1e-2 else amplitude


def _fit(waves: Array, positions: Array, is_sine: npt.NDArray[np.bool_]) -> Array:
    """The frequency of each column, by least squares over more and more positions."""
    # The first position at which a wave is far from where it began tells its frequency roughly.
    far = np.where(is_sine, np.abs(waves) > 0.5, waves < 0.5)
    at = np.where(far.any(axis=0), far.argmax(axis=0), len(waves) - 1)
    there = np.clip(waves[at, np.arange(waves.shape[1])], -1, 1)
    frequencies = np.where(is_sine, np.arcsin(there), np.arccos(there)) / np.maximum(at, 1)
    last = FEWEST_POSITIONS
    while True:
        last = min(last, len(waves))
        p = positions[:last, None]
        for _ in range(2):
            angles = p * frequencies
            sines, cosines = np.sin(angles), np.cos(angles)
            errors = waves[:last] - np.where(is_sine, sines, cosines)
            slopes = p * np.where(is_sine, cosines, -sines)
            squares = (slopes * slopes).sum(axis=0)
            steps = (slopes * errors).sum(axis=0)
            # Before it is far from where it began, a wave says little of its frequency.
            tells = (squares > 0) & (at < last)
            frequencies = frequencies + np.divide(
                steps, squares, out=np.zeros_like(steps), where=tells
            )
        if last == len(waves):
            return np.asarray(frequencies)
        last *= 2
