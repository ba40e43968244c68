"""Where an ensemble changes: peaks of its heat capacity, and temperatures that show all of it.

Energies of one model differ by 0.0005 here and by 500 nats there, and what the one does is out of
sight at the temperatures of the other. Everything here goes by the logarithm ``u = ln |beta|`` of
the inverse temperature. The entropy that is lost along it is the area under the heat capacity,
``dS = -C_v du``; both are known at every point, so a step that misses a peak is noticed.
"""

from __future__ import annotations

import math
from itertools import chain, islice, product
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np

from unrolled.ensemble.levels import Floats, Levels, Temperatures

__all__ = ["Survey", "curve_temperatures", "listed_temperatures", "peak_names", "survey"]

HOT, FROZEN = 1e-3, 750.0
"""``|beta E|`` of the largest distance between levels, and of the smallest one from the level that
the ensemble freezes to. What happens, happens between these."""
LEAST_BETA, LARGEST_BETA = 1e-307, 1e307
STEPS_PER_FOLD = 8
FINEST_STEP = 1e-4
LARGEST_CHANGE = 1 / 40
"""How much of its whole range a quantity may change from one point of a curve to the next."""
SMALLEST_CHANGE = 1 / 400
"""How much a quantity changes at least from one point of a curve to the next but one."""
LARGEST_MISS = 2e-4
"""The part of all entropy that may be lost in a step without showing in the heat capacity."""
MOST_POINTS = 4000
LEAST_PROMINENCE = 0.01
"""How far a peak stands out at least, as a part of the highest of all."""
REST = 0.01
"""The part of the entropy that may be lost beyond either end of the range that is shown."""
ROUNDING = 1e-13
AROUND_PEAKS = 4.0
"""How far the range goes beyond the outermost peaks, as a factor."""
NUMBER_LISTED = 16
"""How many temperatures of either sign are listed, peaks apart."""


class Survey(NamedTuple):
    """What there is to see of an ensemble."""

    betas: Floats
    """The peaks of the heat capacity, by rising inverse temperature."""
    ranges: dict[float, tuple[float, float]]
    """By sign: the smallest and the largest ``|beta|`` between which everything happens."""

    @property
    def smallest(self) -> float:
        """The smallest ``|beta|`` of either sign."""
        return min(one[0] for one in self.ranges.values())

    @property
    def largest(self) -> float:
        """The largest ``|beta|`` of either sign."""
        return max(one[1] for one in self.ranges.values())


class Curve(NamedTuple):
    """Quantities at rising ``|beta|`` of one sign, in nats."""

    sizes: Floats
    heat_capacity: Floats
    entropy: Floats
    energy: Floats
    """Relative to the level it freezes to."""


def survey(levels: Levels) -> Survey:
    """Look at an ensemble at all temperatures of both signs."""
    ends = {sign: _ends(levels, sign) for sign in (-1.0, 1.0)}
    curves = {sign: _curve(levels, sign, np.array(both)) for sign, both in ends.items() if both}
    highest = max((float(curve.heat_capacity.max()) for curve in curves.values()), default=0.0)
    betas: list[float] = []
    ranges: dict[float, tuple[float, float]] = {}
    for sign, curve in curves.items():
        peaks = [
            _summit(levels, sign, curve.sizes[at - 1], curve.sizes[at + 1])
            for at in _maxima(curve.heat_capacity, LEAST_PROMINENCE * highest)
        ]
        betas += [sign * size for size in peaks]
        change = curve.entropy[0] - curve.entropy[-1]
        if change <= ROUNDING * abs(curve.entropy[0]):
            continue  # Nearly all states are on the level that it freezes to.
        lost = (curve.entropy[0] - curve.entropy) / change
        first = int(np.flatnonzero(lost <= REST)[-1])
        last = int(np.flatnonzero(lost >= 1 - REST)[0])
        ranges[sign] = (
            min([float(curve.sizes[first]), *(size / AROUND_PEAKS for size in peaks)]),
            max([float(curve.sizes[last]), *(size * AROUND_PEAKS for size in peaks)]),
        )
    # Where nothing happens at one sign of the temperature, the other says what is worth a look.
    seen = next(iter(ranges.values()), (0.1, 10.0))
    return Survey(np.sort(betas), {sign: ranges.get(sign, seen) for sign in ends})


