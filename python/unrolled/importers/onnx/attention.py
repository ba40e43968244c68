"""Attention and rotary embeddings: operators of ONNX, and those that onnxruntime fuses.

All are read as what they are made of: products, a softmax, and products.
"""

from __future__ import annotations

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.known import AT_RUN_TIME
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Value

__all__: list[str] = []

rule = TABLE.rule

MOST_HEADS = 1 << 16

Heads = tuple[Operand, Operand, Operand]
"""Queries, keys and values of shape (batch, heads, tokens, features)."""


@rule("Attention")
def attention(tracer: Tracer, node: Node) -> list[Operand]:
    query, key, value = (node.input(position) for position in range(3))
    if len({query.rank, key.rank, value.rank}) != 1 or query.rank not in (3, 4):
        shapes = f"{query.shape}, {key.shape} and {value.shape}"
        raise InvalidModelError(f"node '{node.name}': queries, keys and values of shapes {shapes}")
    if query.rank == 3:
        query = _split(tracer, query, _number_of_heads(node, "q_num_heads"))
        shared = _number_of_heads(node, "kv_num_heads")
        key, value = (_split(tracer, x, shared) for x in (key, value))
        joined = True
    else:
        joined = False
    past, past_value = _cache(node, 4), _cache(node, 5)
    # Without a cache, or with an empty one, query number i is at key number i.
    before = 0 if past is None else past.shape[2]
    key, value = _appended(tracer, past, key), _appended(tracer, past_value, value)
    present = [key, value]
    key, value = _for_all_heads(tracer, node, query, key, value)
    scores = tracer.einsum("bhqd,bhkd->bhqk", query, key)
    # With a cache of fixed length the number of its keys in use says where the queries are.
    is_causal = node.attribute("is_causal", 0) and node.optional(6) is None
    causal = before if is_causal else None
    mask = node.optional(3)
    if mask is not None and not 1 <= mask.rank <= 4:
        raise InvalidModelError(
            f"node '{node.name}': a mask of shape {mask.shape} for scores of shape {scores.shape}"
        )
    if mask is not None and mask.shape[-1] < scores.shape[3]:
        mask = _padded_mask(tracer, mask, scores.shape[3])
    scores = tracer.masked_scores(scores, mask, causal=causal)
    scores = _in_window(tracer, node, scores, before)
    scores = _without_padding(tracer, node, scores)
    weights = tracer.normalise(scores, (3,), "softmax")
    y = tracer.matmul(weights, value)
    if joined:
        y = tracer.transpose(y, (0, 2, 1, 3))
        y = tracer.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))
    return [y, *present]


def _padded_mask(tracer: Tracer, mask: Operand, keys: int) -> Operand:
    """A mask for all keys, of which it hides those that it does not have."""
    sides = [(0, 0)] * (mask.rank - 1) + [(0, keys - mask.shape[-1])]
    if isinstance(mask, Value) or mask.array is None:
        return tracer.pad(mask, sides)
    fill = False if mask.array.dtype == np.bool_ else -np.inf
    shape = (*mask.shape[:-1], keys)
    return tracer.work_out(shape, lambda a: np.pad(a, sides, constant_values=fill), mask)


def _in_window(tracer: Tracer, node: Node, scores: Operand, before: int) -> Operand:
    """Scores of the keys that are not too far from their query (version 25)."""
    queries, keys = scores.shape[2:]
    ahead = np.arange(keys) - before - np.arange(queries)[:, None]
    hidden = np.zeros((queries, keys), dtype=bool)
    for name, distance in (("left_window_size", -ahead), ("right_window_size", ahead)):
        size = node.attribute(name, -1)
        if size >= 0:
            hidden |= distance > size
    return tracer.mask(scores, hidden, -np.inf)


