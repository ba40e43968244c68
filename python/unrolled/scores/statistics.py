"""How well one ranking follows another: correlations of ranks, what the top holds, intervals.

Arrays have one number an architecture; minus infinity is below all others. Which scores and
accuracies are compared is decided in `unrolled.scores.evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from unrolled._support.optional import import_optional

__all__ = ["Ranking", "kendall", "spearman", "spearman_interval", "spearman_within", "top_found"]

Numbers = npt.NDArray[np.float64]

SMALLEST_STRATUM = 10
"""Architectures below which a rank correlation within a stratum says nothing."""


class Ranking:
    """The order of some values, from which ranks under any weights follow without sorting again.

    Parameters
    ----------
    values : array of shape ``(n,)``
    """

    def __init__(self, values: Numbers) -> None:
        distinct, group = np.unique(values, return_inverse=True)
        self.group: npt.NDArray[np.intp] = group.reshape(-1)
        self.groups = len(distinct)

    def ranks(self, weights: npt.NDArray[np.int64]) -> Numbers:
        """Mean ranks, equal values sharing theirs, if each value is there `weights` times."""
        sizes = np.bincount(self.group, weights, self.groups)
        ends = np.cumsum(sizes)
        middle: Numbers = (ends - (sizes - 1) / 2)[self.group]
        return middle


def _correlation(a: Numbers, b: Numbers, weights: npt.NDArray[np.int64]) -> float:
    # Sums, because products of vectors by BLAS start threads, which cost more than they save.
    total = weights.sum()
    a = a - (a * weights).sum() / total
    b = b - (b * weights).sum() / total
    scale = float(np.sqrt((a * a * weights).sum() * (b * b * weights).sum()))
    return float((a * b * weights).sum()) / scale if scale > 0 else float("nan")


def spearman(a: Numbers, b: Numbers) -> float:
    """Spearman's rank correlation; NaN if one of the two never varies.

    Examples
    --------
    >>> import numpy as np
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([-np.inf, 5.0, 4.0]))
    0.5
    """
    once = np.ones(len(a), np.int64)
    return _correlation(Ranking(a).ranks(once), Ranking(b).ranks(once), once)


def kendall(a: Numbers, b: Numbers) -> float:
    """Kendall's tau-b; needs SciPy.

    Raises
    ------
    MissingPackageError
        SciPy is not installed.
    """
    stats = import_optional("scipy.stats", "scipy", "Kendall's tau")
    # Ranks, because the difference of two infinities is no number.
    once = np.ones(len(a), np.int64)
    return float(stats.kendalltau(Ranking(a).ranks(once), Ranking(b).ranks(once)).statistic)


def spearman_interval(
    a: Numbers, b: Numbers, *, draws: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """A bootstrap interval of Spearman's correlation, by percentiles over resampled pairs.

    Resamples in which one of the two never varies are left out; NaN if that is so in all.

    It says how far the figure would move for other architectures of the same space, and nothing
    of other spaces.

    Parameters
    ----------
    a, b : array of shape ``(n,)``
    draws : int
        How many times to resample.
    seed : int
        Of NumPy's default generator.
    level : float
        The share of resamples within the interval.
    """
    random = np.random.default_rng(seed)
    first, second = Ranking(a), Ranking(b)
    found = []
    for _ in range(draws):
        weights = np.bincount(random.integers(len(a), size=len(a)), minlength=len(a))
        found.append(_correlation(first.ranks(weights), second.ranks(weights), weights))
    known = [one for one in found if not np.isnan(one)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def top_found(score: Numbers, accuracy: Numbers, count: int) -> float:
    """The share of the `count` most accurate architectures among the `count` highest scores.

    Among equals the earlier one counts as higher.
    """
    best = np.argsort(-accuracy, kind="stable")[:count]
    chosen = np.argsort(-score, kind="stable")[:count]
    return len(np.intersect1d(best, chosen)) / count


def _strata(keys: Numbers) -> Iterator[npt.NDArray[np.intp]]:
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    yield from np.split(order, changes)


def spearman_within(score: Numbers, accuracy: Numbers, strata: Numbers) -> float:
    """Spearman's correlation within strata of equal numbers, their mean by size.

    Strata of fewer than ten architectures, or in which one of the two never varies, are left out;
    NaN if none is left.
    """
    total, weight = 0.0, 0
    for members in _strata(strata):
        if len(members) < SMALLEST_STRATUM:
            continue
        found = spearman(score[members], accuracy[members])
        if not np.isnan(found):
            total += found * len(members)
            weight += len(members)
    return total / weight if weight else float("nan")
