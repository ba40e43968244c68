"""The peer of `propagate_many`: the saliency entropy of cells of NAS-Bench-201 with NumPy.

This is what a skilled NumPy user would write who knows the space: every tensor of the fixed
skeleton is a few arrays with a number for each architecture, and the operation of an edge is chosen
with masks, for all architectures at once. It shares no code with the core: the rules are those of
docs/scores.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["saliency_entropies"]

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Back: TypeAlias = Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]
"""Takes mean squares of derivatives, and their covariance between positions, one step back."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NONE, SKIP, POOL, CONV1, CONV3 = range(5)
OVERLAP = np.sqrt(2) / 3
"""Correlation of averaged white noise between windows of 3 x 3 that move by one."""


class Signal(NamedTuple):
    """Variance, covariance between positions, and the variance that a kernel keeps."""

    variance: Numbers
    covariance: Numbers
    kept: Numbers


class Kernel(NamedTuple):
    """What the entropy needs of a convolution: its units, and its power before the gradient."""

    units: Numbers
    power: Numbers
    is_there: Mask


def relu(x: Signal) -> tuple[Signal, Numbers, Numbers]:
    """The signal, and mean products of slopes at one position and at two."""
    with np.errstate(all="ignore"):
        r = np.clip(np.nan_to_num(x.covariance / x.variance), 0, 1)
    angle = np.arccos(r)
    kernel = (np.sqrt(1 - r * r) + r * (np.pi - angle)) / np.pi
    variance = x.variance * (1 - 1 / np.pi) / 2
    covariance = variance * (kernel - 1 / np.pi) / (1 - 1 / np.pi)
    return Signal(variance, covariance, x.kept), np.full_like(r, 0.5), (np.pi - angle) / (2 * np.pi)