def _without_padding(tracer: Tracer, node: Node, scores: Operand) -> Operand:
    """Scores of keys that are no padding, as far as their number is known (version 24)."""
    lengths = node.optional(6)
    if lengths is None:
        return scores
    if lengths.shape != scores.shape[:1]:
        raise InvalidModelError(
            f"node '{node.name}': numbers of keys of shape {lengths.shape} for {scores.shape[0]} "
            "sequences"
        )
    if isinstance(lengths, Value) or lengths.array is None:
        tracer.notes[tracer.name] = AT_RUN_TIME
        return scores
    number = lengths.array.reshape(-1, 1, 1, 1)
    queries, keys = scores.shape[2:]
    hidden = np.arange(keys) >= number
    if node.attribute("is_causal", 0):
        ahead = np.arange(keys) - np.arange(queries)[:, None]
        hidden = hidden | (ahead > number - queries)
    return tracer.mask(scores, hidden, -np.inf)


@rule("com.microsoft::Attention", "com.microsoft::QAttention")
def packed_attention(tracer: Tracer, node: Node) -> list[Operand]:
    """Attention with its projections, whose kernels lie side by side in one."""
    is_quantised = node.operator.endswith("QAttention")
    x, kernel, bias = node.input(0), node.input(1), node.optional(2)
    mask, past = (node.optional(at) for at in ((5, 8) if is_quantised else (3, 4)))
    if x.rank != 3 or kernel.rank != 2:
        raise InvalidModelError(
            f"node '{node.name}': inputs of shape {x.shape} and a kernel of shape {kernel.shape}"
        )
    projected = tracer.matmul(x, kernel)
    if bias is not None:
        projected = tracer.add(projected, bias)
    widths = node.attribute("qkv_hidden_sizes", []) or [kernel.shape[1] // 3] * 3
    if len(widths) != 3 or sum(widths) != kernel.shape[1] or min(widths) < 1:
        raise InvalidModelError(f"node '{node.name}': widths {widths} do not make {kernel.shape}")
    heads = _number_of_heads(node, "num_heads")
    parts = tracer.split(projected, 2, widths)
    query, key, value = (_split(tracer, part, heads) for part in parts)
    if node.attribute("do_rotary", 0):
        raise UnsupportedOperatorError("rotary embeddings whose angles are not in the file")
    if past is not None:  # Keys and values of all heads, one behind the other.
        if past.rank != 5 or past.shape[0] != 2:
            raise InvalidModelError(f"node '{node.name}': a past of shape {past.shape}")
        key, value = (
            _appended(tracer, tracer.reshape(part, part.shape[1:]), new)
            for part, new in zip(tracer.split(past, 0, [1, 1]), (key, value), strict=True)
        )
    added = None if is_quantised else node.optional(5)
    causal = _causal(node, query, key)
    y = _attended(tracer, node, (query, key, value), mask, added, causal=causal)
    outputs = [_joined(tracer, y)]
    if any(node.outputs[1:]):
        outputs.append(tracer.stack([key, value]))
    return outputs


@rule("com.microsoft::MultiHeadAttention")
def multi_head_attention(tracer: Tracer, node: Node) -> list[Operand]:
    """Attention after its projections, but for their biases."""
    query, key, value, bias = node.input(0), node.optional(1), node.optional(2), node.optional(3)
    heads = _number_of_heads(node, "num_heads")
    if query.rank == 5:  # (batch, tokens, heads, 3, features)
        found = _unpacked(tracer, query, 3)
    elif key is not None and key.rank == 5:
        found = (_split(tracer, query, heads), *_unpacked(tracer, key, 2))
    elif key is None or value is None:
        raise InvalidModelError(f"node '{node.name}': keys or values are missing")
    else:
        found = tuple([x if x.rank == 4 else _split(tracer, x, heads) for x in (query, key, value)])
    if bias is not None:
        widths = [x.shape[1] * x.shape[3] for x in found]
        if bias.shape != (sum(widths),):
            raise InvalidModelError(
                f"node '{node.name}': a bias of shape {bias.shape} for widths {widths}"
            )
        parts = tracer.split(bias, 0, widths)
        found = tuple(
            [
                tracer.add(x, tracer.reshape(part, (x.shape[1], 1, x.shape[3])))
                for x, part in zip(found, parts, strict=True)
            ]
        )
    query, key, value = found
    key = _appended(tracer, _cache(node, 6), key)
    value = _appended(tracer, _cache(node, 7), value)
    mask, added, causal = node.optional(4), node.optional(5), _causal(node, query, key)
    y = _attended(tracer, node, (query, key, value), mask, added, causal=causal)
    return [_joined(tracer, y), key, value]


@rule("com.microsoft::GroupQueryAttention")
def group_query_attention(tracer: Tracer, node: Node) -> list[Operand]:
    """Attention in which several heads of queries share one of keys, with rotary embeddings."""
    query, key, value = node.input(0), node.optional(1), node.optional(2)
    heads, shared = (_number_of_heads(node, name) for name in ("num_heads", "kv_num_heads"))
    if key is None or value is None:
        width = query.shape[-1] // (heads + 2 * shared) if query.rank == 3 else 0
        if query.rank != 3 or width * (heads + 2 * shared) != query.shape[2]:
            raise InvalidModelError(
                f"node '{node.name}': {query.shape} is not made of {heads} and twice {shared} heads"
            )
        parts = [heads * width, shared * width, shared * width]
        query, key, value = tracer.split(query, 2, parts)
    query = _split(tracer, query, heads)
    key, value = (_split(tracer, x, shared) for x in (key, value))
    past, past_value = _cache(node, 3), _cache(node, 4)
    first = 0 if past is None else past.shape[2]
    if node.attribute("do_rotary", 0):
        cosines, sines, at = node.input(7), node.input(8), node.optional(9)
        if at is None:
            at = Constant.of(np.arange(first, first + query.shape[2])[None])
        is_interleaved = bool(node.attribute("rotary_interleaved", 0))
        query, key = (
            _rotated(tracer, node, x, cosines, sines, at, is_interleaved) for x in (query, key)
        )
    key, value = _appended(tracer, past, key), _appended(tracer, past_value, value)
    window = node.attribute("local_window_size", -1)
    y = _attended(
        tracer, node, (query, key, value), None, node.optional(10), causal=first, window=window
    )
    return [_joined(tracer, y), key, value]


@rule("RotaryEmbedding", "com.microsoft::RotaryEmbedding")
def rotary_embedding(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    if node.operator == "RotaryEmbedding":
        cosines, sines, at = node.input(1), node.input(2), node.optional(3)
    else:
        at, cosines, sines = node.input(1), node.input(2), node.input(3)
    heads = node.attribute("num_heads", 0)
    is_interleaved = bool(node.attribute("interleaved", 0))
    if x.rank == 4:
        return _rotated(tracer, node, x, cosines, sines, at, is_interleaved)
    if x.rank != 3:
        raise InvalidModelError(f"node '{node.name}': a tensor of shape {x.shape}")
    width = node.attribute("rotary_embedding_dim", 0) if heads else 0
    size = x.shape[2] // heads if heads else width or 2 * cosines.shape[-1]
    if size < 1 or x.shape[2] % size:
        raise InvalidModelError(f"node '{node.name}': {heads} heads do not fit {x.shape}")
    apart = _split(tracer, x, x.shape[2] // size)
    return _joined(tracer, _rotated(tracer, node, apart, cosines, sines, at, is_interleaved))


def _rotated(
    tracer: Tracer,
    node: Node,
    x: Operand,
    cosines: Operand,
    sines: Operand,
    at: Operand | None,
    is_interleaved: bool,
) -> Operand:
    """Pairs of features of (batch, heads, tokens, features), turned by angles of their token."""
    batch, tokens = x.shape[0], x.shape[2]
    if at is not None:
        if at.size == 1 and at.shape != (batch, tokens):  # Where the first token is.
            at = _counted_on(tracer, at, tokens)
        cosines, sines = (tracer.embedding(table, at, 0) for table in (cosines, sines))
    half = cosines.shape[-1] if cosines.rank else 0
    fits = cosines.rank == 3 and cosines.shape[:2] in ((1, 1), (1, tokens), (batch, tokens))
    if cosines.shape != sines.shape or not fits or not 1 <= half <= x.shape[3] // 2:
        raise InvalidModelError(
            f"node '{node.name}': angles of shapes {cosines.shape} and {sines.shape} do not fit "
            f"{x.shape}"
        )
    cosines, sines = (
        tracer.reshape(one, (one.shape[0], 1, *one.shape[1:])) for one in (cosines, sines)
    )
    step, second = (2, 1) if is_interleaved else (1, half)
    a, b = (tracer.slice(x, 3, start, half, step) for start in (0, second))
    turned = [
        tracer.subtract(tracer.multiply(a, cosines), tracer.multiply(b, sines)),
        tracer.add(tracer.multiply(a, sines), tracer.multiply(b, cosines)),
    ]
    if is_interleaved:
        pairs = tracer.concat([tracer.unsqueeze(one, [4]) for one in turned], 4)
        y = tracer.reshape(pairs, (*x.shape[:3], 2 * half))
    else:
        y = tracer.concat(turned, 3)
    rest = x.shape[3] - 2 * half
    return tracer.concat([y, tracer.slice(x, 3, 2 * half, rest)], 3) if rest else y


def _counted_on(tracer: Tracer, first: Operand, tokens: int) -> Operand:
    """Positions from that of the first token on."""
    if isinstance(first, Constant) and first.array is not None:
        return Constant.of(int(first.array.reshape(-1)[0]) + np.arange(tokens)[None])
    return tracer.expand(tracer.reshape(first, (1, 1)), (1, tokens))


def _attended(
    tracer: Tracer,
    node: Node,
    heads: Heads,
    mask: Operand | None = None,
    added: Operand | None = None,
    *,
    causal: int | None = None,
    window: int = -1,
) -> Operand:
    """The values, averaged with the softmax of products of queries and keys.

    Parameters
    ----------
    tracer : Tracer
    node : Node
    heads : Heads
    mask : Operand, optional
        Which keys are there: not zero where they are.
    added : Operand, optional
        What is added to the scores.
    causal : int, optional
        Query number i sees the keys up to number ``i + causal``.
    window : int
        How many keys up to its own a query sees; all if negative.
    """
    query, key, value = heads
    key, value = _for_all_heads(tracer, node, query, key, value)
    scores = tracer.einsum("bhqd,bhkd->bhqk", query, key)
    queries, keys = scores.shape[2:]
    if causal is not None and window >= 0:
        behind = np.arange(queries)[:, None] + causal - np.arange(keys)
        scores = tracer.mask(scores, behind >= window, -np.inf)
    seen = None if mask is None else _along_scores(tracer, node, mask, scores)
    scores = tracer.masked_scores(scores, seen, causal=causal)
    scores = tracer.masked_scores(scores, added)
    return tracer.matmul(tracer.normalise(scores, (3,), "softmax"), value)


def _along_scores(tracer: Tracer, node: Node, mask: Operand, scores: Operand) -> Operand:
    """A mask of shape (batch, keys) or (batch, queries, keys) along scores of all heads."""
    batch, _, queries, keys = scores.shape
    if mask.rank == 1 and isinstance(mask, Constant) and mask.array is not None:
        numbers = mask.array[:batch].reshape(-1, 1, 1, 1)  # Of keys that are no padding.
        return Constant.of(np.arange(keys) < numbers)
    if isinstance(mask, Constant) and mask.array is not None:
        mask = Constant(mask.shape, mask.array != 0)
    if mask.rank > 3:
        return mask
    if mask.rank == 3 and mask.shape[1:] == (queries, keys):
        return tracer.reshape(mask, (mask.shape[0], 1, queries, keys))
    if mask.shape == (batch, keys):
        return tracer.reshape(mask, (batch, 1, 1, keys))
    if mask.rank == 1:  # Numbers of keys: every score depends on that of its sequence.
        first = tracer.slice(mask, 0, 0, min(batch, mask.shape[0]))
        return tracer.reshape(first, (first.size, 1, 1, 1))
    raise InvalidModelError(
        f"node '{node.name}': a mask of shape {mask.shape} for scores of shape {scores.shape}"
    )


def _number_of_heads(node: Node, name: str) -> int:
    """An attribute that says how many heads there are; there is no number by default."""
    number = node.attribute(name)
    if not isinstance(number, int) or not 1 <= number <= MOST_HEADS:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): {name} must be an integer from 1 to "
            f"{MOST_HEADS:,}, got {number!r}"
        )
    return number


def _for_all_heads(
    tracer: Tracer, node: Node, query: Operand, key: Operand, value: Operand
) -> tuple[Operand, Operand]:
    """Keys and values for every head of the queries, of which several may share them."""
    shapes = query.shape, key.shape, value.shape
    fits = (
        key.shape[:3] == value.shape[:3]
        and query.shape[0] == key.shape[0]
        and query.shape[3] == key.shape[3]
        and 1 <= key.shape[1] <= query.shape[1] <= MOST_HEADS
        and query.shape[1] % key.shape[1] == 0
    )
    if not fits:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): queries, keys and values of shapes "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]} (batch, heads, tokens, features) do not fit"
        )
    groups = query.shape[1] // key.shape[1]
    if groups == 1:
        return key, value
    repeated = np.repeat(np.arange(key.shape[1]), groups)
    return tracer.take(key, 1, repeated), tracer.take(value, 1, repeated)


