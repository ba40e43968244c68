"""Networks with drawn weights, run and differentiated in NumPy: what propagation is compared with.

Every array has an axis of draws and one of samples before its own. Nothing here knows of moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Value:
    """An array on the tape, with its gradient once `backward` was called."""

    def __init__(
        self, array: Array, parents: Sequence[tuple[Value, Callable[[Array], Array]]] = ()
    ):
        self.array = array
        self.parents = parents
        self.gradient = np.zeros_like(array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def __add__(self, other: Value) -> Value:
        return Value(
            self.array + other.array,
            [(self, lambda g: _summed(g, self.shape)), (other, lambda g: _summed(g, other.shape))],
        )

    def __sub__(self, other: Value) -> Value:
        return self + apply(other, lambda x: -x, lambda x: -np.ones_like(x))

    def __mul__(self, other: Value) -> Value:
        return Value(
            self.array * other.array,
            [
                (self, lambda g: _summed(g * other.array, self.shape)),
                (other, lambda g: _summed(g * self.array, other.shape)),
            ],
        )


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of something that was broadcast."""
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(tuple(range(extra)))
    narrow = tuple(axis for axis, n in enumerate(shape) if n == 1 and gradient.shape[axis] > 1)
    return gradient.sum(narrow, keepdims=True) if narrow else gradient


def backward(end: Value, gradient: Array) -> None:
    """Fill in the gradients of everything that `end` was computed from."""
    order: list[Value] = []
    seen: set[int] = set()

    def visit(value: Value) -> None:
        waiting = [(value, False)]
        while waiting:
            one, done = waiting.pop()
            if done:
                order.append(one)
            elif id(one) not in seen:
                seen.add(id(one))
                waiting.append((one, True))
                waiting += [(parent, False) for parent, _ in one.parents]

    visit(end)
    for value in order:
        value.gradient = np.zeros_like(value.array)
    end.gradient = gradient
    for value in reversed(order):
        for parent, pull in value.parents:
            parent.gradient = parent.gradient + pull(value.gradient)


