"""Layers in their linear counting form, for `onnx_counting`; see DESIGN.md, section 2."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto

from oracles.onnx_counting import Call, evaluate
from oracles.onnx_counting_rules import along, broadcast, real, rule


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call) -> Any:
    x = call.count(0)
    return np.sum(x, tuple(range(2, x.ndim)), keepdims=True)


@rule("MaxPool", "AveragePool", "LpPool")
def pool(call: Call) -> Any:
    x, sizes = call.count(0), call.attribute("kernel_shape")
    result = np.zeros(np.shape(pooled(call)))
    rank = len(sizes)
    strides = call.attribute("strides", [1] * rank)
    dilations = call.attribute("dilations", [1] * rank)
    before = call.attribute("pads", [0] * 2 * rank)[:rank]
    auto = call.attribute("auto_pad", "NOTSET")
    for stop in np.ndindex(result.shape[2:]):
        for tap in np.ndindex(*sizes):
            at = []
            for axis in range(rank):
                front = before[axis]
                if auto.startswith("SAME"):
                    reach = (sizes[axis] - 1) * dilations[axis] + 1
                    length, extent = result.shape[2 + axis], x.shape[2 + axis]
                    total = max((length - 1) * strides[axis] + reach - extent, 0)
                    front = total // 2 if auto == "SAME_UPPER" else -(-total // 2)
                elif auto == "VALID":
                    front = 0
                at.append(stop[axis] * strides[axis] - front + tap[axis] * dilations[axis])
            if all(0 <= i < n for i, n in zip(at, x.shape[2:], strict=True)):
                result[(..., *stop)] += x[(..., *at)]
    return result


@rule("Conv", "ConvTranspose", "MatMul")
def product(call: Call) -> Any:
    x, w = call.count(0), call.count(1)
    groups = call.attribute("group", 1)
    if call.node.op_type == "ConvTranspose" and groups > 1:
        return in_groups(call, x, w)
    rest = [] if len(call.pairs) < 3 else [call.count(2)]
    zeros = [np.zeros_like(one) for one in rest]
    (y,) = call.run([x, np.ones(w.shape), *zeros])
    (z,) = call.run([np.ones(x.shape), w, *rest])
    return y + z


@rule("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul")
def quantised(call: Call) -> Any:
    """Counts as the product of the same operands without their scales and zero points."""
    is_linear = call.node.op_type.startswith("QLinear")
    at = [0, 3 if is_linear else 1, *([8] if len(call.pairs) > 8 else [])]
    plain = NodeProto()
    plain.CopyFrom(call.node)
    plain.op_type = "Conv" if "Conv" in call.node.op_type else "MatMul"
    del plain.input[:]
    plain.input.extend([call.node.input[place] for place in at])
    return product(Call(plain, call.opset, [call.pairs[place] for place in at], call.semantics))


@rule("DynamicQuantizeLinear")
def dynamic_quantize(call: Call) -> Any:
    return [call.count(0), np.zeros(()), np.zeros(())]


@rule("TopK")
def largest(call: Call) -> Any:
    axis = call.attribute("axis", -1)
    number = int(np.ravel(call.real(1))[0])
    found = np.repeat(np.sum(call.count(0), axis, keepdims=True), number, axis)
    return [found, found]


def in_groups(call: Call, x: Any, w: Any) -> Any:
    """Runs group by group, since the reference evaluator convolves one group backwards only."""
    groups = call.attribute("group", 1)
    parts: list[Any] = []
    for a, b in zip(np.split(x, groups, 1), np.split(w, groups, 0), strict=True):
        first, second = (a, np.ones(b.shape)), (np.ones(a.shape), b)
        parts.append(sum(call.run(list(pair), group=1)[0] for pair in (first, second)))
    y = np.concatenate(parts, 1)
    return y if len(call.pairs) < 3 else y + along(call.count(2), [1], y.ndim)


@rule("Gemm")
def gemm(call: Call) -> Any:
    a, b, c = call.count(0), call.count(1), call.count(2) if len(call.pairs) > 2 else None
    a = a.T if call.attribute("transA", 0) else a
    b = b.T if call.attribute("transB", 0) else b
    y = a @ np.ones(b.shape) + np.ones(a.shape) @ b
    return y if c is None else y + c


@rule("Einsum")
def einsum(call: Call) -> Any:
    counts, total = call.counts(), 0
    for at, count in enumerate(counts):
        arrays = [count if i == at else np.ones(np.shape(one)) for i, one in enumerate(counts)]
        total = total + call.run(arrays)[0]
    return total


def group(x: Any, axes: Any) -> Any:
    """Each element gets the sum of its group."""
    return np.broadcast_to(np.sum(x, tuple(axes), keepdims=True), np.shape(x))


@rule("Hardmax")
def hardmax(call: Call) -> Any:
    return group(call.count(0), [call.attribute("axis", -1)])


def normalised(call: Call, x: Any, axes: Any) -> Any:
    return group(x, axes) if call.semantics == "dependency" else x


@rule("BatchNormalization")
def batch_norm(call: Call) -> Any:
    x, weights = call.count(0), [call.count(at) for at in range(1, 5)]
    if call.attribute("training_mode", 0):
        x = normalised(call, x, [axis for axis in range(x.ndim) if axis != 1])
        weights = weights[:2]
    return x + sum(along(weight, [1], x.ndim) for weight in weights)


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def layer_norm(call: Call) -> Any:
    x = call.count(0)
    axis = call.attribute("axis", -1) % x.ndim
    y = broadcast(normalised(call, x, range(axis, x.ndim)), *call.counts()[1:])
    statistic = np.sum(x, tuple(range(axis, x.ndim)), keepdims=True)
    return [y, statistic, statistic]


@rule("GroupNormalization")
def group_norm(call: Call) -> Any:
    x, groups = call.count(0), call.attribute("num_groups")
    grouped = normalised(call, np.reshape(x, (x.shape[0], groups, -1)), [2])
    weights = [
        np.repeat(weight, x.shape[1] // groups) if call.opset < 21 else weight
        for weight in (call.count(1), call.count(2))
    ]
    return np.reshape(grouped, x.shape) + sum(along(weight, [1], x.ndim) for weight in weights)


@rule("InstanceNormalization")
def instance_norm(call: Call) -> Any:
    x = normalised(call, call.count(0), range(2, call.count(0).ndim))
    return x + along(call.count(1), [1], x.ndim) + along(call.count(2), [1], x.ndim)


@rule("LpNormalization", "MeanVarianceNormalization")
def norm(call: Call) -> Any:
    axes = call.attribute("axes", [call.attribute("axis", -1)])
    if call.node.op_type == "MeanVarianceNormalization":
        axes = call.attribute("axes", [0, 2, 3])
    return normalised(call, call.count(0), axes)


@rule("LRN")
def local_response_norm(call: Call) -> Any:
    x, size = call.count(0), call.attribute("size")
    if call.semantics == "value":
        return x
    found = np.zeros(x.shape)
    for c in range(x.shape[1]):
        first = max(0, c - (size - 1) // 2)
        found[:, c] = np.sum(x[:, first : c + size // 2 + 1], 1)
    return found


@rule("Softmax", "LogSoftmax")
def softmax(call: Call) -> Any:
    x = call.count(0)
    if call.opset >= 13:
        return normalised(call, x, [call.attribute("axis", -1)])
    return normalised(call, x, range(call.attribute("axis", 1) % x.ndim, x.ndim))


@rule("Resize", "Upsample")
def resize(call: Call) -> Any:
    """Finds which elements are read from the response to one element after the other."""
    x = call.count(0)
    found: Any = 0
    others = [call.real(at) for at in range(1, len(call.pairs))]
    for at in np.ndindex(x.shape):
        impulse = np.zeros(x.shape)
        impulse[at] = 1
        (response,) = call.run([impulse, *others])
        found = found + (np.abs(response) > 1e-9) * x[at]
    return found


@rule("Attention")
def attention(call: Call) -> Any:
    q, k, v = (call.count(at) for at in range(3))
    joined = q.ndim == 3
    if joined:
        heads = call.attribute("q_num_heads"), *[call.attribute("kv_num_heads")] * 2
        q, k, v = (
            np.reshape(x, (*x.shape[:2], n, -1)).transpose(0, 2, 1, 3)
            for x, n in zip((q, k, v), heads, strict=True)
        )
    if len(call.pairs) > 5:
        k = np.concatenate([call.count(4), k], 2)
        v = np.concatenate([call.count(5), v], 2)
    present = [k, v]
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = np.sum(q, 3)[..., None] + np.sum(k, 3)[:, :, None]
    if len(call.pairs) > 3 and call.pairs[3] is not None:
        scores = scores + call.count(3)
    weights = normalised(call, scores, [3])
    y = np.sum(weights, 3)[..., None] + np.sum(v, 2)[:, :, None]
    if joined:
        y = y.transpose(0, 2, 1, 3)
        y = np.reshape(y, (*y.shape[:2], -1))
    return [y, *present]


@rule("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> Any:
    """Runs one step after the other; a state that is not given is zero and has no paths."""
    x, direction = call.count(0), call.attribute("direction", "forward")
    if call.attribute("layout", 0):
        x = np.swapaxes(x, 0, 1)
    back = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    columns = []
    for number, reverse in enumerate(back):
        given = [
            None if at >= len(call.pairs) or call.pairs[at] is None else call.count(at)
            for at in range(8)
        ]
        w, r, b, p = (None if given[at] is None else given[at][number] for at in (1, 2, 3, 7))
        batch_first = bool(call.attribute("layout", 0))
        h, c = (
            None if one is None else one[:, number] if batch_first else one[number]
            for one in given[5:7]
        )
        step = {"LSTM": lstm, "GRU": gru, "RNN": rnn}[call.node.op_type]
        states = [np.zeros(0)] * len(x)
        order = range(len(x) - 1, -1, -1) if reverse else range(len(x))
        for time in order:
            h, c = step(call, x[time], w, r, np.zeros(2 * len(w)) if b is None else b, p, h, c)
            states[time] = h
        columns.append((np.stack(states), h, c))
    y = np.stack([states for states, _, _ in columns], 1)
    last = [np.stack([column[at] for column in columns]) for at in (1, 2)][
        : (call.node.op_type == "LSTM" and 2) or 1
    ]
    if call.attribute("layout", 0):
        y, last = y.transpose(2, 0, 1, 3), [np.swapaxes(one, 0, 1) for one in last]
    return [y, *last]


def dense(x: Any, w: Any) -> Any:
    """A product with a kernel: each output adds up all inputs and all weights of its row."""
    return np.sum(x, -1, keepdims=True) + np.sum(w, -1)


def lstm(call: Call, x: Any, w: Any, r: Any, b: Any, p: Any, h: Any, c: Any) -> Any:
    gates = dense(x, w) + b[: len(w)] + b[len(w) :]
    if h is not None:
        gates = gates + dense(h, r)
    i, o, f, new = np.split(gates, 4, -1)
    if p is not None and c is not None:
        i, f = i + p[: len(w) // 4] + c, f + p[len(w) // 2 :] + c
    cell = i + new + (0 if c is None else f + c)
    if p is not None:
        o = o + p[len(w) // 4 : len(w) // 2] + cell
    return o + cell, cell


def gru(call: Call, x: Any, w: Any, r: Any, b: Any, p: Any, h: Any, c: Any) -> Any:
    z, reset, new = np.split(dense(x, w) + b[: len(w)], 3, -1)
    rz, rr, rh = np.split(r, 3, 0)
    bz, br, bh = np.split(b[len(w) :], 3, -1)
    z, reset = z + bz, reset + br
    if h is not None:
        z, reset = z + dense(h, rz), reset + dense(h, rr)
    if call.attribute("linear_before_reset", 0):
        product = bh if h is None else dense(h, rh) + bh
        has_bias = len(call.pairs) > 3 and call.pairs[3] is not None
        new = new + (product + reset if h is not None or has_bias else 0)
    else:
        new = new + bh + (0 if h is None else dense(h + reset, rh))
    return z + new + (0 if h is None else z + h), None


def rnn(call: Call, x: Any, w: Any, r: Any, b: Any, p: Any, h: Any, c: Any) -> Any:
    y = dense(x, w) + b[: len(w)] + b[len(w) :]
    return y if h is None else y + dense(h, r), None


@real("SimplifiedLayerNormalization")
def same(call: Call) -> Any:
    return call.real(0)


@real("MaxPool")
def pooled(call: Call) -> Any:
    """Shapes as for AveragePool; the reference evaluator has them wrong for uneven pads."""
    node = NodeProto()
    node.CopyFrom(call.node)
    node.op_type = "AveragePool" if call.node.op_type == "MaxPool" else node.op_type
    return evaluate(node, call.opset if call.opset >= 19 else 19, [call.real(0)])[0]


@real("GlobalLpPool")
def global_pooled(call: Call) -> Any:
    return np.sum(call.real(0), tuple(range(2, call.real(0).ndim)), keepdims=True)


@real("ConvTranspose")
def transposed(call: Call) -> Any:
    if call.attribute("group", 1) > 1:
        return in_groups(call, call.count(0), call.count(1))
    return evaluate(call.node, call.opset, [pair and pair.real for pair in call.pairs])
