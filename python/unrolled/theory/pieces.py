"""The pieces of a function along one input: exactly of ReLU networks, by sampling of any other.

How many pieces there can be at most, with any number of inputs, is in `regions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unrolled._support.arguments import items
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.arguments import checked_count
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Pieces", "Sawtooth", "count_pieces_along", "linear_pieces", "sawtooth"]


@dataclass(frozen=True)
class Pieces(TheoryResult):
    """A function of one number that is straight between kinks. What `linear_pieces` returns.

    Attributes
    ----------
    interval : tuple of Fraction
    breakpoints : tuple of Fraction
        Where the slope changes, from left to right, within the interval.
    slopes : tuple of Fraction
        One more than breakpoints.
    values : tuple of Fraction
        At the beginning of the interval, at the breakpoints, and at its end.
    """

    interval: tuple[Fraction, Fraction]
    breakpoints: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    values: tuple[Fraction, ...] = field(repr=False)

    @property
    def title(self) -> str:
        """How many pieces, and where."""
        low, high = (float(end) for end in self.interval)
        number = len(self.slopes)
        return f"{number} linear piece{'s' if number > 1 else ''} on [{low:g}, {high:g}]"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a piece."""
        ends = [self.interval[0], *self.breakpoints, self.interval[1]]
        return [
            {"from": low, "to": high, "slope": slope}
            for low, high, slope in zip(ends[:-1], ends[1:], self.slopes, strict=True)
        ]

    @property
    def assumptions(self) -> str:
        """Exactness, and what to expect of other weights."""
        return (
            "exact for the weights as given; random weights make about as many kinks as there are "
            "neurons, not 2^depth"
        )

    def __call__(self, x: ArrayLike) -> Any:
        """The function at some places, in floating point."""
        ends = [float(one) for one in (self.interval[0], *self.breakpoints, self.interval[1])]
        return np.interp(np.asarray(x, dtype=np.float64), ends, [float(one) for one in self.values])

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The function with its kinks marked.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        ends = [float(one) for one in (self.interval[0], *self.breakpoints, self.interval[1])]
        values = [float(one) for one in self.values]
        with styled():
            axes = panel(axes)
            axes.plot(ends, values, color=COLOR)
            axes.plot(ends[1:-1], values[1:-1], "o", color=SECOND_COLOR, markersize=3)
            axes.set(title=self.title, xlabel="input", ylabel="output")
        return figure_of(axes), axes


def linear_pieces(
    layers: Sequence[tuple[Any, Any]],
    interval: tuple[Any, Any],
    *,
    most_pieces: int = 100_000,
) -> Pieces:
    """The exact pieces of a ReLU network with one input and one output.

    Parameters
    ----------
    layers : sequence of (weights, biases)
        Weights of shape ``(outputs, inputs)``, as nested lists or arrays; the first layer may be a
        flat list, and so may the last one, whose bias may be a number. ReLUs follow all layers but
        the last. Numbers are used as they are: integers, fractions, texts such as "1/3", or floats,
        whose binary values are taken.
    interval : tuple of two numbers
        Its ends, finite.
    most_pieces : int
        Stop with an error beyond so many.

    Returns
    -------
    Pieces

    Raises
    ------
    TheoryDomainError
        More than one input or output, an empty interval, or more pieces than allowed.
    InvalidArgumentError
        Shapes that do not fit, or numbers that are not finite.

    Examples
    --------
    >>> hat = linear_pieces([([1, 1], [0, -1]), ([[2, -4]], [0])], (-1, 3))
    >>> [str(one) for one in hat.breakpoints], [str(one) for one in hat.slopes]
    (['0', '1'], ['0', '2', '-2'])
    """
    ends = items(interval)
    if ends is None or len(ends) != 2:
        raise InvalidArgumentError(f"the interval is a pair of numbers, got {described(interval)}")
    low, high = (_fraction(end, "the interval") for end in ends)
    if not low < high:
        raise TheoryDomainError(f"the interval is empty: {described(interval)}")
    most_pieces = checked_count(most_pieces, "most_pieces")
    steps = _exact_layers(layers)
    places: list[Fraction] = [low, high]
    values: list[list[Fraction]] = [[low], [high]]
    for number, (weights, biases) in enumerate(steps):
        values = [_affine(weights, biases, one) for one in values]
        if number < len(steps) - 1:
            places, values = _bent(places, values)
            if len(places) > most_pieces + 1:
                raise TheoryDomainError(
                    f"more than {most_pieces} pieces behind layer {number + 1}: narrow the "
                    "interval, or raise most_pieces"
                )
    heights = [one[0] for one in values]
    breakpoints: list[Fraction] = []
    slopes: list[Fraction] = []
    kept = [heights[0]]
    for at in range(len(places) - 1):
        slope = (heights[at + 1] - heights[at]) / (places[at + 1] - places[at])
        if slopes and slope == slopes[-1]:
            continue
        if slopes:
            breakpoints.append(places[at])
            kept.append(heights[at])
        slopes.append(slope)
    return Pieces((low, high), tuple(breakpoints), tuple(slopes), (*kept, heights[-1]))