def apply(x: Value, f: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Value:
    """A function of single elements."""
    return Value(f(x.array), [(x, lambda g: g * slope(x.array))])


def contract(equation: str, a: Value, b: Value) -> Value:
    """A product of two arrays, summed over letters that the result lacks; see `numpy.einsum`."""
    left, result = equation.split("->")
    first, second = left.split(",")
    return Value(
        np.einsum(equation, a.array, b.array, optimize=True),
        [
            (a, lambda g: np.einsum(f"{result},{second}->{first}", g, b.array, optimize=True)),
            (b, lambda g: np.einsum(f"{result},{first}->{second}", g, a.array, optimize=True)),
        ],
    )


def mean(x: Value, axes: Sequence[int]) -> Value:
    """The mean over axes, which stay with length 1."""
    axes = tuple(axes)
    count = np.prod([x.shape[axis] for axis in axes])
    return Value(
        x.array.mean(axes, keepdims=True),
        [(x, lambda g: np.broadcast_to(g / count, x.shape).copy())],
    )


def reshape(x: Value, *shape: int) -> Value:
    """Other lengths of the axes behind those of draws and samples."""
    whole = (*x.shape[:2], *shape)
    return Value(x.array.reshape(whole), [(x, lambda g: g.reshape(x.shape))])


def transpose(x: Value, *axes: int) -> Value:
    """Other axes behind those of draws and samples."""
    order = (0, 1, *[axis + 2 for axis in axes])
    return Value(x.array.transpose(order), [(x, lambda g: g.transpose(np.argsort(order)))])


def concatenate(xs: Sequence[Value], axis: int) -> Value:
    """Arrays one after the other along an axis."""
    axis += 2
    ends = np.cumsum([0, *[x.shape[axis] for x in xs]])

    def part(index: int) -> Callable[[Array], Array]:
        return lambda g: np.take(g, range(ends[index], ends[index + 1]), axis)

    return Value(
        np.concatenate([x.array for x in xs], axis), [(x, part(i)) for i, x in enumerate(xs)]
    )


def fixed(x: Value, matrix: Array) -> Value:
    """A linear map with given coefficients of the last axis."""
    return Value(x.array @ matrix.T, [(x, lambda g: g @ matrix)])


def largest(x: Value) -> Value:
    """The largest along the last axis."""
    at = x.array.argmax(-1)[..., None]

    def pull(g: Array) -> Array:
        back = np.zeros_like(x.array)
        np.put_along_axis(back, at, g[..., None], -1)
        return back

    return Value(x.array.max(-1), [(x, pull)])


def windows(
    x: Value, size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[Value, Array]:
    """Windows over the last two axes, and the taps in bounds.

    Windows have the shape ``(channels, h, w, size * size)``.

    Taps out of bounds read zero.
    """
    channels, *sides = x.shape[2:]
    reach = (size - 1) * dilation + 1
    stops = [(n + 2 * padding - reach) // stride + 1 for n in sides]
    matrices = []
    for n, stop in zip(sides, stops, strict=True):
        matrix = np.zeros((stop, size, n))
        for o in range(stop):
            for t in range(size):
                i = o * stride - padding + t * dilation
                if 0 <= i < n:
                    matrix[o, t, i] = 1
        matrices.append(matrix)
    rows, columns = matrices
    both = np.einsum("aih,bjw->abijhw", rows, columns).reshape(-1, sides[0] * sides[1])
    found = fixed(reshape(x, channels, sides[0] * sides[1]), both)
    found = reshape(found, channels, *stops, size * size)
    return found, both.sum(-1).reshape(*stops, size * size)


def affine(
    x: Value,
    kernel: Value,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Value:
    """A convolution with a kernel of shape ``(out, in / groups, size, size)`` by draw."""
    draws, out, inner, size, _ = kernel.shape
    found, _ = windows(x, size, stride, padding, dilation)
    _, _, _, h, w, taps = found.shape
    found = reshape(found, groups, inner, h, w, taps)
    weights = Value(
        kernel.array.reshape(draws, groups, out // groups, inner, taps),
        [(kernel, lambda g: g.reshape(kernel.shape))],
    )
    y = contract("dsgihwt,dgoit->dsgohw", found, weights)
    return reshape(y, out, h, w)


def dense(x: Value, kernel: Value) -> Value:
    """A product of the last axis with a kernel of shape ``(in, out)`` by draw."""
    letters = "abc"[: len(x.shape) - 3]
    return contract(f"ds{letters}i,dio->ds{letters}o", x, kernel)


def normalise(x: Value, axes: Sequence[int], *, centre: bool = True) -> Value:
    """Divided by the deviation over axes, the mean taken off, or by the root mean square."""
    if centre:
        x = x - mean(x, axes)
    variance = mean(x * x, axes)
    return x * apply(variance, lambda v: v**-0.5, lambda v: -0.5 * v**-1.5)


def softmax(x: Value) -> Value:
    """Along the last axis."""
    e = np.exp(x.array - x.array.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return Value(p, [(x, lambda g: p * (g - (g * p).sum(-1, keepdims=True)))])


class Draws:
    """Random numbers of a fixed seed, for so many draws of all weights."""

    def __init__(self, draws: int, seed: int = 0):
        self.draws = draws
        self.random = np.random.default_rng(seed)

    def kernel(self, variance: float, *shape: int) -> Value:
        """Normal weights."""
        return Value(self.random.normal(0, variance**0.5, (self.draws, *shape)))

    def signs(self, variance: float, *shape: int) -> Value:
        """Weights that are one value or minus it."""
        return Value(self.random.choice([-1, 1], (self.draws, *shape)) * variance**0.5)

    def per_channel(self, variance: float, channels: int, behind: int) -> Value:
        """A bias of shape ``(draws, 1, channels, 1, ...)``."""
        shape = (self.draws, 1, channels, *[1] * behind)
        return Value(self.random.normal(0, variance**0.5, shape))

    def input(self, *shape: int, samples: int = 2, correlation: float = 0.0) -> Value:
        """Normal inputs of variance 1, alike in all samples to some degree."""
        common = self.random.normal(size=(self.draws, 1, *shape))
        own = self.random.normal(size=(self.draws, samples, *shape))
        return Value(correlation**0.5 * common + (1 - correlation) ** 0.5 * own)

    def pull(self, y: Value) -> None:
        """Derivatives of a sum of the outputs with independent standard normal weights."""
        backward(y, self.random.normal(size=y.shape))


class Estimate:
    """A mean over draws, and its standard error."""

    def __init__(self, values: Any):
        values = np.asarray(values, dtype=np.float64)
        self.mean = float(values.mean())
        self.error = float(values.std(ddof=1) / len(values) ** 0.5)

    def agrees(self, value: float, bias: float = 0.0, errors: float = 4.0) -> bool:
        """Whether a prediction is within so many errors, and a relative bias that is stated."""
        return abs(self.mean - value) <= errors * self.error + bias * abs(value)

    def __repr__(self) -> str:
        return f"{self.mean:.6g} +- {self.error:.2g}"


def per_draw(array: Array) -> Array:
    """The mean over everything but draws."""
    return array.reshape(len(array), -1).mean(1)


def mean_square(x: Value) -> Estimate:
    """Of the elements."""
    return Estimate(per_draw(x.array**2))


def pair_of_samples(x: Value) -> Estimate:
    """Mean product of an element in two samples."""
    return Estimate(per_draw(x.array[:, 0] * x.array[:, 1]))


def gradient_square(x: Value) -> Estimate:
    """Mean square of the derivatives by the elements."""
    return Estimate(per_draw(x.gradient**2))


def pair_of_positions(array: Array, channels: int) -> Array:
    """Mean product at two positions, by draw; positions come behind one axis of channels."""
    flat = array.reshape(*array.shape[:2], channels, -1)
    positions = flat.shape[-1]
    pairs = (flat.sum(-1) ** 2 - (flat**2).sum(-1)) / (positions * (positions - 1))
    return per_draw(pairs)


def kernel_gradient(kernel: Value) -> Estimate:
    """Expected squared gradient, summed over the elements of a kernel.

    Only for one sample: the gradients of two would add.
    """
    return Estimate((kernel.gradient.reshape(len(kernel.array), -1) ** 2).sum(1))
