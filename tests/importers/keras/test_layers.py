"""Keras layers: counts are derivatives of the layers' counting forms, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oracles.keras_forms import (
    attention,
    check,
    convolution,
    dense,
    einsum,
    group_sum,
    gru,
    keras,
    lstm,
    of_keras,
    projection,
    transposed,
    window_sum,
)

pytestmark = of_keras
L = keras.layers


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_dense(shape: tuple[int, ...]) -> None:
    check(L.Dense(4, activation="gelu", name="a"), lambda w, x: dense(x, w), shape)


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_conv1d(padding: str, stride: int, dilation: int) -> None:
    layer = L.Conv1D(
        3, 3, strides=stride, dilation_rate=dilation, padding=padding, activation="swish", name="a"
    )

    def form(w: Any, x: Any) -> Any:
        y = convolution(x, w["kernel"], strides=[stride], padding=padding, dilations=[dilation])
        return y + w["bias"]

    check(layer, form, (7, 2))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("first", [False, True])
def test_conv2d(padding: str, groups: int, first: bool) -> None:
    layer = L.Conv2D(
        4, (3, 2), strides=(2, 1), padding=padding, groups=groups, name="a",
        data_format="channels_first" if first else "channels_last",
    )  # fmt: skip

    def form(w: Any, x: Any) -> Any:
        x = np.moveaxis(x, 1, -1) if first else x
        y = convolution(x, w["kernel"], strides=(2, 1), padding=padding, groups=groups) + w["bias"]
        return np.moveaxis(y, -1, 1) if first else y

    check(layer, form, (2, 6, 5) if first else (6, 5, 2))


def test_conv3d() -> None:
    def form(w: Any, x: Any) -> Any:
        return convolution(x, w["kernel"], strides=(1, 2, 1), padding="same")

    layer = L.Conv3D(2, 2, strides=(1, 2, 1), padding="same", use_bias=False, name="a")
    check(layer, form, (2, 3, 2, 2))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 3), (4, 2), (3, 1)])
def test_transposed_convolution(padding: str, size: int, stride: int) -> None:
    def form(w: Any, x: Any) -> Any:
        y = transposed(x, w["kernel"], strides=(stride,), padding=padding)
        return y + w["bias"]

    check(L.Conv1DTranspose(3, size, strides=stride, padding=padding, name="a"), form, (4, 2))


@pytest.mark.parametrize("first", [False, True])
def test_transposed_convolution_of_images(first: bool) -> None:
    def form(w: Any, x: Any) -> Any:
        x = np.moveaxis(x, 1, -1) if first else x
        y = transposed(x, w["kernel"], strides=(2, 1), padding="same")
        return np.moveaxis(y + w["bias"], -1, 1) if first else y + w["bias"]

    layer = L.Conv2DTranspose(
        3, (3, 2), strides=(2, 1), padding="same", name="a",
        data_format="channels_first" if first else "channels_last",
    )  # fmt: skip
    check(layer, form, (2, 3, 4) if first else (3, 4, 2))


def depthwise(x: Any, kernel: Any, *, padding: str, stride: int) -> Any:
    *sizes, channels, multiplier = kernel.shape
    kernel = kernel.reshape(*sizes, 1, channels * multiplier)
    strides = [stride] * len(sizes)
    return convolution(x, kernel, strides=strides, padding=padding, groups=channels)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("first", [False, True])
def test_depthwise(multiplier: int, first: bool) -> None:
    def form(w: Any, x: Any) -> Any:
        x = np.moveaxis(x, 1, -1) if first else x
        y = depthwise(x, w["kernel"], padding="same", stride=2) + w["bias"]
        return np.moveaxis(y, -1, 1) if first else y

    layer = L.DepthwiseConv2D(
        3, strides=2, depth_multiplier=multiplier, padding="same", name="a",
        data_format="channels_first" if first else "channels_last",
    )  # fmt: skip
    check(layer, form, (3, 5, 4) if first else (5, 4, 3))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_separable(multiplier: int) -> None:
    def form(w: Any, x: Any) -> Any:
        y = depthwise(x, w["depthwise_kernel"], padding="valid", stride=1)
        return convolution(y, w["pointwise_kernel"], strides=(1,)) + w["bias"]

    check(L.SeparableConv1D(4, 2, depth_multiplier=multiplier, name="a"), form, (5, 3))


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pooling(kind: str, padding: str) -> None:
    layer = getattr(L, f"{kind}Pooling2D")((3, 2), strides=(2, 1), padding=padding)

    def form(w: Any, x: Any) -> Any:
        return window_sum(x, (3, 2), (2, 1), padding)

    check(layer, form, (6, 5, 2))
    check(
        getattr(L, f"{kind}Pooling1D")(2), lambda w, x: window_sum(x, (2,), (2,), "valid"), (5, 2)
    )


@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(keepdims: bool) -> None:
    layer = L.GlobalAveragePooling2D(keepdims=keepdims)
    check(layer, lambda w, x: x.sum((1, 2), keepdims=keepdims), (3, 2, 4))


def test_adaptive_pooling() -> None:
    def form(w: Any, x: Any) -> Any:  # Windows reach from floor to ceil, as PyTorch documents.
        return np.stack([x[:, 0:3].sum(1), x[:, 2:5].sum(1)], 1)

    check(L.AdaptiveMaxPooling1D(2), form, (5, 2))


def test_einsum_dense() -> None:
    layer = L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="e", name="a")
    check(layer, lambda w, x: einsum("abc,cde->abde", x, w["kernel"]) + w["bias"], (2, 4))
    layer = L.EinsumDense("...x,xy->...y", output_shape=3, bias_axes="y", name="a")
    check(layer, lambda w, x: einsum("...x,xy->...y", x, w["kernel"]) + w["bias"], (2, 2, 4))


def test_adapted_dense() -> None:
    layer = L.Dense(3, lora_rank=2, name="a")

    def form(w: Any, x: Any) -> Any:
        kernel = w["kernel"] + einsum("ir,ro->io", w["lora_kernel_a"], w["lora_kernel_b"])
        return dense(x, {"kernel": kernel, "bias": w["bias"]})

    check(layer, form, (4,))


def test_embedding() -> None:
    def form(w: Any, x: Any) -> Any:
        one_hot = np.repeat(x[..., None], 5, axis=-1)
        return einsum("btv,vd->btd", one_hot, w["embeddings"])

    check(L.Embedding(5, 2, name="a"), form, (3,))


def affine(w: Any, x: Any) -> Any:
    return x + sum(w.values())


def test_batch_normalization() -> None:
    check(L.BatchNormalization(name="a"), affine, (2, 3))
    check(L.BatchNormalization(scale=False, name="a"), affine, (2, 3))


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_normalisers(semantics: Any) -> None:
    def form(*axes: int) -> Any:
        if semantics == "value":
            return affine
        return lambda w, x: affine(w, group_sum(x, axes))

    check(L.LayerNormalization(name="a"), form(-1), (2, 3), semantics=semantics)
    check(L.LayerNormalization(axis=(1, 2), name="a"), form(1, 2), (2, 3), semantics=semantics)
    check(L.RMSNormalization(name="a"), form(-1), (2, 3), semantics=semantics)
    check(L.UnitNormalization(), form(-1), (2, 3), semantics=semantics)
    check(L.Softmax(), form(-1), (2, 3), semantics=semantics)
    check(L.Activation("softmax"), form(-1), (2, 3), semantics=semantics)

    def groups(w: Any, x: Any) -> Any:
        if semantics == "value":
            return affine(w, x)
        y = group_sum(x.reshape(1, 2, 3, 2, 2), (1, 2, 4))
        return affine(w, y.reshape(x.shape))

    check(L.GroupNormalization(2, name="a"), groups, (2, 3, 4), semantics=semantics)


def test_normalisation_by_statistics_of_data() -> None:
    check(L.Normalization(name="a"), affine, (2, 3))
    check(L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0] * 3), affine, (2, 3))


def test_spectral_normalization() -> None:
    layer = L.SpectralNormalization(L.Dense(3, name="b"), name="a")
    check(layer, lambda w, x: dense(x, w, "b/"), (2, 4))


def test_prelu() -> None:
    layer = L.PReLU(shared_axes=[1], name="a")
    check(layer, lambda w, x: x + w["alpha"], (3, 2))


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_multi_head_attention(semantics: Any) -> None:
    def normalise(x: Any) -> Any:
        return x if semantics == "value" else group_sum(x, (-1,))

    def form(w: Any, x: Any, y: Any) -> Any:
        q, k, v = projection(x, w, "query"), projection(y, w, "key"), projection(y, w, "value")
        z = attention(q, k, v, normalise)
        return projection(z, w, "attention_output", "btnh,nho->bto")

    layer = L.MultiHeadAttention(2, 3, value_dim=2, name="a")
    check(layer, form, (2, 4), (3, 5), semantics=semantics)


def test_grouped_query_attention() -> None:
    def form(w: Any, x: Any) -> Any:
        q, k, v = (projection(x, w, name) for name in ("query", "key", "value"))
        k, v = np.repeat(k, 2, axis=2), np.repeat(v, 2, axis=2)
        return projection(attention(q, k, v), w, "attention_output", "btnh,nho->bto")

    check(lambda x: L.GroupQueryAttention(2, 4, 2, name="a")(x, x), form, (2, 3))


CAUSAL_CALLS: dict[str, Any] = {
    "MultiHeadAttention": lambda x: L.MultiHeadAttention(2, 3, name="a")(
        x, x, use_causal_mask=True
    ),
    "GroupQueryAttention": lambda x: L.GroupQueryAttention(3, 2, 2, name="a")(
        x, x, use_causal_mask=True
    ),
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", CAUSAL_CALLS)
def test_causal_masks_take_edges_away(name: str, semantics: Any) -> None:
    """A query sees the tokens up to its own."""
    seen = np.tril(np.ones((4, 4)))

    def form(w: Any, x: Any) -> Any:
        q, k, v = (projection(x, w, role) for role in ("query", "key", "value"))
        scores = einsum("btnh,bsnh->bnts", q, k) * seen
        if semantics == "dependency":  # What a query sees is connected, once for each weight.
            scores = np.einsum("bnts,ts,tu->bntu", scores, seen, seen)
        z = np.einsum("bnts,bsnh->btnh", scores, np.ones_like(v))
        z = z + np.einsum("ts,bsnh->btnh", seen, v)
        return projection(z, w, "attention_output", "btnh,nho->bto")

    check(CAUSAL_CALLS[name], form, (4, 3), semantics=semantics)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_causal_attention(semantics: Any) -> None:
    seen = np.tril(np.ones((4, 4)))

    def form(w: Any, x: Any) -> Any:
        scores = (einsum("btd,bsd->bts", x, x) + w["scale"]) * seen
        if semantics == "dependency":
            scores = np.einsum("bts,ts,tu->btu", scores, seen, seen)
        z = np.einsum("bts,bsd->btd", scores, np.ones_like(x))
        return z + np.einsum("ts,bsd->btd", seen, x)

    layer = L.Attention(use_scale=True, name="a")
    check(lambda x: layer([x, x], use_causal_mask=True), form, (4, 3), semantics=semantics)


def test_attention() -> None:
    def form(w: Any, x: Any, y: Any) -> Any:
        scores = einsum("btd,bsd->bts", x, y) + w["scale"]
        return einsum("bts,bsd->btd", scores, y)

    check(lambda x, y: L.Attention(use_scale=True, name="a")([x, y]), form, (2, 3), (4, 3))


def test_additive_attention() -> None:
    def form(w: Any, x: Any, y: Any) -> Any:
        scores = (x[:, :, None] + y[:, None] + w["scale"]).sum(-1)
        return einsum("bts,bsd->btd", scores, y)

    check(lambda x, y: L.AdditiveAttention(name="a")([x, y]), form, (2, 3), (4, 3))


@pytest.mark.parametrize("sequences", [False, True])
def test_lstm(sequences: bool) -> None:
    def form(w: Any, x: Any) -> Any:
        states = lstm(x, w, "lstm_cell/", 2)
        return np.stack(states, 1) if sequences else states[-1]

    check(L.LSTM(2, return_sequences=sequences, name="a"), form, (3, 2))


@pytest.mark.parametrize("after", [False, True])
def test_gru(after: bool) -> None:
    def form(w: Any, x: Any) -> Any:
        return np.stack(gru(x, w, "gru_cell/", after=after), 1)

    check(L.GRU(2, return_sequences=True, reset_after=after, name="a"), form, (3, 2))


def test_simple_rnn() -> None:
    def form(w: Any, x: Any) -> Any:
        hidden = einsum("bi,io->bo", x[:, 2], w["simple_rnn_cell/kernel"])
        for step in (1, 0):
            given = einsum("bi,io->bo", x[:, step], w["simple_rnn_cell/kernel"])
            hidden = given + einsum("bi,io->bo", hidden, w["simple_rnn_cell/recurrent_kernel"])
        return hidden

    check(L.SimpleRNN(2, use_bias=False, go_backwards=True, name="a"), form, (3, 2))


@pytest.mark.parametrize("mode", ["concat", "sum", "mul"])
def test_bidirectional(mode: str) -> None:
    def form(w: Any, x: Any) -> Any:
        there = np.stack(lstm(x, w, "forward_b/lstm_cell/", 2), 1)
        back = np.stack(lstm(x, w, "backward_b/lstm_cell/", 2, reverse=True)[::-1], 1)
        return np.concatenate([there, back], -1) if mode == "concat" else there + back

    inner = L.LSTM(2, return_sequences=True, name="b")
    check(L.Bidirectional(inner, merge_mode=mode, name="a"), form, (3, 2))


def test_cells_one_above_the_other() -> None:
    def form(w: Any, x: Any) -> Any:
        first = np.stack(lstm(x, w, "s/c/", 2), 1)
        return np.stack(gru(first, w, "s/d/", after=True), 1)

    cells = L.StackedRNNCells([L.LSTMCell(2, name="c"), L.GRUCell(3, name="d")], name="s")
    check(L.RNN(cells, return_sequences=True, name="a"), form, (3, 2))


def test_convolutional_lstm() -> None:
    def form(w: Any, x: Any) -> Any:
        hidden = cell = None
        for step in range(3):
            kernel, recurrent, bias = (
                w[f"conv_lstm_cell/{n}"] for n in ("kernel", "recurrent_kernel", "bias")
            )
            gates = convolution(x[:, step], kernel, strides=[1]) + bias
            if hidden is not None:
                gates = gates + convolution(hidden, recurrent, strides=[1], padding="same")
            i, f, c, o = np.split(gates, 4, axis=-1)
            cell = i + c if cell is None else f + cell + i + c
            hidden = o + cell
        return hidden

    check(L.ConvLSTM1D(2, 3, name="a"), form, (3, 5, 2))


def test_time_distributed() -> None:
    layer = L.TimeDistributed(L.Dense(3, name="b"), name="a")
    check(layer, lambda w, x: dense(x, w, "b/"), (4, 2))