class Sawtooth(NamedTuple):
    """What `sawtooth` returns.

    Attributes
    ----------
    network : Network
    layers : list of (weights, biases)
        For `linear_pieces`.
    """

    network: Network
    layers: list[tuple[list[list[int]], list[int]]]


def sawtooth(depth: int) -> Sawtooth:
    """The network with one input and two units a layer that has ``2^depth`` pieces.

    ``f_l = 2 |f_(l-1)| - 2 = 2 relu(f_(l-1)) + 2 relu(-f_(l-1)) - 2``, from ``f_0 = x``. On
    [-2, 2] every piece runs from -2 to 2 or back.

    Parameters
    ----------
    depth : int
        Number of hidden layers, not negative; with none it is an affine layer.

    Returns
    -------
    Sawtooth

    Raises
    ------
    TheoryDomainError
        A negative depth.

    Notes
    -----
    Montufar et al., On the number of linear regions of deep neural networks (2014); Telgarsky,
    Representation benefits of deep feedforward networks (2015).

    Examples
    --------
    >>> tooth = sawtooth(3)
    >>> print(linear_pieces(tooth.layers, (-2, 2)).title)
    8 linear pieces on [-2, 2]
    """
    depth = checked_count(depth, "depth, the number of layers,", least=0)
    layers: list[tuple[list[list[int]], list[int]]] = []
    for layer in range(depth):
        layers.append(([[1], [-1]], [0, 0]) if layer == 0 else ([[2, 2], [-2, -2]], [-2, 2]))
    layers.append(([[2, 2]], [-2]) if depth else ([[1]], [0]))
    network = Network(f"sawtooth of depth {depth}")
    x = network.input((1,))
    for layer in range(1, depth + 1):
        x = network.activation(network.dense(x, 2, name=f"layer{layer}"))
    network.output(network.dense(x, 1, name="output"))
    return Sawtooth(network, layers)


def count_pieces_along(
    function: Callable[[Any], Any], start: ArrayLike, end: ArrayLike, samples: int = 10_000
) -> int:
    """A lower bound on the pieces of any function along a line, by sampling.

    Stretches of equally spaced samples on a straight line are counted; a piece that has less than
    three samples is missed.

    Parameters
    ----------
    function : callable
        Takes points, shape ``(samples + 1,)``, or ``(samples + 1, n)`` where the ends are vectors
        of length n, and returns one number for each.
    start, end : array_like
        Numbers, or vectors of equal length.
    samples : int
        Intervals, at least 2.

    Returns
    -------
    int

    Raises
    ------
    TheoryDomainError
        Too few samples.
    InvalidArgumentError
        A function that does not return one finite number a point.

    Examples
    --------
    >>> count_pieces_along(abs, -1.0, 2.0)
    2
    """
    samples = checked_count(samples, "the number of samples", least=2)
    share = np.linspace(0.0, 1.0, samples + 1)
    first, last = (np.asarray(one, dtype=np.float64) for one in (start, end))
    points = first + (share if first.ndim == 0 else share[:, None]) * (last - first)
    values = np.asarray(function(points), dtype=np.float64).reshape(-1)
    if len(values) != samples + 1 or not np.all(np.isfinite(values)):
        raise InvalidArgumentError(
            f"the function must return one finite number for each of {samples + 1} points, "
            f"got {described(values)}"
        )
    bends = np.abs(np.diff(values, 2))
    # Far above rounding errors of the values, and of what they were computed from.
    is_straight = bends <= 1e-12 * (1.0 + np.abs(values).max())
    return int(np.count_nonzero(np.diff(is_straight.astype(np.int8), prepend=0) == 1))