def _cache(node: Node, position: int) -> Operand | None:
    """Keys or values of tokens before, of shape (batch, heads, tokens, features)."""
    past = node.optional(position)
    if past is not None and past.rank != 4:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): input {position}, a cache, has the shape "
            f"{past.shape}; expected (batch, heads, tokens, features)"
        )
    return past


def _causal(node: Node, query: Operand, key: Operand) -> int | None:
    """How many keys come before the first query, if later keys are hidden."""
    return key.shape[2] - query.shape[2] if node.attribute("unidirectional", 0) else None


def _appended(tracer: Tracer, past: Operand | None, x: Operand) -> Operand:
    """Tokens after those of the past."""
    return x if past is None or 0 in past.shape else tracer.concat([past, x], 2)


def _unpacked(tracer: Tracer, x: Operand, number: int) -> tuple[Operand, ...]:
    """The parts of (batch, tokens, heads, parts, features)."""
    if x.shape[3] != number:
        raise InvalidModelError(f"{tracer.name}: {x.shape} has no {number} parts")
    parts = tracer.split(x, 3, [1] * number)
    flat = [tracer.reshape(part, (*x.shape[:3], x.shape[4])) for part in parts]
    return tuple([tracer.transpose(part, (0, 2, 1, 3)) for part in flat])


def _split(tracer: Tracer, x: Operand, heads: int) -> Operand:
    """Heads apart: from (batch, tokens, features) to (batch, heads, tokens, features)."""
    if x.rank != 3 or heads < 1 or x.shape[2] % heads:
        raise InvalidModelError(f"{tracer.name}: {heads} heads do not fit {x.shape}")
    x = tracer.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads))
    return tracer.transpose(x, (0, 2, 1, 3))


def _joined(tracer: Tracer, y: Operand) -> Operand:
    """Heads side by side again."""
    y = tracer.transpose(y, (0, 2, 1, 3))
    return tracer.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))
