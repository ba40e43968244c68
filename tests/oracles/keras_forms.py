"""Layers of Keras in the linear form whose derivatives count paths, in NumPy.

Every weight is 1, every activation the identity, and a product the sum of its two factors, each
times ones. The derivative of the sum of outputs by an element is then the number of paths from it;
as the form is linear, it is the value where this element is 1 and all others are 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "numpy")
pytest.importorskip("jax")  # Keras needs both to build models on NumPy.
pytest.importorskip("scipy")
keras = pytest.importorskip("keras")

import numpy as np  # noqa: E402

import unrolled  # noqa: E402
from unrolled.importers.keras import from_keras  # noqa: E402

# Of Keras itself where it runs on NumPy: shapes are found by running layers on memory as it is,
# and weights are saved by a conversion that NumPy is about to change.
of_keras = [
    pytest.mark.filterwarnings("ignore:(invalid value|overflow|divide by zero):RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

Weights = Mapping[str, Any]
Form = Callable[..., Any]


def counts_of(net: unrolled.Network) -> dict[str, np.ndarray]:
    """The count of every element of every parameter."""
    counts = unrolled.count(net)
    return {
        parameter.name: np.array(
            [counts[parameter.name][at] for at in np.ndindex(*parameter.shape)], dtype=object
        ).reshape(parameter.shape)
        for parameter in net.parameters
    }


def model_of(layer: Form, *shapes: Sequence[int]) -> Any:
    """A model of one layer behind probes, whose outputs count unequally often.

    The counts of a probe's weights are those of the elements that the layer reads.
    """
    inputs = [keras.Input(shape, name=f"input{i}") for i, shape in enumerate(shapes)]
    probes = [keras.layers.PReLU(name=f"probe{i}")(x) for i, x in enumerate(inputs)]
    y = layer(*probes)
    return keras.Model(inputs, [y, y[:, -1:], y[..., :1]])


def check(layer: Form, form: Form, *shapes: Sequence[int], semantics: Any = "value") -> None:
    """The counts of a layer's weights and inputs are the derivatives of its counting form."""
    model = model_of(layer, *shapes)
    net = from_keras(model, semantics=semantics)
    found = counts_of(net)
    names = [name for name in found if not name.startswith("probe")]
    weights = {name.partition("/")[2]: np.zeros(found[name].shape, np.int64) for name in names}
    given = [np.zeros((1, *shape), np.int64) for shape in shapes]

    def total() -> int:
        y = form(weights, *given)
        return int(y.sum() + y[:, -1:].sum() + y[..., :1].sum())

    for name in names:
        assert found[name].tolist() == derivative(total, weights[name.partition("/")[2]]), name
    for i, x in enumerate(given):
        assert [found[f"probe{i}/alpha"].tolist()] == derivative(total, x)
    # Nothing that Keras holds as a weight is forgotten.
    paths = {w.path for w in model.weights} - set(net.provenance.skipped)
    assert paths == set(found)


def derivative(total: Callable[[], int], x: Any) -> list[Any]:
    """The derivative of a linear function of arrays by each element of `x`; all arrays are zero."""
    assert not x.any()
    result = np.empty(x.shape, dtype=object)
    for at in np.ndindex(*x.shape):
        x[at] = 1
        result[at] = total()
        x[at] = 0
    wanted: list[Any] = result.tolist()
    return wanted


def product(function: Form, a: Any, b: Any) -> Any:
    """The counting form of a product: the sum of its factors, each times ones."""
    return function(a, np.ones_like(b)) + function(np.ones_like(a), b)


def einsum(equation: str, a: Any, b: Any) -> Any:
    return product(lambda x, y: np.einsum(equation, x, y), a, b)


def dense(x: Any, weights: Weights, name: str = "") -> Any:
    y = einsum("...i,io->...o", x, weights[f"{name}kernel"])
    return y + weights[f"{name}bias"] if f"{name}bias" in weights else y


