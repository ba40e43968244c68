"""Layers that compute, by hand: shapes, and multiplicities stated outright.

In many tests the tensor a layer reads is itself a parameter, so that its counts are the numbers of
edges the layer draws from each of its elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oracles.counting import Layer, counts_in, counts_of, edges_from
from unrolled.network import Network

# Convolution: a tap counts the positions at which it is in bounds.


@pytest.mark.parametrize(
    ("length", "options", "taps"),
    [
        (4, {"padding": "valid"}, [2, 2, 2]),
        (4, {"padding": "same"}, [3, 4, 3]),
        (4, {"padding": "symmetric"}, [3, 4, 3]),
        (4, {"padding": 1}, [3, 4, 3]),
        (4, {"padding": 2}, [4, 4, 4]),
        (4, {"padding": [(2, 0)]}, [2, 3, 4]),
        (4, {"padding": "same", "stride": 2}, [2, 2, 1]),
        (4, {"padding": "symmetric", "stride": 2}, [1, 2, 2]),
        (5, {"padding": "same", "stride": 2}, [2, 3, 2]),
        (5, {"padding": "symmetric", "stride": 2}, [2, 3, 2]),
        (7, {"padding": "valid", "stride": 2}, [3, 3, 3]),
        (5, {"padding": "valid", "dilation": 2}, [1, 1, 1]),
        (5, {"padding": "same", "dilation": 2}, [3, 5, 3]),
        (1, {"padding": "same"}, [0, 1, 0]),
    ],
)
def test_taps_of_a_convolution_meet_elements_by_padding_stride_and_dilation(
    length: int, options: dict[str, Any], taps: list[int]
) -> None:
    found = counts_in((1, length), lambda net, x: net.conv(x, 1, 3, **options))
    assert found["kernel"] == [[taps]]


def test_conv_of_one_tap_beyond_the_edge() -> None:
    layer = lambda net, x: net.conv(x, 1, 1, padding=[(0, 2)])  # noqa: E731
    assert counts_in((1, 4), layer) == {"kernel": [[[4]]], "bias": [6]}


def test_conv_reads_each_pixel_once_a_window_and_channel() -> None:
    layer = lambda net, x: net.conv(x, 5, 3, padding="symmetric")  # noqa: E731
    assert edges_from((2, 4), layer) == [[10, 15, 15, 10]] * 2


def test_conv_in_two_dimensions_is_a_product() -> None:
    found = counts_in((2, 4, 5), lambda net, x: net.conv(x, 3, 3))
    taps = np.outer([3, 4, 3], [4, 5, 4]).tolist()
    assert found["kernel"] == [[taps] * 2] * 3
    assert found["bias"] == [20] * 3


def test_conv_in_three_dimensions_is_a_product() -> None:
    found = counts_in((1, 2, 3, 4), lambda net, x: net.conv(x, 1, (1, 2, 3), padding="valid"))
    assert np.unique(found["kernel"]).tolist() == [2 * 2 * 2]
    assert np.shape(found["kernel"]) == (1, 1, 1, 2, 3)


def test_groups_of_several_inputs_and_one_output_may_differ() -> None:
    """Of three groups two lead on: each of their inputs has one context, the others have none."""
    net = Network()
    x = net.parameter("x", (6, 2))
    y = net.conv(x, 3, 1, groups=3, use_bias=False, name="y")
    net.output(net.slice(y, 0, 0, 2))
    assert counts_of(net)["x"] == [[1, 1]] * 4 + [[0, 0]] * 2


def test_grouped_conv_reads_its_own_channels() -> None:
    net = Network()
    x = net.parameter("x", (4, 3))
    y = net.conv(x, 6, 1, groups=2, use_bias=False, name="y")
    net.output(net.slice(y, 0, 0, 2))
    found = counts_of(net)
    assert found["x"] == [[2] * 3, [2] * 3, [0] * 3, [0] * 3]
    assert found["y/kernel"] == [[[3], [3]]] * 2 + [[[0], [0]]] * 4


def test_depthwise_convolution_keeps_channels_apart() -> None:
    net = Network()
    x = net.parameter("x", (2, 5))
    y = net.depthwise_conv(x, 3, multiplier=2, padding="valid", name="y")
    assert y.shape == (4, 3)
    net.output(net.slice(y, 0, 1, 2))
    found = counts_of(net)
    assert found["x"] == [[1, 2, 3, 2, 1], [0] * 5]
    assert found["y/kernel"] == [[[0] * 3], [[3] * 3], [[0] * 3], [[0] * 3]]
    assert found["y/bias"] == [0, 3, 0, 0]


# Output lengths of PyTorch's ConvTranspose1d and, for "same", of Keras' Conv1DTranspose.
@pytest.mark.parametrize(
    ("length", "size", "options", "expected"),
    [
        (5, 3, {"padding": 0}, 7),
        (5, 3, {"padding": 1, "stride": 2}, 9),
        (5, 3, {"padding": 1, "stride": 2, "output_padding": 1}, 10),
        (5, 4, {"padding": 1, "stride": 2}, 10),
        (5, 3, {"padding": 0, "dilation": 2}, 9),
        (5, 3, {"padding": "valid", "stride": 3}, 15),
        (5, 3, {"padding": "same", "stride": 2}, 10),
        (5, 2, {"padding": "same", "stride": 3}, 15),
        (5, 3, {"padding": [(1, 0)], "stride": 2}, 10),
    ],
)
def test_conv_transpose_length(
    length: int, size: int, options: dict[str, Any], expected: int
) -> None:
    net = Network()
    x = net.input((2, length))
    assert net.conv_transpose(x, 3, size, **options, name="y").shape == (3, expected)
    assert net["y/kernel"].shape == (2, 3, size)


def test_conv_transpose_counts() -> None:
    # Outputs 0..4; tap t of input i lands on 2 i + t - 1, out of bounds for (0, 0) only.
    layer = lambda net, x: net.conv_transpose(x, 1, 3, stride=2, padding=[(1, 0)])  # noqa: E731
    assert counts_in((1, 2), layer) == {"kernel": [[[1, 2, 2]]], "bias": [4]}
    assert edges_from((1, 2), layer) == [[2, 3]]


def test_conv_transpose_cuts_the_odd_position_off_the_end() -> None:
    layer = lambda net, x: net.conv_transpose(x, 1, 2)  # noqa: E731
    assert counts_in((1, 3), layer)["kernel"] == [[[3, 2]]]


def test_grouped_conv_transpose() -> None:
    net = Network()
    x = net.parameter("x", (4, 1))
    y = net.conv_transpose(x, 6, 1, groups=2, use_bias=False, name="y")
    assert net["y/kernel"].shape == (4, 3, 1)
    net.output(net.slice(y, 0, 4, 5))
    found = counts_of(net)
    assert found["x"] == [[0], [0], [1], [1]]
    kernel = np.zeros((4, 3), int)
    kernel[2:, 1] = 1
    assert found["y/kernel"] == kernel[..., None].tolist()


# Dense, products, embedding.


def test_dense_connects_every_pair() -> None:
    found = counts_in((3,), lambda net, x: net.dense(x, 2))
    assert found == {"kernel": [[1, 1]] * 3, "bias": [1, 1]}
    assert edges_from((3,), lambda net, x: net.dense(x, 2)) == [2, 2, 2]


def test_dense_shares_its_weights_over_leading_axes() -> None:
    found = counts_in((4, 5, 3), lambda net, x: net.dense(x, 2))
    assert found == {"kernel": [[20, 20]] * 3, "bias": [20, 20]}


def test_tied_dense_layers_add_up() -> None:
    net = Network()
    x = net.input((3,))
    w = net.parameter("w", (3, 3))
    for _ in range(3):
        x = net.dense(x, 3, kernel=w, use_bias=False)
    net.output(x)
    assert counts_of(net)["w"] == [[1 + 3 + 9] * 3] * 3


def test_matmul_has_an_edge_from_each_factor_of_each_term() -> None:
    net = Network()
    a, b = net.parameter("a", (2, 3)), net.parameter("b", (3, 5))
    net.output(net.matmul(a, b))
    assert counts_of(net) == {"a": [[5] * 3] * 2, "b": [[2] * 5] * 3}


def test_matmul_broadcasts_leading_axes() -> None:
    net = Network()
    a, b = net.parameter("a", (7, 1, 2, 3)), net.parameter("b", (4, 3, 5))
    y = net.matmul(a, b)
    assert y.shape == (7, 4, 2, 5)
    net.output(y)
    found = counts_of(net)
    assert np.unique(found["a"]).tolist() == [4 * 5]
    assert np.unique(found["b"]).tolist() == [7 * 2]


def test_matmul_of_a_tensor_with_itself_counts_both_factors() -> None:
    net = Network()
    a = net.parameter("a", (3, 3))
    net.output(net.matmul(a, a))
    assert counts_of(net)["a"] == [[6] * 3] * 3


def test_embedding_is_the_product_with_one_hot_rows() -> None:
    net = Network()
    indices = net.parameter("indices", (4,))
    net.output(net.embedding(indices, 10, 3, name="words"))
    found = counts_of(net)
    assert found["words/table"] == [[4] * 3] * 10
    assert found["indices"] == [30] * 4


# Pooling.


@pytest.mark.parametrize("method", ["max_pool", "average_pool"])
def test_pools_count_every_tap_in_bounds(method: str) -> None:
    def layer(**options: Any) -> Layer:
        return lambda net, x: getattr(net, method)(x, **options)

    assert edges_from((1, 5), layer(pool_size=2)) == [[1, 1, 1, 1, 0]]
    assert edges_from((1, 5), layer(pool_size=3, stride=1)) == [[1, 2, 3, 2, 1]]
    assert edges_from((1, 5), layer(pool_size=3, stride=2, padding="symmetric")) == [
        [1, 2, 1, 2, 1]
    ]
    assert edges_from((1, 4), layer(pool_size=3, stride=2, padding="same")) == [[1, 1, 2, 1]]
    assert edges_from((1, 5), layer(pool_size=2, stride=1, dilation=3)) == [[1, 1, 0, 1, 1]]


@pytest.mark.parametrize("keep", [False, True])
def test_global_pool_reads_one_channel_whole(keep: bool) -> None:
    net = Network()
    y = net.global_pool(net.parameter("x", (2, 3, 4)), keep_dimensions=keep)
    assert y.shape == ((2, 1, 1) if keep else (2,))
    net.output(net.slice(y, 0, 0, 1))
    assert counts_of(net)["x"] == [[[1] * 4] * 3, [[0] * 4] * 3]


# Normalisers: transparent by value, whole groups by dependency.


def test_batch_norm_is_one_edge_in_both_semantics() -> None:
    for semantics in ("value", "dependency"):
        layer = lambda net, x: net.batch_norm(x, name="bn")  # noqa: E731
        assert edges_from((2, 3), layer, semantics) == [[1] * 3] * 2
        found = counts_in((2, 3), layer, semantics)
        assert found == {role: [3, 3] for role in ("scale", "shift", "mean", "variance")}


def test_batch_norm_options() -> None:
    net = Network()
    net.batch_norm(net.input((2, 3)), axis=-1, scale=False, name="bn")
    assert [(p.name, p.shape, p.trainable) for p in net.parameters] == [
        ("bn/shift", (3,), True),
        ("bn/mean", (3,), False),
        ("bn/variance", (3,), False),
    ]


NORMALISERS: list[tuple[str, Layer, tuple[int, ...], Any]] = [
    # The number of edges from each element of x under dependency semantics is its group's size.
    ("layer_norm", lambda net, x: net.layer_norm(x), (2, 3, 4), 4),
    ("layer_norm of two axes", lambda net, x: net.layer_norm(x, axes=(0, -1)), (2, 3, 4), 8),
    ("rms_norm", lambda net, x: net.rms_norm(x), (2, 3, 4), 4),
    ("group_norm", lambda net, x: net.group_norm(x, 2), (4, 3, 5), 30),
    ("instance_norm", lambda net, x: net.instance_norm(x), (4, 3, 5), 15),
    ("softmax", lambda net, x: net.softmax(x), (2, 3, 4), 4),
    ("softmax of the first axis", lambda net, x: net.softmax(x, axis=0), (2, 3, 4), 2),
]


@pytest.mark.parametrize(("name", "layer", "shape", "group"), NORMALISERS)
def test_normalisers_connect_one_element_by_value_and_the_group_by_dependency(
    name: str, layer: Layer, shape: tuple[int, ...], group: int
) -> None:
    assert np.unique(edges_from(shape, layer)).tolist() == [1]
    assert np.unique(edges_from(shape, layer, "dependency")).tolist() == [group]


def test_dependency_connects_the_group_and_nothing_else() -> None:
    layer = lambda net, x: net.slice(net.group_norm(x, 2), 0, 0, 1)  # noqa: E731
    assert edges_from((4, 3), layer, "dependency") == [[3] * 3] * 2 + [[0] * 3] * 2
    layer = lambda net, x: net.slice(net.softmax(x), 1, 2)  # noqa: E731
    assert edges_from((2, 3), layer, "dependency") == [[1] * 3] * 2


def test_scale_and_shift_are_the_same_in_both_semantics() -> None:
    for semantics in ("value", "dependency"):
        found = counts_in((2, 3, 4), lambda net, x: net.layer_norm(x, axes=(1, 2)), semantics)
        assert found == {"scale": [[2] * 4] * 3, "shift": [[2] * 4] * 3}
        found = counts_in((2, 3, 4), lambda net, x: net.group_norm(x, 1), semantics)
        assert found == {"scale": [12, 12], "shift": [12, 12]}
        assert counts_in((2, 3), lambda net, x: net.rms_norm(x), semantics) == {"scale": [2] * 3}


# Attention.


def test_attention_by_value_and_by_dependency() -> None:
    n, m, d, e = 2, 3, 4, 5
    choices: list[tuple[Any, int]] = [("value", 1), ("dependency", m)]
    for semantics, factor in choices:
        net = Network(semantics=semantics)
        query, key = net.parameter("query", (n, d)), net.parameter("key", (m, d))
        value = net.parameter("value", (m, e))
        y = net.attention(query, key, value, name="mix")
        assert (y.shape, net["mix/weights"].shape) == ((n, e), (n, m))
        net.output(y)
        found = counts_of(net)
        assert np.unique(found["value"]).tolist() == [n]
        # Each query element enters m scores, each of which weighs e outputs.
        assert np.unique(found["query"]).tolist() == [m * e * factor]
        assert np.unique(found["key"]).tolist() == [n * e * factor]


def test_one_key_serves_several_heads() -> None:
    net = Network()
    query, key = net.parameter("query", (6, 2, 4)), net.parameter("key", (3, 4))
    net.output(net.attention(query, key, key))
    found = counts_of(net)
    assert np.unique(found["query"]).tolist() == [3 * 4]
    assert np.unique(found["key"]).tolist() == [6 * (2 * 4 + 2)]


def test_multi_head_attention() -> None:
    tokens, others, channels, heads, size, width = 3, 2, 4, 2, 3, 5
    net = Network()
    x, context = net.input((tokens, channels)), net.input((others, channels), "context")
    y = net.multi_head_attention(x, heads, context=context, head_size=size, width=width, name="mix")
    assert y.shape == (tokens, width)
    net.output(y)
    found = counts_of(net)
    assert np.shape(found["mix/key/kernel"]) == (channels, heads * size)
    assert np.unique(found["mix/output/kernel"]).tolist() == [tokens]
    assert np.unique(found["mix/output/bias"]).tolist() == [tokens]
    # A value element enters the mixture of each token, which reaches the whole width of the output.
    assert np.unique(found["mix/value/bias"]).tolist() == [others * tokens * width]
    # A query element enters the scores of all others, each weighing all features of the head.
    assert np.unique(found["mix/query/bias"]).tolist() == [tokens * others * size * width]
    assert np.unique(found["mix/key/kernel"]).tolist() == [others * tokens * size * width]


def test_multi_head_attention_keeps_tokens_apart() -> None:
    net = Network()
    y = net.multi_head_attention(net.parameter("x", (3, 4)), 2)
    net.output(net.slice(y, 0, 0, 1))
    # Each of the 4 features of the first token's mixture reaches 4 outputs: a value has 4 contexts,
    # an attention weight 2 * 4, a key element as many, an element of the first query 3 * 8.
    others = 4 * 4 + 4 * 8
    assert counts_of(net)["x"] == [[others + 4 * 24] * 4, [others] * 4, [others] * 4]
