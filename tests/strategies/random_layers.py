"""Random layers that compute: convolutions, products, normalisers, attention."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.element_graph import Nodes, pads_of
from strategies.twin import LARGEST, Draw, Twin, as_argument, divisors, layer, per_axis
from unrolled.network import Tensor


def draw_padding(draw: Draw, axes: int) -> Any:
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return draw(
        st.one_of(
            st.sampled_from(["same", "symmetric", "valid"]),
            st.integers(0, 2),
            st.lists(pair, min_size=axes, max_size=axes),
        )
    )


def draw_window(
    draw: Draw, spatial: Sequence[int]
) -> tuple[list[int], list[int], list[int], Any, Any]:
    """Size, stride, dilation, padding and pads of a window that fits."""
    axes = len(spatial)
    size = per_axis(draw, axes, 1, 3 if axes < 3 else 2)
    stride, dilation = per_axis(draw, axes, 1, 3), per_axis(draw, axes, 1, 2)
    padding = draw_padding(draw, axes)
    pads = pads_of(padding, spatial, size, stride, dilation)
    for n, k, d, (before, after) in zip(spatial, size, dilation, pads, strict=True):
        if (k - 1) * d + 1 > n + before + after:
            padding, pads = "same", pads_of("same", spatial, size, stride, dilation)
    return size, stride, dilation, padding, pads


@layer(2, 3, 4)
def conv(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    size, stride, dilation, padding, pads = draw_window(draw, x.shape[1:])
    groups = draw(st.sampled_from(divisors(x.shape[0])))
    channels = groups * draw(st.integers(1, 2))
    kernel, taps = twin.weight(draw, "kernel", (channels, x.shape[0] // groups, *size))
    use_bias = draw(st.booleans())
    bias, biases = twin.weight(draw, "bias", (channels,)) if use_bias else (None, None)
    y = twin.network.conv(
        x,
        channels,
        as_argument(draw, size),
        stride=as_argument(draw, stride),
        dilation=as_argument(draw, dilation),
        groups=groups,
        padding=padding,
        use_bias=use_bias,
        kernel=kernel,
        bias=bias,
        name=twin.name(),
    )
    twin.add(y, twin.graph.conv(nodes, taps, biases, stride, dilation, groups, pads))


@layer(2, 3, 4)
def depthwise_conv(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    size, stride, dilation, padding, pads = draw_window(draw, x.shape[1:])
    multiplier = draw(st.integers(1, 2))
    channels = x.shape[0] * multiplier
    kernel, taps = twin.weight(draw, "kernel", (channels, 1, *size))
    y = twin.network.depthwise_conv(
        x,
        size,
        multiplier=multiplier,
        stride=stride,
        dilation=dilation,
        padding=padding,
        use_bias=False,
        kernel=kernel,
        name=twin.name(),
    )
    twin.add(y, twin.graph.conv(nodes, taps, None, stride, dilation, x.shape[0], pads))


@layer(2, 3, 4)
def conv_transpose(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axes = len(x.shape) - 1
    size = per_axis(draw, axes, 1, 3 if axes < 3 else 2)
    stride, dilation = per_axis(draw, axes, 1, 2), per_axis(draw, axes, 1, 2)
    padding = draw(st.sampled_from(["same", "symmetric", "valid", 0, 1]))
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    full = [(n - 1) * s + r for n, s, r in zip(x.shape[1:], stride, reach, strict=True)]
    if padding == "same":
        extra = [0] * axes
        before = [max(r - s, 0) // 2 for r, s in zip(reach, stride, strict=True)]
        lengths = [n * s for n, s in zip(x.shape[1:], stride, strict=True)]
    else:
        pads = pads_of(padding, x.shape[1:], size, stride, dilation)
        before = [pad[0] for pad in pads]
        lengths = [n - sum(pad) + e for n, pad, e in zip(full, pads, extra, strict=True)]
    groups = draw(st.sampled_from(divisors(x.shape[0])))
    channels = groups * draw(st.integers(1, 2))
    if min(lengths) < 1 or prod(lengths) * channels > LARGEST:
        return
    kernel, taps = twin.weight(draw, "kernel", (x.shape[0], channels // groups, *size))
    bias, biases = twin.weight(draw, "bias", (channels,))
    y = twin.network.conv_transpose(
        x,
        channels,
        as_argument(draw, size),
        stride=stride,
        dilation=dilation,
        groups=groups,
        padding=padding,
        output_padding=extra,
        kernel=kernel,
        bias=bias,
        name=twin.name(),
    )
    found = twin.graph.conv_transpose(
        nodes, taps, biases, stride, dilation, groups, before, lengths
    )
    twin.add(y, found)


@layer(2, 3, 4)
def pool(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    size, stride, dilation, padding, pads = draw_window(draw, x.shape[1:])
    layer = draw(st.sampled_from([twin.network.max_pool, twin.network.average_pool]))
    chosen = None if stride == size else stride
    y = layer(x, size, stride=chosen, dilation=dilation, padding=padding, name=twin.name())
    twin.add(y, twin.graph.pool(nodes, size, stride, dilation, pads))


@layer(2, 3, 4)
def global_pool(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    keep = draw(st.booleans())
    y = twin.network.global_pool(x, keep_dimensions=keep, name=twin.name())
    twin.add(y, twin.graph.global_pool(nodes).reshape(y.shape))


@layer()
def dense(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    units = draw(st.integers(1, 3))
    kernel, weights = twin.weight(draw, "kernel", (x.shape[-1], units))
    use_bias = draw(st.booleans())
    bias, biases = twin.weight(draw, "bias", (units,)) if use_bias else (None, None)
    y = twin.network.dense(x, units, use_bias=use_bias, kernel=kernel, bias=bias, name=twin.name())
    twin.add(y, twin.graph.dense(nodes, weights, biases))


@layer()
def batch_norm(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axis = draw(st.integers(0, len(x.shape) - 1))
    shape = (x.shape[axis],)
    scale, scales = twin.switch(draw, "scale", shape)
    shift, shifts = twin.switch(draw, "shift", shape)
    mean, means = twin.weight(draw, "mean", shape)
    variance, variances = twin.weight(draw, "variance", shape)
    y = twin.network.batch_norm(
        x, axis=axis, scale=scale, shift=shift, mean=mean, variance=variance, name=twin.name()
    )
    column = (-1,) + (1,) * (len(x.shape) - 1 - axis)
    weights = [w.reshape(column) for w in [*scales, *shifts, means, variances]]
    # Inference: every element is a group of its own, whatever the semantics.
    twin.add(y, twin.graph.normalise(nodes, np.arange(x.size).reshape(x.shape), weights))


@layer()
def layer_norm(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    last = draw(st.integers(1, len(x.shape)))
    axes: Any = tuple(range(-last, 0)) if last > 1 else -1
    shape = x.shape[-last:]
    scale, scales = twin.switch(draw, "scale", shape)
    if draw(st.booleans()):
        shift, shifts = twin.switch(draw, "shift", shape)
        y = twin.network.layer_norm(x, axes=axes, scale=scale, shift=shift, name=twin.name())
    else:
        shifts = []
        y = twin.network.rms_norm(x, axes=axes, scale=scale, name=twin.name())
    groups = np.arange(x.size).reshape(x.shape) // prod(shape)
    twin.add(y, twin.graph.normalise(nodes, groups, [*scales, *shifts]))


@layer()
def group_norm(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    channels = x.shape[0]
    groups = draw(st.sampled_from(divisors(channels)))
    scale, scales = twin.switch(draw, "scale", (channels,))
    shift, shifts = twin.switch(draw, "shift", (channels,))
    if groups == channels and draw(st.booleans()):
        y = twin.network.instance_norm(x, scale=scale, shift=shift, name=twin.name())
    else:
        y = twin.network.group_norm(x, groups, scale=scale, shift=shift, name=twin.name())
    column = (-1,) + (1,) * (len(x.shape) - 1)
    numbers = np.broadcast_to(
        (np.arange(channels) // (channels // groups)).reshape(column), x.shape
    )
    weights = [w.reshape(column) for w in [*scales, *shifts]]
    twin.add(y, twin.graph.normalise(nodes, numbers, weights))


@layer()
def softmax(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    axis = draw(st.integers(-len(x.shape), len(x.shape) - 1))
    y = twin.network.softmax(x, axis=axis, name=twin.name())
    twin.add(y, twin.graph.softmax(nodes, axis))


@layer(2, 3, 4)
def matmul(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    fitting = []
    for other, found in twin.values:
        if len(other.shape) < 2:
            continue
        for b, b_nodes in ((other, found), (None, found.swapaxes(-1, -2))):
            if x.shape[-1] == b_nodes.shape[-2]:
                try:
                    batch = np.broadcast_shapes(x.shape[:-2], b_nodes.shape[:-2])
                except ValueError:
                    continue
                if prod(batch) * x.shape[-2] * b_nodes.shape[-1] <= LARGEST:
                    fitting.append((other, b, b_nodes))
    if not fitting:
        return
    other, b, b_nodes = draw(st.sampled_from(fitting))
    if b is None:
        rank = len(other.shape)
        b = twin.network.transpose(other, [*range(rank - 2), rank - 1, rank - 2])
    y = twin.network.matmul(x, b, name=twin.name())
    twin.add(y, twin.graph.matmul(nodes, b_nodes))


@layer(2, 3)
def attention(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    keys = [v for v in twin.values if len(v[0].shape) == 2 and v[0].shape[-1] == x.shape[-1]]
    key, key_nodes = draw(st.sampled_from([*keys, (x, nodes)]))
    if prod(x.shape[:-1]) * key.shape[-2] > LARGEST:
        return
    y = twin.network.attention(x, key, key, name=twin.name())
    twin.add(y, twin.graph.attention(nodes, key_nodes, key_nodes))


@layer(2)
def multi_head_attention(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    graph, name = twin.graph, twin.name()
    heads = draw(st.sampled_from([n for n in divisors(x.shape[1]) if n < 4]))
    size, use_bias = x.shape[1] // heads, draw(st.booleans())
    y = twin.network.multi_head_attention(x, heads, use_bias=use_bias, name=name)
    projected = []
    for role in ("query", "key", "value"):
        kernel = graph.parameter(f"{name}/{role}/kernel", (x.shape[1], x.shape[1]))
        bias = graph.parameter(f"{name}/{role}/bias", (x.shape[1],)) if use_bias else None
        projected.append(graph.dense(nodes, kernel, bias))
    mixed = [
        graph.attention(*[part[:, head * size : (head + 1) * size] for part in projected])
        for head in range(heads)
    ]
    kernel = graph.parameter(f"{name}/output/kernel", (x.shape[1], x.shape[1]))
    bias = graph.parameter(f"{name}/output/bias", (x.shape[1],)) if use_bias else None
    twin.add(y, graph.dense(np.concatenate(mixed, 1), kernel, bias))


@layer(1, 2)
def embedding(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    if x.size > 20:
        return
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    table, rows = twin.weight(draw, "table", shape)
    y = twin.network.embedding(x, *shape, table=table, name=twin.name())
    twin.add(y, twin.graph.embedding(nodes, rows))


@layer(2, 3)
def tower(draw: Draw, twin: Twin, x: Tensor, nodes: Nodes) -> None:
    """Many layers with one kernel, deep enough for counts far beyond 64 bits."""
    if x.size > 24:
        return
    channels, axes = x.shape[0], len(x.shape) - 1
    kernel, taps = twin.weight(draw, "kernel", (channels, channels, *[3] * axes))
    if kernel is None:
        kernel = twin.network.parameter(f"{twin.name()}/kernel", taps.shape)
    once = [1] * axes
    for _ in range(draw(st.integers(10, 50))):
        x = twin.network.conv(x, channels, 3, use_bias=False, kernel=kernel)
        nodes = twin.graph.conv(nodes, taps, None, once, once, 1, [(1, 1)] * axes)
        if draw(st.booleans()):
            x = twin.network.add(x, x)
            nodes = twin.graph.elementwise(nodes, nodes)
    twin.add(x, nodes)