def peak_names(number: int) -> list[str]:
    """A, B and so on; after Z comes AA."""
    longer = map("".join, product(ascii_uppercase, repeat=2))
    return list(islice(chain(ascii_uppercase, longer), number))


def listed_temperatures(seen: Survey, *, by_beta: bool) -> Temperatures:
    """A few temperatures for a table: round ones over the whole range, the peaks, and -1.

    Rising, with both limits at T = 0; or by rising inverse temperature, with 0 in the middle.
    """
    places = {-1.0, *(seen.betas if by_beta else 1 / seen.betas).tolist()}
    for sign, ends in seen.ranges.items():
        sizes = np.geomspace(*ends, NUMBER_LISTED)
        places.update(float(f"{sign * size:.1e}") for size in (sizes if by_beta else 1 / sizes))
    negative, positive = ([x for x in sorted(places) if x * sign > 0] for sign in (-1, 1))
    if by_beta:
        return Temperatures.of_betas([*negative, 0.0, *positive])
    return Temperatures.of([*negative, "0-", "0+", *positive])


def curve_temperatures(
    levels: Levels, wanted: Survey | Temperatures, *, by_beta: bool
) -> Temperatures:
    """Temperatures that are dense enough to draw curves of, in the order of the axis.

    They cover what was seen, or the range of given temperatures, all of which are among them. At
    T = 0 a curve against the temperature has two ends; one against its inverse goes through 0.
    """
    halves: list[Floats] = []
    for sign in (-1.0, 1.0):
        if isinstance(wanted, Survey):
            marks = [wanted.smallest, wanted.largest, 0.0 if by_beta else math.inf]
        else:
            betas = wanted.betas
            marks = np.abs(
                betas[(sign * betas > 0) & (np.isfinite(betas) | (not by_beta))]
            ).tolist()
            if marks and by_beta and betas.min() <= 0 <= betas.max():
                marks.append(0.0)
        halves.append(sign * _drawn_sizes(levels, sign, np.unique(marks)))
    negative, positive = halves
    if isinstance(wanted, Temperatures) and not len(negative) + len(positive):
        return wanted  # Only infinite temperatures, which are one point.
    if by_beta:
        if len(negative) and len(positive):
            negative = negative[1:]  # Both begin at 0.
        return Temperatures.of_betas(np.concatenate([negative[::-1], positive]))
    return Temperatures.of_betas(np.concatenate([negative, positive[::-1]]))


def _ends(levels: Levels, sign: float) -> tuple[float, float] | None:
    """The smallest and largest ``|beta|`` that matter; None if all states have one energy."""
    distances = np.abs(levels.relative(levels.end(highest=sign < 0)))
    distances = distances[distances > 0]
    if not len(distances):
        return None
    hot, frozen = HOT / float(distances.max()), FROZEN / float(distances.min())
    return max(hot, LEAST_BETA), min(frozen, LARGEST_BETA)


def _curve(levels: Levels, sign: float, marks: Floats) -> Curve:
    """The quantities at rising marks, and between them wherever they change.

    A mark of zero or infinity stands for all that lies beyond what matters.
    """
    hot, frozen = _ends(levels, sign) or (1.0, 1.0)
    finite = marks[(marks > 0) & (marks < math.inf)]
    inner = [*finite.tolist()]
    if not len(finite) or marks[0] == 0:
        # However hot the first mark is, what changes from zero up to it is to be seen.
        inner.append(min([hot, *(HOT * size for size in inner)]))
    if not len(finite) or marks[-1] == math.inf:
        inner.append(max([frozen, *inner]))
    low, high = min(inner), max(inner)
    steps = math.ceil(STEPS_PER_FOLD * math.log(high / low)) + 1
    curve = _measure(levels, sign, np.union1d(inner, np.geomspace(low, high, steps)))
    while len(curve.sizes) < MOST_POINTS:
        middles = _missing(curve)
        if not len(middles):
            break
        curve = _merge(curve, _measure(levels, sign, middles))
    beyond = marks[~((marks > 0) & (marks < math.inf))]
    return _merge(curve, _measure(levels, sign, beyond))


