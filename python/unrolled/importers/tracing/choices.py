"""Choices between elements by conditions, known beforehand or only at run time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unrolled.importers.tracing.base import aligned
from unrolled.importers.tracing.elementwise import Elementwise, is_of
from unrolled.importers.tracing.index_maps import MOST_ELEMENTS
from unrolled.importers.tracing.known import AT_RUN_TIME, with_rank
from unrolled.importers.tracing.masking import LOW, Flags, hidden_of, is_low, is_put_out
from unrolled.importers.tracing.normalisers import normalises
from unrolled.importers.tracing.values import (
    Array,
    Constant,
    Operand,
    Shape,
    Value,
    broadcast_shapes,
    size_of,
)

__all__ = ["Choices"]


class Choices(Elementwise):
    """The part of `Tracer` that chooses by conditions, and joins conditions."""

    def both(self, *operands: Operand) -> Operand:
        """Whether all conditions hold: not where one is known not to.

        It is a function of the others, and a known number where a constant is false.
        """
        return self._decided(operands, False, np.logical_and)

    def either(self, *operands: Operand) -> Operand:
        """Whether any condition holds: it does where one is known to."""
        return self._decided(operands, True, np.logical_or)

    def _decided(
        self, operands: Sequence[Operand], decisive: bool, compute: Callable[..., Any]
    ) -> Operand:
        """A function of conditions that is known wherever one of them is the decisive one."""
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        result = self.function(*operands, compute=compute if len(operands) == 2 else None)
        are_flags = all(isinstance(x, Constant) or isinstance(x.fill, bool) for x in operands)
        if isinstance(result, Value) and not are_flags:
            result = replace(result, fill=None)
        hidden: Flags = np.zeros((1,) * len(shape), dtype=bool)
        for x in operands:
            known = self._known(x, len(shape))
            if decisive and known.numbers.dtype != np.bool_:
                continue  # Of integers, the bits are combined.
            self._check_spread(hidden, *known)
            hidden = hidden | (known.places & ((known.numbers != 0) == decisive))
        return self.mask(result, hidden, decisive)

    def where(self, condition: Operand, a: Operand, b: Operand) -> Operand:
        """Elements of `a` where a condition holds, else of `b`.

        What a constant condition chooses is known: each element is read from its own tensor, and
        from none where a constant is chosen that is zero or puts scores out. Any other constant
        changes no edge. A condition known at run time chooses anything, but for what it is known
        not to choose.
        """
        values = [x for x in (a, b) if isinstance(x, Value)]
        shape = broadcast_shapes(self.name, [condition.shape, a.shape, b.shape])
        if isinstance(condition, Value):
            return self._where_at_run_time(condition, a, b, shape)
        if condition.array is None:
            if any(map(_has_low, (a, b))):
                self.notes[self.name] = "a mask whose values are not known: it takes no edges away"
            return self.function(condition, a, b)
        chosen = np.asarray(condition.array, dtype=bool)
        if chosen.all() or not chosen.any():
            return self.expand(a if chosen.all() else b, shape)
        fill = a if isinstance(a, Constant) else b
        if not isinstance(fill, Constant):
            numbers = np.broadcast_to(with_rank(~chosen, len(shape)), shape)
            if size_of(shape) <= MOST_ELEMENTS:
                return self.choose(numbers, [a, b])
            parts = [(a, ~chosen), (b, chosen)]  # What is too many one by one may be masked.
            seen = [self.mask(self.expand(x, shape), hidden, 0.0) for x, hidden in parts]
            links = [(x, aligned(shape, shape)) for x in seen if isinstance(x, Value)]
            return self.emit(shape, links)
        if not values:
            return Constant(shape)
        hidden = with_rank(chosen if fill is a else ~chosen, len(shape))
        if fill.array is not None and fill.array.size > 1:
            self._check_spread(fill.array, hidden)
        number = None if fill.array is None else _only_number_where(fill.array, hidden)
        x = self.expand(self._plain(values[0]), shape)
        if number is None or (number != 0.0 and not is_low(number)):
            own = hidden_of(x)
            result = self.function(a, b)
            if own is None or not isinstance(x, Value) or x.fill is None:
                return result
            return self.mask(result, own & ~hidden, x.fill)
        return self.mask(x, hidden, number)

    def _plain(self, x: Value) -> Value:
        """A tensor as it is, not what it may turn out to be later."""
        return x if x.axes is None else self._declare(self.made(x))

    def _where_at_run_time(self, condition: Value, a: Operand, b: Operand, shape: Shape) -> Operand:
        """What a condition chooses that is computed, as far as it is not known."""
        rank = len(shape)
        decided, first, second = (self._known(x, rank) for x in (condition, a, b))
        self._check_spread(*[array for known in (decided, first, second) for array in known])
        met = decided.places & (decided.numbers != 0)
        unmet = decided.places & (decided.numbers == 0)
        if isinstance(a, Value) and isinstance(b, Value):
            # What is known not to be chosen is not read.
            if unmet.any() and not is_of(condition, a):
                a = self.mask(self.expand(self._plain(a), shape), unmet, 0.0)
            if met.any() and not is_of(condition, b):
                b = self.mask(self.expand(self._plain(b), shape), met, 0.0)
        result = self._chosen(condition, a, b, shape)
        for fill, test in ((-math.inf, _are_low), (0.0, _are_zero)):
            of_a, of_b = (one.places & test(one.numbers) for one in (first, second))
            hidden = (met & of_a) | (unmet & of_b) | (~decided.places & of_a & of_b)
            if hidden.any():
                self.budget.work(self.name, hidden.size)
                return self.mask(self.expand(result, shape), hidden, fill)
        if any(map(_has_low, (a, b))):
            self.notes[self.name] = AT_RUN_TIME
        return result

    def _chosen(self, condition: Value, a: Operand, b: Operand, shape: Shape) -> Operand:
        """What a condition chooses, without what is known of its elements."""
        values = [x for x in (a, b) if isinstance(x, Value)]
        if len(values) == 1 and is_of(condition, values[0]):
            chosen_of = self.pointwise(values[0], power=True)
            assert isinstance(chosen_of, Value)
            return self.expand(self._computed(chosen_of, (condition, a, b), np.where), shape)
        if len(values) == 1:
            # A condition on a statistic of the tensor belongs to its normaliser, as where a softmax
            # is made safe against groups that are masked as a whole.
            gate = replace(condition, sign="/", mapped=True, fill=None)
            x = replace(values[0], sign="", mapped=True, fill=None)
            is_normalised = x.node.kind == "normalised"
            if is_normalised and normalises(gate, x, "product") == x.node.axes:
                return self.expand(x, shape)
            return self.expand(self.multiply(x, gate), shape)
        return self.function(condition, a, b, compute=np.where)


def _are_low(numbers: Array) -> Flags:
    return np.asarray(numbers <= LOW)


def _are_zero(numbers: Array) -> Flags:
    return np.asarray(numbers == 0)


def _only_number_where(array: Array, places: Flags) -> float | None:
    """The number that a constant is in all these places: -inf if all put scores out."""
    if array.dtype.kind not in "iufb":
        return None
    if array.size == 1:
        found = array.reshape(-1)
    else:
        rank = max(array.ndim, places.ndim)
        both = np.broadcast_arrays(with_rank(array, rank), with_rank(places, rank))
        found = both[0][both[1]]
    if bool(np.all(found <= LOW)):
        return -math.inf
    return 0.0 if not np.any(found) else None


def _has_low(x: Operand) -> bool:
    """Whether a constant has elements that put scores out."""
    return isinstance(x, Constant) and x.array is not None and bool(is_put_out(x.array).any())