def _fraction(number: Any, where: str) -> Fraction:
    try:
        return Fraction(number)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise InvalidArgumentError(
            f"{where} needs finite numbers, got {described(number)}"
        ) from None


def _exact_layers(
    layers: Sequence[tuple[Any, Any]],
) -> list[tuple[list[list[Fraction]], list[Fraction]]]:
    """Weights and biases as fractions, with shapes that fit."""
    steps: list[tuple[list[list[Fraction]], list[Fraction]]] = []
    width = 1
    for at, layer in enumerate(layers, 1):
        if not isinstance(layer, Sequence) or len(layer) != 2:
            raise InvalidArgumentError(f"layer {at} is a pair (weights, biases)")
        rows, shifts = (_listed(one) for one in layer)
        if rows and all(not isinstance(one, list) for one in rows):
            # A flat list is one weight a unit in the first layer, and the only row of the last.
            rows = [[one] for one in rows] if at == 1 else [rows]
        if any(not isinstance(row, Sequence) or len(row) != width for row in rows):
            raise (TheoryDomainError if at == 1 else InvalidArgumentError)(
                f"layer {at} needs weights of shape (outputs, {width})"
                + (": the network has one input" if at == 1 else "")
            )
        if len(shifts) != len(rows) or not rows:
            raise InvalidArgumentError(
                f"layer {at} has {len(rows)} rows of weights and {len(shifts)} biases"
            )
        where = f"layer {at}"
        weights = [[_fraction(one, where) for one in row] for row in rows]
        steps.append((weights, [_fraction(one, where) for one in shifts]))
        width = len(rows)
    if not steps or width != 1:
        raise TheoryDomainError(
            f"the network must have one output, got {width if steps else 0}; choose a row"
        )
    return steps


def _listed(values: Any) -> list[Any]:
    """Weights or biases as lists of numbers, or of lists of them; a single number as one."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str):
        return [values]
    return [list(one) if isinstance(one, Sequence) and not isinstance(one, str) else one
            for one in values]  # fmt: skip


def _affine(
    weights: list[list[Fraction]], biases: list[Fraction], values: list[Fraction]
) -> list[Fraction]:
    return [
        sum((w * value for w, value in zip(row, values, strict=True) if w and value), bias)
        for row, bias in zip(weights, biases, strict=True)
    ]


def _bent(
    places: list[Fraction], values: list[list[Fraction]]
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """ReLUs, with a new place wherever one of them begins or ends."""
    new_places: list[Fraction] = [places[0]]
    new_values = [values[0]]
    for at in range(len(places) - 1):
        low, high = values[at], values[at + 1]
        # Shares of the way at which a unit crosses zero.
        shares = {one / (one - other) for one, other in zip(low, high, strict=True)
                  if one * other < 0}  # fmt: skip
        for share in sorted(shares):
            new_places.append(places[at] + share * (places[at + 1] - places[at]))
            new_values.append(
                [one + share * (other - one) for one, other in zip(low, high, strict=True)]
            )
        new_places.append(places[at + 1])
        new_values.append(high)
    zero = Fraction(0)
    return new_places, [[max(one, zero) for one in row] for row in new_values]
