"""Functions of a caller's own, as the core takes them: polynomials, piece by piece.

A function is sampled at Chebyshev nodes of pieces that are halved until their polynomials follow
it. Where halving does not help, there is a kink, which ends up between two pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, UnknownOperationError
from unrolled.network.network import Network

__all__ = ["own_pieces", "pieces_of"]

COEFFICIENTS = 16
"""Chebyshev coefficients of each piece, as the core expects."""

TOLERANCE = 1e-13
NARROWEST = 1e-9
"""Pieces are not halved below this, in proportion to the whole: there is a kink."""

NARROW = 0.25
"""Where pieces have to be narrower, the function changes quickly."""

FARTHEST = 64.0
"""Beyond this on either side the function is taken to be a straight line."""

MOST_PIECES = 4000

Array = npt.NDArray[np.float64]


class Pieces(NamedTuple):
    """A function in pieces.

    Attributes
    ----------
    breaks : array of float64
        Ends of the pieces.
    coefficients : array of float64
        Chebyshev coefficients, one piece after the other.
    kinks : array of float64
        Zero, and places where the function has a kink or changes quickly.
    is_monotone : bool
        Whether it never falls.
    """

    breaks: Array
    coefficients: Array
    kinks: Array
    is_monotone: bool


def pieces_of(functions: Mapping[str, Callable[[Any], Any]]) -> dict[str, Pieces]:
    """The pieces of each function, by name.

    Raises
    ------
    InvalidArgumentError
        Something that is no function of arrays, or a function that jumps or is not finite.
    """
    return {name: _pieces(name, function) for name, function in functions.items()}


def own_pieces(
    network: Network, functions: Mapping[str, Callable[[Any], Any]] | None = None
) -> dict[str, Pieces]:
    """The pieces of a network's own functions, and of those given for it, that a signal meets.

    Functions that only choose rows of a table may jump: nothing flows through them.

    Raises
    ------
    InvalidArgumentError
        See `pieces_of`.
    UnknownOperationError
        Functions that the model was read with and that take no numbers, none of which is given.
    NothingToCountError
        A network without an output.
    """
    own = {**network.functions, **(functions or {})}
    if not own:
        return {}
    followed = [name for name in network._core.followed_functions() if name in own]
    given = functions or {}
    failures = {name: _failure(own[name]) for name in followed if name not in given}
    unknown = [(name, failure) for name, failure in failures.items() if failure is not None]
    if unknown:
        names = ", ".join([f"'{name}' ({failure})" for name, failure in unknown])
        raise UnknownOperationError(
            f"what these functions make of floating-point numbers is not known: {names}; say it "
            f"with functions={{{unknown[0][0]!r}: callable}}, which takes an array of floats and "
            "returns one of equal shape",
            unknown,
        )
    return pieces_of({name: own[name] for name in followed})


def _failure(function: Callable[[Any], Any]) -> str | None:
    """Why a function that a model was read with takes no numbers, such as one of truth values."""
    x = np.linspace(-1, 1, 9)
    try:
        np.asarray(function(x))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _pieces(name: str, function: Callable[[Any], Any]) -> Pieces:
    nodes = np.cos(np.pi * (np.arange(COEFFICIENTS) + 0.5) / COEFFICIENTS)
    # From values at the nodes to coefficients; and where polynomials are compared.
    transform = np.polynomial.chebyshev.chebvander(nodes, COEFFICIENTS - 1).T * 2 / COEFFICIENTS
    transform[0] /= 2
    between = np.linspace(-1, 1, 2 * COEFFICIENTS + 1)
    checks = np.polynomial.chebyshev.chebvander(between, COEFFICIENTS - 1)

    def values(x: Array) -> Array:
        return _values(name, function, x)

    scale = max(1.0, float(np.abs(values(np.linspace(-1, 1, 9))).max()))
    # A kink has to be inside a piece to be seen; nobody has one at such odd numbers.
    ends = [-FARTHEST, *(np.arange(-FARTHEST, FARTHEST, 4)[1:] - np.pi / 7), FARTHEST]
    waiting = [(float(low), float(high)) for low, high in pairwise(ends)][::-1]
    breaks, rows = [-FARTHEST], list[Array]()
    pieces: list[tuple[float, float]] = []
    while waiting:
        low, high = waiting.pop()
        middle, half = (low + high) / 2, (high - low) / 2
        row = transform @ values(middle + half * nodes)
        right = values(middle + half * between)
        size = max(scale, float(np.abs(right).max()))
        error = float(np.abs(checks @ row - right).max())
        is_narrow = half < NARROWEST * FARTHEST
        if error <= TOLERANCE * size or is_narrow:
            if is_narrow and error > 1e-6 * size:
                raise InvalidArgumentError(
                    f"function '{name}' jumps near {middle:g}; its derivative has no mean square"
                )
            pieces.append((middle, half))
            breaks.append(high)
            rows.append(row)
        else:
            waiting += [(middle, high), (low, middle)]
        if len(rows) + len(waiting) > MOST_PIECES:
            raise InvalidArgumentError(
                f"function '{name}' cannot be followed: it takes more than {MOST_PIECES} "
                "polynomials"
            )
    steps = np.diff(values(np.linspace(-12, 12, 4801)))
    kinks = np.array(_kinks(pieces))
    return Pieces(np.array(breaks), np.concatenate(rows), kinks, bool((steps >= 0).all()))


def _kinks(pieces: list[tuple[float, float]]) -> list[float]:
    """Zero, and the narrow pieces whose neighbours are wider, from middles and half lengths."""
    kinks = {0.0}
    before, is_falling = np.inf, True
    for (middle, half), (_, after) in pairwise([*pieces, (FARTHEST, np.inf)]):
        if half != before:
            is_falling = half < before
        if is_falling and half < after and half < NARROW:
            kinks.add(middle)
        before = half
    return sorted(kinks)


def _values(name: str, function: Callable[[Any], Any], x: Array) -> Array:
    try:
        found = np.asarray(function(x))
        if np.iscomplexobj(found):
            raise TypeError("it returned complex numbers")
        found = found.astype(np.float64)
    except Exception as error:
        raise InvalidArgumentError(
            f"function '{name}' failed with {type(error).__name__}: {error}; it takes an array of "
            "floats and returns one of equal shape"
        ) from error
    if found.shape != x.shape:
        raise InvalidArgumentError(
            f"function '{name}' must return an array of the shape that it was given, {x.shape}; "
            f"got {described(found)}"
        )
    if not np.isfinite(found).all():
        raise InvalidArgumentError(f"function '{name}' is not finite between -64 and 64")
    return found