def _missing(curve: Curve) -> Floats:
    """Where there should be points, too: in the middle of steps that are too large."""
    gaps = np.diff(np.log(curve.sizes))
    is_large = np.zeros(len(gaps), dtype=bool)
    for values in curve[1:]:
        changes = np.abs(np.diff(values))
        is_large |= changes > LARGEST_CHANGE * (values.max() - values.min())
    area = gaps * (curve.heat_capacity[1:] + curve.heat_capacity[:-1]) / 2
    missed = np.abs(-np.diff(curve.entropy) - area)
    is_large |= missed > LARGEST_MISS * (curve.entropy.max() - curve.entropy.min())
    at = np.flatnonzero(is_large & (gaps > FINEST_STEP))
    middles: Floats = np.sqrt(curve.sizes[at]) * np.sqrt(curve.sizes[at + 1])
    return middles


def _drawn_sizes(levels: Levels, sign: float, marks: Floats) -> Floats:
    """The points of a curve without those where nothing has changed, nor will at the next one."""
    if not len(marks):
        return marks
    curve = _curve(levels, sign, marks)
    values = np.array(curve[1:])
    least = SMALLEST_CHANGE * np.ptp(values, axis=1)
    must_stay = np.isin(curve.sizes, marks)
    must_stay[[0, -1]] = True
    kept = [0]
    for at in range(1, len(curve.sizes)):
        before, here = values[:, kept[-1]], values[:, at]
        after = values[:, min(at + 1, len(curve.sizes) - 1)]
        changes = np.maximum(np.abs(here - before), np.abs(after - before))
        if must_stay[at] or (changes > least).any():
            kept.append(at)
    return curve.sizes[kept]


def _measure(levels: Levels, sign: float, sizes: Floats) -> Curve:
    # Energies are relative to the level at the end of this sign: a zero has to have it, too.
    betas = sign * np.maximum(sizes, LEAST_BETA)
    sums = levels.sums(betas)
    heat = np.zeros(len(sizes))
    np.multiply(betas, sums.mean, out=heat, where=sums.mean != 0)
    width = np.zeros(len(sizes))
    np.multiply(sizes, sums.width, out=width, where=sums.width != 0)
    return Curve(sizes, width**2, sums.log_total + heat, sums.mean)


def _merge(curve: Curve, other: Curve) -> Curve:
    order = np.argsort(np.concatenate([curve.sizes, other.sizes]), kind="stable")
    columns = zip(curve, other, strict=True)
    return Curve(*(np.concatenate(column)[order] for column in columns))


def _maxima(values: Floats, prominence: float) -> list[int]:
    """Inner maxima from which values fall on both sides before they rise above them again."""
    rises = np.diff(values) > 0
    found = []
    for at in (np.flatnonzero(rises[:-1] & ~rises[1:]) + 1).tolist():
        higher = np.flatnonzero(values > values[at])
        before, after = higher[higher < at], higher[higher > at]
        left = values[before[-1] if len(before) else 0 : at]
        right = values[at : after[0] if len(after) else len(values)]
        if values[at] - max(left.min(), right.min()) >= prominence:
            found.append(at)
    return found


def _summit(levels: Levels, sign: float, low: float, high: float) -> float:
    """Where the heat capacity is largest between two points with one maximum between them."""
    while True:
        sizes = np.geomspace(low, high, 17)
        at = int(np.argmax(_measure(levels, sign, sizes).heat_capacity))
        low, high = float(sizes[max(at - 1, 0)]), float(sizes[min(at + 1, 16)])
        # Closer by, rounding decides: the heat capacity changes with the square of the distance.
        if high - low < 1e-8 * high:
            return float(sizes[at])
