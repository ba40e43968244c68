"""Rules for the attention layers of Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer
from unrolled.importers.tracing.known import AT_RUN_TIME
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value, checked_axes

__all__: list[str] = []

rule = TABLE.rule


def _operands(layer: Layer) -> tuple[Operand, Operand, Operand]:
    """Query, value and key; the key is the value by default."""
    query, value = layer.argument(0, "query"), layer.argument(1, "value")
    key = layer.argument(2, "key")
    if not all(isinstance(x, (Value, Constant)) for x in (query, value)):
        raise InvalidModelError(f"{layer}: it is called without a query and a value")
    return query, value, value if key is None else key


def _masked(tracer: Tracer, layer: Layer, scores: Operand) -> Operand:
    """Scores, the last two axes being queries and keys, as the masks of the call leave them."""
    causal = 0 if layer.kwargs.get("use_causal_mask") else None
    mask = layer.kwargs.get("attention_mask")
    if not isinstance(mask, (Value, Constant)):
        if mask is not None:
            tracer.notes[tracer.name] = AT_RUN_TIME
        mask = None
    elif scores.rank > mask.rank > 2:  # Heads lie between the batch and the queries.
        mask = tracer.unsqueeze(mask, range(1, 1 + scores.rank - mask.rank))
    if isinstance(mask, Constant) and mask.array is not None:
        # True, or not zero, where a query sees a key.
        mask = tracer.work_out(mask.shape, lambda array: array.astype(bool), mask)
    if isinstance(mask, Value) and mask.fill is not None:
        mask = replace(mask, fill=bool(mask.fill))
    return tracer.masked_scores(scores, mask, causal=causal)


def _project(
    layer: Layer, name: str, x: Operand, lengths: Sequence[int], contracted: int = 1
) -> Operand:
    """A dense projection of the last axes to others."""
    given = layer.lengths(x, (-1,)) if name == "query" else x.shape[-contracted:]
    kernel = layer.weight(f"{name}/kernel", (*x.shape[-contracted:], *lengths))
    assert given
    kept = x.rank - contracted
    inner = list(range(kept, x.rank))
    outer = list(range(x.rank, x.rank + len(lengths)))
    y = layer.tracer.contract(
        [[*range(kept), *inner], [*inner, *outer]], [*range(kept), *outer], [x, kernel]
    )
    if not layer.config.get("use_bias", True):
        return y
    bias = layer.weight(f"{name}/bias", lengths)
    return layer.tracer.affine(y, range(y.rank - len(lengths), y.rank), bias)


@rule("MultiHeadAttention")
def _multi_head_attention(tracer: Tracer, layer: Layer) -> Any:
    query, value, key = _operands(layer)
    heads, width = layer.integer("num_heads"), layer.integer("key_dim")
    depth = layer.integer("value_dim") if layer.config.get("value_dim") else width
    rank = query.rank
    given = layer.config.get("attention_axes")
    axes = range(1, rank - 1) if given is None else [given] if isinstance(given, int) else given
    axes = sorted(set(checked_axes(str(layer), axes, rank)))
    if query.rank != value.rank or not all(0 < axis < rank - 1 for axis in axes):
        raise InvalidModelError(
            f"{layer}: attention over axes {list(axes)} of shapes {query.shape} and {value.shape}"
        )
    gate = _gate(layer, query, [heads, depth])
    q = _project(layer, "query", query, [heads, width])
    k = _project(layer, "key", key, [heads, width])
    v = _project(layer, "value", value, [heads, depth])
    head = rank - 1
    target = list(range(rank))  # Labels of query and value, axes attended over apart.
    source = [axis + 100 if axis in axes else axis for axis in range(rank)]
    batch = [axis for axis in range(rank - 1) if axis not in axes]
    scores = [*batch, head, *axes, *[axis + 100 for axis in axes]]
    rows = [*target[:-1], head, 200]
    columns = [*source[:-1], head, 200]
    attention = tracer.contract([rows, columns], scores, [q, k])
    attention = scaled_scores(tracer, attention, width)
    if len(axes) == 1:
        attention = _masked(tracer, layer, attention)
    elif layer.kwargs.get("use_causal_mask"):
        raise layer.refused("a causal mask over several axes")
    keys = range(attention.rank - len(axes), attention.rank)
    attention = tracer.normalise(attention, keys, "softmax")
    columns = [*source[:-1], head, 300]
    y = tracer.contract([scores, columns], [*target[:-1], head, 300], [attention, v])
    if gate is not None:
        y = tracer.multiply(y, gate)
    shape = layer.config.get("output_shape") or [query.shape[-1]]
    shape = [shape] if isinstance(shape, int) else list(shape)
    result = _project(layer, "attention_output", y, shape, 2)
    return [result, attention] if layer.kwargs.get("return_attention_scores") else result


def scaled_scores(tracer: Tracer, scores: Operand, width: int) -> Operand:
    """Scores divided by the square root of the width of a head."""
    return tracer.multiply(scores, Constant.of(float(width) ** -0.5))


def _gate(layer: Layer, query: Operand, lengths: Sequence[int]) -> Operand | None:
    if not layer.config.get("use_gate"):
        return None
    return layer.tracer.pointwise(_project(layer, "gate", query, lengths))


@rule("GroupedQueryAttention", "GroupQueryAttention")
def _grouped_query_attention(tracer: Tracer, layer: Layer) -> Any:
    query, value, key = _operands(layer)
    width, heads = layer.integer("head_dim"), layer.integer("num_query_heads")
    groups = layer.integer("num_key_value_heads")
    if heads % groups or not query.rank == value.rank == 3:
        raise InvalidModelError(
            f"{layer}: {heads} heads in {groups} groups, shapes {query.shape} and {value.shape}"
        )
    gate = _gate(layer, query, [heads, width])
    q = _project(layer, "query", query, [heads, width])
    k = _project(layer, "key", key, [groups, width])
    v = _project(layer, "value", value, [groups, width])
    shape = q.shape
    q = tracer.reshape(q, (*shape[:2], groups, heads // groups, width))
    scores = scaled_scores(tracer, tracer.einsum("bqvrh,bkvh->bvrqk", q, k), width)
    scores = tracer.normalise(_masked(tracer, layer, scores), (-1,), "softmax")
    y = tracer.reshape(tracer.einsum("bvrqk,bkvh->bqvrh", scores, v), shape)
    if gate is not None:
        y = tracer.multiply(y, gate)
    result = _project(layer, "attention_output", y, [query.shape[-1]], 2)
    if layer.kwargs.get("return_attention_scores"):
        attention = tracer.reshape(scores, (scores.shape[0], heads, *scores.shape[3:]))
        return [result, attention]
    return result


@rule("Attention", "AdditiveAttention")
def _attention(tracer: Tracer, layer: Layer) -> Any:
    query, value, *rest = layer.inputs
    key = rest[0] if rest else value
    additive = layer.operator == "AdditiveAttention"
    scale = None
    if layer.config.get("use_scale", additive):
        scale = layer.weight("scale", layer.lengths(query, (-1,)) if additive else ())
    if additive or layer.config.get("score_mode") == "concat":
        pairs = tracer.add(tracer.unsqueeze(query, (-2,)), tracer.unsqueeze(key, (-3,)))
        terms = pairs if scale is None else _scale(tracer, tracer.pointwise(pairs), scale)
        scores = tracer.reduce(tracer.pointwise(terms), (-1,), keepdims=False)
        if not additive:
            scores = _scale(tracer, scores, layer.weight("concat_score_weight", ()))
    else:
        from string import ascii_lowercase  # It is not quick to import.

        letters = ascii_lowercase[: query.rank - 2]
        scores = tracer.einsum(f"{letters}xz,{letters}yz->{letters}xy", query, key)
        if scale is not None:
            scores = _scale(tracer, scores, scale)
    scores = tracer.normalise(_masked(tracer, layer, scores), (-1,), "softmax")
    result = tracer.matmul(scores, value)
    return [result, scores] if layer.kwargs.get("return_attention_scores") else result


def _scale(tracer: Tracer, x: Operand, scale: Operand) -> Operand:
    return tracer.affine(x, [x.rank - 1][: scale.rank], scale, roles=("scale",))
