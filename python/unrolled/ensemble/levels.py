"""Energy levels with weights, and their Boltzmann sums: what an `Ensemble` computes with.

Everything is in nats. An energy is an unevaluated sum of two doubles, so that the differences of
energies of thousands are as precise as those of small ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._support.arguments import checked_number, checked_numbers, items
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, NothingToCountError

__all__ = ["LN2", "Levels", "Sums", "Temperatures", "log_mean_exponential", "total"]

Floats = npt.NDArray[np.float64]

LN2 = math.log(2.0)
LN2_TAIL = 2.3190468138462996e-17
"""What is left of the natural logarithm of 2 after its nearest double."""

SMALLEST_LOGARITHM = -700.0
"""A number with a larger natural logarithm is not yet close to the smallest double."""

COLD, FAR = 2.0**200, 2.0**-100
"""Where ``beta`` times the range of the energies exceeds `COLD`, levels that are further from the
reference than `FAR` of this range have an energy of ``beta E > 2**100`` and no weight at all."""

LIMITS = {"0+": (0.0, math.inf), "0-": (-0.0, -math.inf)}
"""Temperature and inverse temperature of the two limits T -> 0."""


class Temperatures(NamedTuple):
    """Temperatures of any shape, and their inverses; T -> 0 from either side is a signed zero."""

    values: Floats
    betas: Floats

    @classmethod
    def of(cls, given: Any) -> Temperatures:
        """Read a number, "0+", "0-", an array of numbers, or a sequence that may have all these."""
        if isinstance(given, Iterator):
            given = list(given)
        parts = [given] if isinstance(given, str) else items(given)
        if parts is not None and any(isinstance(one, str) for one in parts):
            pairs = [cls._pair(one) for one in parts]
            shape = () if isinstance(given, str) else (len(parts),)
            return cls(*(np.array(column).reshape(shape) for column in zip(*pairs, strict=True)))
        values = checked_numbers("T", given)
        if np.isnan(values).any():
            raise InvalidArgumentError(f"T must be numbers, got NaN in {described(given)}")
        with np.errstate(divide="ignore", over="ignore"):
            betas = 1.0 / values
        if np.isinf(betas).any():
            raise InvalidArgumentError(
                "T = 0 is no temperature: its limits from above and from below differ; give "
                "T='0+' or T='0-', or a T further from 0 than 1e-308"
            )
        return cls(values, betas)

    @classmethod
    def of_betas(cls, given: Any) -> Temperatures:
        """Read inverse temperatures: 0 is infinite T, and infinities are the limits T -> 0."""
        betas = checked_numbers("beta", given)
        if np.isnan(betas).any():
            raise InvalidArgumentError(f"beta must be numbers, got NaN in {described(given)}")
        with np.errstate(divide="ignore", over="ignore"):
            return cls(1.0 / betas, betas)

    @classmethod
    def _pair(cls, given: Any) -> tuple[float, float]:
        if not isinstance(given, str):
            one = cls.of(checked_number("T", given))
            return float(one.values), float(one.betas)
        if given not in LIMITS:
            raise InvalidArgumentError(f"T must be a number, '0+' or '0-', got {given!r}")
        return LIMITS[given]


class Sums(NamedTuple):
    """Boltzmann sums at each temperature, relative to a reference level."""

    reference: Floats
    """Energy of the lowest level, of the highest where the temperature is negative."""
    tail: Floats
    """What is left of it beyond its nearest double."""
    log_total: Floats
    """Logarithm of the partition function of the energies relative to that level."""
    mean: Floats
    """Mean of the energies relative to that level."""
    width: Floats
    """Standard deviation of the energies, whose square may be beyond the range of doubles."""


class Levels:
    """Levels with weights; those of weight zero are left out.

    `weights` are numbers of states, or probabilities if `is_distribution`.

    Raises
    ------
    NothingToCountError
        No level has a weight.
    InvalidArgumentError
        The sum of the weights, or the range of the energies, is beyond the largest double.
    """

    def __init__(
        self, heads: Floats, tails: Floats, weights: Floats, *, is_distribution: bool = False
    ) -> None:
        keep = weights > 0
        if not keep.all():
            heads, tails, weights = heads[keep], tails[keep], weights[keep]
        if not len(weights):
            raise NothingToCountError("an ensemble needs at least one level with a weight above 0")
        self.heads = np.ascontiguousarray(heads, dtype=np.float64)
        self.tails = np.ascontiguousarray(tails, dtype=np.float64)
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)
        for array in (self.heads, self.tails, self.weights):
            array.flags.writeable = False
        self.log_weights = np.log(self.weights)
        states = total(self.weights)
        if not math.isfinite(states):
            raise InvalidArgumentError(
                "the degeneracies add up to more than the largest double, 1.8e308; divide all of "
                "them by the same number"
            )
        # Exactly 0 for a distribution, which its sum is only up to rounding.
        self.log_states = 0.0 if is_distribution else math.log(states)
        low, high = float(self.heads.min()), float(self.heads.max())
        if not math.isfinite(high - low):
            raise InvalidArgumentError(
                f"energies from {low:g} to {high:g} differ by more than the largest double, "
                "1.8e308; give them in a larger unit"
            )
        self.is_distribution = is_distribution

    @classmethod
    def of_logarithms(
        cls, mantissas: Floats, exponents: npt.NDArray[np.int64], weights: Floats
    ) -> Levels:
        """Energies ``ln(mantissa * 2**exponent)``."""
        heads, tails = times_ln2(exponents.astype(np.float64))
        return cls(*two_sum(heads, tails + np.log(mantissas)), weights)

    def __reduce__(self) -> tuple[Any, ...]:
        return _levels_of, (self.heads, self.tails, self.weights, self.is_distribution)

    def __len__(self) -> int:
        return len(self.weights)

    def end(self, *, highest: bool) -> int:
        """Position of the lowest level, or of the highest."""
        if highest:
            candidates = np.flatnonzero(self.heads == self.heads.max())
            return int(candidates[np.argmax(self.tails[candidates])])
        candidates = np.flatnonzero(self.heads == self.heads.min())
        return int(candidates[np.argmin(self.tails[candidates])])

    def relative(self, position: int) -> Floats:
        """Energies relative to one level."""
        difference: Floats = self.heads - self.heads[position]
        difference += self.tails - self.tails[position]
        return difference

    def sums(self, betas: Floats) -> Sums:
        """Boltzmann sums at inverse temperatures of any shape, infinite ones included."""
        flat = betas.ravel()
        columns = [np.empty(len(flat)) for _ in range(5)]
        for negative in (False, True):
            chosen = np.flatnonzero((flat < 0) == negative)
            if not len(chosen):
                continue
            at = self.end(highest=negative)
            found = self._relative_sums(self.relative(at), flat[chosen])
            for column, values in zip(
                columns, (self.heads[at], self.tails[at], *found), strict=True
            ):
                column[chosen] = values
        return Sums(*(column.reshape(betas.shape) for column in columns))

    def _relative_sums(self, relative: Floats, betas: Floats) -> tuple[Floats, Floats, Floats]:
        """``ln Z``, mean and standard deviation of the energies relative to the reference.

        Energies are scaled by their range, so that no square leaves the range of doubles. At low
        temperatures only the levels near the reference count, scaled by a range of their own.
        """
        weights, log_weights, log_states = self.weights, self.log_weights, self.log_states
        log_total, mean, width = np.empty((3, len(betas)))
        left = np.arange(len(betas))
        while True:
            size = float(np.abs(relative).max())
            exponent = math.frexp(size)[1]
            with np.errstate(over="ignore"):
                scaled = np.ldexp(betas[left], exponent) if size else np.zeros(len(left))
            is_cold = np.abs(scaled) > COLD
            warm, left = left[~is_cold], left[is_cold]
            if len(warm):
                energies = np.ldexp(relative, -exponent)
                found = _core.boltzmann_sums(
                    energies, log_weights, log_states, scaled[~is_cold].tolist()
                )
                log_total[warm] = found[0]
                mean[warm] = np.ldexp(found[1], exponent)
                width[warm] = np.ldexp(np.sqrt(found[2]), exponent)
            if not len(left):
                return log_total, mean, width
            near = np.abs(relative) <= size * FAR
            relative, weights, log_weights = relative[near], weights[near], log_weights[near]
            log_states = math.log(math.fsum(weights))

    def log_probabilities(self, beta: float) -> Floats:
        """Logarithm of the probability of one state of each level, at one temperature."""
        sums = self.sums(np.array(beta))
        relative = self.relative(self.end(highest=beta < 0))
        if math.isinf(beta):
            return np.where(relative == 0, -float(sums.log_total), -math.inf)
        with np.errstate(over="ignore"):
            logs: Floats = -beta * relative - float(sums.log_total)
        return logs


def _levels_of(heads: Floats, tails: Floats, weights: Floats, is_distribution: bool) -> Levels:
    """Levels that were pickled."""
    return Levels(heads, tails, weights, is_distribution=is_distribution)


def total(numbers: Floats) -> float:
    """The sum of numbers, infinite where a part of it exceeds the largest double."""
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf


def log_mean_exponential(log_weights: Floats, exponents: Floats, terms: Floats) -> float:
    """``ln sum exp(terms)`` for ``terms = log_weights + exponents``, weights that add up to 1.

    Precise relative to the result even where all exponents are close to zero, as is the result.
    The caller knows `terms` without the cancellation that a large weight and exponent would have.
    """
    # What the weights underflow to must not matter for the sum either.
    kept = log_weights > SMALLEST_LOGARITHM
    if not (terms[~kept] > SMALLEST_LOGARITHM).any():
        with np.errstate(over="ignore"):
            growth = total(np.exp(log_weights[kept]) * np.expm1(exponents[kept]))
        if -0.5 < growth < 1.0:
            return math.log1p(growth)
    top = float(terms.max())
    return top + math.log(math.fsum(np.exp(terms - top)))


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The nearest double of ``a + b``, and what is left."""
    head = a + b
    part = head - a
    return head, (a - (head - part)) + (b - part)


def times_ln2(numbers: Floats) -> tuple[Floats, Floats]:
    """``numbers * ln 2`` as the sum of two doubles."""
    head = numbers * LN2
    # The error of the product, from halves whose products are exact (Veltkamp and Dekker).
    splitter = 134217729.0
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = numbers * splitter
        high = scaled - (scaled - numbers)
        low = numbers - high
        ln2_high = LN2 * splitter - (LN2 * splitter - LN2)
        ln2_low = LN2 - ln2_high
        error = ((high * ln2_high - head) + high * ln2_low + low * ln2_high) + low * ln2_low
        tail = error + numbers * LN2_TAIL
    return head, np.where(np.isfinite(tail), tail, 0.0)
