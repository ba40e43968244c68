"""Keras layers without weights, and operations of keras.ops: counts are derivatives of forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles.keras_forms import (
    attention,
    check,
    counts_of,
    einsum,
    from_keras,
    group_sum,
    keras,
    of_keras,
)

pytestmark = of_keras
L, ops = keras.layers, keras.ops


def moved(function: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda w, *xs: function(*xs)


@pytest.mark.parametrize(
    ("layer", "form"),
    [
        (L.Flatten(), lambda x: x.reshape(1, -1)),
        (L.Flatten(data_format="channels_first"), lambda x: np.moveaxis(x, 1, -1).reshape(1, -1)),
        (L.Reshape((-1, 6)), lambda x: x.reshape(1, -1, 6)),
        (L.Permute((3, 1, 2)), lambda x: x.transpose(0, 3, 1, 2)),
        (L.ZeroPadding2D(((1, 0), (2, 1))), lambda x: np.pad(x, ((0, 0), (1, 0), (2, 1), (0, 0)))),
        (L.ZeroPadding2D(1), lambda x: np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))),
        (L.Cropping2D(((1, 0), (0, 2))), lambda x: x[:, 1:, :-2]),
        (L.UpSampling2D((2, 3)), lambda x: x.repeat(2, 1).repeat(3, 2)),
        (L.Dropout(0.5), lambda x: x),
        (L.SpatialDropout2D(0.5), lambda x: x),
        (L.GaussianNoise(0.5), lambda x: x),
        (L.ActivityRegularization(0.5), lambda x: x),
        (L.Rescaling(0.5, 1.0), lambda x: x),
        (L.LeakyReLU(), lambda x: x),
        (L.ReLU(6.0), lambda x: x),
        (L.Activation("hard_sigmoid"), lambda x: x),
        (L.Activation("glu"), lambda x: x[..., :2] + x[..., 2:]),
        (L.CenterCrop(1, 2), lambda x: x[:, 1:2, 1:3]),
        (L.RandomFlip(), lambda x: x),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_layers_without_weights(layer: Any, form: Any) -> None:
    check(layer, moved(form), (3, 4, 4))


def test_layers_of_one_axis() -> None:
    check(L.RepeatVector(3), moved(lambda x: x[:, None].repeat(3, 1)), (2,))
    check(L.ZeroPadding1D((1, 2)), moved(lambda x: np.pad(x, ((0, 0), (1, 2), (0, 0)))), (2, 3))
    check(L.Cropping1D((0, 1)), moved(lambda x: x[:, :-1]), (3, 2))
    check(L.UpSampling1D(2), moved(lambda x: x.repeat(2, 1)), (3, 2))


def test_bilinear_upsampling() -> None:
    # Twice as many places: at 1/4 and 3/4 between two positions, beyond the ends only one.
    reads = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1], [0, 0, 1]])
    layer = L.UpSampling2D((2, 1), interpolation="bilinear")
    check(layer, moved(lambda x: np.einsum("oi,biwc->bowc", reads, x)), (3, 2, 2))
    layer = L.Resizing(6, 2)
    check(layer, moved(lambda x: np.einsum("oi,biwc->bowc", reads, x)), (3, 2, 2))


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_merging_layers_read_all_their_inputs(name: str) -> None:
    layer = getattr(L, name)()
    check(lambda x, y: layer([x, y]), moved(lambda x, y: x + y), (2, 3), (2, 3))
    # Keras gives the smaller operand its axes of length 1 behind the batch axis.
    check(lambda x, y: layer([x, y]), moved(lambda x, y: x + y[:, None]), (2, 3), (3,))
    if name != "Subtract":
        layer = getattr(L, name)()
        form = moved(lambda x, y, z: x + y + z)
        check(lambda x, y, z: layer([x, y, z]), form, (2, 2), (2, 2), (2, 2))


def test_concatenate() -> None:
    layer = L.Concatenate(axis=1)
    form = moved(lambda x, y: np.concatenate([x, y], 1))
    check(lambda x, y: layer([x, y]), form, (2, 3), (1, 3))


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_dot(semantics: Any) -> None:
    def form(w: Any, x: Any, y: Any) -> Any:
        if semantics == "dependency":
            x, y = group_sum(x, (2,)), group_sum(y, (1,))
        return einsum("bij,bjk->bik", x, y)

    layer = L.Dot(axes=(2, 1), normalize=True)
    check(lambda x, y: layer([x, y]), form, (2, 3), (3, 2), semantics=semantics)


SAME = moved(lambda x: x)


@pytest.mark.parametrize(
    ("operation", "form"),
    [
        (lambda x: x * ops.sigmoid(x), lambda x: x),
        (lambda x: x * ops.relu6(x + 3.0) / 6.0, lambda x: x),
        (lambda x: 1.0 - ops.exp(-x), lambda x: x),
        (lambda x: x + x, lambda x: 2 * x),
        (lambda x: ops.maximum(x, 0.0), lambda x: x),
        (lambda x: ops.where(x > 0, x, 0.1 * x), lambda x: x),
        (lambda x: ops.clip(x, 0.0, 1.0) ** 2, lambda x: x),
        (lambda x: ops.mean(x, axis=(1, 2)), lambda x: x.sum((1, 2))),
        (lambda x: ops.max(x, axis=-1, keepdims=True), lambda x: x.sum(-1, keepdims=True)),
        (lambda x: ops.reshape(x, (-1, 4, 3)), lambda x: x.reshape(-1, 4, 3)),
        (lambda x: ops.transpose(x, (0, 3, 1, 2)), lambda x: x.transpose(0, 3, 1, 2)),
        (lambda x: ops.swapaxes(x, 1, -1), lambda x: x.swapaxes(1, -1)),
        (lambda x: ops.moveaxis(x, 1, 3), lambda x: np.moveaxis(x, 1, 3)),
        (lambda x: ops.expand_dims(x, 1), lambda x: x[:, None]),
        (lambda x: x[:, 1, None, ..., ::-1], lambda x: x[:, 1, None, ..., ::-1]),
        (lambda x: ops.flip(x, 2), lambda x: x[:, :, ::-1]),
        (lambda x: ops.roll(x, 1, 1), lambda x: np.roll(x, 1, 1)),
        (lambda x: ops.tile(x, (1, 2, 1, 1)), lambda x: np.tile(x, (1, 2, 1, 1))),
        (lambda x: ops.repeat(x, 2, 1), lambda x: x.repeat(2, 1)),
        (lambda x: ops.take(x, [2, 0, 0], 3), lambda x: x.take([2, 0, 0], 3)),
        (lambda x: ops.concatenate([x, x], 1), lambda x: np.concatenate([x, x], 1)),
        (lambda x: ops.stack([x, x], 1), lambda x: np.stack([x, x], 1)),
        (lambda x: ops.split(x, 2, 2)[1], lambda x: x[:, :, 1:]),
        (lambda x: ops.cumsum(x, 1), lambda x: x.cumsum(1)),
        (lambda x: ops.tril(x), np.tril),
        (
            lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), "reflect"),
            lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), "reflect"),
        ),
        (
            lambda x: ops.einsum("bijk,bijl->bkl", x, x),
            lambda x: einsum("bijk,bijl->bkl", x, x),
        ),
        (
            lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
            lambda x: einsum("bijk,bilk->bijl", x, x),
        ),
        (lambda x: ops.dot_product_attention(x, x, x), lambda x: attention(x, x, x)),
    ],
)
def test_operations(operation: Any, form: Any) -> None:
    check(operation, moved(form), (2, 2, 3))


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_normalisers_out_of_operations(semantics: Any) -> None:
    """A normaliser that is written out has the edges of the fused one."""

    def norm(x: Any) -> Any:
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        return centred / ops.sqrt(ops.mean(centred**2, axis=-1, keepdims=True) + 1e-5)

    def softmax(x: Any) -> Any:
        powers = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
        return powers / ops.sum(powers, axis=-1, keepdims=True)

    form = SAME if semantics == "value" else moved(lambda x: group_sum(x, (-1,)))
    for operation in (
        norm,
        softmax,
        ops.softmax,
        ops.normalize,
        lambda x: ops.rms_normalization(x),
    ):
        check(operation, form, (2, 3), semantics=semantics)


def test_gate_by_another_tensor() -> None:
    """As in squeeze and excite, both factors of the product have an edge."""

    def layer(x: Any) -> Any:
        gate = ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True))
        return x * gate

    check(layer, moved(lambda x: x + x.sum((1, 2), keepdims=True)), (2, 2, 3))


def test_hard_swish_of_mobilenet() -> None:
    """keras.applications writes it as Add, ReLU and Multiply, which are read as one function."""
    x = keras.Input((3,))
    y = L.PReLU(name="probe")(x)
    gate = L.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)
    net = from_keras(keras.Model(x, L.Multiply()([y, gate])))
    assert counts_of(net)["probe/alpha"].tolist() == [1, 1, 1]


def test_mask_has_no_effect() -> None:
    x = keras.Input((4,), dtype="int32")
    plain, masked = (
        L.LSTM(2, name="a")(L.Embedding(5, 3, mask_zero=mask, name="e")(x)) for mask in (0, 1)
    )
    first, second = (counts_of(from_keras(keras.Model(x, y))) for y in (plain, masked))
    assert {name: c.tolist() for name, c in first.items()} == {
        name: c.tolist() for name, c in second.items()
    }