class Sweep:
    """A sweep forwards that remembers how to go back."""

    def __init__(self, cells: npt.NDArray[np.int64]) -> None:
        self.cells = cells
        self.count = len(cells)
        self.kernels: list[tuple[Kernel, list[Numbers]]] = []

    def ones(self) -> Numbers:
        return np.ones(self.count)

    def conv_norm(
        self, x: Signal, fan: int, out: int, side: int, size: int, stride: int, mask: Mask
    ) -> tuple[Signal, Back]:
        """Convolution and batch norm; returns the signal and the way back."""
        with np.errstate(all="ignore"):
            r = np.clip(np.nan_to_num(x.covariance / x.variance), 0, 1)
        taps = size * size
        effective = taps**2 / (taps + (taps**2 - taps) * r * r)
        target = (side // stride) ** 2
        read = side * side if size >= stride else target
        units = out * read * np.sqrt(fan * effective)
        holder: list[Numbers] = []
        self.kernels.append((Kernel(units, out * target * x.kept, mask), holder))
        one = self.ones()

        def back(square: Numbers, covariance: Numbers) -> tuple[Numbers, Numbers]:
            with np.errstate(all="ignore"):
                square, covariance = square / x.kept, covariance / x.kept
                holder.append(square)
                factor = out * x.kept / (fan * stride**2 * x.variance)
                return (
                    np.nan_to_num(square * factor),
                    np.nan_to_num(covariance * factor / stride**2),
                )

        return Signal(one, r, one), back

    def relu_conv_norm(
        self, x: Signal, fan: int, out: int, side: int, size: int, stride: int, mask: Mask
    ) -> tuple[Signal, Back]:
        y, square_slope, pair_slope = relu(x)
        z, back = self.conv_norm(y, fan, out, side, size, stride, mask)

        def whole(square: Numbers, covariance: Numbers) -> tuple[Numbers, Numbers]:
            square, covariance = back(square, covariance)
            return square * square_slope, covariance * pair_slope

        return z, whole

    def cell(self, x: Signal, width: int, side: int, live: Mask) -> tuple[Signal, Back]:
        nodes = [x]
        backs: list[tuple[int, int, int, Mask, Back | None]] = []
        for target in (1, 2, 3):
            zero = np.zeros(self.count)
            sums = [zero, zero, zero]
            for place, (source, end) in enumerate(EDGES):
                if end != target:
                    continue
                chosen = self.cells[:, place]
                y = nodes[source]
                apart = (y.variance - y.covariance) / 9
                pooled = y.covariance + apart
                results: dict[int, tuple[Numbers, Numbers, Back | None]] = {
                    SKIP: (y.variance, y.covariance, None),
                    POOL: (pooled, y.covariance + OVERLAP * apart, None),
                }
                for operation, size in ((CONV1, 1), (CONV3, 3)):
                    mask = (chosen == operation) & live[:, place]
                    z, through = self.relu_conv_norm(y, width, width, side, size, 1, mask)
                    results[operation] = (z.variance, z.covariance, through)
                for operation, (variance, covariance, way) in results.items():
                    mask = (chosen == operation) & live[:, place]
                    sums[0] = sums[0] + np.where(mask, variance, 0)
                    sums[1] = sums[1] + np.where(mask, covariance, 0)
                    backs.append((source, target, operation, mask, way))
            nodes.append(Signal(sums[0], sums[1], sums[0]))

        def back(square: Numbers, covariance: Numbers) -> tuple[Numbers, Numbers]:
            gradients = [[np.zeros(self.count), np.zeros(self.count)] for _ in range(4)]
            gradients[3] = [square, covariance]
            for source, target, operation, mask, through in reversed(backs):
                s, c = gradients[target]
                if operation == POOL:
                    apart = (s - c) / 9
                    s, c = c + apart, c + OVERLAP * apart
                elif through is not None:
                    s, c = through(s, c)
                gradients[source][0] = gradients[source][0] + np.where(mask, s, 0)
                gradients[source][1] = gradients[source][1] + np.where(mask, c, 0)
            return gradients[0][0], gradients[0][1]

        return nodes[3], back


def saliency_entropies(cells: npt.NDArray[np.int64]) -> Numbers:
    """In nats, of rows of operations by edge; minus infinity where no path leads through a cell."""
    sweep = Sweep(cells)
    count = len(cells)
    begins = [np.ones(count, bool), *(np.zeros(count, bool) for _ in range(3))]
    ends = [*(np.zeros(count, bool) for _ in range(3)), np.ones(count, bool)]
    for place, (source, target) in enumerate(EDGES):
        begins[target] = begins[target] | (begins[source] & (cells[:, place] != NONE))
    for place, (source, target) in reversed(list(enumerate(EDGES))):
        ends[source] = ends[source] | (ends[target] & (cells[:, place] != NONE))
    live = np.column_stack(
        [
            begins[source] & ends[target] & (cells[:, place] != NONE)
            for place, (source, target) in enumerate(EDGES)
        ]
    )
    every = np.ones(count, bool)
    one, zero = np.ones(count), np.zeros(count)
    x, back = sweep.conv_norm(Signal(one, zero, one), 3, 16, 32, 3, 1, every)
    backs, side, width = [back], 32, 16
    for stage in range(3):
        if stage > 0:
            x, back = reduction(sweep, x, width, side)
            backs.append(back)
            side, width = side // 2, 2 * width
        for _ in range(5):
            x, back = sweep.cell(x, width, side, live)
            backs.append(back)
    with np.errstate(all="ignore"):
        r = np.clip(np.nan_to_num(x.covariance / x.variance), 0, 1)
    normed = Signal(one, r, one)
    _, square_slope, pair_slope = relu(normed)
    # The mean over 64 positions is taken to be standard again; a kernel of 64 x 10 follows.
    kernel: list[Numbers] = [one]
    sweep.kernels.append((Kernel(10 * np.sqrt(64) * one, 10 * one, every), kernel))
    square = one * 10 / 64
    square, covariance = square / 64**2 * one, square / 64**2
    square, covariance = square * square_slope, covariance * pair_slope
    with np.errstate(all="ignore"):
        square, covariance = square / x.variance, covariance / x.variance
    for back in reversed(backs):
        square, covariance = back(np.nan_to_num(square), np.nan_to_num(covariance))
    total, weighed = np.zeros(count), np.zeros(count)
    for kernel_of, holder in sweep.kernels:
        with np.errstate(all="ignore"):
            root = np.sqrt(kernel_of.power * holder[0] * kernel_of.units)
            root = np.where(kernel_of.is_there, np.nan_to_num(root), 0)
            total += root
            weighed += np.where(root > 0, root * np.log(root / kernel_of.units), 0)
    with np.errstate(all="ignore"):
        entropy = np.log(total) - weighed / total
    return np.where(live.any(axis=1), entropy, -np.inf)


def reduction(sweep: Sweep, x: Signal, width: int, side: int) -> tuple[Signal, Back]:
    """The residual block between two stages."""
    every = np.ones(sweep.count, bool)
    y, first = sweep.relu_conv_norm(x, width, 2 * width, side, 3, 2, every)
    y, second = sweep.relu_conv_norm(y, 2 * width, 2 * width, side // 2, 3, 1, every)
    apart = (x.variance - x.covariance) / 4
    pooled = x.covariance + apart
    # Windows of 2 x 2 that move by two have nothing in common; one kernel of 1 x 1, without a norm.
    shortcut = Signal(pooled, x.covariance, pooled)
    holder: list[Numbers] = []
    target = (side // 2) ** 2
    units = 2 * width * target * np.sqrt(width) * np.ones(sweep.count)
    sweep.kernels.append((Kernel(units, 2 * width * target * pooled, every), holder))
    variance, covariance = y.variance + shortcut.variance, y.covariance + shortcut.covariance
    dense = np.sqrt(3) / 4

    def back(square: Numbers, pair: Numbers) -> tuple[Numbers, Numbers]:
        s, c = first(*second(square, pair))
        holder.append(square)
        # Twice as many channels read each; a position is in one window, which is a quarter of it.
        coherent, apart = 2 * pair / 16, 2 * (square - pair) / 16
        return s + coherent + apart, c + coherent + dense * apart

    return Signal(variance, covariance, variance), back
