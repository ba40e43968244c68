"""The law of an input: how large its elements are, and how alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled._support.arguments import checked_number, checked_numbers
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError

__all__ = ["Signal"]

ROUNDING = 1e-9
"""What averages over many samples may miss by rounding."""


@dataclass(frozen=True)
class Signal:
    """The law of an input: elements of mean zero, and how alike they are.

    Attributes
    ----------
    mean_square : float
        Mean of the squares of the elements.
    correlation : float
        Mean product of an element with the same element of another sample, divided by
        `mean_square`.
    position_correlation : float, optional
        The same for an element and one at another position of the same channel, which averages
        over positions depend on. By default that of two samples.
    joint_correlation : float, optional
        The same for another position of another sample. By default the product of the two above,
        or, if only `correlation` was given and is positive, that.

    Raises
    ------
    InvalidArgumentError
        A mean square that is not positive, a correlation beyond -1 and 1, or three correlations
        that no numbers have together.

    Examples
    --------
    >>> from unrolled import Signal
    >>> Signal(correlation=0.5)
    Signal(mean_square=1.0, correlation=0.5, position_correlation=None, joint_correlation=None)
    """

    mean_square: float = 1.0
    correlation: float = 0.0
    position_correlation: float | None = None
    joint_correlation: float | None = None

    def __post_init__(self) -> None:
        if not 0 < checked_number("mean_square", self.mean_square) < np.inf:
            raise InvalidArgumentError(
                f"mean_square must be a positive number, got {described(self.mean_square)}"
            )
        for name in ("correlation", "position_correlation", "joint_correlation"):
            value = getattr(self, name)
            optional = value is None and name != "correlation"
            if not optional and not -1 <= checked_number(name, value) <= 1:
                raise InvalidArgumentError(
                    f"{name} must be a number from -1 to 1, got {described(value)}"
                )
        _, samples, positions, joint = self.law
        # Four elements in all: the eigenvalues of their matrix of correlations.
        least = min(
            1 + samples + positions + joint,
            1 + samples - positions - joint,
            1 - samples + positions - joint,
            1 - samples - positions + joint,
        )
        if least < -ROUNDING:
            raise InvalidArgumentError(
                f"no signal has correlation={samples:g}, position_correlation={positions:g} and "
                f"joint_correlation={joint:g}: an element, the one at another position, and both "
                "in another sample cannot be as alike and unlike as that"
            )

    @property
    def law(self) -> tuple[float, float, float, float]:
        """Mean square, and the correlations between samples, between positions, and of both."""
        positions = self.position_correlation
        joint = self.joint_correlation
        if joint is None:
            is_simple = positions is None and self.correlation >= 0
            other = self.correlation if positions is None else positions
            joint = self.correlation if is_simple else self.correlation * other
        positions = self.correlation if positions is None else positions
        return float(self.mean_square), float(self.correlation), float(positions), float(joint)

    @classmethod
    def from_array(cls, samples: Any) -> Signal:
        """The law of samples that one has.

        Parameters
        ----------
        samples : array_like, shape ``(samples, channels, *positions)``
            At least two samples. All pairs of samples, and all pairs of positions, are averaged
            over. Means are not taken off: what all samples have in common makes them alike.

        Returns
        -------
        Signal

        Raises
        ------
        InvalidArgumentError
            Fewer than two samples, no axis of channels, or numbers that are not finite, all zero,
            or too large for their squares.

        Examples
        --------
        >>> import numpy as np
        >>> from unrolled import Signal
        >>> images = np.random.default_rng(0).normal(1, 2, (64, 3, 8, 8))
        >>> signal = Signal.from_array(images)
        >>> round(signal.mean_square), round(signal.correlation, 1)
        (5, 0.2)
        """
        array = checked_numbers("samples", samples)
        if array.ndim < 2 or array.shape[0] < 2 or array.size == 0:
            raise InvalidArgumentError(
                "samples must be an array of shape (samples, channels, ...) with at least two "
                f"samples, got shape {array.shape}"
            )
        if not np.isfinite(array).all() or not array.any():
            raise InvalidArgumentError("samples must be finite, and not all of them zero")
        largest = float(np.abs(array).max())
        if not 1e-150 < largest < 1e150:
            raise InvalidArgumentError(
                f"samples must have squares that a float can be, got numbers up to {largest:g}; "
                "multiply them by a power of two"
            )
        flat = array.reshape(*array.shape[:2], -1)
        number, _, positions = flat.shape
        square = float(np.mean(flat**2))
        over_samples = flat.sum(0)
        over_positions = flat.sum(2)
        over_both = flat.sum((0, 2))
        # Sums over all pairs, without those of an element with itself.
        own = np.sum(flat**2)
        alike = np.sum(over_samples**2) - own
        near = np.sum(over_positions**2) - own
        joint = np.sum(over_both**2) - np.sum(over_samples**2) - near
        elements = flat.size * square
        correlation = alike / elements / (number - 1)
        if positions == 1:
            return cls(square, _clipped(correlation))
        return cls(
            square,
            _clipped(correlation),
            _clipped(near / elements / (positions - 1)),
            _clipped(joint / elements / (number - 1) / (positions - 1)),
        )


def _clipped(correlation: float) -> float:
    return float(np.clip(correlation, -1, 1))
