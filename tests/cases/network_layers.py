"""Every layer of networks, as one that can be built between weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unrolled import Network, Tensor

IMAGE, TOKENS = (6, 9, 8), (5, 12)
AT = np.arange(TOKENS[0])
Layer = Callable[[Network, Tensor], Tensor]


def attention(net: Network, x: Tensor) -> Tensor:
    y = net.add(x, net.parameter("position", x.shape))
    return net.multi_head_attention(y, 3)


def masked_attention(mask: Any = None) -> Layer:
    """Attention in which each token sees those up to itself, or what a mask has."""

    def layer(net: Network, x: Tensor) -> Tensor:
        y = net.add(x, net.parameter("position", x.shape))
        return net.multi_head_attention(y, 3, mask=mask, causal=mask is None)

    return layer


def attention_to_parameters(net: Network, x: Tensor) -> Tensor:
    keys, values = (net.parameter(name, (4, x.shape[-1])) for name in ("keys", "values"))
    mask = np.arange(x.shape[0])[:, None] != np.arange(4)
    return net.attention(x, keys, values, mask=mask)


def learned_token(net: Network, x: Tensor) -> Tensor:
    return net.concat([net.parameter("token", (1, x.shape[1])), x])


def squeeze_and_excite(net: Network, x: Tensor) -> Tensor:
    gate = net.conv(net.global_pool(x, keep_dimensions=True), x.shape[0], 1)
    return net.multiply(x, net.activation(gate, "hard_sigmoid"))


def tied(net: Network, x: Tensor) -> Tensor:
    kernel = net.parameter("kernel", (6, 6, 3, 3))
    return net.conv(net.conv(x, 6, 3, kernel=kernel), 6, 3, kernel=kernel)


LAYERS: dict[str, tuple[tuple[int, ...], Layer]] = {
    "add_itself": (IMAGE, lambda net, x: net.add(x, x)),
    "add_three": (IMAGE, lambda net, x: net.add(x, net.activation(x), net.activation(x, "tanh"))),
    "add_vector": (IMAGE, lambda net, x: net.add(x, net.global_pool(x))),
    "attention": (TOKENS, attention),
    "attention_causal": (TOKENS, masked_attention()),
    "attention_masked": (TOKENS, masked_attention(np.arange(TOKENS[0])[:, None] % 2 != AT % 3)),
    "attention_by_head": (
        TOKENS,
        masked_attention(np.stack([AT[:, None] >= AT, AT[:, None] <= AT, AT[:, None] == AT])),
    ),
    "attention_to_parameters": (TOKENS, attention_to_parameters),
    "average_pool": (IMAGE, lambda net, x: net.average_pool(x, 3, stride=2, padding="same")),
    "batch_norm": (IMAGE, lambda net, x: net.batch_norm(x)),
    "batch_norm_last": (TOKENS, lambda net, x: net.batch_norm(x, axis=1, scale=False)),
    "concat": (IMAGE, lambda net, x: net.concat([x, net.conv(x, 2, 1), x])),
    "conv": (IMAGE, lambda net, x: net.conv(x, 4, 3)),
    "conv_1d": ((4, 11), lambda net, x: net.conv(x, 4, 5, stride=2, padding=1)),
    "conv_3d": ((2, 4, 5, 6), lambda net, x: net.conv(x, 3, (1, 2, 3), padding="valid")),
    "conv_dilated": (IMAGE, lambda net, x: net.conv(x, 4, 3, dilation=2, padding="same")),
    "conv_even": (IMAGE, lambda net, x: net.conv(x, 4, 4, stride=3, use_bias=False)),
    "conv_grouped": (IMAGE, lambda net, x: net.conv(x, 4, 3, groups=2)),
    "conv_strided_1": (IMAGE, lambda net, x: net.conv(x, 4, 1, stride=2)),
    "conv_symmetric": (IMAGE, lambda net, x: net.conv(x, 4, 7, stride=2, padding="symmetric")),
    "conv_transpose": (IMAGE, lambda net, x: net.conv_transpose(x, 4, 3, stride=2)),
    "conv_transpose_grouped": (
        IMAGE,
        lambda net, x: net.conv_transpose(x, 4, 3, stride=2, groups=2, padding=1),
    ),
    "conv_transpose_wide": (
        IMAGE,
        lambda net, x: net.conv_transpose(x, 4, 2, stride=3, padding=0, output_padding=2),
    ),
    "dense": (TOKENS, lambda net, x: net.dense(x, 7)),
    "dense_of_vector": ((8,), lambda net, x: net.dense(x, 7)),
    "depthwise": (IMAGE, lambda net, x: net.depthwise_conv(x, 3)),
    "depthwise_multiplied": (IMAGE, lambda net, x: net.depthwise_conv(x, 3, multiplier=2)),
    "divide": (IMAGE, lambda net, x: net.divide(x, net.conv(x, 6, 1))),
    "flatten": (IMAGE, lambda net, x: net.flatten(x)),
    "global_max": (IMAGE, lambda net, x: net.global_pool(x, kind="max")),
    "group_norm": (IMAGE, lambda net, x: net.group_norm(x, 3)),
    "instance_norm": (IMAGE, lambda net, x: net.instance_norm(x, shift=False)),
    "layer_norm": (TOKENS, lambda net, x: net.layer_norm(x)),
    "layer_norm_first": (IMAGE, lambda net, x: net.layer_norm(x, axes=(0,))),
    "layer_norm_plain": (TOKENS, lambda net, x: net.layer_norm(x, scale=False, shift=False)),
    "learned_token": (TOKENS, learned_token),
    "matmul": (TOKENS, lambda net, x: net.matmul(x, net.transpose(x))),
    "matmul_broadcast": (IMAGE, lambda net, x: net.matmul(x, net.parameter("right", (8, 3)))),
    "max_pool": (IMAGE, lambda net, x: net.max_pool(x, 3, stride=2, padding="same")),
    "maximum": (IMAGE, lambda net, x: net.maximum(x, net.activation(x), net.activation(x))),
    "minimum": (IMAGE, lambda net, x: net.minimum(x, net.activation(x, "abs"))),
    "multiply_three": (
        IMAGE,
        lambda net, x: net.multiply(x, net.conv(x, 6, 1), net.conv(x, 6, 3)),
    ),
    "outer_sum": (
        (4,),
        lambda net, x: net.add(net.reshape(x, (4, 1)), net.reshape(net.dense(x, 3), (1, 3))),
    ),
    "pad": (IMAGE, lambda net, x: net.pad(x, [(0, 0), (1, -2), (2, 0)])),
    "reshape": (IMAGE, lambda net, x: net.reshape(x, (2, 3, 72))),
    "rms_norm": (TOKENS, lambda net, x: net.rms_norm(x, epsilon=1e-6)),
    "select": (IMAGE, lambda net, x: net.select(x, 0, [5, 0, 0, -2])),
    "slice": (IMAGE, lambda net, x: net.slice(x, 1, 1, None, 2)),
    "slice_backwards": (IMAGE, lambda net, x: net.slice(x, 2, None, None, -1)),
    "softmax": (TOKENS, lambda net, x: net.softmax(x, axis=0)),
    "split": (IMAGE, lambda net, x: net.add(*net.split(x, 2))),
    "squeeze_and_excite": (IMAGE, squeeze_and_excite),
    "subtract": (IMAGE, lambda net, x: net.subtract(x, net.activation(x))),
    "tied": (IMAGE, tied),
    "transpose": (IMAGE, lambda net, x: net.transpose(x, (2, 0, 1))),
    "upsample": (IMAGE, lambda net, x: net.upsample(x, (2, 3))),
}


def built(shape: tuple[int, ...], layer: Layer, semantics: Any = "value") -> Network:
    """A network in which the layer lies between weights, so that every path is seen."""
    net = Network(semantics=semantics)
    x = net.input(shape)
    first = net.conv(x, shape[0], 1) if len(shape) > 2 else net.dense(x, shape[-1])
    y = layer(net, first)
    net.output(net.dense(y, 3, name="last"))
    return net
