"""Temperature sweeps of a million levels, against vectorised NumPy that works block by block."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

import unrolled

Measure = Callable[..., None]
Floats = npt.NDArray[np.float64]
pytestmark = pytest.mark.benchmark(timer=time.process_time)

TEMPERATURES = np.concatenate([np.linspace(-3, -0.03, 100), np.linspace(0.03, 3, 100)])
BLOCK = 4096


@cache
def levels(number: int, highest: float) -> tuple[Floats, Floats]:
    """Energies in random order and degeneracies."""
    random = np.random.default_rng(0)
    return random.uniform(0, highest, number), random.integers(1, 10**6, number).astype(float)


def numpy_sweep(energies: Floats, degeneracies: Floats) -> tuple[Floats, Floats, Floats]:
    """log Z, U and Var(E) by blocks that fit into the cache, relative to the extreme level."""
    logs = np.log(degeneracies)
    sums, betas = np.zeros((3, len(TEMPERATURES))), 1 / TEMPERATURES
    low, high = energies.min(), energies.max()
    references = np.where(TEMPERATURES > 0, low, high)
    tops = logs.max() - betas * references
    for start in range(0, len(energies), BLOCK):
        energy, log = energies[start : start + BLOCK], logs[start : start + BLOCK]
        for at, (beta, top, reference) in enumerate(zip(betas, tops, references, strict=True)):
            weights = np.exp(log - beta * energy - top)
            relative = energy - reference
            weighted = weights * relative
            sums[0, at] += weights.sum()
            sums[1, at] += weighted.sum()
            sums[2, at] += weighted @ relative
    means = sums[1] / sums[0]
    return tops + np.log(sums[0]), references + means, sums[2] / sums[0] - means**2


@pytest.mark.parametrize("side", ["unrolled", "NumPy"])
@pytest.mark.parametrize("highest", [500.0, 0.01])
def test_sweep_of_a_million_levels(
    measure: Measure, smoke: bool, highest: float, side: str
) -> None:
    energies, degeneracies = levels(10_000 if smoke else 1_000_000, highest)
    case = f"200 temperatures, a million levels to {highest:g}"
    if side == "unrolled":
        ensemble = unrolled.Ensemble(energies, degeneracies)
        measure(
            case,
            side,
            lambda: ensemble.sweep(TEMPERATURES),
            lambda sweep: float(sweep["energy"].sum()),
            rounds=5,
        )
    else:
        measure(
            case,
            side,
            lambda: numpy_sweep(energies, degeneracies),
            lambda sums: float(sums[1].sum()),
            rounds=3,
        )


@pytest.mark.parametrize("side", ["counts", "counts and lengths"])
@pytest.mark.parametrize("exact", [True, False])
def test_lengths(measure: Measure, smoke: bool, exact: bool, side: str) -> None:
    net = unrolled.models.efficientnet_v2("b0", size=64 if smoke else 224)

    def run() -> unrolled.Counts:
        return unrolled.count(net, exact=exact, lengths="lengths" in side)

    case = f"lengths, efficientnetv2-b0, {'exact' if exact else 'log'}"
    measure(case, side, run, lambda counts: float(counts.log2_total))
