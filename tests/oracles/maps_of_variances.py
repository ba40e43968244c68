"""Mean squares of signals and derivatives, position by position, of two published networks.

A second way to what `propagate` computes: plain NumPy on whole maps, integrals by the trapezoid
rule, and no network. All weights are drawn with variance `gain` over the fan-in, inputs have mean
square 1 and are independent, and biases are zero.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NODES = np.linspace(-10, 10, 1001)
STEP = NODES[1] - NODES[0]
_cumulative = np.vectorize(lambda x: 0.5 * (1 + erf(x / 2**0.5)))


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * pi)


WEIGHTS = _density(NODES) * STEP

_of_maximum = 4 * WEIGHTS * _cumulative(NODES) ** 3
MAXIMUM, MAXIMUM_SQUARED = float(_of_maximum @ NODES), float(_of_maximum @ NODES**2)
"""First two moments of the largest of four independent normal numbers."""


class State(NamedTuple):
    """Mean m, mean square q, and mean product k with another sample or position, by position."""

    m: Array
    q: Array
    k: Array


def _relu(state: State) -> tuple[State, Array]:
    """A normal signal behind relu, and how often its derivative is 1."""
    shape = state.q.shape
    stacked = np.stack([one.ravel() for one in state])
    distinct, places = np.unique(stacked, axis=1, return_inverse=True)
    m, q, k = distinct
    spread = np.sqrt(q - m**2)
    above = _cumulative(m / spread)
    mean = m * above + spread * _density(m / spread)
    square = q * above + m * spread * _density(m / spread)
    # Given what two have in common, their means behind relu are independent.
    common = m[..., None] + np.sqrt(np.maximum(k - m**2, 0))[..., None] * NODES
    rest = np.sqrt(q - np.maximum(k, m**2))[..., None]
    ratio = common / rest
    inner = common * _cumulative(ratio) + rest * _density(ratio)
    found = np.stack([mean, square, inner**2 @ WEIGHTS, above])[:, places.ravel()]
    mean, square, joint, above = found.reshape(4, *shape)
    return State(mean, square, joint), above


def _window_sums(a: Array, taps: int, stride: int = 1) -> Array:
    side, margin = a.shape[0], taps // 2
    padded = np.pad(a, margin)
    shifts = [(i, j) for i in range(taps) for j in range(taps)]
    return sum(padded[i : i + side : stride, j : j + side : stride] for i, j in shifts)


def _spread_out(a: Array, taps: int, stride: int, side: int) -> Array:
    """The transpose of `_window_sums`."""
    spaced = np.zeros((side, side))
    spaced[::stride, ::stride] = a
    return _window_sums(spaced, taps)


def _blocks(a: Array) -> Array:
    side = a.shape[0] // 2
    return a.reshape(side, 2, side, 2).mean((1, 3))


Backward = Callable[[Array], Array]


def _conv(
    x: State, inputs: int, outputs: int, taps: int, gain: float, stride: int = 1
) -> tuple[State, Backward]:
    variance, side = gain / (inputs * taps**2), x.q.shape[0]
    q, k = (variance * inputs * _window_sums(a, taps, stride) for a in (x.q, x.k))
    return State(
        np.zeros_like(q), q, k
    ), lambda g: variance * outputs * _spread_out(g, taps, stride, side)


def _max_pool_relu(x: State) -> tuple[State, Backward]:
    """The larger of 2 x 2 positions, whose products are as those of samples, then relu."""
    q, r = _blocks(x.q), _blocks(x.k)
    m = np.sqrt(q - r) * MAXIMUM
    pooled = State(m, m**2 + r + (q - r) * (MAXIMUM_SQUARED - MAXIMUM**2), m**2 + r)
    state, slope = _relu(pooled)
    return state, lambda g: np.kron(g * slope, np.ones((2, 2))) / 4


def vgg16(gain: float, size: int = 64) -> tuple[float, float]:
    """E|J|^2 and the mean square of the output of VGG-16 with `size` by `size` pixels."""
    one = np.ones((size, size))
    x, inputs = State(0 * one, one, 0 * one), 3
    tape: list[Backward] = []
    for width, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for place in range(number):
            x, back = _conv(x, inputs, width, 3, gain)
            tape.append(back)
            if place < number - 1:
                x, slope = _relu(x)
                tape.append(lambda g, slope=slope: g * slope)
            inputs = width
        x, back = _max_pool_relu(x)
        tape.append(back)
    # Two hidden layers and the logits; relu halves a mean square around zero.
    output = gain * (gain / 2) ** 2 * float(x.q.mean())
    last = (gain * 1000 / 4096 / 2) * (gain / 2) * gain * 4096 / (512 * x.q.size)
    g = np.full(x.q.shape, last)
    for back in reversed(tape):
        g = back(g)
    return float(3 * g.sum()), output


def resnet50(gain: float = 2.0, size: int = 64) -> tuple[float, float, float, float]:
    """ResNet-50 with its stride on 3 x 3 convolutions, batch norms, and a stem that pools 2 x 2.

    Returns
    -------
    E|J|^2, the mean square of the output, and the squared gradients of the first and last kernel.
    """
    one = np.ones((size, size))
    tape: list[Backward] = []

    def normalised(x: State) -> tuple[State, float]:
        variance = float(np.mean(x.q - x.k))
        return State(0 * x.m, (x.q - x.k) / variance, 0 * x.k), 1 / variance

    def layer(
        x: State, inputs: int, outputs: int, taps: int, stride: int = 1
    ) -> tuple[State, Backward]:
        x, back = _conv(x, inputs, outputs, taps, gain, stride)
        x, factor = normalised(x)
        return x, lambda g: back(g * factor)

    x, _ = _conv(State(0 * one, one, 0 * one), 3, 64, 7, gain, 2)
    stem, (x, factor) = x, normalised(x)
    x, back = _max_pool_relu(x)
    tape.append(lambda g, back=back, factor=factor: factor * back(g))
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            y, first = layer(x, inputs, width, 1)
            y, slope = _relu(y)
            y, second = layer(y, width, width, 3, stride)
            y, other = _relu(y)
            y, third = layer(y, width, 4 * width, 1)
            skip: tuple[State, Backward] = (x, lambda g: g)
            if block == 0:
                skip = layer(x, inputs, 4 * width, 1, stride)
            inputs = 4 * width
            m = skip[0].m  # What a batch norm computes has mean zero, and nothing in common.
            x, after = _relu(State(m, skip[0].q + y.q, skip[0].k))

            def backward(
                g: Array,
                branch: tuple[Backward, Backward, Backward] = (first, second, third),
                slopes: tuple[Array, Array, Array] = (slope, other, after),
                past: Backward = skip[1],
            ) -> Array:
                g = g * slopes[2]
                inner = branch[1](branch[2](g) * slopes[1])
                return past(g) + branch[0](inner * slopes[0])

            tape.append(backward)
    return _ended(x, tape, stem, gain, size)


def _ended(
    x: State, tape: list[Backward], stem: State, gain: float, size: int
) -> tuple[float, float, float, float]:
    """The average over positions, the logits, and everything backwards."""
    positions = x.q.size
    # Two positions of a sample have in common what two samples have.
    pooled = float(x.q.mean()) / positions + (1 - 1 / positions) * float(x.k.mean())
    variance = gain / 2048
    g = np.full(x.q.shape, variance * 1000 / positions**2)
    for back in reversed(tape):
        g = back(g)
    # A tap of the stem meets inputs that are independent, all of mean square one.
    taps = _window_sums(np.ones((size, size)), 7, 2)
    first = float(64 * 3 * (g * taps).sum())
    jacobian = 3 * gain / 147 * 64 * float(_spread_out(g, 7, 2, size).sum())
    return jacobian, gain * pooled, first, 1000 * 2048 * pooled