def taps(
    lengths: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
) -> tuple[list[int], list[int]]:
    """How many positions are padded in front, as TensorFlow documents, and how many windows fit."""
    before, stops = [], []
    for n, k, s, d in zip(lengths, sizes, strides, dilations, strict=True):
        reach = (k - 1) * d + 1
        same = max(reach - (s if n % s == 0 else n % s), 0)
        total = {"same": same, "valid": 0, "causal": reach - 1}[padding]
        before.append(total if padding == "causal" else total // 2)
        stops.append((n + total - reach) // s + 1)
    return before, stops


def convolution(
    x: Any,
    kernel: Any,
    *,
    strides: Sequence[int],
    padding: str = "valid",
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Any:
    """A convolution of channels that are last by a kernel of ``(*sizes, in / groups, out)``."""
    *sizes, within, filters = kernel.shape
    dilations = dilations or [1] * len(sizes)
    lengths = x.shape[1:-1]
    before, stops = taps(lengths, sizes, strides, padding, dilations)

    def convolve(a: Any, b: Any) -> Any:
        y = np.zeros((1, *stops, filters), np.int64)
        for at in np.ndindex(*stops):
            for tap in np.ndindex(*sizes):
                read = tuple(
                    o * s - p + t * d
                    for o, s, p, t, d in zip(at, strides, before, tap, dilations, strict=True)
                )
                if not all(0 <= i < n for i, n in zip(read, lengths, strict=True)):
                    continue
                for g in range(groups):
                    given = slice(g * within, (g + 1) * within)
                    made = slice(g * filters // groups, (g + 1) * filters // groups)
                    y[(0, *at, made)] += a[(0, *read, given)] @ b[(*tap, slice(None), made)]
        return y

    return product(convolve, x, kernel)


def transposed(x: Any, kernel: Any, *, strides: Sequence[int], padding: str) -> Any:
    """A transposed convolution writes where a convolution of its result would read."""
    *sizes, filters, _ = kernel.shape
    reach = [max(k, s) for k, s in zip(sizes, strides, strict=True)]
    lengths = [
        n * s if padding == "same" else (n - 1) * s + r
        for n, s, r in zip(x.shape[1:-1], strides, reach, strict=True)
    ]
    before, stops = taps(lengths, sizes, strides, padding, [1] * len(sizes))
    assert tuple(stops) == x.shape[1:-1]

    def convolve(a: Any, b: Any) -> Any:
        y = np.zeros((1, *lengths, filters), np.int64)
        for at in np.ndindex(*stops):
            for tap in np.ndindex(*sizes):
                write = tuple(
                    o * s - p + t for o, s, p, t in zip(at, strides, before, tap, strict=True)
                )
                if all(0 <= i < n for i, n in zip(write, lengths, strict=True)):
                    y[(0, *write)] += b[tap] @ a[(0, *at)]
        return y

    return product(convolve, x, kernel)


def window_sum(x: Any, sizes: Sequence[int], strides: Sequence[int], padding: str) -> Any:
    """The sum of each window of each channel: a depthwise convolution without its kernel's part."""
    channels = x.shape[-1]
    kernel = np.zeros((*sizes, 1, channels), np.int64)
    return convolution(x, kernel, strides=strides, padding=padding, groups=channels)


def group_sum(x: Any, axes: Sequence[int]) -> Any:
    """A normaliser in dependency semantics: each element reads its whole group."""
    return np.broadcast_to(x.sum(axes, keepdims=True), x.shape)


def lstm(x: Any, w: Weights, prefix: str, units: int, *, reverse: bool = False) -> list[Any]:
    """Hidden states in the order in which they are computed; the first, zero, has no paths."""
    kernel, recurrent, bias = (w[f"{prefix}{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
    hidden = cell = None
    states = []
    for step in range(x.shape[1])[:: -1 if reverse else 1]:
        gates = einsum("bi,io->bo", x[:, step], kernel) + bias
        if hidden is not None:
            gates = gates + einsum("bi,io->bo", hidden, recurrent)
        i, f, c, o = np.split(gates, 4, axis=-1)
        cell = i + c if cell is None else f + cell + i + c
        hidden = o + cell
        states.append(hidden)
    return states


def gru(x: Any, w: Weights, prefix: str, *, after: bool) -> list[Any]:
    kernel, recurrent, bias = (w[f"{prefix}{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
    units = recurrent.shape[0]
    hidden = None
    states = []
    for step in range(x.shape[1]):
        given = einsum("bi,io->bo", x[:, step], kernel) + (bias[0] if after else bias)
        z, r, h = np.split(given, 3, axis=-1)
        past = bias[1] if after else np.zeros(3 * units)
        if hidden is not None:
            past = past + einsum("bi,io->bo", hidden, recurrent)
        z, r = z + past[..., :units], r + past[..., units : 2 * units]
        if after:
            candidate = h + past[..., 2 * units :] + r
        elif hidden is not None:
            candidate = h + einsum("bi,io->bo", r + hidden, recurrent[:, 2 * units :])
        else:
            candidate = h
        hidden = z + candidate if hidden is None else z + hidden + z + candidate
        states.append(hidden)
    return states


def attention(
    q: Any, k: Any, v: Any, normalise: Form = lambda x: x, equation: str = "btnh,bsnh->bnts"
) -> Any:
    scores = normalise(einsum(equation, q, k))
    return einsum("bnts,bsnh->btnh", scores, v)


def projection(x: Any, weights: Weights, name: str, equation: str = "bti,inh->btnh") -> Any:
    return einsum(equation, x, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]
