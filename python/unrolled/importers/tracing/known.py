"""What is known of the elements that a mask hides, whatever follows the mask.

A hidden element is a number. A tensor remembers which of its elements are hidden, and a value what
they are: its fill, as long as that is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from unrolled.importers.tracing.masking import Flags, hidden_of, is_low, narrowed, without_mask
from unrolled.importers.tracing.movement import Movement
from unrolled.importers.tracing.values import (
    Array,
    Combination,
    Constant,
    Node,
    Operand,
    Value,
    broadcast_shapes,
    size_of,
)

__all__ = [
    "AT_RUN_TIME",
    "Known",
    "KnownElements",
    "applied",
    "combined_fill",
    "fill_of_all",
    "product_of_fills",
    "with_rank",
]

AT_RUN_TIME = "a mask known only at run time: it takes no edges away"
"""What the provenance says of a mask that changes nothing."""


class Known(NamedTuple):
    """Which elements of a tensor are known, and what they are there.

    Attributes
    ----------
    places : numpy.ndarray of bool
        True where an element is known; it broadcasts to the shape of the tensor.
    numbers : numpy.ndarray
        What the elements are; only what it has in these places means anything.
    """

    places: Flags
    numbers: Array


class KnownElements(Movement):
    """The part of `Tracer` that hides elements."""

    def mask(self, x: Operand, hidden: Flags, fill: float) -> Operand:
        """A tensor of which some elements are a number instead: nothing has an edge to them.

        Parameters
        ----------
        x : Operand
        hidden : numpy.ndarray of bool
            True for them; broadcasts to the shape of `x`.
        fill : float
            What they are.
        """
        hidden = narrowed(with_rank(np.asarray(hidden, dtype=bool), x.rank))
        if isinstance(x, Constant) or not hidden.any():
            return x
        if hidden.all():
            return self.work_out(x.shape, lambda: np.broadcast_to(np.asarray(fill), x.shape))
        known = hidden_of(replace(x, fill=fill))
        if x.fill is None and known is not None and np.array_equal(narrowed(known), hidden):
            # What was not known of the elements that a mask hides is known now.
            return replace(x, fill=fill)
        own = hidden_of(x)
        if own is None:
            return self._masked_value(x, hidden, fill)
        assert x.fill is not None
        self._check_spread(hidden, own)
        if x.fill == fill or (is_low(x.fill) and is_low(fill)):
            fill = max(x.fill, fill)
            union = narrowed(hidden | own)
            if union.all():
                return self.work_out(x.shape, lambda: np.broadcast_to(np.asarray(fill), x.shape))
            if union.shape == own.shape and np.array_equal(union, own):
                return replace(x, fill=fill)
            inner = without_mask(x)
            is_free = inner is not None and x.node.tensor is None
            return self._masked_value(inner if inner is not None and is_free else x, union, fill)
        y = self._masked_value(x, hidden, fill)
        rest = narrowed(own & ~hidden)
        if is_low(x.fill) and rest.any():
            # One number is remembered: that of scores that are put out matters most.
            return self._masked_value(y, rest, x.fill)
        return y

    def _check_spread(self, *arrays: Array) -> None:
        """Refuse masks that are combined and would be too large then."""
        shape = broadcast_shapes(self.name, [array.shape for array in arrays])
        self.budget.spread(self.name, size_of(shape))

    def _masked_value(self, x: Value, hidden: Flags, fill: float) -> Value:
        """A tensor of which elements are a number instead, whatever was known of it."""
        if x.axes is not None:
            x = self._declare(self.made(x))
        for known in self._masked:
            # Functions write a mask several times, and mean one tensor.
            (masked,) = known.operands
            is_same = masked.node is x.node and masked.function is x.function
            if is_same and known.hidden is not None and np.array_equal(known.hidden, hidden):
                return Value(known, x.shape, fill=fill, mapped=True)
        self.budget.hold(self.name, hidden)
        node = Node("masked", self.name, x.shape, (replace(x, fill=None),), depth=x.node.depth)
        node.hidden, node.is_weight = hidden, x.node.is_weight
        self._masked.append(node)
        if self.operations:
            self.notes[self.name] = "a mask: a signal is followed as if what it hides were zero"
        return Value(node, x.shape, fill=fill)

    def _known(self, x: Operand, rank: int) -> Known:
        """The elements of an operand that are known, with axes of length 1 in front."""
        places: Array = np.zeros((1,) * rank, dtype=bool)
        numbers: Array = np.zeros((1,) * rank)
        if isinstance(x, Constant):
            if x.array is not None and x.array.dtype.kind in "iufb":
                self.budget.work(self.name, x.array.size)
                return Known(~places, with_rank(x.array, rank))
            return Known(places, numbers)
        hidden = hidden_of(x)
        if hidden is None:
            return Known(places, numbers)
        self.budget.work(self.name, hidden.size)
        return Known(with_rank(hidden, rank), np.full((1,) * rank, x.fill))


def applied(function: Callable[..., Any] | None, *numbers: float) -> float | None:
    """What a function makes of numbers; None if that is not known."""
    if function is None:
        return None
    with np.errstate(all="ignore"):
        try:
            found = np.asarray(function(*[np.array([number]) for number in numbers])).reshape(-1)[0]
            number = bool(found) if found.dtype == np.bool_ else float(found)
        except (TypeError, ValueError, ArithmeticError, IndexError):
            return None
    return None if math.isnan(number) else number


def fill_of_all(
    result: Value, operands: Sequence[Operand], compute: Callable[..., Any] | None
) -> float | None:
    """What the hidden elements of a function of several operands are, if all are known there."""
    if compute is None:
        return None
    numbers = []
    for x in operands:
        if isinstance(x, Constant):
            number = x.only_number()
        else:
            number = x.fill if x.node is result.node and hidden_of(x) is not None else None
        if number is None:
            return None
        numbers.append(number)
    return applied(compute, *numbers)


def product_of_fills(values: Sequence[Value]) -> float | None:
    """What the hidden elements of a product of functions of one tensor are."""
    fills = [value.fill for value in values]
    known = [fill for fill in fills if fill is not None]
    if 0.0 in known and all(map(math.isfinite, known)):
        return 0.0
    if len(known) < len(fills):
        return None
    product = math.prod(known)
    return None if math.isnan(product) else product


def combined_fill(fill: float, constants: Sequence[Constant], kind: Combination) -> float | None:
    """What constants make of a number that they are added to, or multiplied with."""
    for constant in constants:
        number = constant.only_number()
        if kind == "sum" and number is None and is_low(fill):
            continue  # Positions and the like do not bring back what is put out.
        if kind == "sum":
            fill = math.nan if number is None else fill + number
        elif fill != 0.0:
            fill = math.nan if number is None else fill * number
    return None if math.isnan(fill) else fill


def with_rank(array: Any, rank: int) -> Any:
    """An array with axes of length 1 in front, as broadcasting puts them."""
    return array.reshape((*[1] * (rank - array.ndim), *array.shape))
