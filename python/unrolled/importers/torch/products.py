"""Rules of PyTorch operators that multiply and add up, attention and recurrent layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled._core import Operation, Relation
from unrolled.errors import UnsupportedOperatorError
from unrolled.importers.torch.node import TABLE, Node, aten
from unrolled.importers.tracing.functions import NAMED
from unrolled.importers.tracing.products import ONE_HOT
from unrolled.importers.tracing.values import Constant, Operand, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unrolled.importers.tracing.tracer import Tracer

__all__: list[str] = []

GROUPED_MATMUL = Operation("other", "grouped_matmul")
"""Rows, matrices, and one-hot rows that say whose matrix is that of a row."""


@aten("linear")
def _linear(tracer: Tracer, node: Node) -> Operand:
    x, weight = node.operand("input"), node.operand("weight")
    out = [0] if weight.rank == 2 else []
    lead = [*range(2, x.rank + 1)]
    y = tracer.contract([[*lead, 1], [*out, 1]], [*lead, *out], [x, weight])
    return _with_bias(tracer, y, node["bias"])


@aten("matmul", "mm", "bmm", "mv", "dot", "vdot", "__matmul__", "linalg_matmul")
def _matmul(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operands()
    return tracer.matmul(a, b)


@aten("addmm", "baddbmm", "addmv", "addbmm", "addr")
def _add_matmul(tracer: Tracer, node: Node) -> Operand:
    x, a, b = node.operands()
    if node.operator.startswith("aten.addr"):
        y = tracer.contract([[0], [1]], [0, 1], [a, b])
    elif node.operator.startswith("aten.addbmm"):
        y = tracer.contract([[0, 1, 2], [0, 2, 3]], [1, 3], [a, b])
    else:
        y = tracer.matmul(a, b)
    if node["beta"] == 0:
        return y
    is_bias = isinstance(x, Value) and x.rank == 1 and x.shape == y.shape[-1:]
    return tracer.affine(y, (y.rank - 1,), x) if is_bias else tracer.add(x, y)


@TABLE.rule("aten._grouped_mm", "transformers.grouped_mm_fallback")
def _grouped_matmul(tracer: Tracer, node: Node) -> Operand:
    """Rows times the matrix of their group; where groups end is known only at run time.

    Every row may be of every group.
    """
    x = node.operand("self" if "self" in node else "input")
    matrices = node.operand("mat2" if "mat2" in node else "weight")
    ends = node["offs"]
    if x.rank != 2 or matrices.rank != 3 or not isinstance(ends, (Value, Constant)):
        raise UnsupportedOperatorError("groups of columns, or of equal size")
    one_hot: Operand = Constant((x.shape[0], matrices.shape[0]))
    if isinstance(ends, Value):
        groups = [(ends, [Relation.sum(0), Relation.same(0, 1)])]
        one_hot = tracer.emit(one_hot.shape, groups, ONE_HOT)
    operands = [x, matrices, one_hot]
    labels = [[0, 1], [2, 1, 3], [0, 2]]
    y = tracer.contract(labels, [0, 3], operands, otherwise=GROUPED_MATMUL)
    bias = node.get("bias")
    return y if bias is None else tracer.add(y, bias)


@aten("outer", "ger")
def _outer(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operands()
    return tracer.contract([[0], [1]], [0, 1], [a, b])


@aten("inner")
def _inner(tracer: Tracer, node: Node) -> Operand:
    a, b = node.operands()
    if not a.rank or not b.rank:
        return tracer.multiply(a, b)
    first, second = list(range(1, a.rank)), list(range(a.rank, a.rank + b.rank - 1))
    return tracer.contract([[*first, 0], [*second, 0]], [*first, *second], [a, b])


@aten("einsum")
def _einsum(tracer: Tracer, node: Node) -> Operand:
    return tracer.einsum(node["equation"], *node["tensors"])


@aten("bilinear")
def _bilinear(tracer: Tracer, node: Node) -> Operand:
    operands = [node.operand(name) for name in ("input1", "input2", "weight")]
    y = tracer.einsum("...i,...j,oij->...o", *operands)
    return _with_bias(tracer, y, node["bias"])


@aten("_weight_norm", "_weight_norm_interface")
def _weight_norm(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    v, g, dim = node.operand("v"), node.operand("g"), node["dim"]
    axes = [axis for axis in range(v.rank) if dim == -1 or axis != dim % v.rank]
    y = tracer.multiply(tracer.normalise(v, axes), g)
    return y if len(node.shapes) == 1 else [y, Constant(node.shapes[1])]


@aten(
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
def _attention(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    query, key, value = [node.operand(name) for name in ("query", "key", "value")]
    if node.get("enable_gqa"):
        key, value = [_repeat_heads(tracer, x, query.shape[-3]) for x in (key, value)]
    order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    name = tracer.name
    tracer.name = f"{name}/scores"
    scores = tracer.matmul(query, tracer.transpose(key, order))
    if isinstance(scores, Value):
        scale = node.get("scale")
        factor = query.shape[-1] ** -0.5 if scale is None else float(scale)
        scores = tracer.multiply(scores, Constant.of(factor))
    mask = node.get("attn_mask", node.get("attn_bias"))
    is_operand = isinstance(mask, (Value, Constant))
    scores = tracer.masked_scores(
        scores, mask if is_operand else None, causal=0 if node.get("is_causal") else None
    )
    tracer.name = f"{name}/weights"
    weights = tracer.normalise(scores, [-1], "softmax")
    tracer.name = name
    y = tracer.matmul(weights, value)
    # The fused forms also return what only their derivatives need.
    return y if len(node.shapes) == 1 else [y, *[Constant(shape) for shape in node.shapes[1:]]]


def _repeat_heads(tracer: Tracer, x: Operand, heads: int) -> Operand:
    """Keys or values that several heads share, once for each."""
    *rest, own, length, features = x.shape
    if own == heads:
        return x
    x = tracer.unsqueeze(x, [len(rest) + 1])
    x = tracer.expand(x, (*rest, own, heads // own, length, features))
    return tracer.reshape(x, (*rest, heads, length, features))


@aten("lstm")
def _lstm(tracer: Tracer, node: Node) -> list[Operand]:
    params, hx = node.get("params"), node.get("hx")
    _check_plain(node, 4, len(hx or ()))

    def run(x: Operand, weights: list[Operand], state: list[Operand], reverse: bool) -> Any:
        return tracer.lstm(x, weights, *state, order="ifco", reverse=reverse)

    return _recurrent(tracer, node, params, hx, run)


@aten("gru")
def _gru(tracer: Tracer, node: Node) -> list[Operand]:
    _check_plain(node, 4, 1)

    def run(x: Operand, weights: list[Operand], state: list[Operand], reverse: bool) -> Any:
        kernels, biases = weights[:2], weights[2:]
        after = biases[1] if biases else None
        return tracer.gru(
            x, [*kernels, *biases[:1]], *state, recurrent_bias=after, order="rzh", reverse=reverse
        )

    return _recurrent(tracer, node, node["params"], [node["hx"]], run)


@aten("rnn_tanh", "rnn_relu")
def _rnn(tracer: Tracer, node: Node) -> list[Operand]:
    _check_plain(node, 4, 1)

    def run(x: Operand, weights: list[Operand], state: list[Operand], reverse: bool) -> Any:
        function = NAMED["relu" if node.operator.endswith("rnn_relu") else "tanh"]
        return tracer.rnn(x, weights, *state, reverse=reverse, function=function)

    return _recurrent(tracer, node, node["params"], [node["hx"]], run)


def _check_plain(node: Node, tensors: int, states: int) -> None:
    if node.get("batch_sizes") is not None or "params" not in node or "hx" not in node:
        raise UnsupportedOperatorError("packed sequences have lengths known only at run time")
    each = tensors if node["has_biases"] else tensors - 2
    layers = node["num_layers"] * (2 if node["bidirectional"] else 1)
    if len(node["params"]) != layers * each:
        raise UnsupportedOperatorError("states are projected (proj_size)")


def _recurrent(
    tracer: Tracer,
    node: Node,
    params: Sequence[Operand],
    states: Sequence[Operand],
    run: Callable[[Operand, list[Operand], list[Operand], bool], Any],
) -> list[Operand]:
    """Layers on top of each other, in one direction or two."""
    x = node.operand("input")
    each = 4 if node["has_biases"] else 2
    batch_first = node["batch_first"]
    if batch_first:
        x = tracer.transpose(x, (1, 0, 2))
    directions = 2 if node["bidirectional"] else 1
    last: list[list[Operand]] = []
    for layer in range(node["num_layers"]):
        sides = []
        for direction in range(directions):
            number = layer * directions + direction
            weights = list(params[number * each : (number + 1) * each])
            state = [tracer.slice(one, 0, number, 1) for one in states]
            steps, *finals = run(x, weights, state, direction == 1)
            sides.append(steps)
            last.append(finals)
        x = tracer.concat(sides, 2)
    if batch_first:
        x = tracer.transpose(x, (1, 0, 2))
    return [x, *[tracer.concat(list(finals), 0) for finals in zip(*last, strict=True)]]


@aten("lstm_cell")
def _lstm_cell(tracer: Tracer, node: Node) -> list[Operand]:
    x = tracer.unsqueeze(node.operand("input"), [0])
    state = [tracer.unsqueeze(one, [0]) for one in node["hx"]]
    _, hidden, cell = tracer.lstm(x, _cell_weights(node), *state, order="ifco")
    return [tracer.squeeze(hidden, [0]), tracer.squeeze(cell, [0])]


@aten("gru_cell")
def _gru_cell(tracer: Tracer, node: Node) -> Operand:
    x = tracer.unsqueeze(node.operand("input"), [0])
    state = tracer.unsqueeze(node.operand("hx"), [0])
    kernels, biases = _cell_weights(node)[:2], _cell_weights(node)[2:]
    after = biases[1] if biases else None
    given = [*kernels, *biases[:1]]
    _, hidden = tracer.gru(x, given, state, recurrent_bias=after, order="rzh")
    return tracer.squeeze(hidden, [0])


@aten("rnn_tanh_cell", "rnn_relu_cell")
def _rnn_cell(tracer: Tracer, node: Node) -> Operand:
    x = tracer.unsqueeze(node.operand("input"), [0])
    state = tracer.unsqueeze(node.operand("hx"), [0])
    _, hidden = tracer.rnn(x, _cell_weights(node), state)
    return tracer.squeeze(hidden, [0])


def _cell_weights(node: Node) -> list[Operand]:
    given = [node[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    return [weight for weight in given if weight is not None]


def _with_bias(tracer: Tracer, y: Operand, bias: Operand | None) -> Operand:
    return y if bias is None else tracer.affine(y, (y.rank - 1,), bias)
